/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ferry/host.h"
#include "link/server/server.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "os/socket.h"
#include "test_host_fake.h"

/* The same devices behind a vfio-user socket, served by another thread. */

/* Short where the limit is what is waited for. */
#define TIMEOUT_MS 10000u
#define SHORT_MS 60u
#define BASE 0x100000u

struct serving {
    char folder[32], path[64], uri[80];
    struct fake_device fake;
    struct ferry_loop *loop;
    struct ferry_link_server *server;
    pthread_t thread;
    pthread_mutex_t lock; /* held while the fake is served or looked at */
    atomic_int stop;
    atomic_int kill;      /* the server dies now */
    int die_when_pending; /* the server dies when the fake keeps a request */
    int running;
};

static void *serve(void *user)
{
    struct serving *serving = user;

    while (!serving->stop) {
        (void)ferry_os_poll(ferry_loop_fd(serving->loop), FERRY_OS_POLL_READ, 1);
        pthread_mutex_lock(&serving->lock);
        (void)ferry_loop_dispatch(serving->loop, 0);
        if (serving->server != NULL &&
            (serving->kill ||
             (serving->die_when_pending && serving->fake.pending_count > 0))) {
            ferry_link_server_destroy(serving->server);
            serving->server = NULL;
        }
        pthread_mutex_unlock(&serving->lock);
    }
    return NULL;
}

static void prepare(struct serving *serving)
{
    memset(serving, 0, sizeof(*serving));
    fake_init(&serving->fake);
    pthread_mutex_init(&serving->lock, NULL);
    strcpy(serving->folder, "/tmp/ferry-test-XXXXXX");
    assert_non_null(mkdtemp(serving->folder));
    snprintf(serving->path, sizeof(serving->path), "%s/s", serving->folder);
    snprintf(serving->uri, sizeof(serving->uri), "vfio-user:%s", serving->path);
}

static void start(struct serving *serving)
{
    const struct ferry_link_server_options options = { .struct_size = sizeof(options) };

    assert_int_equal(ferry_loop_create(&serving->loop), FERRY_OK);
    assert_int_equal(ferry_link_server_listen(serving->path, &serving->fake.endpoint,
                                              serving->loop, &options, &serving->server,
                                              NULL),
                     FERRY_OK);
    assert_int_equal(pthread_create(&serving->thread, NULL, serve, serving), 0);
    serving->running = 1;
}

static void finish(struct serving *serving)
{
    if (serving->running) {
        serving->stop = 1;
        (void)pthread_join(serving->thread, NULL);
        if (serving->server != NULL) {
            ferry_link_server_destroy(serving->server);
        }
        ferry_loop_destroy(serving->loop);
    }
    (void)unlink(serving->path);
    (void)rmdir(serving->folder);
    fake_free(&serving->fake);
}

static void count_lost(void *user, struct ferry_context *context,
                       const struct ferry_host_event *event)
{
    (void)context;
    if (event->kind == FERRY_HOST_DEVICE_LOST) {
        (*(uint32_t *)user)++;
    }
}

static struct ferry_context *new_context(uint32_t *lost, uint32_t timeout_ms)
{
    static const struct ferry_context_ops ops = { .struct_size = sizeof(ops),
                                                  .event = count_lost };
    const struct ferry_context_options options = { .struct_size = sizeof(options),
                                                   .ops = lost != NULL ? &ops : NULL,
                                                   .user = lost,
                                                   .device_timeout_ms = timeout_ms };
    struct ferry_context *context = NULL;

    assert_int_equal(ferry_context_create(&options, &context, NULL), FERRY_OK);
    return context;
}

static void add_a_page(struct ferry_context *context, uint8_t *page)
{
    const struct ferry_memory memory = {
        .iova = BASE, .size = 4096, .address = page, .fd = -1, .writable = 1
    };

    assert_int_equal(ferry_context_add_memory(context, &memory, NULL), 0);
}

static void a_device_behind_a_socket_is_as_one_in_this_process(void **state)
{
    static _Alignas(4096) uint8_t page[4096];
    struct ferry_context *context = new_context(NULL, TIMEOUT_MS);
    const uint32_t value = 0xabcdef01;
    struct ferry_device_view view;
    static struct serving serving;
    uint64_t count = 0;
    void *address;
    uint32_t got = 0;
    int fds[FAKE_VECTORS];

    (void)state;
    prepare(&serving);
    start(&serving);
    add_a_page(context, page);
    assert_int_equal(ferry_context_add_device(context, "d", serving.uri, NULL), 0);
    assert_int_equal(ferry_context_device(context, 0, &view, NULL), FERRY_OK);
    assert_string_equal(view.identity.model, "fake");
    assert_int_equal(view.identity.pci_device, 0x1054);
    assert_int_equal(view.migration_flags, 7);
    assert_int_equal(view.can_log, 1);
    assert_int_equal(view.data_size, 4711);
    assert_int_equal(view.region[2].area_off[0], 0x1000);
    assert_int_equal(view.irq[2], FAKE_VECTORS);

    assert_int_equal(ferry_context_region_write(context, 0, 0, 8, &value, 4, 1),
                     FERRY_OK);
    assert_int_equal(ferry_context_region_read(context, 0, 0, 8, &got, 4), FERRY_OK);
    assert_int_equal(got, value);
    assert_int_equal(
        ferry_context_region_map(context, 0, 2, 0x1000, 0x1000, &address, NULL),
        FERRY_OK);
    memcpy(address, "shared", 7);

    for (uint32_t i = 0; i < FAKE_VECTORS; i++) {
        assert_int_equal(ferry_os_eventfd_create(&fds[i]), FERRY_OK);
    }
    assert_int_equal(ferry_context_set_irqs(context, 0, fds, FAKE_VECTORS, NULL),
                     FERRY_OK);
    assert_int_equal(ferry_context_region_read(context, 0, 0, 8, &got, 4), FERRY_OK);
    pthread_mutex_lock(&serving.lock);
    fake_raise(&serving.fake, 5);
    assert_non_null(fake_map(&serving.fake, BASE));
    pthread_mutex_unlock(&serving.lock);
    assert_int_equal(ferry_os_eventfd_drain(fds[5], &count), FERRY_OK);
    assert_int_equal(count, 1);

    /* The server may still be busy with the old connection's end. */
    assert_int_equal(ferry_context_reopen(context, NULL), FERRY_OK);
    pthread_mutex_lock(&serving.lock);
    assert_int_equal(serving.fake.attaches, 2);
    assert_non_null(fake_map(&serving.fake, BASE));
    pthread_mutex_unlock(&serving.lock);
    assert_int_equal(ferry_context_region_read(context, 0, 0, 8, &got, 4), FERRY_OK);
    ferry_context_destroy(context);
    finish(&serving);
    for (uint32_t i = 0; i < FAKE_VECTORS; i++) {
        ferry_os_close(&fds[i]);
    }
}

static void a_path_alone_is_a_vfio_user_device(void **state)
{
    struct ferry_context *context = new_context(NULL, TIMEOUT_MS);
    static struct serving serving;

    (void)state;
    prepare(&serving);
    start(&serving);
    assert_int_equal(ferry_context_add_device(context, "d", serving.path, NULL), 0);
    assert_int_equal(ferry_context_add_device(context, "e", "vfio-user:", NULL),
                     FERRY_E_ARGUMENT);
    ferry_context_destroy(context);
    finish(&serving);
}

static void an_inherited_socket_is_a_vfio_user_device(void **state)
{
    const struct ferry_link_server_options options = { .struct_size = sizeof(options) };
    struct ferry_context *context = new_context(NULL, TIMEOUT_MS);
    static struct serving serving;
    char uri[32];
    int ours, theirs;

    (void)state;
    prepare(&serving);
    assert_int_equal(ferry_os_socketpair(&ours, &theirs), FERRY_OK);
    assert_int_equal(ferry_loop_create(&serving.loop), FERRY_OK);
    assert_int_equal(ferry_link_server_from_fd(theirs, &serving.fake.endpoint,
                                               serving.loop, &options, &serving.server,
                                               NULL),
                     FERRY_OK);
    assert_int_equal(pthread_create(&serving.thread, NULL, serve, &serving), 0);
    serving.running = 1;
    snprintf(uri, sizeof(uri), "vfio-user-fd:%d", ours);
    assert_int_equal(ferry_context_add_device(context, "d", uri, NULL), 0);
    assert_int_equal(ferry_context_add_device(context, "e", "vfio-user-fd:", NULL),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_context_add_device(context, "e", "vfio-user-fd:4x", NULL),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_context_add_device(context, "e", "vfio-user-fd:9999999", NULL),
                     FERRY_E_ARGUMENT);
    /* A descriptor that is none is not taken for a socket. */
    assert_int_equal(ferry_context_add_device(context, "e", "vfio-user-fd:999", NULL),
                     FERRY_E_ARGUMENT);
    ferry_context_destroy(context);
    finish(&serving);
}

static void where_nobody_listens_is_said(void **state)
{
    struct ferry_context *context = new_context(NULL, TIMEOUT_MS);
    struct ferry_error error = { 0 };

    (void)state;
    assert_int_equal(
        ferry_context_add_device(context, "d", "/nonexistent/ferry.sock", &error),
        FERRY_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "/nonexistent/ferry.sock"));
    assert_int_equal(ferry_context_device_count(context), 0);
    ferry_context_destroy(context);
}

static void a_server_that_never_says_a_word_is_given_up(void **state)
{
    struct ferry_os_address address = { .family = FERRY_OS_UNIX };
    struct ferry_context *context = new_context(NULL, SHORT_MS);
    const unsigned before = fake_open_fds();
    struct ferry_error error = { 0 };
    static struct serving serving;
    int listener;

    (void)state;
    prepare(&serving);
    memcpy(address.path, serving.path, sizeof(serving.path));
    assert_int_equal(ferry_os_listen(&address, 4, &listener, NULL), FERRY_OK);
    assert_int_equal(ferry_context_add_device(context, "d", serving.uri, &error),
                     FERRY_E_TIMEOUT);
    assert_non_null(strstr(error.text, "'d'"));
    assert_non_null(strstr(error.text, serving.uri));
    ferry_os_close(&listener);
    finish(&serving);
    assert_int_equal(fake_open_fds(), before);
    ferry_context_destroy(context);
}

/* The kinds that opening needs an answer to. */
static const uint32_t asked_table[] = {
    FERRY_RQ_MIG_FLAGS,   FERRY_RQ_GET_STATE,       FERRY_RQ_PROBE,
    FERRY_RQ_GET_INFO,    FERRY_RQ_GET_REGION_INFO, FERRY_RQ_GET_IRQ_INFO,
    FERRY_RQ_REGION_READ, FERRY_RQ_DMA_MAP,
};

static void expect_failure_at_each(int die, int status)
{
    static _Alignas(4096) uint8_t page[4096];

    for (size_t i = 0; i < sizeof(asked_table) / sizeof(asked_table[0]); i++) {
        const unsigned before = fake_open_fds();
        struct ferry_context *context = new_context(NULL, die ? TIMEOUT_MS : SHORT_MS);
        struct ferry_error error = { 0 };
        static struct serving serving;

        prepare(&serving);
        serving.fake.silent_kind = asked_table[i];
        serving.die_when_pending = die;
        start(&serving);
        add_a_page(context, page);
        assert_int_equal(ferry_context_add_device(context, "d", serving.uri, &error),
                         status);
        assert_non_null(strstr(error.text, "'d'"));
        assert_int_equal(ferry_context_device_count(context), 0);
        ferry_context_destroy(context);
        finish(&serving);
        assert_int_equal(fake_open_fds(), before);
    }
}

static void a_server_that_dies_at_any_question_leaves_nothing_open(void **state)
{
    (void)state;
    expect_failure_at_each(1, FERRY_E_CLOSED);
}

static void a_server_that_stops_answering_is_given_up_and_nothing_stays_open(void **state)
{
    (void)state;
    expect_failure_at_each(0, FERRY_E_TIMEOUT);
}

static void lie_size(struct fake_device *fake, struct ferry_request *request)
{
    (void)fake;
    if (request->kind == FERRY_RQ_GET_REGION_INFO && request->u.region.index == 2) {
        request->u.region.size = UINT64_MAX;
    }
}

static void lie_area(struct fake_device *fake, struct ferry_request *request)
{
    (void)fake;
    if (request->kind == FERRY_RQ_GET_REGION_INFO && request->u.region.index == 2) {
        request->u.region.area[0].off = FAKE_BAR2_BYTES;
    }
}

static void lie_vectors(struct fake_device *fake, struct ferry_request *request)
{
    (void)fake;
    if (request->kind == FERRY_RQ_GET_IRQ_INFO) {
        request->u.irq.count = 0x10000;
    }
}

/* What the wire's own checks find has their code. */
static void lies_over_the_wire_are_refused(void **state)
{
    static const struct {
        void (*lie)(struct fake_device *, struct ferry_request *);
        int status;
    } lie_table[] = {
        { lie_size, FERRY_E_PROTOCOL },
        { lie_area, FERRY_E_RANGE },
        { lie_vectors, FERRY_E_PROTOCOL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lie_table) / sizeof(lie_table[0]); i++) {
        const unsigned before = fake_open_fds();
        struct ferry_context *context = new_context(NULL, TIMEOUT_MS);
        struct ferry_error error = { 0 };
        static struct serving serving;

        prepare(&serving);
        serving.fake.lie = lie_table[i].lie;
        start(&serving);
        assert_int_equal(ferry_context_add_device(context, "d", serving.uri, &error),
                         lie_table[i].status);
        assert_non_null(strstr(error.text, "'d'"));
        ferry_context_destroy(context);
        finish(&serving);
        assert_int_equal(fake_open_fds(), before);
    }
}

static void a_server_that_dies_later_is_told_once(void **state)
{
    uint32_t lost = 0;
    struct ferry_context *context = new_context(&lost, TIMEOUT_MS);
    struct ferry_error error = { 0 };
    static struct serving serving;
    uint32_t value;

    (void)state;
    prepare(&serving);
    start(&serving);
    assert_int_equal(ferry_context_add_device(context, "d", serving.uri, NULL), 0);
    serving.kill = 1;
    for (int i = 0; i < 1000 && lost == 0; i++) {
        assert_int_equal(ferry_context_dispatch(context, 5), FERRY_OK);
    }
    assert_int_equal(lost, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ferry_context_dispatch(context, 0), FERRY_OK);
    }
    assert_int_equal(lost, 1);
    assert_int_equal(ferry_context_region_read(context, 0, 0, 0, &value, 4),
                     FERRY_E_CLOSED);
    assert_int_equal(ferry_context_set_irqs(context, 0, NULL, 0, &error), FERRY_E_CLOSED);
    assert_non_null(strstr(error.text, "'d' is gone"));
    ferry_context_destroy(context);
    finish(&serving);
}

struct poker {
    struct ferry_context *context;
    uint32_t off;
    int wrong;
};

static void *poke(void *user)
{
    struct poker *poker = user;

    for (uint32_t i = 0; i < 200; i++) {
        uint32_t got = 0;

        ferry_context_mark_dirty(poker->context, BASE, 4096);
        if (ferry_context_region_write(poker->context, 0, 0, poker->off, &i, 4, 0) != 0 ||
            ferry_context_region_read(poker->context, 0, 0, poker->off, &got, 4) != 0 ||
            got != i) {
            poker->wrong = 1;
        }
    }
    return NULL;
}

/* Threads that access a device while the loop thread changes memory. */
static void poke_from_threads(struct ferry_context *context)
{
    static _Alignas(4096) uint8_t page[4096];
    struct poker poker[2] = { { context, 0x100, 0 }, { context, 0x200, 0 } };
    pthread_t thread[2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, poke, &poker[i]), 0);
    }
    for (int i = 0; i < 50; i++) {
        add_a_page(context, page);
        assert_int_equal(ferry_context_dispatch(context, 0), FERRY_OK);
        assert_int_equal(ferry_context_remove_memory(context, 0, NULL), FERRY_OK);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(poker[i].wrong, 0);
    }
}

static void regions_can_be_reached_from_any_thread(void **state)
{
    struct ferry_context *context = new_context(NULL, TIMEOUT_MS);
    static struct serving serving;

    (void)state;
    prepare(&serving);
    start(&serving);
    assert_int_equal(ferry_context_add_device(context, "d", serving.uri, NULL), 0);
    poke_from_threads(context);
    ferry_context_destroy(context);
    finish(&serving);
}

static void regions_in_this_process_can_be_reached_from_any_thread(void **state)
{
    struct ferry_context *context = new_context(NULL, TIMEOUT_MS);
    struct fake_device fake;

    (void)state;
    fake_init(&fake);
    assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, NULL), 0);
    poke_from_threads(context);
    ferry_context_destroy(context);
    fake_free(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_behind_a_socket_is_as_one_in_this_process),
        cmocka_unit_test(a_path_alone_is_a_vfio_user_device),
        cmocka_unit_test(an_inherited_socket_is_a_vfio_user_device),
        cmocka_unit_test(where_nobody_listens_is_said),
        cmocka_unit_test(a_server_that_never_says_a_word_is_given_up),
        cmocka_unit_test(a_server_that_dies_at_any_question_leaves_nothing_open),
        cmocka_unit_test(
            a_server_that_stops_answering_is_given_up_and_nothing_stays_open),
        cmocka_unit_test(lies_over_the_wire_are_refused),
        cmocka_unit_test(a_server_that_dies_later_is_told_once),
        cmocka_unit_test(regions_can_be_reached_from_any_thread),
        cmocka_unit_test(regions_in_this_process_can_be_reached_from_any_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
