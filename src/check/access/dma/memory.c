/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/access/dma/memory.h"

#include <stdlib.h>
#include <string.h>

#include "os/guard.h"

#define PAGE 4096u

static int place(struct check_run *run, struct peer_memory *memory, uint64_t *ret_off)
{
    const struct ferry_check_driver *driver = run->options->driver;

    memory->bytes = 0;
    if (driver && driver->scratch && check_drive(run)) {
        driver->scratch(run->driver_state, &memory->region, ret_off, &memory->bytes);
        memory->bytes = memory->bytes < PEER_BYTES_MAX ? memory->bytes : PEER_BYTES_MAX;
        memory->bytes &= ~(uint64_t)(PAGE - 1);
    }
    if (memory->bytes == 0) {
        check_skip(run, "the device has no memory that can be mapped");
    }
    return memory->bytes > 0;
}

int peer_memory_open(struct check_run *run, struct check_device *of,
                     struct peer_memory *ret_memory)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO };
    struct check_device *before = run->at;
    uint64_t off = 0;
    int rc;

    memset(ret_memory, 0, sizeof(*ret_memory));
    ret_memory->fd = -1;
    if (!place(run, ret_memory, &off)) {
        return 0;
    }
    request.u.region.index = ret_memory->region;
    request.u.region.fd = -1;
    run->at = of;
    rc = check_call(run, &request);
    run->at = before;
    if (rc != FERRY_OK || request.u.region.fd < 0) {
        check_skip(run, "the region that the driver names cannot be mapped");
        return 0;
    }
    ret_memory->fd = request.u.region.fd;
    ret_memory->fd_off = request.u.region.offset + off;
    ret_memory->copy = malloc(PEER_BYTES_MAX);
    rc = ferry_os_map_device(ret_memory->fd, ret_memory->fd_off, ret_memory->bytes,
                             FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE, &ret_memory->map,
                             NULL);
    if (rc != FERRY_OK || !ret_memory->copy || ferry_os_guard_install() != FERRY_OK) {
        peer_memory_close(ret_memory);
        return check_broken(run, "its memory cannot be mapped");
    }
    return 1;
}

void peer_memory_close(struct peer_memory *memory)
{
    ferry_os_unmap(&memory->map);
    ferry_os_close(&memory->fd);
    free(memory->copy);
    memory->copy = NULL;
}

static uint8_t byte_of(uint8_t seed, uint64_t i)
{
    return (uint8_t)(seed + i * 7 + (i >> 8));
}

int peer_memory_fill(struct peer_memory *memory, uint8_t seed)
{
    for (uint64_t i = 0; i < memory->bytes; i++) {
        memory->copy[i] = byte_of(seed, i);
    }
    return ferry_os_guarded_copy(memory->map.data, memory->copy, memory->bytes);
}

int peer_memory_read(const struct peer_memory *memory, uint8_t *ret_bytes)
{
    return ferry_os_guarded_copy(ret_bytes, memory->map.data, memory->bytes);
}

uint64_t peer_memory_other(struct peer_memory *memory, uint8_t seed)
{
    uint64_t count = 0;

    if (peer_memory_read(memory, memory->copy) != FERRY_OK) {
        return UINT64_MAX;
    }
    for (uint64_t i = 0; i < memory->bytes; i++) {
        count += memory->copy[i] != byte_of(seed, i);
    }
    return count;
}

/* The three pieces: before the place, the place, behind it. */
static int map_rest(struct check_run *run, uint64_t from)
{
    return check_map(run, from, CHECK_IOVA + CHECK_MEMORY_BYTES - from,
                     run->device.memory.fd, from - CHECK_IOVA);
}

int peer_memory_map(struct check_run *run, const struct peer_memory *memory)
{
    char text[160];
    int rc = check_unmap(run, CHECK_IOVA, CHECK_MEMORY_BYTES);

    if (rc == FERRY_OK) {
        rc = check_map(run, CHECK_IOVA, CHECK_DRIVER_BYTES, run->device.memory.fd, 0);
    }
    if (rc == FERRY_OK) {
        rc =
            check_map(run, CHECK_SCRATCH_IOVA, memory->bytes, memory->fd, memory->fd_off);
    }
    if (rc == FERRY_OK) {
        rc = map_rest(run, CHECK_SCRATCH_IOVA + memory->bytes);
    }
    if (rc != FERRY_OK) {
        /* Hosts with larger pages cannot map a small BAR; no text says that they must. */
        check_skip(run, "a peer's memory cannot be mapped: %s",
                   check_status_text(run, rc, text));
    }
    return rc == FERRY_OK;
}

void peer_memory_unmap(struct check_run *run, const struct peer_memory *memory)
{
    const uint64_t rest = CHECK_SCRATCH_IOVA + memory->bytes;
    int rc;

    run->at = &run->device;
    (void)check_unmap(run, CHECK_IOVA, CHECK_DRIVER_BYTES);
    (void)check_unmap(run, CHECK_SCRATCH_IOVA, memory->bytes);
    (void)check_unmap(run, rest, CHECK_IOVA + CHECK_MEMORY_BYTES - rest);
    rc = check_map(run, CHECK_IOVA, CHECK_MEMORY_BYTES, run->device.memory.fd, 0);
    if (rc != FERRY_OK) {
        (void)check_reopen(run);
    }
}
