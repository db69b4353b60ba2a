/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/random.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

#include "ferry/error.h"

int ferry_os_random(void *ret_data, size_t size)
{
    uint8_t *data = ret_data;
    size_t done = 0;

    while (done < size) {
        ssize_t got = getrandom(data + done, size - done, 0);

        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return FERRY_E_IO;
        }
        done += (size_t)got;
    }
    return FERRY_OK;
}
