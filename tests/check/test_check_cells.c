/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/check/check_drivers.h"
#include "ferry/access.h"
#include "models/copy/copy_regs.h"
#include "models/models.h"
#include "tests/check/rig/mutant.h"

/*
 * No cell of the access table is left without a check: each operation is tried in each
 * state by a case of its own, over a device that has everything: all states, ERROR
 * included, mapped memory, doorbells, a log, interrupts and a peer.
 */

static uint32_t tried[FERRY_OP_COUNT]; /* states, as bits */
static uint32_t wrong;

static void note(const char *name)
{
    char cell[FERRY_CHECK_CASE_BYTES * 2];

    for (uint32_t operation = 0; operation < FERRY_OP_COUNT; operation++) {
        for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
            snprintf(cell, sizeof(cell), "%s@%s", ferry_operation_name(operation),
                     ferry_state_name(state));
            if (strcmp(cell, name) == 0) {
                tried[operation] |= 1u << state;
            }
            snprintf(cell, sizeof(cell), "EVENTFD@%s", ferry_state_name(state));
            if (strcmp(cell, name) == 0) {
                tried[FERRY_OP_SET_IRQS] |= 1u << state;
            }
        }
    }
}

static int on_result(void *user, const struct ferry_check_result *result)
{
    (void)user;
    if (result->verdict == FERRY_CHECK_PASS) {
        note(result->name);
    } else if (result->verdict != FERRY_CHECK_SKIP) {
        print_error("    %s[%s]: expected %s, seen %s\n", result->check->id, result->name,
                    result->expected, result->seen);
        wrong++;
    }
    return 0;
}

static const struct ferry_device_doorbell bell = { .region = COPY_BAR_REGS,
                                                   .off = COPY_DOORBELL_OFF,
                                                   .size = 4 };

static void with_everything(struct ferry_device_desc *desc)
{
    mutant_can_fail(desc);
    desc->doorbell = &bell;
    desc->doorbell_count = 1;
}

struct subject {
    struct ferry_device *device;
    void *state;
    struct mutant *mutant;
};

/* No model has MSI alone. */
static void with_msi(struct ferry_device_desc *desc)
{
    desc->msix_vectors = 0;
    desc->msi_vectors = 4;
}

static void make(struct subject *subject, const struct check_mutant *row,
                 void (*describe)(struct ferry_device_desc *desc))
{
    static const char *const option[] = { "memory=65536" };
    const struct ferry_model_options options = { sizeof(options), 1, option };
    struct ferry_error error;

    mutant_describe(describe);
    assert_int_equal(ferry_model_find("copy")->create(&options, &subject->device,
                                                      &subject->state, &error),
                     FERRY_OK);
    mutant_describe(NULL);
    subject->mutant =
        mutant_new(row, subject->device, ferry_device_endpoint(subject->device));
    assert_non_null(subject->mutant);
}

static void end(struct subject *subject)
{
    mutant_free(subject->mutant);
    ferry_model_find("copy")->destroy(subject->device, subject->state);
    mutant_ops_free(subject->state);
}

/* Rules that are not enforced yet, and what a user reaches through no backend. */
static int is_out_of_reach(uint32_t operation, uint32_t state)
{
    return !ferry_access_get(operation, state)->rule->enforced ||
           operation == FERRY_OP_ATTACH || operation == FERRY_OP_HOT_RESET ||
           operation == FERRY_OP_DMABUF_EXPORT || operation == FERRY_OP_PAGE_REQUEST;
}

static void every_cell_is_tried(void **unused)
{
    static const struct check_mutant row = { .after = mutant_loads_into_error };
    struct subject device, partner;
    struct ferry_check_options options = { .struct_size = sizeof(options) };
    struct ferry_check_summary summary;
    uint32_t missing = 0;

    (void)unused;
    make(&device, &row, with_everything);
    make(&partner, &row, with_everything);
    options.device.endpoint = &device.mutant->endpoint;
    options.partner.endpoint = &partner.mutant->endpoint;
    options.driver = &check_driver_copy;
    options.look_ms = 1;
    options.only = "access.* irq.* dma.* p2p.*";
    options.result = on_result;
    assert_int_equal(ferry_check_run(&options, &summary, NULL), FERRY_OK);
    end(&device);
    end(&partner);
    for (uint32_t operation = 0; operation < FERRY_OP_COUNT; operation++) {
        for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
            if (!is_out_of_reach(operation, state) && !(tried[operation] >> state & 1u)) {
                print_error("    not tried: %s@%s\n", ferry_operation_name(operation),
                            ferry_state_name(state));
                missing++;
            }
        }
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(missing, 0);
}

static void vectors_of_msi_are_tried_as_well(void **unused)
{
    struct ferry_check_options options = { .struct_size = sizeof(options) };
    struct ferry_check_summary summary;
    struct subject device;

    (void)unused;
    wrong = 0;
    make(&device, NULL, with_msi);
    options.device.endpoint = &device.mutant->endpoint;
    options.only = "irq.*";
    options.result = on_result;
    assert_int_equal(ferry_check_run(&options, &summary, NULL), FERRY_OK);
    end(&device);
    assert_int_equal(wrong, 0);
    assert_true(summary.passed > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_tried),
        cmocka_unit_test(vectors_of_msi_are_tried_as_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
