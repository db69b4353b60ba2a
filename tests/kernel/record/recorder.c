/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A library that is preloaded into a VMM and writes down what it asks of VFIO devices'
 * migration, and what is answered: by the kernel, or by a bridge that is preloaded behind
 * it. Requests pass unchanged. FERRY_RECORD names the file; docs/kernel-record.md says
 * what is in it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#include "os/uapi/precopy.h"
#include "record.h"

#define DEVICES_MAX 16
#define SESSIONS_MAX 64 /* data descriptors that are open at a time */

struct session {
    int fd;
    int device; /* its index */
};

static struct {
    int (*ioctl)(int fd, unsigned long request, ...);
    ssize_t (*read)(int fd, void *bytes, size_t count);
    ssize_t (*write)(int fd, const void *bytes, size_t count);
    int (*close)(int fd);
} real;

/* Of what is known. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int device_fd[DEVICES_MAX];
static int devices; /* those that are closed count: the indices of a file are unique */
static struct session session[SESSIONS_MAX];
static int sessions;

/* POSIX has a function pointer in what dlsym() returns. */
static void find(const char *name, void *ret_function)
{
    void *found = dlsym(RTLD_NEXT, name);

    memcpy(ret_function, &found, sizeof(found));
}

/* Also by other libraries' constructors, which may run first. */
static void __attribute__((constructor)) begin(void)
{
    if (real.close != NULL) {
        return;
    }
    find("ioctl", &real.ioctl);
    find("read", &real.read);
    find("write", &real.write);
    find("close", &real.close);
    record_begin(getenv("FERRY_RECORD"));
}

static void __attribute__((destructor)) end(void)
{
    record_end();
}

/* Return: the device's index; -1 when there are too many. */
static int know_device(int fd)
{
    int found = -1;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < devices; i++) {
        found = device_fd[i] == fd ? i : found;
    }
    if (found < 0 && devices < DEVICES_MAX) {
        found = devices++;
        device_fd[found] = fd;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

/* Return: the index of the data descriptor's device; -1 when it is none. */
static int session_of(int fd)
{
    int found = -1;

    if (__atomic_load_n(&sessions, __ATOMIC_ACQUIRE) == 0) {
        return -1; /* most reads and writes of a VMM */
    }
    pthread_mutex_lock(&lock);
    for (int i = 0; i < sessions; i++) {
        found = session[i].fd == fd ? session[i].device : found;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

/* Return: 1 when it is known from now on. */
static int know_session(int fd, int device)
{
    int known = 0;

    pthread_mutex_lock(&lock);
    if (sessions < SESSIONS_MAX) {
        session[sessions] = (struct session){ .fd = fd, .device = device };
        __atomic_store_n(&sessions, sessions + 1, __ATOMIC_RELEASE);
        known = 1;
    }
    pthread_mutex_unlock(&lock);
    return known;
}

/* A descriptor's number may stand for something else from now on. */
static void forget(int fd)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < devices; i++) {
        device_fd[i] = device_fd[i] == fd ? -1 : device_fd[i];
    }
    for (int i = 0; i < sessions; i++) {
        if (session[i].fd == fd) {
            session[i--] = session[sessions - 1];
            __atomic_store_n(&sessions, sessions - 1, __ATOMIC_RELEASE);
        }
    }
    pthread_mutex_unlock(&lock);
}

/*
 * The number is that of VFIO_IOMMU_DIRTY_PAGES as well, a container's, whose flags are
 * none of these three.
 */
static int is_feature(unsigned long request, const struct uapi_feature *call)
{
    return request == UAPI_FEATURE && call != NULL && call->argsz >= sizeof(*call) &&
           (call->flags & (UAPI_FEATURE_GET | UAPI_FEATURE_SET | UAPI_FEATURE_PROBE)) !=
               0;
}

static int pass_feature(int fd, struct uapi_feature *call)
{
    struct record_feature asked = { .flags = call->flags, .argsz = call->argsz };
    int device = know_device(fd);
    int fresh;
    int rc;

    record_ask(&asked, call);
    rc = real.ioctl(fd, UAPI_FEATURE, call);
    if (device >= 0) {
        int error = rc < 0 ? errno : 0;

        fresh = record_answer(device, &asked, call, error);
        if (fresh >= 0 && !know_session(fresh, device)) {
            record_fault("more data descriptors are open than it can know");
        }
        errno = error != 0 ? error : errno;
    } else {
        record_fault("there are more devices than it can know");
    }
    return rc;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;
    int device;
    int rc;

    begin();
    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (is_feature(request, arg)) {
        return pass_feature(fd, arg);
    }
    device = session_of(fd);
    rc = real.ioctl(fd, request, arg);
    if (device >= 0) {
        int error = errno;

        record_data_ioctl(device, request, arg, rc < 0 ? error : 0);
        errno = error;
    }
    return rc;
}

ssize_t read(int fd, void *bytes, size_t count)
{
    const int device = session_of(fd);
    ssize_t rc;
    int error;

    begin();
    rc = real.read(fd, bytes, count);
    error = errno;
    if (device >= 0) {
        record_read(device, rc, error);
        errno = error;
    }
    return rc;
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    const int device = session_of(fd);
    ssize_t rc;
    int error;

    begin();
    rc = real.write(fd, bytes, count);
    error = errno;
    if (device >= 0) {
        record_write(device, count, rc, error);
        errno = error;
    }
    return rc;
}

int close(int fd)
{
    const int device = session_of(fd);

    begin();
    if (device >= 0) {
        record_close(device);
    }
    /* First: the number may be somebody else's as soon as it is closed. */
    forget(fd);
    return real.close(fd);
}
