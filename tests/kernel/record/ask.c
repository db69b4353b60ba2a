/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asks a device of VFIO's for all that concerns its migration, the wrong with the right,
 * in a fixed order: run with the recorder in front of it, it leaves a record that can be
 * compared with another device's. What QEMU never asks is here.
 *
 * usage: vfio_ask /dev/vfio/devices/vfioN
 * Not asked for: PRE_COPY from STOP_COPY, for which some kernels never return, and how a
 * device takes damaged data, which is its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "os/uapi/iommufd.h"
#include "os/uapi/precopy.h"
#include "os/uapi/vfio.h"

#define DATA_MAX (4u << 20)
#define PAYLOAD_MAX 64u
#define READS_MAX 1000
#define PAGE 4096u

enum state {
    ERROR,
    STOP,
    RUNNING,
    STOP_COPY,
    RESUMING,
    RUNNING_P2P,
    PRE_COPY,
    PRE_COPY_P2P
};
#define STATES_ASKED 10u /* two more than there are */

static struct {
    int fd;
    uint8_t data[DATA_MAX]; /* what the device saved */
    size_t bytes;
} device;

static void __attribute__((noreturn)) fail(const char *what)
{
    fprintf(stderr, "vfio_ask: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Return: 0 or -1, as ioctl; the payload is the answer. room: argsz behind the head. */
static int feature(uint32_t flags, void *payload, size_t bytes, size_t room)
{
    union {
        struct uapi_feature head;
        uint8_t byte[sizeof(struct uapi_feature) + PAYLOAD_MAX];
    } call = { .head = { .argsz = (uint32_t)(sizeof(call.head) + room),
                         .flags = flags } };
    int rc;

    memcpy(call.byte + sizeof(call.head), payload, bytes);
    rc = ioctl(device.fd, UAPI_FEATURE, &call);
    memcpy(payload, call.byte + sizeof(call.head), bytes);
    return rc;
}

/* Return: the data descriptor; -1 when there was none; -2 when it was refused. */
static int set_state(uint32_t state)
{
    /* What comes in as a descriptor has no meaning. */
    struct uapi_mig_state now = { .state = state, .data_fd = 12345 };

    if (feature(UAPI_FEATURE_SET | UAPI_MIG_STATE, &now, sizeof(now), sizeof(now)) < 0) {
        return -2;
    }
    return now.data_fd;
}

static void get_state(void)
{
    struct uapi_mig_state now = { .data_fd = 12345 };

    (void)feature(UAPI_FEATURE_GET | UAPI_MIG_STATE, &now, sizeof(now), sizeof(now));
}

static void end(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

/* Also out of ERROR, or out of a RESUMING that lacks its data. */
static void reset(void)
{
    if (ioctl(device.fd, UAPI_RESET) < 0) {
        fail("reset");
    }
}

/* To the end, or until there is nothing now. Return: bytes in device.data. */
static size_t drain(int fd, size_t at)
{
    for (int i = 0; i < READS_MAX && at < DATA_MAX; i++) {
        const ssize_t count = read(fd, device.data + at, DATA_MAX - at);

        if (count <= 0) {
            break;
        }
        at += (size_t)count;
    }
    return at;
}

static void load(int fd)
{
    size_t at = 0;

    while (at < device.bytes) {
        const ssize_t count = write(fd, device.data + at, device.bytes - at);

        if (count <= 0) {
            fail("write");
        }
        at += (size_t)count;
    }
}

/* What may be asked of each feature, and with how much room. */
static void ask_features(void)
{
    static const uint32_t numbers[] = { UAPI_MIGRATION, UAPI_MIG_STATE,  UAPI_LOG_START,
                                        UAPI_LOG_STOP,  UAPI_LOG_REPORT, UAPI_MIG_SIZE };
    static const uint32_t probes[] = { 0, UAPI_FEATURE_GET, UAPI_FEATURE_SET,
                                       UAPI_FEATURE_GET | UAPI_FEATURE_SET };
    uint8_t payload[PAYLOAD_MAX] = { 0 };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        for (size_t j = 0; j < sizeof(probes) / sizeof(probes[0]); j++) {
            (void)feature(UAPI_FEATURE_PROBE | probes[j] | numbers[i], payload, 0, 0);
        }
        (void)feature(UAPI_FEATURE_GET | UAPI_FEATURE_SET | numbers[i], payload, 0, 32);
        (void)feature(UAPI_FEATURE_GET | 1u << 19 | numbers[i], payload, 0, 32);
    }
    for (size_t room = 0; room <= 8; room += 4) {
        memset(payload, 0, sizeof(payload));
        (void)feature(UAPI_FEATURE_GET | UAPI_MIGRATION, payload, 8, room);
        (void)feature(UAPI_FEATURE_GET | UAPI_MIG_STATE, payload, 8, room);
        (void)feature(UAPI_FEATURE_GET | UAPI_MIG_SIZE, payload, 8, room);
    }
    (void)feature(UAPI_FEATURE_SET | UAPI_MIGRATION, payload, 8, 8);
    (void)feature(UAPI_FEATURE_SET | UAPI_MIG_SIZE, payload, 8, 8);
    (void)feature(UAPI_FEATURE_GET | UAPI_LOG_START, payload, 24, 24);
}

/* A session from its begin to its end, and what its descriptor takes. */
static void ask_session(void)
{
    struct uapi_precopy_info info = { .argsz = sizeof(info) };
    char byte = 0;
    int fd = set_state(PRE_COPY);

    (void)ioctl(fd, UAPI_MIG_GET_PRECOPY_INFO, &info);
    info.argsz = sizeof(info) - 1;
    (void)ioctl(fd, UAPI_MIG_GET_PRECOPY_INFO, &info);
    (void)ioctl(fd, UAPI_FEATURE + 100, &info);
    (void)write(fd, &byte, 1);
    device.bytes = drain(fd, 0);
    if (set_state(STOP_COPY) != -1) {
        fail("STOP_COPY");
    }
    info.argsz = sizeof(info);
    (void)ioctl(fd, UAPI_MIG_GET_PRECOPY_INFO, &info);
    device.bytes = drain(fd, device.bytes);
    (void)read(fd, &byte, 1);
    (void)set_state(STOP);
    (void)read(fd, &byte, 1);
    (void)ioctl(fd, UAPI_MIG_GET_PRECOPY_INFO, &info);
    end(fd);

    fd = set_state(RESUMING);
    (void)read(fd, &byte, 1);
    (void)ioctl(fd, UAPI_MIG_GET_PRECOPY_INFO, &info);
    load(fd);
    (void)set_state(STOP);
    (void)write(fd, &byte, 1);
    end(fd);
    (void)set_state(RUNNING);
    get_state();
}

/* Two sessions at a time: the older one ends. */
static void ask_second_session(void)
{
    char byte;
    int old = set_state(PRE_COPY);
    int fresh;

    (void)set_state(RUNNING);
    fresh = set_state(PRE_COPY);
    (void)read(old, &byte, 1);
    end(old);
    (void)read(fresh, &byte, 1);
    (void)set_state(RUNNING);
    end(fresh);
}

/* To a state by a way that is allowed. Return: its data descriptor, or -1. */
static int reach(uint32_t state)
{
    int fd = state == RUNNING ? -1 : set_state(state);

    if (fd == -2) {
        fail("a state is not reached");
    }
    if (state == RESUMING) {
        load(fd);
    }
    return fd;
}

static int never_returns(uint32_t from, uint32_t to)
{
    return from == STOP_COPY && (to == PRE_COPY || to == PRE_COPY_P2P);
}

/* From every state to every other one, and to some that there are not. */
static void ask_arcs(void)
{
    for (uint32_t from = STOP; from <= PRE_COPY_P2P; from++) {
        for (uint32_t to = ERROR; to < STATES_ASKED; to++) {
            int fd;

            if (never_returns(from, to)) {
                continue;
            }
            fd = reach(from);
            end(set_state(to));
            get_state();
            end(fd);
            if (to == RESUMING || (from == RESUMING && to >= STATES_ASKED - 2u)) {
                reset();
            }
            if (set_state(RUNNING) == -2) {
                reset();
            }
            get_state();
        }
    }
}

/* RESUMING is not left without data: only a reset does. */
static void ask_empty(void)
{
    int fd = set_state(RESUMING);

    (void)set_state(STOP);
    reset();
    get_state();
    end(fd);
}

static void log_start(uint64_t page, uint32_t ranges, const struct uapi_log_range *range)
{
    struct uapi_log_start start = { .page_size = page,
                                    .ranges = ranges,
                                    .range = (uintptr_t)range };

    (void)feature(UAPI_FEATURE_SET | UAPI_LOG_START, &start, sizeof(start),
                  sizeof(start));
}

static void log_report(uint64_t iova, uint64_t length, uint64_t page)
{
    uint64_t bitmap[4] = { 0 };
    struct uapi_log_report report = {
        .iova = iova, .length = length, .page_size = page, .bitmap = (uintptr_t)bitmap
    };

    (void)feature(UAPI_FEATURE_GET | UAPI_LOG_REPORT, &report, sizeof(report),
                  sizeof(report));
}

static void ask_log(void)
{
    static const struct uapi_log_range good[] = { { 0x100000, 0x10000 },
                                                  { 0x200000, 0x10000 } };
    static const struct uapi_log_range overlap[] = { { 0x100000, 0x10000 },
                                                     { 0x108000, 0x10000 } };
    static const struct uapi_log_range odd[] = { { 0x100100, 0x10000 } };
    static const struct uapi_log_range beyond[] = { { UINT64_MAX - 0xfff, 0x2000 } };

    log_report(0x100000, 0x10000, PAGE);
    (void)feature(UAPI_FEATURE_SET | UAPI_LOG_STOP, &(char){ 0 }, 0, 0);
    log_start(PAGE, 0, good);
    log_start(PAGE, 1, NULL);
    log_start(PAGE, 1, odd);
    log_start(PAGE, 1, beyond);
    log_start(PAGE, 2, overlap);
    log_start(PAGE, 1u << 20, good);
    log_start(PAGE, 2, good);
    log_start(PAGE, 2, good);
    log_report(0x100000, 0x10000, PAGE);
    log_report(0x100000, 0, PAGE);
    log_report(0x100000, 0x10000, 3);
    log_report(UINT64_MAX - 0xfff, 0x2000, PAGE);
    (void)set_state(STOP);
    log_report(0x100000, 0x10000, PAGE);
    (void)set_state(RUNNING);
    (void)feature(UAPI_FEATURE_SET | UAPI_LOG_STOP, &(char){ 0 }, 0, 0);
    log_report(0x100000, 0x10000, PAGE);
}

int main(int argc, char **argv)
{
    struct uapi_bind bind = { .argsz = 16 };

    if (argc != 2) {
        fprintf(stderr, "usage: vfio_ask /dev/vfio/devices/vfioN\n");
        return 2;
    }
    /* First, since the bridge has an iommufd for a device that waits for one. */
    device.fd = open(argv[1], O_RDWR | O_CLOEXEC);
    bind.iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
    if (device.fd < 0 || bind.iommufd < 0 || ioctl(device.fd, UAPI_BIND, &bind) < 0) {
        fail(argv[1]);
    }
    ask_features();
    ask_session();
    ask_second_session();
    ask_arcs();
    ask_empty();
    ask_log();
    return 0;
}
