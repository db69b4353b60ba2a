/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_rig.h"

#include <stdio.h>
#include <string.h>

/* Tries to make a model with one option. Return: the status. */
static int try_option(const char *model, const char *first, const char *second,
                      struct ferry_error *reterr)
{
    const char *const option[] = { first, second };
    const struct ferry_model_options options = { .struct_size = sizeof(options),
                                                 .count = second != NULL ? 2 : 1,
                                                 .option = option };
    struct ferry_device *device = NULL;
    void *state = NULL;
    const struct ferry_model *found = ferry_model_find(model);
    const int status = found->create(&options, &device, &state, reterr);

    if (status == FERRY_OK) {
        found->destroy(device, state);
    }
    return status;
}

static void models_are_found_by_name_and_number(void **state)
{
    (void)state;
    assert_string_equal(ferry_model_get(0)->name, "acc");
    assert_string_equal(ferry_model_get(1)->name, "copy");
    assert_string_equal(ferry_model_get(2)->name, "nic");
    assert_null(ferry_model_get(3));
    assert_ptr_equal(ferry_model_find("copy"), ferry_model_get(1));
    assert_null(ferry_model_find("cop"));
    for (size_t i = 0; ferry_model_get(i) != NULL; i++) {
        const struct ferry_model *model = ferry_model_get(i);

        assert_true(strlen(model->summary) > 0 && model->option_count > 0);
        for (size_t k = 0; k < model->option_count; k++) {
            char text[64];

            /* What the help says is the default is a value that is taken. */
            (void)snprintf(text, sizeof(text), "%s=%s", model->option[k].name,
                           model->option[k].fallback);
            assert_int_equal(try_option(model->name, text, NULL, NULL), FERRY_OK);
        }
    }
}

static void options_inside_their_limits_are_taken(void **state)
{
    (void)state;
    assert_int_equal(try_option("acc", "sessions=4096", "queues=16", NULL), FERRY_OK);
    assert_int_equal(try_option("acc", "sessions=1", "queues=1", NULL), FERRY_OK);
    assert_int_equal(try_option("acc", "packed=on", "queues=1", NULL), FERRY_OK);
    assert_int_equal(try_option("copy", "memory=64K", "channels=16", NULL), FERRY_OK);
    assert_int_equal(try_option("copy", "memory=65536", "channels=1", NULL), FERRY_OK);
    assert_int_equal(try_option("copy", "memory=1G", NULL, NULL), FERRY_OK);
}

static void options_that_are_wrong_are_refused_by_name(void **state)
{
    static const char *const wrong[][2] = {
        { "acc", "sessions=0" },
        { "acc", "sessions=4097" },
        { "acc", "sessions" },
        { "acc", "sessions=" },
        { "acc", "sessions=-1" },
        { "acc", "sessions=1K" },
        { "acc", "queues=17" },
        { "acc", "packed=1" },
        { "acc", "packed=" },
        { "acc", "packed" },
        { "acc", "memory=4M" },
        { "acc", "" },
        { "copy", "memory=63K" },
        { "copy", "memory=2G" },
        { "copy", "memory=96K" },
        { "copy", "memory=1T" },
        { "copy", "memory=4MB" },
        { "copy", "channels=0" },
        { "copy", "channels=17" },
        { "copy", "memory=+4M" },
        { "copy", "memory= 4M" },
        { "copy", "memory=18446744073709551616" },
        { "copy", "memory=18446744073709551615G" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct ferry_error error = { 0 };

        if (try_option(wrong[i][0], wrong[i][1], NULL, &error) != FERRY_E_ARGUMENT) {
            fail_msg("%s takes \"%s\"", wrong[i][0], wrong[i][1]);
        }
        assert_non_null(strstr(error.text, wrong[i][1]));
    }
    assert_int_equal(try_option("acc", "queues=2", "queues=2", NULL), FERRY_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_found_by_name_and_number),
        cmocka_unit_test(options_inside_their_limits_are_taken),
        cmocka_unit_test(options_that_are_wrong_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
