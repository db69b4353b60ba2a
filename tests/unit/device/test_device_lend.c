/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "ferry/filter.h"
#include "test_device_toy.h"

/* Devices that lend their state and name places for what is loaded: the same streams. */

#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)
#define STREAM_MAX (1u << 20)
#define READ_MIN 65544u /* a shorter read copies */

/* How the author behaves: bytes of a segment, and which segments are in the buffer. */
static struct {
    uint32_t segment;      /* most bytes at a time; 0: no limit */
    uint32_t copied_every; /* every so many segments are copied; 0: none */
    uint32_t count;        /* of segments so far */
    int odd;               /* not 0: answers this instead */
    int nowhere;           /* 1: names no address */
    uint32_t lent, placed; /* bytes */
    int done_status;       /* of load_done */
} author;

static struct ferry_device_ops lending;
static uint8_t *whole, *stream, *scratch;

static int segment_is_copied(void)
{
    author.count++;
    return author.copied_every != 0 && author.count % author.copied_every == 0;
}

static uint32_t segment_bytes(uint32_t left, size_t most)
{
    if (author.segment != 0 && left > author.segment) {
        left = author.segment;
    }
    return left < most ? left : (uint32_t)most;
}

static int save_lend(void *state, struct ferry_device *device, void *buffer, size_t cap,
                     const void **ret_data)
{
    struct toy *toy = state;
    uint32_t len = segment_bytes(toy->state_bytes - toy->save_pos, cap);

    assert_int_equal(ferry_device_state(device), FERRY_STATE_STOP_COPY);
    if (author.odd != 0) {
        return author.odd;
    }
    *ret_data = toy->state + toy->save_pos;
    if (segment_is_copied()) {
        memcpy(buffer, toy->state + toy->save_pos, len);
        *ret_data = buffer;
    } else {
        author.lent += len;
    }
    if (author.nowhere) {
        *ret_data = NULL;
    }
    toy->save_pos += len;
    return (int)len;
}

static size_t load_place(void *state, struct ferry_device *device, size_t most,
                         void **ret_place)
{
    struct toy *toy = state;

    assert_int_equal(ferry_device_state(device), FERRY_STATE_RESUMING);
    if (author.odd != 0) {
        return most + 1;
    }
    *ret_place = author.nowhere ? NULL : toy->state + toy->load_pos;
    return segment_is_copied() ? 0 : segment_bytes(TOY_STATE_MAX - toy->load_pos, most);
}

static int load_done(void *state, struct ferry_device *device, size_t count)
{
    struct toy *toy = state;

    (void)device;
    toy->load_pos += (uint32_t)count;
    author.placed += (uint32_t)count;
    return author.done_status;
}

static void lends(struct ferry_device_desc *desc)
{
    lending = *desc->ops;
    lending.save_lend = save_lend;
    lending.load_place = load_place;
    lending.load_done = load_done;
    desc->ops = &lending;
}

static int setup(void **state)
{
    (void)state;
    memset(&author, 0, sizeof(author));
    whole = calloc(1, STREAM_MAX);
    stream = calloc(1, STREAM_MAX);
    scratch = calloc(1, STREAM_MAX);
    return whole == NULL || stream == NULL || scratch == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(whole);
    free(stream);
    free(scratch);
    return 0;
}

static void fill(struct toy *toy, uint32_t bytes)
{
    toy->state_bytes = bytes;
    for (uint32_t i = 0; i < bytes; i++) {
        toy->state[i] = (uint8_t)(i * 31 + i / 256 + 5);
    }
}

/* The stream as a device without these operations gives it. */
static uint64_t plain_stream(uint32_t bytes)
{
    struct toy *toy = toy_new(ALL, 1);
    uint64_t total;

    fill(toy, bytes);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    total = toy_save(toy, whole, STREAM_MAX - READ_MIN, 600);
    toy_free(toy);
    return total;
}

static int lend(struct toy *toy, uint64_t size, struct ferry_data_piece *piece,
                struct ferry_data_io *ret_io)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    int status;

    memset(scratch, 0xa5, STREAM_MAX);
    request.u.data =
        (struct ferry_data_io){ .data = scratch, .size = size, .piece = piece };
    status = toy_ask(toy, &request);
    *ret_io = request.u.data;
    return status;
}

/* Every byte of a read to `to`. Return: how many. */
static uint64_t collect(const struct ferry_data_io *io, uint8_t *to)
{
    uint64_t total = 0;

    assert_true(io->piece_count <= FERRY_DATA_PIECES_MAX);
    for (uint32_t i = 0; i < io->piece_count; i++) {
        assert_true(io->piece[i].size > 0);
        memcpy(to + total, io->piece[i].data, io->piece[i].size);
        total += io->piece[i].size;
    }
    if (io->piece_count == 0) {
        memcpy(to, scratch, io->got);
        total = io->got;
    }
    assert_int_equal(total, io->got);
    return total;
}

/* Reads all of it. mixed: every third read is one that copies. */
static uint64_t lent_stream(struct toy *toy, uint64_t size, int mixed)
{
    struct ferry_data_piece piece[FERRY_DATA_PIECES_MAX];
    struct ferry_data_io io;
    uint64_t total = 0;

    for (uint32_t i = 1;; i++) {
        assert_int_equal(lend(toy, size, mixed && i % 3 == 0 ? NULL : piece, &io),
                         FERRY_OK);
        assert_true(io.got <= size && total + io.got <= STREAM_MAX);
        if (io.got == 0) {
            return total;
        }
        total += collect(&io, stream + total);
    }
}

static void what_is_lent_is_the_stream_of_plain_reads(void **state)
{
    static const uint32_t sizes[] = { 0, 1, 65535, 65536, 65537, TOY_STATE_MAX };
    static const uint32_t segments[] = { 0, 61, 1000, 61440, 65536 };
    static const uint32_t copied[] = { 0, 1, 2, 3 };
    static const uint64_t reads[] = { 1000, READ_MIN, 70001, 600000 };

    (void)state;
    for (uint32_t n = 0; n < 6u * 5 * 4 * 4 * 2; n++) {
        struct toy *toy = toy_new_with(ALL, 1, lends);
        const uint32_t bytes = sizes[n % 6];
        const uint64_t total = plain_stream(bytes);

        author.segment = segments[n / 6 % 5];
        author.copied_every = copied[n / 30 % 4];
        author.lent = author.count = 0;
        fill(toy, bytes);
        assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
        assert_int_equal(lent_stream(toy, reads[n / 120 % 4], n / 480 == 1), total);
        assert_memory_equal(stream, whole, total);
        if (n < 480) {
            assert_int_equal(author.lent > 0, bytes > 0 && author.copied_every != 1 &&
                                                  reads[n / 120 % 4] >= READ_MIN);
        }
        toy_free(toy);
    }
}

static void lent_bytes_stay_where_they_are(void **state)
{
    struct toy *toy = toy_new_with(ALL, 1, lends);
    struct ferry_data_piece piece[FERRY_DATA_PIECES_MAX];
    struct ferry_data_io io;

    (void)state;
    fill(toy, TOY_STATE_MAX);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(lend(toy, 600000, piece, &io), FERRY_OK);
    /* Header, latch and first frame's head; its bytes; head, bytes... */
    assert_int_equal(io.piece_count, 9);
    for (uint32_t i = 1; i < 8; i += 2) {
        assert_ptr_equal(io.piece[i].data, toy->state + i / 2 * 65536);
    }
    assert_ptr_equal(io.piece[0].data, scratch);
    toy_free(toy);
}

static void a_device_without_the_operation_copies(void **state)
{
    struct toy *toy = toy_new(ALL, 1);
    struct ferry_data_piece piece[FERRY_DATA_PIECES_MAX];
    struct ferry_data_io io;

    (void)state;
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(lend(toy, 600000, piece, &io), FERRY_OK);
    assert_int_equal(io.piece_count, 0);
    assert_int_equal(io.got, plain_stream(5));
    toy_free(toy);
}

static void nothing_is_lent_while_the_device_runs(void **state)
{
    struct toy *toy = toy_new_with(ALL, 1, lends);
    struct ferry_data_piece piece[FERRY_DATA_PIECES_MAX];
    struct ferry_data_io io;

    (void)state;
    fill(toy, 100000);
    toy->precopy_bytes = 90000;
    assert_int_equal(toy_set(toy, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(lend(toy, 600000, piece, &io), FERRY_OK);
    assert_int_equal(io.piece_count, 0);
    assert_int_equal(author.lent, 0);
    assert_true(io.got > 90000);
    toy_free(toy);
}

static void a_lender_that_errs_fails_the_read(void **state)
{
    static const int answers[] = { 70000, FERRY_E_DRY, FERRY_E_IO };
    static const int told[] = { FERRY_E_DEVICE, FERRY_E_DEVICE, FERRY_E_IO };
    struct ferry_data_piece piece[FERRY_DATA_PIECES_MAX];
    struct ferry_data_io io;

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct toy *toy = toy_new_with(ALL, 1, lends);

        assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
        author.odd = i < 3 ? answers[i] : 0;
        author.nowhere = i == 3;
        if (i == 1 || i == 2) { /* what there is before goes out, then the failure */
            assert_int_equal(lend(toy, 600000, piece, &io), FERRY_OK);
            assert_true(io.got > 0 && io.got < 100);
        }
        assert_int_equal(lend(toy, 600000, piece, &io), i < 3 ? told[i] : FERRY_E_DEVICE);
        author.odd = author.nowhere = 0;
        /* What was lost by a mistake cannot be made good. */
        assert_int_equal(lend(toy, 600000, piece, &io),
                         i == 1 || i == 2 ? FERRY_OK : FERRY_E_DEVICE);
        assert_int_equal(lend(toy, 600000, NULL, &io),
                         i == 1 || i == 2 ? FERRY_OK : FERRY_E_DEVICE);
        toy_free(toy);
    }
}

static int give(struct toy *toy, const void *data, uint64_t size, uint32_t placed)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };
    void *bytes;

    memcpy(&bytes, &data, sizeof(bytes)); /* a write only reads it */
    request.u.data =
        (struct ferry_data_io){ .data = bytes, .size = size, .placed = placed };
    return toy_ask(toy, &request);
}

/* Loads as a receiver does that gets at most `most` bytes at a time. */
static int load_by_places(struct toy *toy, uint64_t total, uint64_t most)
{
    int status = FERRY_OK;

    for (uint64_t at = 0; at < total && status == FERRY_OK;) {
        struct ferry_data_place place = { 0 };
        uint64_t left = total - at < most ? total - at : most, part = 0;

        status = toy->endpoint->ops->place(toy->endpoint, total - at, &place);
        if (status != FERRY_OK) {
            return status;
        }
        assert_true(place.size + place.rest > 0);
        assert_true(place.size + place.rest <= total - at + 8);
        part = place.size < left ? place.size : left;
        if (part > 0) {
            memcpy(place.data, whole + at, part);
            status = give(toy, NULL, part, 1);
        }
        at += part;
        left -= part;
        part = place.rest < left ? place.rest : left;
        if (status == FERRY_OK && part > 0) {
            status = give(toy, whole + at, part, 0);
        }
        at += part;
    }
    return status;
}

static void what_is_put_in_place_is_loaded(void **state)
{
    static const uint32_t sizes[] = { 1, 65537, TOY_STATE_MAX };
    static const uint32_t segments[] = { 0, 61, 61440 };
    static const uint32_t copied[] = { 0, 1, 2 };
    static const uint64_t most[] = { 7, 4099, 65536, 70001 };
    uint8_t *expected = malloc(TOY_STATE_MAX);

    (void)state;
    for (uint32_t n = 0; n < 3u * 3 * 3 * 4; n++) {
        struct toy *toy = toy_new_with(ALL, 1, lends);
        const uint64_t total = plain_stream(sizes[n % 3]);

        author.segment = segments[n / 3 % 3];
        author.copied_every = copied[n / 9 % 3];
        author.placed = author.count = 0;
        fill(toy, sizes[n % 3]);
        memcpy(expected, toy->state, sizes[n % 3]);
        memset(toy->state, 0, sizeof(toy->state));
        assert_int_equal(toy_set(toy, FERRY_STATE_RESUMING), FERRY_OK);
        assert_int_equal(load_by_places(toy, total, most[n / 27]), FERRY_OK);
        assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
        assert_memory_equal(toy->state, expected, sizes[n % 3]);
        assert_int_equal(author.placed > 0, author.copied_every != 1);
        toy_free(toy);
    }
    free(expected);
}

static void places_are_named_only_while_a_state_is_loaded(void **state)
{
    struct toy *toy = toy_new_with(ALL, 1, lends);
    struct toy *plain = toy_new(ALL, 1);
    struct ferry_data_place place;
    const uint64_t total = plain_stream(5);

    (void)state;
    assert_int_equal(toy->endpoint->ops->place(toy->endpoint, 10, &place),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(toy_set(toy, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy->endpoint->ops->place(toy->endpoint, 10, &place), FERRY_OK);
    assert_int_equal(load_by_places(toy, total, total), FERRY_OK);
    assert_int_equal(toy->endpoint->ops->place(toy->endpoint, 10, &place),
                     FERRY_E_UNSUPPORTED); /* nothing is to come */
    assert_int_equal(toy_set(plain, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(plain->endpoint->ops->place(plain->endpoint, 10, &place),
                     FERRY_E_UNSUPPORTED);
    toy_free(plain);
    toy_free(toy);
}

static void a_place_that_cannot_be_spoils_the_session(void **state)
{
    const uint64_t total = plain_stream(1000);

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct toy *toy = toy_new_with(ALL, 1, lends);

        author.odd = i == 0;
        author.nowhere = i == 1;
        author.done_status = i == 2 ? FERRY_E_INCOMPATIBLE : FERRY_OK;
        assert_int_equal(toy_set(toy, FERRY_STATE_RESUMING), FERRY_OK);
        assert_int_equal(load_by_places(toy, total, total),
                         i == 2 ? FERRY_E_INCOMPATIBLE : FERRY_E_UNSUPPORTED);
        assert_int_equal(give(toy, whole, 1, 0),
                         i == 2 ? FERRY_E_INCOMPATIBLE : FERRY_E_DEVICE);
        assert_int_equal(toy_set(toy, FERRY_STATE_STOP),
                         i == 2 ? FERRY_E_INCOMPATIBLE : FERRY_E_DEVICE);
        toy_free(toy);
    }
}

static void naming_places_and_not_taking_them_is_no_device(void **state)
{
    struct ferry_device_desc desc;
    struct ferry_device *device = NULL;
    struct ferry_error error = { 0 };

    (void)state;
    toy_describe(&desc, NULL, ALL, 1);
    lends(&desc);
    lending.load_done = NULL;
    assert_int_equal(ferry_device_create(&desc, &device, &error), FERRY_E_ARGUMENT);
    assert_non_null(strstr(error.text, "load_done"));
}

static void a_filter_sees_every_byte(void **state)
{
    struct toy *toy = toy_new_with(ALL, 1, lends);
    struct ferry_endpoint *device = toy->endpoint;
    struct ferry_data_piece piece[FERRY_DATA_PIECES_MAX];
    struct ferry_data_io io;
    const uint64_t total = plain_stream(TOY_STATE_MAX);

    (void)state;
    device->ops->detach(device);
    assert_int_equal(ferry_filter_open(device, "corrupt=read:20000.0,short=read:300000",
                                       &toy->endpoint, NULL),
                     FERRY_OK);
    assert_null(toy->endpoint->ops->place);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    fill(toy, TOY_STATE_MAX);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(lend(toy, 600000, piece, &io), FERRY_OK);
    assert_int_equal(io.piece_count, 0);
    assert_int_equal(author.lent, 0);
    assert_true(io.got > 20000 && io.got <= total);
    scratch[20000] ^= 1; /* as the filter did: in the reader's memory */
    assert_memory_equal(scratch, whole, io.got);
    /* The device's own is as it was. */
    assert_int_equal(toy->state[20000], (uint8_t)(20000 * 31 + 20000 / 256 + 5));
    toy->endpoint->ops->detach(toy->endpoint);
    ferry_filter_close(toy->endpoint);
    toy->endpoint = device;
    assert_int_equal(device->ops->attach(device, &toy->port), FERRY_OK);
    toy_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_lent_is_the_stream_of_plain_reads, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lent_bytes_stay_where_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_without_the_operation_copies, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nothing_is_lent_while_the_device_runs, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_lender_that_errs_fails_the_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_put_in_place_is_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(places_are_named_only_while_a_state_is_loaded,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_place_that_cannot_be_spoils_the_session, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(naming_places_and_not_taking_them_is_no_device,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_filter_sees_every_byte, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
