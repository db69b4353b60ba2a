/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "test_link_fake.h"

static struct fake *self(struct ferry_endpoint *endpoint)
{
    return (struct fake *)endpoint;
}

static int fake_attach(struct ferry_endpoint *endpoint,
                       const struct ferry_client_port *port)
{
    struct fake *fake = self(endpoint);

    if (atomic_load(&fake->attached)) {
        return FERRY_E_BUSY;
    }
    fake->port = port;
    fake->state = FERRY_STATE_RUNNING;
    atomic_fetch_add(&fake->attaches, 1);
    atomic_store(&fake->attached, 1);
    return FERRY_OK;
}

static int data_io(struct fake *fake, struct ferry_request *request);

static void end_held(struct fake *fake, int status)
{
    uint32_t count = fake->held_count;
    struct ferry_request *held[FAKE_HELD_MAX];
    uint32_t i;

    memcpy(held, fake->held, sizeof(held));
    fake->held_count = 0;
    for (i = 0; i < count; i++) {
        held[i]->status = status;
        if (held[i]->kind == FERRY_RQ_REGION_READ && status == FERRY_OK) {
            memset(held[i]->u.io.data, 0x5a, held[i]->u.io.count);
        }
        if (held[i]->kind == FERRY_RQ_REGION_WRITE && status == FERRY_OK) {
            memcpy(fake->bar + held[i]->u.io.off, held[i]->u.io.data,
                   held[i]->u.io.count);
        }
        if ((held[i]->kind == FERRY_RQ_DATA_READ ||
             held[i]->kind == FERRY_RQ_DATA_WRITE) &&
            status == FERRY_OK) {
            held[i]->status = data_io(fake, held[i]);
        }
        held[i]->done(held[i]);
    }
}

static void fake_detach(struct ferry_endpoint *endpoint)
{
    struct fake *fake = self(endpoint);

    end_held(fake, FERRY_E_CLOSED);
    fake->port = NULL;
    atomic_fetch_add(&fake->detaches, 1);
    atomic_store(&fake->attached, 0);
}

static int hold(struct fake *fake, struct ferry_request *request)
{
    if (fake->held_count == FAKE_HELD_MAX) {
        return FERRY_E_LIMIT;
    }
    fake->held[fake->held_count++] = request;
    return FERRY_PENDING;
}

static int region_io(struct fake *fake, struct ferry_request *request)
{
    struct ferry_region_io *io = &request->u.io;
    int is_read = request->kind == FERRY_RQ_REGION_READ;
    int rc;

    if (io->index == FAKE_REGION_SLOW) {
        return hold(fake, request);
    }
    if (io->index == FAKE_REGION_DMA) {
        rc = is_read
                 ? fake->port->dma_read(fake->port->user, io->off, io->data, io->count)
                 : fake->port->dma_write(fake->port->user, io->off, io->data, io->count);
        atomic_store(&fake->dma_status, rc);
        return rc;
    }
    if (io->index != FAKE_REGION_MEMORY) {
        return FERRY_E_STATE;
    }
    if (io->off > FAKE_BAR_BYTES || io->count > FAKE_BAR_BYTES - io->off) {
        return FERRY_E_RANGE;
    }
    if (is_read) {
        memcpy(io->data, fake->bar + io->off, io->count);
    } else {
        memcpy(fake->bar + io->off, io->data, io->count);
        if (io->posted) {
            fake->written[atomic_load(&fake->posted) % 64] = (uint32_t)io->off;
            atomic_fetch_add(&fake->posted, 1);
        }
    }
    return FERRY_OK;
}

static int region_info(struct fake *fake, struct ferry_region_info *region)
{
    if (region->index == FAKE_REGION_TYPED) {
        region->flags = FERRY_REGION_READ;
        region->size = 4096;
        region->type = FAKE_TYPE;
        region->subtype = FAKE_SUBTYPE;
        return FERRY_OK;
    }
    if (region->index > 8) {
        return FERRY_E_NOT_FOUND;
    }
    if (region->index == FAKE_REGION_MEMORY) {
        region->flags = FERRY_REGION_READ | FERRY_REGION_WRITE | FERRY_REGION_MMAP;
        region->size = FAKE_BAR_BYTES;
        region->offset = 4096;
        region->fd = fake->region_fd;
        region->area_count = 2;
        region->area[0].off = 0;
        region->area[0].size = 4096;
        region->area[1].off = 65536;
        region->area[1].size = 8192;
    }
    return FERRY_OK;
}

static int io_fds(const struct fake *fake, struct ferry_region_io_fds *fds)
{
    if (fds->index != FAKE_REGION_MEMORY) {
        return fds->index > 8 ? FERRY_E_NOT_FOUND : FERRY_OK; /* none */
    }
    for (uint32_t i = 0; i < 4; i++) {
        struct ferry_io_fd *entry = &fds->entry[fds->count++];

        memset(entry, 0, sizeof(*entry));
        entry->off = 0x100 * (uint64_t)i;
        entry->size = 4;
        entry->flags = i == 1 ? FERRY_IO_FD_DATAMATCH : 0;
        entry->datamatch = i == 1 ? 77 : 0;
        entry->fd = fake->io_fd[i < 2 ? i : 2];
    }
    return FERRY_OK;
}

static int set_irqs(struct fake *fake, const struct ferry_irq_set *set)
{
    uint32_t i;

    fake->irq_set = *set;
    fake->irq_fds = set->fd_count;
    if (set->bools && set->count <= sizeof(fake->bools)) {
        memcpy(fake->bools, set->bools, set->count);
    }
    for (i = 0; i < set->fd_count; i++) {
        if (ferry_os_eventfd_signal(set->fds[i]) != FERRY_OK) {
            return FERRY_E_FDS;
        }
    }
    return FERRY_OK;
}

static int data_read(struct fake *fake, struct ferry_data_io *io)
{
    uint64_t size = io->size;

    if (fake->data_left == 0 && fake->state == FERRY_STATE_PRE_COPY) {
        return FERRY_E_DRY;
    }
    if (fake->data_piece && size > fake->data_piece) {
        size = fake->data_piece;
    }
    if (size > fake->data_left) {
        size = fake->data_left;
    }
    memset(io->data, 0x42, size);
    fake->data_left -= size;
    io->got = size;
    return FERRY_OK;
}

static int data_write(struct fake *fake, const struct ferry_data_io *io)
{
    const uint8_t *bytes = io->data;
    uint64_t sum = 0;
    uint64_t i;

    for (i = 0; i < io->size; i++) {
        sum += bytes[i];
    }
    atomic_fetch_add(&fake->data_sum, sum);
    atomic_fetch_add(&fake->data_taken, io->size);
    return FERRY_OK;
}

/* Every other page, three of them. */
static int counters(struct ferry_counters *counters)
{
    uint32_t i;

    for (i = 0; i < FAKE_COUNTERS && i < counters->cap; i++) {
        counters->counter[i] =
            (struct ferry_counter){ .name = "frames_0",
                                    .queue = i == 0 ? FERRY_COUNTER_DEVICE : i,
                                    .value = UINT64_MAX - i };
    }
    counters->count = i;
    return FERRY_OK;
}

static int log_runs(struct fake *fake, struct ferry_log_runs *runs)
{
    fake->log_runs = *runs;
    runs->count = runs->cap < 3 ? runs->cap : 3;
    for (uint32_t i = 0; i < runs->count; i++) {
        runs->run[i].off = runs->iova + 2 * i * runs->page_size;
        runs->run[i].size = runs->page_size;
    }
    runs->next_iova =
        runs->iova + (runs->count < 3 ? 2 * runs->count * runs->page_size : runs->length);
    return FERRY_OK;
}

static int data_io(struct fake *fake, struct ferry_request *request)
{
    int status = atomic_load(&fake->data_status);

    if (status < 0) {
        return status;
    }
    return request->kind == FERRY_RQ_DATA_READ ? data_read(fake, &request->u.data)
                                               : data_write(fake, &request->u.data);
}

static int features(struct fake *fake, struct ferry_request *request)
{
    switch (request->kind) {
    case FERRY_RQ_PROBE:
        return request->u.probe.index == 2 ? FERRY_OK : FERRY_E_UNSUPPORTED;
    case FERRY_RQ_MIG_FLAGS:
        request->u.mig_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY;
        return FERRY_OK;
    case FERRY_RQ_GET_STATE:
        request->u.state = fake->state;
        return FERRY_OK;
    case FERRY_RQ_SET_STATE:
        fake->state = request->u.state;
        return request->u.state == FERRY_STATE_STOP ? hold(fake, request) : FERRY_OK;
    case FERRY_RQ_LOG_START:
        fake->log_start = request->u.log_start;
        if (request->u.log_start.range_count > 0) {
            memcpy(fake->range, request->u.log_start.range,
                   request->u.log_start.range_count * sizeof(fake->range[0]));
        }
        request->u.log_start.page_size = 4096;
        return FERRY_OK;
    case FERRY_RQ_LOG_STOP:
        return FERRY_OK;
    case FERRY_RQ_LOG_REPORT:
        fake->log_report = request->u.log_report;
        *(uint8_t *)request->u.log_report.bitmap |= 0x81;
        return FERRY_OK;
    case FERRY_RQ_LOG_RUNS:
        return log_runs(fake, &request->u.log_runs);
    case FERRY_RQ_COUNTERS:
        return counters(&request->u.counters);
    case FERRY_RQ_DATA_SIZE:
        request->u.data_size = 123456789012u;
        return FERRY_OK;
    case FERRY_RQ_PRECOPY_INFO:
        request->u.precopy.initial_bytes = 77;
        request->u.precopy.dirty_bytes = 88;
        return FERRY_OK;
    default:
        return FERRY_E_UNSUPPORTED;
    }
}

static void identity(struct ferry_identity *ret_identity)
{
    memset(ret_identity, 0, sizeof(*ret_identity));
    strcpy(ret_identity->model, "fake");
    ret_identity->state_version = 3;
    ret_identity->state_version_min = 2;
    ret_identity->pci_vendor = 0x1af4;
    ret_identity->pci_device = 0x1054;
    ret_identity->pci_class = 0x108000;
    ret_identity->migration_flags = FERRY_MIG_STOP_COPY;
    ret_identity->stop_ns = UINT64_MAX;
    ret_identity->doorbell_latch = 1;
    ret_identity->key_count = 1;
    strcpy(ret_identity->key[0].name, "sessions");
    ret_identity->key[0].relation = FERRY_KEY_AT_LEAST;
    ret_identity->key[0].value = 64;
}

static int perform(struct fake *fake, struct ferry_request *request)
{
    switch (request->kind) {
    case FERRY_RQ_GET_INFO:
        request->u.info.flags = FERRY_DEVICE_FLAG_RESET | FERRY_DEVICE_FLAG_PCI;
        request->u.info.region_count = 9;
        request->u.info.irq_count = 5;
        return FERRY_OK;
    case FERRY_RQ_REGION_IO_FDS:
        return io_fds(fake, &request->u.io_fds);
    case FERRY_RQ_GET_REGION_INFO:
        return region_info(fake, &request->u.region);
    case FERRY_RQ_GET_IRQ_INFO:
        request->u.irq.flags = FERRY_IRQ_EVENTFD | FERRY_IRQ_NORESIZE;
        request->u.irq.count = request->u.irq.index == 2 ? 8 : 0;
        return FERRY_OK;
    case FERRY_RQ_SET_IRQS:
        return set_irqs(fake, &request->u.irq_set);
    case FERRY_RQ_REGION_READ:
    case FERRY_RQ_REGION_WRITE:
        return region_io(fake, request);
    case FERRY_RQ_DMA_MAP:
        fake->map = request->u.map;
        fake->map_file_bytes = 0;
        return request->u.map.fd >= 0
                   ? ferry_os_file_size(request->u.map.fd, &fake->map_file_bytes)
                   : FERRY_OK;
    case FERRY_RQ_DMA_UNMAP:
        fake->unmap = request->u.unmap;
        if (request->u.unmap.bitmap) {
            *(uint8_t *)request->u.unmap.bitmap |= 0x05;
        }
        return FERRY_OK;
    case FERRY_RQ_RESET:
        fake->state = FERRY_STATE_RUNNING;
        return FERRY_OK;
    case FERRY_RQ_DATA_READ:
    case FERRY_RQ_DATA_WRITE:
        if (atomic_load(&fake->data_slow)) {
            atomic_fetch_add(&fake->data_held, 1);
            return hold(fake, request);
        }
        return data_io(fake, request);
    case FERRY_RQ_IDENTITY:
        if (atomic_load(&fake->identity_slow)) {
            atomic_fetch_add(&fake->data_held, 1);
            return hold(fake, request);
        }
        identity(request->u.identity);
        return FERRY_OK;
    default:
        return features(fake, request);
    }
}

static int fake_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    int rc = perform(self(endpoint), request);

    request->status = rc == FERRY_PENDING ? FERRY_OK : rc;
    return rc;
}

static int fake_work(struct ferry_endpoint *endpoint)
{
    struct fake *fake = self(endpoint);

    (void)ferry_os_eventfd_drain(fake->wake_fd, NULL);
    atomic_fetch_add(&fake->work_calls, 1);
    if (atomic_load(&fake->release)) {
        end_held(fake, FERRY_OK);
    }
    if (atomic_load(&fake->work_more) > 0) {
        atomic_fetch_sub(&fake->work_more, 1);
        return 1;
    }
    return 0;
}

static int fake_wake_fd(struct ferry_endpoint *endpoint)
{
    return self(endpoint)->wake_fd;
}

static int fake_reads_inside(struct ferry_endpoint *endpoint)
{
    return atomic_load(&self(endpoint)->reads_inside);
}

static const struct ferry_endpoint_ops fake_ops = {
    .struct_size = sizeof(struct ferry_endpoint_ops),
    .attach = fake_attach,
    .detach = fake_detach,
    .submit = fake_submit,
    .work = fake_work,
    .wake_fd = fake_wake_fd,
    .reads_inside = fake_reads_inside,
};

void fake_init(struct fake *fake)
{
    memset(fake, 0, sizeof(*fake));
    fake->endpoint.ops = &fake_ops;
    fake->bar = calloc(1, FAKE_BAR_BYTES);
    assert_non_null(fake->bar);
    assert_int_equal(ferry_os_memfd_create("fake", 1 << 20, &fake->region_fd), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_create(&fake->wake_fd), FERRY_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ferry_os_eventfd_create(&fake->io_fd[i]), FERRY_OK);
    }
}

void fake_free(struct fake *fake)
{
    free(fake->bar);
    ferry_os_close(&fake->region_fd);
    ferry_os_close(&fake->wake_fd);
    for (size_t i = 0; i < 3; i++) {
        ferry_os_close(&fake->io_fd[i]);
    }
}

static void on_closed(void *user, const struct ferry_error *error)
{
    struct fake *fake = user;

    atomic_store(&fake->closed_code, error->code);
    atomic_fetch_add(&fake->closed_count, 1);
}

static void on_stop(struct ferry_watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
}

static void *serve(void *user)
{
    struct served *served = user;

    while (!atomic_load(&served->stop)) {
        if (ferry_loop_dispatch(served->loop, -1) < 0) {
            break;
        }
    }
    return NULL;
}

static struct ferry_link_server_options
prepare(struct served *served, const struct ferry_link_server_options *options)
{
    struct ferry_link_server_options mine = { .struct_size = sizeof(mine) };

    memset(served, 0, sizeof(*served));
    if (options) {
        mine = *options;
    }
    mine.closed = on_closed;
    mine.user = &served->fake;
    fake_init(&served->fake);
    assert_int_equal(ferry_loop_create(&served->loop), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_create(&served->stop_fd), FERRY_OK);
    served->stop_watch.fd = served->stop_fd;
    served->stop_watch.events = FERRY_LOOP_READ;
    served->stop_watch.fn = on_stop;
    assert_int_equal(ferry_loop_add(served->loop, &served->stop_watch), FERRY_OK);
    return mine;
}

int served_start(struct served *served, const struct ferry_link_server_options *options)
{
    struct ferry_link_server_options mine = prepare(served, options);
    int a;
    int b;

    assert_int_equal(ferry_os_socketpair(&a, &b), FERRY_OK);
    assert_int_equal(ferry_link_server_from_fd(b, &served->fake.endpoint, served->loop,
                                               &mine, &served->server, NULL),
                     FERRY_OK);
    assert_int_equal(pthread_create(&served->thread, NULL, serve, served), 0);
    return a;
}

void served_listen(struct served *served, const struct ferry_link_server_options *options)
{
    static atomic_int number;
    struct ferry_link_server_options mine = prepare(served, options);

    snprintf(served->path, sizeof(served->path), "/tmp/ferry-test-%d-%d.sock",
             (int)getpid(), atomic_fetch_add(&number, 1));
    assert_int_equal(ferry_link_server_listen(served->path, &served->fake.endpoint,
                                              served->loop, &mine, &served->server, NULL),
                     FERRY_OK);
    assert_int_equal(pthread_create(&served->thread, NULL, serve, served), 0);
}

void served_stop(struct served *served)
{
    atomic_store(&served->stop, 1);
    assert_int_equal(ferry_os_eventfd_signal(served->stop_fd), FERRY_OK);
    assert_int_equal(pthread_join(served->thread, NULL), 0);
    ferry_link_server_destroy(served->server);
    assert_int_equal(atomic_load(&served->fake.attached), 0);
    ferry_loop_remove(served->loop, &served->stop_watch);
    ferry_loop_destroy(served->loop);
    ferry_os_close(&served->stop_fd);
    fake_free(&served->fake);
}

void await_int(atomic_int *value, int wanted)
{
    uint64_t deadline = ferry_os_now_ns() + 5 * (uint64_t)FERRY_NS_PER_S;

    while (atomic_load(value) != wanted) {
        assert_true(ferry_os_now_ns() < deadline);
        ferry_os_sleep_ns(200000);
    }
}

struct served listening;

int listening_start(void **state)
{
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .handshake_timeout_ms = 150,
                                                 .message_timeout_ms = 150,
                                                 .dma_timeout_ms = 100 };

    (void)state;
    served_listen(&listening, &options);
    return 0;
}

int listening_stop(void **state)
{
    (void)state;
    served_stop(&listening);
    assert_int_not_equal(access(listening.path, F_OK), 0);
    return 0;
}
