/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor/doctor.h"

#define PATH_BYTES 512

void doctor_note(struct doctor *doctor, const char *name, enum doctor_level level,
                 const char *means, const char *todo, const char *format, ...)
{
    struct doctor_finding *finding = &doctor->finding[doctor->count];
    va_list list;

    if (doctor->count == DOCTOR_FINDINGS_MAX) {
        return;
    }
    doctor->count++;
    finding->name = name;
    finding->level = level;
    finding->means = means;
    finding->todo = level == DOCTOR_GOOD ? NULL : todo;
    va_start(list, format);
    vsnprintf(finding->value, sizeof(finding->value), format, list);
    va_end(list);
}

static const char *place(const struct doctor *doctor, const char *path,
                         char ret_path[PATH_BYTES])
{
    snprintf(ret_path, PATH_BYTES, "%s%s", doctor->root, path);
    return ret_path;
}

int doctor_exists(const struct doctor *doctor, const char *path)
{
    char full[PATH_BYTES];

    return access(place(doctor, path, full), F_OK) == 0;
}

int doctor_read(const struct doctor *doctor, const char *path, char *ret_text,
                size_t size)
{
    char full[PATH_BYTES];
    FILE *file = fopen(place(doctor, path, full), "re");
    size_t n;

    ret_text[0] = '\0';
    if (file == NULL) {
        return 0;
    }
    n = fread(ret_text, 1, size - 1, file);
    fclose(file);
    ret_text[n] = '\0';
    if (n > 0 && ret_text[n - 1] == '\n') {
        ret_text[n - 1] = '\0';
    }
    return n > 0;
}

int doctor_number(const struct doctor *doctor, const char *path,
                  unsigned long long *ret_value)
{
    char text[64], *end;
    unsigned long long value;

    if (!doctor_read(doctor, path, text, sizeof(text))) {
        return 0;
    }
    value = strtoull(text, &end, 10);
    if (end == text) {
        return 0;
    }
    *ret_value = value;
    return 1;
}

size_t doctor_entries(const struct doctor *doctor, const char *path)
{
    char full[PATH_BYTES];
    DIR *folder = opendir(place(doctor, path, full));
    struct dirent *entry;
    size_t count = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}
