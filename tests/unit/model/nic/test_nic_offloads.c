/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_nic_guest.h"

#include <stdlib.h>
#include <string.h>

#include "models/nic/queues/segment.h"

/* Checksums and segments that were left to do. */

static const char *const echo[] = { "net=echo", NULL };
static uint8_t frame[70000], back[70000];

struct world {
    struct rig_ram ram;
    struct rig rig;
    struct nic_guest guest;
};

static void open_world(struct world *world, uint64_t features)
{
    rig_ram_open(&world->ram);
    rig_open(&world->rig, "nic", echo, &world->ram);
    nic_start(&world->guest, &world->rig, &world->ram, features);
}

static void close_world(struct world *world)
{
    rig_close(&world->rig);
    rig_ram_close(&world->ram);
}

static uint32_t get16(const uint8_t *from)
{
    return (uint32_t)from[0] << 8 | from[1];
}

/* Leaves the checksum of a TCP frame undone: the pseudo header's sum is in its place. */
static struct virtio_net_hdr_v1 undo(uint8_t *bytes, uint32_t count, uint32_t v6,
                                     uint16_t segment)
{
    const uint32_t tcp = v6 ? 54 : 34;
    const uint8_t *at = bytes + (v6 ? 22 : 26);
    uint32_t sum = 6 + (count - tcp);

    for (uint32_t i = 0; i < (v6 ? 16u : 4u); i++) {
        sum += get16(at + 2 * i);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    bytes[tcp + 16] = (uint8_t)(sum >> 8);
    bytes[tcp + 17] = (uint8_t)sum;
    return (struct virtio_net_hdr_v1){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = (uint16_t)tcp,
        .csum_offset = 16,
        .gso_type = segment == 0 ? VIRTIO_NET_HDR_GSO_NONE
                    : v6         ? VIRTIO_NET_HDR_GSO_TCPV6
                                 : VIRTIO_NET_HDR_GSO_TCPV4,
        .gso_size = segment,
        .hdr_len = (uint16_t)(tcp + 20),
    };
}

static void a_checksum_is_the_one_of_the_textbook(void **state)
{
    static const uint32_t lengths[] = { 54, 55, 60, 61, 63, 64, 1514, 9001 };

    (void)state;
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct virtio_net_hdr_v1 header;

        nic_tcp(frame, lengths[i], 0, i);
        assert_true(nic_tcp_right(frame, lengths[i], 0));
        header = undo(frame, lengths[i], 0, 0);
        assert_false(nic_tcp_right(frame, lengths[i], 0));
        assert_true(nic_offload_valid(&header, lengths[i]));
        nic_offload_checksum(frame, lengths[i], &header);
        assert_true(nic_tcp_right(frame, lengths[i], 0));
    }
}

static void a_checksum_outside_the_frame_cannot_be(void **state)
{
    struct virtio_net_hdr_v1 header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                        .csum_start = 34,
                                        .csum_offset = 16 };

    (void)state;
    assert_true(nic_offload_valid(&header, 52));
    assert_false(nic_offload_valid(&header, 51));
    header.csum_start = 65535;
    header.csum_offset = 65535;
    assert_false(nic_offload_valid(&header, 65554));
    header.flags = 0; /* then it says nothing */
    assert_true(nic_offload_valid(&header, 60));
}

/* Cuts a frame and puts the pieces together again. */
static void cut(uint32_t bytes, uint32_t v6, uint16_t segment)
{
    const uint32_t headers = v6 ? NIC_TCP6_HEADERS : NIC_TCP4_HEADERS;
    const uint32_t tcp = headers - 20;
    struct virtio_net_hdr_v1 header;
    struct nic_segments segments;
    uint32_t at = 0;

    nic_tcp(frame, bytes, v6, 3);
    frame[tcp + 13] = 0x99; /* CWR, ACK, PSH, FIN */
    header = undo(frame, bytes, v6, segment);
    header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    assert_true(nic_offload_valid(&header, bytes));
    assert_int_equal(nic_segments_begin(&segments, frame, bytes, &header), FERRY_OK);
    assert_int_equal(segments.count, (bytes - headers + segment - 1) / segment);
    for (uint32_t i = 0; i < segments.count; i++) {
        const int last = i + 1 == segments.count;
        const uint8_t *payload;
        const uint32_t count = nic_segments_get(&segments, i, back, &payload);

        assert_int_equal(count, last ? bytes - headers - at : segment);
        memcpy(back + headers, payload, count);
        assert_true(nic_tcp_right(back, headers + count, v6));
        assert_memory_equal(back + headers, frame + headers + at, count);
        assert_int_equal((get16(back + tcp + 4) << 16) + get16(back + tcp + 6),
                         7000 + at);
        assert_int_equal(back[tcp + 13], 0x10 | (i == 0 ? 0x80 : 0) | (last ? 9 : 0));
        if (!v6) {
            assert_int_equal(get16(back + 18), 100 + i);
        }
        at += count;
    }
    assert_int_equal(at, bytes - headers);
}

static void segments_are_whole_frames_with_the_same_bytes(void **state)
{
    (void)state;
    cut(1000, 0, 100);
    cut(65000, 0, 1448);
    cut(1000, 1, 926);
    cut(30001, 1, 1428);
    cut(101, 0, 2000);
}

static void what_is_no_tcp_frame_is_not_cut(void **state)
{
    struct virtio_net_hdr_v1 good, header;
    struct nic_segments segments;

    (void)state;
    nic_tcp(frame, 2000, 0, 1);
    good = undo(frame, 2000, 0, 500);
    assert_int_equal(nic_segments_begin(&segments, frame, 2000, &good), FERRY_OK);
    for (uint32_t bytes = 14; bytes <= NIC_TCP4_HEADERS; bytes++) {
        assert_int_equal(nic_segments_begin(&segments, frame, bytes, &good),
                         FERRY_E_PROTOCOL);
    }
    header = good;
    header.csum_start = 35;
    assert_int_equal(nic_segments_begin(&segments, frame, 2000, &header),
                     FERRY_E_PROTOCOL);
    header = good;
    header.gso_size = 1; /* 1946 segments */
    assert_int_equal(nic_segments_begin(&segments, frame, 2000, &header),
                     FERRY_E_PROTOCOL);
    header = good;
    header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
    assert_int_equal(nic_segments_begin(&segments, frame, 2000, &header),
                     FERRY_E_PROTOCOL);
    frame[34 + 12] = 15 << 4; /* options, but also no data offset below 5 */
    assert_int_equal(nic_segments_begin(&segments, frame, 90, &good), FERRY_E_PROTOCOL);
    frame[34 + 12] = 4 << 4;
    assert_int_equal(nic_segments_begin(&segments, frame, 2000, &good), FERRY_E_PROTOCOL);
}

/* A driver that sends what is left to do, and takes none of it back. */
static void a_driver_without_guest_offloads_gets_whole_frames(void **state)
{
    const uint64_t guest =
        1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |
        1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN;
    struct virtio_net_hdr_v1 header;
    struct world world;
    uint32_t got = 0, count, frames = 0;

    (void)state;
    open_world(&world, NIC_MOST & ~guest);
    for (uint32_t i = 0; i < 40; i++) {
        nic_give(&world.guest, 0, i, NIC_BUFFER_BYTES);
    }
    nic_tcp(frame, 10054, 0, 1);
    header = undo(frame, 10054, 0, 1000);
    nic_send(&world.guest, 0, &header, frame, 10054);
    nic_notify(&world.guest, &world.rig, 1);
    while ((count = nic_take(&world.guest, 0, &header, back)) != 0) {
        assert_int_equal(count, 1054);
        assert_int_equal(header.flags, 0);
        assert_int_equal(header.gso_type, 0);
        assert_true(nic_tcp_right(back, count, 0));
        assert_memory_equal(back + 54, frame + 54 + got, 1000);
        got += 1000;
        frames++;
    }
    assert_int_equal(frames, 10);
    close_world(&world);
}

static void a_driver_with_guest_offloads_gets_the_frame_as_it_was(void **state)
{
    struct virtio_net_hdr_v1 sent, header;
    const uint64_t none = 0;
    struct world world;

    (void)state;
    open_world(&world, NIC_MOST);
    for (uint32_t i = 0; i < 60; i++) {
        nic_give(&world.guest, 0, i, NIC_BUFFER_BYTES);
    }
    nic_tcp(frame, 20054, 1, 1);
    sent = undo(frame, 20054, 1, 1000);
    nic_send(&world.guest, 0, &sent, frame, 20054);
    nic_notify(&world.guest, &world.rig, 1);
    assert_int_equal(nic_take(&world.guest, 0, &header, back), 20054);
    assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
    assert_int_equal(header.gso_size, 1000);
    assert_memory_equal(back + 12, frame + 12, 20042);
    /* Until it turns them off. */
    assert_int_equal(nic_command(&world.guest, &world.rig, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
                                 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &none, 8),
                     VIRTIO_NET_OK);
    sent = undo(frame, 2000, 1, 0);
    frame[18] = 1946 >> 8;
    frame[19] = 1946 & 255;
    nic_send(&world.guest, 0, &sent, frame, 2000);
    nic_notify(&world.guest, &world.rig, 1);
    assert_int_equal(nic_take(&world.guest, 0, &header, back), 2000);
    assert_int_equal(header.flags, 0);
    assert_true(nic_tcp_right(back, 2000, 1));
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checksum_is_the_one_of_the_textbook),
        cmocka_unit_test(a_checksum_outside_the_frame_cannot_be),
        cmocka_unit_test(segments_are_whole_frames_with_the_same_bytes),
        cmocka_unit_test(what_is_no_tcp_frame_is_not_cut),
        cmocka_unit_test(a_driver_without_guest_offloads_gets_whole_frames),
        cmocka_unit_test(a_driver_with_guest_offloads_gets_the_frame_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
