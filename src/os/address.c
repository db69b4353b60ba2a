/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "os/socket.h"

/* Decimal digits only, at most 65535. Returns 1 and the value, or 0. */
static int parse_port(const char *text, uint16_t *ret_port)
{
    uint32_t value = 0;

    if (*text == '\0') {
        return 0;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return 0;
        }
        value = value * 10 + (uint32_t)(*text - '0');
        if (value > UINT16_MAX) {
            return 0;
        }
    }
    *ret_port = (uint16_t)value;
    return 1;
}

static int parse_tcp(const char *text, struct ferry_os_address *address,
                     struct ferry_error *reterr)
{
    const char *host = text;
    const char *colon;
    size_t bytes;

    if (*text == '[') {
        const char *end = strchr(text, ']');

        host = text + 1;
        colon = end != NULL && end[1] == ':' ? end + 1 : NULL;
        bytes = end != NULL ? (size_t)(end - host) : 0;
    } else {
        colon = strchr(text, ':');
        bytes = colon != NULL ? (size_t)(colon - host) : 0;
    }
    if (colon == NULL || bytes == 0 || !parse_port(colon + 1, &address->port)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "os", NULL, 0,
                               "\"tcp:%.100s\" is not tcp:HOST:PORT (an IPv6 address in "
                               "brackets, a port from 0 to 65535)",
                               text);
    }
    if (bytes >= sizeof(address->host)) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "os", NULL, 0,
                               "the host name is longer than %zu bytes",
                               sizeof(address->host) - 1);
    }
    memcpy(address->host, host, bytes);
    address->family = FERRY_OS_TCP;
    return FERRY_OK;
}

static int parse_unix(const char *path, struct ferry_os_address *address,
                      struct ferry_error *reterr)
{
    size_t bytes = strlen(path);

    if (bytes == 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "os", NULL, 0,
                               "\"unix:\" without a path");
    }
    if (bytes >= sizeof(address->path)) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "os", NULL, 0,
                               "the socket path %.100s... is longer than %zu bytes", path,
                               sizeof(address->path) - 1);
    }
    memcpy(address->path, path, bytes);
    address->family = FERRY_OS_UNIX;
    return FERRY_OK;
}

int ferry_os_address_parse(const char *text, struct ferry_os_address *ret_address,
                           struct ferry_error *reterr)
{
    struct ferry_os_address address;
    int status;

    memset(&address, 0, sizeof(address));
    if (strncmp(text, "tcp:", 4) == 0) {
        status = parse_tcp(text + 4, &address, reterr);
    } else if (strncmp(text, "unix:", 5) == 0) {
        status = parse_unix(text + 5, &address, reterr);
    } else {
        status =
            ferry_error_set(reterr, FERRY_E_ARGUMENT, "os", NULL, 0,
                            "\"%.100s\" is neither tcp:HOST:PORT nor unix:PATH", text);
    }
    if (status == FERRY_OK) {
        *ret_address = address;
    }
    return status;
}

void ferry_os_address_text(const struct ferry_os_address *address,
                           char ret_text[FERRY_OS_ADDRESS_BYTES])
{
    int v6 = strchr(address->host, ':') != NULL;

    if (address->family == FERRY_OS_UNIX) {
        (void)snprintf(ret_text, FERRY_OS_ADDRESS_BYTES, "%s", address->path);
    } else {
        (void)snprintf(ret_text, FERRY_OS_ADDRESS_BYTES, "%s%s%s:%u", v6 ? "[" : "",
                       address->host, v6 ? "]" : "", (unsigned)address->port);
    }
}
