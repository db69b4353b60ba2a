/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "models/le.h"
#include "test_nic_blob.h"

/* What a nic takes, and what it refuses. */

static void a_stream_that_ends_early_is_refused(void **state)
{
    struct rig_blob blob = { 0 };

    (void)state;
    touch(&world.a, 9);
    wait_frame(&world.a, 0, 100);
    save_stopped(&world.a, 1 << 20, &blob);
    for (size_t count = 0; count < blob.count; count += count < 120 ? 1 : 97) {
        assert_int_equal(give(blob.bytes, count, 1 << 20), FERRY_E_SHORT);
    }
    assert_int_equal(give(blob.bytes, blob.count - 1, 1 << 20), FERRY_E_SHORT);
    rig_blob_free(&blob);
}

static void a_byte_behind_the_end_is_refused(void **state)
{
    struct rig_blob blob = { 0 };

    (void)state;
    save_stopped(&world.a, 1 << 20, &blob);
    assert_true(blob.count < blob.cap);
    blob.bytes[blob.count++] = 0;
    assert_int_equal(give_blob(&blob), FERRY_E_LONG);
    assert_int_equal(give(blob.bytes, blob.count, 1), FERRY_E_LONG);
    rig_blob_free(&blob);
}

static void a_bit_that_turned_is_refused_and_leaves_nothing(void **state)
{
    struct rig_blob blob = { 0 }, empty = { 0 }, after = { 0 };

    (void)state;
    touch(&world.a, 9);
    wait_frame(&world.a, 0, 100);
    save_stopped(&world.a, 1 << 20, &blob);
    save_stopped(&world.b, 1 << 20, &empty);
    for (size_t at = 0; at < blob.count; at += at < 1024 ? 1 : 41) {
        blob.bytes[at] ^= (uint8_t)(1u << at % 8);
        assert_true(give_blob(&blob) < 0);
        blob.bytes[at] ^= (uint8_t)(1u << at % 8);
    }
    assert_int_equal(rig_reset(&world.b), FERRY_OK);
    save_stopped(&world.b, 1 << 20, &after);
    assert_int_equal(after.count, empty.count);
    assert_memory_equal(after.bytes, empty.bytes, empty.count);
    rig_blob_free(&blob);
    rig_blob_free(&empty);
    rig_blob_free(&after);
}

static void records_that_changed_places_are_refused(void **state)
{
    const size_t bytes = NIC_RECORD_BYTES + NIC_FLOWS_BYTES + NIC_FLOWS_PAGE;
    struct rig_blob blob = { 0 };
    uint8_t keep[NIC_RECORD_BYTES + NIC_FLOWS_BYTES + NIC_FLOWS_PAGE];
    uint8_t *first, *second;

    (void)state;
    touch(&world.a, 9);
    touch(&world.a, 11);
    save_stopped(&world.a, 1 << 20, &blob);
    first = record(&blob, NIC_TAG_FLOWS, 0);
    second = record(&blob, NIC_TAG_FLOWS, 1);
    assert_true(first != NULL && second == first + bytes);
    memcpy(keep, first, bytes);
    memcpy(first, second, bytes);
    memcpy(second, keep, bytes);
    assert_int_equal(give_blob(&blob), FERRY_E_CORRUPT);
    rig_blob_free(&blob);
}

/* With one record left out, or given twice; the hashes are right. */
static void each_record_comes_once_in_its_place(void **state)
{
    struct rig_blob blob = { 0 }, changed = { 0 };

    (void)state;
    save_stopped(&world.a, 1 << 20, &blob);
    for (uint32_t tag = NIC_TAG_TRANSPORT; tag < NIC_TAG_END; tag++) {
        const uint8_t *from = record(&blob, tag, 0);
        const size_t at = (size_t)(from - blob.bytes);
        const size_t bytes = NIC_RECORD_BYTES + (size_t)le_get64(from);

        changed.bytes = malloc(blob.count + bytes);
        assert_non_null(changed.bytes);
        memcpy(changed.bytes, blob.bytes, at);
        memcpy(changed.bytes + at, from + bytes, blob.count - at - bytes);
        changed.count = blob.count - bytes;
        seal(&changed);
        assert_int_equal(give_blob(&changed), FERRY_E_CORRUPT);
        memcpy(changed.bytes + at, from, bytes);
        memcpy(changed.bytes + at + bytes, from, blob.count - at);
        changed.count = blob.count + bytes;
        seal(&changed);
        assert_int_equal(give_blob(&changed), FERRY_E_CORRUPT);
        free(changed.bytes);
    }
    rig_blob_free(&blob);
}

/* A value that its hash agrees with, but no device can have. */
struct wrong {
    uint32_t tag, off, bytes; /* off: from the record's header on */
    int32_t status;
    uint64_t value;
};

#define AT(off) (NIC_RECORD_BYTES + (off))
static const struct wrong all_wrong[] = {
    { NIC_TAG_MATCH, AT(0), 8, FERRY_E_FOREIGN, 1 },
    { NIC_TAG_MATCH, AT(8), 4, FERRY_E_VERSION, 2 },
    { NIC_TAG_MATCH, AT(12), 4, FERRY_E_INCOMPATIBLE, 3 },
    { NIC_TAG_MATCH, AT(16), 4, FERRY_E_INCOMPATIBLE, 512 },
    { NIC_TAG_MATCH, AT(20), 4, FERRY_E_INCOMPATIBLE, 1025 },
    { NIC_TAG_MATCH, AT(24), 8, FERRY_E_INCOMPATIBLE, 2u << 20 },
    { NIC_TAG_MATCH, AT(32), 8, FERRY_E_INCOMPATIBLE, 1ull << 63 },
    { NIC_TAG_MATCH, AT(40), 4, FERRY_E_INCOMPATIBLE, 9000 },
    { NIC_TAG_MATCH, AT(44), 4, FERRY_E_INCOMPATIBLE, 8192 },
    { NIC_TAG_MATCH, AT(48), 4, FERRY_E_INCOMPATIBLE, 0 },
    { NIC_TAG_MATCH, 0, 8, FERRY_E_FOREIGN, 63 },
    { NIC_TAG_MATCH, 8, 4, FERRY_E_FOREIGN, 1 },
    { NIC_TAG_MATCH, 12, 4, FERRY_E_FOREIGN, NIC_TAG_SIZE },
    { NIC_TAG_SIZE, AT(0), 8, FERRY_E_CORRUPT, 257 },
    { NIC_TAG_SIZE, 8, 4, FERRY_E_CORRUPT, 0 },
    { NIC_TAG_SIZE, 8, 4, FERRY_E_CORRUPT, 2 },
    { NIC_TAG_SIZE, 12, 4, FERRY_E_CORRUPT, NIC_TAG_QUEUES },
    { NIC_TAG_SIZE, 12, 4, FERRY_E_CORRUPT, NIC_TAG_MATCH },
    { NIC_TAG_FLOWS, 0, 8, FERRY_E_CORRUPT, NIC_FLOWS_BYTES },
    { NIC_TAG_FLOWS, AT(0), 8, FERRY_E_CORRUPT, 256 },
    { NIC_TAG_FLOWS, AT(0), 8, FERRY_E_CORRUPT, 8 }, /* its entries are of page 9 */
    { NIC_TAG_FLOWS, AT(0), 8, FERRY_E_CORRUPT, UINT64_MAX },
    { NIC_TAG_FLOWS, AT(8), 4, FERRY_E_CORRUPT, 0 },
    { NIC_TAG_FLOWS, AT(8), 4, FERRY_E_CORRUPT, 2 },
    { NIC_TAG_FLOWS, AT(12), 4, FERRY_E_CORRUPT, 1 },
    { NIC_TAG_TRANSPORT, 0, 8, FERRY_E_CORRUPT, 51 },
    { NIC_TAG_TRANSPORT, AT(0), 8, FERRY_E_CORRUPT, 0 }, /* accepted without VERSION_1 */
    { NIC_TAG_TRANSPORT, AT(16), 2, FERRY_E_CORRUPT, 6 },
    { NIC_TAG_TRANSPORT, AT(20), 1, FERRY_E_CORRUPT, 0x20 },
    { NIC_TAG_TRANSPORT, AT(20), 1, FERRY_E_CORRUPT, 4 }, /* no FEATURES_OK */
    { NIC_TAG_TRANSPORT, AT(21), 1, FERRY_E_CORRUPT, 4 },
    { NIC_TAG_TRANSPORT, AT(22), 1, FERRY_E_CORRUPT, 1 },
    { NIC_TAG_TRANSPORT, AT(32), 1, FERRY_E_CORRUPT, 1 },
    { NIC_TAG_QUEUES, AT(0), 8, FERRY_E_CORRUPT, 1 }, /* not aligned */
    { NIC_TAG_QUEUES, AT(24), 2, FERRY_E_CORRUPT, 0 },
    { NIC_TAG_QUEUES, AT(24), 2, FERRY_E_CORRUPT, 512 },
    { NIC_TAG_QUEUES, AT(26), 2, FERRY_E_CORRUPT, 6 },
    { NIC_TAG_QUEUES, AT(28), 2, FERRY_E_CORRUPT, 2 },
    { NIC_TAG_QUEUES, AT(34), 1, FERRY_E_CORRUPT, 1 },
    { NIC_TAG_FILTER, AT(8), 1, FERRY_E_CORRUPT, 2 },
    { NIC_TAG_FILTER, AT(15), 1, FERRY_E_CORRUPT, 2 },
    { NIC_TAG_FILTER, AT(16), 4, FERRY_E_CORRUPT, NIC_MAC_TABLE_MAX + 1 },
    { NIC_TAG_FILTER, AT(20), 4, FERRY_E_CORRUPT, UINT32_MAX },
    { NIC_TAG_NET, AT(0), 8, FERRY_E_CORRUPT, 1ull << VIRTIO_NET_F_MAC },
    { NIC_TAG_NET, AT(8), 4, FERRY_E_CORRUPT, 0 },
    { NIC_TAG_NET, AT(8), 4, FERRY_E_CORRUPT, 3 },
    { NIC_TAG_NET, AT(12), 2, FERRY_E_CORRUPT, 4 },
    { NIC_TAG_NET, AT(14), 2, FERRY_E_CORRUPT, 1 },
    { NIC_TAG_COUNTERS, 0, 8, FERRY_E_CORRUPT, 64 },
    { NIC_TAG_TABLE, AT(0), 8, FERRY_E_CORRUPT, 0 }, /* an entry is younger */
    { NIC_TAG_TABLE, AT(8), 8, FERRY_E_CORRUPT, 2 },
    { NIC_TAG_BACKLOG, 0, 8, FERRY_E_LIMIT, 1ull << 40 },
    { NIC_TAG_BACKLOG, AT(0), 4, FERRY_E_SHORT, 2 },
    { NIC_TAG_BACKLOG, 12, 4, FERRY_E_VERSION, 99 },
    { NIC_TAG_END, 0, 8, FERRY_E_CORRUPT, 8 },
    { NIC_TAG_END, 12, 4, FERRY_E_CORRUPT, NIC_TAG_TABLE },
};
#undef AT

static void fields_that_cannot_be_are_refused(void **state)
{
    struct rig_blob blob = { 0 }, changed = { 0 };

    (void)state;
    touch(&world.a, 9);
    wait_frame(&world.a, 0, 100);
    save_stopped(&world.a, 1 << 20, &blob);
    changed = blob;
    changed.bytes = malloc(blob.count);
    assert_non_null(changed.bytes);
    for (size_t i = 0; i < sizeof(all_wrong) / sizeof(all_wrong[0]); i++) {
        const struct wrong *wrong = &all_wrong[i];
        uint8_t value[8];
        int status;

        memcpy(changed.bytes, blob.bytes, blob.count);
        le_put64(value, wrong->value);
        /* What a header says moves the records behind it: hashes first. */
        seal(&changed);
        memcpy(record(&changed, wrong->tag, 0) + wrong->off, value, wrong->bytes);
        if (wrong->off >= NIC_RECORD_BYTES) {
            seal(&changed);
        }
        status = give_blob(&changed);
        if (status != wrong->status) {
            fail_msg("tag %u offset %u value %llx: %s", wrong->tag, wrong->off,
                     (unsigned long long)wrong->value, ferry_status_name(status));
        }
    }
    seal(&blob);
    assert_int_equal(give_blob(&blob), FERRY_OK);
    free(changed.bytes);
    rig_blob_free(&blob);
}

static void a_queue_that_is_off_has_a_size_that_can_be(void **state)
{
    struct rig_blob blob = { 0 };
    uint8_t *queues;

    (void)state;
    assert_int_equal(rig_reset(&world.a), FERRY_OK);
    save_stopped(&world.a, 1 << 20, &blob);
    queues = record(&blob, NIC_TAG_QUEUES, 0) + NIC_RECORD_BYTES;
    assert_int_equal(le_get16(queues + 28), 0);
    le_put16(queues + 24, 3);
    seal(&blob);
    assert_int_equal(give_blob(&blob), FERRY_E_CORRUPT);
    le_put16(queues + 24, 16);
    seal(&blob);
    assert_int_equal(give_blob(&blob), FERRY_OK);
    rig_blob_free(&blob);
}

/* Puts a record of an unknown tag in front of the transport's. */
static void insert(struct rig_blob *blob, uint32_t flags, uint64_t bytes)
{
    const size_t more = NIC_RECORD_BYTES + (size_t)bytes;
    size_t at;

    blob->bytes = realloc(blob->bytes, blob->count + more);
    assert_non_null(blob->bytes);
    at = (size_t)(record(blob, NIC_TAG_TRANSPORT, 0) - blob->bytes);
    memmove(blob->bytes + at + more, blob->bytes + at, blob->count - at);
    memset(blob->bytes + at, 0x5a, more);
    le_put64(blob->bytes + at, bytes);
    le_put32(blob->bytes + at + 8, flags);
    le_put32(blob->bytes + at + 12, 1000);
    blob->count += more;
    seal(blob);
}

static void a_driver_without_multiqueue_has_one_pair(void **state)
{
    struct rig_blob blob = { 0 };

    (void)state;
    nic_start(&world.guest, &world.a, &world.ram, ~(1ull << VIRTIO_NET_F_MQ));
    save_stopped(&world.a, 1 << 20, &blob);
    assert_int_equal(give_blob(&blob), FERRY_OK);
    le_put32(record(&blob, NIC_TAG_NET, 0) + NIC_RECORD_BYTES + 8, 2);
    seal(&blob);
    assert_int_equal(give_blob(&blob), FERRY_E_CORRUPT);
    rig_blob_free(&blob);
}

static void unknown_records_are_skipped_if_they_say_so(void **state)
{
    struct rig_blob blob = { 0 };

    (void)state;
    save_stopped(&world.a, 1 << 20, &blob);
    insert(&blob, NIC_RECORD_OPTIONAL, 3000);
    insert(&blob, NIC_RECORD_OPTIONAL, 0);
    assert_int_equal(give_blob(&blob), FERRY_OK);
    assert_int_equal(give(blob.bytes, blob.count, 1), FERRY_OK);
    insert(&blob, 0, 8);
    assert_int_equal(give_blob(&blob), FERRY_E_VERSION);
    rig_blob_free(&blob);
}

static void a_target_that_differs_refuses_the_first_record(void **state)
{
    static const char *const other[][2] = {
        { "flows=2M", NULL }, { "mtu=1501", NULL },  { "queue-size=512", NULL },
        { "pairs=1", NULL },  { "backlog=1", NULL }, { "offloads=off", NULL },
    };
    struct rig_blob blob = { 0 };

    (void)state;
    save_stopped(&world.a, 1 << 20, &blob);
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        const char *const options[] = { i == 3 ? "mtu=1500" : "pairs=2", other[i][0],
                                        NULL };

        rig_close(&world.b);
        rig_open(&world.b, "nic", options, &world.ram);
        assert_int_equal(give(blob.bytes, NIC_RECORD_BYTES + NIC_MATCH_BYTES, 1 << 20),
                         FERRY_E_INCOMPATIBLE);
    }
    rig_blob_free(&blob);
}

static void data_can_be_put_where_it_belongs(void **state)
{
    struct nic_migration *migration = nic_of(&world.b)->migration;
    struct rig_blob blob = { 0 };
    size_t at = 0;

    (void)state;
    fill(&world.a);
    save_stopped(&world.a, 1 << 20, &blob);
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RESUMING), FERRY_OK);
    while (at < blob.count) {
        void *place = NULL;
        size_t part = nic_migration_load_place(migration, blob.count - at, &place);

        assert_true(part > 0 && part <= blob.count - at);
        part = part > 1000 ? 1000 : part; /* it need not come at once */
        memcpy(place, blob.bytes + at, part);
        assert_int_equal(nic_migration_load_done(migration, part), FERRY_OK);
        at += part;
    }
    assert_int_equal(nic_migration_arc(migration, FERRY_STATE_RESUMING, FERRY_STATE_STOP),
                     FERRY_OK);
    assert_memory_equal(nic_flows_page(nic_of(&world.b)->flows, 0),
                        nic_flows_page(nic_of(&world.a)->flows, 0), 256 * NIC_FLOWS_PAGE);
    rig_blob_free(&blob);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, blob_set_up, blob_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_stream_that_ends_early_is_refused),
        TEST(a_byte_behind_the_end_is_refused),
        TEST(a_bit_that_turned_is_refused_and_leaves_nothing),
        TEST(records_that_changed_places_are_refused),
        TEST(each_record_comes_once_in_its_place),
        TEST(fields_that_cannot_be_are_refused),
        TEST(a_queue_that_is_off_has_a_size_that_can_be),
        TEST(a_driver_without_multiqueue_has_one_pair),
        TEST(unknown_records_are_skipped_if_they_say_so),
        TEST(a_target_that_differs_refuses_the_first_record),
        TEST(data_can_be_put_where_it_belongs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
