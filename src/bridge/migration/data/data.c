/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/migration/inside.h"
#include "os/uapi/precopy.h"
#include "bridge/preload/table.h"
#include "bridge/say.h"
#include "os/eventfd.h"
#include "os/memory.h"

static struct bridge_data *data_of(struct bridge_object *object)
{
    return (struct bridge_data *)object;
}

/* 0, or why nothing is read or written any more; the lock is held. */
static int goes_on(const struct bridge_data *data)
{
    if (data->over) {
        return data->over;
    }
    return bridge_migration_loses(data->migration) ? -EIO : 0;
}

static ssize_t on_read(struct bridge_object *object, void *ret_data, size_t count)
{
    struct bridge_data *data = data_of(object);
    struct bridge_migration *migration = data->migration;
    ssize_t rc;

    pthread_mutex_lock(&migration->lock);
    rc = data->save ? goes_on(data) : -EBADF;
    if (rc == 0) {
        rc = bridge_save_read(migration, data, ret_data, count);
    }
    pthread_mutex_unlock(&migration->lock);
    return rc;
}

static ssize_t on_write(struct bridge_object *object, const void *bytes, size_t count)
{
    struct bridge_data *data = data_of(object);
    struct bridge_migration *migration = data->migration;
    ssize_t rc;

    pthread_mutex_lock(&migration->lock);
    rc = data->load ? goes_on(data) : -EBADF;
    if (rc == 0) {
        rc = bridge_load_write(migration, data->load, bytes, count);
    }
    pthread_mutex_unlock(&migration->lock);
    return rc;
}

static int precopy_info(struct bridge_data *data, struct uapi_precopy_info *info)
{
    struct bridge_migration *migration = data->migration;
    uint64_t initial = 0, dirty = 0;
    int rc;

    if (info->argsz < sizeof(*info)) {
        return -EINVAL;
    }
    pthread_mutex_lock(&migration->lock);
    if (data->over) {
        rc = data->over;
    } else if (migration->vmm != FERRY_STATE_PRE_COPY &&
               migration->vmm != FERRY_STATE_PRE_COPY_P2P) {
        rc = -EINVAL;
    } else {
        rc = bridge_estimate_precopy(migration, data->save, &initial, &dirty);
    }
    if (rc == 0) {
        info->flags = 0;
        info->initial_bytes = initial;
        info->dirty_bytes = dirty;
        if (initial + dirty > 0) {
            bridge_data_ready(data, 1);
        }
    }
    pthread_mutex_unlock(&migration->lock);
    return rc;
}

static long on_ioctl(struct bridge_object *object, unsigned long request, void *arg)
{
    /* As the kernel: what is written to knows no ioctl. */
    if (request != UAPI_MIG_GET_PRECOPY_INFO || data_of(object)->load) {
        return -ENOTTY;
    }
    return arg ? precopy_info(data_of(object), arg) : -EFAULT;
}

static void on_destroy(struct bridge_object *object)
{
    struct bridge_data *data = data_of(object);
    struct bridge_migration *migration = data->migration;

    pthread_mutex_lock(&migration->lock);
    if (migration->data == data) {
        /* The VMM has closed it early; what the device is in does not change by that. */
        bridge_pipe_watch(&migration->pipe, -1);
        bridge_pipe_close(&migration->pipe);
        migration->data = NULL;
    }
    pthread_mutex_unlock(&migration->lock);
    bridge_save_free(data->save);
    bridge_load_free(data->load);
    ferry_os_close(&data->poll_fd);
    bridge_migration_put(migration);
    free(data);
}

static const struct bridge_object_ops data_ops = {
    .kind = "data",
    .ioctl = on_ioctl,
    .read = on_read,
    .write = on_write,
    .destroy = on_destroy,
};

void bridge_data_ready(struct bridge_data *data, int ready)
{
    if (data->ready == (uint32_t)ready || data->poll_fd < 0) {
        return;
    }
    data->ready = (uint32_t)ready;
    if (ready) {
        (void)ferry_os_eventfd_signal(data->poll_fd);
    } else {
        (void)ferry_os_eventfd_drain(data->poll_fd, NULL);
    }
}

/* The VMM's descriptor. Return: 0 or -errno. */
static int give(struct bridge_data *data, int *ret_fd)
{
    int fd, rc;

    if (ferry_os_eventfd_create(&data->poll_fd) != FERRY_OK) {
        data->poll_fd = -1;
        return -EMFILE;
    }
    /* A descriptor of the table's own: the bridge's calls on the other one stay libc's.
     */
    fd = fcntl(data->poll_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    rc = bridge_table_put(fd, &data->object);
    if (rc < 0) {
        ferry_os_close(&fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int bridge_data_create(struct bridge_migration *migration, int loading,
                       struct bridge_data **ret_data, int *ret_fd)
{
    struct bridge_data *data = calloc(1, sizeof(*data));
    int rc = -ENOMEM;

    if (!data) {
        return rc;
    }
    bridge_object_init(&data->object, &data_ops);
    data->poll_fd = -1;
    data->migration = migration;
    data->save = loading ? NULL : bridge_save_new();
    data->load = loading ? bridge_load_new(BRIDGE_JOIN_BYTES) : NULL;
    if (data->save || data->load) {
        rc = ret_fd ? give(data, ret_fd) : 0;
    }
    if (rc < 0) {
        bridge_save_free(data->save);
        bridge_load_free(data->load);
        ferry_os_close(&data->poll_fd);
        free(data);
        return rc;
    }
    __atomic_add_fetch(&migration->references, 1, __ATOMIC_RELAXED);
    if (!loading) {
        bridge_data_ready(data, 1);
    }
    *ret_data = data;
    return 0;
}

void bridge_data_withdraw(int fd)
{
    bridge_table_drop(fd);
    ferry_os_close(&fd);
}

void bridge_data_end(struct bridge_migration *migration, int over)
{
    struct bridge_data *data = migration->data;

    bridge_pipe_watch(&migration->pipe, -1);
    bridge_pipe_close(&migration->pipe);
    if (!data) {
        return;
    }
    migration->data = NULL;
    data->over = over;
    if (data->save) {
        bridge_data_ready(data, 1); /* whoever polls is to see the end */
    }
}
