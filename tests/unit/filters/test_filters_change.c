/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_filters_rig.h"

#include <string.h>

static int ring(struct toy *toy, uint32_t value)
{
    return toy_write(toy, 0, 4, &value, 4);
}

static void an_error_comes_the_third_time_and_the_device_hears_nothing(void **state)
{
    struct toy *toy = filtered_new("error=region_write:EIO@3");

    (void)state;
    for (uint32_t i = 1; i <= 5; i++) {
        assert_int_equal(ring(toy, i), i == 3 ? FERRY_E_DEVICE : FERRY_OK);
    }
    assert_int_equal(toy->bells, 4);
    assert_int_equal(toy->bell[2], 4);
    filtered_free(toy);
}

static void an_error_from_the_third_time_on_stays(void **state)
{
    struct toy *toy = filtered_new("error=region_write:ENOMEM@3+");

    (void)state;
    for (uint32_t i = 1; i <= 5; i++) {
        assert_int_equal(ring(toy, i), i >= 3 ? FERRY_E_MEMORY : FERRY_OK);
    }
    filtered_free(toy);
}

/* Which of 64 writes fail, as bits. */
static uint64_t failures(const char *spec)
{
    struct toy *toy = filtered_new(spec);
    uint64_t bits = 0;

    for (uint32_t i = 0; i < 64; i++) {
        bits |= (uint64_t)(toy_write(toy, 2, 0, &i, 4) != FERRY_OK) << i;
    }
    filtered_free(toy);
    return bits;
}

static void one_in_ten_by_chance_is_the_same_for_the_same_seed(void **state)
{
    const uint64_t seven = failures("error=region_write:EIO%10#7");

    (void)state;
    assert_true(seven != 0 && seven != UINT64_MAX);
    assert_true(seven == failures("error=region_write:EIO%10#7"));
    assert_true(seven != failures("error=region_write:EIO%10#8"));
    assert_true(failures("error=region_write:EIO%1") == UINT64_MAX);
}

static void an_arc_is_named_by_its_states(void **state)
{
    struct toy *toy = filtered_new("error=stop>running:EBUSY,error=resuming:EINVAL");

    (void)state;
    assert_int_equal(toy_set(toy, FERRY_STATE_RESUMING), FERRY_E_ARGUMENT);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_E_BUSY);
    assert_int_equal(toy_get(toy), FERRY_STATE_STOP);
    /* From another state it goes. */
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    filtered_free(toy);
}

static void the_state_is_followed_over_failures_and_resets(void **state)
{
    struct toy *toy = filtered_new("error=stop>running:EBUSY");
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };

    (void)state;
    toy->odd_from = FERRY_STATE_STOP;
    toy->odd_to = FERRY_STATE_STOP_COPY;
    toy->odd_answer = FERRY_E_DEVICE;
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_E_DEVICE);
    assert_int_equal(toy_get(toy), FERRY_STATE_STOP); /* the filter sees it as well */
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_E_BUSY);
    assert_int_equal(toy_ask(toy, &reset), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    filtered_free(toy);
}

static void after_a_failed_arc_the_state_is_not_guessed(void **state)
{
    struct toy *toy = filtered_new("error=running>stop:EBUSY");

    (void)state;
    toy->odd_from = FERRY_STATE_STOP;
    toy->odd_to = FERRY_STATE_STOP_COPY;
    toy->odd_answer = FERRY_E_DEVICE;
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_E_DEVICE);
    /* It has gone as far as STOP: this is not from RUNNING. */
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
    filtered_free(toy);
}

static void short_reads_give_the_same_stream(void **state)
{
    struct toy *plain = toy_new(FILTERED_FLAGS, 1);
    struct toy *toy = filtered_new("short=read:3");
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };
    uint8_t all[4096], some[4096];
    uint64_t bytes;

    (void)state;
    plain->state_bytes = toy->state_bytes = 500;
    memset(plain->state, 0x3c, 500);
    memset(toy->state, 0x3c, 500);
    assert_int_equal(toy_set(plain, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    read.u.data = (struct ferry_data_io){ .data = some, .size = 100 };
    assert_int_equal(toy_ask(toy, &read), FERRY_OK);
    assert_int_equal(read.u.data.got, 3);
    assert_int_equal(read.u.data.size, 100);
    assert_ptr_equal(read.u.data.data, some);
    bytes = toy_save(plain, all, sizeof(all), 512);
    assert_int_equal(toy_save(toy, some + 3, sizeof(some) - 3, 64) + 3, bytes);
    assert_memory_equal(all, some, bytes);
    filtered_free(toy);
    toy_free(plain);
}

static void a_read_of_nothing_tells_the_end(void **state)
{
    struct toy *toy = filtered_new("short=read:0@2");
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };
    uint8_t data[16];

    (void)state;
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    for (int i = 0; i < 3; i++) {
        read.u.data = (struct ferry_data_io){ .data = data, .size = 4, .got = 77 };
        assert_int_equal(toy_ask(toy, &read), FERRY_OK);
        assert_int_equal(read.u.data.got, i == 1 ? 0 : 4);
    }
    filtered_free(toy);
}

static void a_write_is_changed_in_a_copy(void **state)
{
    struct toy *toy = filtered_new("corrupt=region_write:1.3@2");
    uint32_t value = 0x01020304;

    (void)state;
    assert_int_equal(toy_write(toy, 0, 4, &value, 4), FERRY_OK);
    assert_int_equal(toy_write(toy, 0, 4, &value, 4), FERRY_OK);
    assert_int_equal(toy->bell[0], 0x01020304);
    assert_int_equal(toy->bell[1], 0x01020304 ^ 8u << 8);
    assert_int_equal(value, 0x01020304);
    filtered_free(toy);
}

static void chance_flips_exactly_one_bit(void **state)
{
    struct toy *toy = filtered_new("corrupt=region_write");

    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(ring(toy, 0), FERRY_OK);
        assert_int_equal(__builtin_popcount(toy->bell[i]), 1);
    }
    filtered_free(toy);
}

static void reads_are_changed_in_the_users_buffer(void **state)
{
    struct toy *toy = filtered_new("corrupt=read:0.0@2,corrupt=region_read:9999.7");
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };
    struct toy *plain = toy_new(FILTERED_FLAGS, 1);
    uint8_t data[2][8] = { { 0 } }, all[4096];

    (void)state;
    /* A place behind the data is its last byte. */
    assert_int_equal(toy_read32(toy, 0, 0), 0xa0a0a0a0 ^ 0x80u << 24);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(toy_set(plain, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_true(toy_save(plain, all, sizeof(all), 512) >= 16);
    for (int i = 0; i < 2; i++) {
        read.u.data = (struct ferry_data_io){ .data = data[i], .size = 8 };
        assert_int_equal(toy_ask(toy, &read), FERRY_OK);
        assert_int_equal(read.u.data.got, 8);
    }
    assert_memory_equal(data[0], all, 8);
    assert_int_equal(data[1][0], all[8] ^ 1);
    assert_memory_equal(data[1] + 1, all + 9, 7);
    toy_free(plain);
    filtered_free(toy);
}

static void one_bit_of_the_loaded_state_differs(void **state)
{
    struct toy *from = toy_new(FILTERED_FLAGS, 1);
    struct toy *to = filtered_new("corrupt=write@2");
    uint8_t all[4096];
    uint64_t bytes;
    int bits = 0;

    (void)state;
    from->state_bytes = to->state_bytes = 300;
    assert_int_equal(toy_set(from, FERRY_STATE_STOP_COPY), FERRY_OK);
    bytes = toy_save(from, all, sizeof(all), 512);
    assert_int_equal(toy_set(to, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy_load(to, all, bytes, bytes / 2), FERRY_OK);
    assert_int_equal(toy_set(to, FERRY_STATE_STOP), FERRY_OK);
    for (int i = 0; i < 300; i++) {
        bits += __builtin_popcount(from->state[i] ^ to->state[i]);
    }
    assert_int_equal(bits, 1);
    toy_free(from);
    filtered_free(to);
}

static void dma_by_message_can_fail_and_be_damaged(void **state)
{
    struct toy *toy = filtered_new("error=dma_read:ERANGE@2,corrupt=dma_write:0.0,"
                                   "corrupt=dma_read:1.0,delay=dma_read:1us");
    uint8_t data[4] = { 0 };

    (void)state;
    toy_bus_master(toy);
    assert_int_equal(toy_map(toy, TOY_PORT_IOVA, 4096, 0, -1, 3), FERRY_OK);
    memset(toy->message_memory, 0x10, 4);
    assert_int_equal(ferry_dma_read(toy->device, TOY_PORT_IOVA, data, 4), FERRY_OK);
    assert_int_equal(data[0], 0x10);
    assert_int_equal(data[1], 0x11);
    assert_int_equal(ferry_dma_read(toy->device, TOY_PORT_IOVA, data, 4), FERRY_E_RANGE);
    data[0] = 0x40;
    assert_int_equal(ferry_dma_write(toy->device, TOY_PORT_IOVA, data, 4), FERRY_OK);
    assert_int_equal(toy->message_memory[0], 0x41);
    assert_int_equal(data[0], 0x40);
    filtered_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_comes_the_third_time_and_the_device_hears_nothing),
        cmocka_unit_test(an_error_from_the_third_time_on_stays),
        cmocka_unit_test(one_in_ten_by_chance_is_the_same_for_the_same_seed),
        cmocka_unit_test(an_arc_is_named_by_its_states),
        cmocka_unit_test(the_state_is_followed_over_failures_and_resets),
        cmocka_unit_test(after_a_failed_arc_the_state_is_not_guessed),
        cmocka_unit_test(short_reads_give_the_same_stream),
        cmocka_unit_test(a_read_of_nothing_tells_the_end),
        cmocka_unit_test(a_write_is_changed_in_a_copy),
        cmocka_unit_test(chance_flips_exactly_one_bit),
        cmocka_unit_test(reads_are_changed_in_the_users_buffer),
        cmocka_unit_test(one_bit_of_the_loaded_state_differs),
        cmocka_unit_test(dma_by_message_can_fail_and_be_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
