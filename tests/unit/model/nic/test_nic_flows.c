/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "models/le.h"
#include "models/nic/flows/flows_private.h"
#include "test_nic_guest.h"

#define FRAME 128u
#define BUCKET (NIC_FLOW_PROBES * NIC_FLOW_BYTES)

static struct nic_flows *flows;

static int set_up(void **state)
{
    (void)state;
    return nic_flows_create(NIC_FLOWS_BYTES_MIN, &flows) == FERRY_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    nic_flows_destroy(flows);
    flows = NULL;
    return 0;
}

/* The entry of a flow, or NULL. */
static const uint8_t *find(uint64_t hash)
{
    const uint64_t off =
        (hash >> 32 & (NIC_FLOWS_BYTES_MIN / BUCKET - 1)) * (uint64_t)BUCKET;

    for (uint32_t i = 0; i < NIC_FLOW_PROBES; i++) {
        const uint8_t *entry = nic_flows_page(flows, 0) + off + i * NIC_FLOW_BYTES;

        if (le_get64(entry + FLOW_HASH) == hash) {
            return entry;
        }
    }
    return NULL;
}

static void both_directions_of_a_connection_are_one_flow(void **state)
{
    uint8_t there[FRAME], back[FRAME];
    const uint8_t *entry;

    (void)state;
    nic_tcp(there, FRAME, 0, 7);
    memcpy(back, there, FRAME);
    memcpy(back, there + 6, 6); /* MAC */
    memcpy(back + 6, there, 6);
    memcpy(back + 26, there + 30, 4); /* addresses */
    memcpy(back + 30, there + 26, 4);
    memcpy(back + 34, there + 36, 2); /* ports */
    memcpy(back + 36, there + 34, 2);
    nic_flows_count(flows, there, FRAME, 1500, 1);
    nic_flows_count(flows, back, FRAME, 60, 0);
    nic_flows_count(flows, back, FRAME, 60, 0);
    entry = find(nic_flow_key_hash(there, FRAME));
    assert_non_null(entry);
    assert_int_equal(le_get64(entry + FLOW_OUT), 1);
    assert_int_equal(le_get64(entry + FLOW_OUT_BYTES), 1500);
    assert_int_equal(le_get64(entry + FLOW_IN), 2);
    assert_int_equal(le_get64(entry + FLOW_IN_BYTES), 120);
    assert_int_equal(le_get64(entry + FLOW_FIRST), 1);
    assert_int_equal(le_get64(entry + FLOW_AGE), 3);
    assert_int_equal(nic_flows_used(flows), 1);
}

static void ports_addresses_protocols_and_tags_tell_flows_apart(void **state)
{
    static const uint32_t differs[] = { 23, 26, 30, 34, 36 };
    uint8_t frame[FRAME], other[FRAME], tagged[FRAME + 4];

    (void)state;
    nic_tcp(frame, FRAME, 0, 1);
    for (size_t i = 0; i < sizeof(differs) / sizeof(differs[0]); i++) {
        memcpy(other, frame, FRAME);
        other[differs[i]] ^= 0x10;
        assert_true(nic_flow_key_hash(other, FRAME) != nic_flow_key_hash(frame, FRAME));
    }
    memcpy(tagged, frame, 12);
    memcpy(tagged + 12, "\x81\x00\x00\x05", 4);
    memcpy(tagged + 16, frame + 12, FRAME - 12);
    assert_true(nic_flow_key_hash(tagged, sizeof(tagged)) !=
                nic_flow_key_hash(frame, FRAME));
    /* A sequence number does not. */
    memcpy(other, frame, FRAME);
    other[38] ^= 1;
    assert_true(nic_flow_key_hash(other, FRAME) == nic_flow_key_hash(frame, FRAME));
    nic_tcp(frame, FRAME, 1, 1);
    nic_tcp(other, FRAME, 1, 2);
    assert_true(nic_flow_key_hash(other, FRAME) != nic_flow_key_hash(frame, FRAME));
}

static void fragments_are_one_flow_without_ports(void **state)
{
    uint8_t first[FRAME], second[FRAME];

    (void)state;
    nic_tcp(first, FRAME, 0, 1);
    memcpy(second, first, FRAME);
    first[20] = 0x20;  /* more fragments */
    second[21] = 0x10; /* a later one */
    second[34] ^= 1;   /* where ports would be */
    assert_true(nic_flow_key_hash(first, FRAME) == nic_flow_key_hash(second, FRAME));
}

static void a_frame_may_end_anywhere(void **state)
{
    uint8_t frame[FRAME];
    uint8_t *exact;

    (void)state;
    for (uint32_t v6 = 0; v6 < 2; v6++) {
        nic_tcp(frame, FRAME, v6, 3);
        for (uint32_t present = 0; present <= FRAME; present++) {
            exact = malloc(present != 0 ? present : 1);
            assert_non_null(exact);
            memcpy(exact, frame, present);
            nic_flows_count(flows, exact, present, 1500, 0);
            free(exact);
        }
    }
    nic_tcp(frame, FRAME, 0, 3);
    frame[14] = 0x4f; /* a header that is longer than the frame */
    exact = malloc(50);
    assert_non_null(exact);
    memcpy(exact, frame, 50);
    nic_flows_count(flows, exact, 50, 50, 0);
    free(exact);
    assert_true(nic_flows_used(flows) > 2);
}

static void the_oldest_flow_goes_when_its_places_are_taken(void **state)
{
    const uint64_t bucket = 5ull << 32;

    (void)state;
    for (uint64_t i = 1; i <= NIC_FLOW_PROBES; i++) {
        nic_flows_count_hash(flows, bucket | i, 64, 0);
    }
    nic_flows_count_hash(flows, bucket | 1, 64, 0); /* 2 is the oldest now */
    nic_flows_count_hash(flows, bucket | 100, 64, 0);
    assert_null(find(bucket | 2));
    for (uint64_t i = 1; i <= NIC_FLOW_PROBES; i++) {
        assert_int_equal(find(bucket | i) != NULL, i != 2);
    }
    assert_int_equal(le_get64(find(bucket | 100) + FLOW_IN), 1);
    assert_int_equal(le_get64(find(bucket | 1) + FLOW_IN), 2);
}

/* A frame in a page; the low bits say which flow of it. */
static void touch(uint64_t page)
{
    nic_flows_count_hash(flows, (page * (NIC_FLOWS_PAGE / BUCKET)) << 32 | 1, 64, 0);
}

static void the_first_image_is_what_was_ever_used(void **state)
{
    uint64_t page = 0;

    (void)state;
    touch(3);
    touch(4);
    touch(255);
    nic_flows_track(flows);
    assert_int_equal(nic_flows_left(flows), 3);
    assert_int_equal(nic_flows_changed(flows), 0);
    assert_int_equal(nic_flows_take(flows, 100, &page), 2);
    assert_int_equal(page, 3);
    assert_int_equal(nic_flows_take(flows, 100, &page), 1);
    assert_int_equal(page, 255);
    assert_int_equal(nic_flows_take(flows, 100, &page), 0);
}

static void an_increment_is_what_changed_after_it_was_taken(void **state)
{
    uint64_t page = 0;

    (void)state;
    touch(3);
    touch(70);
    touch(200);
    nic_flows_track(flows);
    assert_int_equal(nic_flows_take(flows, 100, &page), 1);
    touch(3);   /* taken: changed */
    touch(200); /* to be taken yet: it goes as it is then */
    touch(9);   /* new */
    touch(9);
    assert_int_equal(nic_flows_changed(flows), 2);
    assert_int_equal(nic_flows_left(flows), 2);
    nic_flows_image(flows); /* stopped in the middle: the rest and the changes */
    assert_int_equal(nic_flows_left(flows), 4);
    assert_int_equal(nic_flows_changed(flows), 0);
    for (size_t i = 0; i < 4; i++) {
        static const uint64_t pages[] = { 3, 9, 70, 200 };

        assert_int_equal(nic_flows_take(flows, 1, &page), 1);
        assert_int_equal(page, pages[i]);
    }
    touch(200);
    nic_flows_image(flows);
    assert_int_equal(nic_flows_take(flows, 100, &page), 1);
    assert_int_equal(page, 200);
    nic_flows_track_end(flows);
    touch(1);
    assert_int_equal(nic_flows_changed(flows), 0);
}

static void a_run_is_no_longer_than_asked_for(void **state)
{
    uint64_t page = 0;

    (void)state;
    for (uint64_t i = 60; i < 140; i++) {
        touch(i);
    }
    nic_flows_track(flows);
    assert_int_equal(nic_flows_take(flows, 16, &page), 16);
    assert_int_equal(page, 60);
    assert_int_equal(nic_flows_take(flows, 256, &page), 64);
    assert_int_equal(page, 76);
    assert_int_equal(nic_flows_left(flows), 0);
}

static void what_an_image_left_is_in_the_next(void **state)
{
    uint64_t page = 0;

    (void)state;
    touch(130);
    touch(132);
    nic_flows_track(flows);
    assert_int_equal(nic_flows_take(flows, 1, &page), 1);
    assert_int_equal(page, 130);
    nic_flows_image(flows);
    assert_int_equal(nic_flows_take(flows, 1, &page), 1);
    assert_int_equal(page, 132);
    assert_int_equal(nic_flows_take(flows, 1, &page), 0);
}

static void a_cleared_table_is_empty_and_new(void **state)
{
    struct nic_flows_state counted;
    uint64_t age = 0;

    (void)state;
    touch(3);
    nic_flows_track(flows);
    nic_flows_clear(flows);
    assert_int_equal(nic_flows_used(flows), 0);
    assert_int_equal(nic_flows_left(flows), 0);
    nic_flows_state_get(flows, &counted);
    assert_int_equal(counted.frames, 0);
    assert_true(nic_flows_page_valid(flows, 3, &age));
    assert_int_equal(age, 0);
}

static void a_page_that_no_table_holds_is_known(void **state)
{
    static const struct {
        uint32_t off;
        uint64_t value;
    } wrong[] = {
        { FLOW_HASH, 1ull << 32 | 1 },         /* of another bucket */
        { FLOW_HASH, 0 },                      /* an empty entry with numbers */
        { FLOW_AGE, 0 },                       /* never used */
        { FLOW_FIRST, 99 },                    /* made after it was used */
        { FLOW_ZERO, 1 },                      /* */
        { NIC_FLOW_BYTES + FLOW_IN_BYTES, 5 }, /* an empty entry that is none */
    };
    uint8_t *bytes;
    uint64_t age = 0;

    (void)state;
    touch(0);
    bytes = nic_flows_place(flows, 0, 1);
    assert_true(nic_flows_page_valid(flows, 0, &age));
    assert_int_equal(age, 1);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const uint64_t before = le_get64(bytes + wrong[i].off);

        le_put64(bytes + wrong[i].off, wrong[i].value);
        assert_false(nic_flows_page_valid(flows, 0, &age));
        le_put64(bytes + wrong[i].off, before);
    }
    assert_true(nic_flows_page_valid(flows, 0, &age));
}

static void churn_fills_the_table_and_then_keeps_its_rate(void **state)
{
    const uint64_t pages = nic_flows_pages(flows);
    const uint64_t ms = 1000000;
    struct nic_flows_state counted;
    uint64_t now = 1000 * ms;

    (void)state;
    while (nic_flows_churn(flows, 10, now)) {
        now += ms;
    }
    assert_int_equal(nic_flows_used(flows), pages);
    nic_flows_state_get(flows, &counted);
    assert_int_equal(counted.churned, pages);
    for (uint32_t i = 0; i < 1000; i++) {
        now += 10 * ms;
        (void)nic_flows_churn(flows, 10, now);
    }
    nic_flows_state_get(flows, &counted);
    assert_int_equal(counted.churned, 2 * pages); /* 10 s of 10 % */
    for (uint64_t page = 0; page < pages; page++) {
        uint64_t age = 0;

        assert_true(nic_flows_page_valid(flows, page, &age));
        assert_true(age > pages); /* each was touched once since it was full */
    }
    /* What was missed while it could not run is not made up for. */
    (void)nic_flows_churn(flows, 100, now + 60000 * ms);
    nic_flows_state_get(flows, &counted);
    assert_true(counted.churned - 2 * pages <= pages / 10 + 1);
}

/* How many pages of a table of this size have memory. */
static uint64_t resident(const struct nic_flows *table)
{
    unsigned char *in = malloc((size_t)table->pages);
    uint64_t count = 0;

    assert_non_null(in);
    assert_int_equal(mincore(table->memory, (size_t)table->bytes, in), 0);
    for (uint64_t page = 0; page < table->pages; page++) {
        count += in[page] & 1u;
    }
    free(in);
    return count;
}

static void load(struct nic_flows *table, uint64_t page, uint32_t count)
{
    memset(nic_flows_place(table, page, count), 0, (size_t)count * NIC_FLOWS_PAGE);
}

static void a_sparse_table_has_memory_for_what_is_used_only(void **state)
{
    const uint64_t bytes = 32ull << 20;
    struct nic_flows *table;

    (void)state;
    assert_int_equal(nic_flows_create(bytes, &table), FERRY_OK);
    if (resident(table) != 0) {
        nic_flows_destroy(table);
        skip(); /* a system that does not say */
    }
    for (uint32_t i = 0; i < 16; i++) {
        load(table, i * 512 + 3, 1);
    }
    assert_int_equal(resident(table), 16);
    /* A dense one, which may have huge pages, leaves nothing of them. */
    nic_flows_clear(table);
    for (uint32_t i = 0; i < table->pages; i += 256) {
        load(table, i, 256);
    }
    assert_int_equal(resident(table), table->pages);
    nic_flows_clear(table);
    load(table, 700, 1);
    assert_int_equal(resident(table), 1);
    nic_flows_destroy(table);
}

static void flows_stay_when_a_table_gets_dense(void **state)
{
    const uint64_t bytes = 4ull << 20;
    const uint64_t buckets = bytes / BUCKET;
    struct nic_flows *table;

    (void)state;
    assert_int_equal(nic_flows_create(bytes, &table), FERRY_OK);
    for (uint64_t i = 0; i < buckets; i++) {
        nic_flows_count_hash(table, i * 5 % buckets << 32 | 1, 64, 0);
    }
    assert_int_equal(nic_flows_used(table), table->pages);
    for (uint64_t i = 0; i < buckets; i++) {
        const uint8_t *entry = table->memory + i * 5 % buckets * BUCKET;

        assert_int_equal(le_get64(entry + FLOW_HASH), i * 5 % buckets << 32 | 1);
        assert_int_equal(le_get64(entry + FLOW_AGE), i + 1);
    }
    nic_flows_destroy(table);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(both_directions_of_a_connection_are_one_flow),
        TEST(ports_addresses_protocols_and_tags_tell_flows_apart),
        TEST(fragments_are_one_flow_without_ports),
        TEST(a_frame_may_end_anywhere),
        TEST(the_oldest_flow_goes_when_its_places_are_taken),
        TEST(the_first_image_is_what_was_ever_used),
        TEST(an_increment_is_what_changed_after_it_was_taken),
        TEST(a_run_is_no_longer_than_asked_for),
        TEST(what_an_image_left_is_in_the_next),
        TEST(a_cleared_table_is_empty_and_new),
        TEST(a_page_that_no_table_holds_is_known),
        TEST(churn_fills_the_table_and_then_keeps_its_rate),
        TEST(a_sparse_table_has_memory_for_what_is_used_only),
        TEST(flows_stay_when_a_table_gets_dense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
