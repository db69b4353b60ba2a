/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes the seeds of fuzz_wire into a folder: each sample message with its reply. */
#include <stdio.h>

#include "../unit/wire/test_wire_samples.h"

static int save(const char *folder, const struct wire_sample *sample)
{
    uint8_t bytes[1 + 2 * WIRE_SAMPLE_BYTES];
    char path[4096];
    size_t size = 1;
    FILE *file;
    int ok;

    bytes[0] =
        (uint8_t)(sample->ask.fd_count | (sample->answer.command != 0 ? 0x80u : 0));
    size += wire_sample_bytes(&sample->ask, bytes + size);
    if (sample->answer.command != 0) {
        size += wire_sample_bytes(&sample->answer, bytes + size);
    }
    (void)snprintf(path, sizeof(path), "%s/%s", folder, sample->name);
    file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return 0;
    }
    ok = fwrite(bytes, 1, size, file) == size;
    return fclose(file) == 0 && ok;
}

int main(int argc, char **argv)
{
    const struct wire_sample *sample;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: make_wire_corpus FOLDER\n");
        return 2;
    }
    for (size_t i = 0; (sample = wire_sample_get(i)) != NULL; i++) {
        if (!save(argv[1], sample)) {
            return 1;
        }
    }
    return 0;
}
