/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the user's side of uAPI v1 with a device whose migration region says anything.
 * Input: the region's size and mappable part, then in turn what is asked of the backend
 * and what the registers read.
 *
 * Whatever the region says, every request ends after a bounded number of accesses, none
 * of them lies outside of the region, and a reader is given no more than it asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "core/v1/region.h"
#include "host/backend/v1/v1.h"
#include "must.h"
#include "os/memory.h"

#define REGION 9u
#define MEMORY_BYTES 0x8000u
#define ACCESSES_MAX 64u
#define BUFFER_BYTES 0x3000u

static struct device {
    struct ferry_endpoint endpoint;
    struct ferry_reader input;
    uint64_t region_bytes;
    struct ferry_range area;
    uint32_t mmap, any_chunks;
    int fd;
    uint32_t accesses; /* of the present request */
} device;

static uint64_t next(uint32_t bytes)
{
    uint8_t value[8] = { 0 };

    ferry_reader_bytes(&device.input, value, bytes);
    return ferry_load_le64(value);
}

/* A status out of the input; mostly fine. */
static int any_status(void)
{
    const uint8_t byte = (uint8_t)next(1);

    return byte < 0xf0 ? FERRY_OK : FERRY_E_IO - (byte & 3);
}

/* Numbers near the ends of what is there are worth more than any. */
static uint64_t any_number(void)
{
    const uint64_t value = next(3);

    switch (value & 3) {
    case 0:
        return value >> 2 & 0xffff;
    case 1:
        return device.region_bytes - (value >> 2 & 0x3f);
    case 2:
        return UINT64_MAX - (value >> 2 & 0x3f);
    default:
        return value >> 2 & 0x3f;
    }
}

static int access_region(int write, struct ferry_region_io *io)
{
    uint8_t bytes[8];

    must(++device.accesses < ACCESSES_MAX);
    must(io->index == REGION);
    must(io->off <= device.region_bytes && io->count <= device.region_bytes - io->off);
    if (io->off < FERRY_V1_HEADER_BYTES) {
        uint32_t reg;

        must(ferry_v1_register_find(io->off, io->count, &reg) == FERRY_OK);
        must(!write || ferry_v1_register(reg)->writable);
        /* The error value and combinations that are none are never written. */
        must(!write || reg != FERRY_V1_STATE ||
             ferry_state_v1_valid(ferry_load_le32(io->data) & FERRY_V1_MASK));
        if (!write) {
            ferry_store_le64(bytes, reg == FERRY_V1_STATE ? next(1) % 8 : any_number());
            memcpy(io->data, bytes, io->count);
        }
    } else if (!write) {
        memset(io->data, 0x5a, io->count);
    }
    return any_status();
}

static int on_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    (void)endpoint;
    if (request->kind == FERRY_RQ_GET_INFO) {
        request->u.info.region_count = REGION + 1;
        return FERRY_OK;
    }
    if (request->kind == FERRY_RQ_GET_REGION_INFO) {
        struct ferry_region_info *region = &request->u.region;

        *region = (struct ferry_region_info){
            .index = region->index,
            .flags = FERRY_REGION_READ | FERRY_REGION_WRITE |
                     (device.mmap ? FERRY_REGION_MMAP : 0),
            .size = device.region_bytes,
            .type = FERRY_V1_REGION_TYPE,
            .subtype = FERRY_V1_REGION_SUBTYPE,
            .fd = device.mmap ? device.fd : FERRY_NO_REGION_FD,
            .area_count = device.mmap,
            .area = { device.area },
        };
        return FERRY_OK;
    }
    if (request->kind == FERRY_RQ_IDENTITY) {
        request->u.identity->any_chunks = device.any_chunks;
        return FERRY_OK;
    }
    if (request->kind == FERRY_RQ_REGION_READ || request->kind == FERRY_RQ_REGION_WRITE) {
        return access_region(request->kind == FERRY_RQ_REGION_WRITE, &request->u.io);
    }
    return request->kind == FERRY_RQ_RESET ? any_status() : FERRY_E_UNSUPPORTED;
}

static int on_attach(struct ferry_endpoint *endpoint,
                     const struct ferry_client_port *port)
{
    (void)endpoint;
    (void)port;
    return FERRY_OK;
}

static void on_detach(struct ferry_endpoint *endpoint)
{
    (void)endpoint;
}

static int on_work(struct ferry_endpoint *endpoint)
{
    (void)endpoint;
    return 0;
}

static const struct ferry_endpoint_ops ops = {
    .struct_size = sizeof(ops),
    .attach = on_attach,
    .detach = on_detach,
    .submit = on_submit,
    .work = on_work,
};

static void ask(struct ferry_backend *backend, uint8_t *buffer)
{
    static const uint32_t kinds[] = { FERRY_RQ_SET_STATE, FERRY_RQ_GET_STATE,
                                      FERRY_RQ_DATA_READ, FERRY_RQ_DATA_WRITE,
                                      FERRY_RQ_DATA_READ, FERRY_RQ_PRECOPY_INFO,
                                      FERRY_RQ_SET_STATE, FERRY_RQ_RESET };
    const uint8_t choice = (uint8_t)next(1);
    struct ferry_request request = { .kind = kinds[choice % 8] };

    if (request.kind == FERRY_RQ_SET_STATE) {
        request.u.state = choice >> 3 & 7;
    } else if (request.kind == FERRY_RQ_DATA_READ ||
               request.kind == FERRY_RQ_DATA_WRITE) {
        request.u.data.data = buffer;
        request.u.data.size = next(2) % BUFFER_BYTES;
        request.u.data.whole = choice >> 7;
    }
    device.accesses = 0;
    (void)backend->ops->call(backend, &request);
    if (request.kind == FERRY_RQ_DATA_READ && request.status == FERRY_OK) {
        must(request.u.data.got <= request.u.data.size);
    }
    if (request.kind == FERRY_RQ_GET_STATE && request.status == FERRY_OK) {
        must(request.u.state < FERRY_STATE_COUNT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ferry_backend_options options = { .struct_size = sizeof(options),
                                                   .timeout_ms = 1000 };
    struct ferry_backend *below, *backend;
    uint8_t *buffer;

    memset(&device, 0, sizeof(device));
    device.fd = -1;
    ferry_reader_init(&device.input, data, size);
    device.endpoint.ops = &ops;
    device.region_bytes = next(2) % MEMORY_BYTES;
    device.mmap = next(1) & 1;
    device.any_chunks = next(1) & 1;
    device.area.off = next(1) << 10;
    device.area.size = next(1) << 10;
    if (ferry_os_memfd_create("fuzz", MEMORY_BYTES, &device.fd) != FERRY_OK) {
        return 0;
    }
    buffer = malloc(BUFFER_BYTES);
    must(buffer != NULL);
    must(ferry_backend_from_endpoint(&device.endpoint, &options, &below, NULL) ==
         FERRY_OK);
    if (ferry_backend_v1_find(below, 1000, &backend, NULL) != FERRY_OK) {
        below->ops->close(below);
    } else {
        for (uint32_t i = 0; i < 64 && !device.input.failed; i++) {
            ask(backend, buffer);
        }
        backend->ops->close(backend);
    }
    free(buffer);
    ferry_os_close(&device.fd);
    return 0;
}
