/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/copy/copy_stream.h"
#include "test_model_chan.h"

#include <stdlib.h>
#include <string.h>

/* copy lends its pages and names their places: the streams are those of save and load. */

#define BYTES (2u << 20)
#define PAGE COPY_PAGE_BYTES
#define READ_BYTES (512u << 10)

static struct rig_ram ram;
static struct rig a, b;
static uint64_t in_place; /* bytes of the stream that were not copied */

static uint8_t *memory_of(struct rig *rig)
{
    return ferry_device_region_memory(rig->device, COPY_BAR_MEMORY);
}

static int set_up(void **state)
{
    static const char *const options[] = { "memory=2M", "channels=2", NULL };

    (void)state;
    in_place = 0;
    rig_ram_open(&ram);
    rig_open(&a, "copy", options, &ram);
    rig_open(&b, "copy", options, &ram);
    /* Some runs of pages, longer and shorter than a record, and holes. */
    rig_fill(memory_of(&a), 40 * PAGE, 1);
    rig_fill(memory_of(&a) + 50 * PAGE, PAGE, 2);
    rig_fill(memory_of(&a) + 60 * PAGE, BYTES - 70 * PAGE, 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&a);
    rig_close(&b);
    rig_ram_close(&ram);
    return 0;
}

static int in_memory_of_a(const void *data)
{
    const uint8_t *bytes = data, *memory = memory_of(&a);

    return bytes >= memory && bytes < memory + BYTES;
}

/* Reads to the end. copied_every: so many of the reads are ones that copy; 0: none. */
static void save_lent(struct rig_blob *blob, uint32_t copied_every)
{
    static uint8_t scratch[READ_BYTES];
    struct ferry_data_piece piece[FERRY_DATA_PIECES_MAX];

    blob->cap = 4 * BYTES;
    blob->bytes = realloc(blob->bytes, blob->cap);
    for (uint32_t i = 1;; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
        struct ferry_data_io *io = &request.u.data;
        int copied = copied_every != 0 && i % copied_every == 0;

        io->data = copied ? blob->bytes + blob->count : scratch;
        io->size = copied ? 70003 : READ_BYTES;
        io->piece = copied ? NULL : piece;
        assert_int_equal(rig_request(&a, &request), FERRY_OK);
        assert_true(blob->count + io->got < blob->cap);
        if (io->got == 0) {
            return;
        }
        assert_int_equal(io->piece_count > 0, !copied);
        for (uint32_t n = 0; n < io->piece_count; n++) {
            memcpy(blob->bytes + blob->count, piece[n].data, piece[n].size);
            blob->count += piece[n].size;
            in_place += in_memory_of_a(piece[n].data) ? piece[n].size : 0;
        }
        blob->count += copied ? io->got : 0;
    }
}

static int write_to_b(const uint8_t *from, uint64_t count, uint32_t placed)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };
    void *bytes;

    memcpy(&bytes, &from, sizeof(bytes)); /* a write only reads it */
    request.u.data =
        (struct ferry_data_io){ .data = bytes, .size = count, .placed = placed };
    return rig_request(&b, &request);
}

/* Loads into b as a receiver that gets at most `most` bytes at a time. */
static int load_in_place(const struct rig_blob *blob, uint64_t most)
{
    int status = FERRY_OK;

    in_place = 0;
    for (uint64_t at = 0; at < blob->count && status == FERRY_OK;) {
        struct ferry_data_place place = { 0 };
        uint64_t left = blob->count - at < most ? blob->count - at : most, part;

        status = b.endpoint->ops->place(b.endpoint, blob->count - at, &place);
        part = place.size < left ? place.size : left;
        if (status == FERRY_OK && part > 0) {
            memcpy(place.data, blob->bytes + at, part);
            status = write_to_b(NULL, part, 1);
        }
        in_place += part;
        at += part;
        left -= part;
        part = place.rest < left ? place.rest : left;
        if (status == FERRY_OK && part > 0) {
            status = write_to_b(blob->bytes + at, part, 0);
        }
        at += part;
    }
    return status;
}

static void the_lent_stream_is_that_of_reads(void **state)
{
    struct rig_blob plain = { 0 };

    (void)state;
    assert_int_equal(rig_state(&a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&a, 4099, &plain), FERRY_OK);
    for (uint32_t copied = 0; copied < 4; copied++) {
        struct rig_blob lent = { 0 };

        in_place = 0;
        assert_int_equal(rig_state(&a, FERRY_STATE_STOP), FERRY_OK);
        assert_int_equal(rig_state(&a, FERRY_STATE_STOP_COPY), FERRY_OK);
        save_lent(&lent, copied);
        assert_int_equal(lent.count, plain.count);
        assert_memory_equal(lent.bytes, plain.bytes, plain.count);
        assert_int_equal(in_place > 0, copied != 1);
        rig_blob_free(&lent);
    }
    rig_blob_free(&plain);
}

static void what_is_lent_and_put_in_place_is_the_device(void **state)
{
    static const uint64_t most[] = { 1u << 20, 65544, 10007 };

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct rig_blob blob = { 0 };

        /* All but the last pages in pre-copy; one changes, one gets zero. */
        assert_int_equal(rig_state(&a, FERRY_STATE_PRE_COPY), FERRY_OK);
        assert_int_equal(rig_save(&a, READ_BYTES, &blob), FERRY_E_DRY);
        memory_of(&a)[5 * PAGE + 7] ^= 0x55;
        memset(memory_of(&a) + 9 * PAGE, 0, PAGE);
        assert_int_equal(rig_state(&a, FERRY_STATE_STOP_COPY), FERRY_OK);
        in_place = 0;
        save_lent(&blob, 0);
        assert_true(in_place > 0);
        memset(memory_of(&b), 0, BYTES);
        assert_int_equal(rig_state(&b, FERRY_STATE_RESUMING), FERRY_OK);
        assert_int_equal(load_in_place(&blob, most[i]), FERRY_OK);
        assert_true(in_place > blob.count / 2);
        assert_int_equal(rig_state(&b, FERRY_STATE_STOP), FERRY_OK);
        assert_memory_equal(memory_of(&b), memory_of(&a), BYTES);
        assert_int_equal(rig_state(&a, FERRY_STATE_RUNNING), FERRY_OK);
        rig_blob_free(&blob);
    }
}

static void damage_is_noticed_in_place_as_well(void **state)
{
    struct rig_blob blob = { 0 };

    (void)state;
    assert_int_equal(rig_state(&a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&a, READ_BYTES, &blob), FERRY_OK);
    blob.bytes[blob.count / 2] ^= 4;
    assert_int_equal(rig_state(&b, FERRY_STATE_RESUMING), FERRY_OK);
    /* A page that is wrong is only found out by the sum at the end. */
    assert_int_equal(load_in_place(&blob, READ_BYTES), FERRY_E_CORRUPT);
    assert_int_equal(rig_state(&b, FERRY_STATE_STOP), FERRY_E_CORRUPT);
    rig_blob_free(&blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_lent_stream_is_that_of_reads, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_lent_and_put_in_place_is_the_device,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_noticed_in_place_as_well, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
