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
        rc = fake_device_call(fake, request, arg);
    } else if (fd == fake->data_fd && request == UAPI_MIG_GET_PRECOPY_INFO) {
        rc = fake_precopy_info(fake, arg);
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
    rc = fake_fault(&fake->access);
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
    fake_wait_stuck(fake, 2);
    if (!fake->no_end && (fd != fake->data_fd || !fake_has_data(fake->state))) {
        return -ENODEV; /* the session is over */
    }
    if (fake->data_late > 0) {
        fake->data_late--;
        return -EAGAIN;
    }
    return fake_fault(&fake->data);
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

static const struct kernel_calls the_calls = {
    .struct_size = sizeof(the_calls),
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

void fake_use_calls(struct fake_vfio *fake)
{
    fake->calls = the_calls;
    fake->calls.user = fake;
}
