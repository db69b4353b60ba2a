/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/session/source.h"
#include "core/v1/region.h"
#include "ferry/face.h"
#include "test_host_mig_rig.h"

/* Devices of the SDK behind the region of uAPI v1, moved by the sessions of v2. */

#define LIMIT_MS 8000u
#define PIECES 64u
#define PEER_IOVA 0x40000000u

static const struct ferry_migrate_options usual = {
    .struct_size = sizeof(usual),
    .max_downtime_ms = 2000,
    .arc_limit_ms = 2000,
    .peer_limit_ms = 3000,
};

/* --- a spy between the context and the face --- */

struct spy {
    struct ferry_endpoint endpoint;
    struct ferry_endpoint *face;
    struct ferry_device *device;
    uint32_t strict; /* hides that it takes any transactions, as a foreign one would */
    uint64_t pieces[PIECES];
    uint32_t piece_count;
    uint32_t state_writes;
    uint32_t stopped_at, frozen_at; /* moments, 0: not yet */
    void (*on_frozen)(struct spy *spy);
    void (*done)(struct ferry_request *request);
    void *user;
};

static struct {
    uint32_t v1[2];     /* the sides' devices: 0 as they are; else form + 1 */
    uint32_t strict[2]; /* of the sides */
    uint32_t moment;
    struct spy spy[2][RIG_DEVICES];
} with;

static void note_piece(struct spy *spy, const struct ferry_request *request)
{
    uint64_t size;

    memcpy(&size, request->u.io.data, sizeof(size));
    assert_true(spy->piece_count < PIECES);
    spy->pieces[spy->piece_count++] = size;
}

static void note_answer(struct spy *spy, struct ferry_request *request)
{
    if (request->status != FERRY_OK) {
        return;
    }
    if (request->kind == FERRY_RQ_IDENTITY && spy->strict) {
        request->u.identity->any_chunks = 0;
    } else if (request->kind == FERRY_RQ_REGION_READ) {
        note_piece(spy, request);
    }
}

static void answered(struct ferry_request *request)
{
    struct spy *spy = request->user;

    request->done = spy->done;
    request->user = spy->user;
    note_answer(spy, request);
    request->done(request);
}

static void note_write(struct spy *spy, const struct ferry_request *request)
{
    uint32_t bits;

    if (request->u.io.off == FERRY_V1_SIZE_OFF) {
        note_piece(spy, request);
    } else if (request->u.io.off == FERRY_V1_STATE_OFF) {
        memcpy(&bits, request->u.io.data, sizeof(bits));
        spy->state_writes++;
        if ((bits & FERRY_V1_RUNNING) == 0) {
            spy->stopped_at = ++with.moment;
        }
    }
}

static int spy_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    struct spy *spy = (struct spy *)endpoint;
    const int is_region = (request->kind == FERRY_RQ_REGION_READ ||
                           request->kind == FERRY_RQ_REGION_WRITE) &&
                          request->u.io.index >= 9;
    int rc;

    if (is_region && request->kind == FERRY_RQ_REGION_WRITE) {
        note_write(spy, request);
    }
    if (is_region && request->kind == FERRY_RQ_REGION_READ &&
        request->u.io.off == FERRY_V1_PENDING_OFF && spy->stopped_at != 0 &&
        spy->frozen_at == 0) {
        spy->frozen_at = ++with.moment;
    } else if (spy->frozen_at != 0 && spy->on_frozen) {
        spy->on_frozen(spy);
        spy->on_frozen = NULL;
    }
    if (request->kind != FERRY_RQ_IDENTITY &&
        !(is_region && request->kind == FERRY_RQ_REGION_READ &&
          request->u.io.off == FERRY_V1_SIZE_OFF)) {
        return spy->face->ops->submit(spy->face, request);
    }
    spy->done = request->done;
    spy->user = request->user;
    request->done = answered;
    request->user = spy;
    rc = spy->face->ops->submit(spy->face, request);
    if (rc != FERRY_PENDING) {
        request->done = spy->done;
        request->user = spy->user;
        request->status = rc;
        note_answer(spy, request);
    }
    return rc;
}

static int spy_attach(struct ferry_endpoint *endpoint,
                      const struct ferry_client_port *port)
{
    struct spy *spy = (struct spy *)endpoint;

    return spy->face->ops->attach(spy->face, port);
}

static void spy_detach(struct ferry_endpoint *endpoint)
{
    struct spy *spy = (struct spy *)endpoint;

    spy->face->ops->detach(spy->face);
}

static int spy_work(struct ferry_endpoint *endpoint)
{
    struct spy *spy = (struct spy *)endpoint;

    return spy->face->ops->work(spy->face);
}

static int spy_wake_fd(struct ferry_endpoint *endpoint)
{
    struct spy *spy = (struct spy *)endpoint;

    return spy->face->ops->wake_fd != NULL ? spy->face->ops->wake_fd(spy->face) : -1;
}

static const struct ferry_endpoint_ops spy_ops = {
    .struct_size = sizeof(spy_ops),
    .attach = spy_attach,
    .detach = spy_detach,
    .submit = spy_submit,
    .work = spy_work,
    .wake_fd = spy_wake_fd,
};

static struct ferry_endpoint *dress(struct ferry_endpoint *endpoint, uint32_t side,
                                    uint32_t device)
{
    struct spy *spy = &with.spy[side][device];
    struct ferry_error error = { .code = FERRY_OK };

    memset(spy, 0, sizeof(*spy));
    if (with.v1[side] == 0) {
        return endpoint;
    }
    if (ferry_face_v1_open(endpoint, with.v1[side] - 1, &spy->face, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    spy->endpoint.ops = &spy_ops;
    spy->strict = with.strict[side];
    return &spy->endpoint;
}

static void undress(uint32_t side, uint32_t device)
{
    ferry_face_v1_close(with.spy[side][device].face);
    with.spy[side][device].face = NULL;
}

/* Of the devices; 0: little, and all. */
static uint32_t state_bytes, features;

static void open_rig(struct rig *rig, uint32_t source, uint32_t target, uint32_t strict)
{
    const struct rig_choice choice = { .dress = dress,
                                       .undress = undress,
                                       .state_bytes = state_bytes,
                                       .features = { features, features } };

    memset(&with, 0, sizeof(with));
    with.v1[0] = source;
    with.v1[1] = target;
    with.strict[1] = strict;
    rig_open(rig, &choice);
    rig_fill(rig, 3);
}

static void assert_moved(struct rig *rig)
{
    if (rig_outcome(rig, 0) != FERRY_OUTCOME_MOVED) {
        fail_msg("%s", rig->side[0].report.error.text);
    }
    assert_int_equal(rig_outcome(rig, 1), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(rig) && rig_state_equal(rig));
    assert_true(rig_runs(rig, 1));
}

static void assert_same_pieces(void)
{
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        const struct spy *from = &with.spy[0][i], *to = &with.spy[1][i];

        assert_true(from->piece_count > 1);
        assert_int_equal(from->piece_count, to->piece_count);
        assert_memory_equal(from->pieces, to->pieces, sizeof(from->pieces));
    }
}

/* --- moving --- */

/* MIG-V1-11 */
static void devices_of_v1_move_by_the_transactions_they_were_saved_in(void **state)
{
    struct rig rig;

    (void)state;
    for (uint32_t form = 0; form <= FERRY_FACE_V1_PARTITIONED; form++) {
        open_rig(&rig, form + 1, FERRY_FACE_V1_PARTITIONED - form + 1, 1);
        assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        assert_moved(&rig);
        assert_same_pieces();
        rig_close(&rig);
    }
}

/* Longer than what one request reads of other devices. */
static void the_longest_transactions_stay_whole(void **state)
{
    uint64_t longest = 0;
    struct rig rig;

    (void)state;
    state_bytes = (3u << 20) + 17;
    open_rig(&rig, 1, 3, 1);
    state_bytes = 0;
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_moved(&rig);
    assert_same_pieces();
    for (uint32_t i = 0; i < with.spy[0][0].piece_count; i++) {
        longest = with.spy[0][0].pieces[i] > longest ? with.spy[0][0].pieces[i] : longest;
    }
    assert_true(longest > FERRY_RUN_READ_BYTES);
    rig_close(&rig);
}

/* MIG-V1-14 */
static void devices_of_one_version_move_to_those_of_the_other(void **state)
{
    static const uint32_t ways[][2] = { { 1, 0 }, { 0, 1 }, { 2, 0 }, { 0, 3 } };
    struct rig rig;

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        open_rig(&rig, ways[i][0], ways[i][1], 0);
        assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        assert_moved(&rig);
        rig_close(&rig);
    }
}

/* MIG-V1-14 */
static void
what_needs_transactions_refuses_a_device_without_before_it_is_touched(void **state)
{
    struct rig rig;

    (void)state;
    open_rig(&rig, 0, 1, 1);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_REFUSED);
    assert_int_equal(rig.side[0].report.error.code, FERRY_E_INCOMPATIBLE);
    assert_string_equal(rig.side[0].report.error.rule, "MIG-V1-14");
    assert_non_null(strstr(rig.side[0].report.error.text, "uAPI v1"));
    assert_int_equal(with.spy[1][0].state_writes, 0);
    assert_int_equal(with.spy[1][1].state_writes, 0);
    assert_true(rig_runs(&rig, 0));
    rig_close(&rig);
}

/* It introduced its devices as ones of v1, and then sends records as of v2. */
static void forget_v1(struct rig *rig)
{
    if (rig_phase(rig, 0) == FERRY_SRC_LOG || rig_phase(rig, 0) == FERRY_SRC_PRE_COPY) {
        rig->side[0].context->device[0]->is_v1 = 0;
    }
}

/* MIG-V1-11 */
static void a_record_that_is_no_transaction_is_refused_by_who_needs_them(void **state)
{
    struct rig rig;

    (void)state;
    open_rig(&rig, 1, 1, 1);
    rig.every_turn = forget_v1;
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_non_null(strstr(rig.side[1].report.error.text, "no transaction of uAPI v1"));
    assert_true(rig_runs(&rig, 0));
    rig_close(&rig);
}

static void a_view_says_by_which_version_a_device_migrates(void **state)
{
    struct ferry_device_view view;
    struct rig rig;

    (void)state;
    open_rig(&rig, 1, 0, 0);
    assert_int_equal(ferry_context_device(rig.side[0].context, 0, &view, NULL), FERRY_OK);
    assert_true((view.extensions & FERRY_VIEW_UAPI_V1) != 0);
    assert_int_equal(view.migration_flags, FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY);
    assert_int_equal(view.identity.implicit_quiesce, 1);
    assert_int_equal(view.data_size, 0); /* to ask would freeze it */
    assert_int_equal(ferry_context_device(rig.side[1].context, 0, &view, NULL), FERRY_OK);
    assert_true((view.extensions & FERRY_VIEW_UAPI_V1) == 0);
    rig_close(&rig);
}

/* --- files --- */

/* MIG-V1-11, MIG-V1-14 */
static void a_file_keeps_the_transactions(void **state)
{
    static const uint32_t ways[][3] = {
        { 1, 1, 1 }, { 3, 2, 1 }, { 1, 0, 0 }, { 0, 1, 0 }
    };
    char path[] = "/tmp/ferry-v1-XXXXXX";
    struct ferry_error error = { .code = FERRY_OK };
    const int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    for (size_t i = 0; i < 2 * sizeof(ways) / sizeof(ways[0]); i++) {
        const uint32_t *way = ways[i / 2];
        const struct ferry_save_options options = { .struct_size = sizeof(options),
                                                    .then = FERRY_SAVE_STOP,
                                                    .compress = i % 2 };
        struct rig rig;

        open_rig(&rig, way[0], way[1], way[2]);
        assert_int_equal(ferry_context_save(rig.side[0].context, path, &options, NULL),
                         FERRY_OK);
        assert_int_equal(ferry_context_wait(rig.side[0].context, NULL), FERRY_OK);
        assert_int_equal(ferry_context_restore(rig.side[1].context, path, NULL, &error),
                         FERRY_OK);
        if (ferry_context_wait(rig.side[1].context, &error) != FERRY_OK) {
            fail_msg("%s", error.text);
        }
        assert_true(rig_state_equal(&rig) && rig_runs(&rig, 1));
        if (way[0] && way[1]) {
            assert_same_pieces();
        }
        rig_close(&rig);
    }
    (void)unlink(path);
}

static void a_file_without_transactions_is_refused_by_who_needs_them(void **state)
{
    const struct ferry_save_options options = { .struct_size = sizeof(options),
                                                .then = FERRY_SAVE_STOP };
    char path[] = "/tmp/ferry-v1-XXXXXX";
    struct ferry_error error = { .code = FERRY_OK };
    const int fd = mkstemp(path);
    struct rig rig;
    int rc;

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    open_rig(&rig, 0, 1, 1);
    assert_int_equal(ferry_context_save(rig.side[0].context, path, &options, NULL),
                     FERRY_OK);
    assert_int_equal(ferry_context_wait(rig.side[0].context, NULL), FERRY_OK);
    rc = ferry_context_restore(rig.side[1].context, path, NULL, &error);
    if (rc == FERRY_OK) {
        rc = ferry_context_wait(rig.side[1].context, &error);
    }
    assert_int_equal(rc, FERRY_E_INCOMPATIBLE);
    assert_string_equal(error.rule, "MIG-V1-14");
    assert_int_equal(with.spy[1][0].state_writes, 0);
    rig_close(&rig);
    (void)unlink(path);
}

/* --- several that reach each other --- */

static void map_peers(struct rig *rig)
{
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        assert_int_equal(ferry_context_map_peer(rig->side[0].context, i, 1 - i,
                                                RIG_PEER_REGION, 0, 4096, PEER_IOVA,
                                                NULL),
                         FERRY_OK);
    }
}

/* MIG-PEER-1, MIG-QUI-1 */
static void
devices_that_reach_each_other_all_stop_before_any_is_asked_for_data(void **state)
{
    struct rig rig;

    (void)state;
    open_rig(&rig, 1, 2, 1);
    map_peers(&rig);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_moved(&rig);
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        for (uint32_t n = 0; n < RIG_DEVICES; n++) {
            assert_true(with.spy[0][i].frozen_at > with.spy[0][n].stopped_at);
        }
    }
    rig_close(&rig);
}

/* MIG-PEER-1: v1 alone is no promise. */
static void a_device_of_v1_that_announces_nothing_must_not_reach_a_peer(void **state)
{
    struct rig rig;

    (void)state;
    features = FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY;
    open_rig(&rig, 1, 1, 0);
    features = 0;
    map_peers(&rig);
    assert_int_equal(rig_start(&rig, &usual), FERRY_E_PEER_MAP);
    assert_int_equal(with.spy[0][0].state_writes, 0);
    assert_true(rig_runs(&rig, 0));
    rig_close(&rig);
}

/* MIG-QUI-2: a peer's DMA into the frozen device, which nobody else could see. */
static void write_late(struct spy *spy)
{
    uint8_t *memory = ferry_device_region_memory(spy->device, RIG_PEER_REGION);

    assert_non_null(memory);
    memory[100] ^= 0xff;
}

static void dma_that_comes_after_the_freeze_calls_it_off(void **state)
{
    struct rig rig;

    (void)state;
    open_rig(&rig, 1, 1, 0);
    map_peers(&rig);
    with.spy[0][1].device = rig.side[0].device[1].device;
    with.spy[0][1].on_frozen = write_late;
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_non_null(strstr(rig.side[0].report.error.text, "dev1"));
    assert_non_null(strstr(rig.side[0].report.error.text, "peer"));
    assert_true(rig_runs(&rig, 0));
    assert_false(rig_runs(&rig, 1));
    /* It goes the next time, with the same devices. */
    with.spy[0][0].piece_count = with.spy[0][1].piece_count = 0;
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_moved(&rig);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_of_v1_move_by_the_transactions_they_were_saved_in),
        cmocka_unit_test(the_longest_transactions_stay_whole),
        cmocka_unit_test(devices_of_one_version_move_to_those_of_the_other),
        cmocka_unit_test(
            what_needs_transactions_refuses_a_device_without_before_it_is_touched),
        cmocka_unit_test(a_record_that_is_no_transaction_is_refused_by_who_needs_them),
        cmocka_unit_test(a_view_says_by_which_version_a_device_migrates),
        cmocka_unit_test(a_file_keeps_the_transactions),
        cmocka_unit_test(a_file_without_transactions_is_refused_by_who_needs_them),
        cmocka_unit_test(
            devices_that_reach_each_other_all_stop_before_any_is_asked_for_data),
        cmocka_unit_test(a_device_of_v1_that_announces_nothing_must_not_reach_a_peer),
        cmocka_unit_test(dma_that_comes_after_the_freeze_calls_it_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
