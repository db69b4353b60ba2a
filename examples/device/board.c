/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that fills memory with a byte, and has most of what a PCI device can have:
 * INTx and MSI, an eventfd in place of its doorbell, a ROM, a vendor capability in
 * extended config space, and a region of its own kind with a log of what it did. It
 * cannot carry a job that is half done, so its arc into the quiet state waits for the
 * job's end.
 *
 *   board /run/board.sock
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ferry/device.h"

#define REG_ADDRESS 0x00u /* u64 */
#define REG_SIZE 0x08u    /* u64 */
#define REG_BYTE 0x10u    /* u32 */
#define REG_GO 0x14u      /* u32: 1 starts: the doorbell */
#define REG_DONE 0x18u /* u32: jobs that have ended; a write takes the interrupt away */
#define BOARD_BYTES 0x20u
#define SLICE_BYTES 65536u

static const unsigned char rom_image[512] = { 0x55, 0xaa, 1 };
static const unsigned char vsec_body[8] = { 'b', 'o', 'a', 'r', 'd', 0, 0, 1 };

struct board {
    unsigned char reg[BOARD_BYTES]; /* as on the wire: all that is migrated */
    unsigned char in[BOARD_BYTES];  /* being loaded */
    size_t moved;                   /* bytes that are saved or loaded */
    uint64_t at, left;              /* the job in hand; left 0: none */
    int arc_waits;
    char log[64];
};

static uint64_t reg(const struct board *board, unsigned off, size_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, board->reg + off, bytes); /* as in counter.c on a big endian machine */
    return value;
}

static int board_read(void *state, struct ferry_device *device, uint32_t region,
                      uint64_t off, void *ret_data, size_t count)
{
    const struct board *board = state;

    (void)device;
    if (region == FERRY_REGION_EXTRA) {
        memcpy(ret_data, board->log + off, count);
    } else {
        memcpy(ret_data, board->reg + off, count); /* inside: the SDK has looked */
    }
    return FERRY_OK;
}

static int board_write(void *state, struct ferry_device *device, uint32_t region,
                       uint64_t off, const void *data, size_t count)
{
    struct board *board = state;
    uint32_t go = 0;

    (void)region; /* the log is read only: the SDK drops such writes */
    if (off == REG_GO && count == sizeof(go)) {
        memcpy(&go, data, sizeof(go));
        if (go == 1 && board->left == 0) {
            board->at = reg(board, REG_ADDRESS, 8);
            board->left = reg(board, REG_SIZE, 8);
            ferry_device_schedule(device);
        }
    } else if (off == REG_DONE) {
        return ferry_intx_set(device, 0);
    } else if (off + count <= REG_GO) {
        memcpy(board->reg + off, data, count);
    }
    return FERRY_OK;
}

/* Without a copy: the memory itself, where it can be lent. */
static int fill(struct board *board, struct ferry_device *device)
{
    const uint64_t most = board->left < SLICE_BYTES ? board->left : SLICE_BYTES;
    struct ferry_dma_segment segment;
    int status = ferry_dma_get(device, board->at, most, 1, &segment);

    if (status == FERRY_OK) {
        memset(segment.address, board->reg[REG_BYTE], segment.size);
        ferry_dma_put(device, &segment, segment.size); /* and it is in the dirty log */
        board->at += segment.size;
        board->left -= segment.size;
    }
    return status;
}

static int board_work(void *state, struct ferry_device *device)
{
    struct board *board = state;
    int status = board->left != 0 ? fill(board, device) : FERRY_OK;

    if (board->left != 0 && status == FERRY_OK) {
        return 1; /* more, after the messages that wait */
    }
    if (board->left != 0 || status == FERRY_OK) {
        const uint32_t done = (uint32_t)reg(board, REG_DONE, 4) + 1;

        memcpy(board->reg + REG_DONE, &done, sizeof(done));
        snprintf(board->log, sizeof(board->log), "job %u: %s", (unsigned)done,
                 ferry_status_name(status));
        board->left = 0;
        /* Whichever the user has set up is the one that is heard. */
        (void)ferry_intx_set(device, 1);
        (void)ferry_irq_raise(device, 0);
    }
    if (board->arc_waits) {
        board->arc_waits = 0;
        ferry_device_arc_done(device, FERRY_OK);
    }
    return 0;
}

static int board_arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct board *board = state;

    if (to == FERRY_STATE_RUNNING_P2P && board->left != 0) {
        board->arc_waits = 1; /* work() goes on while the arc is pending */
        ferry_device_schedule(device);
        return FERRY_PENDING;
    }
    if (from == FERRY_STATE_RESUMING) {
        if (board->moved != BOARD_BYTES) {
            return FERRY_E_SHORT;
        }
        memcpy(board->reg, board->in, BOARD_BYTES);
    }
    board->moved = 0; /* a session begins, or there is none */
    return FERRY_OK;
}

static int board_save(void *state, struct ferry_device *device, void *ret_data,
                      size_t cap)
{
    struct board *board = state;
    size_t count = BOARD_BYTES - board->moved;

    (void)device;
    count = count < cap ? count : cap;
    memcpy(ret_data, board->reg + board->moved, count);
    board->moved += count;
    return (int)count;
}

static int board_load(void *state, struct ferry_device *device, const void *data,
                      size_t count)
{
    struct board *board = state;

    (void)device;
    if (count > BOARD_BYTES - board->moved) {
        return FERRY_E_LONG;
    }
    memcpy(board->in + board->moved, data, count);
    board->moved += count;
    return FERRY_OK;
}

static int board_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)state, (void)device;
    *ret_bytes = BOARD_BYTES;
    return FERRY_OK;
}

static void board_reset(void *state, struct ferry_device *device,
                        enum ferry_reset_reason reason)
{
    (void)device, (void)reason;
    memset(state, 0, sizeof(struct board));
}

static const struct ferry_device_ops board_ops = {
    .struct_size = sizeof(board_ops),
    .region_read = board_read,
    .region_write = board_write,
    .reset = board_reset,
    .work = board_work,
    .arc = board_arc,
    .save = board_save,
    .load = board_load,
    .data_size = board_size,
};

static int create(struct board *board, struct ferry_device **ret_device,
                  struct ferry_error *reterr)
{
    static const struct ferry_device_doorbell go = {
        .region = 0, .size = 4, .off = REG_GO, .value = 1, .match = 1
    };
    const struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &board_ops,
        .state = board,
        .identity = { .model = "board",
                      .state_version = 1,
                      .state_version_min = 1,
                      .pci_vendor = 0x1234,
                      .pci_device = 0x0b0a,
                      .pci_class = 0xff000001,
                      .migration_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P,
                      .doorbell_latch = 1,
                      .key_count = 1,
                      .key = { { "slice", FERRY_KEY_AT_LEAST, 0, SLICE_BYTES } } },
        .region = { { .size_bytes = BOARD_BYTES } },
        .intx_pin = 1,
        .msi_vectors = 1,
        .serial = 0x0b0a0000000001,
        .rom = rom_image,
        .rom_bytes = sizeof(rom_image),
        .ext_cap_count = 1,
        .ext_cap = { { .bytes = vsec_body, .vsec_id = 1, .length = 16 } },
        .extra_count = 1,
        .extra = { { .region = { .size_bytes = 64, .flags = FERRY_EXTRA_READ_ONLY },
                     .type = 0x80001234,
                     .subtype = 1 } },
        .doorbell = &go,
        .doorbell_count = 1,
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
    struct ferry_server_options options = { .struct_size = sizeof(options) };
    struct ferry_device *device = NULL;
    struct ferry_error error = { 0 };
    static struct board board;
    int status;

    if (argc != 2) {
        fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
        return 2;
    }
    options.path = argv[1];
    status = create(&board, &device, &error);
    if (status == FERRY_OK) {
        status = ferry_server_create(device, &options, &server, &error);
    }
    if (status == FERRY_OK) {
        signal(SIGTERM, stop);
        signal(SIGINT, stop);
        status = ferry_server_run(server);
    }
    if (status != FERRY_OK) {
        fprintf(stderr, "%s: %s\n", ferry_status_name(status), error.text);
        return 1;
    }
    signal(SIGTERM, SIG_DFL); /* it needs the server */
    signal(SIGINT, SIG_DFL);
    ferry_server_destroy(server);
    ferry_device_destroy(device);
    return 0;
}
