/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_v1_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a device counts is said when it was saved, and when it runs after a load. */

#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)

static struct vault from, to;
static struct end source, target;
static struct bytes data;
static void (*unbind)(struct end *end);

static void begin(uint32_t queues, int v1)
{
    vault_init(&from, ALL, 70000, 5000);
    vault_init(&to, ALL, 70000, 5000);
    from.counters = to.counters = queues;
    end_path(&source, "from");
    end_path(&target, "to");
    vault_serve(&from, source.path);
    vault_serve(&to, target.path);
    source.device.token.no_peer_maps = target.device.token.no_peer_maps = 1;
    unbind = v1 ? v1_unbind : end_unbind;
    (v1 ? v1_bind : end_bind)(&source, &from.identity);
    (v1 ? v1_bind : end_bind)(&target, &to.identity);
}

static int finish(void **state)
{
    (void)state;
    if (source.device.link) {
        unbind(&source);
    }
    if (target.device.link) {
        unbind(&target);
    }
    vault_stop(&from);
    vault_stop(&to);
    bytes_free(&data);
    return 0;
}

static void move(void)
{
    end_save(&source, &data, 65536);
    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&target, &data, 32768), 0);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING_P2P), 0);
    assert_int_equal(atomic_load(&to.counted), 0);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING), 0);
}

/* A call whose answer comes after that of the counters, and their line with it. */
static void settle(struct end *end)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    assert_int_equal(bridge_link_call(end->device.link, &request), FERRY_OK);
}

static size_t lines_with(const struct end *end, const char *text)
{
    static char said[65536];
    const int fd = open(end->log, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd >= 0 ? read(fd, said, sizeof(said) - 1) : 0;
    size_t count = 0;

    if (fd >= 0) {
        close(fd);
    }
    said[got > 0 ? got : 0] = '\0';
    for (const char *at = said; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

static void a_saved_and_a_loaded_device_tell_once_what_they_lost(void **state)
{
    (void)state;
    begin(2, 0);
    move();
    /* Neither what is zero nor what went through. */
    end_said(&source, "counted when it was saved: lost[0]=1000 lost[1]=1003 "
                      "carried[1]=1004\n");
    end_said(&target, "counted when it began to run: lost[0]=1000 lost[1]=1003 "
                      "carried[1]=1004\n");
    /* A stop and a start of the guest are no move. */
    assert_int_equal(end_set(&target, FERRY_STATE_STOP), 0);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING), 0);
    settle(&target);
    assert_int_equal(atomic_load(&from.counted), 1);
    assert_int_equal(atomic_load(&to.counted), 1);
    assert_int_equal(lines_with(&target, "counted"), 1);
}

static void a_device_by_the_region_of_v1_tells_too(void **state)
{
    (void)state;
    begin(1, 1);
    assert_int_equal(v1_save_setup(&source), 0);
    while (v1_save_iterate(&source, &data, 1) == 0) {
    }
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_save_complete(&source, &data, 1), 0);
    end_said(&source, "counted when it was saved: lost[0]=1000\n");
    assert_int_equal(v1_load_setup(&target), 0);
    assert_int_equal(v1_load(&target, &data, 1), 0);
    assert_int_equal(v1_start(&target), 0);
    end_said(&target, "counted when it began to run: lost[0]=1000\n");
}

static void many_counters_stay_one_line(void **state)
{
    (void)state;
    begin(40, 0);
    move();
    end_said(&source, " more\n");
    assert_int_equal(lines_with(&source, "counted when"), 1);
    assert_int_equal(lines_with(&source, "lost[0]=1000"), 1);
    assert_int_equal(lines_with(&source, "frames"), 0);
    assert_int_equal(lines_with(&source, "\n"), 1);
}

static void a_device_that_cannot_tell_moves_without_a_word(void **state)
{
    (void)state;
    begin(1, 0);
    atomic_store(&from.count_answer, FERRY_E_IO);
    atomic_store(&to.count_answer, FERRY_E_IO);
    move();
    settle(&source);
    settle(&target);
    assert_int_equal(atomic_load(&from.counted), 1);
    assert_int_equal(atomic_load(&to.counted), 1);
    assert_int_equal(lines_with(&source, "ferry-bridge"), 0);
    assert_int_equal(lines_with(&target, "ferry-bridge"), 0);
    assert_int_equal(atomic_load(&target.alarms), 0);
    assert_int_equal(bridge_link_dead(target.device.link), 0);
}

static void a_device_that_lost_nothing_says_nothing(void **state)
{
    (void)state;
    begin(0, 0);
    move();
    settle(&source);
    settle(&target);
    assert_int_equal(lines_with(&source, "ferry-bridge"), 0);
    assert_int_equal(lines_with(&target, "ferry-bridge"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_saved_and_a_loaded_device_tell_once_what_they_lost,
                                  finish),
        cmocka_unit_test_teardown(a_device_by_the_region_of_v1_tells_too, finish),
        cmocka_unit_test_teardown(many_counters_stay_one_line, finish),
        cmocka_unit_test_teardown(a_device_that_cannot_tell_moves_without_a_word, finish),
        cmocka_unit_test_teardown(a_device_that_lost_nothing_says_nothing, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
