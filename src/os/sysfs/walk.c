/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/errno.h"
#include "os/sysfs/sysfs.h"

int ferry_os_folder_each(const char *path, ferry_os_name_fn *call, void *user)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int result = FERRY_OK;

    if (folder == NULL) {
        return ferry_os_status(errno);
    }
    while (result == FERRY_OK && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = call(user, entry->d_name);
        }
    }
    closedir(folder);
    return result;
}

int ferry_os_lines(const char *path, int end, ferry_os_line_fn *call, void *user)
{
    char line[FERRY_OS_LINE_BYTES];
    FILE *file = fopen(path, "re");
    size_t length = 0;
    int result = FERRY_OK, c;

    if (file == NULL) {
        return ferry_os_status(errno);
    }
    while (result == FERRY_OK && (c = getc_unlocked(file)) != EOF) {
        if (c != end) {
            /* One byte more than fits is counted, so that a longer line is known. */
            if (length < sizeof(line)) {
                line[length++] = (char)c;
            }
            continue;
        }
        if (length < sizeof(line)) {
            line[length] = '\0';
            result = call(user, line);
        }
        length = 0;
    }
    if (result == FERRY_OK && length > 0 && length < sizeof(line)) {
        line[length] = '\0';
        result = call(user, line);
    }
    if (result == FERRY_OK && ferror(file)) {
        result = FERRY_E_IO;
    }
    fclose(file);
    return result;
}
