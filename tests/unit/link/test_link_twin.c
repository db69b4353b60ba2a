/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/eventfd.h"
#include "os/memory.h"
#include "test_link_fake.h"
#include "test_link_raw.h"

/* The client's side of a twin socket, with a real server and with scripted ones. */

#define MIB (1u << 20)
#define TWIN_0 "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}"

static uint8_t *guest; /* MIB bytes */

static int guest_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    (void)user;
    if (iova > MIB || size > MIB - iova) {
        return FERRY_E_RANGE;
    }
    memcpy(ret_data, guest + iova, size);
    return FERRY_OK;
}

static int guest_write(void *user, uint64_t iova, const void *data, size_t size)
{
    (void)user;
    if (iova > MIB || size > MIB - iova) {
        return FERRY_E_RANGE;
    }
    memcpy(guest + iova, data, size);
    return FERRY_OK;
}

static struct ferry_client_options options(void)
{
    return (struct ferry_client_options){ .struct_size =
                                              sizeof(struct ferry_client_options),
                                          .timeout_ms = 3000,
                                          .memory = { guest_read, guest_write, NULL } };
}

static int make_guest(void **state)
{
    (void)state;
    guest = malloc(MIB);
    assert_non_null(guest);
    for (uint32_t i = 0; i < MIB; i++) {
        guest[i] = (uint8_t)(i * 7 + i / 251);
    }
    return 0;
}

static int free_guest(void **state)
{
    (void)state;
    free(guest);
    return 0;
}

/* A real server. */

static struct served served;
static struct ferry_client *client;

static void connect_served(void)
{
    struct ferry_link_server_options server = { .struct_size = sizeof(server),
                                                .twin = FERRY_LINK_TWIN_ALWAYS };
    struct ferry_client_options mine = options();

    assert_int_equal(
        ferry_client_from_fd(served_start(&served, &server), &mine, &client, NULL),
        FERRY_OK);
}

static void end_served(void)
{
    ferry_client_close(client);
    served_stop(&served);
}

static struct ferry_request transfer(uint32_t kind, uint64_t iova, void *data,
                                     uint32_t count)
{
    struct ferry_request request = { .kind = kind };

    request.u.io.index = FAKE_REGION_DMA;
    request.u.io.off = iova;
    request.u.io.count = count;
    request.u.io.data = data;
    return request;
}

static void a_call_is_answered_while_the_device_reaches_memory(void **state)
{
    uint8_t *data = malloc(MIB);
    struct ferry_request request;

    (void)state;
    assert_non_null(data);
    connect_served();
    request = transfer(FERRY_RQ_REGION_READ, 0, data, MIB);
    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    assert_memory_equal(data, guest, MIB);
    memset(data, 0x5a, MIB);
    request = transfer(FERRY_RQ_REGION_WRITE, 0, data, MIB);
    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    assert_memory_equal(data, guest, MIB);
    request = transfer(FERRY_RQ_REGION_READ, MIB - 4, data, 8);
    assert_int_equal(ferry_client_call(client, &request), FERRY_E_RANGE);
    end_served();
    free(data);
}

static void on_done(struct ferry_request *request)
{
    ++*(int *)request->user;
}

static void one_descriptor_tells_of_both_sockets(void **state)
{
    struct ferry_request request[8];
    uint8_t data[8][64];
    struct pollfd ready;
    int done = 0;

    (void)state;
    connect_served();
    ready.fd = ferry_client_fd(client);
    ready.events = POLLIN;
    assert_true(ready.fd >= 0);
    for (uint32_t i = 0; i < 8; i++) {
        request[i] =
            transfer(FERRY_RQ_REGION_READ, 64 * i, data[i], (uint32_t)sizeof(data[i]));
        request[i].done = on_done;
        request[i].user = &done;
        assert_int_equal(ferry_client_submit(client, &request[i]), FERRY_PENDING);
    }
    while (done < 8) {
        assert_int_equal(poll(&ready, 1, 3000), 1);
        assert_true(ferry_client_dispatch(client) >= 0);
    }
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(request[i].status, FERRY_OK);
        assert_memory_equal(data[i], guest + 64 * i, sizeof(data[i]));
    }
    end_served();
}

static void *call_often(void *user)
{
    uint8_t data[32];

    (void)user;
    for (int i = 0; i < 50; i++) {
        struct ferry_request request =
            transfer(FERRY_RQ_REGION_READ, 128, data, sizeof(data));

        if (ferry_client_call(client, &request) != FERRY_OK ||
            memcmp(data, guest + 128, sizeof(data)) != 0) {
            return user;
        }
    }
    return NULL;
}

static void threads_take_turns_at_both_sockets(void **state)
{
    pthread_t thread[3];
    void *failed;

    (void)state;
    connect_served();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, call_often, &served), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(thread[i], &failed), 0);
        assert_null(failed);
    }
    end_served();
}

/* Sends VERSION with the extension and a wish for a twin. Return: descriptors that came.
 */
static uint32_t twins_given(uint32_t policy, char *ret_text, size_t cap)
{
    struct ferry_link_server_options server = { .struct_size = sizeof(server),
                                                .twin = policy };
    struct ferry_os_fds fds = { .count = 0 };
    struct iovec iov = { .iov_base = ret_text, .iov_len = cap - 1 };
    int fd = served_start(&served, &server);
    uint8_t bytes[256];
    uint32_t count;
    int got;

    raw_send(fd, bytes,
             raw_version(bytes, 1,
                         "{\"capabilities\":{\"twin_socket\":{\"supported\":true},"
                         "\"ferry\":{\"version\":1}}}"));
    got = ferry_os_receive(fd, &iov, 1, &fds, FERRY_OS_WAIT);
    assert_true(got > 20);
    ret_text[got] = 0;
    count = fds.count;
    ferry_os_fds_close(&fds);
    close(fd);
    served_stop(&served);
    return count;
}

static void a_server_gives_none_to_those_that_need_none_unless_told(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(twins_given(FERRY_LINK_TWIN_FOREIGN, text, sizeof(text)), 0);
    assert_non_null(strstr(text + 20, "\"twin_socket\":{\"supported\":false}"));
    assert_int_equal(twins_given(FERRY_LINK_TWIN_NEVER, text, sizeof(text)), 0);
    assert_non_null(strstr(text + 20, "\"twin_socket\":{\"supported\":false}"));
    assert_int_equal(twins_given(FERRY_LINK_TWIN_ALWAYS, text, sizeof(text)), 1);
    assert_non_null(
        strstr(text + 20, "\"twin_socket\":{\"supported\":true,\"fd_index\":0}"));
}

/* Scripted servers. */

struct player {
    const char *version; /* what it answers */
    int give;            /* the descriptor that comes with it; -1: none */
    int fd;
    int twin; /* its own end */
    void (*play)(struct player *player);
    char heard[2048]; /* the client's VERSION */
    uint8_t bytes[4096];
    pthread_t thread;
};

static struct player player;

static void *play(void *user)
{
    struct player *p = user;
    size_t size = raw_receive(p->fd, p->heard, sizeof(p->heard) - 1);
    size_t answer = raw_version(p->bytes, raw_u16(p->heard, 0), p->version);

    p->heard[size] = 0;
    raw_put_u32(p->bytes + 8, RAW_REPLY);
    raw_send_fds(p->fd, p->bytes, answer, &p->give, p->give >= 0);
    ferry_os_close(&p->give);
    if (p->play) {
        p->play(p);
    }
    while (raw_receive(p->fd, p->bytes, sizeof(p->bytes)) > 0) {
    }
    close(p->fd);
    return NULL;
}

/* give: < 0 none. Return: of the connect. */
static int connect_player(const char *version, int give,
                          const struct ferry_client_options *mine,
                          void (*then)(struct player *player))
{
    int fd;

    client = NULL;
    player.version = version;
    player.give = give;
    player.play = then;
    assert_int_equal(ferry_os_socketpair(&fd, &player.fd), FERRY_OK);
    assert_int_equal(pthread_create(&player.thread, NULL, play, &player), 0);
    return ferry_client_from_fd(fd, mine, &client, NULL);
}

static void end_player(void)
{
    ferry_client_close(client);
    assert_int_equal(pthread_join(player.thread, NULL), 0);
    ferry_os_close(&player.twin);
}

/* One whose twin socket is there. */
static void begin(void (*then)(struct player *player))
{
    struct ferry_client_options mine = options();
    int give;

    assert_int_equal(ferry_os_socketpair(&give, &player.twin), FERRY_OK);
    assert_int_equal(connect_player(TWIN_0, give, &mine, then), FERRY_OK);
}

static void refused(const char *version, int give)
{
    struct ferry_client_options mine = options();

    player.twin = -1;
    assert_int_equal(connect_player(version, give, &mine, NULL), FERRY_E_PROTOCOL);
    end_player();
}

static void a_twin_that_does_not_come_is_refused(void **state)
{
    struct ferry_os_address address = { .family = FERRY_OS_TCP, .host = "127.0.0.1" };
    int give, other;

    (void)state;
    refused(TWIN_0, -1);
    assert_int_equal(ferry_os_socketpair(&give, &other), FERRY_OK);
    refused("{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":1}}}",
            give);
    close(other);
    assert_int_equal(ferry_os_socketpair(&give, &other), FERRY_OK);
    refused("{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}", give);
    close(other);
    assert_int_equal(ferry_os_eventfd_create(&give), FERRY_OK);
    refused(TWIN_0, give);
    assert_int_equal(ferry_os_listen(&address, 1, &give, NULL), FERRY_OK);
    refused(TWIN_0, give);
}

static void nobody_asks_without_memory_or_against_its_will(void **state)
{
    struct ferry_client_options mine = options();
    int give;

    (void)state;
    begin(NULL);
    assert_non_null(strstr(player.heard + 20, "\"twin_socket\":{\"supported\":true}"));
    end_player();
    mine.twin = FERRY_CLIENT_TWIN_NONE;
    /* One that gives it nevertheless: the descriptor is closed, and its end is seen. */
    assert_int_equal(ferry_os_socketpair(&give, &player.twin), FERRY_OK);
    assert_int_equal(connect_player(TWIN_0, give, &mine, NULL), FERRY_OK);
    assert_non_null(strstr(player.heard + 20, "\"twin_socket\":{\"supported\":false}"));
    assert_true(raw_is_closed(player.twin));
    end_player();
    mine = options();
    mine.memory.dma_read = NULL;
    mine.memory.dma_write = NULL;
    player.twin = -1;
    assert_int_equal(connect_player("{}", -1, &mine, NULL), FERRY_OK);
    assert_non_null(strstr(player.heard + 20, "\"twin_socket\":{\"supported\":false}"));
    end_player();
}

/* A DMA_READ. Return: its size. */
static size_t dma_read(uint8_t *bytes, uint16_t id, uint64_t iova, uint64_t count)
{
    uint8_t payload[16];

    raw_put_u64(payload, iova);
    raw_put_u64(payload + 8, count);
    return raw_message(bytes, id, RAW_DMA_READ, 0, payload, sizeof(payload));
}

static int read_register(void)
{
    uint32_t value = 0;
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };

    request.u.io.count = sizeof(value);
    request.u.io.data = &value;
    return ferry_client_call(client, &request);
}

/* Takes the client's REGION_READ, for answer_register(). */
static void take_register(struct player *p)
{
    assert_int_equal(raw_receive(p->fd, p->bytes, sizeof(p->bytes)), 32);
}

static void answer_register(struct player *p)
{
    raw_put_u32(p->bytes + 4, 36);
    raw_put_u32(p->bytes + 8, RAW_REPLY);
    raw_put_u32(p->bytes + 32, 0);
    raw_send(p->fd, p->bytes, 36);
}

static void read_in_pieces(struct player *p)
{
    uint8_t bytes[256];
    size_t size = dma_read(bytes, 5, 256, 100);

    take_register(p);
    for (size_t i = 0; i < size; i++) {
        raw_send(p->twin, bytes + i, 1);
    }
    assert_int_equal(raw_receive(p->twin, bytes, sizeof(bytes)), 132);
    assert_int_equal(raw_u16(bytes, 0), 5);
    assert_memory_equal(bytes + 32, guest + 256, 100);
    /* More than was agreed, and memory that is not there: refused, nothing ends. */
    raw_send(p->twin, bytes, dma_read(bytes, 6, 0, UINT64_MAX));
    raw_assert_error(p->twin, 6, RAW_DMA_READ);
    raw_send(p->twin, bytes, dma_read(bytes, 7, MIB, 4));
    raw_assert_error(p->twin, 7, RAW_DMA_READ);
    answer_register(p);
}

static void commands_come_in_any_pieces(void **state)
{
    (void)state;
    begin(read_in_pieces);
    assert_int_equal(read_register(), FERRY_OK);
    end_player();
}

static void close_twin(struct player *p)
{
    take_register(p);
    ferry_os_close(&p->twin);
}

static void reply_on_twin(struct player *p)
{
    take_register(p);
    raw_put_u32(p->bytes + 4, 36);
    raw_put_u32(p->bytes + 8, RAW_REPLY);
    raw_send(p->twin, p->bytes, 36);
}

static void nonsense_on_twin(struct player *p)
{
    uint8_t bytes[64] = { 1 };

    take_register(p);
    raw_send(p->twin, bytes, sizeof(bytes));
}

static void the_end_of_the_twin_and_nonsense_on_it_end_the_connection(void **state)
{
    (void)state;
    begin(close_twin);
    assert_int_equal(read_register(), FERRY_E_CLOSED);
    end_player();
    begin(reply_on_twin);
    assert_int_equal(read_register(), FERRY_E_PROTOCOL);
    end_player();
    begin(nonsense_on_twin);
    assert_int_equal(read_register(), FERRY_E_PROTOCOL);
    end_player();
}

static void command_on_main(struct player *p)
{
    uint8_t bytes[64];

    take_register(p);
    raw_send(p->fd, bytes, dma_read(bytes, 9, 0, 8));
    raw_assert_error(p->fd, 9, RAW_DMA_READ);
    answer_register(p);
}

static void a_command_on_the_main_socket_is_refused_then(void **state)
{
    (void)state;
    begin(command_on_main);
    assert_int_equal(read_register(), FERRY_OK);
    end_player();
}

static void ask_and_never_read(struct player *p)
{
    uint8_t bytes[64];

    take_register(p);
    /* 64 MiB of answers, which no socket holds. */
    for (uint16_t i = 0; i < 64; i++) {
        raw_send(p->twin, bytes, dma_read(bytes, i, 0, MIB));
    }
}

static void a_server_that_reads_no_answers_is_left(void **state)
{
    (void)state;
    begin(ask_and_never_read);
    assert_int_equal(read_register(), FERRY_E_PROTOCOL);
    end_player();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_answered_while_the_device_reaches_memory),
        cmocka_unit_test(one_descriptor_tells_of_both_sockets),
        cmocka_unit_test(threads_take_turns_at_both_sockets),
        cmocka_unit_test(a_server_gives_none_to_those_that_need_none_unless_told),
        cmocka_unit_test(a_twin_that_does_not_come_is_refused),
        cmocka_unit_test(nobody_asks_without_memory_or_against_its_will),
        cmocka_unit_test(commands_come_in_any_pieces),
        cmocka_unit_test(the_end_of_the_twin_and_nonsense_on_it_end_the_connection),
        cmocka_unit_test(a_command_on_the_main_socket_is_refused_then),
        cmocka_unit_test(a_server_that_reads_no_answers_is_left),
    };

    return cmocka_run_group_tests(tests, make_guest, free_guest);
}
