/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/rules/rules.h"
#include "ferry/access.h"
#include "ferry/error.h"
#include "ferry/state.h"

static void every_cell_is_filled(void **state)
{
    uint32_t op, s;

    (void)state;
    for (op = 0; op < FERRY_OP_COUNT; op++) {
        for (s = 0; s < FERRY_STATE_COUNT; s++) {
            const struct ferry_access *cell = ferry_access_get(op, s);

            assert_non_null(cell);
            assert_in_range(cell->verdict, FERRY_ALLOW, FERRY_LATCH);
            assert_non_null(cell->rule);
            assert_non_null(cell->rule->id);
        }
    }
}

static void there_is_nothing_outside_the_table(void **state)
{
    (void)state;
    assert_null(ferry_access_get(FERRY_OP_COUNT, 0));
    assert_null(ferry_access_get(0, FERRY_STATE_COUNT));
    assert_null(ferry_access_get(0xffffffffu, 0xffffffffu));
    assert_string_equal(ferry_operation_name(FERRY_OP_COUNT), "?");
    assert_null(ferry_rule_get(100000));
    assert_string_equal(ferry_chapter_name(0), "?");
    assert_string_equal(ferry_chapter_name(FERRY_CHAPTER_COUNT), "?");
}

static void every_rule_of_the_table_is_used_by_a_cell(void **state)
{
    size_t i;
    uint32_t op, s;

    (void)state;
    for (i = 0; i < FERRY_RULE_ACCESS_COUNT; i++) {
        int used = 0;

        for (op = 0; op < FERRY_OP_COUNT; op++) {
            for (s = 0; s < FERRY_STATE_COUNT; s++) {
                used += ferry_access_get(op, s)->rule == ferry_rule_get(i);
            }
        }
        if (!used) {
            fail_msg("rule %s is used nowhere", ferry_rule_get(i)->id);
        }
    }
}

static void every_rule_is_complete_and_its_id_its_own(void **state)
{
    const struct ferry_rule *rule;
    size_t i, j;

    (void)state;
    for (i = 0; (rule = ferry_rule_get(i)) != NULL; i++) {
        assert_true(strncmp(rule->id, "MIG-", 4) == 0 ||
                    strncmp(rule->id, "STR-", 4) == 0);
        assert_true(strlen(rule->id) < sizeof(((struct ferry_error *)0)->rule));
        assert_true(rule->text && rule->text[strlen(rule->text) - 1] == '.');
        assert_true(rule->why && rule->why[strlen(rule->why) - 1] == '.');
        assert_true(rule->source && rule->source[0]);
        assert_in_range(rule->enforced, 0, 1);
        assert_string_not_equal(ferry_chapter_name(rule->chapter), "?");
        for (j = 0; j < i; j++) {
            assert_string_not_equal(rule->id, ferry_rule_get(j)->id);
        }
    }
    assert_true(i > FERRY_RULE_ACCESS_COUNT);
}

static void every_table_of_rules_is_walked(void **state)
{
    const struct ferry_rule *rule;
    size_t i;
    int state_seen = 0;
    int stream_seen = 0;

    (void)state;
    for (i = 0; (rule = ferry_rule_get(i)) != NULL; i++) {
        state_seen |= rule == &ferry_rules_state[0];
        stream_seen |= rule == &ferry_rules_stream[0];
    }
    assert_true(state_seen && stream_seen);
}

static void every_operation_has_its_own_name(void **state)
{
    uint32_t a, b;

    (void)state;
    for (a = 0; a < FERRY_OP_COUNT; a++) {
        assert_string_not_equal(ferry_operation_name(a), "?");
        for (b = 0; b < a; b++) {
            assert_string_not_equal(ferry_operation_name(a), ferry_operation_name(b));
        }
    }
}

/*
 * The decisions, by state ERROR, STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P,
 * PRE_COPY, PRE_COPY_P2P: A allow, R refuse, I ignore, C compare, L latch.
 */
static const struct {
    uint32_t operation;
    const char *verdicts;
} decided[] = {
    { FERRY_OP_CONFIG_READ, "AAAAAAAA" },  { FERRY_OP_CONFIG_WRITE, "RAAAAAAA" },
    { FERRY_OP_MSIX_READ, "RAAAAAAA" },    { FERRY_OP_MSIX_WRITE, "RAAAAAAA" },
    { FERRY_OP_REGION_READ, "RRARRAAA" },  { FERRY_OP_REGION_WRITE, "RRARRLAL" },
    { FERRY_OP_MMAP_ACCESS, "ICACCCAC" },  { FERRY_OP_IOEVENTFD, "IIAIILAL" },
    { FERRY_OP_SET_IRQS, "AAAAAAAA" },     { FERRY_OP_INFO, "AAAAAAAA" },
    { FERRY_OP_IRQ_RAISE, "RRARRRAR" },    { FERRY_OP_DMA_START, "RRARRRAR" },
    { FERRY_OP_DMA_ACCEPT, "ICACCAAA" },   { FERRY_OP_DMA_MAP, "AAAAAAAA" },
    { FERRY_OP_DMA_UNMAP, "AAAAAAAA" },    { FERRY_OP_ATTACH, "AAAAAAAA" },
    { FERRY_OP_LOG_CONTROL, "AAAAAAAA" },  { FERRY_OP_LOG_REPORT, "AAAAAAAA" },
    { FERRY_OP_DATA_READ, "RRRARRAA" },    { FERRY_OP_DATA_WRITE, "RRRRARRR" },
    { FERRY_OP_PRECOPY_INFO, "RRRRRRAA" }, { FERRY_OP_DATA_SIZE, "RAAAAAAA" },
    { FERRY_OP_RESET, "AAAAAAAA" },        { FERRY_OP_HOT_RESET, "ARARRRRR" },
    { FERRY_OP_POWER, "RLALLLAL" },        { FERRY_OP_DMABUF_EXPORT, "RAAAAAAA" },
    { FERRY_OP_PAGE_REQUEST, "RRARRRAR" },
};

static void verdicts_are_as_decided(void **state)
{
    static const char letters[] = "?ARICL";
    size_t i;
    uint32_t s;

    (void)state;
    assert_int_equal(sizeof(decided) / sizeof(decided[0]), FERRY_OP_COUNT);
    for (i = 0; i < FERRY_OP_COUNT; i++) {
        for (s = 0; s < FERRY_STATE_COUNT; s++) {
            uint8_t verdict = ferry_access_get(decided[i].operation, s)->verdict;

            if (letters[verdict] != decided[i].verdicts[s]) {
                fail_msg("%s in %s: %c, not %c",
                         ferry_operation_name(decided[i].operation), ferry_state_name(s),
                         letters[verdict], decided[i].verdicts[s]);
            }
        }
    }
}

static void a_refused_region_read_gives_ones(void **state)
{
    (void)state;
    assert_int_equal(ferry_access_get(FERRY_OP_REGION_READ, FERRY_STATE_STOP)->read_value,
                     0xff);
    assert_int_equal(
        ferry_access_get(FERRY_OP_REGION_READ, FERRY_STATE_RESUMING)->read_value, 0xff);
    assert_string_equal(
        ferry_access_get(FERRY_OP_REGION_WRITE, FERRY_STATE_STOP)->rule->id,
        "MIG-STOP-2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_filled),
        cmocka_unit_test(there_is_nothing_outside_the_table),
        cmocka_unit_test(every_rule_of_the_table_is_used_by_a_cell),
        cmocka_unit_test(every_rule_is_complete_and_its_id_its_own),
        cmocka_unit_test(every_table_of_rules_is_walked),
        cmocka_unit_test(every_operation_has_its_own_name),
        cmocka_unit_test(verdicts_are_as_decided),
        cmocka_unit_test(a_refused_region_read_gives_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
