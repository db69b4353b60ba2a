/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../link/test_link_raw.h"
#include "ferry/device.h"
#include "link/client/client.h"
#include "os/clock.h"
#include "os/eventfd.h"

/* Several devices and users in one process: in one thread, in a thread each, and the
 * example that does so. */

#define FLOOD 4000u
#define ROUNDS 200u

static const char *program; /* the example */

struct cell {
    uint32_t value;
    struct ferry_device *device;
    struct ferry_server *server;
    char path[64];
    pthread_t thread;
    int status;
};

struct world {
    char folder[32];
    struct cell cell[2];
    int stop; /* an eventfd */
    pthread_t thread;
};

static int cell_read(void *state, struct ferry_device *device, uint32_t region,
                     uint64_t off, void *ret_data, size_t count)
{
    const struct cell *cell = state;

    (void)device;
    (void)region;
    (void)off;
    memset(ret_data, 0, count);
    memcpy(ret_data, &cell->value, count < 4 ? count : 4);
    return FERRY_OK;
}

static int cell_write(void *state, struct ferry_device *device, uint32_t region,
                      uint64_t off, const void *data, size_t count)
{
    struct cell *cell = state;

    (void)device;
    (void)region;
    (void)off;
    memcpy(&cell->value, data, count < 4 ? count : 4);
    return FERRY_OK;
}

static void open_all(struct world *world)
{
    static const struct ferry_device_ops ops = { .struct_size = sizeof(ops),
                                                 .region_read = cell_read,
                                                 .region_write = cell_write };

    memset(world, 0, sizeof(*world));
    strcpy(world->folder, "/tmp/ferry-several-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    assert_int_equal(ferry_os_eventfd_create(&world->stop), FERRY_OK);
    for (uint32_t i = 0; i < 2; i++) {
        struct cell *cell = &world->cell[i];
        const struct ferry_device_desc desc = { .struct_size = sizeof(desc),
                                                .ops = &ops,
                                                .state = cell,
                                                .identity = { .model = "cell" },
                                                .region = { { .size_bytes = 1 << 20 } } };
        const struct ferry_server_options options = { .struct_size = sizeof(options),
                                                      .path = cell->path };

        snprintf(cell->path, sizeof(cell->path), "%s/%u", world->folder, i);
        assert_int_equal(ferry_device_create(&desc, &cell->device, NULL), FERRY_OK);
        assert_int_equal(ferry_server_create(cell->device, &options, &cell->server, NULL),
                         FERRY_OK);
    }
}

static void close_all(struct world *world)
{
    for (uint32_t i = 0; i < 2; i++) {
        ferry_server_destroy(world->cell[i].server);
        ferry_device_destroy(world->cell[i].device);
    }
    close(world->stop);
    (void)rmdir(world->folder);
}

/* Both devices in this one thread. */
static void *serve_both(void *user)
{
    struct world *world = user;
    struct pollfd ready[3] = { { .fd = world->stop, .events = POLLIN } };

    for (uint32_t i = 0; i < 2; i++) {
        ready[i + 1].fd = ferry_server_fd(world->cell[i].server);
        ready[i + 1].events = POLLIN;
    }
    while (ready[0].revents == 0) {
        if (poll(ready, 3, -1) < 0) {
            break;
        }
        for (uint32_t i = 0; i < 2; i++) {
            if (ready[i + 1].revents != 0 &&
                ferry_server_dispatch(world->cell[i].server, 0) != FERRY_OK) {
                return world;
            }
        }
    }
    return NULL;
}

static struct ferry_client *connect_to(const char *path)
{
    const struct ferry_client_options options = { .struct_size = sizeof(options) };
    const uint64_t limit_ns = ferry_os_now_ns() + 5u * (uint64_t)FERRY_NS_PER_S;
    struct ferry_client *client = NULL;
    int status;

    do {
        status = ferry_client_connect(path, &options, &client, NULL);
        if (status == FERRY_E_NOT_FOUND) {
            ferry_os_sleep_ns(2 * (uint64_t)FERRY_NS_PER_MS);
        }
    } while (status == FERRY_E_NOT_FOUND && ferry_os_now_ns() < limit_ns);
    assert_int_equal(status, FERRY_OK);
    return client;
}

static int access_value(struct ferry_client *client, uint32_t kind, uint32_t *value)
{
    struct ferry_request request = { .kind = kind };

    request.u.io = (struct ferry_region_io){ .count = 4, .data = value };
    return ferry_client_call(client, &request);
}

/* Writes and reads back often; the values are the client's own. */
static int use(struct ferry_client *client, uint32_t seed)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t value = seed + i, back = 0;
        int status = access_value(client, FERRY_RQ_REGION_WRITE, &value);

        if (status == FERRY_OK) {
            status = access_value(client, FERRY_RQ_REGION_READ, &back);
        }
        if (status != FERRY_OK || back != value) {
            return status != FERRY_OK ? status : FERRY_E_CORRUPT;
        }
    }
    return FERRY_OK;
}

static void one_thread_serves_two_users(void **state)
{
    struct world world;
    struct ferry_client *client[2];
    void *failed = NULL;

    (void)state;
    open_all(&world);
    assert_int_equal(pthread_create(&world.thread, NULL, serve_both, &world), 0);
    client[0] = connect_to(world.cell[0].path);
    client[1] = connect_to(world.cell[1].path);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(use(client[i % 2], i * 1000), FERRY_OK);
    }
    ferry_client_close(client[0]);
    ferry_client_close(client[1]);
    (void)ferry_os_eventfd_signal(world.stop);
    pthread_join(world.thread, &failed);
    assert_null(failed);
    close_all(&world);
}

/* Half a message; then as many requests as fit whose replies nobody reads; then rubbish.
 */
static void a_hostile_user_holds_up_its_own_device_only(void **state)
{
    struct world world;
    struct ferry_client *good;
    uint8_t bytes[64];
    void *failed = NULL;
    size_t size;
    int bad;

    (void)state;
    open_all(&world);
    assert_int_equal(pthread_create(&world.thread, NULL, serve_both, &world), 0);
    good = connect_to(world.cell[1].path);
    bad = raw_connect(world.cell[0].path);
    raw_send(bad, "\0\0\1", 3); /* of a VERSION that does not come */
    assert_int_equal(use(good, 1), FERRY_OK);
    close(bad);
    bad = raw_client(world.cell[0].path);
    for (uint32_t i = 0; i < FLOOD; i++) {
        size = raw_region(bytes, (uint16_t)i, RAW_REGION_READ, 0, 0, 4096, NULL);
        if (send(bad, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size) {
            break;
        }
    }
    assert_int_equal(use(good, 5), FERRY_OK);
    close(bad);
    bad = raw_client(world.cell[0].path);
    memset(bytes, 0xff, sizeof(bytes));
    raw_send(bad, bytes, sizeof(bytes));
    assert_int_equal(use(good, 9), FERRY_OK);
    close(bad);
    raw_assert_serves(world.cell[0].path); /* and its device is there for the next */
    ferry_client_close(good);
    (void)ferry_os_eventfd_signal(world.stop);
    pthread_join(world.thread, &failed);
    assert_null(failed);
    close_all(&world);
}

static void *serve_one(void *user)
{
    struct cell *cell = user;

    cell->status = ferry_server_run(cell->server);
    return NULL;
}

static void *use_one(void *user)
{
    struct cell *cell = user;
    struct ferry_client *client = connect_to(cell->path);

    cell->status = use(client, cell->value);
    ferry_client_close(client);
    return NULL;
}

static void two_threads_serve_two_users(void **state)
{
    struct world world;
    struct cell user[2];

    (void)state;
    open_all(&world);
    for (uint32_t i = 0; i < 2; i++) {
        struct cell *cell = &world.cell[i];

        assert_int_equal(pthread_create(&cell->thread, NULL, serve_one, cell), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        memset(&user[i], 0, sizeof(user[i]));
        memcpy(user[i].path, world.cell[i].path, sizeof(user[i].path));
        user[i].value = 1000 * (i + 1);
        assert_int_equal(pthread_create(&user[i].thread, NULL, use_one, &user[i]), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        pthread_join(user[i].thread, NULL);
        assert_int_equal(user[i].status, FERRY_OK);
        ferry_server_stop(world.cell[i].server);
        pthread_join(world.cell[i].thread, NULL);
        assert_int_equal(world.cell[i].status, FERRY_OK);
    }
    close_all(&world);
}

static void the_example_serves_each_its_own(void **state)
{
    char folder[] = "/tmp/ferry-several-XXXXXX", exe[512], path[2][64];
    char *const args[] = { exe, path[0], path[1], NULL };
    char *const environment[] = { NULL };
    struct ferry_client *client[2];
    struct ferry_request set = { .kind = FERRY_RQ_SET_IRQS };
    uint32_t value = 7, back = 99;
    uint64_t count = 0;
    int fd = -1, ended = 0;
    pid_t pid;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(exe, sizeof(exe), "%s", program);
    snprintf(path[0], sizeof(path[0]), "%s/a", folder);
    snprintf(path[1], sizeof(path[1]), "%s/b", folder);
    assert_int_equal(posix_spawn(&pid, program, NULL, NULL, args, environment), 0);
    client[0] = connect_to(path[0]);
    client[1] = connect_to(path[1]);
    assert_int_equal(ferry_os_eventfd_create(&fd), FERRY_OK);
    set.u.irq_set = (struct ferry_irq_set){ .flags = FERRY_IRQ_SET_DATA_EVENTFD |
                                                     FERRY_IRQ_SET_TRIGGER,
                                            .count = 1,
                                            .fds = &fd,
                                            .fd_count = 1 };
    assert_int_equal(ferry_client_call(client[0], &set), FERRY_OK);
    assert_int_equal(access_value(client[0], FERRY_RQ_REGION_WRITE, &value), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_drain(fd, &count), FERRY_OK);
    assert_int_equal(count, 1);
    assert_int_equal(access_value(client[0], FERRY_RQ_REGION_READ, &back), FERRY_OK);
    assert_int_equal(back, 7);
    assert_int_equal(access_value(client[1], FERRY_RQ_REGION_READ, &back), FERRY_OK);
    assert_int_equal(back, 0);
    ferry_client_close(client[0]);
    ferry_client_close(client[1]);
    close(fd);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    assert_int_equal(rmdir(folder), 0); /* the sockets are gone */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_serves_two_users),
        cmocka_unit_test(a_hostile_user_holds_up_its_own_device_only),
        cmocka_unit_test(two_threads_serve_two_users),
        cmocka_unit_test(the_example_serves_each_its_own),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: %s EXAMPLE\n", argv[0]);
        return 2;
    }
    program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
