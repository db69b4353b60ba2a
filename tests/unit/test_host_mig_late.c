/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_stays_until_the_end_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
