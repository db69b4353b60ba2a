/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/tokens/known.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

#include "bridge/device/device.h"
#include "bridge/iommu/iommu.h"
#include "bridge/preload/tokens/environment.h"
#include "bridge/preload/tokens/token.h"
#include "bridge/say.h"

struct known {
    dev_t dev;
    ino_t ino;
    struct bridge_object *object; /* no reference */
};

static struct {
    pthread_mutex_t lock;
    uint32_t count;
    struct known entry[BRIDGE_KNOWN_MAX];
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct bridge_object *look_up(const struct stat *st)
{
    uint32_t i;

    for (i = 0; i < known.count; i++) {
        if (known.entry[i].ino == st->st_ino && known.entry[i].dev == st->st_dev &&
            bridge_object_try_get(known.entry[i].object)) {
            return known.entry[i].object;
        }
    }
    return NULL;
}

static int make(const struct bridge_token *token, struct bridge_object **ret_object)
{
    if (token->kind == BRIDGE_TOKEN_IOMMU) {
        return bridge_iommu_create(token, ret_object);
    }
    return bridge_device_create(token, ret_object);
}

static struct bridge_object *make_known(int fd, const struct stat *st)
{
    struct bridge_object *object = NULL;
    struct ferry_error error = { 0 };
    struct bridge_token token;
    int rc = bridge_token_read(fd, &token, &error);

    if (rc == 0) {
        return NULL;
    }
    if (rc < 0) {
        bridge_say(NULL, "descriptor %d: %s", fd, error.text);
        return NULL;
    }
    if (known.count == BRIDGE_KNOWN_MAX) {
        bridge_say(NULL, "%s: more than %u tokens in one process", token.name,
                   BRIDGE_KNOWN_MAX);
        return NULL;
    }
    rc = make(&token, &object);
    if (rc < 0) {
        bridge_say(NULL, "%s: cannot make it: errno %d", token.name, -rc);
        return NULL;
    }
    known.entry[known.count++] =
        (struct known){ .dev = st->st_dev, .ino = st->st_ino, .object = object };
    __atomic_store_n(&object->named, 1, __ATOMIC_RELEASE);
    bridge_environment_clean();
    return object;
}

int bridge_known_find(int fd, struct bridge_object **ret_object)
{
    struct bridge_object *object;
    struct stat st;
    int err = errno;

    /* One call for what is no memfd: anything else is none of ours. */
    if (!bridge_token_likely(fd) || fstat(fd, &st) < 0) {
        errno = err;
        return 0;
    }
    pthread_mutex_lock(&known.lock);
    object = look_up(&st);
    if (object == NULL) {
        object = make_known(fd, &st);
    }
    pthread_mutex_unlock(&known.lock);
    errno = err;
    if (object == NULL) {
        return 0;
    }
    *ret_object = object;
    return 1;
}

void bridge_known_forget(struct bridge_object *object)
{
    uint32_t i;

    pthread_mutex_lock(&known.lock);
    for (i = 0; i < known.count; i++) {
        if (known.entry[i].object == object) {
            known.entry[i] = known.entry[--known.count];
            break;
        }
    }
    pthread_mutex_unlock(&known.lock);
}

void bridge_known_fork_prepare(void)
{
    pthread_mutex_lock(&known.lock);
}

void bridge_known_fork_parent(void)
{
    pthread_mutex_unlock(&known.lock);
}

void bridge_known_fork_child(void)
{
    known.count = 0;
    pthread_mutex_unlock(&known.lock);
}
