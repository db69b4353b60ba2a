/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* memfd_create */
#include "bench/state_device.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/rig.h"
#include "ferry/device.h"

struct state {
    uint8_t *bytes;
    size_t size, at;
    uint64_t bytes_per_s, begun_ns; /* bytes_per_s 0: as fast as it goes */
};

static struct ferry_server *server;

static void stop(int signal_number)
{
    (void)signal_number;
    ferry_server_stop(server);
}

static int arc(void *user, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct state *state = user;

    (void)device;
    if (to == FERRY_STATE_STOP_COPY || to == FERRY_STATE_RESUMING) {
        state->at = 0;
        state->begun_ns = bench_now_ns();
    }
    if (from == FERRY_STATE_RESUMING && to == FERRY_STATE_STOP &&
        state->at != state->size) {
        return FERRY_E_SHORT;
    }
    return FERRY_OK;
}

/* Waits until what was given so far is due. */
static void keep_pace(const struct state *state)
{
    uint64_t due = state->begun_ns +
                   (uint64_t)((double)state->at * 1e9 / (double)state->bytes_per_s);
    uint64_t now = bench_now_ns();

    if (due > now) {
        struct timespec rest = { .tv_sec = (time_t)((due - now) / 1000000000u),
                                 .tv_nsec = (long)((due - now) % 1000000000u) };

        nanosleep(&rest, NULL);
    }
}

static int save(void *user, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct state *state = user;
    size_t count = state->size - state->at;

    if (ferry_device_state(device) != FERRY_STATE_STOP_COPY) {
        return FERRY_E_DRY;
    }
    count = count < cap ? count : cap;
    memcpy(ret_data, state->bytes + state->at, count);
    state->at += count;
    if (state->bytes_per_s > 0) {
        keep_pace(state);
    }
    return (int)count;
}

/* The same where it lies. */
static int save_lend(void *user, struct ferry_device *device, void *buffer, size_t cap,
                     const void **ret_data)
{
    struct state *state = user;
    size_t count = state->size - state->at;

    (void)device, (void)buffer;
    count = count < cap ? count : cap;
    *ret_data = state->bytes + state->at;
    state->at += count;
    if (state->bytes_per_s > 0) {
        keep_pace(state);
    }
    return (int)count;
}

static int load(void *user, struct ferry_device *device, const void *data, size_t count)
{
    struct state *state = user;

    (void)device;
    if (count > state->size - state->at) {
        return FERRY_E_LONG;
    }
    memcpy(state->bytes + state->at, data, count);
    state->at += count;
    return FERRY_OK;
}

static size_t load_place(void *user, struct ferry_device *device, size_t most,
                         void **ret_place)
{
    struct state *state = user;
    size_t room = state->size - state->at;

    (void)device;
    *ret_place = state->bytes + state->at;
    return most < room ? most : room;
}

static int load_done(void *user, struct ferry_device *device, size_t count)
{
    struct state *state = user;

    (void)device;
    state->at += count;
    return FERRY_OK;
}

static int precopy_info(void *user, struct ferry_device *device,
                        struct ferry_device_precopy *ret_info)
{
    (void)user, (void)device;
    ret_info->initial_bytes = 0;
    ret_info->dirty_bytes = 0;
    return FERRY_OK;
}

static int data_size(void *user, struct ferry_device *device, uint64_t *ret_bytes)
{
    const struct state *state = user;

    (void)device;
    *ret_bytes = state->size;
    return FERRY_OK;
}

static const struct ferry_device_ops ops = { .struct_size = sizeof(ops),
                                             .arc = arc,
                                             .save = save,
                                             .load = load,
                                             .precopy_info = precopy_info,
                                             .data_size = data_size,
                                             .save_lend = save_lend,
                                             .load_place = load_place,
                                             .load_done = load_done };

/* Until SIGTERM; writes a byte to ready_fd when it listens. */
static void serve(const char *path, size_t state_bytes, uint64_t bytes_per_s,
                  int ready_fd) __attribute__((noreturn));

static void serve(const char *path, size_t state_bytes, uint64_t bytes_per_s,
                  int ready_fd)
{
    struct state state = { .bytes = bench_memory(state_bytes),
                           .size = state_bytes,
                           .bytes_per_s = bytes_per_s };
    struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &ops,
        .state = &state,
        .identity = { .model = "state",
                      .state_version = 1,
                      .state_version_min = 1,
                      .migration_flags =
                          FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY }
    };
    struct ferry_server_options options = { .struct_size = sizeof(options),
                                            .path = path };
    struct ferry_device *device;
    struct ferry_error error;
    char byte = 0;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (ferry_device_create(&desc, &device, &error) != FERRY_OK ||
        ferry_server_create(device, &options, &server, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    signal(SIGTERM, stop);
    bench_write(ready_fd, &byte, 1);
    close(ready_fd);
    ferry_server_run(server);
    ferry_server_destroy(server);
    ferry_device_destroy(device);
    _exit(0);
}

void bench_start_state_devices(int count, size_t state_bytes, uint64_t bytes_per_s)
{
    for (int i = 0; i < count; i++) {
        char path[64], byte;
        int ready[2];

        bench_rig_path(path, sizeof(path), i);
        if (pipe(ready) < 0) {
            bench_die("no pipe");
        }
        if (bench_child() == 0) {
            serve(path, state_bytes, bytes_per_s, ready[1]);
        }
        close(ready[1]);
        bench_read(ready[0], &byte, 1);
        close(ready[0]);
    }
}

int bench_memfd(size_t size, void **ret_address)
{
    int fd = memfd_create("bench", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
        bench_die("no memfd");
    }
    *ret_address =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (*ret_address == MAP_FAILED) {
        bench_die("no memory");
    }
    memset(*ret_address, 1, size);
    return fd;
}

void bench_send_fd(int socket_fd, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char byte = 0;
    struct iovec iov = { &byte, 1 };
    struct msghdr message = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };

    memset(&control, 0, sizeof(control));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    if (sendmsg(socket_fd, &message, 0) != 1) {
        bench_die("cannot send a descriptor");
    }
    close(fd);
}

int bench_receive_fd(int socket_fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec iov = { &byte, 1 };
    struct msghdr message = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    int fd;

    if (recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message)) {
        bench_die("cannot receive a descriptor");
    }
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    return fd;
}
