/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_nic_guest.h"

#include <linux/virtio_config.h>
#include <string.h>

/* Frames through the queues of a nic that is plugged into an echo. */

#define HAS(features, bit) (((features) >> (bit)&1) != 0)

static const char *const echo[] = { "net=echo", NULL };
static uint8_t frame[70000], back[70000];

struct world {
    struct rig_ram ram;
    struct rig rig;
    struct nic_guest guest;
};

static void open_world(struct world *world, const char *const *option, uint64_t features)
{
    rig_ram_open(&world->ram);
    rig_open(&world->rig, "nic", option, &world->ram);
    nic_start(&world->guest, &world->rig, &world->ram, features);
}

static void close_world(struct world *world)
{
    rig_close(&world->rig);
    rig_ram_close(&world->ram);
}

/* What the echo makes of a plain frame. */
static void swap(uint8_t *bytes)
{
    uint8_t mac[6];

    memcpy(mac, bytes, 6);
    memcpy(bytes, bytes + 6, 6);
    memcpy(bytes + 6, mac, 6);
}

static void expect_back(struct world *world, uint32_t pair, uint32_t bytes)
{
    struct virtio_net_hdr_v1 header;

    swap(frame);
    assert_int_equal(nic_take(&world->guest, pair, &header, back), bytes);
    assert_memory_equal(back, frame, bytes);
    assert_int_equal(header.flags, 0);
    assert_int_equal(header.gso_type, 0);
}

static void what_is_offered_follows_the_options(void **state)
{
    static const char *const bare[] = { "mergeable=off", "offloads=off", NULL };
    static const char *const full[] = { "pairs=2", "packed=on", NULL };
    struct world world;
    uint64_t features;

    (void)state;
    open_world(&world, bare, NIC_MOST);
    features = nic_offered(&world.rig);
    assert_false(HAS(features, VIRTIO_NET_F_MQ));
    assert_false(HAS(features, VIRTIO_NET_F_MRG_RXBUF));
    assert_false(HAS(features, VIRTIO_NET_F_CSUM));
    assert_false(HAS(features, VIRTIO_NET_F_GUEST_TSO4));
    assert_false(HAS(features, VIRTIO_F_RING_PACKED));
    assert_true(HAS(features, VIRTIO_NET_F_GUEST_ANNOUNCE));
    close_world(&world);
    open_world(&world, full, NIC_MOST);
    features = nic_offered(&world.rig);
    assert_true(HAS(features, VIRTIO_NET_F_MQ));
    assert_true(HAS(features, VIRTIO_NET_F_MRG_RXBUF));
    assert_true(HAS(features, VIRTIO_NET_F_CSUM));
    assert_true(HAS(features, VIRTIO_NET_F_HOST_TSO6));
    assert_true(HAS(features, VIRTIO_NET_F_GUEST_ECN));
    assert_true(HAS(features, VIRTIO_F_RING_PACKED));
    close_world(&world);
}

static void the_configuration_says_address_link_pairs_and_mtu(void **state)
{
    static const char *const option[] = { "mac=02:03:04:05:06:07", "mtu=9000", "pairs=2",
                                          "net=echo", NULL };
    static const char *const none[] = { "net=none", NULL };
    static const uint8_t mac[] = { 2, 3, 4, 5, 6, 7 };
    struct virtio_net_config config;
    struct world world;

    (void)state;
    open_world(&world, option, NIC_MOST);
    config = nic_config(&world.rig);
    assert_memory_equal(config.mac, mac, 6);
    assert_int_equal(config.status, VIRTIO_NET_S_LINK_UP);
    assert_int_equal(config.max_virtqueue_pairs, 2);
    assert_int_equal(config.mtu, 9000);
    close_world(&world);
    open_world(&world, none, NIC_MOST);
    assert_int_equal(nic_config(&world.rig).status, 0);
    close_world(&world);
}

static void frames_come_back(uint64_t features, const char *const *option)
{
    struct world world;

    open_world(&world, option, features);
    for (uint32_t i = 0; i < 200; i++) {
        const uint32_t bytes = i == 0 ? 14 : i == 1 ? 1514 : 60 + i * 7;
        struct vring_used_elem elem;

        nic_give(&world.guest, 0, i % RING_SIZE, NIC_BUFFER_BYTES);
        nic_plain(frame, bytes, i);
        nic_send(&world.guest, 0, NULL, frame, bytes);
        nic_notify(&world.guest, &world.rig, 1);
        expect_back(&world, 0, bytes);
        assert_int_equal(ring_take(&world.guest.ring[1], &elem), 1);
        assert_int_equal(elem.len, 0);
        assert_int_equal(rig_irqs(&world.rig, 0), 1);
        assert_int_equal(rig_irqs(&world.rig, 1), 1);
    }
    assert_int_equal(nic_status(&world.rig) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
    close_world(&world);
}

static void frames_pass_through_split_rings(void **state)
{
    (void)state;
    frames_come_back(NIC_MOST, echo);
    frames_come_back(0, echo);
}

static void frames_pass_through_packed_rings(void **state)
{
    static const char *const packed[] = { "net=echo", "packed=on", NULL };

    (void)state;
    frames_come_back(NIC_MOST, packed);
}

static void memory_that_is_not_lent_is_copied(void **state)
{
    struct world world;

    (void)state;
    rig_ram_open_unsealed(&world.ram);
    rig_open(&world.rig, "nic", echo, &world.ram);
    nic_start(&world.guest, &world.rig, &world.ram, NIC_MOST);
    for (uint32_t i = 0; i < 40; i++) {
        nic_give(&world.guest, 0, i, NIC_BUFFER_BYTES);
        nic_plain(frame, 3000, i);
        nic_send(&world.guest, 0, NULL, frame, 3000);
    }
    nic_notify(&world.guest, &world.rig, 1);
    for (uint32_t i = 0; i < 40; i++) {
        nic_plain(frame, 3000, i);
        expect_back(&world, 0, 3000);
    }
    close_world(&world);
}

static void a_batch_is_one_interrupt(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    for (uint32_t i = 0; i < 60; i++) {
        nic_give(&world.guest, 0, i, NIC_BUFFER_BYTES);
        nic_plain(frame, 100 + i, i);
        nic_send(&world.guest, 0, NULL, frame, 100 + i);
    }
    nic_notify(&world.guest, &world.rig, 1);
    for (uint32_t i = 0; i < 60; i++) {
        nic_plain(frame, 100 + i, i);
        expect_back(&world, 0, 100 + i);
    }
    assert_int_equal(rig_irqs(&world.rig, 0), 1);
    assert_int_equal(rig_irqs(&world.rig, 1), 1);
    close_world(&world);
}

/* A frame that fills 40 buffers of 1000 bytes shows itself all at once. */
static void a_large_frame_fills(const char *const *option)
{
    struct virtio_net_hdr_v1 header;
    struct world world;

    open_world(&world, option, NIC_MOST);
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < 41; i++) {
            nic_give(&world.guest, 0, (round * 41 + i) % RING_SIZE, 1000);
        }
        nic_plain(frame, 39988, round);
        nic_send(&world.guest, 0, NULL, frame, 39988);
        nic_notify(&world.guest, &world.rig, 1);
        swap(frame);
        assert_int_equal(nic_take(&world.guest, 0, &header, back), 39988);
        assert_int_equal(header.num_buffers, 40);
        assert_memory_equal(back, frame, 39988);
        /* And a small one the buffer that is left. */
        nic_plain(frame, 500, round);
        nic_send(&world.guest, 0, NULL, frame, 500);
        nic_notify(&world.guest, &world.rig, 1);
        swap(frame);
        assert_int_equal(nic_take(&world.guest, 0, &header, back), 500);
        assert_int_equal(header.num_buffers, 1);
    }
    close_world(&world);
}

static void a_large_frame_fills_several_buffers(void **state)
{
    static const char *const packed[] = { "net=echo", "packed=on", NULL };

    (void)state;
    a_large_frame_fills(echo);
    a_large_frame_fills(packed);
}

static void a_frame_waits_until_there_are_buffers_for_all_of_it(void **state)
{
    struct virtio_net_hdr_v1 header;
    struct world world;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    for (uint32_t i = 0; i < 3; i++) {
        nic_give(&world.guest, 0, i, 1000);
    }
    nic_plain(frame, 3500, 1);
    nic_send(&world.guest, 0, NULL, frame, 3500);
    nic_notify(&world.guest, &world.rig, 1);
    assert_int_equal(nic_take(&world.guest, 0, &header, back), 0);
    nic_give(&world.guest, 0, 3, 1000);
    nic_notify(&world.guest, &world.rig, 0);
    expect_back(&world, 0, 3500);
    close_world(&world);
}

static void without_mergeable_buffers_a_frame_that_is_too_long_is_dropped(void **state)
{
    static const char *const option[] = { "net=echo", "mergeable=off", NULL };
    struct virtio_net_hdr_v1 header;
    struct world world;

    (void)state;
    open_world(&world, option, NIC_MOST);
    nic_give(&world.guest, 0, 0, 1000);
    nic_give(&world.guest, 0, 1, 1000);
    nic_plain(frame, 989, 1);
    nic_send(&world.guest, 0, NULL, frame, 989);
    nic_notify(&world.guest, &world.rig, 1);
    assert_int_equal(nic_take(&world.guest, 0, &header, back), 0);
    nic_plain(frame, 988, 2);
    nic_send(&world.guest, 0, NULL, frame, 988);
    nic_notify(&world.guest, &world.rig, 1);
    expect_back(&world, 0, 988);
    assert_int_equal(header.num_buffers, 0);
    close_world(&world);
}

static void frames_wait_for_buffers_in_order(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    for (uint32_t i = 0; i < 50; i++) {
        nic_plain(frame, 60 + i, i);
        nic_send(&world.guest, 0, NULL, frame, 60 + i);
    }
    nic_notify(&world.guest, &world.rig, 1);
    for (uint32_t i = 0; i < 50; i++) {
        nic_give(&world.guest, 0, i, NIC_BUFFER_BYTES);
        if (i % 7 == 6 || i == 49) {
            nic_notify(&world.guest, &world.rig, 0);
        }
    }
    for (uint32_t i = 0; i < 50; i++) {
        nic_plain(frame, 60 + i, i);
        expect_back(&world, 0, 60 + i);
    }
    close_world(&world);
}

static void the_driver_is_asked_to_notify_only_where_that_is_needed(void **state)
{
    struct world world;
    const uint8_t *received, *sent;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    received = world.guest.ram + world.guest.ring[0].off + 0x5000;
    sent = world.guest.ram + world.guest.ring[1].off + 0x5000;
    nic_give(&world.guest, 0, 0, NIC_BUFFER_BYTES);
    for (uint32_t i = 0; i < 2; i++) {
        nic_plain(frame, 100, i);
        nic_send(&world.guest, 0, NULL, frame, 100);
        nic_notify(&world.guest, &world.rig, 1);
        assert_int_equal(*sent & VRING_USED_F_NO_NOTIFY, 0);
        /* The second one waits for a buffer. */
        assert_int_equal(*received & VRING_USED_F_NO_NOTIFY,
                         i == 0 ? VRING_USED_F_NO_NOTIFY : 0);
    }
    nic_give(&world.guest, 0, 1, NIC_BUFFER_BYTES);
    nic_notify(&world.guest, &world.rig, 0);
    assert_int_equal(*received & VRING_USED_F_NO_NOTIFY, VRING_USED_F_NO_NOTIFY);
    close_world(&world);
}

static void a_flow_comes_back_where_it_was_sent(void **state)
{
    static const char *const option[] = { "net=echo", "pairs=2", NULL };
    const uint16_t pairs = 2;
    struct virtio_net_hdr_v1 header;
    struct world world;
    uint32_t seen[2] = { 0, 0 };

    (void)state;
    open_world(&world, option, NIC_MOST);
    for (uint32_t i = 0; i < 64; i++) {
        nic_give(&world.guest, 0, i, NIC_BUFFER_BYTES);
        nic_give(&world.guest, 2, i, NIC_BUFFER_BYTES);
    }
    assert_int_equal(nic_command(&world.guest, &world.rig, VIRTIO_NET_CTRL_MQ,
                                 VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2),
                     VIRTIO_NET_OK);
    for (uint32_t i = 0; i < 40; i++) {
        nic_tcp(frame, 200, 0, i);
        nic_send(&world.guest, i % 2, NULL, frame, 200);
        nic_notify(&world.guest, &world.rig, 2 * (i % 2) + 1);
        for (uint32_t pair = 0; pair < 2; pair++) {
            if (nic_take(&world.guest, pair, &header, back) != 0) {
                assert_int_equal(pair, i % 2);
                seen[pair]++;
            }
        }
    }
    assert_int_equal(seen[0], 20);
    assert_int_equal(seen[1], 20);
    close_world(&world);
}

static void without_mq_the_third_queue_is_the_control_queue(void **state)
{
    static const char *const option[] = { "net=echo", "pairs=2", NULL };
    const uint8_t on = 1;
    struct world world;

    (void)state;
    open_world(&world, option, NIC_MOST & ~(1ull << VIRTIO_NET_F_MQ));
    assert_int_equal(world.guest.control, 2);
    assert_int_equal(nic_command(&world.guest, &world.rig, VIRTIO_NET_CTRL_RX,
                                 VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1),
                     VIRTIO_NET_OK);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_offered_follows_the_options),
        cmocka_unit_test(the_configuration_says_address_link_pairs_and_mtu),
        cmocka_unit_test(frames_pass_through_split_rings),
        cmocka_unit_test(frames_pass_through_packed_rings),
        cmocka_unit_test(memory_that_is_not_lent_is_copied),
        cmocka_unit_test(a_batch_is_one_interrupt),
        cmocka_unit_test(a_large_frame_fills_several_buffers),
        cmocka_unit_test(a_frame_waits_until_there_are_buffers_for_all_of_it),
        cmocka_unit_test(without_mergeable_buffers_a_frame_that_is_too_long_is_dropped),
        cmocka_unit_test(frames_wait_for_buffers_in_order),
        cmocka_unit_test(the_driver_is_asked_to_notify_only_where_that_is_needed),
        cmocka_unit_test(a_flow_comes_back_where_it_was_sent),
        cmocka_unit_test(without_mq_the_third_queue_is_the_control_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
