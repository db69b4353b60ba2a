/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/qemu/qemu.h"

int qemu_check(struct qemu_args *args, const struct qemu_line *line)
{
    (void)args;
    (void)line;
    print_error("qemu", NULL, "--check is not there yet");
    return EXIT_FAILED;
}
