/* SPDX-License-Identifier: BSD-3-Clause */
/* How long an access to a register takes, as the guest's own clock has it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define ROUNDS 10
#define COUNT_MAX 10000000ul

static int by_size(const void *a, const void *b)
{
    const uint64_t one = *(const uint64_t *)a;
    const uint64_t other = *(const uint64_t *)b;

    return one < other ? -1 : one > other;
}

static uint32_t access_it(volatile uint32_t *at, int writes, unsigned long count,
                          uint32_t value)
{
    for (unsigned long i = 0; i < count; i++) {
        if (writes) {
            *at = value;
        } else {
            value = *at;
        }
    }
    return value;
}

static void measure(volatile uint32_t *at, int writes, unsigned long count,
                    uint32_t value)
{
    const unsigned long each = count < ROUNDS ? 1 : count / ROUNDS;
    uint64_t round_ns[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        const uint64_t begin = monotonic_ns();

        value = access_it(at, writes, each, value);
        round_ns[i] = monotonic_ns() - begin;
    }
    qsort(round_ns, ROUNDS, sizeof(round_ns[0]), by_size);
    printf("= count=%lu min_ns=%llu median_ns=%llu value=0x%x\n", each * ROUNDS,
           (unsigned long long)(round_ns[0] / each),
           (unsigned long long)(round_ns[ROUNDS / 2] / each), value);
}

/* words: mmio, read or write, address, BAR, offset, count, value to write. */
int command_mmio(const char *const words[WORDS_MAX])
{
    const int writes = strcmp(words[1], "write") == 0;
    const unsigned long off = strtoul(words[4], NULL, 0);
    const unsigned long count = strtoul(words[5], NULL, 0);
    const unsigned long page = off & ~4095ul;
    char path[512];
    void *map;
    int fd;

    if ((!writes && strcmp(words[1], "read") != 0) || off % 4 != 0 || count == 0 ||
        count > COUNT_MAX) {
        return fail("read or write, an aligned offset, a count of 1 to %lu", COUNT_MAX);
    }
    snprintf(path, sizeof(path), PCI "/%s/resource%s", words[2], words[3]);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return fail("%s: %s", path, strerror(errno));
    }
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)page);
    close(fd);
    if (map == MAP_FAILED) {
        return fail("%s: mmap: %s", path, strerror(errno));
    }
    measure((volatile uint32_t *)map + (off - page) / 4, writes, count,
            (uint32_t)strtoul(words[6], NULL, 0));
    munmap(map, 4096);
    return 0;
}
