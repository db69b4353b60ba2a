/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test_net_rig.h"

#define LENGTH 4u /* bytes in front of each frame */

struct rig {
    char folder[32];
    char path[64];
    int listener;
    struct net_rig_frames frames;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    (void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/ferry-net-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    (void)snprintf(rig->path, sizeof(rig->path), "%s/wire", rig->folder);
    rig->listener = -1;
    net_rig_make(&rig->frames);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    if (rig->listener >= 0) {
        (void)close(rig->listener);
    }
    (void)unlink(rig->path);
    (void)rmdir(rig->folder);
    net_rig_free(&rig->frames);
    free(rig);
    return 0;
}

static struct sockaddr_un name_of(const struct rig *rig)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };

    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", rig->path);
    return name;
}

static void listen_here(struct rig *rig)
{
    const struct sockaddr_un name = name_of(rig);

    rig->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(rig->listener, (const struct sockaddr *)&name, sizeof(name)),
                     0);
    assert_int_equal(listen(rig->listener, 4), 0);
}

static struct nic_net *open_wire(const struct rig *rig, const char *kind)
{
    struct nic_net *net = NULL;
    char text[80];

    (void)snprintf(text, sizeof(text), "%s:%s", kind, rig->path);
    assert_int_equal(nic_net_open(text, &net, NULL), FERRY_OK);
    return net;
}

/* A wire that connects, and its peer. */
static struct nic_net *connected(struct rig *rig, int *ret_peer)
{
    struct nic_net *net = NULL;

    listen_here(rig);
    net = open_wire(rig, "stream");
    *ret_peer = accept(rig->listener, NULL, NULL);
    assert_true(*ret_peer >= 0);
    assert_int_equal(net->link_up, 1);
    return net;
}

static int connect_to(const struct rig *rig)
{
    const struct sockaddr_un name = name_of(rig);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

static void write_all(int fd, const void *data, size_t bytes)
{
    assert_int_equal(send(fd, data, bytes, MSG_NOSIGNAL), bytes);
}

static void read_all(int fd, uint8_t *ret_data, size_t bytes)
{
    size_t off = 0;

    while (off < bytes) {
        ssize_t got = read(fd, ret_data + off, bytes - off);

        assert_true(got > 0);
        off += (size_t)got;
    }
}

/* A frame as it goes over the wire. Return: bytes. */
static size_t on_wire(uint8_t *ret_data, uint32_t bytes, uint8_t seed)
{
    const uint32_t length = htonl(bytes);

    memcpy(ret_data, &length, LENGTH);
    for (uint32_t off = 0; off < bytes; off++) {
        ret_data[LENGTH + off] = net_rig_byte(seed, off);
    }
    return LENGTH + bytes;
}

static void frames_go_out_behind_their_length(void **state)
{
    struct rig *rig = *state;
    uint8_t expected[2][200];
    uint8_t seen[200];
    int peer = -1;
    struct nic_net *net = connected(rig, &peer);

    net_rig_fill(&rig->frames, 0, 60, 1, 7);
    net_rig_fill(&rig->frames, 1, 100, 2, 50);
    assert_int_equal(net->ops->send(net, rig->frames.frame, 2), 2);
    (void)on_wire(expected[0], 60, 1);
    (void)on_wire(expected[1], 100, 2);
    read_all(peer, seen, 64);
    assert_memory_equal(seen, expected[0], 64);
    read_all(peer, seen, 104);
    assert_memory_equal(seen, expected[1], 104);
    nic_net_close(net);
    (void)close(peer);
}

static void frames_that_come_in_any_pieces_are_put_together(void **state)
{
    struct rig *rig = *state;
    uint8_t data[3 * 80];
    size_t bytes = 0;
    int peer = -1;
    struct nic_net *net = connected(rig, &peer);

    for (uint8_t i = 0; i < 3; i++) {
        bytes += on_wire(data + bytes, 60 + i, i);
    }
    for (size_t cut = 1; cut < bytes; cut++) {
        int came;

        write_all(peer, data, cut);
        net_rig_empty(&rig->frames, 9);
        came = net->ops->receive(net, rig->frames.frame, NET_RIG_FRAMES);
        assert_int_equal(came, (cut >= 64) + (cut >= 64 + 65));
        write_all(peer, data + cut, bytes - cut);
        came += net->ops->receive(net, rig->frames.frame + came, NET_RIG_FRAMES - 3);
        assert_int_equal(came, 3);
        for (uint8_t i = 0; i < 3; i++) {
            net_rig_check(&rig->frames, i, 60u + i, i);
        }
    }
    assert_int_equal(net->dropped + net->broken, 0);
    nic_net_close(net);
    (void)close(peer);
}

static void the_longest_frames_pass_both_ways_whatever_the_socket_takes(void **state)
{
    struct rig *rig = *state;
    uint8_t *wire = malloc(LENGTH + NIC_FRAME_MAX);
    uint8_t *seen = malloc(LENGTH + NIC_FRAME_MAX);
    uint32_t taken = 0;
    int peer = -1;
    struct nic_net *net = connected(rig, &peer);

    for (uint8_t i = 0; i < 16; i++) {
        net_rig_fill(&rig->frames, i, NIC_FRAME_MAX, i, 3000);
    }
    for (uint8_t i = 0; i < 16; i++) {
        if (taken < 16) {
            taken += (uint32_t)net->ops->send(net, rig->frames.frame + taken, 16 - taken);
        }
        assert_true(i > 0 || taken < 16);
        (void)on_wire(wire, NIC_FRAME_MAX, i);
        for (size_t off = 0; off < LENGTH + NIC_FRAME_MAX;) {
            ssize_t got =
                recv(peer, seen + off, LENGTH + NIC_FRAME_MAX - off, MSG_DONTWAIT);

            if (got < 0) { /* the rest stays with the wire until there is room */
                struct nic_frame none = { 0 };

                assert_true(net_rig_ready(net, 5000));
                assert_int_equal(net->ops->receive(net, &none, 1), 0);
                continue;
            }
            off += (size_t)got;
        }
        assert_memory_equal(seen, wire, LENGTH + NIC_FRAME_MAX);
    }
    assert_int_equal(taken, 16);
    write_all(peer, wire, LENGTH + NIC_FRAME_MAX);
    net_rig_receive(net, &rig->frames, 1);
    net_rig_check(&rig->frames, 0, NIC_FRAME_MAX, 15);
    nic_net_close(net);
    (void)close(peer);
    free(wire);
    free(seen);
}

static void a_full_socket_takes_fewer_and_is_ready_again_when_there_is_room(void **state)
{
    struct rig *rig = *state;
    static uint8_t seen[1 << 16];
    uint64_t taken = 0;
    uint64_t read_bytes = 0;
    int peer = -1;
    int now = NET_RIG_FRAMES;
    struct nic_net *net = connected(rig, &peer);

    for (uint32_t i = 0; i < NET_RIG_FRAMES; i++) {
        net_rig_fill(&rig->frames, i, 1514, 3, 1514);
    }
    while (now == NET_RIG_FRAMES) {
        now = net->ops->send(net, rig->frames.frame, NET_RIG_FRAMES);
        taken += (uint32_t)now;
    }
    assert_int_equal(net_rig_ready(net, 0), 0);
    while (read_bytes < taken * 1518) {
        ssize_t got = recv(peer, seen, sizeof(seen), MSG_DONTWAIT);

        if (got > 0) {
            read_bytes += (size_t)got;
            continue;
        }
        assert_true(net_rig_ready(net, 5000));
        assert_int_equal(net->ops->receive(net, rig->frames.frame, 1), 0);
    }
    assert_int_equal(read_bytes, taken * 1518);
    assert_int_equal(net->ops->receive(net, rig->frames.frame, 1), 0);
    assert_int_equal(net_rig_ready(net, 0), 0);
    assert_int_equal(net->dropped, 0);
    nic_net_close(net);
    (void)close(peer);
}

static void a_peer_that_goes_at_any_byte_of_a_frame_is_waited_for_again(void **state)
{
    struct rig *rig = *state;
    uint8_t data[2 * 64];
    struct nic_net *net = open_wire(rig, "listen");

    (void)on_wire(data, 60, 1);
    (void)on_wire(data + 64, 60, 2);
    for (size_t cut = 0; cut <= sizeof(data); cut++) {
        int peer = connect_to(rig);
        uint32_t came = 0;

        net_rig_link(net, 1);
        write_all(peer, data, cut);
        (void)close(peer);
        net_rig_empty(&rig->frames, 100);
        while (net->link_up != 0) {
            assert_true(net_rig_ready(net, 5000));
            came += (uint32_t)net->ops->receive(net, rig->frames.frame + came, 4);
        }
        assert_int_equal(came, cut / 64);
        assert_int_equal(net->connects, cut + 1);
    }
    assert_int_equal(net->broken, 0);
    nic_net_close(net);
    assert_int_not_equal(access(rig->path, F_OK), 0);
}

static void a_frame_of_no_length_or_too_long_ends_the_connection(void **state)
{
    static const uint32_t bad[] = { 0, NIC_FRAME_MAX + 1, 0x7fffffff, 0xffffffff };
    struct rig *rig = *state;
    struct nic_net *net = open_wire(rig, "listen");

    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const uint32_t length = htonl(bad[i]);
        uint8_t data[64];
        int peer = connect_to(rig);

        net_rig_link(net, 1);
        (void)on_wire(data, 60, 9);
        write_all(peer, data, sizeof(data));
        write_all(peer, &length, sizeof(length));
        net_rig_empty(&rig->frames, 100);
        assert_true(net_rig_ready(net, 5000));
        assert_int_equal(net->ops->receive(net, rig->frames.frame, 4), 1);
        net_rig_check(&rig->frames, 0, 60, 9);
        assert_int_equal(net->link_up, 0);
        assert_int_equal(net->broken, i + 1);
        assert_int_equal(read(peer, data, 1), 0);
        (void)close(peer);
    }
    nic_net_close(net);
}

static void
frames_too_short_for_a_header_or_too_long_for_the_room_are_dropped(void **state)
{
    struct rig *rig = *state;
    uint8_t data[512];
    size_t bytes = 0;
    int peer = -1;
    struct nic_net *net = connected(rig, &peer);

    bytes += on_wire(data, NIC_FRAME_MIN - 1, 1);
    bytes += on_wire(data + bytes, 200, 2);
    bytes += on_wire(data + bytes, 100, 3);
    write_all(peer, data, bytes);
    net_rig_empty(&rig->frames, 1000);
    rig->frames.frame[0].bytes = 199;
    assert_int_equal(net->ops->receive(net, rig->frames.frame, 1), 1);
    net_rig_check(&rig->frames, 0, 100, 3);
    assert_int_equal(net->dropped, 2);
    nic_net_close(net);
    (void)close(peer);
}

static void frames_that_no_stream_can_carry_are_dropped_among_others(void **state)
{
    struct rig *rig = *state;
    uint8_t seen[4 * 64];
    uint8_t expected[64];
    int peer = -1;
    struct nic_net *net = connected(rig, &peer);

    for (uint8_t i = 0; i < 6; i++) {
        net_rig_fill(&rig->frames, i, 60, i, 60);
    }
    rig->frames.frame[0].bytes = NIC_FRAME_MIN - 1;
    rig->frames.frame[2].bytes = NIC_FRAME_MAX + 1;
    rig->frames.frame[3].header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    rig->frames.frame[4].header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    assert_int_equal(net->ops->send(net, rig->frames.frame, 6), 6);
    assert_int_equal(net->dropped, 4);
    assert_int_equal(recv(peer, seen, sizeof(seen), MSG_DONTWAIT), 2 * 64);
    (void)on_wire(expected, 60, 1);
    assert_memory_equal(seen, expected, 64);
    (void)on_wire(expected, 60, 5);
    assert_memory_equal(seen + 64, expected, 64);
    nic_net_close(net);
    (void)close(peer);
}

static void sending_to_a_peer_that_has_gone_is_no_signal_but_dropped_frames(void **state)
{
    struct rig *rig = *state;
    uint8_t data[64];
    int peer = -1;
    struct nic_net *net = connected(rig, &peer);

    (void)on_wire(data, 60, 4);
    write_all(peer, data, sizeof(data));
    (void)close(peer);
    net_rig_fill(&rig->frames, 0, 60, 1, 60);
    assert_int_equal(net->ops->send(net, rig->frames.frame, 1), 1);
    assert_int_equal(net->dropped, 1);
    /* What the peer had sent before is not lost. */
    net_rig_receive(net, &rig->frames, 1);
    net_rig_check(&rig->frames, 0, 60, 4);
    net_rig_link(net, 0);
    nic_net_close(net);
}

static void it_connects_again_when_the_other_end_comes_back(void **state)
{
    struct rig *rig = *state;
    struct nic_net *net = open_wire(rig, "stream");
    uint8_t data[64];

    assert_int_equal(net->link_up, 0);
    listen_here(rig);
    net_rig_link(net, 1);
    (void)on_wire(data, 60, 4);
    for (uint32_t i = 0; i < 2; i++) {
        int peer = accept(rig->listener, NULL, NULL);

        assert_true(peer >= 0);
        net_rig_link(net, 1);
        /* Half a frame of the old peer is not put in front of those of the new one. */
        write_all(peer, data, 64 + 0);
        write_all(peer, data, 30);
        net_rig_receive(net, &rig->frames, 1);
        net_rig_check(&rig->frames, 0, 60, 4);
        (void)close(peer);
        net_rig_link(net, 0);
        net_rig_link(net, 1);
    }
    assert_int_equal(net->connects, 3);
    nic_net_close(net);
}

static void a_second_peer_waits_until_the_first_has_gone(void **state)
{
    struct rig *rig = *state;
    struct nic_net *net = open_wire(rig, "listen");
    uint8_t data[64];
    int first = connect_to(rig);
    int second = -1;

    net_rig_link(net, 1);
    second = connect_to(rig);
    (void)on_wire(data, 60, 8);
    write_all(second, data, sizeof(data));
    assert_int_equal(net_rig_ready(net, 0), 0);
    (void)close(first);
    net_rig_receive(net, &rig->frames, 1);
    net_rig_check(&rig->frames, 0, 60, 8);
    nic_net_close(net);
    (void)close(second);
}

static void one_call_reads_no_more_than_its_limit_from_a_fast_peer(void **state)
{
    struct rig *rig = *state;
    uint8_t data[LENGTH + 1];
    int peer = -1;
    struct nic_net *net = connected(rig, &peer);
    uint32_t sent = 0;

    /* Nothing but frames that are dropped: receive() has nothing to return. */
    (void)on_wire(data, 1, 0);
    while (send(peer, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(data)) {
        sent++;
    }
    while (net_rig_ready(net, 0)) {
        assert_int_equal(net->ops->receive(net, rig->frames.frame, 1), 0);
    }
    assert_int_equal(net->dropped, sent);
    nic_net_close(net);
    (void)close(peer);
}

static void a_path_that_is_taken_or_too_long_is_refused_with_the_reason(void **state)
{
    struct rig *rig = *state;
    struct ferry_error error = { 0 };
    struct nic_net *other = NULL;
    struct nic_net *net = open_wire(rig, "listen");
    char text[200];

    (void)snprintf(text, sizeof(text), "listen:%s", rig->path);
    assert_int_equal(nic_net_open(text, &other, &error), FERRY_E_EXISTS);
    assert_non_null(strstr(error.text, rig->path));
    memset(text + 7, 'x', 150);
    text[157] = '\0';
    assert_int_equal(nic_net_open(text, &other, &error), FERRY_E_ARGUMENT);
    memcpy(text, "stream:", 7);
    assert_int_equal(nic_net_open(text, &other, &error), FERRY_E_ARGUMENT);
    nic_net_close(net);
    /* The socket file that a killed process has left is in nobody's way. */
    listen_here(rig);
    (void)close(rig->listener);
    rig->listener = -1;
    net = open_wire(rig, "listen");
    nic_net_close(net);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_go_out_behind_their_length),
        TEST(frames_that_come_in_any_pieces_are_put_together),
        TEST(the_longest_frames_pass_both_ways_whatever_the_socket_takes),
        TEST(a_full_socket_takes_fewer_and_is_ready_again_when_there_is_room),
        TEST(a_peer_that_goes_at_any_byte_of_a_frame_is_waited_for_again),
        TEST(a_frame_of_no_length_or_too_long_ends_the_connection),
        TEST(frames_too_short_for_a_header_or_too_long_for_the_room_are_dropped),
        TEST(frames_that_no_stream_can_carry_are_dropped_among_others),
        TEST(sending_to_a_peer_that_has_gone_is_no_signal_but_dropped_frames),
        TEST(it_connects_again_when_the_other_end_comes_back),
        TEST(a_second_peer_waits_until_the_first_has_gone),
        TEST(one_call_reads_no_more_than_its_limit_from_a_fast_peer),
        TEST(a_path_that_is_taken_or_too_long_is_refused_with_the_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
