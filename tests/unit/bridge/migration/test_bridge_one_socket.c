/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_mig_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/reader.h"
#include "base/writer.h"
#include "link/hello/version.h"

/*
 * A server without a twin socket: its DMA messages come between the replies to calls in
 * which several threads of the VMM are. It does DMA before each reply, and takes the
 * commands that come meanwhile afterwards.
 */

#define HEAD 16u
#define MESSAGE_MAX 4096u
#define QUEUE_MAX 16u
#define THREADS 4u
#define READS 300u
#define WAIT_S 10

enum { VERSION = 1, READ = 9, WRITE = 10, DMA_READ = 11, DMA_WRITE = 12 };

struct message {
    uint8_t bytes[MESSAGE_MAX];
};

static struct {
    int listener, fd;
    pthread_t thread;
    uint16_t id;
    uint32_t die; /* 1: with its first DMA message under way */
    uint32_t dma, wrong;
    uint32_t queued;
    struct message queue[QUEUE_MAX];
    struct message in;
} server;

static struct end end;
/* The guest's memory: a word for each address that a call named. */
static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t memory[THREADS + 1][8];

static int reach(uint64_t iova, void *bytes, size_t size, int is_write)
{
    const uint64_t row = iova / 4096;

    if (row > THREADS || size > 8) {
        return FERRY_E_RANGE;
    }
    pthread_mutex_lock(&memory_lock);
    memcpy(is_write ? memory[row] : bytes, is_write ? bytes : memory[row], size);
    pthread_mutex_unlock(&memory_lock);
    return FERRY_OK;
}

static int get_message(struct message *message)
{
    size_t at = 0, want = HEAD;

    while (at < want) {
        ssize_t rc = recv(server.fd, message->bytes + at, want - at, 0);

        if (rc <= 0) {
            return 0;
        }
        at += (size_t)rc;
        want = at >= HEAD ? ferry_load_le32(message->bytes + 4) : want;
        if (want > MESSAGE_MAX) {
            return 0;
        }
    }
    return 1;
}

static void put_message(uint16_t id, uint16_t command, uint32_t flags,
                        const uint8_t *payload, size_t bytes)
{
    uint8_t out[256];

    ferry_store_le16(out, id);
    ferry_store_le16(out + 2, command);
    ferry_store_le32(out + 4, (uint32_t)(HEAD + bytes));
    ferry_store_le32(out + 8, flags);
    ferry_store_le32(out + 12, 0);
    memcpy(out + HEAD, payload, bytes);
    (void)!send(server.fd, out, HEAD + bytes, MSG_NOSIGNAL);
}

/* Return: 0 when the client is gone. ret_word: of a read. */
static int do_dma(uint16_t command, uint64_t iova, uint64_t word, uint64_t *ret_word)
{
    uint8_t payload[24];
    const uint16_t id = ++server.id;

    ferry_store_le64(payload, iova);
    ferry_store_le64(payload + 8, 8);
    ferry_store_le64(payload + 16, word);
    put_message(id, command, 0, payload, command == DMA_WRITE ? 24 : 16);
    server.dma++;
    if (server.die) {
        return 0;
    }
    while (get_message(&server.in)) {
        if ((ferry_load_le32(server.in.bytes + 8) & 0xf) != 1) {
            if (server.queued == QUEUE_MAX) {
                return 0;
            }
            server.queue[server.queued++] = server.in;
            continue;
        }
        server.wrong += ferry_load_le16(server.in.bytes) != id ||
                        (ferry_load_le32(server.in.bytes + 8) & 0x20) != 0;
        *ret_word =
            command == DMA_READ ? ferry_load_le64(server.in.bytes + HEAD + 16) : 0;
        return 1;
    }
    return 0;
}

/* A word goes to memory and comes back. */
static int dma_both(uint64_t iova, uint64_t word)
{
    uint64_t back = 0;
    const int rc =
        do_dma(DMA_WRITE, iova, word, &back) && do_dma(DMA_READ, iova, 0, &back);

    server.wrong += rc && back != word;
    return rc;
}

static int answer(const struct message *ask)
{
    static const uint8_t version[] = "\0\0\1\0{}";
    const uint16_t id = ferry_load_le16(ask->bytes);
    const uint16_t command = ferry_load_le16(ask->bytes + 2);
    uint8_t payload[32];

    if (command == VERSION) {
        put_message(id, command, 1, version, sizeof(version));
        return 1;
    }
    if (command == READ) {
        const uint64_t off = ferry_load_le64(ask->bytes + HEAD);

        if (!dma_both((off >> 32) * 4096, off)) {
            return 0;
        }
        memcpy(payload, ask->bytes + HEAD, 16);
        ferry_store_le64(payload + 16, off * 3);
        put_message(id, command, 1, payload, 24);
        return 1;
    }
    if (command == WRITE) {
        const struct timespec pause = { .tv_nsec = 20000000 };

        /* Nobody waits for an answer then. */
        (void)nanosleep(&pause, NULL);
        return dma_both(THREADS * 4096, ferry_load_le64(ask->bytes + HEAD + 16));
    }
    put_message(id, command, 0x21, payload, 0);
    return 1;
}

static void *play(void *user)
{
    static struct message next;
    int going = 1;

    (void)user;
    server.fd = accept(server.listener, NULL, NULL);
    while (going) {
        if (server.queued > 0) {
            next = server.queue[0];
            memmove(server.queue, server.queue + 1,
                    --server.queued * sizeof(server.queue[0]));
        } else if (!get_message(&next)) {
            break;
        }
        going = answer(&next);
    }
    close(server.fd);
    return NULL;
}

static void begin(uint32_t die)
{
    const struct ferry_identity identity = { .pci_vendor = 0x8086 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    memset(&server, 0, sizeof(server));
    memset(memory, 0, sizeof(memory));
    server.die = die;
    end_dma = reach;
    end_path(&end, "one-socket");
    strcpy(address.sun_path, end.path);
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof(address)),
                     0);
    assert_int_equal(listen(server.listener, 1), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, play, NULL), 0);
    end_bind(&end, &identity);
    assert_false(bridge_link_agreed(end.device.link)->twin_socket);
}

static void finish(void)
{
    bridge_link_give_up(end.device.link);
    bridge_link_close(end.device.link);
    pthread_mutex_destroy(&end.device.lock);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    close(server.listener);
    unlink(end.path);
    end_dma = NULL;
}

static int read_word(uint64_t off, uint64_t *ret_word)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };

    request.u.io.off = off;
    request.u.io.count = 8;
    request.u.io.data = ret_word;
    return bridge_link_call(end.device.link, &request);
}

/* A processor: reads registers of its own and looks at its own memory. Return: how many
 * went wrong. */
static void *processor(void *user)
{
    const uintptr_t number = (uintptr_t)user;
    uintptr_t wrong = 0;

    for (uint32_t i = 0; i < READS; i++) {
        const uint64_t off = (uint64_t)number << 32 | i * 8u;
        uint64_t word = 0, seen = 0;

        if (read_word(off, &word) != FERRY_OK) {
            return (void *)(wrong + 1);
        }
        /* What was written before the reply is there with it. */
        (void)reach(number * 4096, &seen, 8, 0);
        wrong += word != off * 3 || ferry_load_le64((uint8_t *)&seen) != off;
    }
    return (void *)wrong;
}

static uintptr_t run_processors(void)
{
    pthread_t thread[THREADS];
    uintptr_t wrong = 0;

    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, processor, (void *)i), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        void *one = NULL;

        assert_int_equal(pthread_join(thread[i], &one), 0);
        wrong += (uintptr_t)one;
    }
    return wrong;
}

static void dma_between_the_replies_of_many_calls(void **state)
{
    (void)state;
    begin(0);
    assert_int_equal(run_processors(), 0);
    finish();
    assert_int_equal(server.dma, 2 * THREADS * READS);
    assert_int_equal(server.wrong, 0);
    assert_int_equal(atomic_load(&end.losses), 0);
}

static void dma_while_nobody_is_in_a_call(void **state)
{
    const time_t limit = time(NULL) + WAIT_S;
    const uint64_t word = 0x1122334455667788;
    const struct timespec pause = { .tv_nsec = 1000000 };
    uint64_t seen = 0;

    (void)state;
    begin(0);
    assert_int_equal(bridge_link_post(end.device.link, 0, 64, &word, 8), FERRY_OK);
    while (seen != word && time(NULL) < limit) {
        (void)reach(THREADS * 4096, &seen, 8, 0);
        (void)nanosleep(&pause, NULL);
    }
    assert_true(seen == word);
    assert_int_equal(run_processors(), 0);
    finish();
    assert_int_equal(server.wrong, 0);
}

static void a_server_that_dies_in_its_dma_is_lost_once(void **state)
{
    const time_t limit = time(NULL) + WAIT_S;
    const struct timespec pause = { .tv_nsec = 1000000 };

    (void)state;
    begin(1);
    assert_int_equal(run_processors(), THREADS);
    assert_true(bridge_link_dead(end.device.link));
    /* On the service thread; an end of the test's own would not be told. */
    while (atomic_load(&end.losses) == 0 && time(NULL) < limit) {
        (void)nanosleep(&pause, NULL);
    }
    finish();
    assert_int_equal(atomic_load(&end.losses), 1);
    end_said(&end, "the device's server is lost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dma_between_the_replies_of_many_calls),
        cmocka_unit_test(dma_while_nobody_is_in_a_call),
        cmocka_unit_test(a_server_that_dies_in_its_dma_is_lost_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
