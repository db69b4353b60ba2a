/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_vfio.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/eventfd.h"

#define DEVICE_TIMEOUT_MS 20000u /* no test waits for it */

static int new_fd(struct fake_vfio *fake)
{
    int fd = -1;

    assert_int_equal(ferry_os_eventfd_create(&fd), FERRY_OK);
    fake->opened++;
    return fd;
}

/* Return: 0, or -errno when this call fails. */
static int fault(struct fake_fault *fault_of)
{
    const int err = fault_of->err;

    if (err == 0) {
        return 0;
    }
    if (fault_of->after > 0) {
        fault_of->after--;
        return 0;
    }
    if (fault_of->times > 0 && --fault_of->times == 0) {
        fault_of->err = 0; /* that was the last one */
    }
    return -err;
}

static void wait_stuck(struct fake_vfio *fake, uint32_t which)
{
    fake->inside += fake->stuck == which;
    pthread_cond_broadcast(&fake->changed);
    while (fake->stuck == which) {
        pthread_cond_wait(&fake->changed, &fake->lock);
    }
}

static int has_data(uint32_t state)
{
    return ferry_state_is_saving(state) || state == FERRY_STATE_RESUMING;
}

/* --- states --- */

/* Takes one legal path to its end. Return: 0 and the session's descriptor, or -errno. */
static int change(struct fake_vfio *fake, uint32_t wanted, int32_t *ret_fd)
{
    uint32_t path[FERRY_STATE_COUNT];
    const int session = ferry_state_data(fake->state, wanted, (uint32_t)fake->flags);
    int rc;

    *ret_fd = -1;
    if (ferry_state_path(fake->state, wanted, (uint32_t)fake->flags, path) < 0) {
        return -EINVAL;
    }
    rc = fault(&fake->set);
    if (rc < 0) {
        fake->state = fake->set.state != 0 ? fake->set.state : fake->state;
        return rc;
    }
    fake->state = wanted;
    if (session == FERRY_DATA_BEGINS || session == FERRY_DATA_ENDS_BEGINS) {
        fake->stream_pos = fake->loaded_bytes = 0;
        rc = fault(&fake->emfile);
        if (rc == 0 && !fake->no_data_fd) {
            *ret_fd = new_fd(fake);
        }
        fake->data_fd = *ret_fd;
    }
    if (fake->needless_fd && wanted == FERRY_STATE_RUNNING) {
        *ret_fd = new_fd(fake);
    }
    return rc;
}

static int feature_state(struct fake_vfio *fake, uint32_t flags,
                         struct uapi_mig_state *state)
{
    int32_t fd = -1;
    int rc;

    if ((flags & UAPI_FEATURE_GET) != 0) {
        fake->gets++;
        *state = (struct uapi_mig_state){ .state = fake->state, .data_fd = -1 };
        return fault(&fake->get);
    }
    fake->sets++;
    wait_stuck(fake, 1);
    rc = change(fake, state->state, &fd);
    state->data_fd = fd;
    return rc;
}

/* --- features --- */

static int feature_log(struct fake_vfio *fake, uint32_t number, void *payload)
{
    struct uapi_log_report *report = payload;
    const struct uapi_log_start *start = payload;
    int rc = 0;

    if (number == UAPI_LOG_START) {
        rc = fault(&fake->start_log);
        fake->log_starts++;
        fake->log_ranges = start->ranges;
        fake->logs = rc == 0;
    } else if (number == UAPI_LOG_STOP) {
        fake->log_stops++;
        fake->logs = 0;
    } else {
        rc = fault(&fake->report_log);
        fake->log_reports++;
        if (rc == 0) {
            /* By value: the number is an address of this process. */
            uint64_t *bitmap = (uint64_t *)(uintptr_t)report->bitmap;

            *bitmap |= fake->dirty;
            fake->dirty = 0;
        }
    }
    return rc;
}

static int has_feature(const struct fake_vfio *fake, uint32_t number)
{
    switch (number) {
    case UAPI_MIGRATION:
    case UAPI_MIG_STATE:
    case UAPI_MIG_SIZE:
        return fake->flags != 0;
    case UAPI_LOG_START:
    case UAPI_LOG_STOP:
    case UAPI_LOG_REPORT:
        return fake->start_log.err != ENOTTY;
    case UAPI_PRECOPY_V2:
        return (int)fake->knows_reinit;
    default:
        return 0;
    }
}

static int feature(struct fake_vfio *fake, struct uapi_feature *feature_of)
{
    const uint32_t number = feature_of->flags & UAPI_FEATURE_NUMBER;
    void *payload = feature_of + 1;

    if (!has_feature(fake, number)) {
        return -ENOTTY;
    }
    if ((feature_of->flags & UAPI_FEATURE_PROBE) != 0) {
        return 0;
    }
    switch (number) {
    case UAPI_MIGRATION:
        *(uint64_t *)payload = fake->flags;
        return fault(&fake->mig);
    case UAPI_MIG_STATE:
        return feature_state(fake, feature_of->flags, payload);
    case UAPI_MIG_SIZE:
        *(uint64_t *)payload = fake->stop_copy_bytes;
        return 0;
    case UAPI_PRECOPY_V2:
        fake->reinit_set = 1;
        return 0;
    default:
        return feature_log(fake, number, payload);
    }
}

/* --- what it is made of --- */

static int region_info(struct fake_vfio *fake, struct uapi_region *asked)
{
    const struct fake_region *region;
    const uint32_t given = asked->argsz;
    uint32_t needed;

    if (asked->index >= FAKE_REGIONS) {
        return -EINVAL;
    }
    region = &fake->region[asked->index];
    if (region->fails != 0) {
        return -region->fails;
    }
    needed = (uint32_t)sizeof(*asked) + region->caps_bytes;
    *asked = region->head;
    asked->argsz = region->grows ? given + 8u : needed;
    if (region->head.argsz != 0) {
        asked->argsz = region->head.argsz; /* it lies */
    }
    if (given < needed) {
        asked->cap_offset = 0;
    } else {
        memcpy(asked + 1, region->caps, region->caps_bytes);
    }
    return 0;
}

static int irq_info(struct fake_vfio *fake, struct uapi_irq *asked)
{
    const uint32_t index = asked->index;

    if (index >= FAKE_IRQS || fake->irq[index].count == 0) {
        return -EINVAL;
    }
    asked->flags = fake->irq[index].flags;
    asked->count = fake->irq[index].count;
    return 0;
}

static int set_irqs(struct fake_vfio *fake, const struct uapi_irq_set *set)
{
    fake->irq_sets++;
    fake->last_irq = *set;
    if ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) != 0) {
        const uint32_t most = sizeof(fake->last_irq_fd) / sizeof(fake->last_irq_fd[0]);

        memcpy(fake->last_irq_fd, set + 1,
               (set->count < most ? set->count : most) * sizeof(int32_t));
    }
    return fault(&fake->set_irqs);
}

static int reset(struct fake_vfio *fake)
{
    const int rc = fake->no_reset ? -EINVAL : fault(&fake->reset);

    if (rc == 0) {
        fake->resets++;
        fake->state = fake->reset_state != 0 ? fake->reset_state : FERRY_STATE_RUNNING;
        fake->data_fd = -1;
    }
    return rc;
}

static int precopy_info(struct fake_vfio *fake, struct uapi_precopy_info *info)
{
    if (fake->state != FERRY_STATE_PRE_COPY && fake->state != FERRY_STATE_PRE_COPY_P2P) {
        return -EINVAL;
    }
    /* As drivers do: dirty_bytes is what the caller had there. */
    info->initial_bytes = fake->initial_bytes;
    return 0;
}

static int device_call(struct fake_vfio *fake, unsigned long request, void *arg)
{
    struct uapi_info *info = arg;
    int rc;

    switch (request) {
    case UAPI_GET_INFO:
        wait_stuck(fake, 3);
        rc = fault(&fake->info_of);
        *info = fake->info;
        return rc;
    case UAPI_GET_REGION_INFO:
        return region_info(fake, arg);
    case UAPI_GET_IRQ_INFO:
        return irq_info(fake, arg);
    case UAPI_SET_IRQS:
        return set_irqs(fake, arg);
    case UAPI_RESET:
        return reset(fake);
    case UAPI_FEATURE:
        return feature(fake, arg);
    default:
        return -ENOTTY;
    }
}

/* --- the calls --- */

static int interrupted(struct fake_vfio *fake)
{
    if (fake->signals == 0) {
        return 0;
    }
    fake->signals--;
    return 1;
}

static int fake_ioctl(void *user, int fd, unsigned long request, void *arg)
{
    struct fake_vfio *fake = user;
    int rc;

    pthread_mutex_lock(&fake->lock);
    if (interrupted(fake)) {
        rc = -EINTR;
    } else if (fd == fake->device_fd) {
        rc = device_call(fake, request, arg);
    } else if (fd == fake->data_fd && request == UAPI_MIG_GET_PRECOPY_INFO) {
        rc = precopy_info(fake, arg);
    } else {
        rc = -EBADF;
    }
    pthread_mutex_unlock(&fake->lock);
    return rc;
}

static int64_t region_io(struct fake_vfio *fake, void *data, size_t size, uint64_t off,
                         int writes)
{
    const uint64_t at = off - fake->region[0].head.offset;
    int rc;

    if (interrupted(fake)) {
        return -EINTR;
    }
    rc = fault(&fake->access);
    if (rc < 0) {
        return rc;
    }
    size = fake->io_most != 0 && size > fake->io_most ? fake->io_most : size;
    assert_true(at + size <= sizeof(fake->bar0));
    memcpy(writes ? fake->bar0 + at : data, writes ? data : fake->bar0 + at, size);
    return (int64_t)size;
}

static int64_t fake_pread(void *user, int fd, void *data, size_t size, uint64_t off)
{
    struct fake_vfio *fake = user;
    int64_t rc;

    pthread_mutex_lock(&fake->lock);
    assert_int_equal(fd, fake->device_fd);
    rc = region_io(fake, data, size, off, 0);
    pthread_mutex_unlock(&fake->lock);
    return rc;
}

static int64_t fake_pwrite(void *user, int fd, const void *data, size_t size,
                           uint64_t off)
{
    struct fake_vfio *fake = user;
    uint8_t copy[FAKE_BAR0_BYTES];
    int64_t rc;

    assert_true(size <= sizeof(copy));
    memcpy(copy, data, size);
    pthread_mutex_lock(&fake->lock);
    assert_int_equal(fd, fake->device_fd);
    rc = region_io(fake, copy, size, off, 1);
    pthread_mutex_unlock(&fake->lock);
    return rc;
}

/* What is in the way of a read or write of data. Return: 0 or -errno. */
static int64_t data_trouble(struct fake_vfio *fake, int fd)
{
    if (interrupted(fake)) {
        return -EINTR;
    }
    wait_stuck(fake, 2);
    if (!fake->no_end && (fd != fake->data_fd || !has_data(fake->state))) {
        return -ENODEV; /* the session is over */
    }
    if (fake->data_late > 0) {
        fake->data_late--;
        return -EAGAIN;
    }
    return fault(&fake->data);
}

static int64_t read_stream(struct fake_vfio *fake, void *data, size_t size)
{
    const uint32_t left = fake->stream_bytes - fake->stream_pos;

    if (left == 0 && fake->state != FERRY_STATE_STOP_COPY && fake->has_enomsg) {
        return -ENOMSG;
    }
    size = fake->data_most != 0 && size > fake->data_most ? fake->data_most : size;
    size = size < left ? size : left;
    memcpy(data, fake->stream + fake->stream_pos, size);
    fake->stream_pos += (uint32_t)size;
    return (int64_t)size;
}

static int64_t fake_read(void *user, int fd, void *data, size_t size)
{
    struct fake_vfio *fake = user;
    int64_t rc;

    pthread_mutex_lock(&fake->lock);
    rc = data_trouble(fake, fd);
    if (rc == 0) {
        rc = fake->more_than_asked ? (int64_t)size + 1 : read_stream(fake, data, size);
    }
    pthread_mutex_unlock(&fake->lock);
    return rc;
}

static int64_t fake_write(void *user, int fd, const void *data, size_t size)
{
    struct fake_vfio *fake = user;
    int64_t rc;

    pthread_mutex_lock(&fake->lock);
    rc = data_trouble(fake, fd);
    if (rc == 0 && fake->more_than_asked) {
        rc = (int64_t)size + 1;
    } else if (rc == 0) {
        const size_t room = sizeof(fake->loaded) - fake->loaded_bytes;

        size = fake->data_most != 0 && size > fake->data_most ? fake->data_most : size;
        size = size < room ? size : room;
        memcpy(fake->loaded + fake->loaded_bytes, data, size);
        fake->loaded_bytes += (uint32_t)size;
        rc = (int64_t)size;
    }
    pthread_mutex_unlock(&fake->lock);
    return rc;
}

static int fake_poll(void *user, int fd, int events, int timeout_ms)
{
    struct fake_vfio *fake = user;

    (void)fd;
    (void)timeout_ms;
    pthread_mutex_lock(&fake->lock);
    fake->polls++;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    return events;
}

static int fake_nonblocking(void *user, int fd)
{
    (void)user;
    (void)fd;
    return 0;
}

static int fake_give_up(void *user, int fd)
{
    struct fake_vfio *fake = user;

    pthread_mutex_lock(&fake->lock);
    assert_int_equal(fd, fake->device_fd);
    fake->given_up++;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    return 0;
}

static void fake_close(void *user, int fd)
{
    struct fake_vfio *fake = user;

    pthread_mutex_lock(&fake->lock);
    fake->closed_fds++;
    fake->device_fd = fd == fake->device_fd ? -1 : fake->device_fd;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    assert_int_equal(close(fd), 0);
}

/* --- the IOMMU --- */

static struct fake_vfio *fake_of(struct kernel_iommu *iommu)
{
    return (struct fake_vfio *)(void *)((char *)iommu -
                                        offsetof(struct fake_vfio, iommu));
}

static void iommu_close(struct kernel_iommu *iommu)
{
    struct fake_vfio *fake = fake_of(iommu);

    pthread_mutex_lock(&fake->lock);
    /* A container cannot be left while a device is open. */
    assert_int_equal(fake->device_fd, -1);
    fake->closed++;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

static int iommu_map(struct kernel_iommu *iommu, const struct ferry_dma_map *map,
                     struct ferry_error *reterr)
{
    (void)map;
    (void)reterr;
    fake_of(iommu)->maps++;
    return FERRY_OK;
}

static int iommu_unmap(struct kernel_iommu *iommu, const struct ferry_dma_unmap *unmap,
                       struct ferry_error *reterr)
{
    (void)reterr;
    assert_int_equal(unmap->flags & FERRY_UNMAP_BITMAP, 0);
    fake_of(iommu)->unmaps++;
    return FERRY_OK;
}

static int iommu_track(struct kernel_iommu *iommu, int on, struct ferry_error *reterr)
{
    if (!iommu->can_track) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "kernel", NULL, 0,
                               "it cannot");
    }
    fake_of(iommu)->tracks = on ? 1 : 2;
    return FERRY_OK;
}

static int iommu_report(struct kernel_iommu *iommu, const struct ferry_log_report *report,
                        struct ferry_error *reterr)
{
    (void)reterr;
    *(uint64_t *)report->bitmap |= fake_of(iommu)->dirty;
    return FERRY_OK;
}

static const struct kernel_iommu_ops iommu_ops = {
    .name = "fake",
    .close = iommu_close,
    .map = iommu_map,
    .unmap = iommu_unmap,
    .track = iommu_track,
    .report = iommu_report,
};

/* --- for tests --- */

static void init_facts(struct fake_vfio *fake)
{
    fake->info = (struct uapi_info){ .flags = UAPI_INFO_PCI | UAPI_INFO_RESET,
                                     .regions = FAKE_REGIONS,
                                     .irqs = FAKE_IRQS };
    for (uint32_t i = 0; i < FAKE_REGIONS; i++) {
        fake->region[i].head.index = i;
        fake->region[i].head.offset = (uint64_t)i << 40;
    }
    fake->region[0].head.size = FAKE_BAR0_BYTES;
    fake->region[0].head.flags = UAPI_REGION_READ | UAPI_REGION_WRITE;
    fake->irq[1] = (struct uapi_irq){ .flags = FERRY_IRQ_EVENTFD, .count = 8 };
    fake->irq[2] = (struct uapi_irq){ .flags = FERRY_IRQ_EVENTFD, .count = 2048 };
    fake->irq[4] = (struct uapi_irq){ .flags = FERRY_IRQ_EVENTFD, .count = 1 };
}

void fake_init(struct fake_vfio *fake)
{
    memset(fake, 0, sizeof(*fake));
    pthread_mutex_init(&fake->lock, NULL);
    pthread_cond_init(&fake->changed, NULL);
    fake->calls = (struct kernel_calls){
        .struct_size = sizeof(fake->calls),
        .user = fake,
        .close = fake_close,
        .ioctl = fake_ioctl,
        .pread = fake_pread,
        .pwrite = fake_pwrite,
        .read = fake_read,
        .write = fake_write,
        .poll = fake_poll,
        .set_nonblocking = fake_nonblocking,
        .give_up = fake_give_up,
    };
    fake->iommu.ops = &iommu_ops;
    fake->device_fd = fake->data_fd = -1;
    fake->flags = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY;
    fake->state = FERRY_STATE_RUNNING;
    fake->start_log.err = ENOTTY;
    for (uint32_t i = 0; i < FAKE_STREAM_BYTES; i++) {
        fake->stream[i] = (uint8_t)(i * 31u + 7u);
    }
    fake->stream_bytes = FAKE_STREAM_BYTES;
    init_facts(fake);
}

void fake_end(struct fake_vfio *fake)
{
    assert_int_equal(fake->closed_fds, fake->opened);
    pthread_cond_destroy(&fake->changed);
    pthread_mutex_destroy(&fake->lock);
}

static struct kernel_parts parts_of(struct fake_vfio *fake, enum kernel_dirty dirty,
                                    uint32_t timeout_ms)
{
    fake->device_fd = new_fd(fake);
    return (struct kernel_parts){ .calls = &fake->calls,
                                  .fd = fake->device_fd,
                                  .iommu = &fake->iommu,
                                  .as_is = fake->as_is,
                                  .dirty = dirty,
                                  .timeout_ms =
                                      timeout_ms != 0 ? timeout_ms : DEVICE_TIMEOUT_MS };
}

struct ferry_backend *fake_open(struct fake_vfio *fake, enum kernel_dirty dirty,
                                uint32_t timeout_ms)
{
    const struct kernel_parts parts = parts_of(fake, dirty, timeout_ms);
    struct ferry_backend *backend = NULL;
    struct ferry_error error = { 0 };
    const int rc = kernel_backend_new(&parts, &backend, &error);

    if (rc != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    return backend;
}

int fake_open_in_time(struct fake_vfio *fake, uint32_t timeout_ms,
                      struct ferry_error *reterr)
{
    const struct kernel_parts parts = parts_of(fake, KERNEL_DIRTY_BEST, timeout_ms);
    struct ferry_backend *backend = NULL;
    const int rc = kernel_backend_new(&parts, &backend, reterr);

    assert_true(rc < 0);
    return rc;
}

int fake_open_fails(struct fake_vfio *fake, enum kernel_dirty dirty,
                    struct ferry_error *reterr)
{
    const struct kernel_parts parts = parts_of(fake, dirty, 0);
    struct ferry_backend *backend = NULL;
    const int rc = kernel_backend_new(&parts, &backend, reterr);

    assert_true(rc < 0);
    assert_int_equal(fake->closed, 1); /* the IOMMU; descriptors: fake_end() */
    return rc;
}

uint32_t fake_cap(struct fake_region *region, uint16_t id, const void *body,
                  uint32_t bytes, uint32_t next)
{
    const uint32_t at = region->caps_bytes;
    const struct uapi_cap head = { .id = id, .version = 1, .next = next };

    assert_true(at + sizeof(head) + bytes <= sizeof(region->caps));
    memcpy(region->caps + at, &head, sizeof(head));
    memcpy(region->caps + at + sizeof(head), body, bytes);
    region->caps_bytes += (uint32_t)sizeof(head) + bytes;
    region->head.flags |= UAPI_REGION_CAPS;
    if (region->head.cap_offset == 0) {
        region->head.cap_offset = sizeof(struct uapi_region);
    }
    return (uint32_t)sizeof(struct uapi_region) + at;
}

void fake_stuck(struct fake_vfio *fake, uint32_t stuck)
{
    pthread_mutex_lock(&fake->lock);
    fake->stuck = stuck;
    fake->inside = 0;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

void fake_late(struct fake_vfio *fake, uint32_t count)
{
    pthread_mutex_lock(&fake->lock);
    fake->data_late = count;
    pthread_mutex_unlock(&fake->lock);
}

void fake_await_polls(struct fake_vfio *fake, uint32_t count)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->polls < count) {
        pthread_cond_wait(&fake->changed, &fake->lock);
    }
    pthread_mutex_unlock(&fake->lock);
}

void fake_await_inside(struct fake_vfio *fake, uint32_t count)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->inside < count) {
        pthread_cond_wait(&fake->changed, &fake->lock);
    }
    pthread_mutex_unlock(&fake->lock);
}

int fake_call(struct ferry_backend *backend, struct ferry_request *request)
{
    const int rc = backend->ops->call(backend, request);

    assert_int_equal(rc, request->status);
    return rc;
}

int fake_set_state(struct ferry_backend *backend, uint32_t state,
                   struct ferry_error *reterr)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE,
                                     .u.state = state,
                                     .reterr = reterr };

    return fake_call(backend, &request);
}

uint32_t fake_get_state(struct ferry_backend *backend)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    return request.u.state;
}
