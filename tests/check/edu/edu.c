/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/check/edu/edu.h"

#include <stdlib.h>
#include <string.h>

#include "drivers/edu_driver.h"
#include "models/le.h"

#define SLICES 40u
#define REVISION 0x10u
#define VERSION 0x01000000u /* in the upper half of EDU_REG_ID */

/* What migrates: who we are, the registers, the buffer, and a sum over all of it. */
#define MATCH_BYTES 8u
#define REGS_OFF MATCH_BYTES
#define REGS_BYTES 48u
#define BUFFER_OFF (REGS_OFF + REGS_BYTES)
#define SUM_OFF (BUFFER_OFF + EDU_BUFFER_BYTES)
#define STATE_BYTES (SUM_OFF + 8u)
static const uint8_t match[MATCH_BYTES] = { 'e', 'd', 'u', '-', 't', 'o', 'y', '1' };

enum fault { SOUND, DROPS, FORGETS, QUIET, STALE, FAULTS };
static const char *const faults[FAULTS] = { "", "drops", "forgets", "quiet", "stale" };

struct edu {
    uint32_t live, fact, status, cause;
    uint64_t src, dst, count, command;
    uint8_t buffer[EDU_BUFFER_BYTES];
    /* of the fixture */
    uint32_t fault, slices;
    uint32_t left;               /* slices of the present transfer */
    uint32_t is_leaving;         /* an arc waits for its end */
    uint8_t stream[STATE_BYTES]; /* being saved or loaded */
    size_t done;                 /* bytes of it that are */
};

static void interrupt(struct edu *edu, struct ferry_device *device, uint32_t cause)
{
    edu->cause |= cause;
    if (edu->fault != QUIET) {
        (void)ferry_irq_raise(device, 0);
    }
}

static uint64_t *wide_register(struct edu *edu, uint64_t off)
{
    switch (off) {
    case EDU_REG_SRC:
        return &edu->src;
    case EDU_REG_DST:
        return &edu->dst;
    case EDU_REG_COUNT:
        return &edu->count;
    case EDU_REG_COMMAND:
        return &edu->command;
    default:
        return NULL;
    }
}

static uint32_t narrow_register(const struct edu *edu, uint64_t off)
{
    switch (off) {
    case EDU_REG_ID:
        return EDU_ID | VERSION;
    case EDU_REG_LIVE:
        return edu->live;
    case EDU_REG_FACT:
        return edu->fact;
    case EDU_REG_STATUS:
        return edu->status;
    case EDU_REG_CAUSE:
        return edu->cause;
    default:
        return UINT32_MAX;
    }
}

static int region_read(void *state, struct ferry_device *device, uint32_t region,
                       uint64_t off, void *ret_data, size_t count)
{
    struct edu *edu = state;
    const uint64_t *wide = wide_register(edu, off);

    (void)device;
    (void)region;
    memset(ret_data, 0xff, count);
    if (wide != NULL && (count == 4 || count == 8)) {
        uint8_t raw[8];

        le_put64(raw, *wide);
        memcpy(ret_data, raw, count);
    } else if (off < EDU_REG_SRC && count == 4) {
        le_put32(ret_data, narrow_register(edu, off));
    }
    return FERRY_OK;
}

static void write_wide(struct edu *edu, struct ferry_device *device, uint64_t *wide,
                       uint64_t value)
{
    if ((edu->command & EDU_DMA_RUN) != 0 ||
        (wide == &edu->command && (value & EDU_DMA_RUN) == 0)) {
        return;
    }
    *wide = value;
    if (wide == &edu->command) {
        edu->left = edu->slices;
        ferry_device_schedule(device);
    }
}

static void write_narrow(struct edu *edu, struct ferry_device *device, uint64_t off,
                         uint32_t value)
{
    switch (off) {
    case EDU_REG_LIVE:
        edu->live = ~value;
        break;
    case EDU_REG_FACT:
        if ((edu->status & EDU_STATUS_BUSY) == 0) {
            edu->fact = value;
            edu->status |= EDU_STATUS_BUSY;
            ferry_device_schedule(device);
        }
        break;
    case EDU_REG_STATUS:
        edu->status = (edu->status & EDU_STATUS_BUSY) | (value & EDU_STATUS_IRQ);
        break;
    case EDU_REG_RAISE:
        interrupt(edu, device, value);
        break;
    case EDU_REG_ACK:
        edu->cause &= ~value;
        break;
    default:
        break;
    }
}

static int region_write(void *state, struct ferry_device *device, uint32_t region,
                        uint64_t off, const void *data, size_t count)
{
    struct edu *edu = state;
    uint64_t *wide = wide_register(edu, off);

    (void)region;
    if (wide != NULL && (count == 4 || count == 8)) {
        write_wide(edu, device, wide, count == 8 ? le_get64(data) : le_get32(data));
    } else if (off < EDU_REG_SRC && count == 4) {
        write_narrow(edu, device, off, le_get32(data));
    }
    return FERRY_OK;
}

/* QEMU's looks at neither; a driver that goes beyond is a fault of the driver's. */
static int is_inside(uint64_t off, uint64_t count)
{
    return off >= EDU_BUFFER && off - EDU_BUFFER <= EDU_MOVE_BYTES &&
           count <= EDU_MOVE_BYTES - (off - EDU_BUFFER);
}

static void transfer(struct edu *edu, struct ferry_device *device)
{
    const int to_ram = (edu->command & EDU_DMA_TO_RAM) != 0;
    const uint64_t inside = to_ram ? edu->src : edu->dst;
    const uint64_t outside = (to_ram ? edu->dst : edu->src) & EDU_DMA_MASK;

    if (is_inside(inside, edu->count)) {
        uint8_t *at = edu->buffer + (inside - EDU_BUFFER);

        /* What cannot be reached is not moved, and nobody is told. */
        (void)(to_ram ? ferry_dma_write(device, outside, at, edu->count)
                      : ferry_dma_read(device, outside, at, edu->count));
    }
    edu->command &= ~(uint64_t)EDU_DMA_RUN;
    if ((edu->command & EDU_DMA_IRQ) != 0) {
        interrupt(edu, device, EDU_CAUSE_DMA);
    }
}

static void compute(struct edu *edu, struct ferry_device *device)
{
    edu->fact = edu_driver_factorial(edu->fact);
    edu->status &= ~EDU_STATUS_BUSY;
    if ((edu->status & EDU_STATUS_IRQ) != 0) {
        interrupt(edu, device, EDU_CAUSE_FACT);
    }
}

static int is_busy(const struct edu *edu)
{
    return (edu->command & EDU_DMA_RUN) != 0 || (edu->status & EDU_STATUS_BUSY) != 0;
}

static int work(void *state, struct ferry_device *device)
{
    struct edu *edu = state;

    if ((edu->status & EDU_STATUS_BUSY) != 0) {
        compute(edu, device);
    }
    if ((edu->command & EDU_DMA_RUN) != 0 && edu->left > 0) {
        edu->left--;
    } else if ((edu->command & EDU_DMA_RUN) != 0) {
        transfer(edu, device);
    }
    if (edu->is_leaving && !is_busy(edu)) {
        edu->is_leaving = 0;
        ferry_device_arc_done(device, FERRY_OK);
    }
    return is_busy(edu);
}

static void reset(void *state, struct ferry_device *device,
                  enum ferry_reset_reason reason)
{
    struct edu *edu = state;

    (void)device;
    (void)reason;
    memset(edu, 0, offsetof(struct edu, fault));
    edu->left = edu->is_leaving = 0;
}

static uint64_t sum_of(const uint8_t *stream)
{
    uint64_t sum = 14695981039346656037u;

    for (size_t i = 0; i < SUM_OFF; i++) {
        sum = (sum ^ stream[i]) * 1099511628211u;
    }
    return sum;
}

static void freeze(struct edu *edu)
{
    uint8_t *regs = edu->stream + REGS_OFF;

    le_put32(regs, edu->fault == STALE ? 0 : edu->live);
    le_put32(regs + 4, edu->fact);
    le_put32(regs + 8, edu->status);
    le_put32(regs + 12, edu->cause);
    le_put64(regs + 16, edu->src);
    le_put64(regs + 24, edu->dst);
    le_put64(regs + 32, edu->count);
    le_put64(regs + 40, edu->command);
    memcpy(edu->stream + BUFFER_OFF, edu->buffer, EDU_BUFFER_BYTES);
    if (edu->fault == FORGETS) {
        memset(edu->stream + BUFFER_OFF, 0, EDU_BUFFER_BYTES);
    }
    le_put64(edu->stream + SUM_OFF, sum_of(edu->stream));
}

static int thaw(struct edu *edu)
{
    const uint8_t *regs = edu->stream + REGS_OFF;

    if (edu->done < STATE_BYTES) {
        return FERRY_E_SHORT;
    }
    if (le_get64(edu->stream + SUM_OFF) != sum_of(edu->stream) ||
        (le_get32(regs + 8) & EDU_STATUS_BUSY) != 0 ||
        (le_get64(regs + 40) & EDU_DMA_RUN) != 0) {
        return FERRY_E_CORRUPT;
    }
    edu->live = le_get32(regs);
    edu->fact = le_get32(regs + 4);
    edu->status = le_get32(regs + 8);
    edu->cause = le_get32(regs + 12);
    edu->src = le_get64(regs + 16);
    edu->dst = le_get64(regs + 24);
    edu->count = le_get64(regs + 32);
    edu->command = le_get64(regs + 40);
    memcpy(edu->buffer, edu->stream + BUFFER_OFF, EDU_BUFFER_BYTES);
    return FERRY_OK;
}

static int runs(uint32_t state)
{
    return state == FERRY_STATE_RUNNING || state == FERRY_STATE_PRE_COPY;
}

static int arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct edu *edu = state;

    if (from == FERRY_STATE_RESUMING) {
        return thaw(edu);
    }
    if (!ferry_state_is_saving(from)) {
        edu->done = 0; /* a data session may begin */
        memcpy(edu->stream, match, MATCH_BYTES);
    }
    if (to == FERRY_STATE_STOP_COPY) {
        freeze(edu);
    }
    if (runs(from) && !runs(to) && is_busy(edu)) {
        if (edu->fault != DROPS) {
            edu->is_leaving = 1;
            ferry_device_schedule(device);
            return FERRY_PENDING;
        }
        edu->command &= ~(uint64_t)EDU_DMA_RUN;
        edu->status &= ~EDU_STATUS_BUSY;
    }
    return FERRY_OK;
}

static size_t ready(const struct ferry_device *device)
{
    return ferry_device_state(device) == FERRY_STATE_STOP_COPY ? STATE_BYTES
                                                               : MATCH_BYTES;
}

static int save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct edu *edu = state;
    size_t count = ready(device) - edu->done;

    if (count == 0) {
        return ready(device) == STATE_BYTES ? 0 : FERRY_E_DRY;
    }
    count = count < cap ? count : cap;
    memcpy(ret_data, edu->stream + edu->done, count);
    edu->done += count;
    return (int)count;
}

static int load(void *state, struct ferry_device *device, const void *data, size_t count)
{
    struct edu *edu = state;

    (void)device;
    if (count > STATE_BYTES - edu->done) {
        return FERRY_E_LONG;
    }
    memcpy(edu->stream + edu->done, data, count);
    edu->done += count;
    return memcmp(edu->stream, match,
                  edu->done < MATCH_BYTES ? edu->done : MATCH_BYTES) == 0
               ? FERRY_OK
               : FERRY_E_FOREIGN;
}

static int precopy_info(void *state, struct ferry_device *device,
                        struct ferry_device_precopy *ret_info)
{
    const struct edu *edu = state;

    (void)device;
    ret_info->initial_bytes = MATCH_BYTES - edu->done;
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

static const struct ferry_device_ops edu_ops = {
    .struct_size = sizeof(edu_ops),
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

static int take_option(struct edu *edu, const char *option)
{
    if (strncmp(option, "slices=", 7) == 0) {
        edu->slices = (uint32_t)strtoul(option + 7, NULL, 10);
        return FERRY_OK;
    }
    for (uint32_t i = 1; strncmp(option, "fault=", 6) == 0 && i < FAULTS; i++) {
        if (strcmp(option + 6, faults[i]) == 0) {
            edu->fault = i;
            return FERRY_OK;
        }
    }
    return FERRY_E_ARGUMENT;
}

static int create(const struct ferry_model_options *options,
                  struct ferry_device **ret_device, void **ret_state,
                  struct ferry_error *reterr)
{
    struct edu *edu = calloc(1, sizeof(*edu));
    const struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &edu_ops,
        .state = edu,
        .identity = { .model = "edu",
                      .state_version = 1,
                      .state_version_min = 1,
                      .pci_vendor = EDU_PCI_VENDOR,
                      .pci_device = EDU_PCI_DEVICE,
                      .pci_class = 0x00ff0000u | REVISION,
                      .migration_flags =
                          FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY },
        .region = { { .size_bytes = EDU_BAR_BYTES } },
        .intx_pin = 1,
        .msi_vectors = 1,
        .flags = FERRY_DEVICE_CONVENTIONAL,
    };
    int rc = edu != NULL ? FERRY_OK : FERRY_E_MEMORY;

    if (rc == FERRY_OK) {
        edu->slices = SLICES;
    }
    for (size_t i = 0; rc == FERRY_OK && options != NULL && i < options->count; i++) {
        rc = take_option(edu, options->option[i]);
    }
    if (rc == FERRY_OK) {
        rc = ferry_device_create(&desc, ret_device, reterr);
    }
    if (rc != FERRY_OK) {
        free(edu);
        return rc;
    }
    *ret_state = edu;
    return FERRY_OK;
}

static void destroy(struct ferry_device *device, void *state)
{
    ferry_device_destroy(device);
    free(state);
}

const struct ferry_model edu_model = {
    .name = "edu",
    .summary = "QEMU's device for authors of drivers",
    .create = create,
    .destroy = destroy,
};
