/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ferry/error.h"
#include "wire/command.h"
#include "wire/header.h"
#include "wire/status.h"

static const struct ferry_wire_limits limits = { .max_data_bytes = 1u << 20,
                                                 .max_bitmap_bytes = 2u << 20 };

static void a_header_has_the_layout_of_the_specification(void **state)
{
    const struct ferry_wire_header header = { .id = 0x0201,
                                              .command = 0x0403,
                                              .size = 0x08070605,
                                              .flags = 0x0c0b0a09,
                                              .error = 0x100f0e0d };
    const uint8_t wanted[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
    uint8_t bytes[16];

    (void)state;
    ferry_wire_header_encode(&header, bytes);
    assert_memory_equal(bytes, wanted, 16);
}

static void a_header_comes_back_as_it_went(void **state)
{
    const struct ferry_wire_header header = {
        .id = 7, .command = FERRY_WIRE_REGION_READ, .size = 36, .flags = 0x21, .error = 22
    };
    struct ferry_wire_header got;
    uint8_t bytes[16];

    (void)state;
    ferry_wire_header_encode(&header, bytes);
    assert_int_equal(ferry_wire_header_decode(bytes, &limits, &got, NULL), FERRY_OK);
    assert_memory_equal(&got, &header, sizeof(got));
}

static void the_largest_message_is_taken_and_one_byte_more_is_not(void **state)
{
    struct ferry_wire_header header = { .command = FERRY_WIRE_FEATURE,
                                        .flags = FERRY_WIRE_TYPE_REPLY };
    struct ferry_error error;
    uint8_t bytes[16];

    (void)state;
    assert_int_equal(ferry_wire_max_message(&limits), 16 + 40 + (2u << 20));
    header.size = ferry_wire_max_message(&limits);
    ferry_wire_header_encode(&header, bytes);
    assert_int_equal(ferry_wire_header_decode(bytes, &limits, &header, NULL), FERRY_OK);
    header.size++;
    ferry_wire_header_encode(&header, bytes);
    assert_int_equal(ferry_wire_header_decode(bytes, &limits, &header, &error),
                     FERRY_E_LIMIT);
    assert_string_equal(error.rule, "WIRE-HDR-1");
    assert_int_equal(error.offset, 4);
}

static void an_error_reply_repeats_id_and_command_and_says_why(void **state)
{
    const struct ferry_wire_header asked = { .id = 0x1234,
                                             .command = FERRY_WIRE_DMA_MAP,
                                             .size = 48 };
    struct ferry_wire_header got;
    uint8_t bytes[16];

    (void)state;
    ferry_wire_error_encode(&asked, FERRY_E_OVERLAP, bytes);
    assert_int_equal(ferry_wire_header_decode(bytes, &limits, &got, NULL), FERRY_OK);
    assert_int_equal(ferry_wire_header_check(&got, FERRY_WIRE_FROM_SERVER, &limits, NULL),
                     FERRY_OK);
    assert_int_equal(got.id, 0x1234);
    assert_int_equal(got.command, FERRY_WIRE_DMA_MAP);
    assert_int_equal(got.size, 16);
    assert_int_equal(got.error, 17);
    assert_int_equal(ferry_wire_is_reply(&got), 1);
    assert_int_equal(ferry_wire_wants_reply(&got), 0);
    assert_int_equal(ferry_wire_reply_status(&got), FERRY_E_EXISTS);
}

static void an_error_reply_may_have_a_payload_or_no_errno(void **state)
{
    const struct ferry_wire_header header = { .command = FERRY_WIRE_GET_INFO,
                                              .size = 16 + 999,
                                              .flags = 0x21 };

    (void)state;
    assert_int_equal(
        ferry_wire_header_check(&header, FERRY_WIRE_FROM_SERVER, &limits, NULL),
        FERRY_OK);
    assert_int_equal(ferry_wire_reply_status(&header), FERRY_E_REFUSED);
}

static void a_posted_command_wants_no_reply(void **state)
{
    struct ferry_wire_header header = { .command = FERRY_WIRE_REGION_WRITE, .size = 36 };

    (void)state;
    assert_int_equal(ferry_wire_wants_reply(&header), 1);
    header.flags = FERRY_WIRE_FLAG_NO_REPLY;
    assert_int_equal(ferry_wire_wants_reply(&header), 0);
    assert_int_equal(
        ferry_wire_header_check(&header, FERRY_WIRE_FROM_CLIENT, &limits, NULL),
        FERRY_OK);
}

static void each_command_is_taken_from_its_own_side_only(void **state)
{
    const struct ferry_wire_command *command;

    (void)state;
    for (size_t i = 0; (command = ferry_wire_command_get(i)) != NULL; i++) {
        struct ferry_wire_header header = { .command = command->number,
                                            .size = 16u + command->request_min };
        uint32_t other =
            FERRY_WIRE_FROM_CLIENT + FERRY_WIRE_FROM_SERVER - command->sender;

        assert_int_equal(ferry_wire_header_check(&header, command->sender, &limits, NULL),
                         FERRY_OK);
        assert_int_equal(ferry_wire_header_check(&header, other, &limits, NULL),
                         FERRY_E_PROTOCOL);
        header.flags = FERRY_WIRE_TYPE_REPLY;
        header.size = 16u + command->reply_min;
        assert_int_equal(ferry_wire_header_check(&header, other, &limits, NULL),
                         FERRY_OK);
        assert_int_equal(ferry_wire_header_check(&header, command->sender, &limits, NULL),
                         FERRY_E_PROTOCOL);
    }
}

static void a_payload_is_bounded_by_what_its_command_can_carry(void **state)
{
    const struct ferry_wire_command *command;

    (void)state;
    for (size_t i = 0; (command = ferry_wire_command_get(i)) != NULL; i++) {
        uint32_t most = ferry_wire_payload_max(command->number, 0, &limits);
        struct ferry_wire_header header = { .command = command->number,
                                            .size = 16 + most };

        assert_int_equal(ferry_wire_header_check(&header, command->sender, &limits, NULL),
                         FERRY_OK);
        header.size++;
        assert_int_equal(ferry_wire_header_check(&header, command->sender, &limits, NULL),
                         FERRY_E_LIMIT);
        if (command->request_min > 0) {
            header.size = 16u + command->request_min - 1;
            assert_int_equal(
                ferry_wire_header_check(&header, command->sender, &limits, NULL),
                FERRY_E_PROTOCOL);
        }
    }
}

static void commands_are_found_by_number_and_have_names(void **state)
{
    (void)state;
    assert_ptr_equal(ferry_wire_command_find(16)->name,
                     ferry_wire_command_name(FERRY_WIRE_FEATURE));
    assert_string_equal(ferry_wire_command_name(18), "MIG_DATA_WRITE");
    assert_string_equal(ferry_wire_command_name(14), "unknown command");
    assert_null(ferry_wire_command_find(0));
    assert_null(ferry_wire_command_find(0x10001));
    assert_int_equal(ferry_wire_payload_max(14, 0, &limits), 0);
}

static void statuses_keep_their_meaning_over_the_wire(void **state)
{
    /* These have to share a number, since the uAPI gives it to all of them. */
    static const struct {
        int sent, got;
    } shared[] = { { FERRY_E_PROTOCOL, FERRY_E_ARGUMENT },
                   { FERRY_E_ARC, FERRY_E_ARGUMENT },
                   { FERRY_E_ALIGN, FERRY_E_ARGUMENT },
                   { FERRY_E_OVERLAP, FERRY_E_EXISTS },
                   /* Never the subject of a request. */
                   { FERRY_E_UNDECIDED, FERRY_E_DEVICE } };

    (void)state;
    for (int status = -1; status > FERRY_E_END; status--) {
        int wanted = status;

        for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
            wanted = shared[i].sent == status ? shared[i].got : wanted;
        }
        assert_true(ferry_wire_errno_from_status(status) != 0);
        assert_int_equal(
            ferry_wire_status_from_errno(ferry_wire_errno_from_status(status)), wanted);
    }
}

static void errno_numbers_are_those_of_the_uapi(void **state)
{
    (void)state;
    assert_int_equal(ferry_wire_errno_from_status(FERRY_E_STATE), 1);
    assert_int_equal(ferry_wire_errno_from_status(FERRY_E_PROTOCOL), 22);
    assert_int_equal(ferry_wire_errno_from_status(FERRY_E_ARC), 22);
    assert_int_equal(ferry_wire_errno_from_status(FERRY_E_UNSUPPORTED), 25);
    assert_int_equal(ferry_wire_errno_from_status(FERRY_E_DRY), 42);
    assert_int_equal(ferry_wire_status_from_errno(95), FERRY_E_UNSUPPORTED);
    assert_int_equal(ferry_wire_status_from_errno(75), FERRY_E_RANGE);
    assert_int_equal(ferry_wire_status_from_errno(0), FERRY_E_REFUSED);
    assert_int_equal(ferry_wire_status_from_errno(4096), FERRY_E_REFUSED);
    assert_int_equal(ferry_wire_status_from_errno(UINT32_MAX), FERRY_E_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_has_the_layout_of_the_specification),
        cmocka_unit_test(a_header_comes_back_as_it_went),
        cmocka_unit_test(the_largest_message_is_taken_and_one_byte_more_is_not),
        cmocka_unit_test(an_error_reply_repeats_id_and_command_and_says_why),
        cmocka_unit_test(an_error_reply_may_have_a_payload_or_no_errno),
        cmocka_unit_test(a_posted_command_wants_no_reply),
        cmocka_unit_test(each_command_is_taken_from_its_own_side_only),
        cmocka_unit_test(a_payload_is_bounded_by_what_its_command_can_carry),
        cmocka_unit_test(commands_are_found_by_number_and_have_names),
        cmocka_unit_test(statuses_keep_their_meaning_over_the_wire),
        cmocka_unit_test(errno_numbers_are_those_of_the_uapi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
