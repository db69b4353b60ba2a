/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_nic_guest.h"

#include <linux/virtio_config.h>
#include <string.h>

/* The control queue, and what the filters that it sets let through. */

static const char *const echo[] = { "net=echo", "mac=02:00:00:00:00:02", NULL };
static const uint8_t mine[6] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t other[6] = { 2, 0, 0, 0, 0, 9 };
static const uint8_t group[6] = { 1, 0, 0x5e, 0, 0, 1 };
static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };

struct world {
    struct rig_ram ram;
    struct rig rig;
    struct nic_guest guest;
    uint32_t place;
};

static void open_world(struct world *world, const char *const *option, uint64_t features)
{
    world->place = 0;
    rig_ram_open(&world->ram);
    rig_open(&world->rig, "nic", option, &world->ram);
    nic_start(&world->guest, &world->rig, &world->ram, features);
}

static void close_world(struct world *world)
{
    rig_close(&world->rig);
    rig_ram_close(&world->ram);
}

static uint8_t command(struct world *world, uint8_t class, uint8_t what, const void *data,
                       uint32_t bytes)
{
    return nic_command(&world->guest, &world->rig, class, what, data, bytes);
}

static void set(struct world *world, uint8_t what, uint8_t on)
{
    assert_int_equal(command(world, VIRTIO_NET_CTRL_RX, what, &on, 1), VIRTIO_NET_OK);
}

/*
 * Is a frame to this address, which the echo gives back, received? The echo turns round:
 * the frame goes out from it. vlan: 4096: no tag.
 */
static int comes(struct world *world, const uint8_t *to, uint32_t vlan)
{
    struct virtio_net_hdr_v1 header;
    uint8_t frame[100], back[70000];

    nic_plain(frame, sizeof(frame), 1);
    memcpy(frame, other, 6);
    memcpy(frame + 6, to, 6);
    if (vlan < 4096) {
        frame[12] = 0x81;
        frame[13] = 0;
        frame[14] = (uint8_t)(vlan >> 8);
        frame[15] = (uint8_t)vlan;
    }
    nic_give(&world->guest, 0, world->place++ % RING_SIZE, NIC_BUFFER_BYTES);
    nic_send(&world->guest, 0, NULL, frame, sizeof(frame));
    nic_notify(&world->guest, &world->rig, 1);
    return nic_take(&world->guest, 0, &header, back) != 0;
}

static void at_first_everything_comes(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    assert_true(comes(&world, mine, 4096));
    assert_true(comes(&world, other, 4096));
    assert_true(comes(&world, group, 4096));
    assert_true(comes(&world, all, 4096));
    assert_true(comes(&world, other, 5));
    close_world(&world);
}

static void modes_decide_what_comes(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    set(&world, VIRTIO_NET_CTRL_RX_PROMISC, 0);
    assert_true(comes(&world, mine, 4096));
    assert_true(comes(&world, all, 4096));
    assert_false(comes(&world, other, 4096));
    assert_false(comes(&world, group, 4096));
    set(&world, VIRTIO_NET_CTRL_RX_ALLMULTI, 1);
    assert_true(comes(&world, group, 4096));
    set(&world, VIRTIO_NET_CTRL_RX_ALLUNI, 1);
    assert_true(comes(&world, other, 4096));
    set(&world, VIRTIO_NET_CTRL_RX_NOMULTI, 1);
    assert_false(comes(&world, group, 4096));
    assert_true(comes(&world, all, 4096));
    set(&world, VIRTIO_NET_CTRL_RX_NOBCAST, 1);
    assert_false(comes(&world, all, 4096));
    set(&world, VIRTIO_NET_CTRL_RX_NOUNI, 1);
    assert_false(comes(&world, mine, 4096));
    close_world(&world);
}

static uint32_t fill_table(uint8_t *to, const uint8_t *unicast, uint32_t unicasts,
                           const uint8_t *multicast, uint32_t multicasts)
{
    uint8_t *at = to;

    memset(at, 0, 4);
    at[0] = (uint8_t)unicasts;
    at += 4;
    for (uint32_t i = 0; i < unicasts; i++, at += 6) {
        memcpy(at, unicast, 6);
        at[1] = (uint8_t)(at[1] + i);
    }
    memset(at, 0, 4);
    at[0] = (uint8_t)multicasts;
    at += 4;
    for (uint32_t i = 0; i < multicasts; i++, at += 6) {
        memcpy(at, multicast, 6);
        at[1] = (uint8_t)(at[1] + i);
    }
    return (uint32_t)(at - to);
}

static void the_tables_decide_what_comes(void **state)
{
    struct world world;
    uint8_t data[2000];
    uint32_t bytes;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    set(&world, VIRTIO_NET_CTRL_RX_PROMISC, 0);
    bytes = fill_table(data, other, 1, group, 64);
    assert_int_equal(
        command(&world, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, bytes),
        VIRTIO_NET_OK);
    assert_true(comes(&world, other, 4096));
    assert_true(comes(&world, group, 4096));
    assert_false(comes(&world, (const uint8_t[6]){ 1, 99, 0, 0, 0, 1 }, 4096));
    /* More than there is room for: all of that kind. */
    bytes = fill_table(data, other, 1, group, 65);
    assert_int_equal(
        command(&world, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, bytes),
        VIRTIO_NET_OK);
    assert_true(comes(&world, (const uint8_t[6]){ 1, 99, 0, 0, 0, 1 }, 4096));
    assert_false(comes(&world, (const uint8_t[6]){ 2, 99, 0, 0, 0, 1 }, 4096));
    /* A table that is cut off changes nothing. */
    assert_int_equal(command(&world, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET,
                             data, bytes - 1),
                     VIRTIO_NET_ERR);
    memset(data, 255, 8);
    assert_int_equal(
        command(&world, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, data, 8),
        VIRTIO_NET_ERR);
    assert_true(comes(&world, other, 4096));
    close_world(&world);
}

static void vlans_are_let_in_one_by_one(void **state)
{
    const uint16_t five = 5, last = 4095, beyond = 4096;
    struct world world;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    set(&world, VIRTIO_NET_CTRL_RX_PROMISC, 0);
    assert_false(comes(&world, mine, 5));
    assert_int_equal(
        command(&world, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, &five, 2),
        VIRTIO_NET_OK);
    assert_int_equal(
        command(&world, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, &last, 2),
        VIRTIO_NET_OK);
    assert_true(comes(&world, mine, 5));
    assert_true(comes(&world, mine, 4095));
    assert_false(comes(&world, mine, 6));
    assert_int_equal(
        command(&world, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, &five, 2),
        VIRTIO_NET_OK);
    assert_false(comes(&world, mine, 5));
    assert_int_equal(
        command(&world, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, &beyond, 2),
        VIRTIO_NET_ERR);
    close_world(&world);
}

static void a_new_address_is_taken_and_shown_until_a_reset(void **state)
{
    struct world world;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    set(&world, VIRTIO_NET_CTRL_RX_PROMISC, 0);
    assert_int_equal(
        command(&world, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6),
        VIRTIO_NET_OK);
    assert_memory_equal(nic_config(&world.rig).mac, other, 6);
    assert_true(comes(&world, other, 4096));
    assert_false(comes(&world, mine, 4096));
    assert_int_equal(
        command(&world, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mine, 5),
        VIRTIO_NET_ERR);
    assert_int_equal(rig_reset(&world.rig), FERRY_OK);
    assert_memory_equal(nic_config(&world.rig).mac, mine, 6);
    close_world(&world);
}

static void commands_that_cannot_be_are_answered_with_an_error(void **state)
{
    static const char *const pairs[] = { "net=echo", "pairs=2", NULL };
    const uint16_t none = 0, three = 3, two = 2;
    const uint64_t nothing = 0, csum = 1ull << VIRTIO_NET_F_GUEST_CSUM;
    const uint64_t foreign = 1ull << VIRTIO_NET_F_CSUM;
    const uint8_t on = 1;
    struct world world;

    (void)state;
    open_world(&world, pairs, NIC_MOST);
    assert_int_equal(command(&world, 4, 0, &none, 2), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 4, 0, &three, 2), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 4, 0, &two, 1), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 4, 1, &two, 2), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 4, 0, &two, 2), VIRTIO_NET_OK);
    assert_int_equal(command(&world, 0, 6, &on, 1), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 0, 0, &on, 0), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 3, 1, &on, 1), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 5, 0, &foreign, 8), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 5, 0, &csum, 7), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 5, 0, &nothing, 8), VIRTIO_NET_OK);
    assert_int_equal(command(&world, 5, 0, &csum, 8), VIRTIO_NET_OK); /* again */
    assert_int_equal(command(&world, 99, 0, &on, 1), VIRTIO_NET_ERR);
    close_world(&world);
    /* Nor what was not negotiated. */
    open_world(&world, pairs, 1ull << VIRTIO_NET_F_CTRL_VQ);
    assert_int_equal(command(&world, 0, 0, &on, 1), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 1, 1, other, 6), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 2, 0, &two, 2), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 3, 0, &on, 0), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 4, 0, &two, 2), VIRTIO_NET_ERR);
    assert_int_equal(command(&world, 5, 0, &nothing, 8), VIRTIO_NET_ERR);
    close_world(&world);
}

static void a_command_without_room_for_an_answer_wants_a_reset(void **state)
{
    struct world world;
    struct ring *ring;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    ring = &world.guest.ring[world.guest.control];
    ring_desc(ring, 0, RING_IOVA(NIC_BUFFER(2, 0)), 3, 0, 0);
    ring_offer(ring, 0);
    nic_notify(&world.guest, &world.rig, world.guest.control);
    assert_int_equal(nic_status(&world.rig) & VIRTIO_CONFIG_S_NEEDS_RESET,
                     VIRTIO_CONFIG_S_NEEDS_RESET);
    assert_int_equal(rig_irqs(&world.rig, NIC_VECTOR_CONFIG), 1);
    close_world(&world);
}

static void commands_that_come_together_are_all_answered(void **state)
{
    const uint8_t on = 1;
    struct vring_used_elem elem;
    struct world world;
    struct ring *ring;
    uint32_t answered = 0;

    (void)state;
    open_world(&world, echo, NIC_MOST);
    set(&world, VIRTIO_NET_CTRL_RX_PROMISC, on);
    ring = &world.guest.ring[world.guest.control];
    for (uint32_t i = 0; i < RING_SIZE - 1; i++) {
        ring_offer(ring, 0); /* the same once more */
    }
    nic_notify(&world.guest, &world.rig, world.guest.control);
    while (ring_take(ring, &elem)) {
        answered++;
    }
    assert_int_equal(answered, RING_SIZE - 1);
    close_world(&world);
}

static const char *const two_pairs[] = { "net=echo", "pairs=2", NULL };

/* Puts a command behind what is there; not notified. */
static void queue_pairs(struct world *world, uint16_t pairs)
{
    const uint32_t queue = world->guest.control;
    uint8_t *out = world->guest.ram + NIC_BUFFER(queue, 8);

    out[0] = VIRTIO_NET_CTRL_MQ;
    out[1] = VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET;
    out[2] = (uint8_t)pairs;
    out[3] = 0;
    ring_desc(&world->guest.ring[queue], 8, RING_IOVA(NIC_BUFFER(queue, 8)), 4,
              VRING_DESC_F_NEXT, 9);
    ring_desc(&world->guest.ring[queue], 9, RING_IOVA(NIC_BUFFER(queue, 9)), 1,
              VRING_DESC_F_WRITE, 0);
    ring_offer(&world->guest.ring[queue], 8);
}

static void frames_that_wait_for_a_pair_go_to_one_that_stays(void **state)
{
    struct virtio_net_hdr_v1 header;
    uint8_t frame[100], back[70000];
    const uint16_t two = 2, one = 1;
    struct world world;

    (void)state;
    open_world(&world, two_pairs, NIC_MOST);
    assert_int_equal(command(&world, 4, 0, &two, 2), VIRTIO_NET_OK);
    nic_tcp(frame, sizeof(frame), 0, 1);
    nic_send(&world.guest, 1, NULL, frame, sizeof(frame));
    nic_notify(&world.guest, &world.rig, 3); /* it comes back, and there is no buffer */
    assert_int_equal(command(&world, 4, 0, &one, 2), VIRTIO_NET_OK);
    nic_give(&world.guest, 2, 0, NIC_BUFFER_BYTES);
    nic_notify(&world.guest, &world.rig, 2);
    assert_int_equal(nic_take(&world.guest, 1, &header, back), 0);
    nic_give(&world.guest, 0, 0, NIC_BUFFER_BYTES);
    nic_notify(&world.guest, &world.rig, 0);
    assert_int_equal(nic_take(&world.guest, 0, &header, back), sizeof(frame));
    close_world(&world);
}

static void what_a_pair_sent_before_it_went_out_of_use_is_completed(void **state)
{
    struct vring_used_elem elem;
    const uint16_t two = 2;
    uint8_t frame[100];
    struct world world;

    (void)state;
    open_world(&world, two_pairs, NIC_MOST);
    assert_int_equal(command(&world, 4, 0, &two, 2), VIRTIO_NET_OK);
    nic_plain(frame, sizeof(frame), 1);
    nic_send(&world.guest, 1, NULL, frame, sizeof(frame));
    queue_pairs(&world, 1);
    ring_notify(&world.guest.ring[3], &world.rig);
    nic_notify(&world.guest, &world.rig, world.guest.control);
    assert_true(ring_take(&world.guest.ring[3], &elem));
    assert_true(rig_irqs(&world.rig, 3) > 0);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_first_everything_comes),
        cmocka_unit_test(modes_decide_what_comes),
        cmocka_unit_test(the_tables_decide_what_comes),
        cmocka_unit_test(vlans_are_let_in_one_by_one),
        cmocka_unit_test(a_new_address_is_taken_and_shown_until_a_reset),
        cmocka_unit_test(commands_that_cannot_be_are_answered_with_an_error),
        cmocka_unit_test(a_command_without_room_for_an_answer_wants_a_reset),
        cmocka_unit_test(commands_that_come_together_are_all_answered),
        cmocka_unit_test(frames_that_wait_for_a_pair_go_to_one_that_stays),
        cmocka_unit_test(what_a_pair_sent_before_it_went_out_of_use_is_completed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
