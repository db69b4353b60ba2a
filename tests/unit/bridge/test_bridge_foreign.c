/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_mig_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/reader.h"
#include "base/writer.h"
#include "os/clock.h"
#include "os/socket.h"

/*
 * A server that is none of Ferry's: no extension, no size, no pre-copy information, the
 * data by messages alone. It may fall silent or die at a request.
 */

#define MIB (1u << 20)
#define HEAD 16u
#define GET 0x10000u
#define SET 0x20000u

enum { VERSION = 1, INFO = 4, FEATURE = 16, READ = 17, WRITE = 18 };

struct foreign {
    int listener, fd;
    const char *json; /* of VERSION */
    uint32_t features;
    uint64_t state_bytes, precopy_bytes;
    uint64_t saved, loaded, spoilt;
    uint32_t first_state; /* 0: RUNNING */
    uint32_t state, reads, writes, largest;
    uint32_t die_at, hush_at; /* a command: READ, WRITE, or the state of a SET + 100 */
    uint32_t refuse_set;      /* 1: every change of state is */
    uint8_t *in, *out;
    pthread_t thread;
};

static struct foreign server;
static struct end end;
static struct bytes data;

static int get_all(uint8_t *bytes, size_t size)
{
    size_t at = 0;

    while (at < size) {
        ssize_t rc = recv(server.fd, bytes + at, size - at, 0);

        if (rc <= 0) {
            return 0;
        }
        at += (size_t)rc;
    }
    return 1;
}

/* A reply whose payload is at out + HEAD. */
static void reply(const uint8_t *ask, uint32_t flags, uint32_t error, size_t bytes)
{
    uint8_t *out = server.out;
    size_t at = 0;

    memcpy(out, ask, 4);
    ferry_store_le32(out + 4, (uint32_t)(HEAD + bytes));
    ferry_store_le32(out + 8, flags);
    ferry_store_le32(out + 12, error);
    while (at < HEAD + bytes) {
        ssize_t rc = send(server.fd, out + at, HEAD + bytes - at, MSG_NOSIGNAL);

        if (rc <= 0) {
            return;
        }
        at += (size_t)rc;
    }
}

static void refuse(const uint8_t *ask, uint32_t error)
{
    reply(ask, 0x21, error, 0);
}

static void answer_version(const uint8_t *ask)
{
    uint8_t *at = server.out + HEAD;

    ferry_store_le16(at, 0);
    ferry_store_le16(at + 2, 1);
    memcpy(at + 4, server.json, strlen(server.json) + 1);
    reply(ask, 1, 0, 4 + strlen(server.json) + 1);
}

static void set_state(uint32_t state)
{
    if (state == FERRY_STATE_RESUMING) {
        server.loaded = server.spoilt = 0;
    }
    if (state == FERRY_STATE_PRE_COPY ||
        (state == FERRY_STATE_STOP_COPY && server.state == FERRY_STATE_STOP)) {
        server.saved = 0;
    }
    server.state = state;
}

/* Return: 0: no answer any more, -1: dead. */
static int answer_feature(const uint8_t *ask)
{
    uint32_t flags = ferry_load_le32(ask + HEAD + 4), index = flags & 0xffff;
    uint8_t *at = server.out + HEAD;

    memcpy(at, ask + HEAD, 16);
    if (index == 1 && (flags & GET)) {
        ferry_store_le64(at + 8, server.features);
        reply(ask, 1, 0, 16);
    } else if (index == 2 && (flags & GET)) {
        ferry_store_le32(at + 8, server.state);
        reply(ask, 1, 0, 16);
    } else if (index == 2) {
        uint32_t state = ferry_load_le32(ask + HEAD + 8);

        if (server.die_at == 100 + state || server.hush_at == 100 + state) {
            return server.die_at == 100 + state ? -1 : 0;
        }
        if (server.refuse_set) {
            refuse(ask, EBUSY);
        } else if (server.state == FERRY_STATE_RESUMING &&
                   (server.loaded != server.state_bytes || server.spoilt)) {
            refuse(ask, EINVAL);
        } else {
            set_state(state);
            reply(ask, 1, 0, 16);
        }
    } else {
        refuse(ask, EINVAL);
    }
    return 1;
}

static void answer_read(const uint8_t *ask)
{
    uint32_t want = ferry_load_le32(ask + HEAD + 4), count = 0;
    uint64_t limit =
        server.state == FERRY_STATE_STOP_COPY ? server.state_bytes : server.precopy_bytes;
    uint8_t *at = server.out + HEAD;

    server.reads++;
    for (; count < want && server.saved < limit; count++, server.saved++) {
        at[8 + count] = vault_byte(9, server.saved);
    }
    ferry_store_le32(at, 8 + count);
    ferry_store_le32(at + 4, count);
    reply(ask, 1, 0, 8 + count);
}

static void answer_write(const uint8_t *ask)
{
    uint32_t count = ferry_load_le32(ask + HEAD + 4), i;

    server.writes++;
    server.largest = count > server.largest ? count : server.largest;
    for (i = 0; i < count; i++) {
        server.spoilt += ask[HEAD + 8 + i] != vault_byte(9, server.loaded + i);
    }
    server.loaded += count;
    reply(ask, 1, 0, 0);
}

static int answer(const uint8_t *ask)
{
    uint32_t command = ferry_load_le16(ask + 2);

    if (command == server.die_at || command == server.hush_at) {
        return command == server.die_at ? -1 : 0;
    }
    switch (command) {
    case VERSION:
        answer_version(ask);
        break;
    case FEATURE:
        return answer_feature(ask);
    case READ:
        answer_read(ask);
        break;
    case WRITE:
        answer_write(ask);
        break;
    default:
        refuse(ask, EINVAL);
        break;
    }
    return 1;
}

static void *play(void *user)
{
    int going = 1;

    (void)user;
    server.fd = accept(server.listener, NULL, NULL);
    while (going >= 0 && get_all(server.in, HEAD)) {
        uint32_t size = ferry_load_le32(server.in + 4);

        if (size > 2 * MIB || !get_all(server.in + HEAD, size - HEAD)) {
            break;
        }
        going = going > 0 ? answer(server.in) : 0;
    }
    close(server.fd);
    return NULL;
}

/* json: of VERSION; the device begins in RUNNING. */
static void begin(uint32_t features, uint64_t state_bytes, uint64_t precopy_bytes)
{
    struct ferry_identity identity = { .pci_vendor = 0x8086 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    end_path(&end, "foreign");
    server.json = server.json ? server.json : "{}";
    server.features = features;
    server.state_bytes = state_bytes;
    server.precopy_bytes = precopy_bytes;
    server.state = server.first_state ? server.first_state : FERRY_STATE_RUNNING;
    server.in = malloc(2 * MIB);
    server.out = malloc(2 * MIB);
    assert_true(server.in && server.out);
    strcpy(address.sun_path, end.path);
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof(address)),
                     0);
    assert_int_equal(listen(server.listener, 1), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, play, NULL), 0);
    end.device.token.timeout_ms = server.hush_at ? 500 : 5000;
    end_bind(&end, &identity);
}

static int finish(void **state)
{
    (void)state;
    end_unbind(&end);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    close(server.listener);
    unlink(end.path);
    free(server.in);
    free(server.out);
    memset(&server, 0, sizeof(server));
    bytes_free(&data);
    return 0;
}

static void load(void)
{
    assert_int_equal(end_set(&end, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&end, &data, 32768), 0);
    assert_int_equal(server.loaded, server.state_bytes);
    assert_int_equal(server.spoilt, 0);
    assert_int_equal(server.state, FERRY_STATE_STOP);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
}

static void its_data_goes_by_messages_and_comes_back(void **state)
{
    (void)state;
    begin(FERRY_MIG_STOP_COPY, 5 * MIB + 123, 0);
    end_save(&end, &data, MIB);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    load();
    /* 161 writes of 32 KiB became some of 1 MiB. */
    assert_int_equal(server.writes, 6);
    assert_int_equal(server.largest, MIB);
}

static void every_length_comes_whole(void **state)
{
    static const uint64_t sizes[] = { 0, 1, 4095, MIB - 16, MIB, 2 * MIB - 32, 3 * MIB };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        begin(FERRY_MIG_STOP_COPY, sizes[i], 0);
        end_save(&end, &data, i % 2 ? MIB : 50000);
        assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
        load();
        if (i + 1 < sizeof(sizes) / sizeof(sizes[0])) {
            (void)finish(NULL);
        }
    }
}

static void small_messages_of_a_server_are_kept(void **state)
{
    (void)state;
    server.json = "{\"capabilities\":{\"max_data_xfer_size\":65536}}";
    begin(FERRY_MIG_STOP_COPY, MIB + 7, 0);
    end_save(&end, &data, MIB);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    load();
    assert_int_equal(server.largest, 65536);
}

static void what_it_has_before_the_stop_comes_first(void **state)
{
    struct bridge_vfio_precopy_info info = { .argsz = sizeof(info) };
    uint64_t bytes;

    (void)state;
    begin(FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY, 3 * MIB, 2 * MIB);
    assert_int_equal(end_set(&end, FERRY_STATE_PRE_COPY), 0);
    /* It tells nothing: something initial is assumed until it has nothing for now. */
    assert_int_equal(vmm_ioctl(end.fd, BRIDGE_VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_true(info.initial_bytes > 0);
    assert_int_equal(end_read_all(&end, &data, MIB), -ENOMSG);
    assert_int_equal(vmm_ioctl(end.fd, BRIDGE_VFIO_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_int_equal(info.initial_bytes + info.dirty_bytes, 0);
    assert_int_equal(bridge_migration_data_size(end.device.migration, &bytes), 0);
    assert_true(bytes >= MIB && bytes < 2 * MIB);
    end_said(&end, "does not tell how long");
    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), 0);
    assert_int_equal(end_read_all(&end, &data, MIB), 0);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    load();
    /* Now it is known how much that was. */
    assert_int_equal(bridge_migration_data_size(end.device.migration, &bytes), 0);
    assert_true(bytes >= 3 * MIB);
}

static void a_state_that_is_left_early_drops_what_was_read_ahead(void **state)
{
    uint8_t byte;

    (void)state;
    begin(FERRY_MIG_STOP_COPY, 5 * MIB, 0);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), 0);
    assert_int_equal(vmm_read(end.fd, &byte, 1), 1);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    assert_int_equal(vmm_read(end.fd, &byte, 1), -ENODEV);
    end_save(&end, &data, MIB);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    load();
}

static void what_was_read_ahead_outlives_a_refused_change(void **state)
{
    uint8_t first[256];
    ssize_t got;
    int fd;

    (void)state;
    begin(FERRY_MIG_STOP_COPY, 5 * MIB, 0);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), 0);
    got = vmm_read(end.fd, first, sizeof(first));
    assert_true(got > 0);
    bytes_add(&data, first, (size_t)got);
    server.refuse_set = 1;
    assert_true(bridge_migration_set_state(end.device.migration, FERRY_STATE_STOP, &fd) <
                0);
    server.refuse_set = 0;
    assert_int_equal(end_read_all(&end, &data, MIB), 0);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    load();
}

static void a_refused_state_fails_the_last_write(void **state)
{
    (void)state;
    begin(FERRY_MIG_STOP_COPY, 100000, 0);
    end_save(&end, &data, MIB);
    server.state_bytes++;
    assert_int_equal(end_set(&end, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&end, &data, 32768), -EINVAL);
    assert_int_equal(server.state, FERRY_STATE_RESUMING);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), -EINVAL);
    assert_int_equal(atomic_load(&end.alarms), 1);
}

/* QEMU never asks for the state that it believes in. */
static void a_state_that_outlives_a_client_or_a_reset_is_left_for_running(void **state)
{
    (void)state;
    server.first_state = FERRY_STATE_STOP;
    begin(FERRY_MIG_STOP_COPY, 1000, 0);
    assert_int_equal(server.state, FERRY_STATE_RUNNING);
    end_said(&end, "begins in STOP");
    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), 0);
    bridge_migration_reset(end.device.migration);
    assert_int_equal(server.state, FERRY_STATE_RUNNING);
    assert_int_equal(end_get(&end), FERRY_STATE_RUNNING);
    end_said(&end, "after a reset in STOP_COPY");
    /* Half a state must not run. */
    assert_int_equal(end_set(&end, FERRY_STATE_RESUMING), 0);
    bridge_migration_reset(end.device.migration);
    assert_int_equal(server.state, FERRY_STATE_RESUMING);
}

static void a_server_that_dies_on_the_way_back_is_not_replaced(void **state)
{
    (void)state;
    begin(FERRY_MIG_STOP_COPY, 1000, 0);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP), 0);
    server.refuse_set = 1;
    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), -EBUSY);
    server.die_at = 100 + FERRY_STATE_RUNNING;
    assert_int_equal(bridge_migration_recover(end.device.migration), 1);
    end_said(&end, "stays lost");
    assert_int_equal(atomic_load(&end.alarms), 0);
}

/* A server's end of a data descriptor: to every WANT it answers that there is nothing. */
static void *be_dry(void *user)
{
    const int *fd = user;
    struct ferry_frame_stream out, in;
    struct ferry_frame frame;
    uint8_t head[FERRY_FRAME_BYTES];

    ferry_frame_stream_init(&out, FERRY_FRAME_SAVE_SERVER);
    ferry_frame_stream_init(&in, FERRY_FRAME_SAVE_CLIENT);
    while (recv(*fd, head, sizeof(head), MSG_WAITALL) == (ssize_t)sizeof(head) &&
           ferry_frame_decode(&in, head, &frame, NULL) == FERRY_OK) {
        ferry_frame_encode(&out, FERRY_FRAME_DRY, 0, 0, head);
        if (send(*fd, head, sizeof(head), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    return NULL;
}

/* QEMU reads to the end while its guest stands still. */
static void data_without_an_end_fails_the_read(void **state)
{
    struct bridge_save *save;
    uint8_t *buffer = malloc(MIB);
    ssize_t rc;

    (void)state;
    assert_non_null(buffer);
    begin(FERRY_MIG_STOP_COPY, 5 * MIB, 0);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), 0);
    save = end.device.migration->data->save;
    assert_int_equal(save->limit, BRIDGE_STOPPED_UNKNOWN_BYTES);
    save->limit = 3 * MIB;
    do {
        rc = vmm_read(end.fd, buffer, MIB);
    } while (rc > 0);
    assert_true(rc < 0);
    end_said(&end, "does not end");
    assert_int_equal(end_set(&end, FERRY_STATE_STOP), 0);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    free(buffer);
}

/* The bridge's end of a data descriptor that is played by this test. */
static struct bridge_pipe *play_pipe(int loading, int ends[2])
{
    struct bridge_pipe *pipe = &end.device.migration->pipe;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ferry_frame_stream_init(&pipe->in,
                            loading ? FERRY_FRAME_LOAD_SERVER : FERRY_FRAME_SAVE_SERVER);
    ferry_frame_stream_init(&pipe->out,
                            loading ? FERRY_FRAME_LOAD_CLIENT : FERRY_FRAME_SAVE_CLIENT);
    pipe->timeout_ms = 300;
    assert_int_equal(ferry_os_receive_limit(ends[0], 300), FERRY_OK);
    assert_int_equal(ferry_os_send_limit(ends[0], 300), FERRY_OK);
    pipe->fd = ends[0];
    return pipe;
}

static void a_stopped_device_that_says_nothing_for_now_fails_the_read(void **state)
{
    struct bridge_pipe *pipe;
    pthread_t thread;
    uint8_t buffer[4096];
    ssize_t rc = 0;
    int ends[2], i;

    (void)state;
    begin(FERRY_MIG_STOP_COPY, MIB, 0);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), 0);
    pipe = play_pipe(0, ends);
    assert_int_equal(pthread_create(&thread, NULL, be_dry, &ends[1]), 0);
    for (i = 0; i < 2 && rc >= 0; i++) {
        rc = vmm_read(end.fd, buffer, sizeof(buffer));
    }
    assert_int_equal(rc, -EIO);
    bridge_pipe_close(pipe);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(ends[1]);
}

/* A server that gives or takes a byte each 20 ms: a read or a write of all would last for
 * hours. */
static int drip_fd;
static int drip_gives;
static atomic_int drip_over;

static void *drip(void *user)
{
    struct ferry_frame_stream out;
    uint8_t head[FERRY_FRAME_BYTES], byte = 0;
    ssize_t rc = 1;

    (void)user;
    ferry_frame_stream_init(&out, FERRY_FRAME_SAVE_SERVER);
    ferry_frame_encode(&out, FERRY_FRAME_DATA, FERRY_FRAME_DATA_MAX, 0, head);
    if (drip_gives) {
        rc = send(drip_fd, head, sizeof(head), MSG_NOSIGNAL);
    }
    while (rc > 0 && !atomic_load(&drip_over)) {
        ferry_os_sleep_ns(20 * FERRY_NS_PER_MS);
        rc = drip_gives ? send(drip_fd, &byte, 1, MSG_NOSIGNAL)
                        : recv(drip_fd, &byte, 1, 0);
    }
    return NULL;
}

static void begin_drip(int gives, struct bridge_pipe **ret_pipe, pthread_t *ret_thread)
{
    int ends[2];

    begin(FERRY_MIG_STOP_COPY, MIB, 0);
    assert_int_equal(end_set(&end, gives ? FERRY_STATE_STOP_COPY : FERRY_STATE_RESUMING),
                     0);
    *ret_pipe = play_pipe(!gives, ends);
    drip_gives = gives;
    drip_fd = ends[1];
    atomic_store(&drip_over, 0);
    assert_int_equal(pthread_create(ret_thread, NULL, drip, NULL), 0);
}

static void end_drip(struct bridge_pipe *pipe, pthread_t thread)
{
    bridge_pipe_close(pipe);
    atomic_store(&drip_over, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(drip_fd);
}

static void a_server_that_drips_is_waited_for_no_longer_than_its_limit(void **state)
{
    struct bridge_pipe *pipe;
    uint8_t *buffer = calloc(4, MIB);
    pthread_t thread;
    struct bytes stream;

    (void)state;
    assert_non_null(buffer);
    begin_drip(1, &pipe, &thread);
    assert_in_range(vmm_read(end.fd, buffer, MIB), 1, MIB); /* the header */
    assert_in_range(vmm_read(end.fd, buffer, MIB), 17, MIB - 1);
    end_drip(pipe, thread);
    (void)finish(NULL);
    begin(FERRY_MIG_STOP_COPY, 3 * MIB, 0);
    end_save(&end, &data, MIB);
    stream = data;
    memset(&data, 0, sizeof(data));
    (void)finish(NULL);
    data = stream;
    begin_drip(0, &pipe, &thread);
    assert_int_equal(end_write_all(&end, &data, MIB), -EIO);
    end_said(&end, "within its limit");
    end_drip(pipe, thread);
    free(buffer);
}

static void assert_dead(void)
{
    uint64_t bytes;

    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), -EIO);
    assert_int_equal(bridge_migration_data_size(end.device.migration, &bytes), -EIO);
    /* QEMU's recovery: nobody is looked for, since another server has another state. */
    assert_int_equal(bridge_migration_recover(end.device.migration), 1);
    end_said(&end, "stays lost");
    assert_int_equal(end_set(&end, FERRY_STATE_STOP), 0);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), -EIO);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
}

static void it_dies_or_hushes(uint32_t at)
{
    uint8_t *buffer = malloc(MIB);
    ssize_t rc = 0;

    assert_non_null(buffer);
    begin(FERRY_MIG_STOP_COPY, 5 * MIB, 0);
    if (end_set(&end, FERRY_STATE_STOP_COPY) == 0) {
        assert_int_equal(at, READ);
        do {
            rc = vmm_read(end.fd, buffer, MIB);
        } while (rc > 0);
        assert_int_equal(rc, -EIO);
    } else {
        assert_int_not_equal(at, READ);
    }
    assert_dead();
    free(buffer);
}

static void its_death_fails_everything_at_the_source(void **state)
{
    static const uint32_t at[] = { READ, 100 + FERRY_STATE_STOP,
                                   100 + FERRY_STATE_STOP_COPY };
    size_t i;

    (void)state;
    for (i = 0; i < 5; i++) {
        server.die_at = i < 3 ? at[i] : 0;
        server.hush_at = i < 3 ? 0 : at[i - 3];
        it_dies_or_hushes(at[i % 3]);
        if (i < 4) {
            (void)finish(NULL);
        }
    }
}

static void its_death_fails_everything_at_the_target(void **state)
{
    size_t i;

    (void)state;
    begin(FERRY_MIG_STOP_COPY, 3 * MIB, 0);
    end_save(&end, &data, MIB);
    for (i = 0; i < 3; i++) {
        struct bytes kept = data;

        memset(&data, 0, sizeof(data));
        (void)finish(NULL);
        data = kept;
        server.die_at = i == 0 ? WRITE : i == 1 ? 100 + FERRY_STATE_STOP : 0;
        server.hush_at = i == 2 ? WRITE : 0;
        begin(FERRY_MIG_STOP_COPY, 3 * MIB, 0);
        server.state = FERRY_STATE_STOP;
        end.device.migration->server = FERRY_STATE_STOP;
        assert_int_equal(end_set(&end, FERRY_STATE_RESUMING), 0);
        assert_int_equal(end_write_all(&end, &data, 32768), -EIO);
        assert_true(end_set(&end, FERRY_STATE_RUNNING) < 0);
        assert_int_equal(atomic_load(&end.alarms), 1);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_data_goes_by_messages_and_comes_back),
        TEST(every_length_comes_whole),
        TEST(small_messages_of_a_server_are_kept),
        TEST(what_it_has_before_the_stop_comes_first),
        TEST(a_state_that_is_left_early_drops_what_was_read_ahead),
        TEST(what_was_read_ahead_outlives_a_refused_change),
        TEST(a_refused_state_fails_the_last_write),
        TEST(a_state_that_outlives_a_client_or_a_reset_is_left_for_running),
        TEST(a_server_that_dies_on_the_way_back_is_not_replaced),
        TEST(data_without_an_end_fails_the_read),
        TEST(a_stopped_device_that_says_nothing_for_now_fails_the_read),
        TEST(a_server_that_drips_is_waited_for_no_longer_than_its_limit),
        TEST(its_death_fails_everything_at_the_source),
        TEST(its_death_fails_everything_at_the_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
