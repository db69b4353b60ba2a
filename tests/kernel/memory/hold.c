/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holds a physical function, by its group and with a VF token, while a command runs.
 *
 * usage: kernel_hold PLACE UUID COMMAND
 * Exit: the command's; 1 when the device cannot be had.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "host/backend/kernel/iommu.h"

#define TOKEN_BYTES 16u

static int read_token(const char *text, uint8_t *ret_token)
{
    for (unsigned i = 0; i < TOKEN_BYTES; i++) {
        unsigned byte;

        if (*text == '-') {
            text++;
        }
        if (sscanf(text, "%2x", &byte) != 1) {
            return -1;
        }
        ret_token[i] = (uint8_t)byte;
        text += 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct ferry_machine_place place;
    struct ferry_error error = { 0 };
    struct kernel_iommu *iommu;
    uint8_t token[TOKEN_BYTES];
    int status;
    int fd;

    if (argc != 4 || read_token(argv[2], token) < 0) {
        return 2;
    }
    if (ferry_machine_find(argv[1], NULL, NULL, &place, &error) != FERRY_OK ||
        kernel_type1_open(kernel_calls_real(), &place, token, &iommu, &fd, &error) !=
            FERRY_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    status = system(argv[3]); /* NOLINT(cert-env33-c): what the test says */
    kernel_close(kernel_calls_real(), &fd);
    iommu->ops->close(iommu);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
