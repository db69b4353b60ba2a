/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the parser of filter specifications: an input is one. It opens, or is refused at
 * a place inside it with a text. Logs into files are left out: they would be made.
 */
#include <string.h>

#include "ferry/filter.h"
#include "link/endpoint.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ferry_endpoint_ops ops = { .struct_size = sizeof(ops) };
    struct ferry_endpoint below = { .ops = &ops }, *endpoint = NULL;
    struct ferry_error error;
    char spec[512];
    int rc;

    if (size >= sizeof(spec)) {
        return 0;
    }
    memcpy(spec, data, size);
    spec[size] = '\0';
    if (strstr(spec, "log") != NULL) {
        return 0;
    }
    memset(&error, 0x5a, sizeof(error));
    rc = ferry_filter_open(&below, spec, &endpoint, &error);
    if (rc == FERRY_OK) {
        must(endpoint != NULL && endpoint != &below);
        ferry_filter_close(endpoint);
        return 0;
    }
    must(endpoint == NULL && error.code == rc && error.offset <= strlen(spec));
    must(memchr(error.text, '\0', sizeof(error.text)) != NULL && error.text[0] != '\0');
    return 0;
}
