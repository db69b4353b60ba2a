/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "test_nic_blob.h"

/* What a nic gives, and that it is what was there. */

static void it_comes_out_the_same_in_any_pieces(void **state)
{
    static const size_t pieces[] = { 1, 7, 4096, 65536, 1u << 21 };
    struct rig_blob first = { 0 };

    (void)state;
    fill(&world.a);
    save_stopped(&world.a, 1000, &first);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct rig_blob again = { 0 };

        save_stopped(&world.a, pieces[i], &again);
        assert_int_equal(again.count, first.count);
        assert_memory_equal(again.bytes, first.bytes, first.count);
        rig_blob_free(&again);
    }
    rig_blob_free(&first);
}

static void what_was_loaded_is_what_was_saved(void **state)
{
    static const size_t pieces[] = { 1, 17, 4096, 1u << 21 };
    struct rig_blob blob = { 0 };

    (void)state;
    fill(&world.a);
    save_stopped(&world.a, 1 << 20, &blob);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct nic *nic = nic_of(&world.b);
        struct rig_blob again = { 0 };

        assert_int_equal(give(blob.bytes, blob.count, pieces[i]), FERRY_OK);
        assert_int_equal(nic_save_begin(nic->migration, 0), FERRY_OK);
        assert_int_equal(take(&world.b, 1 << 20, &again), 0);
        nic_save_end(nic->migration);
        assert_int_equal(again.count, blob.count);
        assert_memory_equal(again.bytes, blob.bytes, blob.count);
        assert_int_equal(nic->filter.unicast[0][5], 5);
        assert_int_equal(nic_backlog_frames(nic->backlog), 3);
        rig_blob_free(&again);
    }
    rig_blob_free(&blob);
}

static void precopy(struct rig *rig, uint64_t initial_pages, uint64_t dirty_pages)
{
    const uint64_t page = NIC_FLOWS_PAGE + NIC_RECORD_BYTES + NIC_FLOWS_BYTES;
    struct ferry_device_precopy info;

    assert_int_equal(nic_migration_precopy_info(nic_of(rig)->migration, &info), FERRY_OK);
    assert_true(info.initial_bytes >= initial_pages * NIC_FLOWS_PAGE);
    assert_true(info.initial_bytes <= initial_pages * page + 200);
    assert_true(info.dirty_bytes >= dirty_pages * NIC_FLOWS_PAGE);
    assert_true(info.dirty_bytes <= dirty_pages * page);
}

static void precopy_gives_the_table_then_what_changed_of_it(void **state)
{
    struct rig_blob blob = { 0 };
    size_t before;

    (void)state;
    for (uint64_t page = 0; page < 200; page++) {
        touch(&world.a, page);
    }
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    precopy(&world.a, 200, 0);
    assert_int_equal(take(&world.a, 1 << 20, &blob), FERRY_E_DRY);
    assert_true(blob.count >= 200 * NIC_FLOWS_PAGE);
    precopy(&world.a, 0, 0);
    touch(&world.a, 17);
    touch(&world.a, 17);
    touch(&world.a, 199);
    touch(&world.a, 255);
    precopy(&world.a, 0, 3);
    before = blob.count;
    assert_int_equal(take(&world.a, 1 << 20, &blob), FERRY_E_DRY);
    assert_int_equal(blob.count - before, 3 * (NIC_FLOWS_PAGE + 32));
    precopy(&world.a, 0, 0);
    touch(&world.a, 18);
    wait_frame(&world.a, 0, 1000);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    before = blob.count;
    assert_int_equal(take(&world.a, 1 << 20, &blob), 0);
    assert_true(blob.count - before < 3 * NIC_FLOWS_PAGE); /* a page and the rest */
    assert_int_equal(give_blob(&blob), FERRY_OK);
    assert_memory_equal(nic_flows_page(nic_of(&world.b)->flows, 0),
                        nic_flows_page(nic_of(&world.a)->flows, 0), 256 * NIC_FLOWS_PAGE);
    rig_blob_free(&blob);
}

static void a_page_that_changes_while_it_waits_is_given_again(void **state)
{
    struct rig_blob blob = { 0 };
    uint8_t byte;

    (void)state;
    for (uint64_t page = 0; page < 256; page++) {
        touch(&world.a, page);
    }
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    rig_work(&world.a); /* both buffers are full */
    assert_int_equal(nic_migration_save(nic_of(&world.a)->migration, &byte, 1), 1);
    for (uint64_t page = 0; page < 256; page += 5) {
        touch(&world.a, page);
    }
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    blob.bytes = malloc(1);
    assert_non_null(blob.bytes);
    blob.bytes[0] = byte;
    blob.count = blob.cap = 1;
    assert_int_equal(take(&world.a, 1 << 16, &blob), 0);
    assert_int_equal(give_blob(&blob), FERRY_OK);
    assert_memory_equal(nic_flows_page(nic_of(&world.b)->flows, 0),
                        nic_flows_page(nic_of(&world.a)->flows, 0), 256 * NIC_FLOWS_PAGE);
    rig_blob_free(&blob);
}

/* What comes from now on is at most what was said, and not much less. */
static void size_holds(uint64_t said, uint64_t came)
{
    assert_true(said >= came);
    assert_true(said <= came + came / 100 + 64);
}

static void the_size_is_what_then_comes(void **state)
{
    static const uint32_t changed[] = { 0, 1, 100 };
    struct nic_migration *migration = nic_of(&world.a)->migration;

    (void)state;
    fill(&world.a);
    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        struct rig_blob blob = { 0 };
        uint64_t said = 0;
        size_t before;

        assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
        assert_int_equal(nic_migration_data_size(migration, &said), FERRY_OK);
        save_stopped(&world.a, 1 << 20, &blob);
        size_holds(said, blob.count);
        blob.count = 0;
        assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
        assert_int_equal(take(&world.a, 1 << 20, &blob), FERRY_E_DRY);
        for (uint64_t page = 0; page < changed[i]; page++) {
            touch(&world.a, page * 2);
        }
        assert_int_equal(nic_migration_data_size(migration, &said), FERRY_OK);
        assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
        before = blob.count;
        assert_int_equal(take(&world.a, 999, &blob), 0);
        size_holds(said, blob.count - before);
        assert_int_equal(nic_migration_data_size(migration, &said), FERRY_OK);
        assert_int_equal(said, 1); /* never 0 */
        rig_blob_free(&blob);
    }
}

/* A frame that comes from the wire when the image is written already. */
static void lost_frame(struct rig *rig)
{
    struct nic_backlog *backlog = nic_of(rig)->backlog;
    const uint64_t before = nic_backlog_lost(backlog, 0);
    uint8_t bytes[60] = { 0 };
    struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    const struct nic_frame frame = { .part = &part, .part_count = 1, .bytes = 60 };

    assert_int_equal(nic_backlog_put(backlog, 0, &frame), FERRY_E_LIMIT);
    assert_int_equal(nic_backlog_lost(backlog, 0), before + 1);
}

static void a_save_that_was_given_up_leaves_nothing_behind(void **state)
{
    struct rig_blob blob = { 0 }, again = { 0 };

    (void)state;
    fill(&world.a);
    save_stopped(&world.a, 1 << 20, &blob);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(take(&world.a, 100, &again), FERRY_E_DRY);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(nic_of(&world.a)->quiet, 0);
    assert_int_equal(nic_flows_changed(nic_of(&world.a)->flows), 0);
    again.count = 0;
    save_stopped(&world.a, 1 << 20, &again);
    assert_int_equal(nic_of(&world.a)->quiet, 1);
    assert_int_equal(nic_of(&world.a)->frozen, 1);
    lost_frame(&world.a); /* and changes nothing */
    assert_int_equal(again.count, blob.count);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(nic_of(&world.a)->frozen, 0);
    wait_frame(&world.a, 0, 60);
    rig_blob_free(&blob);
    rig_blob_free(&again);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, blob_set_up, blob_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_comes_out_the_same_in_any_pieces),
        TEST(what_was_loaded_is_what_was_saved),
        TEST(precopy_gives_the_table_then_what_changed_of_it),
        TEST(a_page_that_changes_while_it_waits_is_given_again),
        TEST(the_size_is_what_then_comes),
        TEST(a_save_that_was_given_up_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
