/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Region reads and writes with libvfio-user's gpio sample: output registers at 0 and 4
 * count how often each pin was set, input registers at 1 and 5 show the pins whose count
 * is a multiple of 3. usage: interop_regions SOCKET
 */
#include <stdio.h>
#include <string.h>

#include "link/client/client.h"

#define BAR2 2u

static int io(struct ferry_client *client, enum ferry_request_kind kind, uint64_t off,
              uint8_t *byte)
{
    struct ferry_request request = { .kind = kind };
    int status;

    request.u.io.index = BAR2;
    request.u.io.off = off;
    request.u.io.count = 1;
    request.u.io.data = byte;
    status = ferry_client_call(client, &request);
    if (status != FERRY_OK) {
        fprintf(stderr, "%s at %u: %s\n", ferry_request_name(kind), (unsigned)off,
                ferry_status_text(status));
    }
    return status;
}

/* Sets pins, then expects the input register. Return: 1 when all went right. */
static int set_and_read(struct ferry_client *client, uint64_t out, uint8_t pins,
                        uint64_t in, uint8_t want)
{
    uint8_t seen = 0x55;

    if (io(client, FERRY_RQ_REGION_WRITE, out, &pins) != FERRY_OK ||
        io(client, FERRY_RQ_REGION_READ, in, &seen) != FERRY_OK) {
        return 0;
    }
    if (seen != want) {
        fprintf(stderr, "input register %u is 0x%02x, not 0x%02x\n", (unsigned)in, seen,
                want);
    }
    return seen == want;
}

static int try_pins(struct ferry_client *client)
{
    return set_and_read(client, 0, 0x00, 1, 0xff) &&
           set_and_read(client, 0, 0x03, 1, 0xfc) &&
           set_and_read(client, 0, 0x01, 1, 0xfc) &&
           set_and_read(client, 0, 0x01, 1, 0xfd) &&
           set_and_read(client, 4, 0x80, 5, 0x7f);
}

int main(int argc, char **argv)
{
    const struct ferry_client_options options = { .struct_size = sizeof(options) };
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_client *client;
    int right;

    if (argc != 2) {
        return 2;
    }
    if (ferry_client_connect(argv[1], &options, &client, &error) != FERRY_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    right = try_pins(client);
    ferry_client_close(client);
    return right ? 0 : 1;
}
