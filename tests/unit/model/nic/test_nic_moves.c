/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_nic_guest.h"

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "models/nic/nic.h"
#include "models/virtio/virtio_pci.h"

/* What the queues do when the device is quieted, resumed, or moved. */

static const char *const echo[] = { "net=echo", NULL };
static uint8_t frame[70000], back[70000];

struct world {
    struct rig_ram ram;
    struct rig rig;
    struct nic_guest guest;
};

static void open_world(struct world *world)
{
    rig_ram_open(&world->ram);
    rig_open(&world->rig, "nic", echo, &world->ram);
    nic_start(&world->guest, &world->rig, &world->ram, NIC_MOST);
}

static void close_world(struct world *world)
{
    rig_close(&world->rig);
    rig_ram_close(&world->ram);
}

static void send(struct world *world, uint32_t seed)
{
    nic_plain(frame, 100, seed);
    nic_send(&world->guest, 0, NULL, frame, 100);
}

/* The frame with this seed is the next that comes. */
static void expect(struct world *world, uint32_t seed)
{
    struct virtio_net_hdr_v1 header;

    nic_plain(frame, 100, seed);
    assert_int_equal(nic_take(&world->guest, 0, &header, back), 100);
    assert_memory_equal(back + 12, frame + 12, 88);
}

static void a_quiet_nic_touches_no_ring(void **state)
{
    struct virtio_net_hdr_v1 header;
    struct vring_used_elem elem;
    struct world world;

    (void)state;
    open_world(&world);
    nic_give(&world.guest, 0, 0, NIC_BUFFER_BYTES);
    assert_int_equal(rig_state(&world.rig, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    send(&world, 1);
    nic_notify(&world.guest, &world.rig, 1);
    assert_int_equal(ring_take(&world.guest.ring[1], &elem), 0);
    assert_int_equal(nic_take(&world.guest, 0, &header, back), 0);
    assert_int_equal(rig_state(&world.rig, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&world.rig);
    assert_int_equal(ring_take(&world.guest.ring[1], &elem), 1);
    expect(&world, 1);
    close_world(&world);
}

/* Frames that lie in the echo when it is quieted come to the backlog, which travels. */
static void frames_that_come_while_quiet_are_carried_and_announced(void **state)
{
    static const uint8_t rarp[] = { 0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3 };
    const uint8_t nothing = 0;
    struct virtio_net_hdr_v1 header;
    struct rig_blob blob = { 0 };
    struct world world;
    struct rig other;

    (void)state;
    open_world(&world);
    for (uint32_t i = 0; i < 3; i++) {
        send(&world, i);
    }
    nic_notify(&world.guest, &world.rig, 1);
    rig_open(&other, "nic", echo, &world.ram);
    assert_int_equal(rig_state(&world.rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.rig, 1000, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&other, 1000, &blob), FERRY_OK);
    for (uint32_t i = 0; i < 4; i++) {
        nic_give(&world.guest, 0, i, NIC_BUFFER_BYTES);
    }
    assert_int_equal(rig_state(&other, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&other);
    rig_work(&other);
    for (uint32_t i = 0; i < 3; i++) {
        expect(&world, i);
    }
    /* The echo gives the nic's own word back, too. */
    assert_int_equal(nic_take(&world.guest, 0, &header, back), 60);
    assert_memory_equal(back + 12, rarp, sizeof(rarp));
    /* And the driver is asked for its own. */
    assert_int_equal(nic_config(&other).status,
                     VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
    assert_true(rig_irqs(&other, NIC_VECTOR_CONFIG) >= 1);
    assert_int_equal(nic_command(&world.guest, &other, VIRTIO_NET_CTRL_ANNOUNCE,
                                 VIRTIO_NET_CTRL_ANNOUNCE_ACK, &nothing, 0),
                     VIRTIO_NET_OK);
    assert_int_equal(nic_config(&other).status, VIRTIO_NET_S_LINK_UP);
    rig_blob_free(&blob);
    rig_close(&other);
    close_world(&world);
}

static void what_commands_set_is_carried(void **state)
{
    static const uint8_t mac[6] = { 2, 9, 9, 9, 9, 9 };
    const uint8_t off = 0;
    const uint64_t none = 0;
    struct virtio_net_hdr_v1 header;
    struct rig_blob blob = { 0 };
    struct world world;
    struct rig other;

    (void)state;
    open_world(&world);
    assert_int_equal(nic_command(&world.guest, &world.rig, VIRTIO_NET_CTRL_MAC,
                                 VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6),
                     VIRTIO_NET_OK);
    assert_int_equal(nic_command(&world.guest, &world.rig, VIRTIO_NET_CTRL_RX,
                                 VIRTIO_NET_CTRL_RX_PROMISC, &off, 1),
                     VIRTIO_NET_OK);
    assert_int_equal(nic_command(&world.guest, &world.rig, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
                                 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &none, 8),
                     VIRTIO_NET_OK);
    rig_open(&other, "nic", echo, &world.ram);
    assert_int_equal(rig_state(&world.rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.rig, 1000, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&other, 1000, &blob), FERRY_OK);
    assert_int_equal(rig_state(&other, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&other);
    assert_memory_equal(nic_config(&other).mac, mac, 6);
    nic_give(&world.guest, 0, 0, NIC_BUFFER_BYTES);
    send(&world, 1); /* comes back for another station */
    nic_notify(&world.guest, &other, 1);
    rig_work(&other);
    assert_int_equal(nic_take(&world.guest, 0, &header, back), 60); /* the RARP frame */
    assert_int_equal(nic_take(&world.guest, 0, &header, back), 0);
    rig_blob_free(&blob);
    rig_close(&other);
    close_world(&world);
}

static void frames_for_a_driver_that_is_not_there_are_dropped(void **state)
{
    struct virtio_net_hdr_v1 header;
    struct world world;

    (void)state;
    open_world(&world);
    send(&world, 1);
    nic_notify(&world.guest, &world.rig, 1);
    /* It waited for a buffer; the driver starts again. */
    nic_start(&world.guest, &world.rig, &world.ram, NIC_MOST);
    nic_give(&world.guest, 0, 0, NIC_BUFFER_BYTES);
    nic_notify(&world.guest, &world.rig, 0);
    assert_int_equal(nic_take(&world.guest, 0, &header, back), 0);
    close_world(&world);
}

/* The driver begins the receive queue anew, with its used ring out of memory. */
static void lose_receive_ring(struct world *world)
{
    const struct {
        uint64_t off, value;
        uint32_t width;
    } write[] = {
        { VIRTIO_PCI_COMMON_Q_SELECT, 0, 2 },
        { VIRTIO_PCI_COMMON_Q_RESET, 1, 2 },
        { VIRTIO_PCI_COMMON_Q_SIZE, RING_SIZE, 2 },
        { VIRTIO_PCI_COMMON_Q_DESCLO, RING_IOVA(0), 8 },
        { VIRTIO_PCI_COMMON_Q_AVAILLO, RING_IOVA(0x4000), 8 },
        { VIRTIO_PCI_COMMON_Q_USEDLO, RING_IOVA(RIG_RAM_BYTES), 8 },
        { VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2 },
    };

    for (size_t i = 0; i < sizeof(write) / sizeof(write[0]); i++) {
        assert_int_equal(rig_write(&world->rig, NIC_BAR_VIRTIO, write[i].off,
                                   &write[i].value, write[i].width),
                         FERRY_OK);
    }
}

static void a_nic_that_wants_a_reset_moves_too(void **state)
{
    struct vring_used_elem elem;
    struct rig_blob blob = { 0 };
    struct world world;
    struct rig other;

    (void)state;
    open_world(&world);
    lose_receive_ring(&world);
    nic_give(&world.guest, 0, 0, NIC_BUFFER_BYTES);
    send(&world, 1);
    nic_notify(&world.guest, &world.rig, 1);
    assert_int_equal(nic_status(&world.rig) & VIRTIO_CONFIG_S_NEEDS_RESET,
                     VIRTIO_CONFIG_S_NEEDS_RESET);
    assert_int_equal(ring_take(&world.guest.ring[1], &elem), 1); /* it was sent */
    assert_int_equal(rig_state(&world.rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.rig, 4096, &blob), FERRY_OK);
    rig_open(&other, "nic", echo, &world.ram);
    assert_int_equal(rig_resume(&other, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_state(&other, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(nic_status(&other) & VIRTIO_CONFIG_S_NEEDS_RESET,
                     VIRTIO_CONFIG_S_NEEDS_RESET);
    rig_close(&other);
    rig_blob_free(&blob);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_nic_touches_no_ring),
        cmocka_unit_test(frames_that_come_while_quiet_are_carried_and_announced),
        cmocka_unit_test(what_commands_set_is_carried),
        cmocka_unit_test(frames_for_a_driver_that_is_not_there_are_dropped),
        cmocka_unit_test(a_nic_that_wants_a_reset_moves_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
