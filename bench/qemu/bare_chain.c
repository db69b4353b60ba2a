/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "bench/chain.h"
#include "bench/common.h"
#include "bench/rig.h"

/*
 * The floor of what QEMU moves: a chain of bare processes (bench/chain.h). Each line on
 * standard input is a run, whose nanoseconds are printed.
 *
 * usage: qemu_bare_chain BYTES unix|tcp
 */
int main(int argc, char **argv)
{
    size_t bytes = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
    char line[16];
    int chain;

    if (bytes == 0) {
        bench_die("usage: qemu_bare_chain BYTES unix|tcp");
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    bench_rig_open();
    chain = bench_chain_start(bytes, strcmp(argv[2], "tcp") == 0 ? BENCH_CHANNEL_TCP
                                                                 : BENCH_CHANNEL_UNIX);
    bench_chain_run(chain);
    while (fgets(line, sizeof(line), stdin)) {
        printf("%.0f\n", bench_chain_run(chain));
        fflush(stdout);
    }
    return 0;
}
