/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "models/le.h"
#include "models/nic/net/backlog.h"

#include "test_net_rig.h"

#define HEAD 8u
#define FRAME_HEAD 20u

struct rig {
    struct nic_backlog *backlog;
    struct net_rig_frames frames;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    assert_int_equal(nic_backlog_create(16, &rig->backlog), FERRY_OK);
    net_rig_make(&rig->frames);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    nic_backlog_destroy(rig->backlog);
    net_rig_free(&rig->frames);
    free(rig);
    return 0;
}

static int put(struct rig *rig, uint32_t queue, uint32_t bytes, uint8_t seed)
{
    net_rig_fill(&rig->frames, 0, bytes, seed, 50);
    rig->frames.frame[0].header.num_buffers = seed;
    return nic_backlog_put(rig->backlog, queue, rig->frames.frame);
}

/* The oldest of a queue is that of seed, and goes. */
static void take(struct nic_backlog *backlog, uint32_t queue, uint32_t bytes,
                 uint8_t seed)
{
    struct nic_frame frame;
    const uint8_t *data = NULL;

    assert_int_equal(nic_backlog_peek(backlog, queue, &frame), 1);
    assert_int_equal(frame.bytes, bytes);
    assert_int_equal(frame.part_count, 1);
    assert_int_equal(frame.header.num_buffers, seed);
    data = frame.part->iov_base;
    for (uint32_t off = 0; off < bytes; off++) {
        assert_int_equal(data[off], net_rig_byte(seed, off));
    }
    nic_backlog_drop(backlog, queue);
}

static void each_queue_gives_its_frames_in_the_order_in_which_they_came(void **state)
{
    struct rig *rig = *state;
    struct nic_frame frame;

    assert_int_equal(put(rig, 0, 60, 1), FERRY_OK);
    assert_int_equal(put(rig, 7, 70, 2), FERRY_OK);
    assert_int_equal(put(rig, 0, 80, 3), FERRY_OK);
    assert_int_equal(nic_backlog_frames(rig->backlog), 3);
    assert_int_equal(nic_backlog_waiting(rig->backlog, 0), 2);
    take(rig->backlog, 0, 60, 1);
    take(rig->backlog, 0, 80, 3);
    assert_int_equal(nic_backlog_peek(rig->backlog, 0, &frame), 0);
    assert_int_equal(put(rig, 0, 90, 4), FERRY_OK);
    take(rig->backlog, 0, 90, 4);
    take(rig->backlog, 7, 70, 2);
    assert_int_equal(nic_backlog_frames(rig->backlog), 0);
}

static void frames_over_the_limit_are_lost_and_counted_for_their_queue(void **state)
{
    struct rig *rig = *state;

    for (uint8_t i = 0; i < 16; i++) {
        assert_int_equal(put(rig, 1, 60, i), FERRY_OK);
    }
    assert_int_equal(put(rig, 1, 60, 16), FERRY_E_LIMIT);
    assert_int_equal(put(rig, 2, 60, 17), FERRY_E_LIMIT);
    assert_int_equal(put(rig, 2, 60, 18), FERRY_E_LIMIT);
    assert_int_equal(nic_backlog_lost(rig->backlog, 1), 1);
    assert_int_equal(nic_backlog_lost(rig->backlog, 2), 2);
    take(rig->backlog, 1, 60, 0);
    assert_int_equal(put(rig, 2, 60, 19), FERRY_OK);
}

static void so_are_bytes_over_the_limit(void **state)
{
    struct rig *rig = *state;
    struct nic_backlog *large = NULL;
    uint32_t kept = 0;

    assert_int_equal(nic_backlog_create(NIC_BACKLOG_FRAMES_MAX, &large), FERRY_OK);
    net_rig_fill(&rig->frames, 0, NIC_FRAME_MAX, 1, NIC_FRAME_MAX);
    while (nic_backlog_put(large, 0, rig->frames.frame) == FERRY_OK) {
        kept++;
    }
    assert_int_equal(kept, NIC_BACKLOG_BYTES_MAX / NIC_FRAME_MAX);
    assert_int_equal(nic_backlog_lost(large, 0), 1);
    nic_backlog_destroy(large);
}

static void a_sealed_backlog_loses_what_comes_and_keeps_what_it_has(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(put(rig, 0, 60, 1), FERRY_OK);
    nic_backlog_seal(rig->backlog, 1);
    assert_int_equal(put(rig, 0, 60, 2), FERRY_E_LIMIT);
    nic_backlog_seal(rig->backlog, 0);
    assert_int_equal(put(rig, 0, 60, 3), FERRY_OK);
    take(rig->backlog, 0, 60, 1);
    take(rig->backlog, 0, 60, 3);
    assert_int_equal(nic_backlog_lost(rig->backlog, 0), 1);
}

static void clearing_forgets_frames_and_no_counts(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(put(rig, 3, NIC_FRAME_MIN - 1, 1), FERRY_E_LIMIT);
    assert_int_equal(put(rig, 3, 60, 1), FERRY_OK);
    nic_backlog_clear(rig->backlog);
    assert_int_equal(nic_backlog_frames(rig->backlog), 0);
    assert_int_equal(nic_backlog_lost(rig->backlog, 3), 1);
    nic_backlog_reset(rig->backlog);
    assert_int_equal(nic_backlog_lost(rig->backlog, 3), 0);
    assert_int_equal(put(rig, 3, 60, 2), FERRY_OK);
    take(rig->backlog, 3, 60, 2);
}

/* Three frames in an image; the caller frees it. */
static uint8_t *image_of_three(struct rig *rig, uint64_t *ret_bytes)
{
    uint8_t *image = NULL;

    assert_int_equal(put(rig, 0, 60, 1), FERRY_OK);
    assert_int_equal(put(rig, 2, 70, 2), FERRY_OK);
    assert_int_equal(put(rig, 0, 80, 3), FERRY_OK);
    *ret_bytes = nic_backlog_image_bytes(rig->backlog);
    assert_int_equal(*ret_bytes, HEAD + 3 * FRAME_HEAD + 210);
    assert_true(*ret_bytes <= NIC_BACKLOG_IMAGE_BYTES_MAX);
    image = malloc(*ret_bytes);
    assert_non_null(image);
    nic_backlog_image_write(rig->backlog, image);
    return image;
}

static void an_image_carries_frames_headers_and_order(void **state)
{
    struct rig *rig = *state;
    struct nic_backlog *other = NULL;
    uint64_t bytes = 0;
    uint8_t *image = image_of_three(rig, &bytes);

    assert_int_equal(nic_backlog_create(3, &other), FERRY_OK);
    assert_int_equal(nic_backlog_put(other, 1, rig->frames.frame), FERRY_OK);
    assert_int_equal(nic_backlog_image_read(other, image, bytes, 3), FERRY_OK);
    assert_int_equal(nic_backlog_frames(other), 3);
    assert_int_equal(nic_backlog_carried(other, 0), 2);
    assert_int_equal(nic_backlog_carried(other, 2), 1);
    take(other, 0, 60, 1);
    take(other, 2, 70, 2);
    take(other, 0, 80, 3);
    nic_backlog_destroy(other);
    free(image);
}

static void an_image_cut_off_anywhere_or_too_long_changes_nothing(void **state)
{
    struct rig *rig = *state;
    uint64_t bytes = 0;
    uint8_t *image = image_of_three(rig, &bytes);

    image = realloc(image, bytes + 1);
    assert_non_null(image);
    image[bytes] = 0;
    for (uint64_t cut = 0; cut < bytes; cut++) {
        uint8_t *piece = malloc(cut + (cut == 0));

        assert_non_null(piece);
        memcpy(piece, image, cut);
        assert_int_equal(nic_backlog_image_read(rig->backlog, piece, cut, 8),
                         FERRY_E_SHORT);
        free(piece);
    }
    assert_int_equal(nic_backlog_image_read(rig->backlog, image, bytes + 1, 8),
                     FERRY_E_LONG);
    assert_int_equal(nic_backlog_frames(rig->backlog), 3);
    assert_int_equal(nic_backlog_carried(rig->backlog, 0), 0);
    free(image);
}

static void a_damaged_image_is_refused(void **state)
{
    static const struct {
        uint32_t off, value;
        int status;
    } damage[] = {
        { 0, 17, FERRY_E_LIMIT },
        { 0, 0xffffffff, FERRY_E_LIMIT },
        { 4, 1, FERRY_E_CORRUPT },
        { HEAD, 3, FERRY_E_CORRUPT }, /* a queue that there is not */
        { HEAD, 0xffffffff, FERRY_E_CORRUPT },
        { HEAD + 4, NIC_FRAME_MIN - 1, FERRY_E_CORRUPT },
        { HEAD + 4, NIC_FRAME_MAX + 1, FERRY_E_CORRUPT },
        { HEAD + 4, NIC_FRAME_MAX, FERRY_E_SHORT },
        { HEAD + 8, 0xff01, FERRY_E_CORRUPT }, /* segments of no known kind */
    };
    struct rig *rig = *state;
    uint64_t bytes = 0;
    uint8_t *image = image_of_three(rig, &bytes);

    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
        const uint32_t was = le_get32(image + damage[i].off);

        le_put32(image + damage[i].off, damage[i].value);
        assert_int_equal(nic_backlog_image_read(rig->backlog, image, bytes, 3),
                         damage[i].status);
        le_put32(image + damage[i].off, was);
    }
    assert_int_equal(nic_backlog_image_read(rig->backlog, image, bytes, 3), FERRY_OK);
    free(image);
}

static void an_image_of_more_bytes_than_the_limit_is_refused(void **state)
{
    struct rig *rig = *state;
    const uint32_t count = NIC_BACKLOG_BYTES_MAX / NIC_FRAME_MAX + 1;
    const uint64_t bytes = HEAD + (uint64_t)count * (FRAME_HEAD + NIC_FRAME_MAX);
    struct nic_backlog *large = NULL;
    uint8_t *image = calloc(1, bytes);

    assert_non_null(image);
    assert_int_equal(nic_backlog_create(NIC_BACKLOG_FRAMES_MAX, &large), FERRY_OK);
    (void)rig;
    le_put32(image, count);
    for (uint32_t i = 0; i < count; i++) {
        le_put32(image + HEAD + i * (FRAME_HEAD + NIC_FRAME_MAX) + 4, NIC_FRAME_MAX);
    }
    assert_int_equal(nic_backlog_image_read(large, image, bytes, 8), FERRY_E_LIMIT);
    nic_backlog_destroy(large);
    free(image);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_queue_gives_its_frames_in_the_order_in_which_they_came),
        TEST(frames_over_the_limit_are_lost_and_counted_for_their_queue),
        TEST(so_are_bytes_over_the_limit),
        TEST(a_sealed_backlog_loses_what_comes_and_keeps_what_it_has),
        TEST(clearing_forgets_frames_and_no_counts),
        TEST(an_image_carries_frames_headers_and_order),
        TEST(an_image_cut_off_anywhere_or_too_long_changes_nothing),
        TEST(a_damaged_image_is_refused),
        TEST(an_image_of_more_bytes_than_the_limit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
