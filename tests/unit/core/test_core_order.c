/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/stream/order.h"

#define NONE FERRY_NO_DEVICE

static struct ferry_stream_order order;
static struct ferry_error error;

static int feed(uint16_t tag, uint32_t device)
{
    struct ferry_record record = { .magic = FERRY_RECORD_MAGIC,
                                   .tag = tag,
                                   .device = device };

    return ferry_stream_order_record(&order, &record, 40, &error);
}

static void accept(uint16_t tag, uint32_t device)
{
    if (feed(tag, device) != FERRY_OK) {
        fail_msg("%s: %s %s", ferry_record_name(tag), error.rule, error.text);
    }
}

/* Refused by this rule, without any change of the order. */
static void refuse(uint16_t tag, uint32_t device, const char *rule)
{
    struct ferry_stream_order before = order;

    assert_int_equal(feed(tag, device), FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, rule);
    assert_int_equal(error.offset, 40);
    assert_non_null(strstr(error.text, ferry_record_name(tag)));
    assert_memory_equal(&order, &before, sizeof(order));
}

static void add_memory(uint64_t iova, uint64_t size)
{
    struct ferry_stream_hello_memory memory = { order.memory_count, 1, iova, size };

    accept(FERRY_REC_HELLO_MEMORY, NONE);
    assert_int_equal(ferry_stream_order_hello_memory(&order, &memory, &error), FERRY_OK);
}

/* Two devices and two regions are introduced. */
static void introduce(void)
{
    struct ferry_stream_hello hello = { .device_count = 2, .memory_count = 2 };

    ferry_stream_order_init(&order, FERRY_STREAM_SOURCE, 0, 0);
    accept(FERRY_REC_PREAMBLE, NONE);
    accept(FERRY_REC_HELLO_DEVICE, 0);
    add_memory(0x10000, 0x4000);
    accept(FERRY_REC_HELLO_DEVICE, 1);
    add_memory(0x20000, 0x4000);
    accept(FERRY_REC_HELLO, NONE);
    assert_int_equal(ferry_stream_order_hello(&order, &hello, &error), FERRY_OK);
}

static void introduce_and_accept(void)
{
    introduce();
    ferry_stream_order_sent(&order, FERRY_REC_ACCEPT);
}

/* Everything up to, not including, ALL_SENT. */
static void send_all_data(void)
{
    introduce_and_accept();
    accept(FERRY_REC_MEMORY_END, NONE);
    accept(FERRY_REC_DEVICE_END, 0);
    accept(FERRY_REC_DEVICE_END, 1);
}

static void a_whole_source_stream_is_taken(void **state)
{
    (void)state;
    introduce_and_accept();
    accept(FERRY_REC_DEVICE_DATA, 1);
    accept(FERRY_REC_MEMORY_PAGES, NONE);
    accept(FERRY_REC_DEVICE_INITIAL, 1);
    accept(FERRY_REC_DEVICE_DATA, 0);
    accept(FERRY_REC_DEVICE_DATA, 1);
    accept(FERRY_REC_DEVICE_END, 1);
    accept(FERRY_REC_DEVICE_CONFIG, 1);
    accept(FERRY_REC_MEMORY_ZERO, NONE);
    accept(FERRY_REC_DEVICE_CONFIG, 0);
    accept(FERRY_REC_DEVICE_END, 0);
    accept(FERRY_REC_DEVICE_IRQS, 0);
    accept(FERRY_REC_MEMORY_END, NONE);
    accept(FERRY_REC_VMM_STATE, NONE);
    accept(FERRY_REC_VMM_STATE, NONE);
    accept(FERRY_REC_ALL_SENT, NONE);
    ferry_stream_order_sent(&order, FERRY_REC_PREPARED);
    assert_int_equal(ferry_stream_order_end(&order, 9, &error), FERRY_E_SHORT);
    assert_string_equal(error.rule, "STR-END-2");
    accept(FERRY_REC_COMMIT, NONE);
    assert_int_equal(ferry_stream_order_end(&order, 9, &error), FERRY_OK);
}

static void a_whole_target_stream_is_taken(void **state)
{
    uint16_t last;

    (void)state;
    for (last = FERRY_REC_RUNNING; last <= FERRY_REC_RETURN; last++) {
        ferry_stream_order_init(&order, FERRY_STREAM_TARGET, 2, 0);
        accept(FERRY_REC_PREAMBLE, NONE);
        ferry_stream_order_sent(&order, FERRY_REC_HELLO);
        accept(FERRY_REC_ACCEPT, NONE);
        ferry_stream_order_sent(&order, FERRY_REC_DEVICE_INITIAL);
        accept(FERRY_REC_INITIAL_DONE, 1);
        ferry_stream_order_sent(&order, FERRY_REC_ALL_SENT);
        accept(FERRY_REC_PREPARED, NONE);
        ferry_stream_order_sent(&order, FERRY_REC_COMMIT);
        accept(last, NONE);
        assert_int_equal(ferry_stream_order_end(&order, 9, &error), FERRY_OK);
        refuse(FERRY_REC_ABORT, NONE, "STR-ORD-1");
    }
}

/* 1 when a source may send the tag as its next, by what was sent before. */
static const struct {
    const char *name;
    void (*prepare)(void);
    uint32_t legal;
} phases[] = {
    { "in the introduction", NULL,
      1u << FERRY_REC_HELLO_DEVICE | 1u << FERRY_REC_HELLO_MEMORY |
          1u << FERRY_REC_HELLO | 1u << FERRY_REC_CONNECTIONS | 1u << FERRY_REC_ABORT },
    { "after HELLO, not accepted", introduce, 1u << FERRY_REC_ABORT },
    { "after HELLO, accepted", introduce_and_accept,
      1u << FERRY_REC_MEMORY_PAGES | 1u << FERRY_REC_MEMORY_ZERO |
          1u << FERRY_REC_MEMORY_END | 1u << FERRY_REC_DEVICE_DATA |
          1u << FERRY_REC_DEVICE_INITIAL | 1u << FERRY_REC_DEVICE_END |
          1u << FERRY_REC_DEVICE_CONFIG | 1u << FERRY_REC_DEVICE_IRQS |
          1u << FERRY_REC_VMM_STATE | 1u << FERRY_REC_ABORT },
    { "after all ends", send_all_data,
      1u << FERRY_REC_DEVICE_CONFIG | 1u << FERRY_REC_DEVICE_IRQS |
          1u << FERRY_REC_VMM_STATE | 1u << FERRY_REC_ALL_SENT | 1u << FERRY_REC_ABORT },
};

static uint32_t device_of(uint16_t tag)
{
    switch ((enum ferry_record_tag)tag) {
    case FERRY_REC_DEVICE_DATA:
    case FERRY_REC_DEVICE_INITIAL:
    case FERRY_REC_DEVICE_END:
    case FERRY_REC_DEVICE_CONFIG:
    case FERRY_REC_DEVICE_IRQS:
    case FERRY_REC_HELLO_DEVICE:
    case FERRY_REC_HELLO_V1:
    case FERRY_REC_INITIAL_DONE:
        return 0;
    case FERRY_REC_PREAMBLE:
    case FERRY_REC_HELLO_MEMORY:
    case FERRY_REC_HELLO:
    case FERRY_REC_ACCEPT:
    case FERRY_REC_REFUSE:
    case FERRY_REC_MEMORY_PAGES:
    case FERRY_REC_MEMORY_ZERO:
    case FERRY_REC_MEMORY_END:
    case FERRY_REC_VMM_STATE:
    case FERRY_REC_ALL_SENT:
    case FERRY_REC_PREPARED:
    case FERRY_REC_COMMIT:
    case FERRY_REC_RUNNING:
    case FERRY_REC_RETURN:
    case FERRY_REC_ABORT:
    case FERRY_REC_PACKED:
    case FERRY_REC_FILE_END:
    case FERRY_REC_CONNECTIONS:
    case FERRY_REC_ATTACH:
    case FERRY_REC_BARRIER:
    case FERRY_REC_TAG_END:
        break;
    }
    return NONE;
}

static void every_tag_in_every_phase_of_a_source_is_judged_right(void **state)
{
    size_t p;
    uint16_t tag;

    (void)state;
    for (p = 0; p < sizeof(phases) / sizeof(phases[0]); p++) {
        for (tag = 1; tag < FERRY_REC_TAG_END; tag++) {
            int expected = phases[p].legal >> tag & 1;

            if (phases[p].prepare) {
                phases[p].prepare();
            } else {
                ferry_stream_order_init(&order, FERRY_STREAM_SOURCE, 0, 0);
                accept(FERRY_REC_PREAMBLE, NONE);
            }
            if ((feed(tag, device_of(tag)) == FERRY_OK) != expected) {
                fail_msg("%s %s", ferry_record_name(tag), phases[p].name);
            }
        }
    }
}

static void nothing_but_a_preamble_comes_first(void **state)
{
    uint32_t side;
    uint16_t tag;

    (void)state;
    for (side = 0; side < 2; side++) {
        for (tag = 2; tag < FERRY_REC_TAG_END; tag++) {
            ferry_stream_order_init(&order, side, 0, 0);
            refuse(tag, NONE, "STR-ORD-1");
        }
        accept(FERRY_REC_PREAMBLE, NONE);
        refuse(FERRY_REC_PREAMBLE, NONE, "STR-ORD-1");
    }
}

static void data_waits_for_accept_but_not_in_a_file(void **state)
{
    (void)state;
    introduce();
    refuse(FERRY_REC_DEVICE_DATA, 0, "STR-ORD-2");
    refuse(FERRY_REC_MEMORY_PAGES, NONE, "STR-ORD-2");
    order.one_way = 1;
    accept(FERRY_REC_DEVICE_DATA, 0);
    accept(FERRY_REC_DEVICE_END, 0);
    accept(FERRY_REC_DEVICE_END, 1);
    accept(FERRY_REC_MEMORY_END, NONE);
    refuse(FERRY_REC_FILE_END, NONE, "STR-ORD-1");
    accept(FERRY_REC_ALL_SENT, NONE);
    assert_int_equal(ferry_stream_order_end(&order, 9, &error), FERRY_E_SHORT);
    refuse(FERRY_REC_PACKED, NONE, "STR-ORD-1");
    accept(FERRY_REC_FILE_END, NONE);
    assert_int_equal(ferry_stream_order_end(&order, 9, &error), FERRY_OK);
    refuse(FERRY_REC_FILE_END, NONE, "STR-ORD-1");
}

static void answers_need_their_question(void **state)
{
    (void)state;
    ferry_stream_order_init(&order, FERRY_STREAM_TARGET, 1, 0);
    accept(FERRY_REC_PREAMBLE, NONE);
    refuse(FERRY_REC_REFUSE, NONE, "STR-ORD-2");
    refuse(FERRY_REC_ACCEPT, NONE, "STR-ORD-2");
    ferry_stream_order_sent(&order, FERRY_REC_HELLO);
    accept(FERRY_REC_ACCEPT, NONE);
    refuse(FERRY_REC_INITIAL_DONE, 0, "STR-ORD-2");
    refuse(FERRY_REC_PREPARED, NONE, "STR-ORD-2");
    ferry_stream_order_sent(&order, FERRY_REC_ALL_SENT);
    accept(FERRY_REC_PREPARED, NONE);
    refuse(FERRY_REC_RUNNING, NONE, "STR-ORD-2");
    refuse(FERRY_REC_RETURN, NONE, "STR-ORD-2");
    send_all_data();
    accept(FERRY_REC_ALL_SENT, NONE);
    refuse(FERRY_REC_COMMIT, NONE, "STR-ORD-2");
}

static void what_comes_once_comes_once(void **state)
{
    static const uint16_t once[] = { FERRY_REC_DEVICE_INITIAL, FERRY_REC_DEVICE_CONFIG,
                                     FERRY_REC_DEVICE_IRQS, FERRY_REC_DEVICE_END };
    size_t i;

    (void)state;
    introduce_and_accept();
    for (i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        accept(once[i], 0);
        refuse(once[i], 0, "STR-ORD-3");
        accept(once[i], 1); /* the other device has its own */
    }
    refuse(FERRY_REC_DEVICE_DATA, 0, "STR-ORD-3");
    refuse(FERRY_REC_DEVICE_INITIAL, 0, "STR-ORD-3");
    accept(FERRY_REC_MEMORY_END, NONE);
    refuse(FERRY_REC_MEMORY_END, NONE, "STR-ORD-3");
    refuse(FERRY_REC_MEMORY_PAGES, NONE, "STR-ORD-3");
    refuse(FERRY_REC_MEMORY_ZERO, NONE, "STR-ORD-3");
}

static void devices_are_introduced_in_order_and_used_after(void **state)
{
    uint32_t device;

    (void)state;
    ferry_stream_order_init(&order, FERRY_STREAM_SOURCE, 0, 0);
    accept(FERRY_REC_PREAMBLE, NONE);
    refuse(FERRY_REC_HELLO_DEVICE, 1, "STR-ORD-4");
    for (device = 0; device < FERRY_SESSION_DEVICES_MAX; device++) {
        accept(FERRY_REC_HELLO_DEVICE, device);
        refuse(FERRY_REC_HELLO_DEVICE, device, "STR-ORD-3");
    }
    assert_int_equal(feed(FERRY_REC_HELLO_DEVICE, device), FERRY_E_LIMIT);
    introduce_and_accept();
    refuse(FERRY_REC_DEVICE_DATA, 2, "STR-ORD-4");
    refuse(FERRY_REC_ABORT, 2, "STR-ORD-4");
}

static void memories_are_introduced_in_order_apart_and_within_the_limit(void **state)
{
    struct ferry_stream_hello_memory memory = { 1, 1, 0, 0x1000 };
    uint32_t i;

    (void)state;
    ferry_stream_order_init(&order, FERRY_STREAM_SOURCE, 0, 0);
    accept(FERRY_REC_PREAMBLE, NONE);
    accept(FERRY_REC_HELLO_MEMORY, NONE);
    assert_int_equal(ferry_stream_order_hello_memory(&order, &memory, &error),
                     FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "STR-ORD-4");
    for (i = 0; i < FERRY_STREAM_MEMORIES_MAX; i++) {
        add_memory(i * 0x2000, 0x1000);
    }
    assert_int_equal(feed(FERRY_REC_HELLO_MEMORY, NONE), FERRY_E_LIMIT);
    introduce();
    memory.index = 2;
    memory.iova = 0x13fff;
    memory.size = 1;
    assert_int_equal(ferry_stream_order_hello_memory(&order, &memory, &error),
                     FERRY_E_OVERLAP);
    assert_string_equal(error.rule, "STR-ORD-7");
    assert_int_equal(order.memory_count, 2);
}

static void hello_must_count_right(void **state)
{
    struct ferry_stream_hello hello = { .device_count = 2, .memory_count = 2 };

    (void)state;
    introduce();
    hello.device_count = 3;
    assert_int_equal(ferry_stream_order_hello(&order, &hello, &error), FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "STR-ORD-6");
    hello.device_count = 2;
    hello.memory_count = 1;
    assert_int_equal(ferry_stream_order_hello(&order, &hello, &error), FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "STR-ORD-6");
}

static void all_sent_needs_every_end(void **state)
{
    struct ferry_stream_vmm vmm = { 10, 0, 9 };

    (void)state;
    introduce_and_accept();
    refuse(FERRY_REC_ALL_SENT, NONE, "STR-ORD-5");
    accept(FERRY_REC_MEMORY_END, NONE);
    refuse(FERRY_REC_ALL_SENT, NONE, "STR-ORD-5");
    accept(FERRY_REC_DEVICE_END, 1);
    refuse(FERRY_REC_ALL_SENT, NONE, "STR-ORD-5");
    accept(FERRY_REC_DEVICE_END, 0);
    accept(FERRY_REC_VMM_STATE, NONE);
    assert_int_equal(ferry_stream_order_vmm(&order, &vmm, &error), FERRY_OK);
    assert_int_equal(ferry_stream_order_vmm_complete(&order), 0);
    refuse(FERRY_REC_ALL_SENT, NONE, "STR-ORD-5");
    vmm.off = 9;
    vmm.bytes = 1;
    assert_int_equal(ferry_stream_order_vmm(&order, &vmm, &error), FERRY_OK);
    assert_int_equal(ferry_stream_order_vmm_complete(&order), 1);
    accept(FERRY_REC_ALL_SENT, NONE);
}

static void memory_stays_inside_its_region(void **state)
{
    (void)state;
    introduce_and_accept();
    assert_int_equal(ferry_stream_order_memory(&order, 1, 0, 0x4000, 0, &error),
                     FERRY_OK);
    assert_int_equal(ferry_stream_order_memory(&order, 2, 0, 0x1000, 0, &error),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_stream_order_memory(&order, 1, 0x3000, 0x2000, 1, &error),
                     FERRY_E_RANGE);
    assert_string_equal(error.rule, "STR-ORD-7");
    assert_non_null(strstr(error.text, "MEMORY_ZERO"));
    assert_int_equal(
        ferry_stream_order_memory(&order, 1, UINT64_MAX - 0xfff, 0x2000, 0, &error),
        FERRY_E_RANGE);
    assert_int_equal(order.pages, 4);
}

static void memory_end_counts_what_came(void **state)
{
    struct ferry_stream_memory_end end = { 3, 4096 };

    (void)state;
    introduce_and_accept();
    assert_int_equal(ferry_stream_order_memory(&order, 0, 0, 0x1000, 0, &error),
                     FERRY_OK);
    assert_int_equal(ferry_stream_order_memory_end(&order, &end, &error), FERRY_E_SHORT);
    assert_int_equal(ferry_stream_order_memory(&order, 0, 0, 0x2000, 1, &error),
                     FERRY_OK);
    assert_int_equal(ferry_stream_order_memory_end(&order, &end, &error), FERRY_OK);
    end.pages = 2;
    assert_int_equal(ferry_stream_order_memory_end(&order, &end, &error), FERRY_E_LONG);
    assert_string_equal(error.rule, "STR-ORD-8");
    end.pages = 3;
    end.bytes = 8192;
    assert_int_equal(ferry_stream_order_memory_end(&order, &end, &error), FERRY_E_SHORT);
    end.bytes = 0;
    assert_int_equal(ferry_stream_order_memory_end(&order, &end, &error), FERRY_E_LONG);
}

static void pieces_of_the_vmms_state_have_no_gaps(void **state)
{
    struct ferry_stream_vmm vmm = { 10, 0, 4 };

    (void)state;
    introduce_and_accept();
    vmm.off = 1;
    assert_int_equal(ferry_stream_order_vmm(&order, &vmm, &error), FERRY_E_PROTOCOL);
    vmm.off = 0;
    assert_int_equal(ferry_stream_order_vmm(&order, &vmm, &error), FERRY_OK);
    assert_int_equal(ferry_stream_order_vmm(&order, &vmm, &error), FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "STR-ORD-9");
    vmm.off = 4;
    vmm.total = 11;
    assert_int_equal(ferry_stream_order_vmm(&order, &vmm, &error), FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "STR-ORD-9");
    introduce_and_accept();
    vmm.total = vmm.off = vmm.bytes = 0;
    assert_int_equal(ferry_stream_order_vmm(&order, &vmm, &error), FERRY_OK);
    assert_int_equal(ferry_stream_order_vmm_complete(&order), 1);
    assert_int_equal(ferry_stream_order_vmm(&order, &vmm, &error), FERRY_E_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_source_stream_is_taken),
        cmocka_unit_test(a_whole_target_stream_is_taken),
        cmocka_unit_test(every_tag_in_every_phase_of_a_source_is_judged_right),
        cmocka_unit_test(nothing_but_a_preamble_comes_first),
        cmocka_unit_test(data_waits_for_accept_but_not_in_a_file),
        cmocka_unit_test(answers_need_their_question),
        cmocka_unit_test(what_comes_once_comes_once),
        cmocka_unit_test(devices_are_introduced_in_order_and_used_after),
        cmocka_unit_test(memories_are_introduced_in_order_apart_and_within_the_limit),
        cmocka_unit_test(hello_must_count_right),
        cmocka_unit_test(all_sent_needs_every_end),
        cmocka_unit_test(memory_stays_inside_its_region),
        cmocka_unit_test(memory_end_counts_what_came),
        cmocka_unit_test(pieces_of_the_vmms_state_have_no_gaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
