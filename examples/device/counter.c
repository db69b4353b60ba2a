/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole device that can be migrated: a register that counts. A write to ADD is a
 * doorbell: a moment later the value is added to COUNT, the new count is written into the
 * guest's memory at ADDRESS, and an MSI-X interrupt says so.
 *
 *   counter /run/counter.sock
 *
 * serves it over vfio-user until SIGTERM.
 */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* <endian.h> */
#endif
#include <endian.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ferry/device.h"

/* BAR0. BAR1 holds the MSI-X table and its pending bits. */
#define REG_COUNT 0x00u   /* u64, read only */
#define REG_ADD 0x08u     /* u32, write only: the doorbell */
#define REG_ADDRESS 0x10u /* u64: where the count is written to; 0: nowhere */

/*
 * What migrates: first who we are, so that a target of another kind can refuse early (in
 * PRE_COPY already), then the registers and the work that has been asked for but not
 * done.
 */
#define MATCH_BYTES 8u
#define STATE_BYTES (MATCH_BYTES + 24u)
static const uint8_t match[MATCH_BYTES] = { 'c', 'o', 'u', 'n', 't', 'e', 'r', '1' };

struct counter {
    uint64_t count;
    uint64_t address;
    uint64_t waiting;            /* asked for, not yet added */
    uint8_t stream[STATE_BYTES]; /* being saved or loaded */
    size_t done;                 /* bytes of it that are saved or loaded */
};

static void put64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, 8);
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value;

    memcpy(&value, from, 8);
    return le64toh(value);
}

static int region_read(void *state, struct ferry_device *device, uint32_t region,
                       uint64_t off, void *ret_data, size_t count)
{
    const struct counter *counter = state;
    uint8_t file[0x18] = { 0 };

    (void)device;
    memset(ret_data, 0, count);
    if (region == 0 && off < sizeof(file)) {
        put64(file + REG_COUNT, counter->count);
        put64(file + REG_ADDRESS, counter->address);
        memcpy(ret_data, file + off,
               count < sizeof(file) - off ? count : sizeof(file) - off);
    }
    return FERRY_OK;
}

static int region_write(void *state, struct ferry_device *device, uint32_t region,
                        uint64_t off, const void *data, size_t count)
{
    struct counter *counter = state;

    if (region == 0 && off == REG_ADD && count == 4) {
        uint32_t value;

        memcpy(&value, data, 4);
        counter->waiting += le32toh(value);
        ferry_device_schedule(device); /* work() comes soon, but not in a quiet state */
    } else if (region == 0 && off == REG_ADDRESS && count == 8) {
        counter->address = get64(data);
    }
    return FERRY_OK;
}

/* The SDK calls it only where the device may start DMA and raise interrupts. */
static int work(void *state, struct ferry_device *device)
{
    struct counter *counter = state;
    uint8_t value[8];

    if (counter->waiting == 0) {
        return 0;
    }
    counter->count += counter->waiting;
    counter->waiting = 0;
    put64(value, counter->count);
    /* A driver that gave a wrong address only hurts itself. */
    if (counter->address == 0 ||
        ferry_dma_write(device, counter->address, value, sizeof(value)) == FERRY_OK) {
        (void)ferry_irq_raise(device, 0);
    }
    return 0;
}

static void reset(void *state, struct ferry_device *device,
                  enum ferry_reset_reason reason)
{
    (void)device;
    (void)reason;
    memset(state, 0, sizeof(struct counter));
}

/* Writes the whole state behind the match, for save() to hand out. */
static void freeze(struct counter *counter)
{
    put64(counter->stream + MATCH_BYTES, counter->count);
    put64(counter->stream + MATCH_BYTES + 8, counter->address);
    put64(counter->stream + MATCH_BYTES + 16, counter->waiting);
}

/* What was loaded becomes the device's state, all of it or nothing. */
static int thaw(struct counter *counter)
{
    if (counter->done < STATE_BYTES) {
        return FERRY_E_SHORT;
    }
    counter->count = get64(counter->stream + MATCH_BYTES);
    counter->address = get64(counter->stream + MATCH_BYTES + 8);
    counter->waiting = get64(counter->stream + MATCH_BYTES + 16);
    return FERRY_OK;
}

/*
 * work() does one piece at a time and leaves nothing in flight, so every arc ends at
 * once: a device that must wait for its hardware returns FERRY_PENDING and calls
 * ferry_device_arc_done().
 */
static int arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct counter *counter = state;

    if (from == FERRY_STATE_RESUMING) {
        return thaw(counter);
    }
    if (to == FERRY_STATE_RESUMING || from == FERRY_STATE_RUNNING ||
        from == FERRY_STATE_RUNNING_P2P || from == FERRY_STATE_STOP) {
        counter->done = 0; /* a data session may begin */
        memcpy(counter->stream, match, MATCH_BYTES);
    }
    if (to == FERRY_STATE_STOP_COPY) {
        freeze(counter);
    }
    if (to == FERRY_STATE_RUNNING && counter->waiting != 0) {
        ferry_device_schedule(device); /* carry on where the other side stopped */
    }
    return FERRY_OK;
}

/* Bytes that may go out now. */
static size_t ready(const struct ferry_device *device)
{
    return ferry_device_state(device) == FERRY_STATE_STOP_COPY ? STATE_BYTES
                                                               : MATCH_BYTES;
}

static int save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct counter *counter = state;
    size_t count = ready(device) - counter->done;

    if (count == 0) {
        return ready(device) == STATE_BYTES ? 0 : FERRY_E_DRY;
    }
    count = count < cap ? count : cap;
    memcpy(ret_data, counter->stream + counter->done, count);
    counter->done += count;
    return (int)count;
}

static int load(void *state, struct ferry_device *device, const void *data, size_t count)
{
    struct counter *counter = state;

    (void)device;
    if (count > STATE_BYTES - counter->done) {
        return FERRY_E_LONG;
    }
    memcpy(counter->stream + counter->done, data, count);
    counter->done += count;
    if (memcmp(counter->stream, match,
               counter->done < MATCH_BYTES ? counter->done : MATCH_BYTES) != 0) {
        return FERRY_E_FOREIGN;
    }
    return FERRY_OK;
}

static int precopy_info(void *state, struct ferry_device *device,
                        struct ferry_device_precopy *ret_info)
{
    const struct counter *counter = state;

    (void)device;
    ret_info->initial_bytes = MATCH_BYTES - counter->done;
    ret_info->dirty_bytes = 0;
    return FERRY_OK;
}

static int data_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)state;
    (void)device;
    *ret_bytes = STATE_BYTES;
    return FERRY_OK;
}

static const struct ferry_device_ops counter_ops = {
    .struct_size = sizeof(counter_ops),
    .region_read = region_read,
    .region_write = region_write,
    .reset = reset,
    .work = work,
    .arc = arc,
    .save = save,
    .load = load,
    .precopy_info = precopy_info,
    .data_size = data_size,
};

static int create(struct counter *counter, struct ferry_device **ret_device,
                  struct ferry_error *reterr)
{
    const struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &counter_ops,
        .state = counter,
        .identity = { .model = "counter",
                      .state_version = 1,
                      .state_version_min = 1,
                      .pci_vendor = 0x1234,
                      .pci_device = 0x0c07,
                      .pci_class = 0xff000001,
                      .migration_flags =
                          FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY,
                      .doorbell_latch = 1 },
        .region = { { .size_bytes = 4096 }, { .size_bytes = 4096 } },
        .msix_vectors = 1,
        .msix_bar = 1,
        .msix_table_off = 0,
        .msix_pba_off = 2048,
    };

    return ferry_device_create(&desc, ret_device, reterr);
}

static struct ferry_server *server;

static void stop(int signal_number)
{
    (void)signal_number;
    ferry_server_stop(server);
}

int main(int argc, char **argv)
{
    struct counter counter = { 0 };
    struct ferry_device *device = NULL;
    struct ferry_error error = { 0 };
    struct ferry_server_options options = { .struct_size = sizeof(options) };
    int status;

    if (argc != 2) {
        fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
        return 2;
    }
    options.path = argv[1];
    status = create(&counter, &device, &error);
    if (status == FERRY_OK) {
        status = ferry_server_create(device, &options, &server, &error);
    }
    if (status == FERRY_OK) {
        signal(SIGTERM, stop);
        signal(SIGINT, stop);
        status = ferry_server_run(server);
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
    }
    if (status != FERRY_OK) {
        fprintf(stderr, "%s: %s\n", ferry_status_name(status), error.text);
    }
    ferry_server_destroy(server);
    ferry_device_destroy(device);
    return status == FERRY_OK ? 0 : 1;
}
