/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "ferry/check.h"
#include "ferry/filter.h"
#include "ferry/state.h"
#include "test_device_toy.h"

/* The engine, with `arc.legal` as the check: what runs, how a case ends, and what becomes
 * of the rest when a device is gone. */

struct seen {
    uint32_t count, begun, stop_after;
    struct ferry_check_result last, first_failed, first_broken;
};

struct rig {
    struct toy *toy;
    struct ferry_endpoint *filtered;
    struct ferry_check_options options;
    struct ferry_check_summary summary;
    struct ferry_error error;
    struct seen seen;
};

static void on_begin(void *user, const struct ferry_check_info *check, const char *name)
{
    struct seen *seen = user;

    assert_non_null(check->id);
    assert_non_null(name);
    seen->begun++;
}

static int on_result(void *user, const struct ferry_check_result *result)
{
    struct seen *seen = user;

    seen->count++;
    seen->last = *result;
    if (result->verdict == FERRY_CHECK_FAIL && !seen->first_failed.check) {
        seen->first_failed = *result;
    }
    if (result->verdict == FERRY_CHECK_BROKEN && !seen->first_broken.check) {
        seen->first_broken = *result;
    }
    return seen->stop_after != 0 && seen->count == seen->stop_after;
}

/* spec: filters over the device; NULL: none. */
static void set_up(struct rig *rig, uint32_t features, const char *spec)
{
    memset(rig, 0, sizeof(*rig));
    rig->toy = toy_new(features, 1);
    rig->toy->endpoint->ops->detach(rig->toy->endpoint);
    rig->toy->state_bytes = 5000;
    rig->filtered = rig->toy->endpoint;
    if (spec) {
        assert_int_equal(
            ferry_filter_open(rig->toy->endpoint, spec, &rig->filtered, &rig->error),
            FERRY_OK);
    }
    rig->options = (struct ferry_check_options){ .struct_size = sizeof(rig->options),
                                                 .device = { NULL, rig->filtered },
                                                 .only = "arc.legal",
                                                 .timeout_ms = 200,
                                                 .begin = on_begin,
                                                 .result = on_result,
                                                 .user = &rig->seen };
}

static int run(struct rig *rig)
{
    return ferry_check_run(&rig->options, &rig->summary, &rig->error);
}

static void tear_down(struct rig *rig)
{
    if (rig->filtered != rig->toy->endpoint) {
        ferry_filter_close(rig->filtered);
    }
    toy_free(rig->toy);
}

static void test_every_legal_pair_of_the_features_is_a_case(void **state)
{
    static const struct {
        uint32_t features, pairs;
    } kinds[] = { { 1, 12 }, { 3, 20 }, { 5, 19 }, { 7, 40 } };
    struct rig rig;

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        set_up(&rig, kinds[i].features, NULL);
        assert_int_equal(run(&rig), FERRY_OK);
        assert_int_equal(rig.summary.passed, kinds[i].pairs);
        assert_int_equal(rig.seen.count, kinds[i].pairs);
        assert_int_equal(rig.seen.begun, kinds[i].pairs);
        assert_int_equal(rig.summary.failed + rig.summary.broken, 0);
        assert_int_equal(rig.summary.features, kinds[i].features);
        tear_down(&rig);
    }
}

static void test_patterns_pick_checks_and_cases(void **state)
{
    static const struct {
        const char *only;
        uint32_t cases;
    } picks[] = { { "arc.legal[RUNNING>STOP]", 1 },
                  { "arc.legal[RUNNING>*]", 3 },
                  { "arc.legal[RUNNING>STOP] arc.legal[STOP>RUNNING]", 2 },
                  { "arc.lega?[RUNNING>STOP]", 1 },
                  { "arc.legal[NOWHERE]", 0 },
                  { "arc.none", 0 } };
    struct rig rig;

    (void)state;
    for (size_t i = 0; i < sizeof(picks) / sizeof(picks[0]); i++) {
        set_up(&rig, FERRY_MIG_STOP_COPY, NULL);
        rig.options.only = picks[i].only;
        assert_int_equal(run(&rig), FERRY_OK);
        assert_int_equal(rig.seen.count, picks[i].cases);
        tear_down(&rig);
    }
}

static void test_rules_and_profiles_pick_checks(void **state)
{
    struct rig rig;

    (void)state;
    set_up(&rig, FERRY_MIG_STOP_COPY, NULL);
    rig.options.rule = "MIG-ARC-1";
    rig.options.profile = FERRY_CHECK_REQUIRED;
    assert_int_equal(run(&rig), FERRY_OK);
    assert_int_equal(rig.seen.count, 12);
    rig.seen.count = 0;
    rig.options.rule = "MIG-NONE";
    assert_int_equal(run(&rig), FERRY_OK);
    assert_int_equal(rig.seen.count, 0);
    tear_down(&rig);
}

static void test_it_is_told_before_a_run_what_is_picked(void **state)
{
    const struct ferry_check_info info = { .id = "arc.legal",
                                           .rule = "MIG-ARC-1",
                                           .profile = FERRY_CHECK_EXPECTED };
    struct ferry_check_options options = { .struct_size = sizeof(options) };

    (void)state;
    assert_true(ferry_check_matches("x arc.*", &info, "RUNNING>STOP"));
    assert_true(ferry_check_matches("arc.legal[RUNNING>STOP]", &info, NULL));
    assert_true(ferry_check_matches("arc.legal[RUNNING>*]", &info, "RUNNING>STOP"));
    assert_false(ferry_check_matches("arc.legal[RUNNING>STOP]", &info, "STOP>RUNNING"));
    assert_false(ferry_check_matches("MIG-ARC-1", &info, NULL));
    assert_false(ferry_check_matches("", &info, NULL));
    assert_true(ferry_check_wanted(&options, &info));
    options.profile = FERRY_CHECK_REQUIRED;
    assert_false(ferry_check_wanted(&options, &info));
    options.profile = FERRY_CHECK_EXPECTED;
    options.rule = "MIG-ARC";
    options.only = "arc.legal[NOWHERE]";
    assert_true(ferry_check_wanted(&options, &info));
    options.rule = "MIG-ARC-10";
    assert_false(ferry_check_wanted(&options, &info));
    options.rule = NULL;
    options.only = "arc.legal.more";
    assert_false(ferry_check_wanted(&options, &info));
}

static void test_a_broken_rule_is_told_with_what_was_expected_and_seen(void **state)
{
    struct rig rig;

    (void)state;
    set_up(&rig, FERRY_MIG_STOP_COPY, "error=resuming:EIO");
    rig.options.only = "arc.legal[STOP>RESUMING] arc.legal[RUNNING>STOP]";
    assert_int_equal(run(&rig), FERRY_OK);
    assert_int_equal(rig.summary.failed, 1);
    assert_int_equal(rig.summary.failed_of[FERRY_CHECK_REQUIRED], 1);
    assert_int_equal(rig.summary.passed, 1);
    assert_string_equal(rig.seen.first_failed.name, "STOP>RESUMING");
    assert_string_equal(rig.seen.first_failed.expected, "SET_STATE works");
    assert_non_null(strstr(rig.seen.first_failed.seen, "errno 5"));
    tear_down(&rig);
}

static void test_what_fails_before_a_check_is_no_finding(void **state)
{
    struct rig rig;

    (void)state;
    set_up(&rig, FERRY_MIG_STOP_COPY, "error=stop_copy:EIO");
    rig.options.only = "arc.legal[STOP_COPY>STOP]";
    assert_int_equal(run(&rig), FERRY_OK);
    assert_int_equal(rig.summary.failed, 0);
    assert_int_equal(rig.summary.broken, 1);
    assert_non_null(strstr(rig.seen.first_broken.seen, "STOP_COPY"));
    tear_down(&rig);
}

static void test_a_device_that_does_not_come_back_ends_the_cases_soon(void **state)
{
    struct rig rig;

    (void)state;
    /* The first request for its state is answered, no later one. */
    set_up(&rig, FERRY_MIG_STOP_COPY, "error=get_state:EIO@4+");
    assert_int_equal(run(&rig), FERRY_OK);
    assert_true(rig.summary.broken >= 1);
    assert_true(rig.seen.count < 12);
    assert_int_equal(rig.seen.last.verdict, FERRY_CHECK_BROKEN);
    tear_down(&rig);
}

static void test_a_device_that_never_answers_costs_a_limit_each_and_no_more(void **state)
{
    struct rig rig;

    (void)state;
    set_up(&rig, FERRY_MIG_STOP_COPY, "delay=stop:30s");
    rig.options.only = "arc.legal[RUNNING>STOP]";
    rig.options.timeout_ms = 50;
    assert_int_equal(run(&rig), FERRY_OK);
    assert_int_equal(rig.summary.failed, 1);
    assert_non_null(strstr(rig.seen.first_failed.seen, "TIMEOUT"));
    tear_down(&rig);
}

static void test_a_result_can_end_the_run(void **state)
{
    struct rig rig;

    (void)state;
    set_up(&rig, FERRY_MIG_STOP_COPY, NULL);
    rig.seen.stop_after = 3;
    assert_int_equal(run(&rig), FERRY_E_CANCELLED);
    assert_int_equal(rig.seen.count, 3);
    /* Who has that need not have the summary. */
    rig.seen.count = 0;
    assert_int_equal(ferry_check_run(&rig.options, NULL, NULL), FERRY_E_CANCELLED);
    assert_int_equal(rig.seen.count, 3);
    tear_down(&rig);
}

static void test_a_device_that_does_not_migrate_is_refused(void **state)
{
    struct rig rig;

    (void)state;
    set_up(&rig, FERRY_MIG_STOP_COPY, "error=mig_flags:ENOTTY");
    assert_int_equal(run(&rig), FERRY_E_UNSUPPORTED);
    assert_non_null(strstr(rig.error.text, "does not migrate"));
    assert_int_equal(rig.seen.count, 0);
    rig.options.device.endpoint = NULL;
    assert_int_equal(run(&rig), FERRY_E_ARGUMENT);
    rig.options.device.uri = "nowhere:at-all";
    assert_int_equal(run(&rig), FERRY_E_ARGUMENT);
    assert_non_null(strstr(rig.error.text, "nowhere:at-all"));
    tear_down(&rig);
}

static void test_the_list_holds_each_id_once(void **state)
{
    const struct ferry_check_info *info, *other;

    (void)state;
    assert_non_null(ferry_check_get(0));
    for (size_t i = 0; (info = ferry_check_get(i)) != NULL; i++) {
        assert_non_null(info->rule);
        assert_non_null(info->title);
        assert_in_range(info->profile, FERRY_CHECK_REQUIRED, FERRY_CHECK_RECOMMENDED);
        assert_null(strpbrk(info->id, " []*?"));
        for (size_t j = 0; j < i && (other = ferry_check_get(j)) != NULL; j++) {
            assert_string_not_equal(info->id, other->id);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_legal_pair_of_the_features_is_a_case),
        cmocka_unit_test(test_patterns_pick_checks_and_cases),
        cmocka_unit_test(test_rules_and_profiles_pick_checks),
        cmocka_unit_test(test_it_is_told_before_a_run_what_is_picked),
        cmocka_unit_test(test_a_broken_rule_is_told_with_what_was_expected_and_seen),
        cmocka_unit_test(test_what_fails_before_a_check_is_no_finding),
        cmocka_unit_test(test_a_device_that_does_not_come_back_ends_the_cases_soon),
        cmocka_unit_test(test_a_device_that_never_answers_costs_a_limit_each_and_no_more),
        cmocka_unit_test(test_a_result_can_end_the_run),
        cmocka_unit_test(test_a_device_that_does_not_migrate_is_refused),
        cmocka_unit_test(test_the_list_holds_each_id_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
