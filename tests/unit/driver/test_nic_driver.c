/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "drivers/nic_driver.h"

/*
 * The driver of nic over rings that are completed by hand: batches in both layouts, and
 * devices that complete what they must not.
 */
#define IOVA 0x40000000u
#define SIZE 16u
#define BUFFER NIC_DRIVER_BUFFER_MIN
#define HEADER ((uint32_t)NIC_DRIVER_HEADER_BYTES)
#define MEMORY_BYTES (1u << 20)

struct rig {
    struct guest_ram ram;
    struct nic_driver *nic;
    struct nic_setup setup;
    /* The device's places in the receive and the transmit queue. */
    uint16_t taken[2], published[2];
    uint32_t packed;
};

static struct virtqueue *ring_of(const struct rig *rig, int which)
{
    return which == 0 ? &rig->nic->pair[0].receive.ring
                      : &rig->nic->pair[0].transmit.ring;
}

/* What nic_driver_init() lays out, without a device. */
static void lay_out(struct rig *rig)
{
    const uint64_t control = virtqueue_need(16), ring = virtqueue_need(SIZE);
    const uint64_t command = rig->setup.iova + control + 2 * ring;
    struct nic_driver *nic = rig->nic;
    struct nic_driver_pair *pair = &nic->pair[0];
    struct nic_received all[SIZE];

    nic->pairs = 1;
    nic->buffer_bytes = BUFFER;
    nic->command_iova = command;
    nic->features = 1ull << VIRTIO_NET_F_CTRL_VQ;
    virtqueue_init(&rig->ram, &nic->control, 2, 16, rig->setup.iova,
                   (uint16_t)rig->packed);
    for (uint16_t i = 0; i < 2; i++) {
        struct nic_driver_queue *queue = i == 0 ? &pair->receive : &pair->transmit;

        virtqueue_init(&rig->ram, &queue->ring, i, SIZE,
                       rig->setup.iova + control + i * ring, (uint16_t)rig->packed);
        queue->buffer_iova = command + FERRY_PAGE_BYTES + i * 7u * FERRY_PAGE_BYTES;
        rig->taken[i] = rig->published[i] = rig->packed != 0 ? 0x8000u : 0;
    }
    for (uint16_t i = 0; i < SIZE; i++) {
        pair->spare[i] = i;
        all[i] = (struct nic_received){ .buffer = i };
    }
    pair->spare_count = SIZE;
    nic_driver_give_back(&rig->ram, nic, 0, all, SIZE);
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    rig->packed = *state != NULL;
    rig->ram = (struct guest_ram){ .address = calloc(1, MEMORY_BYTES),
                                   .iova = IOVA,
                                   .size = MEMORY_BYTES };
    assert_non_null(rig->ram.address);
    rig->nic = (void *)rig->ram.address;
    rig->setup = (struct nic_setup){ .iova = IOVA + 16 * FERRY_PAGE_BYTES,
                                     .pairs = 1,
                                     .queue_size = SIZE,
                                     .buffer_bytes = BUFFER };
    lay_out(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;

    free(rig->ram.address);
    free(rig);
    return 0;
}

static uint16_t next(uint16_t position)
{
    return (position & 0x7fffu) + 1u < SIZE ? (uint16_t)(position + 1u)
                                            : (uint16_t)((position & 0x8000u) ^ 0x8000u);
}

/* The device takes a request. Return: 1; 0: there is none. */
static int device_take(struct rig *rig, int which, uint16_t *ret_head,
                       uint32_t *ret_bytes)
{
    const struct virtqueue *ring = ring_of(rig, which);
    uint16_t *at = &rig->taken[which];

    if (rig->packed) {
        const struct vring_packed_desc *desc =
            guest_at(&rig->ram, ring->desc_iova, SIZE * sizeof(*desc));
        const uint16_t flags = desc[*at & 0x7fffu].flags;
        const int wrap = (*at & 0x8000u) != 0;

        if (((flags >> VRING_PACKED_DESC_F_AVAIL & 1) != 0) != wrap ||
            ((flags >> VRING_PACKED_DESC_F_USED & 1) != 0) == wrap) {
            return 0;
        }
        *ret_head = desc[*at & 0x7fffu].id;
        *ret_bytes = desc[*at & 0x7fffu].len;
        *at = next(*at);
    } else {
        const struct vring_desc *desc =
            guest_at(&rig->ram, ring->desc_iova, SIZE * sizeof(*desc));
        const struct vring_avail *avail =
            guest_at(&rig->ram, ring->avail_iova, sizeof(*avail) + 2 * SIZE);

        if (avail->idx == *at) {
            return 0;
        }
        *ret_head = avail->ring[*at % SIZE];
        *ret_bytes = desc[*ret_head].len;
        (*at)++;
    }
    return 1;
}

static void device_give(struct rig *rig, int which, uint16_t head, uint32_t bytes)
{
    const struct virtqueue *ring = ring_of(rig, which);
    uint16_t *at = &rig->published[which];

    if (rig->packed) {
        struct vring_packed_desc *desc =
            guest_at(&rig->ram, ring->desc_iova, SIZE * sizeof(*desc));
        const uint16_t both =
            1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED;

        desc[*at & 0x7fffu] = (struct vring_packed_desc){
            .id = head,
            .len = bytes,
            .flags = (uint16_t)(((*at & 0x8000u) != 0 ? both : 0) | VRING_DESC_F_WRITE)
        };
        *at = next(*at);
    } else {
        struct vring_used *used = guest_at(&rig->ram, ring->used_iova,
                                           sizeof(*used) + SIZE * sizeof(used->ring[0]));

        used->ring[*at % SIZE] = (struct vring_used_elem){ .id = head, .len = bytes };
        used->idx = ++*at;
    }
}

/* A frame of so many bytes into the next receive buffer. */
static uint16_t device_receives(struct rig *rig, uint32_t bytes, uint16_t buffers)
{
    const struct nic_driver_queue *queue = &rig->nic->pair[0].receive;
    struct virtio_net_hdr_v1 *header;
    uint16_t head = 0;
    uint32_t room = 0;

    assert_int_equal(device_take(rig, 0, &head, &room), 1);
    assert_int_equal(room, BUFFER);
    header = guest_at(&rig->ram, queue->buffer_iova + head * BUFFER, BUFFER);
    header->num_buffers = buffers;
    device_give(rig, 0, head, bytes);
    return head;
}

static void frames_are_seen_in_the_order_in_which_they_were_sent(void **state)
{
    struct rig *rig = *state;
    uint32_t number = 0, seen = 0;

    /* Several times around the ring, in batches that do not divide it. */
    for (int round = 0; round < 20; round++) {
        const uint32_t bytes[5] = { number + 60, number + 61, number + 62, number + 63,
                                    number + 64 };
        uint16_t head;
        uint32_t got;

        for (uint32_t i = 0; i < 5; i++) {
            memset(nic_driver_fill(&rig->ram, rig->nic, 0, i), (int)number++, HEADER);
        }
        nic_driver_send(&rig->ram, rig->nic, 0, bytes, 5);
        while (device_take(rig, 1, &head, &got)) {
            const uint8_t *frame = guest_at(
                &rig->ram, rig->nic->pair[0].transmit.buffer_iova + head * BUFFER, got);

            assert_int_equal(got, HEADER + 60 + seen);
            assert_int_equal(frame[0], (uint8_t)seen);
            seen++;
            device_give(rig, 1, head, 0);
        }
        assert_int_equal(nic_driver_reclaim(&rig->ram, rig->nic, 0), 5);
    }
    assert_int_equal(seen, number);
    assert_int_equal(nic_driver_free(rig->nic, 0), SIZE);
}

static void all_buffers_can_be_under_way(void **state)
{
    struct rig *rig = *state;
    uint32_t bytes[SIZE];
    uint16_t head[SIZE];

    for (uint32_t i = 0; i < SIZE; i++) {
        bytes[i] = 60;
    }
    nic_driver_send(&rig->ram, rig->nic, 0, bytes, SIZE);
    assert_int_equal(nic_driver_free(rig->nic, 0), 0);
    assert_int_equal(nic_driver_reclaim(&rig->ram, rig->nic, 0), 0);
    for (uint32_t i = 0; i < SIZE; i++) {
        uint32_t got;

        assert_int_equal(device_take(rig, 1, &head[i], &got), 1);
    }
    for (uint32_t i = SIZE; i > 0; i--) { /* in another order than they were sent */
        device_give(rig, 1, head[i - 1], 0);
    }
    assert_int_equal(nic_driver_reclaim(&rig->ram, rig->nic, 0), SIZE);
}

static void received_frames_are_told_and_their_buffers_go_round(void **state)
{
    struct rig *rig = *state;

    for (uint32_t i = 0; i < 5 * SIZE; i++) {
        const uint16_t head = device_receives(rig, HEADER + 60 + i, 1);
        struct nic_received received[2];

        assert_int_equal(nic_driver_receive(&rig->ram, rig->nic, 0, received, 2), 1);
        assert_int_equal(received[0].buffer, head);
        assert_int_equal(received[0].bytes, 60 + i);
        assert_int_equal(received[0].rest, 0);
        assert_ptr_equal(received[0].data, (const uint8_t *)received[0].header + HEADER);
        nic_driver_give_back(&rig->ram, rig->nic, 0, received, 1);
    }
    assert_int_equal(rig->nic->pair[0].receive.frames, 5 * SIZE);
}

static void a_frame_over_three_buffers_keeps_together_over_two_calls(void **state)
{
    struct rig *rig = *state;
    struct nic_received received[4];

    (void)device_receives(rig, BUFFER, 3);
    (void)device_receives(rig, BUFFER, 77);
    assert_int_equal(nic_driver_receive(&rig->ram, rig->nic, 0, received, 4), 2);
    assert_int_equal(received[0].rest, 2);
    assert_int_equal(received[1].rest, 1);
    assert_null(received[1].header);
    assert_int_equal(received[1].bytes, BUFFER);
    (void)device_receives(rig, 9, 0);
    (void)device_receives(rig, HEADER + 60, 1);
    assert_int_equal(nic_driver_receive(&rig->ram, rig->nic, 0, received, 4), 2);
    assert_int_equal(received[0].rest, 0);
    assert_int_equal(received[0].bytes, 9);
    assert_non_null(received[1].header);
    assert_int_equal(rig->nic->pair[0].receive.frames, 2);
}

static void a_completion_that_cannot_be_is_refused(void **state)
{
    static const struct {
        uint16_t head;
        uint32_t bytes;
        uint16_t buffers;
    } wrong[] = {
        { SIZE, HEADER + 60, 1 }, /* no such buffer */
        { 0, BUFFER + 1, 1 },     /* more than it holds */
        { 0, HEADER - 1, 1 },     /* no whole header */
        { 0, UINT32_MAX, 1 },
        { 0, HEADER + 60, SIZE + 1 }, /* more buffers than there are */
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct nic_received received[4];
        struct virtio_net_hdr_v1 *header;

        memset(rig->nic, 0, sizeof(*rig->nic));
        lay_out(rig);
        memset(rig->nic->pair[0].receive.lent, 0xff, sizeof(uint64_t));
        header = guest_at(&rig->ram, rig->nic->pair[0].receive.buffer_iova, BUFFER);
        header->num_buffers = wrong[i].buffers;
        device_give(rig, 0, wrong[i].head, wrong[i].bytes);
        assert_int_equal(nic_driver_receive(&rig->ram, rig->nic, 0, received, 4),
                         FERRY_E_PROTOCOL);
    }
}

static void a_buffer_that_comes_back_twice_is_refused(void **state)
{
    struct rig *rig = *state;
    const uint32_t bytes[2] = { 60, 60 };
    const uint16_t head = device_receives(rig, HEADER + 60, 1);
    struct nic_received received[4];

    device_give(rig, 0, head, HEADER + 60);
    assert_int_equal(nic_driver_receive(&rig->ram, rig->nic, 0, received, 4),
                     FERRY_E_PROTOCOL);
    nic_driver_send(&rig->ram, rig->nic, 0, bytes, 2);
    device_give(rig, 1, 0, 0);
    device_give(rig, 1, 0, 0);
    assert_int_equal(nic_driver_reclaim(&rig->ram, rig->nic, 0), FERRY_E_PROTOCOL);
}

static void more_completions_than_the_ring_holds_are_refused(void **state)
{
    struct rig *rig = *state;
    struct nic_received received[SIZE];
    struct vring_used *used =
        guest_at(&rig->ram, ring_of(rig, 0)->used_iova, sizeof(*used));

    if (rig->packed) {
        skip(); /* it has no index that could say so */
    }
    used->idx = SIZE + 1;
    assert_int_equal(nic_driver_receive(&rig->ram, rig->nic, 0, received, SIZE),
                     FERRY_E_PROTOCOL);
}

static void a_doorbell_is_rung_unless_the_device_looks_by_itself(void **state)
{
    struct rig *rig = *state;
    const struct virtqueue *ring = ring_of(rig, 1);
    uint16_t *quiet = guest_at(&rig->ram, ring->used_iova, 4);

    assert_int_equal(virtqueue_wants_doorbell(&rig->ram, ring), 1);
    quiet += rig->packed != 0; /* behind the place, in the packed layout */
    *quiet = 1;
    assert_int_equal(virtqueue_wants_doorbell(&rig->ram, ring), 0);
}

static void a_driver_that_was_changed_on_its_way_is_not_gone_on_with(void **state)
{
    struct rig *rig = *state;
    struct nic_driver *nic = rig->nic;
    struct nic_driver good = *nic;

#define REFUSED(member, value)                                                           \
    assert_int_equal(nic_driver_check(nic, &rig->setup), 1);                             \
    nic->member = (value);                                                               \
    assert_int_equal(nic_driver_check(nic, &rig->setup), 0);                             \
    *nic = good
    REFUSED(pairs, 2);
    REFUSED(buffer_bytes, BUFFER + 16);
    REFUSED(command_iova, IOVA + MEMORY_BYTES);
    REFUSED(control.size, 32);
    REFUSED(control.desc_iova, IOVA);
    REFUSED(pair[0].receive.ring.size, 0);
    REFUSED(pair[0].receive.ring.size, 2 * SIZE);
    REFUSED(pair[0].receive.ring.size, SIZE - 1);
    REFUSED(pair[0].receive.ring.index, 1);
    REFUSED(pair[0].receive.ring.used_iova, 0);
    REFUSED(pair[0].receive.buffer_iova, IOVA + MEMORY_BYTES);
    REFUSED(pair[0].transmit.buffer_iova, 0);
    REFUSED(pair[0].spare_count, SIZE + 1);
    REFUSED(pair[0].spare_first, SIZE);
    REFUSED(pair[0].spare[SIZE - 1], SIZE);
}

int main(void)
{
    static int packed = 1;
    static int *const layout[] = { NULL, &packed };
    int failed = 0;

    for (size_t i = 0; i < 2; i++) {
#define TEST(f) cmocka_unit_test_prestate_setup_teardown(f, set_up, tear_down, layout[i])
        const struct CMUnitTest tests[] = {
            TEST(frames_are_seen_in_the_order_in_which_they_were_sent),
            TEST(all_buffers_can_be_under_way),
            TEST(received_frames_are_told_and_their_buffers_go_round),
            TEST(a_frame_over_three_buffers_keeps_together_over_two_calls),
            TEST(a_completion_that_cannot_be_is_refused),
            TEST(a_buffer_that_comes_back_twice_is_refused),
            TEST(more_completions_than_the_ring_holds_are_refused),
            TEST(a_doorbell_is_rung_unless_the_device_looks_by_itself),
            TEST(a_driver_that_was_changed_on_its_way_is_not_gone_on_with),
        };

        failed +=
            cmocka_run_group_tests_name(i == 0 ? "split" : "packed", tests, NULL, NULL);
    }
    return failed != 0;
}
