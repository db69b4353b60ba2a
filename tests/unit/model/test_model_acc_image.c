/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_rig.h"

#include <linux/virtio_config.h>
#include <linux/virtio_crypto.h>
#include <string.h>
#include <xxhash.h>

#include "models/acc/acc_driver.h"
#include "models/acc/acc_image.h"
#include "models/acc/acc_regs.h"

/* States whose hashes are right and whose values are not. */

#define STATE_OFF 48u
#define DEVICE_OFF 64u
#define QUEUE_OFF 104u
#define SESSION_OFF (QUEUE_OFF + 2 * 48)

struct world {
    struct acc_hw *hw;
    uint8_t stream[1024];
    uint64_t bytes;
};

static struct world world;

static void import(uint32_t slot, uint8_t first_key_byte)
{
    assert_int_equal(acc_hw_write(world.hw, ACC_W_S_INDEX, slot), FERRY_OK);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_S_GENERATION, slot + 1), FERRY_OK);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_S_KEY, first_key_byte), FERRY_OK);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_S_INFO,
                                  ACC_S_INFO_USED | 32u << 8 | VIRTIO_CRYPTO_OP_ENCRYPT),
                     FERRY_OK);
}

static int set_up(void **state)
{
    memset(&world, 0, sizeof(world));
    assert_int_equal(acc_hw_create(1, 4, &world.hw), FERRY_OK);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_CONTROL, ACC_CONTROL_PAUSE), FERRY_OK);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_DRIVER_FEATURES_HI, 1), FERRY_OK);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_STATUS, 15), FERRY_OK);
    import(0, 0x11);
    import(2, 0x22);
    assert_true(acc_image_bytes(world.hw) <= sizeof(world.stream));
    acc_image_match(world.hw, world.stream);
    world.bytes = acc_image_save(world.hw, world.stream);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    acc_hw_destroy(world.hw);
    return 0;
}

static void put32(uint64_t off, uint32_t value)
{
    memcpy(world.stream + off, &value, 4);
}

static void seal(void)
{
    const uint64_t hash = XXH3_64bits(world.stream, (size_t)world.bytes - 8);

    memcpy(world.stream + world.bytes - 8, &hash, 8);
}

static void a_good_state_is_taken(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    assert_int_equal(acc_image_match_check(world.hw, world.stream), FERRY_OK);
    assert_int_equal(acc_image_length(world.hw, world.stream, &bytes), FERRY_OK);
    assert_int_equal(bytes, world.bytes);
    assert_int_equal(acc_image_check(world.stream, bytes), FERRY_OK);
    assert_int_equal(acc_image_load(world.hw, world.stream), FERRY_OK);
    assert_int_equal(acc_hw_read(world.hw, ACC_W_S_COUNT), 2);
    assert_int_equal(acc_hw_read(world.hw, ACC_W_STATUS), 15);
}

static void values_that_the_hardware_cannot_have_are_refused(void **state)
{
    static const struct {
        uint32_t off, value;
    } bad[] = {
        { DEVICE_OFF, 1u << 5 },      /* a feature that was not offered */
        { DEVICE_OFF + 4, 0 },        /* VERSION_1 is missing */
        { DEVICE_OFF + 8, 0x115 },    /* status: an unknown bit */
        { DEVICE_OFF + 8, 4 },        /* DRIVER_OK alone */
        { DEVICE_OFF + 12, 3 },       /* vector */
        { DEVICE_OFF + 16, 4 },       /* ISR */
        { DEVICE_OFF + 28, 0x10000 }, /* queue select */
        { QUEUE_OFF, 3 },             /* size */
        { QUEUE_OFF, 0 },
        { QUEUE_OFF, 2048 },
        { QUEUE_OFF + 4, 0x10000 }, /* vector */
        { QUEUE_OFF + 8, 0x10000 }, /* available index */
        { QUEUE_OFF + 40, 2 },      /* enable */
        { QUEUE_OFF + 48, 128 },    /* the control queue is not that long */
        { SESSION_OFF, 4 },         /* slot */
        { SESSION_OFF + 48, 0 },    /* the same slot twice */
        { SESSION_OFF + 4, ACC_S_INFO_USED | 32u << 8 | 3 }, /* direction */
        { SESSION_OFF + 4, ACC_S_INFO_USED | 17u << 8 | 1 }, /* key length */
        { SESSION_OFF + 4, 32u << 8 | 1 },                   /* not in use */
        { SESSION_OFF + 4, 0x30000 | 32u << 8 | 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint32_t was;

        memcpy(&was, world.stream + bad[i].off, 4);
        put32(bad[i].off, bad[i].value);
        seal();
        assert_int_equal(acc_image_check(world.stream, world.bytes), FERRY_OK);
        if (acc_image_load(world.hw, world.stream) != FERRY_E_CORRUPT) {
            fail_msg("case %zu is taken", i);
        }
        /* All or nothing: no session, no status is left. */
        assert_int_equal(acc_hw_read(world.hw, ACC_W_S_COUNT), 0);
        assert_int_equal(acc_hw_read(world.hw, ACC_W_STATUS), 0);
        put32(bad[i].off, was);
    }
}

static void an_enabled_queue_must_make_sense(void **state)
{
    (void)state;
    put32(QUEUE_OFF + 40, 1);
    seal();
    assert_int_equal(acc_image_load(world.hw, world.stream), FERRY_OK);
    put32(QUEUE_OFF + 16, 8); /* descriptors that are not aligned */
    seal();
    assert_int_equal(acc_image_load(world.hw, world.stream), FERRY_E_CORRUPT);
    put32(QUEUE_OFF + 16, 16);
    put32(QUEUE_OFF + 8, 5); /* taken and published must agree */
    seal();
    assert_int_equal(acc_image_load(world.hw, world.stream), FERRY_E_CORRUPT);
    put32(QUEUE_OFF + 12, 5);
    seal();
    assert_int_equal(acc_image_load(world.hw, world.stream), FERRY_OK);
}

static void counts_and_lengths_must_agree(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    put32(STATE_OFF + 12, 3);
    assert_int_equal(acc_image_length(world.hw, world.stream, &bytes), FERRY_E_CORRUPT);
    put32(STATE_OFF + 12, 0xffffffffu);
    assert_int_equal(acc_image_length(world.hw, world.stream, &bytes), FERRY_E_CORRUPT);
    put32(STATE_OFF + 12, 2);
    put32(STATE_OFF + 8, 3);
    assert_int_equal(acc_image_length(world.hw, world.stream, &bytes), FERRY_E_CORRUPT);
    put32(STATE_OFF + 8, 2);
    put32(STATE_OFF, 0);
    assert_int_equal(acc_image_length(world.hw, world.stream, &bytes), FERRY_E_FOREIGN);
}

static void match_data_says_what_is_wrong(void **state)
{
    static const struct {
        uint32_t off, value;
        int status;
    } bad[] = {
        { 0, 0, FERRY_E_FOREIGN },
        { 8, 2, FERRY_E_VERSION },
        { 12, 0x1af41000u, FERRY_E_FOREIGN },
        { 16, 3, FERRY_E_INCOMPATIBLE },
        { 20, 5, FERRY_E_INCOMPATIBLE },
        { 24, 8, FERRY_E_INCOMPATIBLE },
        { 28, 2, FERRY_E_INCOMPATIBLE },
        { 32, 1, FERRY_E_INCOMPATIBLE },
        { 36, 0x80000000u, FERRY_E_INCOMPATIBLE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t match[ACC_IMAGE_MATCH_BYTES];
        uint64_t hash;

        memcpy(match, world.stream, sizeof(match));
        memcpy(match + bad[i].off, &bad[i].value, 4);
        if (bad[i].off != 0) {
            assert_int_equal(acc_image_match_check(world.hw, match), FERRY_E_CORRUPT);
        }
        hash = XXH3_64bits(match, 40);
        memcpy(match + 40, &hash, 8);
        assert_int_equal(acc_image_match_check(world.hw, match), bad[i].status);
    }
}

static void keys_can_be_read_while_paused_only_and_are_gone_after_a_reset(void **state)
{
    (void)state;
    assert_int_equal(acc_hw_write(world.hw, ACC_W_S_INDEX, 2), FERRY_OK);
    assert_int_equal(acc_hw_read(world.hw, ACC_W_S_KEY), 0x22);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_CONTROL, 0), FERRY_OK);
    assert_int_equal(acc_hw_read(world.hw, ACC_W_S_KEY), 0);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_S_INDEX, 0), FERRY_E_STATE);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_CONTROL, ACC_CONTROL_PAUSE), FERRY_OK);
    assert_int_equal(acc_hw_read(world.hw, ACC_W_S_KEY), 0x22);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_RESET, 1), FERRY_OK);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_S_INDEX, 2), FERRY_OK);
    assert_int_equal(acc_hw_read(world.hw, ACC_W_S_KEY), 0);
    assert_int_equal(acc_hw_read(world.hw, ACC_W_S_COUNT), 0);
    /* A key that was written and never made a session is gone as well. */
    assert_int_equal(acc_hw_write(world.hw, ACC_W_S_KEY, 0x33), FERRY_OK);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_RESET, 1), FERRY_OK);
    assert_int_equal(acc_hw_write(world.hw, ACC_W_S_INFO, ACC_S_INFO_USED | 32u << 8 | 1),
                     FERRY_OK);
    assert_int_equal(acc_hw_read(world.hw, ACC_W_S_KEY), 0);
}

static void the_driver_wants_exactly_the_whole_stream(void **state)
{
    struct acc_driver driver;

    (void)state;
    acc_driver_init(&driver, world.hw);
    assert_int_equal(acc_driver_load(&driver, world.stream, 1), FERRY_E_STATE);
    for (uint64_t bytes = 0; bytes <= world.bytes + 1; bytes++) {
        const int ends = bytes == world.bytes;
        int status = acc_driver_arc(&driver, FERRY_STATE_STOP, FERRY_STATE_RESUMING);

        assert_int_equal(status, FERRY_OK);
        status = acc_driver_load(&driver, world.stream, (size_t)bytes);
        assert_int_equal(status, bytes > world.bytes ? FERRY_E_LONG : FERRY_OK);
        status = acc_driver_arc(&driver, FERRY_STATE_RESUMING, FERRY_STATE_STOP);
        assert_int_equal(status, ends                  ? FERRY_OK
                                 : bytes > world.bytes ? FERRY_E_LONG
                                                       : FERRY_E_SHORT);
    }
    acc_driver_end(&driver);
}

int main(void)
{
#define HW_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        HW_TEST(a_good_state_is_taken),
        HW_TEST(values_that_the_hardware_cannot_have_are_refused),
        HW_TEST(an_enabled_queue_must_make_sense),
        HW_TEST(counts_and_lengths_must_agree),
        HW_TEST(match_data_says_what_is_wrong),
        HW_TEST(the_driver_wants_exactly_the_whole_stream),
        HW_TEST(keys_can_be_read_while_paused_only_and_are_gone_after_a_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
