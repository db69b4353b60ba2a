/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two ways to memory of a kernel device, on the real kernel.
 *
 * usage: kernel_memory iommufd|type1 PLACE [PEER]
 * PLACE: an edu device of vfio-pci's, or a device without DMA (an mdev): then only what
 * needs none is done. PEER: another one, whose region is mapped.
 * Prints what was found out. Exit: 0; 1 with what did not hold on standard error.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "edu.h"
#include "host/backend/kernel/iommu.h"
#include "os/memory.h"

#define PAGE 4096ull
#define PAGES 64u
#define IOVA 0x100000ull
#define FAR_IOVA 0x8000000ull /* edu reaches 256 MiB */
#define INTERRUPTS_IOVA 0xfee00000ull
#define MANY 1000u
#define LIMIT_BYTES (1u << 20)
#define BIG_BYTES (16u << 20)
#define NOBODY 65534

struct side {
    struct kernel_iommu *iommu;
    int fd;
};

static const char *way;
static struct ferry_error error;

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

static void check(int holds, const char *what, int line)
{
    if (!holds) {
        fprintf(stderr, "memory.c:%d: does not hold: %s (%s)\n", line, what, error.text);
        exit(1);
    }
}

static int open_side(const char *where, struct side *ret_side)
{
    struct ferry_machine_place place;

    error = (struct ferry_error){ 0 };
    CHECK(ferry_machine_find(where, NULL, NULL, &place, &error) == FERRY_OK);
    return (strcmp(way, "type1") == 0 ? kernel_type1_open : kernel_iommufd_open)(
        kernel_calls_real(), &place, NULL, &ret_side->iommu, &ret_side->fd, &error);
}

static void shut_side(struct side *side)
{
    ferry_os_close(&side->fd);
    side->iommu->ops->close(side->iommu);
}

static int map(struct side *side, uint64_t iova, uint64_t size, void *address, int fd,
               uint64_t off)
{
    const struct ferry_dma_map wanted = { .iova = iova,
                                          .size = size,
                                          .offset = off,
                                          .fd = fd,
                                          .flags = FERRY_DMA_READ | FERRY_DMA_WRITE,
                                          .address = address };

    error = (struct ferry_error){ 0 };
    return side->iommu->ops->map(side->iommu, &wanted, &error);
}

static int unmap(struct side *side, uint64_t iova, uint64_t size, uint32_t flags)
{
    const struct ferry_dma_unmap wanted = { .iova = iova, .size = size, .flags = flags };

    return side->iommu->ops->unmap(side->iommu, &wanted, &error);
}

/* KiB of memory that the kernel holds for this process. */
static unsigned long held_kib(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[128];
    unsigned long sum = 0;
    unsigned long kib;

    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "VmLck: %lu", &kib) == 1 ||
            sscanf(line, "VmPin: %lu", &kib) == 1) {
            sum += kib;
        }
    }
    (void)fclose(file);
    return sum;
}

/* --- what is tried --- */

static void memory_is_where_it_was_mapped(struct side *side)
{
    struct ferry_os_map ram;
    struct ferry_os_map look;
    uint8_t *byte;
    int fd = -1;

    CHECK(ferry_os_map_anonymous(PAGES * PAGE, &ram) == FERRY_OK);
    CHECK(ferry_os_memfd_create("test", PAGES * PAGE, &fd) == FERRY_OK);
    CHECK(ferry_os_map_shared(fd, 0, PAGES * PAGE, FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE,
                              &look, &error) == FERRY_OK);
    byte = ram.data;
    for (uint32_t i = 0; i < PAGES * PAGE; i++) {
        byte[i] = (uint8_t)(i * 7 + i / 251);
    }
    CHECK(map(side, IOVA, PAGES * PAGE, ram.data, -1, 0) == FERRY_OK);
    /* The file from its second page on, which this process has nowhere of its own. */
    CHECK(map(side, FAR_IOVA, (PAGES - 1) * PAGE, NULL, fd, PAGE) == FERRY_OK);
    CHECK(edu_copy(side->fd, IOVA + 5 * PAGE + 12, FAR_IOVA + 3 * PAGE - 20,
                   EDU_BYTES_MAX) == 0);
    CHECK(memcmp((uint8_t *)look.data + 4 * PAGE - 20, byte + 5 * PAGE + 12,
                 EDU_BYTES_MAX) == 0);
    CHECK(((uint8_t *)look.data)[4 * PAGE - 21] == 0);
    /* The IOMMU knows nothing of it any more: the device's write goes nowhere. */
    memset(look.data, 0, look.size);
    CHECK(unmap(side, FAR_IOVA, (PAGES - 1) * PAGE, 0) == FERRY_OK);
    CHECK(edu_copy(side->fd, IOVA, FAR_IOVA, 64) == 0);
    for (uint32_t i = 0; i < PAGES * PAGE; i++) {
        CHECK(((uint8_t *)look.data)[i] == 0);
    }
    CHECK(unmap(side, 0, 0, FERRY_UNMAP_ALL) == FERRY_OK);
    ferry_os_unmap(&ram);
    ferry_os_unmap(&look);
    ferry_os_close(&fd);
    printf("DMA goes where it was mapped, and nowhere after the unmap\n");
}

static void many_maps_come_and_go(struct side *side)
{
    struct ferry_os_map ram;

    CHECK(ferry_os_map_anonymous(PAGE, &ram) == FERRY_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        CHECK(map(side, IOVA + i * 2 * PAGE, PAGE, ram.data, -1, 0) == FERRY_OK);
    }
    CHECK(map(side, IOVA + 2 * PAGE, PAGE, ram.data, -1, 0) == FERRY_E_OVERLAP);
    CHECK(unmap(side, IOVA + 2 * PAGE, PAGE, 0) == FERRY_OK);
    CHECK(map(side, IOVA + 2 * PAGE, PAGE, ram.data, -1, 0) == FERRY_OK);
    CHECK(unmap(side, IOVA, MANY * 2 * PAGE, 0) == FERRY_OK);
    CHECK(unmap(side, IOVA, PAGE, 0) == FERRY_E_NOT_FOUND);
    CHECK(map(side, IOVA, PAGE, ram.data, -1, 0) == FERRY_OK); /* close() takes it */
    ferry_os_unmap(&ram);
}

static void reserved_addresses_are_refused(struct side *side)
{
    struct ferry_os_map ram;

    CHECK(ferry_os_map_anonymous(PAGE, &ram) == FERRY_OK);
    CHECK(map(side, INTERRUPTS_IOVA, PAGE, ram.data, -1, 0) == FERRY_E_RANGE);
    printf("interrupts: %s\n", error.text);
    CHECK(map(side, UINT64_MAX - PAGE + 1, PAGE, ram.data, -1, 0) == FERRY_E_RANGE);
    CHECK(map(side, IOVA + 2048, PAGE, ram.data, -1, 0) == FERRY_E_ALIGN);
    ferry_os_unmap(&ram);
}

/* Nobody's memory. */
static void memory_that_cannot_be_reached_is_refused(struct side *side)
{
    const struct ferry_dma_map wanted = { .iova = IOVA + MANY * 4 * PAGE,
                                          .size = PAGE,
                                          .fd = -1,
                                          .flags = FERRY_DMA_READ,
                                          .address = (void *)(uintptr_t)PAGE };

    error = (struct ferry_error){ 0 };
    CHECK(side->iommu->ops->map(side->iommu, &wanted, &error) < 0);
    CHECK(error.text[0] != '\0');
    printf("no memory: %s\n", error.text);
}

static void a_peers_region(struct side *side, const char *where)
{
    struct side peer;
    int rc;

    CHECK(open_side(where, &peer) == FERRY_OK);
    rc = map(side, 2 * FAR_IOVA, EDU_BAR_BYTES, NULL, peer.fd, edu_bar0(peer.fd));
    printf("peer: %s\n", rc == FERRY_OK ? "mapped" : error.text);
    CHECK(rc == FERRY_OK || rc == FERRY_E_UNSUPPORTED);
    CHECK(rc != FERRY_OK || unmap(side, 2 * FAR_IOVA, EDU_BAR_BYTES, 0) == FERRY_OK);
    shut_side(&peer);
}

static void tracking(struct side *side, int has_dma)
{
    static uint64_t bitmap[1];
    struct ferry_os_map ram;
    const struct ferry_log_report report = { .iova = IOVA - 8 * PAGE,
                                             .length = 32 * PAGE,
                                             .page_size = PAGE,
                                             .bitmap = bitmap,
                                             .bitmap_bytes = sizeof(bitmap) };
    const struct ferry_dma_unmap last = { .iova = IOVA,
                                          .size = 8 * PAGE,
                                          .flags = FERRY_UNMAP_BITMAP,
                                          .page_size = PAGE,
                                          .bitmap = bitmap,
                                          .bitmap_bytes = sizeof(bitmap) };
    const int rc = side->iommu->ops->track(side->iommu, 1, &error);

    CHECK((rc == FERRY_OK) == side->iommu->can_track);
    if (rc != FERRY_OK) {
        CHECK(rc == FERRY_E_UNSUPPORTED);
        printf("tracking: %s\n", error.text);
        return;
    }
    printf("tracking: %s\n",
           side->iommu->is_exact ? "exact" : "every page counts as written");
    CHECK(side->iommu->is_exact != has_dma);
    CHECK(ferry_os_map_anonymous(8 * PAGE, &ram) == FERRY_OK);
    CHECK(map(side, IOVA, 8 * PAGE, ram.data, -1, 0) == FERRY_OK);
    CHECK(side->iommu->ops->report(side->iommu, &report, &error) == FERRY_OK);
    CHECK(bitmap[0] == (side->iommu->is_exact ? 0u : 0xff00u));
    bitmap[0] = 0;
    CHECK(side->iommu->ops->unmap(side->iommu, &last, &error) == FERRY_OK);
    CHECK(bitmap[0] == (side->iommu->is_exact ? 0u : 0xffu));
    CHECK(side->iommu->ops->track(side->iommu, 0, &error) == FERRY_OK);
    ferry_os_unmap(&ram);
}

static void it_is_in_use(const char *where)
{
    const char *used = way;
    /* Stock kernels have no iommufd. */
    const int has_other = strcmp(used, "iommufd") == 0 || access("/dev/iommu", F_OK) == 0;
    struct side second;

    CHECK(open_side(where, &second) == FERRY_E_BUSY);
    printf("again: %s\n", error.text);
    /* The same device the other way. */
    way = strcmp(used, "type1") == 0 ? "iommufd" : "type1";
    CHECK(open_side(where, &second) == (has_other ? FERRY_E_BUSY : FERRY_E_UNSUPPORTED));
    printf("the other way: %s\n", error.text);
    way = used;
}

/* As a user without privileges; there is no way back. */
static void locked_memory_is_limited(struct side *side)
{
    const struct rlimit limit = { .rlim_cur = LIMIT_BYTES, .rlim_max = LIMIT_BYTES };
    struct ferry_os_map ram;

    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    CHECK(setuid(NOBODY) == 0);
    CHECK(ferry_os_map_anonymous(BIG_BYTES, &ram) == FERRY_OK);
    CHECK(map(side, IOVA, BIG_BYTES, ram.data, -1, 0) == FERRY_E_LIMIT);
    printf("limit: %s\n", error.text);
    CHECK(map(side, IOVA, LIMIT_BYTES / 2, ram.data, -1, 0) == FERRY_OK);
    CHECK(held_kib() == LIMIT_BYTES / 2 / 1024);
    ferry_os_unmap(&ram);
}

int main(int argc, char **argv)
{
    struct side side;
    int has_dma;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 3) {
        return 2;
    }
    way = argv[1];
    has_dma = strstr(argv[2], "mdev") == NULL;
    CHECK(open_side(argv[2], &side) == FERRY_OK);
    tracking(&side, has_dma);
    if (has_dma) {
        CHECK(edu_start(side.fd) == 0);
        memory_is_where_it_was_mapped(&side);
        reserved_addresses_are_refused(&side);
        memory_that_cannot_be_reached_is_refused(&side);
    }
    it_is_in_use(argv[2]);
    if (argc > 3) {
        a_peers_region(&side, argv[3]);
    }
    many_maps_come_and_go(&side);
    shut_side(&side);
    CHECK(held_kib() == 0);
    CHECK(open_side(argv[2], &side) == FERRY_OK);
    if (has_dma) {
        locked_memory_is_limited(&side);
    }
    shut_side(&side);
    CHECK(held_kib() == 0);
    printf("nothing is held any more\n");
    return 0;
}
