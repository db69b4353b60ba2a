/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a fuzz target over every file of the folders that are given: no fuzzer needed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Return: 0, or -1 when the file cannot be read. */
static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX), *exact = NULL;
    size_t size = 0;
    int rc = -1;

    if (file && data) {
        size = fread(data, 1, INPUT_MAX, file);
        /* In memory of its very size: a sanitizer then sees a read behind the end. */
        exact = malloc(size ? size : 1);
    }
    if (exact && !ferror(file)) {
        memcpy(exact, data, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
        rc = 0;
    }
    if (file) {
        (void)fclose(file);
    }
    free(exact);
    free(data);
    return rc;
}

/* Return: number of files, or -1. */
static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int count = 0;

    if (!dir) {
        return -1;
    }
    while (count >= 0 && (entry = readdir(dir)) != NULL) {
        char path[4096];
        struct stat info;
        int length = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);

        if (length < 0 || (size_t)length >= sizeof(path) || stat(path, &info) != 0) {
            count = -1;
        } else if (S_ISREG(info.st_mode)) {
            count = replay_file(path) == 0 ? count + 1 : -1;
        }
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int i, total = 0;

    for (i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);

        if (count < 0) {
            (void)fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 1;
        }
        total += count;
    }
    (void)printf("%d inputs replayed\n", total);
    /* A corpus that got lost must not pass as one that was replayed. */
    return total > 0 ? 0 : 1;
}
