/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>

#include <cmocka.h>

#include "ferry/error.h"
#include "wire/message.h"
#include "wire/status.h"

static void every_status_becomes_a_number_that_becomes_a_status(void **state)
{
    (void)state;
    for (int status = FERRY_E_END + 1; status < FERRY_OK; status++) {
        uint32_t number = ferry_wire_errno_from_status(status);

        assert_true(number > 0 && number < 134);
        assert_true(ferry_wire_status_from_errno(number) < 0);
    }
}

static void what_the_uapi_prescribes_keeps_its_number(void **state)
{
    (void)state;
    assert_int_equal(ferry_wire_errno_from_status(FERRY_E_ARGUMENT), EINVAL);
    assert_int_equal(ferry_wire_errno_from_status(FERRY_E_DRY), ENOMSG);
    assert_int_equal(ferry_wire_status_from_errno(ENOMSG), FERRY_E_DRY);
    assert_int_equal(ferry_wire_status_from_errno(ENOBUFS), FERRY_E_CAPACITY);
    assert_int_equal(ferry_wire_status_from_errno(ENOSPC), FERRY_E_CAPACITY);
}

static void what_no_number_stands_for_has_one_all_the_same(void **state)
{
    (void)state;
    assert_int_equal(ferry_wire_errno_from_status(FERRY_OK), EIO);
    assert_int_equal(ferry_wire_errno_from_status(-30000), EIO);
    assert_int_equal(ferry_wire_status_from_errno(0), FERRY_E_REFUSED);
    assert_int_equal(ferry_wire_status_from_errno(99999), FERRY_E_REFUSED);
}

/* Our own mistakes: a message that cannot be is not written. */
static void a_message_that_cannot_be_is_not_encoded(void **state)
{
    struct ferry_wire_message message = { .command = 0x7fff };
    uint8_t head[FERRY_WIRE_HEAD_MAX];

    (void)state;
    assert_true(ferry_wire_encode(&message, head, sizeof(head)) < 0);
    message = (struct ferry_wire_message){ .command = FERRY_WIRE_REGION_READ };
    message.u.io.count = FERRY_WIRE_MAX_DATA_MAX + 1;
    assert_true(ferry_wire_encode(&message, head, sizeof(head)) < 0);
    message = (struct ferry_wire_message){ .command = FERRY_WIRE_REGION_READ };
    message.u.io.count = 4;
    assert_true(ferry_wire_encode(&message, head, sizeof(head)) > 0);
    assert_true(ferry_wire_encode(&message, head, 3) < 0);
}

static void a_reply_that_cannot_be_is_not_encoded(void **state)
{
    struct ferry_wire_message bad[7] = { { .reply = 1 }, { .reply = 1 }, { .reply = 1 },
                                         { .reply = 1 }, { .reply = 1 }, { .reply = 1 },
                                         { .reply = 1 } };
    uint8_t head[FERRY_WIRE_HEAD_MAX];

    (void)state;
    bad[0].command = FERRY_WIRE_DATA_READ;
    bad[0].u.data_io.size = FERRY_WIRE_MAX_DATA_MAX + 1;
    bad[1].command = FERRY_WIRE_GET_REGION_IO_FDS;
    bad[1].u.io_fds.layout = FERRY_WIRE_IO_FD_WIDE + 1;
    bad[2].command = FERRY_WIRE_GET_REGION_IO_FDS;
    bad[2].u.io_fds.count = FERRY_WIRE_IO_FDS_MAX + 1;
    bad[3].command = FERRY_WIRE_FEATURE;
    bad[3].u.feature.index = FERRY_WIRE_FEATURE_LOG_RUNS;
    bad[3].u.feature.u.log_runs.count = 1;
    bad[4].command = FERRY_WIRE_FEATURE;
    bad[4].u.feature.index = 0x7777;
    bad[5].command = FERRY_WIRE_FEATURE;
    bad[5].u.feature.index = FERRY_WIRE_FEATURE_COUNTERS;
    bad[5].u.feature.u.counters.count = 1;
    bad[6].command = FERRY_WIRE_GET_REGION_INFO;
    bad[6].u.region.flags = ~0u;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ferry_wire_encode(&bad[i], head, sizeof(head)),
                         FERRY_E_ARGUMENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_becomes_a_number_that_becomes_a_status),
        cmocka_unit_test(what_the_uapi_prescribes_keeps_its_number),
        cmocka_unit_test(what_no_number_stands_for_has_one_all_the_same),
        cmocka_unit_test(a_message_that_cannot_be_is_not_encoded),
        cmocka_unit_test(a_reply_that_cannot_be_is_not_encoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
