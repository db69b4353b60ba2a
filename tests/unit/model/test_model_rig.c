/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "test_model_rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

void rig_ram_open_unsealed(struct rig_ram *ram)
{
    ram->fd = memfd_create("rig", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(ram->fd >= 0);
    assert_int_equal(ftruncate(ram->fd, RIG_RAM_BYTES), 0);
    ram->bytes =
        mmap(NULL, RIG_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ram->fd, 0);
    assert_true(ram->bytes != MAP_FAILED);
}

void rig_ram_open(struct rig_ram *ram)
{
    rig_ram_open_unsealed(ram);
    assert_int_equal(fcntl(ram->fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
}

void rig_ram_close(struct rig_ram *ram)
{
    (void)munmap(ram->bytes, RIG_RAM_BYTES);
    (void)close(ram->fd);
}

int rig_request(struct rig *rig, struct ferry_request *request)
{
    int status = rig->endpoint->ops->submit(rig->endpoint, request);

    for (int tries = 0; status == FERRY_PENDING && tries < 1000; tries++) {
        request->status = FERRY_PENDING;
        (void)rig->endpoint->ops->work(rig->endpoint);
        status = request->status;
    }
    return status;
}

int rig_map(struct rig *rig, uint64_t iova, uint64_t size, int fd, uint64_t offset)
{
    struct ferry_request request = {
        .kind = FERRY_RQ_DMA_MAP,
        .u.map = { .iova = iova,
                   .size = size,
                   .offset = offset,
                   .fd = fd,
                   .flags = FERRY_DMA_READ | FERRY_DMA_WRITE },
    };

    return rig_request(rig, &request);
}

static void connect_irqs(struct rig *rig)
{
    struct ferry_request info = { .kind = FERRY_RQ_GET_IRQ_INFO, .u.irq.index = 2 };
    struct ferry_request set = { .kind = FERRY_RQ_SET_IRQS };
    const uint8_t enable[2] = { 0, 0x80 };
    uint8_t header[2];
    uint32_t cap;
    uint32_t count;

    assert_int_equal(rig_request(rig, &info), FERRY_OK);
    count = info.u.irq.count < RIG_VECTORS ? info.u.irq.count : RIG_VECTORS;
    for (uint32_t i = 0; i < RIG_VECTORS; i++) {
        rig->irq[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        assert_true(rig->irq[i] >= 0);
    }
    set.u.irq_set.flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER;
    set.u.irq_set.index = 2;
    set.u.irq_set.count = count;
    set.u.irq_set.fds = rig->irq;
    set.u.irq_set.fd_count = count;
    assert_int_equal(rig_request(rig, &set), FERRY_OK);
    /* The guest enables MSI-X in its capability. */
    cap = rig_read32(rig, FERRY_REGION_CONFIG, 0x34) & 0xff;
    for (int hops = 0; cap != 0 && hops < 48; hops++) {
        assert_int_equal(rig_read(rig, FERRY_REGION_CONFIG, cap, header, 2), FERRY_OK);
        if (header[0] == 0x11) {
            assert_int_equal(rig_write(rig, FERRY_REGION_CONFIG, cap + 2, enable, 2),
                             FERRY_OK);
            return;
        }
        cap = header[1];
    }
    fail_msg("no MSI-X capability");
}

void rig_open(struct rig *rig, const char *model, const char *const *option,
              const struct rig_ram *ram)
{
    struct ferry_model_options options = { .struct_size = sizeof(options),
                                           .option = option };
    struct ferry_error error = { 0 };
    const uint8_t command[2] = { 6, 0 };

    while (option != NULL && option[options.count] != NULL) {
        options.count++;
    }
    memset(rig, 0, sizeof(*rig));
    rig->model = ferry_model_find(model);
    assert_non_null(rig->model);
    if (rig->model->create(&options, &rig->device, &rig->state, &error) != FERRY_OK) {
        fail_msg("create: %s", error.text);
    }
    rig->endpoint = ferry_device_endpoint(rig->device);
    assert_int_equal(rig->endpoint->ops->attach(rig->endpoint, NULL), FERRY_OK);
    assert_int_equal(rig_map(rig, RIG_RAM_IOVA, RIG_RAM_BYTES, ram->fd, 0), FERRY_OK);
    assert_int_equal(rig_write(rig, FERRY_REGION_CONFIG, 4, command, 2), FERRY_OK);
    connect_irqs(rig);
}

void rig_close(struct rig *rig)
{
    rig->endpoint->ops->detach(rig->endpoint);
    rig->model->destroy(rig->device, rig->state);
    for (uint32_t i = 0; i < RIG_VECTORS; i++) {
        (void)close(rig->irq[i]);
    }
}

int rig_read(struct rig *rig, uint32_t region, uint64_t off, void *ret_data,
             uint32_t count)
{
    struct ferry_request request = {
        .kind = FERRY_RQ_REGION_READ,
        .u.io = { .index = region, .off = off, .count = count, .data = ret_data },
    };

    return rig_request(rig, &request);
}

int rig_write(struct rig *rig, uint32_t region, uint64_t off, const void *data,
              uint32_t count)
{
    uint8_t copy[64];
    struct ferry_request request = {
        .kind = FERRY_RQ_REGION_WRITE,
        .u.io = { .index = region, .off = off, .count = count, .data = copy },
    };

    assert_true(count <= sizeof(copy));
    memcpy(copy, data, count);
    return rig_request(rig, &request);
}

uint32_t rig_read32(struct rig *rig, uint32_t region, uint64_t off)
{
    uint32_t value = 0;

    assert_int_equal(rig_read(rig, region, off, &value, 4), FERRY_OK);
    return value;
}

void rig_write32(struct rig *rig, uint32_t region, uint64_t off, uint32_t value)
{
    assert_int_equal(rig_write(rig, region, off, &value, 4), FERRY_OK);
}

void rig_write64(struct rig *rig, uint32_t region, uint64_t off, uint64_t value)
{
    assert_int_equal(rig_write(rig, region, off, &value, 8), FERRY_OK);
}

void rig_work(struct rig *rig)
{
    for (int slices = 0; rig->endpoint->ops->work(rig->endpoint) == 1; slices++) {
        assert_true(slices < 100000); /* a device that never rests hangs its server */
    }
}

uint64_t rig_irqs(struct rig *rig, uint32_t vector)
{
    uint64_t count = 0;

    return read(rig->irq[vector], &count, sizeof(count)) == sizeof(count) ? count : 0;
}

int rig_state(struct rig *rig, uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .u.state = state };

    return rig_request(rig, &request);
}

int rig_reset(struct rig *rig)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    return rig_request(rig, &request);
}

uint64_t rig_data_size(struct rig *rig)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_SIZE };

    assert_int_equal(rig_request(rig, &request), FERRY_OK);
    return request.u.data_size;
}

int rig_save(struct rig *rig, size_t piece, struct rig_blob *blob)
{
    for (;;) {
        struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
        int status;

        if (blob->cap - blob->count < piece) {
            blob->cap = 2 * blob->cap + piece;
            blob->bytes = realloc(blob->bytes, blob->cap);
            assert_non_null(blob->bytes);
        }
        request.u.data.data = blob->bytes + blob->count;
        request.u.data.size = piece;
        status = rig_request(rig, &request);
        if (status != FERRY_OK || request.u.data.got == 0) {
            return status;
        }
        assert_true(request.u.data.got <= piece);
        blob->count += request.u.data.got;
    }
}

int rig_load(struct rig *rig, size_t piece, const struct rig_blob *blob)
{
    int status = FERRY_OK;

    for (size_t at = 0; at < blob->count && status == FERRY_OK; at += piece) {
        const size_t left = blob->count - at;
        struct ferry_request request = {
            .kind = FERRY_RQ_DATA_WRITE,
            .u.data = { .data = blob->bytes + at, .size = left < piece ? left : piece },
        };

        status = rig_request(rig, &request);
    }
    return status;
}

int rig_resume(struct rig *rig, size_t piece, const struct rig_blob *blob)
{
    int status = rig_state(rig, FERRY_STATE_RESUMING);

    if (status == FERRY_OK) {
        status = rig_load(rig, piece, blob);
    }
    return status == FERRY_OK ? rig_state(rig, FERRY_STATE_STOP) : status;
}

void rig_blob_free(struct rig_blob *blob)
{
    free(blob->bytes);
    memset(blob, 0, sizeof(*blob));
}

void rig_fill(uint8_t *to, size_t count, uint32_t seed)
{
    uint64_t x = 0x9e3779b97f4a7c15ull * (seed + 1ull);

    for (size_t i = 0; i < count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        to[i] = (uint8_t)(x >> 32);
    }
}
