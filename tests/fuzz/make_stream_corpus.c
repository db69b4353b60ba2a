/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the seeds of corpus/stream into the folder that is given: run it once for a new
 * version of the stream, under a new name, and commit what it wrote. The files of older
 * versions stay for ever.
 */
#include <stdio.h>
#include <string.h>

#include "../model/stream_sample.h"

static int save(const char *folder, const char *name, uint8_t kind, const uint8_t *data,
                size_t bytes)
{
    char path[4096];
    FILE *file;
    int ok;

    (void)snprintf(path, sizeof(path), "%s/%s-v%u", folder, name, FERRY_STREAM_VERSION);
    file = fopen(path, "wbx");
    if (!file) {
        perror(path);
        return 0;
    }
    ok = fwrite(&kind, 1, 1, file) == 1 && fwrite(data, 1, bytes, file) == bytes;
    return fclose(file) == 0 && ok;
}

/* What came before a reason, then the reason. */
static int save_reason(const char *folder, const char *name, uint8_t kind, uint16_t tag,
                       const uint8_t *before, size_t bytes)
{
    static uint8_t stream[SAMPLE_CAP];
    struct ferry_stream_reason reason = { .code = FERRY_E_INCOMPATIBLE,
                                          .rule = "MIG-COMPAT-4",
                                          .text =
                                              "sessions: target's 0x10 must be at least "
                                              "source's 0x40" };
    uint8_t payload[512];
    struct ferry_writer p, writer;

    ferry_writer_init(&p, payload, sizeof(payload));
    ferry_stream_put_reason(&p, &reason);
    ferry_writer_init(&writer, stream, sizeof(stream));
    ferry_writer_bytes(&writer, before, bytes);
    sample_record(&writer, tag, 0, FERRY_NO_DEVICE, payload, p.pos);
    return save(folder, name, kind, stream, writer.pos);
}

int main(int argc, char **argv)
{
    static uint8_t source[SAMPLE_CAP], target[SAMPLE_CAP];
    const size_t preamble = FERRY_RECORD_HEADER_BYTES + 32, token = preamble - 8;
    static uint8_t saved[SAMPLE_CAP];
    struct ferry_writer s, t, f;
    int ok;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: make_stream_corpus FOLDER\n");
        return 2;
    }
    ferry_writer_init(&s, source, sizeof(source));
    sample_source(&s);
    ferry_writer_init(&t, target, sizeof(target));
    sample_target(&t);
    ferry_writer_init(&f, saved, sizeof(saved));
    ferry_writer_bytes(&f, source, s.pos - token);
    sample_file_end(&f, 25);
    ok = !s.overflow && !f.overflow && !t.overflow &&
         save(argv[1], "source", 0, source, s.pos) &&
         save(argv[1], "target", 1, target, t.pos) &&
         save(argv[1], "saved", 2, saved, f.pos) &&
         save_reason(argv[1], "refuse", 1, FERRY_REC_REFUSE, target, preamble) &&
         save_reason(argv[1], "abort", 0, FERRY_REC_ABORT, source, s.pos - token);
    return ok ? 0 : 1;
}
