/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_device_toy.h"

#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "os/eventfd.h"
#include "os/memory.h"

static int region_read(void *state, struct ferry_device *device, uint32_t region,
                       uint64_t off, void *ret_data, size_t count)
{
    struct toy *toy = state;

    assert_ptr_equal(toy->device, device);
    memset(ret_data, 0xa0 + (int)region, count);
    if (region == 0 && off == 4 && count == 4) {
        ferry_store_le32(ret_data, toy->bells);
    }
    return region == 0 && off == 0xffc ? FERRY_E_DEVICE : FERRY_OK;
}

static int region_write(void *state, struct ferry_device *device, uint32_t region,
                        uint64_t off, const void *data, size_t count)
{
    struct toy *toy = state;

    (void)device;
    toy->writes++;
    if (region == 0 && off == 4 && count == 4) {
        assert_true(toy->bells < 64);
        toy->bell[toy->bells++] = ferry_load_le32(data);
    }
    return FERRY_OK;
}

static int cap_read(void *state, struct ferry_device *device, uint32_t cap, uint32_t off,
                    void *ret_data, size_t count)
{
    struct toy *toy = state;

    (void)device;
    assert_int_equal(cap, 1);
    toy->cap_off = off;
    toy->cap_count = count;
    memset(ret_data, 0xcc, count);
    return FERRY_OK;
}

static int cap_write(void *state, struct ferry_device *device, uint32_t cap, uint32_t off,
                     const void *data, size_t count)
{
    (void)data;
    return cap_read(state, device, cap, off, (uint8_t[256]){ 0 }, count);
}

static void reset(void *state, struct ferry_device *device,
                  enum ferry_reset_reason reason)
{
    struct toy *toy = state;

    (void)device;
    toy->resets++;
    toy->reset_reason = reason;
    toy->save_pos = 0;
    toy->load_pos = 0;
}

static int work(void *state, struct ferry_device *device)
{
    struct toy *toy = state;

    (void)device;
    toy->works++;
    if (toy->work_wanted > 0) {
        toy->work_wanted--;
    }
    return toy->work_wanted > 0;
}

static int arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct toy *toy = state;

    assert_int_equal(ferry_device_state(device), from);
    toy->arc_from[toy->arcs % TOY_ARCS] = from;
    toy->arc_to[toy->arcs++ % TOY_ARCS] = to;
    if (from == FERRY_STATE_RUNNING || from == FERRY_STATE_RUNNING_P2P ||
        from == FERRY_STATE_STOP) {
        toy->save_pos = 0;
    }
    if (toy->odd_answer != 0 && toy->odd_from == from && toy->odd_to == to) {
        return toy->odd_answer;
    }
    if (from == FERRY_STATE_RESUMING && toy->load_pos != toy->state_bytes) {
        return toy->load_pos < toy->state_bytes ? FERRY_E_SHORT : FERRY_E_LONG;
    }
    return FERRY_OK;
}

static int save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct toy *toy = state;
    const int stopped = ferry_device_state(device) == FERRY_STATE_STOP_COPY;
    const uint32_t end = stopped ? toy->state_bytes : toy->precopy_bytes;
    uint32_t len = end > toy->save_pos ? end - toy->save_pos : 0;

    /* An author may give less than it is asked for. */
    len = len < 1000 ? len : 1000;
    len = len < cap ? len : (uint32_t)cap;
    memcpy(ret_data, toy->state + toy->save_pos, len);
    toy->save_pos += len;
    return len == 0 && !stopped ? FERRY_E_DRY : (int)len;
}

static int load(void *state, struct ferry_device *device, const void *data, size_t count)
{
    struct toy *toy = state;

    (void)device;
    if (count > TOY_STATE_MAX - toy->load_pos) {
        return FERRY_E_LONG;
    }
    memcpy(toy->state + toy->load_pos, data, count);
    toy->load_pos += (uint32_t)count;
    return FERRY_OK;
}

static int precopy_info(void *state, struct ferry_device *device,
                        struct ferry_device_precopy *ret_info)
{
    struct toy *toy = state;

    (void)device;
    ret_info->initial_bytes =
        toy->precopy_bytes > toy->save_pos ? toy->precopy_bytes - toy->save_pos : 0;
    ret_info->dirty_bytes = 0;
    return FERRY_OK;
}

static int data_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    struct toy *toy = state;

    (void)device;
    *ret_bytes = toy->state_bytes - toy->save_pos;
    return FERRY_OK;
}

static int dma_unmap(void *state, struct ferry_device *device, uint64_t iova,
                     uint64_t size)
{
    struct toy *toy = state;

    (void)device;
    (void)iova;
    (void)size;
    if (toy->unmaps_pending > 0) {
        toy->unmaps_pending--;
        return FERRY_PENDING;
    }
    return FERRY_OK;
}

static int counters(void *state, struct ferry_device *device,
                    struct ferry_counter *ret_counter, uint32_t cap)
{
    const struct toy *toy = state;

    (void)device;
    if (toy->counters < 0) {
        return toy->counters;
    }
    for (uint32_t i = 0; i < cap && i < (uint32_t)toy->counters; i++) {
        memcpy(ret_counter[i].name, "bells", 6);
        ret_counter[i].queue = i;
        ret_counter[i].value = toy->bells;
    }
    return toy->counters < (int)cap ? toy->counters : (int)cap;
}

static const struct ferry_device_ops ops = {
    .struct_size = sizeof(ops),
    .region_read = region_read,
    .region_write = region_write,
    .cap_read = cap_read,
    .cap_write = cap_write,
    .reset = reset,
    .work = work,
    .arc = arc,
    .save = save,
    .load = load,
    .precopy_info = precopy_info,
    .data_size = data_size,
    .dma_unmap = dma_unmap,
    .counters = counters,
};

static const uint8_t cap_body[13] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 };

void toy_describe(struct ferry_device_desc *desc, struct toy *toy, uint32_t flags,
                  uint32_t latch)
{
    *desc = (struct ferry_device_desc){
        .struct_size = sizeof(*desc),
        .ops = &ops,
        .state = toy,
        .identity = { .model = "toy",
                      .state_version = 3,
                      .state_version_min = 2,
                      .pci_vendor = 0x1af4,
                      .pci_device = 0x1111,
                      .pci_subvendor = 0x2222,
                      .pci_subdevice = 0x3333,
                      .pci_class = 0xff000001,
                      .migration_flags = flags,
                      .doorbell_latch = latch },
        .region = { [0] = { .size_bytes = TOY_BAR0_BYTES },
                    [2] = { .size_bytes = TOY_BAR2_BYTES,
                            .flags =
                                FERRY_BAR_64BIT | FERRY_BAR_PREFETCH | FERRY_BAR_MEMORY,
                            .area_count = 1,
                            .area = { { TOY_AREA_OFF, TOY_AREA_BYTES } } },
                    [4] = { .size_bytes = 4096 },
                    [6] = { .size_bytes = 2048 } },
        .msix_vectors = TOY_VECTORS,
        .msix_bar = 4,
        .msix_table_off = TOY_TABLE_OFF,
        .msix_pba_off = TOY_PBA_OFF,
        .cap_count = 2,
        .cap = { { .bytes = cap_body, .length = 16, .writable = 1 },
                 { .bytes = cap_body, .length = 14, .writable = 1, .trapped = 1 } },
    };
    /* The table of 66 vectors is 0x420 bytes long: it ends before the PBA. */
}

static int port_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    struct toy *toy = user;

    toy->message_count++;
    if (iova < toy->port_iova || iova - toy->port_iova + size > TOY_PORT_BYTES) {
        return FERRY_E_RANGE;
    }
    memcpy(ret_data, toy->message_memory + (iova - toy->port_iova), size);
    return FERRY_OK;
}

static int port_write(void *user, uint64_t iova, const void *data, size_t size)
{
    struct toy *toy = user;

    toy->message_count++;
    if (iova < toy->port_iova || iova - toy->port_iova + size > TOY_PORT_BYTES) {
        return FERRY_E_RANGE;
    }
    memcpy(toy->message_memory + (iova - toy->port_iova), data, size);
    return FERRY_OK;
}

struct toy *toy_new(uint32_t flags, uint32_t latch)
{
    return toy_new_with(flags, latch, NULL);
}

struct toy *toy_new_with(uint32_t flags, uint32_t latch,
                         void (*change)(struct ferry_device_desc *desc))
{
    struct toy *toy = calloc(1, sizeof(*toy));
    struct ferry_device_desc desc;
    struct ferry_error error = { 0 };

    assert_non_null(toy);
    toy->port_iova = TOY_PORT_IOVA;
    toy->state_bytes = 5;
    memcpy(toy->state, "toys!", 5);
    toy->port = (struct ferry_client_port){ .struct_size = sizeof(toy->port),
                                            .dma_read = port_read,
                                            .dma_write = port_write,
                                            .user = toy };
    toy_describe(&desc, toy, flags, latch);
    if (change != NULL) {
        change(&desc);
    }
    assert_int_equal(ferry_device_create(&desc, &toy->device, &error), FERRY_OK);
    toy->endpoint = ferry_device_endpoint(toy->device);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    return toy;
}

void toy_free(struct toy *toy)
{
    toy->endpoint->ops->detach(toy->endpoint);
    ferry_device_destroy(toy->device);
    free(toy);
}

/* `user` doubles as the mark that done() has run. */
static void done(struct ferry_request *request)
{
    assert_null(request->user); /* exactly once */
    request->user = request;
}

int toy_over(const struct ferry_request *request)
{
    return request->user != NULL;
}

int toy_start(struct toy *toy, struct ferry_request *request)
{
    int status;

    request->user = NULL;
    request->done = done;
    request->status = 12345;
    status = toy->endpoint->ops->submit(toy->endpoint, request);
    if (status != FERRY_PENDING) {
        assert_int_equal(request->status, status);
        assert_null(request->user); /* done() is not for what ended at once */
    }
    return status;
}

void toy_work(struct toy *toy)
{
    for (int i = 0; toy->endpoint->ops->work(toy->endpoint) != 0; i++) {
        assert_true(i < 1000);
    }
}

int toy_ask(struct toy *toy, struct ferry_request *request)
{
    const int status = toy_start(toy, request);

    toy_work(toy);
    if (status != FERRY_PENDING) {
        return status;
    }
    assert_true(toy_over(request));
    return request->status;
}

int toy_read(struct toy *toy, uint32_t region, uint64_t off, void *ret_data,
             uint32_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };

    request.u.io = (struct ferry_region_io){
        .index = region, .off = off, .count = count, .data = ret_data
    };
    return toy_ask(toy, &request);
}

int toy_write(struct toy *toy, uint32_t region, uint64_t off, const void *data,
              uint32_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };
    void *copy = malloc(count);
    int status;

    memcpy(copy, data, count);
    request.u.io = (struct ferry_region_io){
        .index = region, .off = off, .count = count, .data = copy
    };
    status = toy_ask(toy, &request);
    free(copy);
    return status;
}

uint32_t toy_read32(struct toy *toy, uint32_t region, uint64_t off)
{
    uint8_t data[4];

    assert_int_equal(toy_read(toy, region, off, data, 4), FERRY_OK);
    return ferry_load_le32(data);
}

int toy_write32(struct toy *toy, uint32_t region, uint64_t off, uint32_t value)
{
    uint8_t data[4];

    ferry_store_le32(data, value);
    return toy_write(toy, region, off, data, 4);
}

uint32_t toy_config32(struct toy *toy, uint32_t off)
{
    return toy_read32(toy, FERRY_REGION_CONFIG, off);
}

void toy_bus_master(struct toy *toy)
{
    assert_int_equal(toy_write32(toy, FERRY_REGION_CONFIG, 4, 6), FERRY_OK);
    assert_true(ferry_device_bus_master(toy->device));
}

int toy_set(struct toy *toy, uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE };

    request.u.state = state;
    return toy_ask(toy, &request);
}

uint32_t toy_get(struct toy *toy)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(request.u.state, ferry_device_state(toy->device));
    return request.u.state;
}

void toy_bring(struct toy *toy, uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    toy->odd_answer = 0;
    toy->arcs = 0;
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING);
    if (state == FERRY_STATE_ERROR) {
        const uint32_t next = FERRY_STATE_STOP;

        assert_int_equal(toy_set(toy, next), FERRY_OK);
        toy->odd_from = next;
        toy->odd_to = FERRY_STATE_STOP_COPY;
        toy->odd_answer = FERRY_E_DEVICE_ERROR;
        assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_E_DEVICE_ERROR);
        toy->odd_answer = 0;
    } else {
        assert_int_equal(toy_set(toy, state), FERRY_OK);
    }
    toy->arcs = 0;
    assert_int_equal(toy_get(toy), state);
}

int toy_map(struct toy *toy, uint64_t iova, uint64_t size, uint64_t offset, int fd,
            uint32_t flags)
{
    struct ferry_request request = { .kind = FERRY_RQ_DMA_MAP };

    request.u.map = (struct ferry_dma_map){
        .iova = iova, .size = size, .offset = offset, .fd = fd, .flags = flags
    };
    return toy_ask(toy, &request);
}

int toy_unmap(struct toy *toy, uint64_t iova, uint64_t size)
{
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };

    request.u.unmap = (struct ferry_dma_unmap){ .iova = iova, .size = size };
    return toy_ask(toy, &request);
}

uint64_t toy_save(struct toy *toy, uint8_t *data, uint64_t cap, uint64_t piece)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    uint64_t total = 0;

    for (;;) {
        int status;

        assert_true(total + piece <= cap);
        request.u.data = (struct ferry_data_io){ .data = data + total, .size = piece };
        status = toy_ask(toy, &request);
        if (status == FERRY_E_DRY) {
            return total;
        }
        assert_int_equal(status, FERRY_OK);
        assert_true(request.u.data.got <= piece);
        if (request.u.data.got == 0) {
            return total;
        }
        total += request.u.data.got;
    }
}

int toy_load(struct toy *toy, const uint8_t *data, uint64_t size, uint64_t piece)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };
    uint8_t *copy = malloc(piece);
    int status = FERRY_OK;

    for (uint64_t done_bytes = 0; done_bytes < size && status == FERRY_OK;) {
        const uint64_t len = size - done_bytes < piece ? size - done_bytes : piece;

        memcpy(copy, data + done_bytes, len);
        request.u.data = (struct ferry_data_io){ .data = copy, .size = len };
        status = toy_ask(toy, &request);
        done_bytes += len;
    }
    free(copy);
    return status;
}

int toy_memfd(uint64_t size)
{
    int fd = -1;

    assert_int_equal(ferry_os_memfd_create("toy", size, &fd), FERRY_OK);
    return fd;
}

int toy_set_irqs(struct toy *toy, uint32_t index, uint32_t flags, uint32_t start,
                 uint32_t count, const int *fds, uint32_t fd_count)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    request.u.irq_set = (struct ferry_irq_set){ .flags = flags,
                                                .index = index,
                                                .start = start,
                                                .count = count,
                                                .fds = fds,
                                                .fd_count = fd_count };
    return toy_ask(toy, &request);
}

uint64_t toy_count(int fd)
{
    uint64_t count = 0;

    assert_int_equal(ferry_os_eventfd_drain(fd, &count), FERRY_OK);
    return count;
}

int toy_eventfd(void)
{
    int fd = -1;

    assert_int_equal(ferry_os_eventfd_create(&fd), FERRY_OK);
    return fd;
}
