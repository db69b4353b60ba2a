/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_faces_rig.h"

#include <stdio.h>
#include <string.h>

/*
 * Random accesses, legal and illegal, against a plain model of what version 1 says. The
 * model knows nothing of version 2; of the bytes it knows that those of a whole session
 * can be loaded.
 */
#define RUNS 24u
#define STEPS 500u
#define STATE_BYTES 6000u
#define STREAM_MAX (4 * STATE_BYTES)

struct model {
    uint32_t bits;     /* device_state */
    uint32_t pre_copy; /* the device gives data in 011 */
    uint32_t begun;    /* pending_bytes told of a piece */
    uint32_t told;     /* data_size was read */
    uint32_t final;    /* 0 was read in 010 */
    uint64_t pending, size, off;
    uint64_t saved; /* bytes of the session at `saving` that were taken */
    uint64_t loaded;
    uint32_t spoilt; /* what was loaded is no state */
};

static uint8_t saving[STREAM_MAX], whole[STREAM_MAX], piece[STREAM_MAX];
static uint64_t whole_bytes;
static uint32_t seed;

static uint32_t roll(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

static void reset(struct toy *toy, struct model *model)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    const uint32_t pre_copy = model->pre_copy;

    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    *model = (struct model){ .bits = FERRY_V1_RUNNING, .pre_copy = pre_copy };
}

/* A session is over; when all of it was read, another device takes it. */
static void end_session(struct model *model, uint32_t bits)
{
    if (model->final) {
        struct toy *target = toy_new(V1_FLAGS_PRE, 1);

        v1_fill(target, STATE_BYTES, 77);
        assert_int_equal(toy_set(target, FERRY_STATE_RESUMING), FERRY_OK);
        assert_int_equal(toy_load(target, saving, model->saved, STREAM_MAX), FERRY_OK);
        assert_int_equal(toy_set(target, FERRY_STATE_STOP), FERRY_OK);
        toy_free(target);
    }
    *model = (struct model){ .bits = bits, .pre_copy = model->pre_copy };
}

static int can_leave(const struct model *model)
{
    return model->bits != FERRY_V1_RESUMING ||
           (model->loaded == whole_bytes && !model->spoilt);
}

static void write_state(struct toy *toy, struct model *model)
{
    const uint32_t value = roll(8) == 0 ? roll(1u << 24) * 16 + roll(8) : roll(8);
    const int status = v1_set(toy, value);

    if (value >= 5) {
        assert_int_equal(status, FERRY_E_ARGUMENT);
    } else if (value == model->bits) {
        assert_int_equal(status, FERRY_OK);
    } else if (!can_leave(model)) {
        assert_true(status < 0);
    } else {
        assert_int_equal(status, FERRY_OK);
        if (model->bits == 3 && value == 2) {
            model->bits = value; /* one session */
        } else {
            end_session(model, value);
        }
    }
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), model->bits);
}

static void read_pending(struct toy *toy, struct model *model)
{
    const int saves = model->bits == 2 || model->bits == 3;
    const uint64_t pending = v1_get(toy, FERRY_V1_PENDING);

    if (!saves || model->final) {
        assert_int_equal(pending, 0);
        return;
    }
    if (model->begun && !model->told) {
        assert_true(pending > 0); /* the piece is still there */
    }
    if (model->told) {
        model->saved += model->size;
        assert_true(model->saved <= STREAM_MAX);
    }
    if (model->bits == 3 && !model->pre_copy) {
        assert_int_equal(pending, 0);
    }
    model->final = model->bits == 2 && pending == 0;
    model->begun = pending > 0;
    model->told = 0;
    model->pending = pending;
    model->off = v1_get(toy, FERRY_V1_OFFSET);
}

static void read_size(struct toy *toy, struct model *model)
{
    const uint64_t size = v1_get(toy, FERRY_V1_SIZE);

    if (!model->begun) {
        assert_int_equal(size, 0);
        return;
    }
    if (model->told) {
        assert_int_equal(size, model->size);
    }
    assert_in_range(size, 1, model->pending);
    assert_true(ferry_v1_piece_inside(model->off, size, v1_info(toy).size));
    assert_true(model->saved + size <= STREAM_MAX);
    assert_int_equal(
        toy_read(toy, V1_REGION, model->off, saving + model->saved, (uint32_t)size),
        FERRY_OK);
    model->told = 1;
    model->size = size;
}

static void read_offset(struct toy *toy, struct model *model)
{
    const uint64_t off = v1_get(toy, FERRY_V1_OFFSET);

    assert_in_range(off, 32, v1_info(toy).size - 1);
    if (model->begun) {
        assert_int_equal(off, model->off);
    }
}

/* The next transaction of a state, now and then too long, damaged or empty. */
static void give(struct toy *toy, struct model *model)
{
    const uint64_t left = whole_bytes - model->loaded;
    uint64_t size = left > 0 ? 1 + roll((uint32_t)(left < 3000 ? left : 3000)) : 0;
    const uint32_t how = roll(24);
    const uint64_t off = v1_get(toy, FERRY_V1_OFFSET);
    int status;

    memcpy(piece, whole + model->loaded, size);
    if (model->bits != FERRY_V1_RESUMING) {
        assert_int_equal(toy_write(toy, V1_REGION, off, piece, 1), FERRY_E_STATE);
        assert_int_equal(v1_put(toy, FERRY_V1_SIZE, size), FERRY_E_STATE);
        return;
    }
    if (how == 0) {
        assert_int_equal(v1_put(toy, FERRY_V1_SIZE, FERRY_V1_PIECE_MAX + 1 + roll(100)),
                         FERRY_E_RANGE);
        return;
    }
    if (how == 1 && model->loaded == 0 && size > 0) {
        piece[0] ^= 0x10;
        model->spoilt = 1;
    } else if (how == 2 && left == 0) {
        piece[0] = 0;
        size = 1;
        model->spoilt = 1;
    }
    if (size > 0) {
        assert_int_equal(toy_write(toy, V1_REGION, off, piece, (uint32_t)size), FERRY_OK);
    }
    status = v1_put(toy, FERRY_V1_SIZE, size);
    assert_true(status == FERRY_OK || model->spoilt);
    model->loaded += left > 0 ? size : 0;
}

/* Anything at all at the registers: only their own widths are taken. */
static void poke(struct toy *toy, struct model *model)
{
    const uint64_t off = roll(32);
    const uint32_t count = roll(9);
    uint64_t value;
    uint32_t reg;

    if (ferry_v1_register_find(off, count, &reg) == FERRY_OK) {
        if (reg == FERRY_V1_RESERVED) {
            assert_int_equal(v1_put(toy, reg, roll(1u << 30)), FERRY_OK);
            assert_int_equal(v1_get(toy, reg), 0);
        } else if (reg == FERRY_V1_PENDING || reg == FERRY_V1_OFFSET) {
            assert_int_equal(v1_put(toy, reg, roll(1u << 30)), FERRY_E_ARGUMENT);
        }
        return;
    }
    assert_int_equal(v1_read(toy, off, count, &value), FERRY_E_ALIGN);
    assert_int_equal(v1_write(toy, off, count, roll(1u << 30)), FERRY_E_ALIGN);
    (void)model;
}

/* Bytes that are not of the piece. */
static void reach_out(struct toy *toy, struct model *model)
{
    const uint64_t size = v1_info(toy).size;
    const uint64_t off = roll(2) ? size - roll(64) : 32 + roll((uint32_t)size);
    const uint32_t count = 1 + roll(64);
    uint8_t bytes[64];
    int status;

    if (model->begun) {
        if (off >= model->off && off + count <= model->off + model->pending) {
            return; /* may be in it */
        }
        status = toy_read(toy, V1_REGION, off, bytes, count);
        assert_int_equal(status, FERRY_E_RANGE);
    } else {
        status = toy_read(toy, V1_REGION, off, bytes, count);
        assert_int_equal(status, FERRY_E_STATE);
    }
}

static void step(struct toy *toy, struct model *model)
{
    static void (*const steps[])(struct toy *, struct model *) = {
        read_pending, read_pending, read_pending, read_size, read_size, read_offset,
        give,         give,         give,         poke,      reach_out, write_state,
    };
    const uint32_t which = roll(sizeof(steps) / sizeof(steps[0]) * 8 + 1);

    if (which == 0) {
        reset(toy, model);
    } else {
        steps[(which - 1) / 8](toy, model);
    }
}

static void make_whole(void)
{
    struct toy *toy = toy_new(V1_FLAGS_PRE, 1);

    v1_fill(toy, STATE_BYTES, 42);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    whole_bytes = toy_save(toy, whole, sizeof(whole), 4096);
    toy_free(toy);
}

static void run(uint32_t flags, uint32_t form, uint32_t number)
{
    struct toy *toy = v1_new(flags, form);
    struct model model = { .bits = FERRY_V1_RUNNING,
                           .pre_copy = (flags & FERRY_MIG_PRE_COPY) != 0 };

    seed = number * 2654435761u + flags * 31 + form;
    v1_fill(toy, STATE_BYTES, number);
    toy->precopy_bytes = roll(STATE_BYTES);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(toy, &model);
    }
    v1_free(toy);
}

static void random_accesses_do_what_the_model_says(void **state)
{
    (void)state;
    make_whole();
    for (uint32_t flags = V1_FLAGS_STOP; flags <= V1_FLAGS_ALL; flags += 2) {
        for (uint32_t form = 0; form < V1_FORMS; form++) {
            for (uint32_t number = 0; number < RUNS; number++) {
                run(flags, form, number);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_accesses_do_what_the_model_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
