/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/session/source.h"
#include "core/session/target.h"
#include "test_host_mig_rig.h"

/* What a guest or a VMM changes while a migration goes on: peer maps and memory. */

#define LIMIT_MS 4000u
#define PEER_A 0x8000000u
#define PEER_B 0x9000000u
#define PAGE 4096u
#define NO_P2P (FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY)

static const struct ferry_migrate_options usual = {
    .struct_size = sizeof(usual),
    .arc_limit_ms = 3000,
    .peer_limit_ms = 3000,
};

static int map_peer(struct rig_side *side, uint64_t iova, struct ferry_error *reterr)
{
    return ferry_context_map_peer(side->context, 0, 1, RIG_PEER_REGION, PAGE, PAGE, iova,
                                  reterr);
}

static int unmap_peer(struct rig_side *side, uint64_t iova, struct ferry_error *reterr)
{
    return ferry_context_unmap_peer(side->context, 0, iova, reterr);
}

static void enable_dma(struct rig_side *side)
{
    const uint16_t bus_master = 6;

    for (uint32_t i = 0; i < side->device_count; i++) {
        assert_int_equal(ferry_context_region_write(side->context, i, 7, 4, &bus_master,
                                                    sizeof(bus_master), 0),
                         FERRY_OK);
    }
}

/* Does device 0 reach device 1's memory at the address? */
static int reaches(struct rig_side *side, uint64_t iova)
{
    static uint64_t number = 0x1122334455667700u;
    const uint8_t *peer =
        ferry_device_region_memory(side->device[1].device, RIG_PEER_REGION);
    uint64_t have;
    int rc;

    number++;
    rc = ferry_dma_write(side->device[0].device, iova + 8, &number, sizeof(number));
    memcpy(&have, peer + PAGE + 8, sizeof(have));
    assert_int_equal(rc == FERRY_OK, have == number);
    return rc == FERRY_OK;
}

/* --- in the middle of a migration --- */

/* What is done, once, in which phase of the source; and what was seen. */
struct moment {
    struct rig *rig;
    uint32_t phase, target_phase;
    void (*act)(struct rig *rig);
    uint32_t done;
    uint32_t busy; /* phases in which the maps were refused: bit per phase */
    uint32_t fine; /* and allowed */
};

static void act_in_phase(void *user, int incoming, const struct ferry_action *action)
{
    struct moment *moment = user;

    (void)incoming;
    (void)action;
    if (!moment->done && rig_phase(moment->rig, 0) == moment->phase) {
        moment->done = 1;
        moment->act(moment->rig);
    }
}

static void watch(struct moment *moment, struct rig *rig,
                  void (*action)(void *, int, const struct ferry_action *))
{
    struct ferry_migration *migration = ferry_migration_get(rig->side[0].context);

    assert_non_null(migration);
    moment->rig = rig;
    migration->trace = (struct ferry_trace){ .action = action, .user = moment };
}

static void move_the_bar(struct rig *rig)
{
    struct rig_side *side = &rig->side[0];
    struct ferry_error error = { 0 };

    assert_true(reaches(side, PEER_A));
    assert_int_equal(unmap_peer(side, PEER_A, &error), FERRY_OK);
    assert_false(reaches(side, PEER_A));
    assert_int_equal(map_peer(side, PEER_B, &error), FERRY_OK);
    assert_true(reaches(side, PEER_B));
}

static void a_bar_that_moves_during_pre_copy_does_not_stop_the_migration(void **state)
{
    struct moment moment = { .phase = FERRY_SRC_PRE_COPY, .act = move_the_bar };
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    enable_dma(&rig.side[0]);
    rig.side[0].device[0].writes = 1;
    assert_int_equal(map_peer(&rig.side[0], PEER_A, NULL), FERRY_OK);
    watch(&moment, &rig, act_in_phase);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(moment.done, 1);
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(&rig) && rig_state_equal(&rig));
    /* Who has moved away may tidy up. */
    assert_int_equal(unmap_peer(&rig.side[0], PEER_B, NULL), FERRY_OK);
    rig_close(&rig);
}

static void try_in_every_phase(void *user, int incoming,
                               const struct ferry_action *action)
{
    struct moment *moment = user;
    struct rig_side *side = &moment->rig->side[0];
    const uint32_t phase = rig_phase(moment->rig, 0);
    struct ferry_error error = { 0 };
    int rc;

    (void)incoming;
    (void)action;
    if (phase == RIG_NO_PHASE) {
        return;
    }
    rc = unmap_peer(side, PEER_A, &error);
    if (rc == FERRY_OK) {
        moment->fine |= 1u << phase;
        assert_int_equal(map_peer(side, PEER_A, &error), FERRY_OK);
        return;
    }
    assert_int_equal(rc, FERRY_E_BUSY);
    assert_non_null(strstr(error.text, "paused"));
    assert_int_equal(map_peer(side, PEER_B, &error), FERRY_E_BUSY);
    moment->busy |= 1u << phase;
}

/* MIG-PEER-3 */
static void peer_maps_are_fixed_exactly_while_the_cpus_stand_still(void **state)
{
    struct moment moment = { .done = 0 };
    uint32_t seen;
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 2);
    assert_int_equal(map_peer(&rig.side[0], PEER_A, NULL), FERRY_OK);
    rig.side[0].device[1].fail_to = FERRY_STATE_STOP_COPY;
    rig.side[0].device[1].fail_status = FERRY_E_DEVICE;
    watch(&moment, &rig, try_in_every_phase);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_true(rig_runs(&rig, 0));
    seen = 1u << FERRY_SRC_LOG | 1u << FERRY_SRC_PRE_COPY | 1u << FERRY_SRC_PAUSE;
    assert_int_equal(moment.fine & seen, seen);
    seen = 1u << FERRY_SRC_FOREIGN | 1u << FERRY_SRC_FREEZE | 1u << FERRY_SRC_BACK_REVIVE;
    assert_int_equal(moment.busy & seen, seen);
    assert_int_equal(moment.fine & seen, 0);
    /* They run again: the log is still to be stopped, and the maps move already. */
    assert_true(moment.fine & 1u << FERRY_SRC_BACK_LOG);
    assert_false(moment.busy & 1u << FERRY_SRC_BACK_LOG);
    rig_close(&rig);
}

static void map_at_a(struct rig *rig)
{
    struct ferry_error error = { 0 };

    assert_int_equal(map_peer(&rig->side[0], PEER_A, &error), FERRY_OK);
}

/* MIG-PEER-1. */
/* MIG-PEER-1 */
static void a_device_that_cannot_be_quieted_and_reaches_a_peer_calls_it_off(void **state)
{
    static const uint32_t phases[] = { FERRY_SRC_LOG, FERRY_SRC_PRE_COPY,
                                       FERRY_SRC_PAUSE };
    const struct rig_choice choice = { .features = { NO_P2P, 0 } };

    (void)state;
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct moment moment = { .phase = phases[i], .act = map_at_a };
        struct rig rig;

        rig_open(&rig, &choice);
        rig_fill(&rig, 3);
        enable_dma(&rig.side[0]);
        watch(&moment, &rig, act_in_phase);
        assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        assert_int_equal(moment.done, 1);
        assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
        assert_int_equal(rig.side[0].report.error.code, FERRY_E_PEER_MAP);
        assert_string_equal(rig.side[0].report.error.rule, "MIG-PEER-1");
        assert_non_null(strstr(rig.side[0].report.error.text, "dev0"));
        assert_non_null(strstr(rig.side[0].report.error.text, "dev1"));
        assert_int_equal(rig.side[1].report.error.code, FERRY_E_PEER_MAP);
        assert_true(rig_runs(&rig, 0));
        assert_false(rig.side[1].running);
        /* The guest has its map, and with it the next one is refused at once. */
        assert_true(reaches(&rig.side[0], PEER_A));
        assert_int_equal(rig_start(&rig, &usual), FERRY_E_PEER_MAP);
        assert_int_equal(unmap_peer(&rig.side[0], PEER_A, NULL), FERRY_OK);
        assert_int_equal(ferry_context_cancel(rig.side[1].context), FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        watch(&moment, &rig, NULL);
        assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
        rig_close(&rig);
    }
}

static void a_device_without_p2p_may_be_reached(void **state)
{
    struct moment moment = { .phase = FERRY_SRC_PRE_COPY, .act = map_at_a };
    const struct rig_choice choice = { .features = { 0, NO_P2P } };
    struct rig rig;

    (void)state;
    rig_open(&rig, &choice);
    rig_fill(&rig, 4);
    watch(&moment, &rig, act_in_phase);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(moment.done, 1);
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    rig_close(&rig);
}

/* A target's VMM knows the addresses when it has its own state, before devices run. */
static void a_target_maps_peers_while_it_loads(void **state)
{
    struct ferry_error error = { 0 };
    uint32_t mapped = 0;
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 5);
    enable_dma(&rig.side[0]);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    while (rig_phase(&rig, 0) != RIG_NO_PHASE) {
        rig_turn(&rig);
        if (!mapped && rig_phase(&rig, 1) != RIG_NO_PHASE &&
            rig.side[1].device[0].at > 0) {
            mapped = 1;
            assert_int_equal(map_peer(&rig.side[1], PEER_B, &error), FERRY_OK);
            assert_int_equal(unmap_peer(&rig.side[1], PEER_B, &error), FERRY_OK);
            assert_int_equal(map_peer(&rig.side[1], PEER_A, &error), FERRY_OK);
        }
    }
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(mapped, 1);
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    assert_true(reaches(&rig.side[1], PEER_A));
    assert_false(reaches(&rig.side[1], PEER_B));
    rig_close(&rig);
}

/* --- unmaps that fail --- */

static void a_map_in_use_stays_until_it_is_given_back(void **state)
{
    const struct rig_choice choice = { .timeout_ms = 30 };
    struct ferry_dma_segment segment;
    struct ferry_error error = { 0 };
    struct rig rig;

    (void)state;
    rig_open(&rig, &choice);
    enable_dma(&rig.side[0]);
    assert_int_equal(unmap_peer(&rig.side[0], PEER_A, &error), FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_context_unmap_peer(rig.side[0].context, 9, PEER_A, NULL),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(map_peer(&rig.side[0], PEER_A, NULL), FERRY_OK);
    assert_int_equal(unmap_peer(&rig.side[0], PEER_A + 1, NULL), FERRY_E_NOT_FOUND);
    assert_int_equal(
        ferry_dma_get(rig.side[0].device[0].device, PEER_A, PAGE, 1, &segment), FERRY_OK);
    assert_int_equal(unmap_peer(&rig.side[0], PEER_A, &error), FERRY_E_TIMEOUT);
    assert_non_null(strstr(error.text, "dev0"));
    assert_int_equal(map_peer(&rig.side[0], PEER_A, NULL), FERRY_E_OVERLAP);
    memset(segment.address, 0x77, PAGE);
    ferry_dma_put(rig.side[0].device[0].device, &segment, PAGE);
    for (int i = 0; i < 3; i++) {
        rig_turn(&rig);
    }
    /* The device has let go by now, without anybody waiting for it. */
    assert_int_equal(unmap_peer(&rig.side[0], PEER_A, &error), FERRY_OK);
    assert_int_equal(unmap_peer(&rig.side[0], PEER_A, &error), FERRY_E_NOT_FOUND);
    assert_int_equal(map_peer(&rig.side[0], PEER_A, NULL), FERRY_OK);
    assert_true(reaches(&rig.side[0], PEER_A));
    rig_close(&rig);
}

static void a_lost_device_has_let_go(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    enable_dma(&rig.side[0]);
    assert_int_equal(map_peer(&rig.side[0], PEER_A, NULL), FERRY_OK);
    ferry_host_device_close(rig.side[0].context, 0);
    assert_int_equal(unmap_peer(&rig.side[0], PEER_A, NULL), FERRY_OK);
    assert_int_equal(ferry_context_reopen(rig.side[0].context, NULL), FERRY_OK);
    enable_dma(&rig.side[0]);
    assert_false(reaches(&rig.side[0], PEER_A));
    rig_close(&rig);
}

/* --- memory --- */

static uint8_t spare_page[PAGE];

static int add_spare(struct rig_side *side, struct ferry_error *reterr)
{
    const struct ferry_memory memory = {
        .iova = 0x40000000, .size = PAGE, .address = spare_page, .fd = -1, .writable = 1
    };

    return ferry_context_add_memory(side->context, &memory, reterr);
}

static void plug_what_waited(struct rig_side *side)
{
    const int index = add_spare(side, NULL);

    assert_int_equal(index, 1);
    assert_int_equal(ferry_context_remove_memory(side->context, 1, NULL), FERRY_OK);
}

static void plug_and_unplug(struct rig *rig)
{
    struct ferry_error error = { 0 };

    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(add_spare(&rig->side[i], &error), FERRY_E_BUSY);
        assert_non_null(strstr(error.text, "FERRY_HOST_FINISHED"));
        assert_int_equal(ferry_context_remove_memory(rig->side[i].context, 0, &error),
                         FERRY_E_BUSY);
    }
}

static void memory_is_fixed_during_a_migration_and_free_in_its_last_event(void **state)
{
    struct moment moment = { .phase = FERRY_SRC_PRE_COPY, .act = plug_and_unplug };
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 6);
    rig.side[0].on_finished = plug_what_waited;
    rig.side[1].on_finished = plug_what_waited;
    watch(&moment, &rig, act_in_phase);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(moment.done, 1);
    assert_int_equal(rig.side[0].finished + rig.side[1].finished, 2);
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(&rig));
    rig_close(&rig);
}

static void cancel(struct rig *rig)
{
    assert_int_equal(ferry_context_cancel(rig->side[0].context), FERRY_OK);
}

static void memory_that_must_come_now_cancels_and_starts_again(void **state)
{
    struct moment moment = { .phase = FERRY_SRC_PRE_COPY, .act = cancel };
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 7);
    watch(&moment, &rig, act_in_phase);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    /* Both sides have to have it: else the next one is refused. */
    assert_int_equal(add_spare(&rig.side[0], NULL), 1);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_REFUSED);
    assert_int_equal(add_spare(&rig.side[1], NULL), 1);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    rig_close(&rig);
}

/* --- addresses --- */

static void ranges_that_meet_or_leave_the_address_space_are_refused(void **state)
{
    static const struct {
        uint64_t iova, size;
        int status; /* FERRY_OK: an index */
    } rows[] = {
        { RIG_IOVA, RIG_MEMORY_BYTES, FERRY_E_OVERLAP },
        { RIG_IOVA - PAGE, 2 * PAGE, FERRY_E_OVERLAP },
        { RIG_IOVA + RIG_MEMORY_BYTES - PAGE, 2 * PAGE, FERRY_E_OVERLAP },
        { 0, UINT64_MAX - PAGE + 1, FERRY_E_OVERLAP },
        { RIG_IOVA - PAGE, PAGE, FERRY_OK }, /* neighbours touch */
        { RIG_IOVA + RIG_MEMORY_BYTES, PAGE, FERRY_OK },
        { PEER_A, PAGE, FERRY_E_OVERLAP }, /* a device's peer map, for every device */
        { PEER_A - PAGE, PAGE, FERRY_OK },
        { UINT64_MAX - PAGE + 1, PAGE, FERRY_E_RANGE }, /* its end is 2^64 */
        { UINT64_MAX - 2 * PAGE + 1, 2 * PAGE, FERRY_E_RANGE },
        { UINT64_MAX - 2 * PAGE + 1, PAGE, FERRY_OK },
        { UINT64_MAX - PAGE + 1, UINT64_MAX - PAGE + 1, FERRY_E_RANGE },
        { 0x50000000, 0, FERRY_E_ARGUMENT },
        { 0x50000001, PAGE, FERRY_E_ALIGN },
        { 0x50000000, PAGE + 1, FERRY_E_ALIGN },
    };
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    assert_int_equal(map_peer(&rig.side[0], PEER_A, NULL), FERRY_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ferry_memory memory = { .iova = rows[i].iova,
                                             .size = rows[i].size,
                                             .address = spare_page,
                                             .fd = -1,
                                             .writable = 1 };
        const int rc = ferry_context_add_memory(rig.side[0].context, &memory, NULL);

        if ((rc < 0 ? rc : FERRY_OK) != rows[i].status) {
            fail_msg("row %zu: %s", i, ferry_status_name(rc));
        }
        if (rc >= 0) {
            /* To the very end, and past it: what lies outside is ignored. */
            ferry_context_mark_dirty(rig.side[0].context, rows[i].iova, UINT64_MAX);
            assert_int_equal(
                ferry_context_remove_memory(rig.side[0].context, (uint32_t)rc, NULL),
                FERRY_OK);
        }
    }
    assert_int_equal(map_peer(&rig.side[0], UINT64_MAX - PAGE + 1, NULL), FERRY_E_RANGE);
    assert_int_equal(map_peer(&rig.side[0], UINT64_MAX - 2 * PAGE + 1, NULL), FERRY_OK);
    assert_int_equal(unmap_peer(&rig.side[0], UINT64_MAX - 2 * PAGE + 1, NULL), FERRY_OK);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bar_that_moves_during_pre_copy_does_not_stop_the_migration),
        cmocka_unit_test(peer_maps_are_fixed_exactly_while_the_cpus_stand_still),
        cmocka_unit_test(a_device_that_cannot_be_quieted_and_reaches_a_peer_calls_it_off),
        cmocka_unit_test(a_device_without_p2p_may_be_reached),
        cmocka_unit_test(a_target_maps_peers_while_it_loads),
        cmocka_unit_test(a_map_in_use_stays_until_it_is_given_back),
        cmocka_unit_test(a_lost_device_has_let_go),
        cmocka_unit_test(memory_is_fixed_during_a_migration_and_free_in_its_last_event),
        cmocka_unit_test(memory_that_must_come_now_cancels_and_starts_again),
        cmocka_unit_test(ranges_that_meet_or_leave_the_address_space_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
