/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/copy/copy_regs.h"
#include "models/models.h"
#include "test_faces_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The copy model by version 1: pieces as long as they get, and memory that peers reach.
 */
#define MEMORY_BYTES (4u << 20)
#define STREAM_MAX (MEMORY_BYTES + (1u << 20))

struct copied {
    struct toy toy; /* only its endpoint: for the rig's accesses */
    const struct ferry_model *model;
    struct ferry_device *device;
    void *state;
    struct ferry_endpoint *face;
    uint8_t *memory; /* as a peer maps it */
};

static uint8_t *stream;

/* form: V1_FORMS for the device's own face, v2. */
static struct copied *copied_new(uint32_t form)
{
    static const char *const option[] = { "memory=4M" };
    const struct ferry_model_options options = { .struct_size = sizeof(options),
                                                 .count = 1,
                                                 .option = option };
    struct copied *copied = calloc(1, sizeof(*copied));
    struct ferry_request info = { .kind = FERRY_RQ_GET_REGION_INFO };
    struct ferry_error error = { 0 };

    assert_non_null(copied);
    copied->model = ferry_model_find("copy");
    assert_int_equal(
        copied->model->create(&options, &copied->device, &copied->state, &error),
        FERRY_OK);
    copied->toy.endpoint = ferry_device_endpoint(copied->device);
    if (form < V1_FORMS) {
        assert_int_equal(
            ferry_face_v1_open(copied->toy.endpoint, form, &copied->face, &error),
            FERRY_OK);
        copied->toy.endpoint = copied->face;
    }
    assert_int_equal(copied->toy.endpoint->ops->attach(copied->toy.endpoint, NULL),
                     FERRY_OK);
    info.u.region.index = COPY_BAR_MEMORY;
    assert_int_equal(toy_ask(&copied->toy, &info), FERRY_OK);
    copied->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                          info.u.region.fd, (off_t)info.u.region.offset);
    assert_true(copied->memory != MAP_FAILED);
    return copied;
}

static void copied_free(struct copied *copied)
{
    assert_int_equal(munmap(copied->memory, MEMORY_BYTES), 0);
    copied->toy.endpoint->ops->detach(copied->toy.endpoint);
    ferry_face_v1_close(copied->face);
    copied->model->destroy(copied->device, copied->state);
    free(copied);
}

static void fill(uint8_t *memory, uint32_t seed)
{
    for (uint32_t i = 0; i < MEMORY_BYTES; i += 4) {
        seed = seed * 1664525u + 1013904223u;
        memcpy(memory + i, &seed, 4);
    }
}

static void set_v2(struct copied *copied, uint32_t to)
{
    struct ferry_request set = { .kind = FERRY_RQ_SET_STATE, .u.state = to };

    assert_int_equal(toy_ask(&copied->toy, &set), FERRY_OK);
}

static void a_peer_writes_until_the_freeze_and_its_bytes_arrive(void **state)
{
    (void)state;
    for (uint32_t form = 0; form < V1_FORMS; form++) {
        struct copied *a = copied_new(form), *b = copied_new((form + 1) % V1_FORMS);
        struct copied *c = copied_new(V1_FORMS);
        uint64_t bytes = 0, got;

        fill(a->memory, form);
        assert_int_equal(v1_set(&a->toy, FERRY_V1_SAVING | FERRY_V1_RUNNING), FERRY_OK);
        bytes = v1_take(&a->toy, stream, STREAM_MAX);
        assert_true(bytes > FERRY_V1_PIECE_MAX / 2);
        assert_int_equal(v1_set(&a->toy, FERRY_V1_SAVING), FERRY_OK);
        memset(a->memory + 12345, 0x77, 70000); /* all devices are stopped, none frozen */
        while ((got = v1_take(&a->toy, stream + bytes, STREAM_MAX - bytes)) > 0) {
            bytes += got;
        }
        assert_int_equal(v1_set(&b->toy, FERRY_V1_RESUMING), FERRY_OK);
        for (uint64_t at = 0; at < bytes; at += got) {
            got = bytes - at < FERRY_V1_PIECE_MAX ? bytes - at : FERRY_V1_PIECE_MAX;
            assert_int_equal(v1_give(&b->toy, stream + at, got), FERRY_OK);
        }
        assert_int_equal(v1_set(&b->toy, FERRY_V1_RUNNING), FERRY_OK);
        assert_memory_equal(a->memory, b->memory, MEMORY_BYTES);
        set_v2(c, FERRY_STATE_RESUMING);
        assert_int_equal(toy_load(&c->toy, stream, bytes, 100000), FERRY_OK);
        set_v2(c, FERRY_STATE_STOP);
        assert_memory_equal(a->memory, c->memory, MEMORY_BYTES);
        copied_free(a);
        copied_free(b);
        copied_free(c);
    }
}

static void a_peer_that_writes_after_the_freeze_is_told_of(void **state)
{
    struct copied *a = copied_new(FERRY_FACE_V1_MMAP);
    uint64_t value;
    int status;

    (void)state;
    fill(a->memory, 1);
    assert_int_equal(v1_set(&a->toy, FERRY_V1_SAVING), FERRY_OK);
    assert_true(v1_take(&a->toy, stream, STREAM_MAX) > 0);
    a->memory[3] ^= 1; /* it is in the piece that was read */
    do {
        status = v1_try(&a->toy, FERRY_V1_PENDING, &value);
        if (status == FERRY_OK) {
            assert_true(v1_get(&a->toy, FERRY_V1_SIZE) > 0);
        }
    } while (status == FERRY_OK);
    assert_int_equal(status, FERRY_E_CORRUPT);
    copied_free(a);
}

/* A prediction of the downtime has to know of the looks at the memory. */
static void the_time_of_the_stop_holds_the_looks_at_the_memory(void **state)
{
    struct copied *a = copied_new(FERRY_FACE_V1_TRAPPED), *b = copied_new(V1_FORMS);
    struct ferry_identity v1, v2;
    struct ferry_request ask = { .kind = FERRY_RQ_IDENTITY, .u.identity = &v1 };

    (void)state;
    assert_int_equal(toy_ask(&a->toy, &ask), FERRY_OK);
    ask.u.identity = &v2;
    assert_int_equal(toy_ask(&b->toy, &ask), FERRY_OK);
    assert_true(v2.stop_ns > 0);
    assert_int_equal(v1.stop_ns, v2.stop_ns + MEMORY_BYTES / 2);
    copied_free(a);
    copied_free(b);
}

static int set_up(void **state)
{
    (void)state;
    stream = malloc(STREAM_MAX);
    return stream != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(stream);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_writes_until_the_freeze_and_its_bytes_arrive),
        cmocka_unit_test(the_time_of_the_stop_holds_the_looks_at_the_memory),
        cmocka_unit_test(a_peer_that_writes_after_the_freeze_is_told_of),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
