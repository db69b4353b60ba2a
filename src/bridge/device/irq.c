/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "bridge/device/inside.h"
#include "bridge/device/link.h"
#include "bridge/say.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "os/socket.h"

#define DATA_FLAGS                                                                       \
    (FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_DATA_BOOL | FERRY_IRQ_SET_DATA_EVENTFD)
#define ACTION_FLAGS (FERRY_IRQ_SET_MASK | FERRY_IRQ_SET_UNMASK | FERRY_IRQ_SET_TRIGGER)

/* A vector's eventfds: of its interrupt, and those that mask and unmask it. */
enum { TRIGGER, MASK, UNMASK, ACTIONS };

static const uint32_t action_flag[ACTIONS] = { FERRY_IRQ_SET_TRIGGER, FERRY_IRQ_SET_MASK,
                                               FERRY_IRQ_SET_UNMASK };

struct vector {
    int fd[ACTIONS]; /* the bridge's own; -1: none */
    uint8_t masked;  /* by the VMM's call */
};

/*
 * Lock: `order` is held while the VMM's call is passed on and remembered, so that both
 * agree; the vectors change under the device's lock, which the alarm takes.
 */
struct bridge_irqs {
    pthread_mutex_t order;
    struct vector *vector[BRIDGE_IRQS_MAX];
    uint32_t count[BRIDGE_IRQS_MAX];
    uint8_t enabled[BRIDGE_IRQS_MAX];
    uint8_t owed; /* atomic; 1: a server that stood still has not taken all of it */
};

int bridge_irqs_create(struct bridge_device *device)
{
    struct bridge_irqs *irqs = calloc(1, sizeof(*irqs));
    uint32_t i;
    uint32_t j;

    if (!irqs) {
        return -ENOMEM;
    }
    pthread_mutex_init(&irqs->order, NULL);
    device->irqs = irqs;
    for (i = 0; i < BRIDGE_IRQS_MAX; i++) {
        const uint32_t count = i == BRIDGE_IRQ_ERR ? 1 : device->irq[i].count;

        irqs->vector[i] = calloc(count > 0 ? count : 1, sizeof(struct vector));
        if (!irqs->vector[i]) {
            return -ENOMEM; /* who binds takes back everything */
        }
        irqs->count[i] = count;
        for (j = 0; j < count; j++) {
            irqs->vector[i][j] = (struct vector){ .fd = { -1, -1, -1 } };
        }
    }
    return 0;
}

static void clear(struct vector *vector)
{
    ferry_os_close(&vector->fd[TRIGGER]);
    ferry_os_close(&vector->fd[MASK]);
    ferry_os_close(&vector->fd[UNMASK]);
    vector->masked = 0;
}

void bridge_irqs_destroy(struct bridge_device *device)
{
    struct bridge_irqs *irqs = device->irqs;
    uint32_t i;
    uint32_t j;

    if (!irqs) {
        return;
    }
    pthread_mutex_lock(&device->lock);
    device->irqs = NULL;
    pthread_mutex_unlock(&device->lock);
    for (i = 0; i < BRIDGE_IRQS_MAX; i++) {
        for (j = 0; j < irqs->count[i]; j++) {
            clear(&irqs->vector[i][j]);
        }
        free(irqs->vector[i]);
    }
    pthread_mutex_destroy(&irqs->order);
    free(irqs);
}

void bridge_device_alarm(struct bridge_device *device)
{
    int heard = 0;

    pthread_mutex_lock(&device->lock);
    if (device->irqs && device->irqs->vector[BRIDGE_IRQ_ERR][0].fd[TRIGGER] >= 0) {
        heard = ferry_os_eventfd_signal(
                    device->irqs->vector[BRIDGE_IRQ_ERR][0].fd[TRIGGER]) == FERRY_OK;
    }
    pthread_mutex_unlock(&device->lock);
    bridge_say(device, heard ? "the error interrupt is raised: the VMM stops the guest"
                             : "an error that the VMM has no interrupt for");
}

uint32_t bridge_device_waiting_irqs(struct bridge_device *device, uint32_t index,
                                    uint16_t *ret_vector, uint32_t cap)
{
    uint32_t i;
    uint32_t count = 0;

    pthread_mutex_lock(&device->lock);
    for (i = 0; device->irqs && i < device->irqs->count[index] && count < cap; i++) {
        const int fd = device->irqs->vector[index][i].fd[TRIGGER];

        if (fd >= 0 && ferry_os_poll(fd, FERRY_OS_POLL_READ, 0) == FERRY_OK) {
            ret_vector[count++] = (uint16_t)i;
        }
    }
    pthread_mutex_unlock(&device->lock);
    return count;
}

void bridge_device_raise_irqs(struct bridge_device *device, uint32_t index,
                              const uint16_t *vector, uint32_t count)
{
    uint32_t i;

    pthread_mutex_lock(&device->lock);
    for (i = 0; device->irqs && i < count; i++) {
        if (vector[i] < device->irqs->count[index] &&
            device->irqs->vector[index][vector[i]].fd[TRIGGER] >= 0) {
            (void)ferry_os_eventfd_signal(
                device->irqs->vector[index][vector[i]].fd[TRIGGER]);
        }
    }
    pthread_mutex_unlock(&device->lock);
}

/* Does the server have this index, or is it the bridge's alone? */
static int servers(const struct bridge_device *device, uint32_t index)
{
    return device->irq[index].count > 0;
}

static int send_one(struct bridge_device *device, const struct ferry_irq_set *set)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };
    int rc;

    if (!servers(device, set->index)) {
        return 0;
    }
    request.u.irq_set = *set;
    rc = bridge_link_call(device->link, &request);
    if (rc != FERRY_OK && bridge_link_stands_still(device->link)) {
        __atomic_store_n(&device->irqs->owed, 1, __ATOMIC_RELEASE);
        return 0;
    }
    return rc == FERRY_OK ? 0 : bridge_errno(rc);
}

/*
 * eventfds, -1 for none, in as many messages as it takes: a message has descriptors for
 * all of its vectors or for none.
 */
static int send_fds(struct bridge_device *device, uint32_t flags, uint32_t index,
                    uint32_t start, const int *fd, uint32_t count)
{
    const uint32_t most = bridge_link_max_fds(device->link);
    uint32_t i = 0;
    int rc = 0;

    while (i < count && rc == 0) {
        struct ferry_irq_set set = { .flags = flags, .index = index, .start = start + i };

        while (i < count &&
               (set.count == 0 || ((fd[i] >= 0) == (set.fd_count > 0) &&
                                   (set.fd_count == 0 || set.fd_count < most)))) {
            set.count++;
            set.fd_count += fd[i] >= 0;
            i++;
        }
        set.fds = set.fd_count > 0 ? fd + i - set.count : NULL;
        rc = send_one(device, &set);
    }
    return rc;
}

/* fd: count descriptors, the bridge's own; given away. */
static void keep_fds(struct bridge_device *device, const struct uapi_irq_set *call,
                     uint32_t action, int *fd)
{
    struct bridge_irqs *irqs = device->irqs;
    uint32_t i;

    pthread_mutex_lock(&device->lock);
    for (i = 0; i < call->count; i++) {
        struct vector *vector = &irqs->vector[call->index][call->start + i];

        ferry_os_close(&vector->fd[action]);
        vector->fd[action] = fd[i];
        fd[i] = -1;
    }
    if (action == TRIGGER) {
        irqs->enabled[call->index] = 1;
    }
    pthread_mutex_unlock(&device->lock);
}

/* Worth remembering: done, or not done because there is no server now. */
static int is_kept(const struct bridge_device *device, int rc)
{
    return rc == 0 || bridge_link_dead(device->link);
}

static int set_eventfds(struct bridge_device *device, const struct uapi_irq_set *call,
                        uint32_t action)
{
    const int32_t *given = (const int32_t *)(call + 1);
    int *fd = malloc(call->count * sizeof(*fd));
    uint32_t i;
    int rc = 0;

    if (!fd) {
        return -ENOMEM;
    }
    for (i = 0; i < call->count; i++) {
        fd[i] = -1;
    }
    for (i = 0; i < call->count && rc == 0; i++) {
        if (given[i] < -1) {
            rc = -EINVAL;
        } else if (given[i] >= 0) {
            rc = ferry_os_dup(given[i], &fd[i]);
            rc = rc == FERRY_OK ? 0 : rc == FERRY_E_LIMIT ? -EMFILE : -EBADF;
        }
    }
    if (rc == 0) {
        rc = send_fds(device, FERRY_IRQ_SET_DATA_EVENTFD | action_flag[action],
                      call->index, call->start, fd, call->count);
        if (is_kept(device, rc)) {
            keep_fds(device, call, action, fd);
        }
    }
    for (i = 0; i < call->count; i++) {
        ferry_os_close(&fd[i]);
    }
    free(fd);
    return rc;
}

/* The bridge's own error interrupt, asked for by the VMM itself. */
static void raise_own(struct bridge_device *device, const struct uapi_irq_set *call)
{
    const int wanted =
        (call->flags & FERRY_IRQ_SET_DATA_NONE) != 0 || *(const uint8_t *)(call + 1) != 0;

    pthread_mutex_lock(&device->lock);
    if (wanted && device->irqs->vector[call->index][0].fd[TRIGGER] >= 0) {
        (void)ferry_os_eventfd_signal(device->irqs->vector[call->index][0].fd[TRIGGER]);
    }
    pthread_mutex_unlock(&device->lock);
}

static void keep_action(struct bridge_device *device, const struct uapi_irq_set *call,
                        uint32_t action)
{
    struct bridge_irqs *irqs = device->irqs;
    const uint8_t *bools = (const uint8_t *)(call + 1);
    uint32_t i;

    pthread_mutex_lock(&device->lock);
    if (call->count == 0) {
        for (i = 0; i < irqs->count[call->index]; i++) {
            clear(&irqs->vector[call->index][i]);
        }
        irqs->enabled[call->index] = 0;
    }
    for (i = 0; i < call->count && action != TRIGGER; i++) {
        if ((call->flags & FERRY_IRQ_SET_DATA_NONE) || bools[i]) {
            irqs->vector[call->index][call->start + i].masked = action == MASK;
        }
    }
    pthread_mutex_unlock(&device->lock);
}

/* Fires, masks, unmasks, or switches an index off (count 0). */
static int act(struct bridge_device *device, const struct uapi_irq_set *call,
               uint32_t action)
{
    const struct ferry_irq_set set = {
        .flags = call->flags,
        .index = call->index,
        .start = call->start,
        .count = call->count,
        .bools =
            call->flags & FERRY_IRQ_SET_DATA_BOOL ? (const uint8_t *)(call + 1) : NULL,
    };
    int rc;

    if (!servers(device, call->index) && action != TRIGGER) {
        return -ENOTTY;
    }
    rc = send_one(device, &set);
    if (is_kept(device, rc)) {
        keep_action(device, call, action);
    }
    if (!servers(device, call->index) && call->count > 0) {
        raise_own(device, call);
    }
    return rc;
}

/* Return: 0 and *ret_action, or -errno. */
static int check(const struct bridge_device *device, const struct uapi_irq_set *call,
                 uint32_t *ret_action)
{
    const uint32_t data = call->flags & DATA_FLAGS;
    const uint32_t action = call->flags & ACTION_FLAGS;
    const uint32_t room = call->argsz - (uint32_t)sizeof(*call);
    uint32_t each;

    if ((call->flags & ~(DATA_FLAGS | ACTION_FLAGS)) != 0 ||
        call->index >= BRIDGE_IRQS_MAX ||
        call->start >= device->irqs->count[call->index] ||
        !ferry_range_inside(call->start, call->count, device->irqs->count[call->index])) {
        return -EINVAL;
    }
    if (data == FERRY_IRQ_SET_DATA_NONE) {
        each = 0;
    } else if (data == FERRY_IRQ_SET_DATA_BOOL) {
        each = sizeof(uint8_t);
    } else if (data == FERRY_IRQ_SET_DATA_EVENTFD) {
        each = sizeof(int32_t);
    } else {
        return -EINVAL;
    }
    if ((uint64_t)call->count * each > room) {
        return -EINVAL;
    }
    if (call->count == 0 &&
        (data != FERRY_IRQ_SET_DATA_NONE || action != FERRY_IRQ_SET_TRIGGER)) {
        return -EINVAL;
    }
    for (*ret_action = 0; *ret_action < ACTIONS; ++*ret_action) {
        if (action == action_flag[*ret_action]) {
            return 0;
        }
    }
    return -ENOTTY; /* none or several, as the kernel answers */
}

static long set_irqs(struct bridge_device *device, const struct uapi_irq_set *call)
{
    uint32_t action;
    int rc = check(device, call, &action);

    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&device->irqs->order);
    rc = call->flags & FERRY_IRQ_SET_DATA_EVENTFD ? set_eventfds(device, call, action)
                                                  : act(device, call, action);
    pthread_mutex_unlock(&device->irqs->order);
    return rc;
}

long bridge_device_set_irqs(struct bridge_device *device, void *arg)
{
    const struct uapi_irq_set *call = arg;
    const long rc = set_irqs(device, call);

    bridge_trace(device, "SET_IRQS index %u, %u + %u, flags 0x%x: %ld", call->index,
                 call->start, call->count, call->flags, rc);
    return rc;
}

/* The eventfds of one kind that an index has, and nothing for those it has not. */
static int repeat_fds(struct bridge_device *device, uint32_t index, uint32_t action)
{
    const struct bridge_irqs *irqs = device->irqs;
    const uint32_t flags = FERRY_IRQ_SET_DATA_EVENTFD | action_flag[action];
    const uint32_t count = irqs->count[index];
    int *fd = malloc((count > 0 ? count : 1) * sizeof(*fd));
    uint32_t first = 0;
    uint32_t end;
    int sent = 0;
    int rc = fd ? 0 : -ENOMEM;

    for (end = 0; end <= count && rc == 0; end++) {
        if (end < count) {
            fd[end] = irqs->vector[index][end].fd[action];
        }
        if (end < count && fd[end] >= 0) {
            continue;
        }
        if (end > first) {
            rc = send_fds(device, flags, index, first, fd + first, end - first);
            sent = 1;
        }
        first = end + 1;
    }
    /* QEMU enables MSI-X by a vector without an eventfd. */
    if (rc == 0 && !sent && action == TRIGGER &&
        (index == BRIDGE_IRQ_MSI || index == BRIDGE_IRQ_MSIX)) {
        rc = send_fds(device, flags, index, 0, fd, 1);
    }
    free(fd);
    return rc;
}

static int repeat_masks(struct bridge_device *device, uint32_t index)
{
    uint32_t i;
    int rc = 0;

    for (i = 0; i < device->irqs->count[index] && rc == 0; i++) {
        const struct ferry_irq_set set = { .flags = FERRY_IRQ_SET_DATA_NONE |
                                                    FERRY_IRQ_SET_MASK,
                                           .index = index,
                                           .start = i,
                                           .count = 1 };

        if (device->irqs->vector[index][i].masked) {
            rc = send_one(device, &set);
        }
    }
    return rc;
}

/* The order is held. */
static int repeat_all(struct bridge_device *device)
{
    struct bridge_irqs *irqs = device->irqs;
    uint32_t i;
    int rc = 0;

    for (i = 0; i < BRIDGE_IRQS_MAX && rc == 0; i++) {
        if (!irqs->enabled[i] || !servers(device, i)) {
            continue;
        }
        rc = repeat_fds(device, i, TRIGGER);
        if (rc == 0) {
            rc = repeat_fds(device, i, MASK);
        }
        if (rc == 0) {
            rc = repeat_fds(device, i, UNMASK);
        }
        if (rc == 0) {
            rc = repeat_masks(device, i);
        }
    }
    return rc;
}

int bridge_irqs_repeat(struct bridge_device *device)
{
    int rc;

    pthread_mutex_lock(&device->irqs->order);
    __atomic_store_n(&device->irqs->owed, 0, __ATOMIC_RELEASE);
    rc = repeat_all(device);
    pthread_mutex_unlock(&device->irqs->order);
    return rc;
}

int bridge_irqs_settle(struct bridge_device *device)
{
    struct bridge_irqs *irqs = device->irqs;
    uint32_t i;
    int rc = 0;

    if (!irqs || !__atomic_load_n(&irqs->owed, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    pthread_mutex_lock(&irqs->order);
    __atomic_store_n(&irqs->owed, 0, __ATOMIC_RELEASE);
    bridge_trace(device, "interrupts that it did not take in STOP");
    for (i = 0; i < BRIDGE_IRQS_MAX && rc == 0; i++) {
        const struct ferry_irq_set off = {
            .flags = FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER, .index = i
        };

        rc = irqs->enabled[i] ? 0 : send_one(device, &off);
    }
    if (rc == 0) {
        rc = repeat_all(device);
    }
    pthread_mutex_unlock(&irqs->order);
    return rc;
}
