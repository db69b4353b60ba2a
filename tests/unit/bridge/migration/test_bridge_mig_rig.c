/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_mig_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridge/iommu/iommu.h"
#include "bridge/preload/table.h"
#include "bridge/preload/tokens/known.h"
#include "bridge/say.h"
#include "os/clock.h"

#define FDS 1024

/* --- what is around a migration --- */

static struct bridge_object *table[FDS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

int bridge_table_put(int fd, struct bridge_object *object)
{
    assert_in_range(fd, 0, FDS - 1);
    bridge_object_get(object);
    pthread_mutex_lock(&table_lock);
    table[fd] = object;
    pthread_mutex_unlock(&table_lock);
    return 0;
}

struct bridge_object *bridge_table_get(int fd)
{
    struct bridge_object *object;

    assert_in_range(fd, 0, FDS - 1);
    pthread_mutex_lock(&table_lock);
    object = table[fd];
    if (object) {
        bridge_object_get(object);
    }
    pthread_mutex_unlock(&table_lock);
    return object;
}

void bridge_table_drop(int fd)
{
    struct bridge_object *object;

    assert_in_range(fd, 0, FDS - 1);
    pthread_mutex_lock(&table_lock);
    object = table[fd];
    table[fd] = NULL;
    pthread_mutex_unlock(&table_lock);
    if (object) {
        bridge_object_put(object);
    }
}

void bridge_known_forget(struct bridge_object *object)
{
    (void)object;
}

int (*end_dma)(uint64_t iova, void *data, size_t size, int is_write);

int bridge_iommu_dma(struct bridge_device *device, uint64_t iova, void *data, size_t size,
                     int is_write)
{
    (void)device;
    return end_dma ? end_dma(iova, data, size, is_write) : FERRY_E_RANGE;
}

static struct end *end_of(struct bridge_device *device)
{
    return (struct end *)((uint8_t *)device - offsetof(struct end, device));
}

void bridge_device_lost(struct bridge_device *device)
{
    struct bridge_migration *migration =
        __atomic_load_n(&device->migration, __ATOMIC_ACQUIRE);

    atomic_fetch_add(&end_of(device)->losses, 1);
    if (migration) {
        bridge_migration_lost(migration);
    }
}

void bridge_device_moves(struct bridge_device *device)
{
    atomic_fetch_add(&end_of(device)->moves, 1);
}

void bridge_device_alarm(struct bridge_device *device)
{
    atomic_fetch_add(&end_of(device)->alarms, 1);
}

uint32_t bridge_device_waiting_irqs(struct bridge_device *device, uint32_t index,
                                    uint16_t *ret_vector, uint32_t cap)
{
    struct end *end = end_of(device);

    assert_in_range(end->waiting[index - 1], 0, cap);
    for (uint32_t i = 0; i < end->waiting[index - 1]; i++) {
        ret_vector[i] = (uint16_t)(i * 3 % 2048);
    }
    return end->waiting[index - 1];
}

void bridge_device_raise_irqs(struct bridge_device *device, uint32_t index,
                              const uint16_t *vector, uint32_t count)
{
    struct end *end = end_of(device);

    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(vector[i], i * 3 % 2048);
    }
    end->raised[index - 1] += count;
}

/* --- one end --- */

/* The bridge opens a log once: the file stays to the end. */
static char logs[8][96];
static size_t log_count;

static void remove_logs(void)
{
    while (log_count > 0) {
        (void)unlink(logs[--log_count]);
    }
}

static void keep_log(const char *path)
{
    size_t i;

    for (i = 0; i < log_count; i++) {
        if (strcmp(logs[i], path) == 0) {
            return;
        }
    }
    assert_in_range(log_count, 0, 7);
    if (log_count == 0) {
        assert_int_equal(atexit(remove_logs), 0);
    }
    strcpy(logs[log_count++], path);
}

void end_path(struct end *end, const char *name)
{
    memset(end, 0, sizeof(*end));
    end->fd = -1;
    (void)snprintf(end->path, sizeof(end->path), "/tmp/ferry-test-bridge-%d-%s.sock",
                   (int)getpid(), name);
    (void)snprintf(end->log, sizeof(end->log), "/tmp/ferry-test-bridge-%d-%s.log",
                   (int)getpid(), name);
    keep_log(end->log);
    (void)!truncate(end->log, 0); /* it may not be there yet */
}

void end_bind(struct end *end, const struct ferry_identity *identity)
{
    struct bridge_device *device = &end->device;
    struct ferry_error error = { .code = FERRY_OK };

    strcpy(device->token.name, "vault0");
    strcpy(device->token.path, end->path);
    strcpy(device->token.log, end->log);
    if (device->token.timeout_ms == 0) {
        device->token.timeout_ms = 5000;
    }
    device->identity = *identity;
    pthread_mutex_init(&device->lock, NULL);
    if (bridge_link_open(device, &device->link, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(bridge_migration_create(device), 0);
}

void end_unbind(struct end *end)
{
    bridge_link_give_up(end->device.link); /* from here on no other thread comes along */
    bridge_migration_destroy(&end->device);
    bridge_link_close(end->device.link);
    end->device.link = NULL;
    vmm_close(&end->fd);
    pthread_mutex_destroy(&end->device.lock);
}

int end_set(struct end *end, uint32_t state)
{
    int fd = -2, rc = bridge_migration_set_state(end->device.migration, state, &fd);

    if (rc < 0) {
        assert_int_equal(fd, -1);
    }
    if (fd >= 0) {
        vmm_close(&end->fd);
        end->fd = fd;
    }
    return rc;
}

uint32_t end_get(struct end *end)
{
    uint32_t state = UINT32_MAX;

    assert_int_equal(bridge_migration_get_state(end->device.migration, &state), 0);
    return state;
}

/* --- the VMM's calls --- */

static struct bridge_object *object_of(int fd)
{
    struct bridge_object *object = bridge_table_get(fd);

    assert_non_null(object);
    return object;
}

ssize_t vmm_read(int fd, void *ret_data, size_t bytes)
{
    struct bridge_object *object = object_of(fd);
    ssize_t rc = object->ops->read(object, ret_data, bytes);

    bridge_object_put(object);
    return rc;
}

ssize_t vmm_write(int fd, const void *data, size_t bytes)
{
    struct bridge_object *object = object_of(fd);
    ssize_t rc = object->ops->write(object, data, bytes);

    bridge_object_put(object);
    return rc;
}

long vmm_ioctl(int fd, unsigned long request, void *arg)
{
    struct bridge_object *object = object_of(fd);
    long rc = object->ops->ioctl(object, request, arg);

    bridge_object_put(object);
    return rc;
}

void vmm_close(int *fd)
{
    if (*fd >= 0) {
        bridge_table_drop(*fd);
        assert_int_equal(close(*fd), 0);
        *fd = -1;
    }
}

int vmm_readable(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

    return poll(&poll_fd, 1, 0) == 1;
}

/* --- streams --- */

void bytes_add(struct bytes *bytes, const void *data, size_t count)
{
    if (bytes->size + count > bytes->cap) {
        bytes->cap = (bytes->size + count) * 2;
        bytes->data = realloc(bytes->data, bytes->cap);
        assert_non_null(bytes->data);
    }
    memcpy(bytes->data + bytes->size, data, count);
    bytes->size += count;
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof(*bytes));
}

int end_read_all(struct end *end, struct bytes *bytes, size_t piece)
{
    uint8_t *buffer = malloc(piece);
    ssize_t rc;

    assert_non_null(buffer);
    while ((rc = vmm_read(end->fd, buffer, piece)) > 0) {
        assert_true((size_t)rc <= piece);
        bytes_add(bytes, buffer, (size_t)rc);
    }
    free(buffer);
    return (int)rc;
}

int end_write_all(struct end *end, const struct bytes *bytes, size_t piece)
{
    size_t at = 0;

    while (at < bytes->size) {
        size_t count = bytes->size - at < piece ? bytes->size - at : piece;
        ssize_t rc = vmm_write(end->fd, bytes->data + at, count);

        if (rc < 0) {
            return (int)rc;
        }
        assert_int_equal(rc, count);
        at += count;
    }
    return 0;
}

void end_save(struct end *end, struct bytes *bytes, size_t piece)
{
    assert_int_equal(end_set(end, FERRY_STATE_STOP_COPY), 0);
    assert_int_equal(end_read_all(end, bytes, piece), 0);
    assert_int_equal(end_set(end, FERRY_STATE_STOP), 0);
}

void end_said(const struct end *end, const char *text)
{
    static char said[65536];
    int tries;

    /* What the service thread says may be under way. */
    for (tries = 0; tries < 500; tries++) {
        int fd = open(end->log, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd >= 0 ? read(fd, said, sizeof(said) - 1) : -1;

        if (fd >= 0) {
            close(fd);
        }
        said[got > 0 ? got : 0] = '\0';
        if (strstr(said, text)) {
            return;
        }
        ferry_os_sleep_ns(10 * FERRY_NS_PER_MS);
    }
    fail_msg("\"%s\" is not among what was said:\n%s", text, said);
}
