/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/session/source.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "test_host_mig_rig.h"

/* What comes late, and what must hold until a migration has really ended. */

#define LIMIT_MS 4000u

static void memory_stays_until_the_end_is_told(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    /* Before the peer has answered this ends it at once. */
    assert_int_equal(ferry_context_cancel(rig.side[0].context), FERRY_OK);
    assert_int_equal(rig.side[0].finished, 0);
    assert_int_equal(ferry_context_remove_memory(rig.side[0].context, 0, NULL),
                     FERRY_E_BUSY);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig.side[0].finished, 1);
    assert_int_equal(ferry_context_remove_memory(rig.side[0].context, 0, NULL), FERRY_OK);
    assert_int_equal(ferry_context_cancel(rig.side[0].context), FERRY_E_STATE);
    rig_close(&rig);
}

static void interrupts_taken_before_a_failure_are_raised_again(void **state)
{
    struct rig rig;
    struct rig_side *side = &rig.side[0];
    uint64_t raised = 0;
    int fd;

    (void)state;
    rig_open(&rig, NULL);
    assert_int_equal(ferry_os_eventfd_signal(side->irq_fd[0][0]), FERRY_OK);
    /* The VMM has put something else in one's place: those before it have been read. */
    fd = open("/dev/null", O_WRONLY);
    assert_true(fd >= 0);
    assert_true(dup2(fd, side->irq_fd[0][RIG_VECTORS - 1]) >= 0);
    ferry_os_close(&fd);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_true(rig_runs(&rig, 0));
    assert_int_equal(ferry_os_eventfd_drain(side->irq_fd[0][0], &raised), FERRY_OK);
    assert_int_equal(raised, 1);
    rig_close(&rig);
}

static void turns(struct rig *rig, int count)
{
    while (count-- > 0) {
        rig_turn(rig);
    }
}

/* Else devices would be stopped, and memory sent, while the CPUs run. */
static void a_late_answer_is_not_taken_for_the_next_pause(void **state)
{
    static const struct ferry_migrate_options quick = { .struct_size = sizeof(quick),
                                                        .arc_limit_ms = 60 };
    struct rig rig;
    struct rig_side *side = &rig.side[0];

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 3);
    side->pause_pending = 1;
    assert_int_equal(rig_start(&rig, &quick), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_true(rig_runs(&rig, 0));
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    for (int i = 0; i < 1000 && side->pauses < 2; i++) {
        rig_turn(&rig);
    }
    assert_int_equal(side->pauses, 2);
    ferry_context_cpus_done(side->context, FERRY_OK); /* the first one, at last */
    turns(&rig, 20);
    assert_int_equal(rig_phase(&rig, 0), FERRY_SRC_PAUSE);
    side->running = 0;
    ferry_context_cpus_done(side->context, FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(&rig) && rig_state_equal(&rig));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_stays_until_the_end_is_told),
        cmocka_unit_test(interrupts_taken_before_a_failure_are_raised_again),
        cmocka_unit_test(a_late_answer_is_not_taken_for_the_next_pause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
