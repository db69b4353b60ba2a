/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_nic_guest.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A wire that is full, or that the driver has no buffers for: who sends is held up. */

#define FRAMES 24u
#define FRAME_BYTES 50054u
#define SEGMENT 1000u
#define SEGMENTS 50u
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_segment_is_lost_or_doubled_at_a_full_wire),
        cmocka_unit_test(a_peer_is_held_up_while_the_driver_has_no_buffers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
