/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/reader.h"
#include "base/writer.h"
#include "core/v1/region.h"
#include "link/client/client.h"

/*
 * Moves a device by hand: each access to the migration region of uAPI v1 is made here, as
 * its text tells, with none of the library's own driving of such devices.
 *
 * usage: v1_hand acc|copy SOURCE_V1 TARGET_V1 TARGET_V2
 */
#define STREAM_MAX (16u << 20)
#define PIECES_MAX 4096u
#define REGION 9u

struct end {
    struct ferry_client *client;
    struct ferry_region_info info; /* of the migration region */
    uint8_t *map;                  /* of its first area, or NULL */
};

struct saved {
    uint8_t *bytes;
    uint64_t size, piece[PIECES_MAX];
    uint32_t pieces;
};

static void need(int right, const char *what, long long value)
{
    if (!right) {
        fprintf(stderr, "v1_hand: %s (%lld)\n", what, value);
        exit(1);
    }
}

static int call(struct end *end, struct ferry_request *request)
{
    return ferry_client_call(end->client, request);
}

static int access_region(struct end *end, uint32_t kind, uint32_t region, uint64_t off,
                         void *data, uint32_t count)
{
    struct ferry_request request = { .kind = kind };

    request.u.io = (struct ferry_region_io){
        .index = region, .off = off, .count = count, .data = data
    };
    return call(end, &request);
}

static uint64_t get(struct end *end, uint32_t reg)
{
    const struct ferry_v1_register_info *info = ferry_v1_register(reg);
    uint8_t bytes[8] = { 0 };
    const int status =
        access_region(end, FERRY_RQ_REGION_READ, REGION, info->off, bytes, info->bytes);

    need(status == FERRY_OK, info->name, status);
    return ferry_load_le64(bytes);
}

static int put(struct end *end, uint32_t reg, uint64_t value)
{
    const struct ferry_v1_register_info *info = ferry_v1_register(reg);
    uint8_t bytes[8];

    ferry_store_le64(bytes, value);
    return access_region(end, FERRY_RQ_REGION_WRITE, REGION, info->off, bytes,
                         info->bytes);
}

/* Read, modify, write, read back. */
static void set(struct end *end, uint32_t bits)
{
    const uint64_t old = get(end, FERRY_V1_STATE);
    const int status = put(end, FERRY_V1_STATE, (old & FERRY_V1_STATE_RESERVED) | bits);

    need(status == FERRY_OK, "a write of device_state", status);
    need(get(end, FERRY_V1_STATE) == bits, "device_state after it", bits);
}

static int in_map(const struct end *end, uint64_t off, uint64_t size)
{
    return end->map != NULL && off >= end->info.area[0].off &&
           off + size <= end->info.area[0].off + end->info.area[0].size;
}

static void move_piece(struct end *end, uint32_t kind, uint64_t off, uint8_t *data,
                       uint64_t size)
{
    need(ferry_v1_piece_inside(off, size, end->info.size), "a piece outside", (long)off);
    if (!in_map(end, off, size)) {
        need(access_region(end, kind, REGION, off, data, (uint32_t)size) == FERRY_OK,
             "an access to the data", (long)size);
    } else if (kind == FERRY_RQ_REGION_READ) {
        memcpy(data, end->map + (off - end->info.area[0].off), size);
    } else {
        memcpy(end->map + (off - end->info.area[0].off), data, size);
    }
}

/* Iterations until pending_bytes is 0. */
static void save_on(struct end *end, struct saved *saved)
{
    while (get(end, FERRY_V1_PENDING) > 0) {
        const uint64_t off = get(end, FERRY_V1_OFFSET);
        const uint64_t size = get(end, FERRY_V1_SIZE);

        need(size > 0 && size <= STREAM_MAX - saved->size && saved->pieces < PIECES_MAX,
             "data_size", (long)size);
        move_piece(end, FERRY_RQ_REGION_READ, off, saved->bytes + saved->size, size);
        saved->piece[saved->pieces++] = size;
        saved->size += size;
    }
}

/* The same transactions. */
static void load_v1(struct end *end, const struct saved *saved)
{
    uint64_t at = 0;

    set(end, FERRY_V1_RESUMING);
    for (uint32_t i = 0; i < saved->pieces; i++) {
        move_piece(end, FERRY_RQ_REGION_WRITE, get(end, FERRY_V1_OFFSET),
                   saved->bytes + at, saved->piece[i]);
        need(put(end, FERRY_V1_SIZE, saved->piece[i]) == FERRY_OK, "data_size", i);
        at += saved->piece[i];
    }
    set(end, 0);
}

static void set_v2(struct end *end, uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .u.state = state };
    const int status = call(end, &request);

    need(status == FERRY_OK, "SET_STATE", status);
}

static void load_v2(struct end *end, const struct saved *saved)
{
    set_v2(end, FERRY_STATE_RESUMING);
    for (uint64_t at = 0; at < saved->size; at += 500000) {
        struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };

        request.u.data.data = saved->bytes + at;
        request.u.data.size = saved->size - at < 500000 ? saved->size - at : 500000;
        need(call(end, &request) == FERRY_OK, "DATA_WRITE", (long)at);
    }
    set_v2(end, FERRY_STATE_STOP);
}

static void save_v2(struct end *end, struct saved *saved)
{
    set_v2(end, FERRY_STATE_STOP_COPY);
    for (;;) {
        struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };

        request.u.data.data = saved->bytes + saved->size;
        request.u.data.size = 1u << 20;
        need(call(end, &request) == FERRY_OK, "DATA_READ", (long)saved->size);
        if (request.u.data.got == 0) {
            return;
        }
        saved->size += request.u.data.got;
    }
}

static void open_end(struct end *end, const char *path, int v1)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO };
    struct ferry_error error = { 0 };
    int status;

    memset(end, 0, sizeof(*end));
    status = ferry_client_connect(path, NULL, &end->client, &error);
    need(status == FERRY_OK, error.text, status);
    request.u.region.index = REGION;
    request.u.region.fd = FERRY_NO_REGION_FD;
    status = call(end, &request);
    need((status == FERRY_OK) == v1, "the migration region", status);
    if (!v1) {
        return;
    }
    end->info = request.u.region;
    need(end->info.type == 3 && end->info.subtype == 1, "its type", end->info.type);
    if (end->info.fd >= 0) {
        end->map =
            mmap(NULL, (size_t)end->info.area[0].size, PROT_READ | PROT_WRITE, MAP_SHARED,
                 end->info.fd, (off_t)(end->info.offset + end->info.area[0].off));
        need(end->map != MAP_FAILED, "mmap", end->info.fd);
        (void)close(end->info.fd);
    }
}

static void close_end(struct end *end)
{
    if (end->map != NULL) {
        (void)munmap(end->map, (size_t)end->info.area[0].size);
    }
    ferry_client_close(end->client);
}

static void new_saved(struct saved *saved)
{
    memset(saved, 0, sizeof(*saved));
    saved->bytes = malloc(STREAM_MAX + (1u << 20));
    need(saved->bytes != NULL, "memory", STREAM_MAX);
}

static void write_reg(struct end *end, uint32_t region, uint64_t off, uint64_t value,
                      uint32_t count)
{
    uint8_t bytes[8];

    ferry_store_le64(bytes, value);
    need(access_region(end, FERRY_RQ_REGION_WRITE, region, off, bytes, count) == FERRY_OK,
         "a register of the device", (long)off);
}

/* Makes the source differ from a fresh device. */
static void stir(struct end *end, int acc)
{
    static uint8_t bytes[1u << 20];
    uint32_t seed = 5;

    if (acc) { /* virtio: ACKNOWLEDGE, DRIVER; queue 0's size and address */
        write_reg(end, 4, 20, 1, 1);
        write_reg(end, 4, 20, 3, 1);
        write_reg(end, 4, 22, 0, 2);
        write_reg(end, 4, 24, 64, 2);
        write_reg(end, 4, 32, 0x12345000, 4);
        return;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    for (uint32_t i = 0; i < 4; i++) { /* 4 MiB of device memory, each different */
        bytes[0] = (uint8_t)i;
        need(access_region(end, FERRY_RQ_REGION_WRITE, 2, i * sizeof(bytes), bytes,
                           sizeof(bytes)) == FERRY_OK,
             "device memory", i);
    }
}

static void same(const struct saved *a, const struct saved *b, const char *what)
{
    need(a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0, what,
         (long)b->size);
}

int main(int argc, char **argv)
{
    struct end source, v1, v2;
    struct saved moved, again, from_v1, from_v2, fresh;
    int acc;

    need(argc == 5, "usage: v1_hand acc|copy SOURCE_V1 TARGET_V1 TARGET_V2", argc);
    acc = strcmp(argv[1], "acc") == 0;
    open_end(&source, argv[2], 1);
    open_end(&v1, argv[3], 1);
    open_end(&v2, argv[4], 0);
    new_saved(&moved);
    new_saved(&again);
    new_saved(&from_v1);
    new_saved(&from_v2);
    new_saved(&fresh);

    set(&source, FERRY_V1_SAVING);
    save_on(&source, &fresh);
    set(&source, FERRY_V1_RUNNING);
    stir(&source, acc);
    set(&source, FERRY_V1_SAVING | FERRY_V1_RUNNING);
    save_on(&source, &moved);
    set(&source, FERRY_V1_SAVING);
    save_on(&source, &moved);
    set(&source, 0);
    load_v1(&v1, &moved);
    load_v2(&v2, &moved);

    /* All three are now the same, whoever asks. */
    set(&source, FERRY_V1_SAVING);
    save_on(&source, &again);
    need(again.size != fresh.size || memcmp(again.bytes, fresh.bytes, fresh.size) != 0,
         "the source is as it was at first", (long)again.size);
    set(&v1, FERRY_V1_SAVING);
    save_on(&v1, &from_v1);
    save_v2(&v2, &from_v2);
    same(&again, &from_v1, "the target of version 1 holds something else");
    same(&again, &from_v2, "the target of version 2 holds something else");
    set(&v1, FERRY_V1_RUNNING);
    set_v2(&v2, FERRY_STATE_RUNNING);
    printf("moved %llu bytes in %u pieces\n", (unsigned long long)moved.size,
           moved.pieces);
    close_end(&source);
    close_end(&v1);
    close_end(&v2);
    free(moved.bytes);
    free(again.bytes);
    free(from_v1.bytes);
    free(from_v2.bytes);
    free(fresh.bytes);
    return 0;
}
