/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/reader.h"
#include "base/writer.h"
#include "test_wire_samples.h"

static const struct ferry_wire_message *side_of(const struct wire_sample *sample,
                                                int reply)
{
    const struct ferry_wire_message *message = reply ? &sample->answer : &sample->ask;

    return message->command != 0 ? message : NULL;
}

static int decode(const struct wire_sample *sample, int reply, const uint8_t *bytes,
                  size_t size, struct ferry_wire_message *ret_message)
{
    const struct ferry_wire_message *message = side_of(sample, reply);

    memset(ret_message, 0, sizeof(*ret_message));
    return wire_sample_decode(bytes, size, wire_sample_sender(message->command, reply),
                              message->fd_count, &sample->ask, ret_message, NULL);
}

static void assert_same(const char *name, const struct ferry_wire_message *got,
                        const struct ferry_wire_message *wanted)
{
    if (got->id != wanted->id || got->command != wanted->command ||
        got->reply != wanted->reply || got->posted != wanted->posted ||
        got->fd_count != wanted->fd_count || got->data_bytes != wanted->data_bytes ||
        memcmp(&got->u, &wanted->u, sizeof(got->u)) != 0) {
        fail_msg("%s (reply %u) comes back different", name, (unsigned)wanted->reply);
    }
    if (wanted->data_bytes > 0) {
        assert_non_null(got->data);
        assert_memory_equal(got->data, wanted->data, wanted->data_bytes);
    }
}

static void every_message_comes_back_as_it_went(void **state)
{
    const struct wire_sample *sample;
    struct ferry_wire_message got;
    uint8_t bytes[WIRE_SAMPLE_BYTES];
    size_t tried = 0;

    (void)state;
    for (size_t i = 0; (sample = wire_sample_get(i)) != NULL; i++) {
        for (int reply = 0; reply <= 1; reply++) {
            struct ferry_wire_message wanted;
            size_t size;

            if (side_of(sample, reply) == NULL) {
                continue;
            }
            wanted = *side_of(sample, reply);
            size = wire_sample_bytes(&wanted, bytes);
            assert_int_equal(decode(sample, reply, bytes, size, &got), FERRY_OK);
            /* What has no payload takes its fields from the question. */
            if (reply && size == FERRY_WIRE_HEADER_BYTES) {
                memset(&got.u, 0, sizeof(got.u));
                memset(&wanted.u, 0, sizeof(wanted.u));
            }
            assert_same(sample->name, &got, &wanted);
            tried++;
        }
    }
    assert_true(tried > 60);
}

static int is_listed(const uint32_t *list, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i] == value) {
            return 1;
        }
    }
    return 0;
}

/* The bytes lie in memory of exactly their size, so that a sanitizer sees a read past it.
 */
static int decode_exact(const struct wire_sample *sample, int reply, const uint8_t *bytes,
                        size_t size)
{
    struct ferry_wire_message got;
    uint8_t *exact = malloc(size);
    int status;

    assert_non_null(exact);
    memcpy(exact, bytes, size);
    status = decode(sample, reply, exact, size, &got);
    free(exact);
    return status;
}

static void a_message_that_says_to_be_shorter_is_refused(void **state)
{
    const struct wire_sample *sample;
    uint8_t bytes[WIRE_SAMPLE_BYTES];
    size_t refused = 0;

    (void)state;
    for (size_t i = 0; (sample = wire_sample_get(i)) != NULL; i++) {
        for (int reply = 0; reply <= 1; reply++) {
            const uint32_t *legal = reply ? sample->answer_shorter : sample->ask_shorter;
            uint32_t count =
                reply ? sample->answer_shorter_count : sample->ask_shorter_count;
            size_t size;

            if (side_of(sample, reply) == NULL) {
                continue;
            }
            size = wire_sample_bytes(side_of(sample, reply), bytes);
            for (uint32_t n = 16; n < size; n++) {
                int status;

                ferry_store_le32(bytes + 4, n);
                status = decode_exact(sample, reply, bytes, n);
                if (is_listed(legal, count, n - 16)) {
                    assert_int_equal(status, FERRY_OK);
                } else if (status >= 0) {
                    fail_msg("%s (reply %d) of %u bytes was taken", sample->name, reply,
                             (unsigned)n);
                }
                refused += status < 0;
            }
        }
    }
    assert_true(refused > 1000);
}

static void a_message_that_says_to_be_longer_is_refused(void **state)
{
    const struct wire_sample *sample;
    uint8_t bytes[WIRE_SAMPLE_BYTES];

    (void)state;
    for (size_t i = 0; (sample = wire_sample_get(i)) != NULL; i++) {
        for (int reply = 0; reply <= 1; reply++) {
            size_t size;
            int status;

            memset(bytes, 0, sizeof(bytes));
            /* Room for an answer behind a question is legal; capabilities end by a chain.
             */
            if (side_of(sample, reply) == NULL ||
                strncmp(sample->name, "version", 7) == 0 ||
                sample->ask.command == FERRY_WIRE_GET_REGION_INFO ||
                (sample->ask.command == FERRY_WIRE_FEATURE &&
                 (sample->ask.u.feature.operation & FERRY_WIRE_GET) != 0 && !reply) ||
                (sample->ask.u.feature.probe != 0 &&
                 sample->ask.command == FERRY_WIRE_FEATURE)) {
                continue;
            }
            size = wire_sample_bytes(side_of(sample, reply), bytes);
            for (uint32_t more = 1; more <= 40; more++) {
                /* Padded to what was asked for, as libvfio-user does it. */
                const int padded = reply && sample->ask.command == FERRY_WIRE_DATA_READ &&
                                   size + more == 24 + sample->ask.u.data_io.size;

                ferry_store_le32(bytes + 4, (uint32_t)size + more);
                status = decode_exact(sample, reply, bytes, size + more);
                if ((status >= 0) != padded) {
                    fail_msg("%s (reply %d) with %u bytes more was taken", sample->name,
                             reply, (unsigned)more);
                }
            }
        }
    }
}

static void less_than_the_decoder_needs_asks_for_more_bytes(void **state)
{
    const struct wire_sample *sample;
    uint8_t bytes[WIRE_SAMPLE_BYTES];
    struct ferry_wire_header header;

    (void)state;
    for (size_t i = 0; (sample = wire_sample_get(i)) != NULL; i++) {
        for (int reply = 0; reply <= 1; reply++) {
            uint32_t need;
            size_t size;

            if (side_of(sample, reply) == NULL) {
                continue;
            }
            size = wire_sample_bytes(side_of(sample, reply), bytes);
            assert_int_equal(
                ferry_wire_header_decode(bytes, &wire_sample_limits, &header, NULL),
                FERRY_OK);
            need = ferry_wire_decode_need(&header);
            assert_true(need <= size - 16);
            for (uint32_t have = 0; have < need; have++) {
                assert_int_equal(decode_exact(sample, reply, bytes, 16 + have),
                                 FERRY_E_AGAIN);
            }
            assert_int_equal(decode_exact(sample, reply, bytes, 16 + need), FERRY_OK);
        }
    }
}

static void data_that_is_still_under_way_has_its_size_but_no_address(void **state)
{
    const struct wire_sample *sample = wire_sample_find("data-write");
    struct ferry_wire_message got;
    uint8_t bytes[WIRE_SAMPLE_BYTES];

    (void)state;
    (void)wire_sample_bytes(&sample->ask, bytes);
    assert_int_equal(decode(sample, 0, bytes, 16 + 8 + 32, &got), FERRY_OK);
    assert_int_equal(got.data_bytes, 33);
    assert_null(got.data);
    assert_int_equal(decode(sample, 0, bytes, 16 + 8 + 33, &got), FERRY_OK);
    assert_ptr_equal(got.data, bytes + 24);
}

static void a_region_reply_is_cut_to_its_fixed_part_and_asked_for_again(void **state)
{
    const struct wire_sample *sample = wire_sample_find("region-sparse");
    struct ferry_wire_message answer = sample->answer;
    struct ferry_wire_message got;
    uint8_t bytes[WIRE_SAMPLE_BYTES];
    size_t size;

    (void)state;
    for (uint32_t room = 32; room < 80; room++) {
        answer.u.region.argsz = room;
        size = wire_sample_bytes(&answer, bytes);
        assert_int_equal(size, 16 + 32);
        assert_int_equal(decode(sample, 1, bytes, size, &got), FERRY_OK);
        assert_int_equal(got.u.region.cut, 1);
        assert_int_equal(got.u.region.area_count, 0);
        assert_int_equal(got.u.region.argsz, 80);
    }
    answer.u.region.argsz = got.u.region.argsz;
    size = wire_sample_bytes(&answer, bytes);
    assert_int_equal(decode(sample, 1, bytes, size, &got), FERRY_OK);
    assert_int_equal(got.u.region.cut, 0);
    assert_int_equal(got.u.region.area_count, 2);
}

static void an_empty_list_of_areas_takes_the_mmap_flag_away(void **state)
{
    const struct wire_sample *sample = wire_sample_find("region-sparse");
    struct ferry_wire_message got;
    uint8_t bytes[WIRE_SAMPLE_BYTES];

    (void)state;
    (void)wire_sample_bytes(&sample->answer, bytes);
    ferry_store_le32(bytes + 16 + 40, 0);
    assert_int_equal(decode(sample, 1, bytes, 96, &got), FERRY_OK);
    assert_int_equal(got.u.region.area_count, 0);
    assert_int_equal(got.u.region.flags, 3);
}

static void an_unknown_capability_is_passed_over(void **state)
{
    const struct wire_sample *sample = wire_sample_find("region-sparse");
    struct ferry_wire_message got;
    uint8_t bytes[WIRE_SAMPLE_BYTES];
    uint8_t plain[WIRE_SAMPLE_BYTES];

    (void)state;
    (void)wire_sample_bytes(&sample->answer, plain);
    /* 8 bytes of an unknown kind before the sparse one. */
    memcpy(bytes, plain, 48);
    memset(bytes + 48, 0, 8);
    ferry_store_le16(bytes + 48, 77);
    ferry_store_le32(bytes + 52, 40);
    memcpy(bytes + 56, plain + 48, 48);
    ferry_store_le32(bytes + 4, 104);
    ferry_store_le32(bytes + 16, 88);
    assert_int_equal(decode(sample, 1, bytes, 104, &got), FERRY_OK);
    assert_int_equal(got.u.region.area_count, 2);
    assert_int_equal(got.u.region.area[1].off, 0x3000);
}

static void a_request_with_argsz_0_asks_for_room_for_the_whole_reply(void **state)
{
    static const struct {
        const char *name;
        uint32_t argsz;
    } wanted[] = { { "unmap", 24 },     { "unmap-bitmap", 56 }, { "info", 16 },
                   { "region", 320 },   { "irq-info", 16 },     { "mig-flags", 16 },
                   { "log-start", 56 }, { "log-report", 48 },   { "precopy", 24 },
                   { "probe", 8 },      { "data-read", 48 },    { "data-write", 41 } };
    uint8_t bytes[WIRE_SAMPLE_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct ferry_wire_message ask = wire_sample_find(wanted[i].name)->ask;

        switch (ask.command) {
        case FERRY_WIRE_DATA_READ:
        case FERRY_WIRE_DATA_WRITE:
            ask.u.data_io.argsz = 0;
            break;
        default:
            /* argsz is the first member of all others. */
            memset(&ask.u, 0, sizeof(uint32_t));
            break;
        }
        (void)wire_sample_bytes(&ask, bytes);
        assert_int_equal(ferry_load_le32(bytes + 16), wanted[i].argsz);
    }
}

static void what_a_receiver_would_refuse_is_not_encoded(void **state)
{
    struct ferry_wire_message message = wire_sample_find("map-fd")->ask;
    uint8_t head[FERRY_WIRE_HEAD_MAX];

    (void)state;
    assert_int_equal(ferry_wire_encode(&message, head, sizeof(head)), 48);
    assert_int_equal(ferry_wire_encode(&message, head, 47), FERRY_E_CAPACITY);
    assert_int_equal(ferry_wire_encode(&message, head, 0), FERRY_E_CAPACITY);
    message.u.map.size = 0;
    assert_int_equal(ferry_wire_encode(&message, head, sizeof(head)), FERRY_E_ARGUMENT);
    message = wire_sample_find("info")->ask;
    message.posted = 1;
    assert_int_equal(ferry_wire_encode(&message, head, sizeof(head)), FERRY_E_ARGUMENT);
    message = wire_sample_find("write")->ask;
    message.data_bytes = 7;
    assert_int_equal(ferry_wire_encode(&message, head, sizeof(head)), FERRY_E_ARGUMENT);
    message = wire_sample_find("read")->ask;
    message.fd_count = 1;
    assert_int_equal(ferry_wire_encode(&message, head, sizeof(head)), FERRY_E_ARGUMENT);
    message = wire_sample_find("region-sparse")->answer;
    message.u.region.area_count = FERRY_WIRE_AREAS_MAX + 1;
    assert_int_equal(ferry_wire_encode(&message, head, sizeof(head)), FERRY_E_ARGUMENT);
    message = wire_sample_find("reset")->ask;
    message.command = 14;
    assert_int_equal(ferry_wire_encode(&message, head, sizeof(head)), FERRY_E_ARGUMENT);
}

static void the_largest_head_fits_its_constant(void **state)
{
    struct ferry_wire_message message = wire_sample_find("region-typed")->answer;
    uint8_t head[FERRY_WIRE_HEAD_MAX];

    (void)state;
    message.u.region.argsz = 0;
    message.u.region.area_count = FERRY_WIRE_AREAS_MAX;
    assert_int_equal(ferry_wire_encode(&message, head, sizeof(head)),
                     16 + 32 + 16 + 256 + 16);
}

static void a_bitmap_has_a_bit_for_each_page_begun_in_whole_words(void **state)
{
    static const struct {
        uint64_t length, page_size, bytes;
    } good[] = { { 1, 4096, 8 },
                 { 4096, 4096, 8 },
                 { 64 * 4096, 4096, 8 },
                 { 64 * 4096 + 1, 4096, 16 },
                 { 128 * 4096, 4096, 16 },
                 { 128 * 4096 + 1, 4096, 24 },
                 { UINT64_MAX, 1ull << 63, 8 },
                 { UINT64_MAX, 1ull << 57, 16 },
                 { UINT64_MAX, 4096, 1ull << 49 } };
    uint64_t bytes = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(ferry_wire_bitmap_need(good[i].length, good[i].page_size,
                                                good[i].bytes, &bytes),
                         FERRY_OK);
        assert_true(bytes == good[i].bytes);
        assert_int_equal(ferry_wire_bitmap_need(good[i].length, good[i].page_size,
                                                good[i].bytes - 1, &bytes),
                         FERRY_E_LIMIT);
    }
    assert_int_equal(ferry_wire_bitmap_need(0, 4096, 64, &bytes), FERRY_E_PROTOCOL);
    assert_int_equal(ferry_wire_bitmap_need(1, 0, 64, &bytes), FERRY_E_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_went),
        cmocka_unit_test(a_message_that_says_to_be_shorter_is_refused),
        cmocka_unit_test(a_message_that_says_to_be_longer_is_refused),
        cmocka_unit_test(less_than_the_decoder_needs_asks_for_more_bytes),
        cmocka_unit_test(data_that_is_still_under_way_has_its_size_but_no_address),
        cmocka_unit_test(a_region_reply_is_cut_to_its_fixed_part_and_asked_for_again),
        cmocka_unit_test(an_empty_list_of_areas_takes_the_mmap_flag_away),
        cmocka_unit_test(an_unknown_capability_is_passed_over),
        cmocka_unit_test(a_request_with_argsz_0_asks_for_room_for_the_whole_reply),
        cmocka_unit_test(what_a_receiver_would_refuse_is_not_encoded),
        cmocka_unit_test(the_largest_head_fits_its_constant),
        cmocka_unit_test(a_bitmap_has_a_bit_for_each_page_begun_in_whole_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
