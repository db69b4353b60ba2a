/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/le.h"

#include "test_net_rig.h"

#define MICRO 0xa1b2c3d4u
#define NANO 0xa1b23c4du
#define HEAD 24u
#define RECORD 16u

struct rig {
    char folder[32];
    char in[64], out[64];
    uint8_t file[1024];
    uint32_t bytes;
    uint32_t swapped;
    struct net_rig_frames frames;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    (void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/ferry-net-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    (void)snprintf(rig->in, sizeof(rig->in), "%s/in", rig->folder);
    (void)snprintf(rig->out, sizeof(rig->out), "%s/out", rig->folder);
    net_rig_make(&rig->frames);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    (void)unlink(rig->in);
    (void)unlink(rig->out);
    (void)rmdir(rig->folder);
    net_rig_free(&rig->frames);
    free(rig);
    return 0;
}

static void put32(struct rig *rig, uint32_t value)
{
    le_put32(rig->file + rig->bytes, rig->swapped ? __builtin_bswap32(value) : value);
    rig->bytes += 4;
}

static void begin_file(struct rig *rig, uint32_t magic, uint32_t swapped)
{
    rig->bytes = 0;
    rig->swapped = swapped;
    put32(rig, magic);
    put32(rig, swapped ? 0x00020004 : 0x00040002);
    put32(rig, 0);
    put32(rig, 0);
    put32(rig, 65535);
    put32(rig, 1);
    assert_int_equal(rig->bytes, HEAD);
}

static void add_record(struct rig *rig, uint32_t seconds, uint32_t fraction,
                       uint32_t bytes, uint8_t seed)
{
    put32(rig, seconds);
    put32(rig, fraction);
    put32(rig, bytes);
    put32(rig, bytes);
    for (uint32_t off = 0; off < bytes; off++) {
        rig->file[rig->bytes++] = net_rig_byte(seed, off);
    }
}

static void write_file(const struct rig *rig, uint32_t bytes)
{
    int fd = open(rig->in, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, rig->file, bytes), bytes);
    (void)close(fd);
}

static int open_wire(const struct rig *rig, const char *in, const char *out,
                     struct nic_net **ret_net, struct ferry_error *reterr)
{
    char text[200];

    (void)rig;
    (void)snprintf(text, sizeof(text), "pcap:%s%s%s", in, *out != '\0' ? ":" : "", out);
    return nic_net_open(text, ret_net, reterr);
}

static void frames_come_from_files_of_either_unit_and_byte_order(void **state)
{
    struct rig *rig = *state;

    for (uint32_t kind = 0; kind < 4; kind++) {
        struct nic_net *net = NULL;

        begin_file(rig, kind & 1 ? NANO : MICRO, kind & 2);
        add_record(rig, 1000, 999999, 60, 1);
        add_record(rig, 1000, 999999, 100, 2);
        add_record(rig, 999, 0, 61, 3); /* clocks are set back now and then */
        write_file(rig, rig->bytes);
        assert_int_equal(open_wire(rig, rig->in, "", &net, NULL), FERRY_OK);
        assert_int_equal(net->link_up, 1);
        net_rig_receive(net, &rig->frames, 3);
        net_rig_check(&rig->frames, 0, 60, 1);
        net_rig_check(&rig->frames, 1, 100, 2);
        net_rig_check(&rig->frames, 2, 61, 3);
        assert_int_equal(net_rig_ready(net, 0), 0);
        assert_int_equal(net->ops->receive(net, rig->frames.frame, 1), 0);
        nic_net_close(net);
    }
}

static void frames_keep_the_time_that_lay_between_them(void **state)
{
    struct rig *rig = *state;
    struct nic_net *net = NULL;

    begin_file(rig, MICRO, 0);
    add_record(rig, 5, 0, 60, 1);
    add_record(rig, 5, 20000, 61, 2);
    add_record(rig, 4000000000u, 0, 62, 3);
    write_file(rig, rig->bytes);
    assert_int_equal(open_wire(rig, rig->in, "", &net, NULL), FERRY_OK);
    net_rig_empty(&rig->frames, 100);
    assert_int_equal(net_rig_ready(net, 5000), 1);
    assert_int_equal(net->ops->receive(net, rig->frames.frame, 3), 1);
    net_rig_receive(net, &rig->frames, 1); /* waits until its time has come */
    net_rig_check(&rig->frames, 0, 61, 2);
    assert_int_equal(net_rig_ready(net, 0), 0);
    nic_net_close(net);
}

static void runts_and_frames_without_room_are_dropped(void **state)
{
    struct rig *rig = *state;
    struct nic_net *net = NULL;

    begin_file(rig, MICRO, 0);
    add_record(rig, 5, 0, 0, 1);
    add_record(rig, 5, 0, NIC_FRAME_MIN - 1, 1);
    add_record(rig, 5, 0, 101, 1);
    add_record(rig, 5, 0, 100, 2);
    write_file(rig, rig->bytes);
    assert_int_equal(open_wire(rig, rig->in, "", &net, NULL), FERRY_OK);
    net_rig_empty(&rig->frames, 100);
    rig->frames.frame[0].bytes = 100;
    while (net->ops->receive(net, rig->frames.frame, 1) == 0) {
        assert_int_equal(net_rig_ready(net, 5000), 1);
    }
    net_rig_check(&rig->frames, 0, 100, 2);
    assert_int_equal(net->dropped, 3);
    nic_net_close(net);
}

static void what_was_sent_and_received_is_in_the_capture(void **state)
{
    struct rig *rig = *state;
    struct nic_net *net = NULL;
    struct stat st;

    begin_file(rig, NANO, 0);
    add_record(rig, 5, 0, 70, 1);
    write_file(rig, rig->bytes);
    assert_int_equal(open_wire(rig, rig->in, rig->out, &net, NULL), FERRY_OK);
    net_rig_receive(net, &rig->frames, 1);
    net_rig_fill(&rig->frames, 0, NIC_FRAME_MAX, 2, 2000);
    net_rig_fill(&rig->frames, 1, NIC_FRAME_MAX, 3, 2000);
    rig->frames.frame[2].bytes = NIC_FRAME_MIN - 1;
    assert_int_equal(net->ops->send(net, rig->frames.frame, 3), 3);
    assert_int_equal(net->dropped, 1);
    nic_net_close(net);
    assert_int_equal(stat(rig->out, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, HEAD + 3 * RECORD + 70 + 2 * NIC_FRAME_MAX);
    /* It can be played in its turn. */
    assert_int_equal(open_wire(rig, rig->out, "", &net, NULL), FERRY_OK);
    net_rig_receive(net, &rig->frames, 3);
    net_rig_check(&rig->frames, 0, 70, 1);
    net_rig_check(&rig->frames, 1, NIC_FRAME_MAX, 2);
    net_rig_check(&rig->frames, 2, NIC_FRAME_MAX, 3);
    nic_net_close(net);
}

static void a_capture_alone_needs_no_file_to_play(void **state)
{
    struct rig *rig = *state;
    struct nic_net *net = NULL;

    assert_int_equal(open_wire(rig, "", rig->out, &net, NULL), FERRY_OK);
    net_rig_fill(&rig->frames, 0, 60, 2, 60);
    assert_int_equal(net->ops->send(net, rig->frames.frame, 1), 1);
    assert_int_equal(net->ops->receive(net, rig->frames.frame, 1), 0);
    assert_int_equal(net_rig_ready(net, 0), 0);
    nic_net_close(net);
}

static void a_file_cut_off_anywhere_is_refused_with_the_place(void **state)
{
    struct rig *rig = *state;
    uint32_t whole[3];

    begin_file(rig, MICRO, 1);
    whole[0] = rig->bytes;
    add_record(rig, 5, 0, 60, 1);
    whole[1] = rig->bytes;
    add_record(rig, 5, 0, 30, 2);
    whole[2] = rig->bytes;
    for (uint32_t cut = 0; cut <= rig->bytes; cut++) {
        const int is_whole = cut == whole[0] || cut == whole[1] || cut == whole[2];
        struct ferry_error error = { 0 };
        struct nic_net *net = NULL;

        write_file(rig, cut);
        assert_int_equal(open_wire(rig, rig->in, "", &net, &error),
                         is_whole ? FERRY_OK : FERRY_E_SHORT);
        assert_true(is_whole || strstr(error.text, "the file ends") != NULL);
        nic_net_close(net);
    }
}

static void other_files_are_refused_with_the_reason(void **state)
{
    static const struct {
        uint32_t off, value;
        int status;
        const char *text;
    } bad[] = {
        { 0, 0x0a0d0d0a, FERRY_E_UNSUPPORTED, "pcapng" },
        { 0, 0x12345678, FERRY_E_UNSUPPORTED, "no pcap" },
        { 20, 113, FERRY_E_UNSUPPORTED, "no Ethernet" },
        { HEAD + 8, NIC_FRAME_MAX + 1, FERRY_E_LIMIT, "byte 24" },
        { HEAD + 8, 0xffffffff, FERRY_E_LIMIT, "byte 24" },
        { HEAD + 4, 1000000, FERRY_E_CORRUPT, "a second" },
        { HEAD + 4, 0xffffffff, FERRY_E_CORRUPT, "a second" },
        { HEAD + 8, NIC_FRAME_MAX, FERRY_E_SHORT, "byte 24" },
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ferry_error error = { 0 };
        struct nic_net *net = NULL;

        begin_file(rig, MICRO, 0);
        add_record(rig, 5, 999999, 60, 1);
        le_put32(rig->file + bad[i].off, bad[i].value);
        write_file(rig, rig->bytes);
        assert_int_equal(open_wire(rig, rig->in, rig->out, &net, &error), bad[i].status);
        assert_non_null(strstr(error.text, bad[i].text));
        assert_int_not_equal(access(rig->out, F_OK), 0);
    }
}

static void files_that_are_none_or_would_be_lost_are_refused(void **state)
{
    struct rig *rig = *state;
    struct nic_net *net = NULL;

    assert_int_equal(open_wire(rig, rig->in, "", &net, NULL), FERRY_E_NOT_FOUND);
    assert_int_equal(open_wire(rig, rig->folder, "", &net, NULL), FERRY_E_ARGUMENT);
    assert_int_equal(mkfifo(rig->in, 0600), 0);
    assert_int_equal(open_wire(rig, rig->in, "", &net, NULL), FERRY_E_ARGUMENT);
    assert_int_equal(unlink(rig->in), 0);
    begin_file(rig, MICRO, 0);
    write_file(rig, rig->bytes);
    assert_int_equal(open_wire(rig, rig->in, rig->in, &net, NULL), FERRY_E_EXISTS);
    assert_null(net);
}

static void a_file_that_shrinks_under_the_replay_ends_it(void **state)
{
    struct rig *rig = *state;
    struct nic_net *net = NULL;

    begin_file(rig, MICRO, 0);
    add_record(rig, 5, 0, 60, 1);
    write_file(rig, rig->bytes);
    assert_int_equal(open_wire(rig, rig->in, "", &net, NULL), FERRY_OK);
    assert_int_equal(truncate(rig->in, HEAD + 30), 0);
    assert_int_equal(net_rig_ready(net, 5000), 1);
    assert_int_equal(net->ops->receive(net, rig->frames.frame, 1), 0);
    assert_int_equal(net->broken, 1);
    assert_int_equal(net_rig_ready(net, 0), 0);
    nic_net_close(net);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_come_from_files_of_either_unit_and_byte_order),
        TEST(frames_keep_the_time_that_lay_between_them),
        TEST(runts_and_frames_without_room_are_dropped),
        TEST(what_was_sent_and_received_is_in_the_capture),
        TEST(a_capture_alone_needs_no_file_to_play),
        TEST(a_file_cut_off_anywhere_is_refused_with_the_place),
        TEST(other_files_are_refused_with_the_reason),
        TEST(files_that_are_none_or_would_be_lost_are_refused),
        TEST(a_file_that_shrinks_under_the_replay_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
