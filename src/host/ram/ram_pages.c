/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "host/migrate/migration.h"

#define SPARE_MAX 6u

/* Eight words at a time: bound by memory, and most pages differ in the first line. */
static int is_zero(const uint8_t *page)
{
    for (size_t i = 0; i < FERRY_PAGE_BYTES; i += 64) {
        uint64_t word[8];

        memcpy(word, page + i, sizeof(word));
        if ((word[0] | word[1] | word[2] | word[3] | word[4] | word[5] | word[6] |
             word[7]) != 0) {
            return 0;
        }
    }
    return 1;
}

static void put_copy(void *user)
{
    struct ferry_ram_copy *copy = user;
    struct ferry_ram *ram = copy->ram;

    assert(copy->refs > 0);
    copy->refs--;
    if (copy->refs > 0) {
        return;
    }
    if (ram->spare_count >= SPARE_MAX) {
        free(copy);
        return;
    }
    copy->next = ram->spare;
    ram->spare = copy;
    ram->spare_count++;
}

static struct ferry_ram_copy *get_copy(struct ferry_ram *ram)
{
    struct ferry_ram_copy *copy = ram->spare;

    if (copy) {
        ram->spare = copy->next;
        ram->spare_count--;
    } else {
        copy = malloc(sizeof(*copy));
    }
    if (copy) {
        copy->ram = ram;
        copy->next = NULL;
        copy->refs = 1;
        copy->used = 0;
    }
    return copy;
}

/* Room for bytes in the copy that is being filled. */
static uint8_t *copy_room(struct ferry_ram *ram, size_t bytes)
{
    struct ferry_ram_copy *copy = ram->filling;

    if (!copy || copy->used + bytes > sizeof(copy->data)) {
        if (copy) {
            put_copy(copy);
        }
        copy = get_copy(ram);
        ram->filling = copy;
        if (!copy) {
            return NULL;
        }
    }
    copy->used += bytes;
    return copy->data + (copy->used - bytes);
}

static void send_failed(struct ferry_run *run, int status)
{
    struct ferry_error error = { .code = FERRY_OK };

    run->ram.status = status;
    ferry_error_set(&error, status, FERRY_HOST_LAYER, NULL, 0,
                    "memory could not be sent: %s", ferry_status_text(status));
    ferry_lanes_lost(run, &error);
}

static void send_pages(struct ferry_run *run, uint64_t first, uint64_t count)
{
    struct ferry_ram *ram = &run->ram;
    const struct ferry_host_memory *memory = &run->context->memory[ram->memory];
    size_t bytes = (size_t)count * FERRY_PAGE_BYTES;
    struct ferry_stream_pages pages = { .memory = run->memory_map[ram->memory],
                                        .off = first * FERRY_PAGE_BYTES,
                                        .bytes = bytes };
    struct ferry_channel_body body = { .data = memory->address + pages.off,
                                       .bytes = bytes };
    uint8_t prefix[FERRY_STREAM_PREFIX_BYTES];
    struct ferry_writer writer;
    int rc;

    if (!ram->final) {
        uint8_t *room = copy_room(ram, bytes);

        if (!room) {
            send_failed(run, FERRY_E_MEMORY);
            return;
        }
        memcpy(room, body.data, bytes);
        body.data = room;
        body.release = put_copy;
        body.user = ram->filling;
        ram->filling->refs++;
    }
    ferry_writer_init(&writer, prefix, sizeof(prefix));
    ferry_stream_put_pages(&writer, &pages);
    assert(!writer.overflow && writer.pos == sizeof(prefix));
    rc = ferry_channel_put_data(ferry_lanes_of_memory(run), FERRY_REC_MEMORY_PAGES,
                                FERRY_NO_DEVICE, prefix, sizeof(prefix), &body);
    if (rc < 0) {
        send_failed(run, rc);
    }
    ram->round_bytes += bytes;
    ram->bytes += bytes;
    ram->pages += count;
}

static void send_zero(struct ferry_run *run)
{
    struct ferry_ram *ram = &run->ram;
    struct ferry_stream_zero zero = { .memory = run->memory_map[ram->zero_memory],
                                      .off = ram->zero_off,
                                      .bytes = ram->zero_bytes };
    uint8_t payload[64];
    struct ferry_writer writer;

    if (ram->zero_bytes == 0) {
        return;
    }
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_zero(&writer, &zero);
    assert(!writer.overflow);
    ferry_run_put(run, FERRY_REC_MEMORY_ZERO, FERRY_NO_DEVICE, payload, writer.pos);
    ram->pages += ram->zero_bytes / FERRY_PAGE_BYTES;
    ram->round_bytes += FERRY_RECORD_HEADER_BYTES;
    ram->zero_bytes = 0;
}

static void hold_zero(struct ferry_run *run, uint64_t first, uint64_t count)
{
    struct ferry_ram *ram = &run->ram;
    uint64_t off = first * FERRY_PAGE_BYTES;
    uint64_t bytes = count * FERRY_PAGE_BYTES;

    if (ram->zero_bytes > 0 &&
        (ram->zero_memory != ram->memory || ram->zero_off + ram->zero_bytes != off ||
         ram->zero_bytes + bytes > FERRY_STREAM_ZERO_MAX)) {
        send_zero(run);
    }
    if (ram->zero_bytes == 0) {
        ram->zero_memory = ram->memory;
        ram->zero_off = off;
    }
    ram->zero_bytes += bytes;
}

/* Cuts a run of dirty pages into runs of zero pages and others. */
static void send_run(struct ferry_run *run, uint64_t first, uint64_t count)
{
    const uint8_t *address = run->context->memory[run->ram.memory].address;
    uint64_t end = first + count;

    while (first < end) {
        int zero = is_zero(address + first * FERRY_PAGE_BYTES);
        uint64_t next = first + 1;

        while (next < end && is_zero(address + next * FERRY_PAGE_BYTES) == zero) {
            next++;
        }
        if (zero) {
            hold_zero(run, first, next - first);
        } else {
            send_pages(run, first, next - first);
        }
        first = next;
    }
}

uint64_t ferry_ram_send_next(struct ferry_run *run)
{
    struct ferry_ram *ram = &run->ram;
    struct ferry_context *context = run->context;

    for (; ram->memory < context->memory_end; ram->memory++, ram->cursor = 0) {
        struct ferry_host_memory *memory = &context->memory[ram->memory];
        uint64_t first, count;

        if (memory->size == 0) {
            continue;
        }
        if (ferry_dirty_take_run(&memory->dirty, &ram->cursor,
                                 ram->record_bytes / FERRY_PAGE_BYTES, &first, &count)) {
            send_run(run, first, count);
            return count * FERRY_PAGE_BYTES;
        }
    }
    return 0;
}

void ferry_ram_send_held(struct ferry_run *run)
{
    send_zero(run);
    if (run->ram.filling) {
        put_copy(run->ram.filling);
        run->ram.filling = NULL;
    }
}
