/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/copy/copy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "models/copy/copy_private.h"
#include "models/identity.h"
#include "models/options.h"

/*
 * Times that the arcs take here with room to spare: one slice of work for the quiet arc;
 * for the stop, comparing all pages of the memory at 8 bytes per ns.
 */
#define QUIET_NS 500000u
#define STOP_NS 200000u
#define STOP_BYTES_PER_NS 8u
#define LOAD_NS 500000u
#define RUN_NS 200000u

static int copy_region_read(void *state, struct ferry_device *device, uint32_t region,
                            uint64_t off, void *ret_data, size_t count)
{
    const struct copy *copy = state;

    (void)device;
    if (region == COPY_BAR_REGS) {
        copy_registers_read(copy, off, ret_data, count);
    } else {
        memset(ret_data, 0, count);
    }
    return FERRY_OK;
}

static int copy_region_write(void *state, struct ferry_device *device, uint32_t region,
                             uint64_t off, const void *data, size_t count)
{
    struct copy *copy = state;

    (void)device;
    if (region == COPY_BAR_REGS) {
        copy_registers_write(copy, off, data, count);
    }
    return FERRY_OK;
}

/* The next user must not find what the last one left; pages that go cost nothing. */
static void clear_memory(struct copy *copy)
{
    if (madvise(copy->memory, copy->memory_bytes, MADV_REMOVE) != 0) {
        memset(copy->memory, 0, copy->memory_bytes);
    }
}

static void copy_reset(void *state, struct ferry_device *device,
                       enum ferry_reset_reason reason)
{
    struct copy *copy = state;

    (void)device;
    copy_save_end(copy);
    if (reason != FERRY_RESET_RESUMING) {
        copy_load_end(copy);
    }
    for (uint32_t i = 0; i < copy->channel_count; i++) {
        copy_channel_reset(&copy->channel[i]);
    }
    copy->next_channel = 0;
    clear_memory(copy);
}

static int copy_work(void *state, struct ferry_device *device)
{
    (void)device;
    return copy_engine_work(state);
}

static int leave_saving(struct copy *copy)
{
    copy_save_end(copy);
    return FERRY_OK;
}

/*
 * Work is done in slices on this thread, so between two calls nothing is under way: an
 * arc into a quiet state has nothing to wait for, and a descriptor that is half done
 * stays in its channel, to be carried.
 */
static int copy_arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct copy *copy = state;

    switch (to) {
    case FERRY_STATE_RUNNING:
        ferry_device_schedule(device); /* doorbells that came meanwhile */
        return from == FERRY_STATE_PRE_COPY ? leave_saving(copy) : FERRY_OK;
    case FERRY_STATE_RUNNING_P2P:
        return from == FERRY_STATE_PRE_COPY_P2P ? leave_saving(copy) : FERRY_OK;
    case FERRY_STATE_PRE_COPY:
        ferry_device_schedule(device);
        return from == FERRY_STATE_RUNNING ? copy_save_begin(copy, 1) : FERRY_OK;
    case FERRY_STATE_PRE_COPY_P2P:
        return from == FERRY_STATE_RUNNING_P2P ? copy_save_begin(copy, 1) : FERRY_OK;
    case FERRY_STATE_STOP_COPY:
        if (from == FERRY_STATE_STOP) {
            return copy_save_begin(copy, 0);
        }
        copy_save_freeze(copy);
        return FERRY_OK;
    case FERRY_STATE_RESUMING:
        return copy_load_begin(copy);
    case FERRY_STATE_STOP:
        if (from == FERRY_STATE_RESUMING) {
            return copy_load_finish(copy);
        }
        return from == FERRY_STATE_STOP_COPY ? leave_saving(copy) : FERRY_OK;
    default:
        return FERRY_E_ARC;
    }
}

static int copy_save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    (void)device;
    return copy_save_read(state, ret_data, cap);
}

static int copy_lend(void *state, struct ferry_device *device, void *buffer, size_t cap,
                     const void **ret_data)
{
    (void)device;
    return copy_save_lend(state, buffer, cap, ret_data);
}

static size_t copy_place(void *state, struct ferry_device *device, size_t most,
                         void **ret_place)
{
    uint8_t *place = NULL;
    const size_t size = copy_load_place(state, most, &place);

    (void)device;
    *ret_place = place;
    return size;
}

static int copy_placed(void *state, struct ferry_device *device, size_t count)
{
    uint8_t *place = NULL;

    (void)device;
    count = copy_load_place(state, count, &place);
    return copy_load_write(state, place, count);
}

static int copy_load(void *state, struct ferry_device *device, const void *data,
                     size_t count)
{
    (void)device;
    return copy_load_write(state, data, count);
}

static int copy_precopy_info(void *state, struct ferry_device *device,
                             struct ferry_device_precopy *ret_info)
{
    (void)device;
    copy_save_info(state, ret_info);
    return FERRY_OK;
}

static int copy_data_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)device;
    *ret_bytes = copy_save_size(state);
    return FERRY_OK;
}

static const struct ferry_device_ops copy_ops = {
    .struct_size = sizeof(copy_ops),
    .region_read = copy_region_read,
    .region_write = copy_region_write,
    .reset = copy_reset,
    .work = copy_work,
    .arc = copy_arc,
    .save = copy_save,
    .load = copy_load,
    .save_lend = copy_lend,
    .load_place = copy_place,
    .load_done = copy_placed,
    .precopy_info = copy_precopy_info,
    .data_size = copy_data_size,
};

static void describe(struct copy *copy, struct ferry_device_desc *ret_desc)
{
    struct ferry_identity *identity = &ret_desc->identity;

    ret_desc->struct_size = sizeof(*ret_desc);
    ret_desc->ops = &copy_ops;
    ret_desc->state = copy;
    ret_desc->flags = FERRY_DEVICE_READS_DURING_DMA;
    strncpy(identity->model, "copy", sizeof(identity->model) - 1);
    identity->state_version = COPY_STREAM_VERSION;
    identity->state_version_min = COPY_STREAM_VERSION;
    identity->pci_vendor = COPY_PCI_VENDOR;
    identity->pci_device = COPY_PCI_DEVICE;
    identity->pci_subvendor = COPY_PCI_VENDOR;
    identity->pci_subdevice = COPY_PCI_DEVICE;
    identity->pci_class = COPY_PCI_CLASS << 8 | COPY_VERSION;
    identity->migration_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY;
    identity->doorbell_latch = 1;
    identity->quiet_ns = QUIET_NS;
    identity->stop_ns = STOP_NS + copy->memory_bytes / STOP_BYTES_PER_NS;
    identity->load_ns = LOAD_NS;
    identity->run_ns = RUN_NS;
    identity_add_key(identity, "memory", FERRY_KEY_EQUAL, copy->memory_bytes);
    identity_add_key(identity, "channels", FERRY_KEY_EQUAL, copy->channel_count);
    identity_add_key(identity, "entries", FERRY_KEY_AT_LEAST, COPY_ENTRIES_MAX);
    ret_desc->region[COPY_BAR_REGS].size_bytes = COPY_BAR_REGS_BYTES;
    ret_desc->region[COPY_BAR_MEMORY].size_bytes = copy->memory_bytes;
    ret_desc->region[COPY_BAR_MEMORY].flags =
        FERRY_BAR_64BIT | FERRY_BAR_PREFETCH | FERRY_BAR_MEMORY;
    ret_desc->region[COPY_BAR_MSIX].size_bytes = COPY_BAR_MSIX_BYTES;
    ret_desc->msix_vectors = copy->channel_count;
    ret_desc->msix_bar = COPY_BAR_MSIX;
    ret_desc->msix_table_off = 0;
    ret_desc->msix_pba_off = 0x1000;
}

static void copy_destroy(struct ferry_device *device, void *state)
{
    struct copy *copy = state;

    ferry_device_destroy(device);
    copy_save_end(copy);
    copy_load_end(copy);
    free(copy);
}

static int copy_create(const struct ferry_model_options *options,
                       struct ferry_device **ret_device, void **ret_state,
                       struct ferry_error *reterr)
{
    uint64_t memory = COPY_MEMORY_DEFAULT;
    uint64_t channels = COPY_CHANNELS_DEFAULT;
    const struct option_number numbers[] = {
        { .name = "memory",
          .min = COPY_MEMORY_MIN,
          .max = COPY_MEMORY_MAX,
          .suffixes = 1,
          .power_of_two = 1,
          .ret_value = &memory },
        { .name = "channels",
          .min = 1,
          .max = COPY_CHANNELS_MAX,
          .ret_value = &channels },
    };
    struct ferry_device_desc desc = { 0 };
    struct copy *copy;
    int status;

    status =
        options_parse(options, numbers, sizeof(numbers) / sizeof(numbers[0]), reterr);
    if (status != FERRY_OK) {
        return status;
    }
    copy = calloc(1, sizeof(*copy));
    if (copy == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "model", NULL, 0, "out of memory");
    }
    copy->memory_bytes = memory;
    copy->page_count = memory / COPY_PAGE_BYTES;
    copy->channel_count = (uint32_t)channels;
    for (uint32_t i = 0; i < copy->channel_count; i++) {
        copy_channel_reset(&copy->channel[i]);
    }
    describe(copy, &desc);
    status = ferry_device_create(&desc, ret_device, reterr);
    if (status != FERRY_OK) {
        free(copy);
        return status;
    }
    copy->device = *ret_device;
    copy->memory = ferry_device_region_memory(*ret_device, COPY_BAR_MEMORY);
    *ret_state = copy;
    return FERRY_OK;
}

static const struct ferry_model_option copy_options[] = {
    { "memory", "BYTES", "4M",
      "device memory, a power of two from 64K to 1G (suffixes K, M, G)" },
    { "channels", "N", "4", "DMA channels, 1 to 16" },
};

const struct ferry_model copy_model = {
    .name = "copy",
    .summary = "DMA engine with mappable device memory and peer-to-peer support",
    .option = copy_options,
    .option_count = sizeof(copy_options) / sizeof(copy_options[0]),
    .create = copy_create,
    .destroy = copy_destroy,
};
