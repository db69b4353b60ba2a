/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "ferry/face.h"
#include "tests/check/rig/rig.h"

/* The models without a fault pass every check, and each check is tried on one of them. */

static void without_precopy(struct ferry_device_desc *desc)
{
    desc->identity.migration_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P;
}

static void without_p2p(struct ferry_device_desc *desc)
{
    desc->identity.migration_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY;
    desc->identity.doorbell_latch = 0;
}

static void stop_copy_only(struct ferry_device_desc *desc)
{
    desc->identity.migration_flags = FERRY_MIG_STOP_COPY;
    desc->identity.doorbell_latch = 0;
}

#define COPY_MEMORY 2u /* the region of the copy model that peers write to */
#define COPY_MEMORY_BYTES 65536u

/* It works on while it is saved: there is always something new in pre-copy. */
static int never_dry(struct mutant *mutant, struct ferry_request *request, int status)
{
    const struct timespec rest = { .tv_nsec = 200000 }; /* of its search for changes */
    uint8_t *memory = ferry_device_region_memory(mutant->device, COPY_MEMORY);

    if (!mutant_is(request, FERRY_RQ_DATA_READ) ||
        !mutant_in(mutant, FERRY_STATE_PRE_COPY) || memory == NULL) {
        return status;
    }
    memory[mutant->var[0]++ % COPY_MEMORY_BYTES] ^= 0xff;
    for (int i = 0; i < 100 && status == FERRY_E_DRY; i++) {
        (void)nanosleep(&rest, NULL);
        status = mutant_call(mutant, request);
    }
    return status;
}

static int keep_memory_over_a_reset(struct mutant *mutant, struct ferry_request *request)
{
    const uint8_t *memory = ferry_device_region_memory(mutant->device, COPY_MEMORY);

    if (mutant_is(request, FERRY_RQ_RESET) && memory != NULL) {
        mutant_keep(mutant, memory, COPY_MEMORY_BYTES, 0);
    }
    return MUTANT_PASS;
}

static int kept_memory_over_a_reset(struct mutant *mutant, struct ferry_request *request,
                                    int status)
{
    uint8_t *memory = ferry_device_region_memory(mutant->device, COPY_MEMORY);

    if (mutant_is(request, FERRY_RQ_RESET) && memory != NULL &&
        mutant->byte_count == COPY_MEMORY_BYTES) {
        memcpy(memory, mutant->bytes, mutant->byte_count);
    }
    return status;
}

/* clang-format off */
static const struct check_mutant unbroken[] = {
    { .name = "copy passes", .model = "copy,memory=65536" },
    { .name = "copy with few channels passes", .model = "copy,memory=1M,channels=1" },
    { .name = "acc passes", .model = "acc" },
    { .name = "acc with packed rings and few sessions passes",
      .model = "acc,packed=on,sessions=4,queues=1" },
    { .name = "nic passes", .model = "nic,net=echo" },
    { .name = "nic with packed rings, more pairs and a larger table passes",
      .model = "nic,net=echo,packed=on,pairs=4,flows=64M" },
    { .name = "nic whose table changes by itself passes",
      .model = "nic,net=echo,flow-churn=10" },
    { .name = "copy without pre-copy passes", .describe = without_precopy },
    { .name = "copy without P2P states passes", .describe = without_p2p },
    { .name = "copy with stop-copy only passes", .describe = stop_copy_only },
    { .name = "copy with a partner of another size passes",
      .model = "copy,memory=65536", .partner = "copy,memory=128K" },
    { .name = "copy that a bad load brings into ERROR passes",
      .model = "copy,memory=65536", .describe = mutant_can_fail,
      .after = mutant_loads_into_error },
    { .name = "acc that a bad load brings into ERROR passes", .model = "acc",
      .describe = mutant_can_fail,
      .after = mutant_loads_into_error },
    { .name = "copy passes over vfio-user", .model = "copy,memory=65536", .served = 1 },
    { .name = "acc passes over vfio-user", .model = "acc", .served = 1 },
    { .name = "nic passes over vfio-user", .model = "nic,net=echo", .served = 1 },
    { .name = "copy passes with the region of v1", .uapi = 1 },
    { .name = "copy passes with the region of v1, mapped", .uapi = 1,
      .v1_form = FERRY_FACE_V1_MMAP },
    { .name = "acc passes with the region of v1, in parts", .model = "acc", .uapi = 1,
      .v1_form = FERRY_FACE_V1_PARTITIONED },
    { .name = "nic passes with the region of v1", .model = "nic,net=echo", .uapi = 1 },
    { .name = "copy that a bad load brings into 110 passes", .uapi = 1, .under = 1,
      .describe = mutant_can_fail, .after = mutant_loads_into_error },
    { .name = "copy that is never dry in pre-copy passes with the region of v1",
      .uapi = 1, .under = 1, .after = never_dry, .only = "v1.*" },
    { .name = "copy whose memory outlasts a reset passes with the region of v1",
      .uapi = 1, .under = 1, .before = keep_memory_over_a_reset,
      .after = kept_memory_over_a_reset, .only = "v1.*" },
    { .name = "copy passes with the region of v1 over vfio-user", .uapi = 1,
      .v1_form = FERRY_FACE_V1_PARTITIONED, .served = 1 },
};
/* clang-format on */
#define ROWS (sizeof(unbroken) / sizeof(unbroken[0]))

/* Checks that passed on some model; filled by the tests before the last one. */
static uint32_t tried[RIG_CHECKS_MAX];
static uint32_t verbose;

static void passes(void **state)
{
    const struct check_mutant *row = *state;
    struct rig_run *run = calloc(1, sizeof(*run));
    uint32_t wrong = 0;

    assert_non_null(run);
    run->verbose = verbose;
    assert_int_equal(rig_check(row, row->only, run), FERRY_OK);
    for (uint32_t i = 0; i < run->count; i++) {
        const struct rig_verdict *verdict = &run->verdict[i];

        if (verdict->failed > 0) {
            print_error("    finding: %s[%s]: expected %s, seen %s\n",
                        ferry_check_get(i)->id, verdict->first_failed.name,
                        verdict->first_failed.expected, verdict->first_failed.seen);
        }
        if (verdict->broken > 0) {
            print_error("    broken: %s[%s]: %s\n", ferry_check_get(i)->id,
                        verdict->first_broken.name, verdict->first_broken.seen);
        }
        wrong += verdict->failed + verdict->broken;
        tried[i] += verdict->passed;
    }
    print_message("    %u passed, %u skipped, %.2f s\n", run->summary.passed,
                  run->summary.skipped, run->seconds);
    free(run);
    assert_int_equal(wrong, 0);
}

static void every_check_is_tried_on_some_model(void **state)
{
    uint32_t missing = 0;

    (void)state;
    for (uint32_t i = 0; ferry_check_get(i) != NULL; i++) {
        if (tried[i] == 0) {
            print_error("    skipped on all models: %s\n", ferry_check_get(i)->id);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
}

/* With a word: the rows whose name has it, telling each case. */
int main(int argc, char **argv)
{
    static struct check_mutant row[ROWS];
    struct CMUnitTest test[ROWS + 1];
    size_t count = 0;

    memcpy(row, unbroken, sizeof(unbroken));
    for (size_t i = 0; i < ROWS; i++) {
        if (argc < 2 || strstr(row[i].name, argv[1]) != NULL) {
            test[count++] =
                (struct CMUnitTest){ row[i].name, passes, NULL, NULL, &row[i] };
        }
    }
    verbose = argc > 1;
    if (argc < 2) {
        test[count++] =
            (struct CMUnitTest){ "every check is tried on some model",
                                 every_check_is_tried_on_some_model, NULL, NULL, NULL };
    }
    return _cmocka_run_group_tests("unbroken models", test, count, NULL, NULL) != 0;
}
