/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_nic_guest.h"

#include <linux/virtio_config.h>
#include <string.h>

#include "models/nic/nic_private.h"

/* Drivers that break the rules: the device asks for a reset or drops the frame. */

#define FUZZ_ROUNDS 3000u

static const char *const echo[] = { "net=echo", NULL };
static uint8_t frame[70000], back[70000];

struct world {
    struct rig_ram ram;
    struct rig rig;
    struct nic_guest guest;
};

static void open_world(struct world *world, const char *const *option)
{
    rig_ram_open(&world->ram);
    rig_open(&world->rig, "nic", option, &world->ram);
    nic_start(&world->guest, &world->rig, &world->ram, NIC_MOST);
}

static void close_world(struct world *world)
{
    rig_close(&world->rig);
    rig_ram_close(&world->ram);
}

static int wants_reset(struct world *world)
{
    return (nic_status(&world->rig) & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
}

/* A frame still makes its way; after a reset if `start`. */
static void works(struct world *world, int start)
{
    struct virtio_net_hdr_v1 header;
    uint32_t bytes = 0;

    if (start) {
        nic_start(&world->guest, &world->rig, &world->ram, NIC_MOST);
    }
    for (uint32_t i = 40; i < 50; i++) {
        nic_give(&world->guest, 0, i, NIC_BUFFER_BYTES);
    }
    world->guest.frames = 40;
    nic_plain(frame, 700, 77);
    nic_send(&world->guest, 0, NULL, frame, 700);
    nic_notify(&world->guest, &world->rig, 1);
    /* Frames that were on the wire before come first. */
    for (uint32_t i = 0; i < 10 && bytes != 700; i++) {
        bytes = nic_take(&world->guest, 0, &header, back);
    }
    assert_int_equal(bytes, 700);
    assert_memory_equal(back + 12, frame + 12, 688);
}

/* Sends the chain that begins at descriptor 0 of a queue. Return: 1: it was completed. */
static int offer(struct world *world, uint32_t queue)
{
    struct vring_used_elem elem;

    ring_offer(&world->guest.ring[queue], 0);
    nic_notify(&world->guest, &world->rig, queue);
    return ring_take(&world->guest.ring[queue], &elem);
}

static void a_chain_that_runs_in_a_circle_wants_a_reset(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo);
    ring_desc(&world.guest.ring[1], 0, RING_IOVA(NIC_BUFFER(1, 0)), 100,
              VRING_DESC_F_NEXT, 1);
    ring_desc(&world.guest.ring[1], 1, RING_IOVA(NIC_BUFFER(1, 1)), 100,
              VRING_DESC_F_NEXT, 0);
    assert_int_equal(offer(&world, 1), 0);
    assert_true(wants_reset(&world));
    assert_int_equal(rig_irqs(&world.rig, NIC_VECTOR_CONFIG), 1);
    works(&world, 1);
    close_world(&world);
}

static void memory_that_is_not_mapped_wants_a_reset(void **state)
{
    struct vring_used_elem elem;
    struct world world;

    (void)state;
    open_world(&world, echo);
    /* The frame before it goes out. */
    nic_give(&world.guest, 0, 0, NIC_BUFFER_BYTES);
    nic_plain(frame, 100, 1);
    world.guest.frames = 7;
    nic_send(&world.guest, 0, NULL, frame, 100);
    ring_desc(&world.guest.ring[1], 0, RING_IOVA(RIG_RAM_BYTES) - 50, 100, 0, 0);
    assert_int_equal(offer(&world, 1), 1);
    assert_int_equal(ring_take(&world.guest.ring[1], &elem), 0);
    assert_true(wants_reset(&world));
    works(&world, 1);
    /* Of a receive buffer as well. */
    nic_start(&world.guest, &world.rig, &world.ram, NIC_MOST);
    ring_desc(&world.guest.ring[0], 0, UINT64_MAX - 4096, 2000, VRING_DESC_F_WRITE, 0);
    ring_offer(&world.guest.ring[0], 0);
    nic_plain(frame, 100, 1);
    nic_send(&world.guest, 0, NULL, frame, 100);
    nic_notify(&world.guest, &world.rig, 1);
    assert_true(wants_reset(&world));
    works(&world, 1);
    close_world(&world);
}

static void frames_of_impossible_length_are_dropped(void **state)
{
    static const uint32_t bytes[] = { 1, 12, 25, 12 + 65536 + 19, 1u << 20, 0xffffffff };
    struct world world;

    (void)state;
    open_world(&world, echo);
    for (uint32_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        ring_desc(&world.guest.ring[1], 0, RING_IOVA(NIC_BUFFER(1, 0)), bytes[i], 0, 0);
        assert_int_equal(offer(&world, 1), 1);
        assert_false(wants_reset(&world));
    }
    works(&world, 0);
    close_world(&world);
}

static void a_frame_in_a_buffer_to_write_to_is_dropped(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo);
    ring_desc(&world.guest.ring[1], 0, RING_IOVA(NIC_BUFFER(1, 0)), 100,
              VRING_DESC_F_WRITE, 0);
    assert_int_equal(offer(&world, 1), 1);
    works(&world, 0);
    close_world(&world);
}

static void a_receive_buffer_without_room_for_a_header_wants_a_reset(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo);
    for (uint32_t i = 0; i < 2; i++) {
        ring_desc(&world.guest.ring[0], 0, RING_IOVA(NIC_BUFFER(0, 0)), 11,
                  i == 0 ? VRING_DESC_F_WRITE : 0, 0);
        ring_offer(&world.guest.ring[0], 0);
        nic_plain(frame, 100, 1);
        nic_send(&world.guest, 0, NULL, frame, 100);
        nic_notify(&world.guest, &world.rig, 1);
        assert_true(wants_reset(&world));
        works(&world, 1);
        nic_start(&world.guest, &world.rig, &world.ram, NIC_MOST);
    }
    close_world(&world);
}

static void buffers_that_overlap_do_no_harm(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo);
    /* Receive buffers over each other, over the frame that is sent, over a ring. */
    for (uint16_t i = 0; i < 8; i++) {
        ring_desc(&world.guest.ring[0], i,
                  i < 4 ? RING_IOVA(NIC_BUFFER(1, 0))
                        : RING_IOVA(world.guest.ring[0].off),
                  600, VRING_DESC_F_WRITE, 0);
        ring_offer(&world.guest.ring[0], i);
    }
    nic_plain(frame, 3000, 1);
    nic_send(&world.guest, 0, NULL, frame, 3000);
    nic_notify(&world.guest, &world.rig, 1);
    works(&world, 1);
    close_world(&world);
}

static void headers_that_cannot_be_drop_the_frame(void **state)
{
    static const struct virtio_net_hdr_v1 wrong[] = {
        { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 199, .csum_offset = 0 },
        { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
          .csum_start = 65535,
          .csum_offset = 65535 },
        { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100 },
        { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
          .csum_start = 34,
          .csum_offset = 16,
          .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
          .gso_size = 0 },
        { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
          .csum_start = 34,
          .csum_offset = 6,
          .gso_type = VIRTIO_NET_HDR_GSO_UDP,
          .gso_size = 100 },
        { .gso_type = 77, .gso_size = 100 },
        { .gso_type = VIRTIO_NET_HDR_GSO_ECN, .gso_size = 100 },
    };
    struct virtio_net_hdr_v1 header;
    struct vring_used_elem elem;
    struct world world;

    (void)state;
    open_world(&world, echo);
    nic_give(&world.guest, 0, 0, NIC_BUFFER_BYTES);
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        nic_tcp(frame, 200, 0, i);
        nic_send(&world.guest, 0, &wrong[i], frame, 200);
        nic_notify(&world.guest, &world.rig, 1);
        assert_int_equal(ring_take(&world.guest.ring[1], &elem), 1);
        assert_int_equal(nic_take(&world.guest, 0, &header, back), 0);
        assert_false(wants_reset(&world));
    }
    works(&world, 0);
    close_world(&world);
}

static void indices_that_leap_want_a_reset(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo);
    for (uint32_t queue = 0; queue < 3; queue++) {
        world.guest.ring[queue].avail = 1000;
        ring_offer(&world.guest.ring[queue], 0);
        if (queue == 0) {
            nic_plain(frame, 100, 1);
            nic_send(&world.guest, 0, NULL, frame, 100);
        }
        nic_notify(&world.guest, &world.rig, queue == 0 ? 1 : queue);
        assert_true(wants_reset(&world));
        works(&world, 1);
    }
    close_world(&world);
}

/* 1: between two slices nothing is in hand: what was taken was shown, or put back. */
static int can_be_carried(const struct world *world)
{
    const struct virtio_pci *virtio = &((const struct nic *)world->rig.state)->virtio;
    uint32_t even = 0;

    for (uint32_t i = 0; i < virtio->queue_count; i++) {
        even += virtio->queue[i].avail_taken == virtio->queue[i].used_published &&
                virtio->queue[i].used_count == 0;
    }
    return even == virtio->queue_count;
}

/* Rings full of numbers, and the device lives. */
static void rings_of_random_bytes(const char *const *option)
{
    struct world world;
    uint8_t random[64];

    open_world(&world, option);
    for (uint32_t round = 0; round < FUZZ_ROUNDS; round++) {
        const uint32_t queue = round % 3;
        struct ring *ring = &world.guest.ring[queue];

        rig_fill(random, sizeof(random), round);
        if (wants_reset(&world)) {
            nic_start(&world.guest, &world.rig, &world.ram, NIC_MOST);
        }
        for (uint16_t i = 0; i < 6; i++) {
            const uint8_t *part = random + i * 8;
            const uint32_t size = part[0] < 8     ? 0xffffff00u + part[1]
                                  : part[0] < 128 ? part[1]
                                                  : part[1] * 64u;
            const uint64_t iova = part[2] < 8 ? RING_IOVA(RIG_RAM_BYTES) - part[3]
                                              : RING_IOVA(part[3] * 16000u + part[4]);

            ring_desc(ring, i, iova, size, (uint16_t)(part[5] & (part[6] < 200 ? 3 : 7)),
                      (uint16_t)(part[7] % (part[6] < 250 ? 6 : 60)));
        }
        ring_offer(ring, random[60] % 6);
        if (!ring->packed) {
            ring_offer(ring, (uint16_t)(random[61] % (random[62] < 250 ? 6 : 255)));
        }
        nic_notify(&world.guest, &world.rig, queue);
        assert_true(can_be_carried(&world));
    }
    works(&world, 1);
    close_world(&world);
}

static void random_rings_do_no_harm(void **state)
{
    static const char *const plain[] = { "net=echo", "mergeable=off", "offloads=off",
                                         NULL };

    (void)state;
    rings_of_random_bytes(echo);
    rings_of_random_bytes(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_that_runs_in_a_circle_wants_a_reset),
        cmocka_unit_test(memory_that_is_not_mapped_wants_a_reset),
        cmocka_unit_test(frames_of_impossible_length_are_dropped),
        cmocka_unit_test(a_frame_in_a_buffer_to_write_to_is_dropped),
        cmocka_unit_test(a_receive_buffer_without_room_for_a_header_wants_a_reset),
        cmocka_unit_test(buffers_that_overlap_do_no_harm),
        cmocka_unit_test(headers_that_cannot_be_drop_the_frame),
        cmocka_unit_test(indices_that_leap_want_a_reset),
        cmocka_unit_test(random_rings_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
