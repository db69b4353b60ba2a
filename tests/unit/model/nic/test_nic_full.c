/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_nic_guest.h"

#include <arpa/inet.h>
#include <linux/virtio_pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "models/nic/nic.h"
#include "models/nic/nic_private.h"
#include "models/virtio/virtio_pci.h"

/* A wire that is full, or that the driver has no buffers for: who sends is held up. */

#define FRAMES 24u
#define FRAME_BYTES 50054u
#define SEGMENT 1000u
#define SEGMENTS 50u
#define PLAIN_BYTES 5000u
#define OUTSTANDING 4u /* as many as the ring has places for */

static uint8_t frame[70000], back[70000], wire[1u << 20];

struct world {
    struct rig_ram ram;
    struct rig rig;
    struct nic_guest guest;
    char folder[32];
    int listener, peer;
};

static void open_world(struct world *world)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char option[128];
    const char *const options[] = { option, "backlog=10", NULL };

    strcpy(world->folder, "/tmp/ferry-nic-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/w", world->folder);
    (void)snprintf(option, sizeof(option), "net=stream:%s", address.sun_path);
    world->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(world->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(world->listener, 1), 0);
    rig_ram_open(&world->ram);
    rig_open(&world->rig, "nic", options, &world->ram);
    rig_work(&world->rig);
    world->peer = accept(world->listener, NULL, NULL);
    assert_true(world->peer >= 0);
    nic_start(&world->guest, &world->rig, &world->ram, NIC_MOST);
    rig_work(&world->rig);
}

static void close_world(struct world *world)
{
    rig_close(&world->rig);
    rig_ram_close(&world->ram);
    (void)close(world->peer);
    (void)close(world->listener);
    (void)unlink(strcat(world->folder, "/w"));
    world->folder[strlen(world->folder) - 2] = '\0';
    (void)rmdir(world->folder);
}

/* A frame whose checksum and segmentation are left to do. */
static void send_large(struct world *world, uint32_t flow)
{
    const struct virtio_net_hdr_v1 header = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
        .gso_size = SEGMENT,
        .csum_start = 34,
        .csum_offset = 16,
    };

    nic_tcp(frame, FRAME_BYTES, 0, flow);
    nic_send(&world->guest, 0, &header, frame, FRAME_BYTES);
    ring_notify(&world->guest.ring[1], &world->rig);
}

/* Segment number `at` of all of them. */
static void check_segment(const uint8_t *bytes, uint32_t count, uint32_t at)
{
    const uint32_t flow = at / SEGMENTS, segment = at % SEGMENTS;

    assert_int_equal(count, 54 + SEGMENT);
    assert_true(nic_tcp_right(bytes, count, 0));
    if (segment == 0) {
        nic_tcp(back, FRAME_BYTES, 0, flow);
    }
    assert_int_equal(bytes[34] << 8 | bytes[35], 1000 + flow);
    assert_memory_equal(bytes + 54, back + 54 + segment * SEGMENT, SEGMENT);
}

static void no_segment_is_lost_or_doubled_at_a_full_wire(void **state)
{
    struct vring_used_elem elem;
    struct world world;
    uint32_t sent = 0, done = 0, seen = 0, have = 0, held_up = 0;

    (void)state;
    open_world(&world);
    while (seen < FRAMES * SEGMENTS) {
        uint32_t at = 0;
        ssize_t got;

        for (; sent < FRAMES && sent - done < OUTSTANDING; sent++) {
            world.guest.frames = sent % OUTSTANDING * 16;
            send_large(&world, sent);
        }
        rig_work(&world.rig);
        while (ring_take(&world.guest.ring[1], &elem)) {
            done++;
        }
        held_up += sent > done;
        /* The peer reads little, so that the wire is full most of the time. */
        got = recv(world.peer, wire + have, 7001, MSG_DONTWAIT);
        assert_true(got > 0);
        have += (uint32_t)got;
        for (;;) {
            uint32_t bytes;

            memcpy(&bytes, wire + at, 4);
            bytes = ntohl(bytes);
            if (have - at < 4 || have - at < 4 + bytes) {
                break;
            }
            check_segment(wire + at + 4, bytes, seen++);
            at += 4 + bytes;
        }
        memmove(wire, wire + at, have - at);
        have -= at;
    }
    assert_true(held_up > 10);
    assert_int_equal(have, 0);
    close_world(&world);
}

static struct nic *nic_of(const struct world *world)
{
    return world->rig.state;
}

static void common(struct world *world, uint32_t off, uint64_t value, uint32_t width)
{
    assert_int_equal(rig_write(&world->rig, NIC_BAR_VIRTIO, VIRTIO_PCI_COMMON_OFF + off,
                               &value, width),
                     FERRY_OK);
}

/* The driver resets the transmit queue alone, and begins it anew. */
static void renew_queue(struct world *world)
{
    struct ring *ring = &world->guest.ring[1];

    common(world, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
    common(world, VIRTIO_PCI_COMMON_Q_RESET, 1, 2);
    common(world, VIRTIO_PCI_COMMON_Q_SIZE, RING_SIZE, 2);
    common(world, VIRTIO_PCI_COMMON_Q_DESCLO, RING_IOVA(ring->off), 8);
    common(world, VIRTIO_PCI_COMMON_Q_AVAILLO, RING_IOVA(ring->off + 0x4000), 8);
    common(world, VIRTIO_PCI_COMMON_Q_USEDLO, RING_IOVA(ring->off + 0x5000), 8);
    memset(world->ram.bytes + ring->off, 0, 0x6000);
    ring->avail = 0;
    ring->used = 0;
    common(world, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

/* Sends plain frames, at most `most`, until the wire is full. Return: how many. */
static uint32_t fill_wire(struct world *world, uint32_t most)
{
    struct vring_used_elem elem;
    uint32_t sent = 0;

    nic_plain(frame, PLAIN_BYTES, 3);
    while (sent < most) {
        world->guest.frames = sent % OUTSTANDING * 16;
        nic_send(&world->guest, 0, NULL, frame, PLAIN_BYTES);
        nic_notify(&world->guest, &world->rig, 1);
        if (!ring_take(&world->guest.ring[1], &elem)) {
            break;
        }
        sent++;
    }
    return sent;
}

/* Reads until there is nothing more; counts the segments of flows 1 and 2. */
static void count_segments(struct world *world, uint32_t *ret_segments)
{
    uint32_t have = 0, bytes;

    for (uint32_t idle = 0; idle < 3; idle++) {
        const ssize_t got =
            recv(world->peer, wire + have, sizeof(wire) - have, MSG_DONTWAIT);

        if (got > 0) {
            have += (uint32_t)got;
            idle = 0;
        }
        rig_work(&world->rig);
    }
    memset(ret_segments, 0, 3 * sizeof(*ret_segments));
    for (uint32_t at = 0; at < have; at += 4 + ntohl(bytes)) {
        memcpy(&bytes, wire + at, 4);
        if (ntohl(bytes) != PLAIN_BYTES) {
            assert_int_equal(ntohl(bytes), 54 + SEGMENT);
            ret_segments[(wire[at + 38] << 8 | wire[at + 39]) - 1000]++;
        }
    }
}

static void a_frame_is_sent_from_its_start_in_a_queue_that_was_reset(void **state)
{
    uint32_t segments[3], room;
    struct world world;

    (void)state;
    open_world(&world);
    room = fill_wire(&world, 1000);
    assert_in_range(room, 10, 150);
    close_world(&world);
    open_world(&world);
    room -= 5; /* half of a large frame fits behind them */
    assert_int_equal(fill_wire(&world, room), room);
    for (uint32_t flow = 1; flow <= 2; flow++) {
        renew_queue(&world);
        world.guest.frames = 0;
        send_large(&world, flow);
        rig_work(&world.rig);
    }
    count_segments(&world, segments);
    assert_in_range(segments[1], 1, SEGMENTS - 1); /* the wire was full in the middle */
    assert_int_equal(segments[2], SEGMENTS);
    close_world(&world);
}

static void a_peer_is_held_up_while_the_driver_has_no_buffers(void **state)
{
    struct virtio_net_hdr_v1 header;
    struct world world;
    uint32_t sent = 0, seen = 0;
    uint8_t head[4];

    (void)state;
    open_world(&world);
    nic_plain(frame, 1000, 7);
    memcpy(head, &(uint32_t){ htonl(1000) }, 4);
    memcpy(wire, head, 4);
    memcpy(wire + 4, frame, 1000);
    /* Far more than the backlog of 10 frames holds. */
    while (send(world.peer, wire, 1004, MSG_DONTWAIT | MSG_NOSIGNAL) == 1004) {
        sent++;
        rig_work(&world.rig);
        assert_true(sent < 5000);
    }
    assert_true(sent > 40);
    for (uint32_t i = 0; seen < sent; i++) {
        nic_give(&world.guest, 0, i % RING_SIZE, NIC_BUFFER_BYTES);
        nic_notify(&world.guest, &world.rig, 0);
        rig_work(&world.rig);
        seen += nic_take(&world.guest, 0, &header, back) == 1000;
        assert_true(i < sent + 10);
    }
    close_world(&world);
}

static void a_driver_without_receive_buffers_still_sends(void **state)
{
    struct vring_used_elem elem;
    struct world world;
    uint32_t bytes = htonl(1000), idle = 0;

    (void)state;
    open_world(&world);
    nic_plain(frame, 1000, 7);
    memcpy(wire, &bytes, 4);
    memcpy(wire + 4, frame, 1000);
    for (uint32_t i = 0; i < 30; i++) {
        assert_int_equal(send(world.peer, wire, 1004, MSG_DONTWAIT), 1004);
    }
    rig_work(&world.rig);
    assert_in_range(fill_wire(&world, 1000), 10, 999);
    while (idle < 3) {
        const int got = recv(world.peer, wire, sizeof(wire), MSG_DONTWAIT) > 0;

        idle = got ? 0 : idle + 1;
        rig_work(&world.rig);
    }
    assert_true(ring_take(&world.guest.ring[1], &elem));
    /* Nor was a frame read that nobody can keep. */
    assert_int_equal(nic_backlog_lost(nic_of(&world)->backlog, 0), 0);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_segment_is_lost_or_doubled_at_a_full_wire),
        cmocka_unit_test(a_frame_is_sent_from_its_start_in_a_queue_that_was_reset),
        cmocka_unit_test(a_peer_is_held_up_while_the_driver_has_no_buffers),
        cmocka_unit_test(a_driver_without_receive_buffers_still_sends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
