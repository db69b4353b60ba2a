/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_chan.h"

#include <string.h>

#define SOURCE 0x100000u
#define TARGET 0x200000u
#define LOCAL_BOTH (COPY_F_SRC_LOCAL | COPY_F_DST_LOCAL)

struct world {
    struct rig_ram ram;
    struct rig rig;
    struct chan chan;
    uint8_t *memory;
};

static struct world world;

static int set_up(void **state)
{
    rig_ram_open(&world.ram);
    rig_open(&world.rig, "copy", NULL, &world.ram);
    chan_start(&world.chan, &world.rig, &world.ram, 1);
    world.memory = ferry_device_region_memory(world.rig.device, COPY_BAR_MEMORY);
    rig_fill(world.ram.bytes + SOURCE, 0x100000, 1);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&world.rig);
    rig_ram_close(&world.ram);
    return 0;
}

/* Runs one descriptor; its completion must be the next. */
static struct copy_completion run(uint32_t op, uint64_t src, uint64_t dst, uint64_t len)
{
    struct copy_completion done;

    chan_put(&world.chan, op, 1000 + world.chan.tail, src, dst, len);
    assert_int_equal(chan_ring(&world.chan, &world.rig), FERRY_OK);
    rig_work(&world.rig);
    assert_int_equal(chan_take(&world.chan, &done), 1);
    assert_int_equal(done.id, 1000 + world.chan.tail - 1);
    assert_int_equal(done.reserved, 0);
    return done;
}

static void the_registers_say_what_it_is(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    assert_int_equal(rig_read32(&world.rig, FERRY_REGION_CONFIG, 0),
                     COPY_PCI_DEVICE << 16 | COPY_PCI_VENDOR);
    assert_int_equal(rig_read32(&world.rig, COPY_BAR_REGS, COPY_REG_ID), COPY_ID);
    assert_int_equal(rig_read32(&world.rig, COPY_BAR_REGS, COPY_REG_CHANNELS), 4);
    assert_int_equal(rig_read(&world.rig, COPY_BAR_REGS, COPY_REG_MEMORY, &bytes, 8),
                     FERRY_OK);
    assert_int_equal(bytes, COPY_MEMORY_DEFAULT);
    /* Channels that are not there and widths that do not exist read zero. */
    assert_int_equal(
        rig_read32(&world.rig, COPY_BAR_REGS,
                   COPY_CHANNEL_OFF + 4 * COPY_CHANNEL_STEP + COPY_CH_VECTOR),
        0);
    assert_int_equal(rig_read32(&world.rig, COPY_BAR_REGS, 0x3ffc), 0);
}

static void it_copies_between_ram_and_its_memory(void **state)
{
    const uint64_t len = 1000003;

    (void)state;
    assert_int_equal(
        run(COPY_OP_COPY | COPY_F_DST_LOCAL, CHAN_IOVA(SOURCE), 5, len).status,
        COPY_DONE);
    assert_memory_equal(world.memory + 5, world.ram.bytes + SOURCE, len);
    assert_int_equal(run(COPY_OP_COPY | LOCAL_BOTH, 5, 0x200001, len).status, COPY_DONE);
    assert_int_equal(
        run(COPY_OP_COPY | COPY_F_SRC_LOCAL, 0x200001, CHAN_IOVA(TARGET), len).bytes,
        len);
    assert_memory_equal(world.ram.bytes + TARGET, world.ram.bytes + SOURCE, len);
    memset(world.ram.bytes + TARGET, 0, len);
    assert_int_equal(run(COPY_OP_COPY, CHAN_IOVA(SOURCE), CHAN_IOVA(TARGET), len).status,
                     COPY_DONE);
    assert_memory_equal(world.ram.bytes + TARGET, world.ram.bytes + SOURCE, len);
    assert_true(rig_irqs(&world.rig, 1) == 4);
    assert_int_equal(rig_irqs(&world.rig, 0), 0);
}

static void it_copies_into_a_peers_memory(void **state)
{
    struct ferry_request info = { .kind = FERRY_RQ_GET_REGION_INFO,
                                  .u.region.index = COPY_BAR_MEMORY };
    const uint64_t peer_iova = 0x80000000u;
    struct rig peer;

    (void)state;
    rig_open(&peer, "copy", NULL, &world.ram);
    assert_int_equal(rig_request(&peer, &info), FERRY_OK);
    assert_int_equal(rig_map(&world.rig, peer_iova, info.u.region.size, info.u.region.fd,
                             info.u.region.offset),
                     FERRY_OK);
    assert_int_equal(run(COPY_OP_COPY, CHAN_IOVA(SOURCE), peer_iova + 4097, 70000).status,
                     COPY_DONE);
    assert_memory_equal(
        (uint8_t *)ferry_device_region_memory(peer.device, COPY_BAR_MEMORY) + 4097,
        world.ram.bytes + SOURCE, 70000);
    rig_close(&peer);
}

static void it_fills_with_a_pattern(void **state)
{
    const uint64_t pattern = 0x8877665544332211ull;

    (void)state;
    assert_int_equal(run(COPY_OP_FILL | COPY_F_DST_LOCAL, pattern, 3, 100001).status,
                     COPY_DONE);
    assert_int_equal(run(COPY_OP_FILL, pattern, CHAN_IOVA(TARGET), 200005).status,
                     COPY_DONE);
    for (uint32_t i = 0; i < 200005; i++) {
        const uint8_t expected = (uint8_t)(pattern >> 8 * (i % 8));

        assert_int_equal(world.ram.bytes[TARGET + i], expected);
        if (i < 100001) {
            assert_int_equal(world.memory[3 + i], expected);
        }
    }
    assert_int_equal(world.memory[2], 0);
    assert_int_equal(world.memory[3 + 100001], 0);
}

static void channels_work_side_by_side(void **state)
{
    struct chan other;
    struct copy_completion done;

    (void)state;
    chan_start(&other, &world.rig, &world.ram, 3);
    chan_put(&world.chan, COPY_OP_COPY | COPY_F_DST_LOCAL, 1, CHAN_IOVA(SOURCE), 0,
             900000);
    assert_int_equal(chan_ring(&world.chan, &world.rig), FERRY_OK);
    for (uint32_t i = 0; i < CHAN_ENTRIES; i++) {
        chan_put(&other, COPY_OP_FILL | COPY_F_NO_IRQ, i, i, CHAN_IOVA(TARGET), 8);
    }
    assert_int_equal(chan_ring(&other, &world.rig), FERRY_OK);
    (void)world.rig.endpoint->ops->work(world.rig.endpoint);
    /* The short ones are not kept waiting by the long one. */
    for (uint32_t i = 0; i < CHAN_ENTRIES; i++) {
        assert_int_equal(chan_take(&other, &done), 1);
        assert_int_equal(done.id, i);
    }
    assert_int_equal(chan_take(&world.chan, &done), 0);
    assert_true(chan_progress(&world.chan, &world.rig) > 0);
    assert_int_equal(chan_reg(&world.chan, &world.rig, COPY_CH_STATUS),
                     COPY_STATUS_ENABLED | COPY_STATUS_BUSY);
    rig_work(&world.rig);
    assert_int_equal(chan_take(&world.chan, &done), 1);
    assert_int_equal(rig_irqs(&world.rig, 3), 0); /* NO_IRQ */
}

static void bad_descriptors_complete_with_their_status(void **state)
{
    static const struct {
        uint32_t op;
        uint64_t src, dst, len;
        uint32_t status;
    } bad[] = {
        { 0, 0x100000, 0x200000, 16, COPY_BAD_DESCRIPTOR },
        { 3, 0x100000, 0x200000, 16, COPY_BAD_DESCRIPTOR },
        { COPY_OP_COPY | 0x800, 0x100000, 0x200000, 16, COPY_BAD_DESCRIPTOR },
        { COPY_OP_COPY, 0x100000, 0x200000, 0, COPY_BAD_DESCRIPTOR },
        { COPY_OP_COPY, 0x100000, 0x200000, COPY_LEN_MAX + 1, COPY_BAD_DESCRIPTOR },
        { COPY_OP_COPY, 0x100000, 0x200000, UINT64_MAX, COPY_BAD_DESCRIPTOR },
        { COPY_OP_FILL | COPY_F_SRC_LOCAL, 0, 0x200000, 16, COPY_BAD_DESCRIPTOR },
        { COPY_OP_COPY | COPY_F_SRC_LOCAL, COPY_MEMORY_DEFAULT - 15, 0x200000, 16,
          COPY_BAD_LOCAL },
        { COPY_OP_COPY | COPY_F_SRC_LOCAL, UINT64_MAX - 7, 0x200000, 16, COPY_BAD_LOCAL },
        { COPY_OP_COPY | COPY_F_DST_LOCAL, 0x100000, COPY_MEMORY_DEFAULT, 1,
          COPY_BAD_LOCAL },
        { COPY_OP_FILL | COPY_F_DST_LOCAL, 1, UINT64_MAX, 2, COPY_BAD_LOCAL },
        { COPY_OP_COPY, 0x10, 0x200000, 16, COPY_FAULT_SRC },
        { COPY_OP_COPY, UINT64_MAX - 7, 0x200000, 16, COPY_FAULT_SRC },
        { COPY_OP_COPY, 0x200000, 0x10, 16, COPY_FAULT_DST },
        { COPY_OP_COPY, 0x200000, UINT64_MAX - 7, 16, COPY_FAULT_DST },
        { COPY_OP_FILL, 0, 0x10, 16, COPY_FAULT_DST },
        { COPY_OP_COPY | COPY_F_DST_LOCAL, 0x10, 0, 16, COPY_FAULT_SRC },
        { COPY_OP_COPY | COPY_F_SRC_LOCAL, 0, 0x10, 16, COPY_FAULT_DST },
        { COPY_OP_COPY, 0x200000, 0x20000f, 16, COPY_OVERLAP },
        { COPY_OP_COPY | LOCAL_BOTH, 0x200f, 0x2000, 16, COPY_OVERLAP },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct copy_completion done =
            run(bad[i].op, bad[i].src, bad[i].dst, bad[i].len);

        if (done.status != bad[i].status) {
            fail_msg("case %zu completes with %u", i, done.status);
        }
        assert_int_equal(done.bytes, 0);
    }
    /* The channel goes on. */
    assert_int_equal(run(COPY_OP_COPY, CHAN_IOVA(SOURCE), CHAN_IOVA(TARGET), 16).status,
                     COPY_DONE);
}

static void a_fault_in_the_middle_says_how_far_it_came(void **state)
{
    const uint64_t end = RIG_RAM_IOVA + RIG_RAM_BYTES;
    const struct copy_completion done =
        run(COPY_OP_COPY | COPY_F_DST_LOCAL, end - 0x20000, 0, 0x30000);

    (void)state;
    assert_int_equal(done.status, COPY_FAULT_SRC);
    assert_int_equal(done.bytes, 0x20000);
    assert_memory_equal(world.memory, world.ram.bytes + RIG_RAM_BYTES - 0x20000, 0x20000);
}

static void rings_that_cannot_be_used_stop_the_channel(void **state)
{
    const uint64_t base = COPY_CHANNEL_OFF + 1 * COPY_CHANNEL_STEP;
    struct copy_completion done;

    (void)state;
    /* A tail that is further ahead than the ring is long. */
    world.chan.tail = CHAN_ENTRIES + 1;
    assert_int_equal(chan_ring(&world.chan, &world.rig), FERRY_OK);
    rig_work(&world.rig);
    assert_int_equal(chan_reg(&world.chan, &world.rig, COPY_CH_STATUS),
                     COPY_STATUS_ENABLED | COPY_STATUS_ERROR |
                         COPY_ERROR_TAIL << COPY_STATUS_CODE_SHIFT);
    assert_int_equal(rig_irqs(&world.rig, 1), 1);
    assert_int_equal(chan_take(&world.chan, &done), 0);
    /* Descriptors, then completions, outside the memory. */
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t code = i == 0 ? COPY_ERROR_RING : COPY_ERROR_DONE_RING;

        rig_write32(&world.rig, COPY_BAR_REGS, base + COPY_CH_CONTROL, 0);
        chan_start(&world.chan, &world.rig, &world.ram, 1);
        rig_write32(&world.rig, COPY_BAR_REGS, base + COPY_CH_CONTROL, 0);
        rig_write64(&world.rig, COPY_BAR_REGS,
                    base + (i == 0 ? COPY_CH_RING : COPY_CH_DONE_RING), 0x1000);
        rig_write32(&world.rig, COPY_BAR_REGS, base + COPY_CH_CONTROL, 1);
        chan_put(&world.chan, COPY_OP_COPY, 1, CHAN_IOVA(SOURCE), CHAN_IOVA(TARGET), 16);
        assert_int_equal(chan_ring(&world.chan, &world.rig), FERRY_OK);
        rig_work(&world.rig);
        assert_int_equal(chan_reg(&world.chan, &world.rig, COPY_CH_STATUS) >>
                             COPY_STATUS_CODE_SHIFT,
                         code);
    }
    /* Enabled anew it works. */
    rig_write32(&world.rig, COPY_BAR_REGS, base + COPY_CH_CONTROL, 0);
    chan_start(&world.chan, &world.rig, &world.ram, 1);
    assert_int_equal(run(COPY_OP_COPY, CHAN_IOVA(SOURCE), CHAN_IOVA(TARGET), 16).status,
                     COPY_DONE);
}

static void channels_that_make_no_sense_are_not_enabled(void **state)
{
    static const struct {
        uint32_t entries;
        uint64_t ring;
    } bad[] = { { 0, 0x1000 },    { 1, 0x1000 },  { 3, 0x1000 },
                { 8192, 0x1000 }, { 16, 0x1010 }, { 16, UINT64_MAX - 31 } };
    const uint64_t base = COPY_CHANNEL_OFF;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_write64(&world.rig, COPY_BAR_REGS, base + COPY_CH_RING, bad[i].ring);
        rig_write64(&world.rig, COPY_BAR_REGS, base + COPY_CH_DONE_RING, 0x2000);
        rig_write32(&world.rig, COPY_BAR_REGS, base + COPY_CH_ENTRIES, bad[i].entries);
        rig_write32(&world.rig, COPY_BAR_REGS, base + COPY_CH_CONTROL, 1);
        assert_int_equal(rig_read32(&world.rig, COPY_BAR_REGS, base + COPY_CH_CONTROL),
                         0);
    }
    rig_write32(&world.rig, COPY_BAR_REGS, base + COPY_CH_VECTOR, 4);
    assert_int_equal(rig_read32(&world.rig, COPY_BAR_REGS, base + COPY_CH_VECTOR),
                     COPY_NO_VECTOR);
}

static void a_reset_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(
        run(COPY_OP_COPY | COPY_F_DST_LOCAL, CHAN_IOVA(SOURCE), 0, 0x100000).status,
        COPY_DONE);
    assert_int_equal(rig_reset(&world.rig), FERRY_OK);
    assert_int_equal(chan_reg(&world.chan, &world.rig, COPY_CH_STATUS), 0);
    world.memory = ferry_device_region_memory(world.rig.device, COPY_BAR_MEMORY);
    for (size_t i = 0; i < 0x100000; i++) {
        assert_int_equal(world.memory[i], 0);
    }
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIG_TEST(the_registers_say_what_it_is),
        RIG_TEST(it_copies_between_ram_and_its_memory),
        RIG_TEST(it_copies_into_a_peers_memory),
        RIG_TEST(it_fills_with_a_pattern),
        RIG_TEST(channels_work_side_by_side),
        RIG_TEST(bad_descriptors_complete_with_their_status),
        RIG_TEST(a_fault_in_the_middle_says_how_far_it_came),
        RIG_TEST(rings_that_cannot_be_used_stop_the_channel),
        RIG_TEST(channels_that_make_no_sense_are_not_enabled),
        RIG_TEST(a_reset_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
