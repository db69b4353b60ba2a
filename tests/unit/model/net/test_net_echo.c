/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_net_rig.h"

struct rig {
    struct nic_net *net;
    struct net_rig_frames frames;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    assert_int_equal(nic_net_open("echo", &rig->net, NULL), FERRY_OK);
    net_rig_make(&rig->frames);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    nic_net_close(rig->net);
    net_rig_free(&rig->frames);
    free(rig);
    return 0;
}

/* The wire takes frame 0 and gives one back in its place. */
static void go_round(struct rig *rig)
{
    assert_int_equal(rig->net->ops->send(rig->net, rig->frames.frame, 1), 1);
    net_rig_receive(rig->net, &rig->frames, 1);
}

static void a_frame_comes_back_with_its_addresses_swapped(void **state)
{
    struct rig *rig = *state;
    uint8_t sent[100];

    assert_int_equal(rig->net->link_up, 1);
    assert_int_equal(net_rig_ready(rig->net, 0), 0);
    net_rig_fill(&rig->frames, 0, 100, 6, 11);
    rig->frames.bytes[0][0] &= 0xfe;
    memcpy(sent, rig->frames.bytes[0], sizeof(sent));
    go_round(rig);
    assert_int_equal(rig->frames.frame[0].bytes, 100);
    assert_memory_equal(rig->frames.bytes[0], sent + 6, 6);
    assert_memory_equal(rig->frames.bytes[0] + 6, sent, 6);
    assert_memory_equal(rig->frames.bytes[0] + 12, sent + 12, 88);
    assert_int_equal(net_rig_ready(rig->net, 0), 0);
}

static void put_hex(struct rig *rig, const char *hex)
{
    uint32_t bytes = 0;

    net_rig_fill(&rig->frames, 0, 100, 0, 100);
    memset(rig->frames.bytes[0], 0, 100);
    for (; *hex != '\0'; hex++) {
        char pair[3] = { 0 };

        if (*hex == ' ') {
            continue;
        }
        memcpy(pair, hex++, 2);
        rig->frames.bytes[0][bytes++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    rig->frames.frame[0].bytes = bytes;
}

static void check_hex(struct rig *rig, const char *hex)
{
    uint8_t seen[100];
    const uint32_t bytes = rig->frames.frame[0].bytes;

    assert_true(bytes <= sizeof(seen));
    memcpy(seen, rig->frames.bytes[0], bytes);
    put_hex(rig, hex);
    assert_int_equal(rig->frames.frame[0].bytes, bytes);
    assert_memory_equal(rig->frames.bytes[0], seen, bytes);
}

static void who_asks_for_an_address_is_told(void **state)
{
    struct rig *rig = *state;

    put_hex(rig, "ffffffffffff 525400123456 0806 0001 0800 06 04 0001"
                 "525400123456 0a00020f 000000000000 0a000202");
    go_round(rig);
    check_hex(rig, "525400123456 024645525259 0806 0001 0800 06 04 0002"
                   "024645525259 0a000202 525400123456 0a00020f");
    /* Who asks for its own address looks for others that have it. */
    put_hex(rig, "ffffffffffff 525400123456 0806 0001 0800 06 04 0001"
                 "525400123456 0a00020f 000000000000 0a00020f");
    go_round(rig);
    check_hex(rig, "525400123456 024645525259 0806 0001 0800 06 04 0001"
                   "525400123456 0a00020f 000000000000 0a00020f");
}

static uint32_t sum_of(const uint8_t *data, uint32_t bytes)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < bytes; i += 2) {
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static void a_ping_is_answered_with_a_sum_that_is_right(void **state)
{
    struct rig *rig = *state;

    for (uint32_t sequence = 0; sequence < 0x10000; sequence += 0x101) {
        uint8_t *frame = rig->frames.bytes[0];
        uint32_t sum;

        put_hex(rig, "024645525259 525400123456 0800"
                     "4500 001c 0000 0000 40 01 62ee 0a00020f 0a000202"
                     "08 00 0000 1234 0000");
        frame[40] = (uint8_t)(sequence >> 8);
        frame[41] = (uint8_t)sequence;
        sum = ~sum_of(frame + 34, 8) & 0xffff;
        frame[36] = (uint8_t)(sum >> 8);
        frame[37] = (uint8_t)sum;
        go_round(rig);
        frame = rig->frames.bytes[0];
        assert_int_equal(frame[34], 0);
        assert_int_equal(sum_of(frame + 34, 8), 0xffff);
        assert_int_equal(frame[29], 2); /* 10.0.2.2 to 10.0.2.15 */
        assert_int_equal(frame[33], 15);
    }
}

static void frames_come_back_whole_and_in_order_when_the_room_runs_out(void **state)
{
    struct rig *rig = *state;
    uint32_t sent = 0;
    uint32_t back = 0;
    uint32_t full = 0;

    while (back < 5000) {
        const uint32_t bytes = 14 + sent * 7919 % 9000;

        net_rig_fill(&rig->frames, 0, bytes, (uint8_t)sent, 4000);
        memset(rig->frames.bytes[0], 0, 12);
        if (sent < 5000 && rig->net->ops->send(rig->net, rig->frames.frame, 1) == 1) {
            sent++;
            continue;
        }
        full++;
        for (uint32_t i = 0; i < 1 + full % 50 && back < sent; i++, back++) {
            net_rig_receive(rig->net, &rig->frames, 1);
            for (uint32_t off = 0; off < 12; off++) {
                rig->frames.bytes[0][off] = net_rig_byte((uint8_t)back, off);
            }
            net_rig_check(&rig->frames, 0, 14 + back * 7919 % 9000, (uint8_t)back);
        }
    }
    assert_true(full > 10);
    assert_int_equal(rig->net->dropped, 0);
    assert_int_equal(rig->net->ops->receive(rig->net, rig->frames.frame, 1), 0);
    assert_int_equal(net_rig_ready(rig->net, 0), 0);
}

static void who_found_it_full_hears_when_it_is_empty(void **state)
{
    struct rig *rig = *state;
    uint32_t sent = 0;

    net_rig_fill(&rig->frames, 0, 60000, 1, 4096);
    while (rig->net->ops->send(rig->net, rig->frames.frame, 1) == 1) {
        sent++;
    }
    for (; sent > 0; sent--) {
        net_rig_empty(&rig->frames, 4096);
        assert_int_equal(rig->net->ops->receive(rig->net, rig->frames.frame, 1), 1);
    }
    /* Also when no frame of it waits any more. */
    assert_int_equal(net_rig_ready(rig->net, 0), 1);
    assert_int_equal(rig->net->ops->receive(rig->net, rig->frames.frame, 1), 0);
    assert_int_equal(net_rig_ready(rig->net, 0), 0);
}

static void work_left_to_do_comes_back_to_a_driver_that_accepts_it(void **state)
{
    struct rig *rig = *state;
    const struct nic_offloads accepted = { .checksum = 1, .tso4 = 1 };
    const struct virtio_net_hdr_v1 header = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = 54,
        .gso_size = 1448,
        .csum_start = 34,
        .csum_offset = 16,
    };

    net_rig_fill(&rig->frames, 0, 9000, 1, 4096);
    rig->frames.frame[0].header = header;
    assert_int_equal(rig->net->ops->send(rig->net, rig->frames.frame, 1), 1);
    assert_int_equal(rig->net->dropped, 1);
    rig->net->ops->set_offloads(rig->net, &accepted);
    go_round(rig);
    assert_memory_equal(&rig->frames.frame[0].header, &header, sizeof(header));
    /* A sum that is to stand behind the frame's end is nobody's. */
    net_rig_fill(&rig->frames, 0, 51, 1, 4096);
    rig->frames.frame[0].header = header;
    rig->frames.frame[0].header.gso_type = 0;
    assert_int_equal(rig->net->ops->send(rig->net, rig->frames.frame, 1), 1);
    assert_int_equal(rig->net->dropped, 2);
}

static void without_a_wire_frames_are_dropped_and_the_link_is_down(void **state)
{
    struct rig *rig = *state;
    struct nic_net *net = NULL;

    assert_int_equal(nic_net_open("none", &net, NULL), FERRY_OK);
    assert_int_equal(net->link_up, 0);
    assert_int_equal(net->fd, -1);
    net_rig_fill(&rig->frames, 0, 60, 1, 60);
    assert_int_equal(net->ops->send(net, rig->frames.frame, 1), 1);
    assert_int_equal(net->dropped, 1);
    assert_int_equal(net->ops->receive(net, rig->frames.frame, 1), 0);
    nic_net_close(net);
}

static void a_wire_that_there_is_not_is_refused_with_those_that_there_are(void **state)
{
    static const char *const bad[] = { "",       "ech",     "echos",   "echo:", "none:x",
                                       "stream", "stream:", "listen:", ":",     "Echo" };
    struct ferry_error error = { 0 };
    struct nic_net *net = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        error.text[0] = '\0';
        assert_int_equal(nic_net_open(bad[i], &net, &error), FERRY_E_ARGUMENT);
        assert_non_null(strstr(error.text, bad[i]));
    }
    assert_null(net);
    assert_int_equal(nic_net_open("x", &net, &error), FERRY_E_ARGUMENT);
    assert_non_null(strstr(error.text, "stream:PATH"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_frame_comes_back_with_its_addresses_swapped),
        TEST(who_asks_for_an_address_is_told),
        TEST(a_ping_is_answered_with_a_sum_that_is_right),
        TEST(frames_come_back_whole_and_in_order_when_the_room_runs_out),
        TEST(who_found_it_full_hears_when_it_is_empty),
        TEST(work_left_to_do_comes_back_to_a_driver_that_accepts_it),
        TEST(without_a_wire_frames_are_dropped_and_the_link_is_down),
        TEST(a_wire_that_there_is_not_is_refused_with_those_that_there_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
