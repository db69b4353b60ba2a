/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ferry/error.h"
#include "ferry/session.h"
#include "ferry/stream.h"

static void every_code_has_a_name_and_a_text_of_its_own(void **state)
{
    int a, b;

    (void)state;
    for (a = FERRY_E_END + 1; a <= FERRY_PENDING; a++) {
        assert_string_not_equal(ferry_status_name(a), "FERRY_E_UNKNOWN");
        assert_int_equal(strncmp(ferry_status_name(a), "FERRY_", 6), 0);
        assert_true(strlen(ferry_status_text(a)) > 5);
        for (b = FERRY_E_END + 1; b < a; b++) {
            assert_string_not_equal(ferry_status_name(a), ferry_status_name(b));
            assert_string_not_equal(ferry_status_text(a), ferry_status_text(b));
        }
    }
}

static void names_belong_to_their_numbers(void **state)
{
    (void)state;
    assert_string_equal(ferry_status_name(FERRY_OK), "FERRY_OK");
    assert_string_equal(ferry_status_name(FERRY_PENDING), "FERRY_PENDING");
    assert_string_equal(ferry_status_name(FERRY_E_ARGUMENT), "FERRY_E_ARGUMENT");
    assert_string_equal(ferry_status_name(FERRY_E_STATE), "FERRY_E_STATE");
    assert_string_equal(ferry_status_name(FERRY_E_DEVICE_ERROR), "FERRY_E_DEVICE_ERROR");
    assert_string_equal(ferry_status_name(FERRY_E_UNDECIDED), "FERRY_E_UNDECIDED");
    assert_string_equal(ferry_status_name(FERRY_E_FDS), "FERRY_E_FDS");
    assert_string_equal(ferry_status_name(FERRY_E_MESSAGE), "FERRY_E_MESSAGE");
}

static void numbers_that_are_no_codes_are_called_unknown(void **state)
{
    (void)state;
    assert_string_equal(ferry_status_name(FERRY_E_END), "FERRY_E_UNKNOWN");
    assert_string_equal(ferry_status_name(2), "FERRY_E_UNKNOWN");
    assert_string_equal(ferry_status_name(INT32_MIN), "FERRY_E_UNKNOWN");
    assert_non_null(ferry_status_text(INT32_MAX));
}

static void an_error_keeps_where_and_why(void **state)
{
    struct ferry_error error;

    (void)state;
    memset(&error, 0x5a, sizeof(error));
    assert_int_equal(ferry_error_set(&error, FERRY_E_RANGE, "stream", "STR-PAY-5", 77,
                                     "%s %d", "offset", 5),
                     FERRY_E_RANGE);
    assert_int_equal(error.code, FERRY_E_RANGE);
    assert_int_equal(error.os_errno, 0);
    assert_int_equal(error.offset, 77);
    assert_string_equal(error.layer, "stream");
    assert_string_equal(error.rule, "STR-PAY-5");
    assert_string_equal(error.text, "offset 5");
}

static void no_error_wanted_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(ferry_error_set(NULL, FERRY_E_IO, "os", NULL, 0, "x"), FERRY_E_IO);
}

static void what_is_too_long_is_cut_and_terminated(void **state)
{
    struct ferry_error error;
    char longer[400];

    (void)state;
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    (void)ferry_error_set(&error, FERRY_E_IO, longer, longer, 0, "%s", longer);
    assert_int_equal(strlen(error.layer), sizeof(error.layer) - 1);
    assert_int_equal(strlen(error.rule), sizeof(error.rule) - 1);
    assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
    (void)ferry_error_set(&error, FERRY_E_IO, NULL, NULL, 0, "x");
    assert_string_equal(error.layer, "");
    assert_string_equal(error.rule, "");
}

static void a_message_is_one_line_without_terminal_controls(void **state)
{
    struct ferry_error error;

    (void)state;
    (void)ferry_error_set(&error, FERRY_E_IO, "os", NULL, 0, "a%sb", "\n\x1b[2J\x7f");
    assert_string_equal(error.text, "a??[2J?b");
}

static void the_version_is_that_of_the_headers(void **state)
{
    (void)state;
    assert_string_equal(ferry_version(), "0.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_a_text_of_its_own),
        cmocka_unit_test(names_belong_to_their_numbers),
        cmocka_unit_test(numbers_that_are_no_codes_are_called_unknown),
        cmocka_unit_test(an_error_keeps_where_and_why),
        cmocka_unit_test(no_error_wanted_is_no_error),
        cmocka_unit_test(what_is_too_long_is_cut_and_terminated),
        cmocka_unit_test(a_message_is_one_line_without_terminal_controls),
        cmocka_unit_test(the_version_is_that_of_the_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
