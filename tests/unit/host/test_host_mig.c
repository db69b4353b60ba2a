/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "os/socket.h"
#include "test_host_mig_rig.h"

#define LIMIT_MS 5000u

static void expect_moved(struct rig *rig)
{
    const struct rig_side *source = &rig->side[rig->from];

    if (rig_outcome(rig, rig->from) != FERRY_OUTCOME_MOVED) {
        fail_msg("%s: %s", ferry_outcome_name(rig_outcome(rig, rig->from)),
                 source->report.error.text);
    }
    assert_int_equal(rig_outcome(rig, 1 - rig->from), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(rig));
    assert_true(rig_state_equal(rig));
    assert_true(rig_runs(rig, 1 - rig->from));
    assert_false(source->running);
}

static void a_context_moves_with_all_it_has(void **state)
{
    struct rig rig;
    uint64_t count = 0;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    assert_int_equal(ferry_os_eventfd_signal(rig.side[0].irq_fd[1][2]), FERRY_OK);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    expect_moved(&rig);
    /* An interrupt that nobody had taken comes at the other side, and only that one. */
    assert_int_equal(ferry_os_eventfd_drain(rig.side[1].irq_fd[1][2], &count), FERRY_OK);
    assert_int_equal(count, 1);
    assert_int_equal(ferry_os_eventfd_drain(rig.side[1].irq_fd[1][1], &count), FERRY_OK);
    assert_int_equal(count, 0);
    assert_int_equal(rig.side[0].tracking, 0);
    assert_int_equal(rig.side[1].resumes, 1);
    rig_close(&rig);
}

static void the_parts_of_the_downtime_sum_up(void **state)
{
    struct rig rig;
    const struct ferry_report *report = &rig.side[0].report;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 2);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    expect_moved(&rig);
    assert_true(report->downtime_ns > 0);
    assert_int_equal(report->downtime_ns, report->pause_ns + report->quiet_ns +
                                              report->stop_ns + report->transfer_ns +
                                              report->prepare_ns + report->commit_ns);
    assert_int_equal(report->device_count, RIG_DEVICES);
    assert_true(report->rounds >= 1);
    assert_true(report->device[0].precopy_bytes >= RIG_INITIAL_BYTES);
    assert_true(report->device[0].stop_bytes >= RIG_STATE_BYTES - RIG_INITIAL_BYTES);
    assert_true(report->device[1].quiet_ns > 0);
    assert_true(report->device[1].load_ns > 0); /* the target's figure */
    assert_string_equal(report->device[1].name, "dev1");
    assert_int_equal(report->error.code, FERRY_OK);
    /* Three quarters of the memory are pages, the rest is zero. */
    assert_in_range(report->ram_precopy_bytes, RIG_MEMORY_BYTES / 4 * 3,
                    RIG_MEMORY_BYTES + 4096);
    rig_close(&rig);
}

static void expect_counted(const struct rig_side *side, uint64_t value)
{
    const struct ferry_device_report *device = &side->report.device[1];

    assert_int_equal(device->counter_count, 1);
    assert_string_equal(device->counter[0].name, "lost");
    assert_int_equal(device->counter[0].queue, 1);
    assert_int_equal(device->counter[0].value, value);
    assert_int_equal(side->report.device[0].counter_count, 0);
}

static void what_devices_counted_is_in_the_report_of_each_side(void **state)
{
    struct ferry_counter counter[4];
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 3);
    rig.side[0].device[1].counted = 50;
    rig.side[1].device[1].counted = 90;
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    expect_moved(&rig);
    expect_counted(&rig.side[0], 50);
    expect_counted(&rig.side[1], 90);
    /* It still tells what it had counted when it left. */
    rig.side[0].device[1].counted = rig.side[1].device[1].counted = 1000;
    assert_int_equal(ferry_context_counters(rig.side[0].context, 1, counter, 1, NULL), 1);
    assert_int_equal(counter[0].value, 50);
    assert_int_equal(ferry_context_counters(rig.side[1].context, 1, counter, 4, NULL), 1);
    assert_int_equal(counter[0].value, 1000);
    assert_int_equal(ferry_context_counters(rig.side[1].context, 0, counter, 4, NULL), 0);
    assert_int_equal(ferry_context_counters(rig.side[1].context, 7, counter, 4, NULL),
                     FERRY_E_NOT_FOUND);
    rig_close(&rig);
}

static void devices_of_every_kind_move(void **state)
{
    static const uint32_t kinds[] = { FERRY_MIG_STOP_COPY,
                                      FERRY_MIG_STOP_COPY | FERRY_MIG_P2P,
                                      FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY,
                                      FERRY_MIG_STOP_COPY | FERRY_MIG_P2P |
                                          FERRY_MIG_PRE_COPY };

    (void)state;
    for (uint32_t i = 0; i < 16; i++) {
        struct rig_choice choice = { .features = { kinds[i % 4], kinds[i / 4] } };
        struct rig rig;

        rig_open(&rig, &choice);
        rig_fill(&rig, i);
        assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        expect_moved(&rig);
        rig_close(&rig);
    }
}

static void a_context_moves_there_and_back(void **state)
{
    struct rig rig;
    struct ferry_error error;

    (void)state;
    rig_open(&rig, NULL);
    for (uint32_t i = 0; i < 4; i++) {
        rig_fill(&rig, i);
        assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        expect_moved(&rig);
        assert_int_equal(ferry_context_reopen(rig.side[rig.from].context, &error),
                         FERRY_OK);
        rig.from = 1 - rig.from;
    }
    rig_close(&rig);
}

static void memory_without_any_tracking_moves(void **state)
{
    struct rig_choice choice = { .no_tracking = 1 };
    struct rig rig;

    (void)state;
    rig_open(&rig, &choice);
    rig_fill(&rig, 3);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    expect_moved(&rig);
    /* All of it once more after the stop. */
    assert_true(rig.side[0].report.ram_stop_bytes >= RIG_MEMORY_BYTES / 4 * 3);
    rig_close(&rig);
}

/* --- memory that is written all the time --- */

struct writer {
    struct rig *rig;
    atomic_int stop;
    pthread_t thread;
};

static void *write_on(void *user)
{
    struct writer *writer = user;
    uint8_t *memory = writer->rig->side[0].memory;
    uint32_t x = 12345;

    while (!atomic_load(&writer->stop)) {
        x = x * 1664525u + 1013904223u;
        __atomic_store_n(&memory[x % RIG_MEMORY_BYTES], (uint8_t)(x >> 24),
                         __ATOMIC_RELAXED);
        ferry_context_mark_dirty(writer->rig->side[0].context,
                                 RIG_IOVA + x % RIG_MEMORY_BYTES, 1);
        if (x % 64 == 0) {
            ferry_os_sleep_ns(20000);
        }
    }
    return NULL;
}

static struct writer *paused_writer;

/* pause_cpus of this test: the thread has really ended when it returns. */
static int join_writer(void *user, struct ferry_context *context)
{
    struct rig_side *side = user;

    (void)context;
    atomic_store(&paused_writer->stop, 1);
    pthread_join(paused_writer->thread, NULL);
    side->running = 0;
    return FERRY_OK;
}

static void memory_that_is_written_meanwhile_arrives(void **state)
{
    struct writer writer = { 0 };
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 4);
    writer.rig = &rig;
    paused_writer = &writer;
    rig.side[0].context->ops.pause_cpus = join_writer;
    assert_int_equal(pthread_create(&writer.thread, NULL, write_on, &writer), 0);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    paused_writer = NULL;
    expect_moved(&rig);
    rig_close(&rig);
}

static void what_a_device_writes_last_arrives(void **state)
{
    static const uint32_t kinds[] = { FERRY_MIG_STOP_COPY | FERRY_MIG_P2P,
                                      FERRY_MIG_STOP_COPY | FERRY_MIG_P2P |
                                          FERRY_MIG_PRE_COPY };

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct rig_choice choice = { .features = { kinds[i], kinds[i] } };
        uint16_t bus_master = 0x0004;
        uint64_t zero = 0, last;
        struct rig rig;

        rig_open(&rig, &choice);
        rig_fill(&rig, 6);
        rig.side[0].device[0].writes = 1;
        assert_int_equal(
            ferry_context_region_write(rig.side[0].context, 0, 7, 4, &bus_master, 2, 0),
            FERRY_OK);
        assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        expect_moved(&rig);
        memcpy(&last,
               rig.side[0].memory + 16 +
                   8192 * (i ? FERRY_STATE_PRE_COPY_P2P : FERRY_STATE_RUNNING_P2P),
               sizeof(last));
        assert_int_not_equal(last, zero); /* it has written there */
        assert_true(rig.side[0].report.ram_stop_bytes > 0);
        rig_close(&rig);
    }
}

/* --- refusals --- */

static void another_model_is_refused_with_its_name(void **state)
{
    struct rig_choice choice = { .models = { "rig", "other" } };
    struct rig rig;
    const struct ferry_error *error = &rig.side[0].report.error;

    (void)state;
    rig_open(&rig, &choice);
    rig_fill(&rig, 5);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_REFUSED);
    assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_REFUSED);
    assert_int_equal(error->code, FERRY_E_INCOMPATIBLE);
    /* The target's own words: device, both values. */
    assert_non_null(strstr(error->text, "dev0"));
    assert_non_null(strstr(error->text, "rig"));
    assert_non_null(strstr(error->text, "other"));
    assert_string_equal(error->text, rig.side[1].report.error.text);
    assert_true(rig_runs(&rig, 0));
    assert_int_equal(rig.side[0].pauses, 0);
    rig_close(&rig);
}

static void another_memory_is_refused(void **state)
{
    struct ferry_memory memory = {
        .iova = 0x9000000, .size = 8192, .fd = -1, .writable = 1
    };
    struct ferry_error error = { .code = FERRY_OK };
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    memory.address = aligned_alloc(4096, 8192);
    assert_int_equal(ferry_context_add_memory(rig.side[0].context, &memory, &error), 1);
    memory.size = 4096;
    assert_int_equal(ferry_context_add_memory(rig.side[1].context, &memory, &error), 1);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_REFUSED);
    assert_non_null(strstr(rig.side[0].report.error.text, "0x9000000"));
    assert_non_null(strstr(rig.side[0].report.error.text, "8192"));
    assert_true(rig_runs(&rig, 0));
    rig_close(&rig);
    free(memory.address);
}

static void another_arbiter_is_refused(void **state)
{
    struct ferry_migrate_options options = { .struct_size = sizeof(options),
                                             .arbiter = "file:/tmp" };
    struct rig rig;
    struct ferry_error error;
    int fd[2];

    (void)state;
    rig_open(&rig, NULL);
    assert_int_equal(ferry_os_socketpair(&fd[0], &fd[1]), FERRY_OK);
    assert_int_equal(ferry_context_receive_fd(rig.side[1].context, fd[1], NULL, &error),
                     FERRY_OK);
    assert_int_equal(ferry_context_send_fd(rig.side[0].context, fd[0], &options, &error),
                     FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_REFUSED);
    assert_non_null(strstr(rig.side[0].report.error.text, "arbiter"));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_context_moves_with_all_it_has),
        cmocka_unit_test(the_parts_of_the_downtime_sum_up),
        cmocka_unit_test(what_devices_counted_is_in_the_report_of_each_side),
        cmocka_unit_test(devices_of_every_kind_move),
        cmocka_unit_test(a_context_moves_there_and_back),
        cmocka_unit_test(memory_without_any_tracking_moves),
        cmocka_unit_test(memory_that_is_written_meanwhile_arrives),
        cmocka_unit_test(what_a_device_writes_last_arrives),
        cmocka_unit_test(another_model_is_refused_with_its_name),
        cmocka_unit_test(another_memory_is_refused),
        cmocka_unit_test(another_arbiter_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
