/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_FILE_FIELDS_H
#define FERRY_HOST_FILE_FIELDS_H

#include "ferry/show.h"
#include "host/file/check.h"

#define FERRY_FIELDS_MAX 640u
#define FERRY_FIELDS_TEXT_BYTES 32768u

/* Collects the decoded fields of one record; what does not fit is left out. */
struct ferry_fields {
    uint32_t count;
    size_t used;
    struct ferry_show_field field[FERRY_FIELDS_MAX];
    char text[FERRY_FIELDS_TEXT_BYTES];
};

void ferry_fields_number(struct ferry_fields *fields, const char *name, uint32_t kind,
                         uint64_t value);
/* name and the text are copied. */
void ferry_fields_text(struct ferry_fields *fields, const char *name, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));
/* As ferry_fields_number(), with a name that is made. */
void ferry_fields_named(struct ferry_fields *fields, uint32_t kind, uint64_t value,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * Decodes a record whose checksum is right. check: knows devices and regions by now.
 * ret_data, ret_bytes: the opaque part of the payload, if there is one.
 * Return: FERRY_OK or what the payload's decoder returned.
 */
int ferry_fields_decode(struct ferry_fields *fields, const struct ferry_file_check *check,
                        const struct ferry_record *record, const uint8_t *payload,
                        const uint8_t **ret_data, size_t *ret_bytes,
                        struct ferry_error *reterr);

/* fields_config.c: config space and MSI-X table by their names. */
void ferry_fields_config(struct ferry_fields *fields,
                         const struct ferry_stream_config *config);

#endif
