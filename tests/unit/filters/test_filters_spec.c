/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_filters_rig.h"

#include <stdio.h>
#include <string.h>

static void a_wrong_specification_is_refused_at_its_spot(void **state)
{
    static const struct {
        const char *spec;
        uint64_t at;
        const char *says;
    } cases[] = {
        { "", 0, "no such filter" },
        { "log,", 4, "no such filter" },
        { "log,,log", 4, "no such filter" },
        { "eror=read:EIO", 0, "no such filter" },
        { "delay", 0, "operation" },
        { "delay=", 6, "no operation" },
        { "delay=stop", 10, "time" },
        { "delay=stop:", 11, "us, ms or s" },
        { "delay=stop:200", 11, "us, ms or s" },
        { "delay=stop:ms", 11, "us, ms or s" },
        { "delay=stop:3601s", 11, "hour" },
        { "delay=stop:99999999999999999999s", 11, "us, ms or s" },
        { "delay=dma_read:11s", 15, "10 s" },
        { "delay=stopped:1s", 6, "no operation" },
        { "delay=stop>:1s", 6, "no operation" },
        { "delay=>stop:1s", 6, "no operation" },
        { "log,error=read:EIO@", 18, "when is" },
        { "log,error=read:EIO@0", 18, "when is" },
        { "error=read:EIO@3-", 14, "when is" },
        { "error=read:EIO%", 14, "when is" },
        { "error=read:EIO%3#x", 17, "seed" },
        { "error=read:EFOO", 11, "errno" },
        { "error=read", 10, "errno" },
        { "error=read:ENXIO", 11, "status of its own" },
        { "short=write:1", 6, "only read" },
        { "short=read:-1", 11, "most bytes" },
        { "corrupt=stop", 8, "carry data" },
        { "corrupt=any", 8, "carry data" },
        { "corrupt=write:1.8", 16, "0 to 7" },
        { "corrupt=write:x", 14, "BYTE" },
        { "lose=read", 5, "tell dirty pages" },
        { "lose=log_start", 5, "tell dirty pages" },
        { "lose=log_report:1", 16, "nothing" },
        { "corrupt=log_report", 8, "carry data" },
        { "log=", 4, "name of a file" },
        { "log=json:", 9, "name of a file" },
    };
    struct toy *toy = toy_new(FILTERED_FLAGS, 1);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ferry_endpoint *endpoint = NULL;
        struct ferry_error error = { 0 };

        assert_int_equal(
            ferry_filter_open(toy->endpoint, cases[i].spec, &endpoint, &error),
            FERRY_E_ARGUMENT);
        assert_null(endpoint);
        assert_int_equal(error.code, FERRY_E_ARGUMENT);
        assert_string_equal(error.layer, "filter");
        assert_int_equal(error.offset, cases[i].at);
        assert_non_null(strstr(error.text, cases[i].says));
        assert_non_null(strstr(error.text, "for example "));
    }
    toy_free(toy);
}

static void each_request_has_a_name(void **state)
{
    struct toy *toy = toy_new(FILTERED_FLAGS, 1);

    (void)state;
    for (uint32_t kind = 1; kind < FERRY_RQ_COUNT; kind++) {
        struct ferry_endpoint *endpoint = NULL;
        char spec[64];

        (void)snprintf(spec, sizeof(spec), "error=%s:EIO", ferry_request_name(kind));
        assert_int_equal(ferry_filter_open(toy->endpoint, spec, &endpoint, NULL),
                         FERRY_OK);
        assert_ptr_equal(endpoint->below, toy->endpoint);
        ferry_filter_close(endpoint);
    }
    toy_free(toy);
}

static void too_many_filters_are_refused(void **state)
{
    struct toy *toy = toy_new(FILTERED_FLAGS, 1);
    struct ferry_endpoint *endpoint = NULL;
    char spec[4 * (FERRY_FILTERS_MAX + 1)] = "log";

    (void)state;
    for (int i = 1; i < FERRY_FILTERS_MAX; i++) {
        strcat(spec, ",log");
    }
    assert_int_equal(ferry_filter_open(toy->endpoint, spec, &endpoint, NULL), FERRY_OK);
    ferry_filter_close(endpoint);
    strcat(spec, ",log");
    assert_int_equal(ferry_filter_open(toy->endpoint, spec, &endpoint, NULL),
                     FERRY_E_LIMIT);
    ferry_filter_close(NULL);
    toy_free(toy);
}

static void the_first_is_nearest_to_the_user(void **state)
{
    struct toy *toy = filtered_new("error=region_write:EBUSY@1,error=region_write:EIO@1");
    uint32_t value = 1;

    (void)state;
    assert_int_equal(toy_write(toy, 0, 4, &value, 4), FERRY_E_BUSY);
    assert_int_equal(toy_write(toy, 0, 4, &value, 4), FERRY_E_DEVICE);
    assert_int_equal(toy_write(toy, 0, 4, &value, 4), FERRY_OK);
    filtered_free(toy);
}

static void a_second_user_is_refused(void **state)
{
    struct toy *toy = filtered_new("error=reset:EIO");

    (void)state;
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_E_BUSY);
    filtered_free(toy);
}

static int always(struct ferry_endpoint *endpoint)
{
    (void)endpoint;
    return 1;
}

static void reads_may_come_inside_where_the_device_lets_them(void **state)
{
    struct ferry_endpoint_ops ops = { .struct_size = sizeof(ops) };
    struct ferry_endpoint below = { .ops = &ops }, *endpoint = NULL;

    (void)state;
    assert_int_equal(ferry_filter_open(&below, "error=reset:EIO,log", &endpoint, NULL),
                     FERRY_OK);
    assert_int_equal(endpoint->ops->reads_inside(endpoint), 0);
    ops.reads_inside = always;
    assert_int_equal(endpoint->ops->reads_inside(endpoint), 1);
    ops.struct_size = offsetof(struct ferry_endpoint_ops, reads_inside);
    assert_int_equal(endpoint->ops->reads_inside(endpoint), 0);
    ferry_filter_close(endpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_specification_is_refused_at_its_spot),
        cmocka_unit_test(each_request_has_a_name),
        cmocka_unit_test(too_many_filters_are_refused),
        cmocka_unit_test(the_first_is_nearest_to_the_user),
        cmocka_unit_test(a_second_user_is_refused),
        cmocka_unit_test(reads_may_come_inside_where_the_device_lets_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
