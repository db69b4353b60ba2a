/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/acc/acc.h"

#include <stdlib.h>
#include <string.h>

#include "models/acc/acc_driver.h"
#include "models/acc/acc_hw.h"
#include "models/acc/acc_regs.h"
#include "models/identity.h"
#include "models/options.h"

/* Times that the arcs take here with room to spare: one slice of work, then registers. */
#define STOP_NS 1000000u
#define LOAD_NS 1000000u
#define RUN_NS 200000u

struct acc {
    struct acc_hw *hw;
    struct acc_driver driver;
};

static int acc_region_read(void *state, struct ferry_device *device, uint32_t region,
                           uint64_t off, void *ret_data, size_t count)
{
    struct acc *acc = state;

    (void)device;
    if (region == ACC_BAR_VIRTIO) {
        return virtio_pci_read(acc_hw_virtio(acc->hw), off, ret_data, count);
    }
    if (region == ACC_BAR_HW) {
        return acc_hw_guest_read(acc->hw, off, ret_data, count);
    }
    memset(ret_data, 0, count);
    return FERRY_OK;
}

static int acc_region_write(void *state, struct ferry_device *device, uint32_t region,
                            uint64_t off, const void *data, size_t count)
{
    struct acc *acc = state;

    (void)device;
    if (region == ACC_BAR_VIRTIO) {
        return virtio_pci_write(acc_hw_virtio(acc->hw), off, data, count);
    }
    return region == ACC_BAR_HW ? acc_hw_guest_write(acc->hw, off, count) : FERRY_OK;
}

static int acc_cap_read(void *state, struct ferry_device *device, uint32_t cap,
                        uint32_t off, void *ret_data, size_t count)
{
    struct acc *acc = state;

    (void)device;
    return virtio_pci_cap_read(acc_hw_virtio(acc->hw), cap, off, ret_data, count);
}

static int acc_cap_write(void *state, struct ferry_device *device, uint32_t cap,
                         uint32_t off, const void *data, size_t count)
{
    struct acc *acc = state;

    (void)device;
    return virtio_pci_cap_write(acc_hw_virtio(acc->hw), cap, off, data, count);
}

static void acc_reset(void *state, struct ferry_device *device,
                      enum ferry_reset_reason reason)
{
    struct acc *acc = state;

    (void)device;
    acc_driver_reset(&acc->driver, reason);
}

static int acc_work(void *state, struct ferry_device *device)
{
    struct acc *acc = state;

    (void)device;
    return acc_hw_work(acc->hw);
}

static int acc_arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct acc *acc = state;

    (void)device;
    return acc_driver_arc(&acc->driver, from, to);
}

static int acc_save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct acc *acc = state;
    const int final = ferry_device_state(device) == FERRY_STATE_STOP_COPY;

    return acc_driver_save(&acc->driver, final, ret_data, cap);
}

static int acc_load(void *state, struct ferry_device *device, const void *data,
                    size_t count)
{
    struct acc *acc = state;

    (void)device;
    return acc_driver_load(&acc->driver, data, count);
}

static int acc_precopy_info(void *state, struct ferry_device *device,
                            struct ferry_device_precopy *ret_info)
{
    const struct acc *acc = state;

    (void)device;
    ret_info->initial_bytes = acc_driver_initial_bytes(&acc->driver);
    ret_info->dirty_bytes = 0;
    return FERRY_OK;
}

static int acc_data_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    const struct acc *acc = state;

    *ret_bytes = acc_driver_data_size(&acc->driver, ferry_device_state(device));
    return FERRY_OK;
}

static const struct ferry_device_ops acc_ops = {
    .struct_size = sizeof(acc_ops),
    .region_read = acc_region_read,
    .region_write = acc_region_write,
    .cap_read = acc_cap_read,
    .cap_write = acc_cap_write,
    .reset = acc_reset,
    .work = acc_work,
    .arc = acc_arc,
    .save = acc_save,
    .load = acc_load,
    .precopy_info = acc_precopy_info,
    .data_size = acc_data_size,
};

static void describe(struct acc *acc, struct ferry_device_desc *ret_desc)
{
    struct virtio_pci *virtio = acc_hw_virtio(acc->hw);
    struct ferry_identity *identity = &ret_desc->identity;

    ret_desc->struct_size = sizeof(*ret_desc);
    ret_desc->ops = &acc_ops;
    ret_desc->state = acc;
    ret_desc->flags = FERRY_DEVICE_READS_DURING_DMA;
    strncpy(identity->model, "acc", sizeof(identity->model) - 1);
    identity->state_version = 1;
    identity->state_version_min = 1;
    identity->pci_vendor = ACC_PCI_VENDOR;
    identity->pci_device = ACC_PCI_DEVICE;
    identity->pci_subvendor = ACC_PCI_VENDOR;
    identity->pci_subdevice = ACC_PCI_DEVICE;
    identity->pci_class = ACC_PCI_CLASS << 8 | ACC_PCI_REVISION;
    identity->migration_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY;
    identity->stop_ns = STOP_NS;
    identity->load_ns = LOAD_NS;
    identity->run_ns = RUN_NS;
    identity_add_key(identity, "queues", FERRY_KEY_EQUAL, virtio->queue_count - 1);
    identity_add_key(identity, "sessions", FERRY_KEY_AT_LEAST,
                     acc_hw_read(acc->hw, ACC_W_SESSIONS));
    identity_add_key(identity, "algorithms", FERRY_KEY_SUPERSET,
                     acc_hw_read(acc->hw, ACC_W_ALGORITHMS));
    identity_add_key(identity, "features", FERRY_KEY_SUPERSET, virtio->features);
    ret_desc->region[ACC_BAR_MSIX].size_bytes = ACC_BAR_MSIX_BYTES;
    ret_desc->region[ACC_BAR_HW].size_bytes = ACC_BAR_HW_BYTES;
    ret_desc->region[ACC_BAR_HW].flags = FERRY_BAR_64BIT;
    ret_desc->region[ACC_BAR_VIRTIO].size_bytes = ACC_BAR_VIRTIO_BYTES;
    ret_desc->region[ACC_BAR_VIRTIO].flags = FERRY_BAR_64BIT | FERRY_BAR_PREFETCH;
    ret_desc->msix_vectors = virtio->vectors;
    ret_desc->msix_bar = ACC_BAR_MSIX;
    ret_desc->msix_table_off = 0;
    ret_desc->msix_pba_off = 0x1000;
    virtio_pci_caps(virtio, ret_desc);
}

static void acc_destroy(struct ferry_device *device, void *state)
{
    struct acc *acc = state;

    ferry_device_destroy(device);
    acc_driver_end(&acc->driver);
    acc_hw_destroy(acc->hw);
    free(acc);
}

static int acc_create(const struct ferry_model_options *options,
                      struct ferry_device **ret_device, void **ret_state,
                      struct ferry_error *reterr)
{
    uint64_t sessions = ACC_SESSIONS_DEFAULT;
    uint64_t queues = 1;
    uint64_t packed = 0;
    const struct option_number numbers[] = {
        { .name = "sessions", .min = 1, .max = ACC_SESSIONS_MAX, .ret_value = &sessions },
        { .name = "queues", .min = 1, .max = ACC_DATA_QUEUES_MAX, .ret_value = &queues },
        { .name = "packed", .max = 1, .on_off = 1, .ret_value = &packed },
    };
    struct ferry_device_doorbell bell[VIRTIO_PCI_QUEUES_MAX];
    struct ferry_device_desc desc = { 0 };
    struct acc *acc = NULL;
    int status;

    status =
        options_parse(options, numbers, sizeof(numbers) / sizeof(numbers[0]), reterr);
    if (status != FERRY_OK) {
        return status;
    }
    acc = calloc(1, sizeof(*acc));
    if (acc == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "model", NULL, 0, "out of memory");
    }
    status = acc_hw_create((uint32_t)queues, (uint32_t)sessions, &acc->hw);
    if (status != FERRY_OK) {
        (void)ferry_error_set(reterr, status, "model", NULL, 0,
                              "the cipher engine cannot be made: %s",
                              ferry_status_text(status));
        free(acc);
        return status;
    }
    if (packed != 0) {
        acc_hw_offer_packed(acc->hw);
    }
    acc_driver_init(&acc->driver, acc->hw);
    describe(acc, &desc);
    virtio_pci_doorbells(acc_hw_virtio(acc->hw), bell, &desc);
    status = ferry_device_create(&desc, ret_device, reterr);
    if (status != FERRY_OK) {
        acc_hw_destroy(acc->hw);
        free(acc);
        return status;
    }
    acc_hw_virtio(acc->hw)->device = *ret_device;
    *ret_state = acc;
    return FERRY_OK;
}

static const struct ferry_model_option acc_options[] = {
    { "sessions", "N", "64", "cipher sessions (keys) that it holds at most, 1 to 4096" },
    { "queues", "N", "1", "data queues, 1 to 16" },
    { "packed", "on|off", "off", "offer packed virtqueues" },
};

const struct ferry_model acc_model = {
    .name = "acc",
    .summary = "virtio-crypto accelerator (AES-CBC) without peer-to-peer support",
    .option = acc_options,
    .option_count = sizeof(acc_options) / sizeof(acc_options[0]),
    .create = acc_create,
    .destroy = acc_destroy,
};
