/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/writer.h"
#include "bridge/migration/data/frame.h"

/* The form of the data alone: docs/bridge-format.md. */

#define DATA_A 700u
#define DATA_B 33u
#define STREAM_MAX 16384u

static struct ferry_stream_hello_device hello;
static uint8_t stream[STREAM_MAX];
static size_t stream_bytes, header_bytes, end_at;
static uint8_t content[DATA_A + DATA_B];

static void fill_hello(void)
{
    struct ferry_identity *identity = &hello.identity;

    memset(&hello, 0, sizeof(hello));
    strcpy(hello.name, "acc0");
    hello.features = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P;
    strcpy(identity->model, "acc");
    identity->state_version = 3;
    identity->state_version_min = 2;
    identity->pci_vendor = 0x1af4;
    identity->migration_flags = FERRY_MIG_STOP_COPY;
    identity->key_count = 1;
    strcpy(identity->key[0].name, "sessions");
    identity->key[0].relation = FERRY_KEY_AT_LEAST;
    identity->key[0].value = 64;
}

static void put_data(struct bridge_frame_writer *writer, const uint8_t *data,
                     size_t bytes)
{
    bridge_frame_data(writer, data, bytes, stream + stream_bytes);
    memcpy(stream + stream_bytes + BRIDGE_FRAME_HEAD_BYTES, data, bytes);
    stream_bytes += BRIDGE_FRAME_HEAD_BYTES + bytes;
}

static int make_stream(void **state)
{
    struct bridge_frame_writer writer;
    size_t i;

    (void)state;
    fill_hello();
    for (i = 0; i < sizeof(content); i++) {
        content[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    header_bytes = stream_bytes = bridge_frame_begin(&writer, &hello, stream);
    put_data(&writer, content, DATA_A);
    put_data(&writer, content + DATA_A, DATA_B);
    stream_bytes += bridge_frame_irqs(&writer, 2, (const uint16_t[]){ 5, 2047 }, 2,
                                      stream + stream_bytes);
    end_at = stream_bytes;
    bridge_frame_end(&writer, stream + stream_bytes);
    stream_bytes += BRIDGE_FRAME_END_BYTES;
    return 0;
}

/* What a reader made of it. */
struct seen {
    uint8_t data[STREAM_MAX];
    size_t bytes;
    uint32_t headers, irqs, ends;
    struct ferry_error error;
};

/* Feeds one piece. Return: as bridge_frame_feed(). */
static int feed(struct bridge_frame_reader *reader, struct seen *seen,
                const uint8_t *data, size_t bytes)
{
    struct bridge_frame_part part;
    size_t used;
    int rc;

    do {
        rc = bridge_frame_feed(reader, data, bytes, &used, &part, &seen->error);
        assert_true(used <= bytes);
        if (rc == FERRY_OK && part.kind == BRIDGE_FRAME_DATA) {
            assert_ptr_equal(part.data, data + used - part.bytes);
            memcpy(seen->data + seen->bytes, part.data, part.bytes);
            seen->bytes += part.bytes;
        }
        if (rc == FERRY_OK && part.kind == BRIDGE_FRAME_IRQS) {
            seen->irqs += part.index == 2 && part.bytes == 4 &&
                          memcmp(part.data, "\5\0\377\7", 4) == 0;
        }
        seen->headers += rc == FERRY_OK && part.kind == BRIDGE_FRAME_HEADER;
        seen->ends += rc == FERRY_OK && part.kind == BRIDGE_FRAME_END;
        data += used;
        bytes -= used;
    } while (rc == FERRY_OK && part.kind != BRIDGE_FRAME_NONE);
    return rc;
}

static int read_all(const uint8_t *data, size_t bytes, struct seen *seen)
{
    struct bridge_frame_reader reader;

    bridge_frame_reader_init(&reader);
    memset(seen, 0, sizeof(*seen));
    return feed(&reader, seen, data, bytes);
}

static void it_comes_out_as_it_went_in_wherever_it_is_cut(void **state)
{
    struct bridge_frame_reader *reader = malloc(sizeof(*reader));
    struct seen seen;
    size_t cut;

    (void)state;
    assert_non_null(reader);
    for (cut = 0; cut <= stream_bytes; cut++) {
        bridge_frame_reader_init(reader);
        memset(&seen, 0, sizeof(seen));
        assert_int_equal(feed(reader, &seen, stream, cut), FERRY_OK);
        assert_int_equal(feed(reader, &seen, stream + cut, stream_bytes - cut), FERRY_OK);
        assert_int_equal(seen.headers, 1);
        assert_int_equal(seen.irqs, 1);
        assert_int_equal(seen.ends, 1);
        assert_int_equal(seen.bytes, sizeof(content));
        assert_memory_equal(seen.data, content, sizeof(content));
        assert_memory_equal(&reader->source, &hello, sizeof(hello));
        assert_int_equal(reader->length, sizeof(content));
    }
    free(reader);
}

static void it_comes_byte_by_byte_too(void **state)
{
    struct bridge_frame_reader reader;
    struct seen seen = { .bytes = 0 };
    size_t i;

    (void)state;
    bridge_frame_reader_init(&reader);
    for (i = 0; i < stream_bytes; i++) {
        assert_int_equal(seen.ends, 0);
        assert_int_equal(feed(&reader, &seen, stream + i, 1), FERRY_OK);
    }
    assert_int_equal(seen.ends, 1);
    assert_memory_equal(seen.data, content, sizeof(content));
}

static void what_is_cut_off_never_ends(void **state)
{
    struct seen seen;
    size_t bytes;

    (void)state;
    for (bytes = 0; bytes < stream_bytes; bytes++) {
        assert_int_equal(read_all(stream, bytes, &seen), FERRY_OK);
        assert_int_equal(seen.ends, 0);
    }
}

static void every_damaged_byte_is_found(void **state)
{
    struct seen seen;
    size_t i;

    (void)state;
    for (i = 0; i < stream_bytes; i++) {
        stream[i] ^= 0x10;
        /* A length that grew may leave it waiting, but nothing ends. */
        (void)read_all(stream, stream_bytes, &seen);
        assert_int_equal(seen.ends, 0);
        stream[i] ^= 0x10;
    }
    assert_int_equal(read_all(stream, stream_bytes, &seen), FERRY_OK);
    assert_int_equal(seen.ends, 1);
}

static void assert_refused(size_t bytes, int code, const char *text)
{
    struct seen seen;

    assert_int_equal(read_all(stream, bytes, &seen), code);
    assert_int_equal(seen.error.code, code);
    if (!strstr(seen.error.text, text)) {
        fail_msg("\"%s\" is not in \"%s\"", text, seen.error.text);
    }
    assert_int_equal(seen.ends, 0);
}

static void a_wrong_hash_is_refused(void **state)
{
    (void)state;
    stream[header_bytes + BRIDGE_FRAME_HEAD_BYTES + 5] ^= 1;
    assert_refused(stream_bytes, FERRY_E_CORRUPT, "hash");
}

static void bytes_behind_the_end_are_refused(void **state)
{
    struct bridge_frame_reader reader;
    struct seen seen = { .bytes = 0 };

    (void)state;
    bridge_frame_reader_init(&reader);
    assert_int_equal(feed(&reader, &seen, stream, stream_bytes), FERRY_OK);
    assert_int_equal(feed(&reader, &seen, stream, 0), FERRY_OK);
    assert_int_equal(feed(&reader, &seen, stream, 1), FERRY_E_LONG);
    assert_int_equal(feed(&reader, &seen, stream, 1), FERRY_E_LONG);
}

static void data_that_is_missing_or_twice_there_is_refused(void **state)
{
    size_t a = BRIDGE_FRAME_HEAD_BYTES + DATA_A, at = header_bytes;

    (void)state;
    /* The first DATA is taken out. */
    memmove(stream + at, stream + at + a, stream_bytes - at - a);
    assert_refused(stream_bytes - a, FERRY_E_PROTOCOL, "place");
    /* The last is, and what follows it stays. */
    (void)make_stream(NULL);
    at += a;
    a = BRIDGE_FRAME_HEAD_BYTES + DATA_B;
    memmove(stream + at, stream + at + a, stream_bytes - at - a);
    assert_refused(stream_bytes - a, FERRY_E_SHORT, "another number of bytes");
    /* It is there twice. */
    (void)make_stream(NULL);
    memmove(stream + at + a, stream + at, stream_bytes - at);
    assert_refused(stream_bytes + a, FERRY_E_PROTOCOL, "place");
    /* END says less. */
    (void)make_stream(NULL);
    ferry_store_le64(stream + end_at + 8, DATA_A);
    assert_refused(stream_bytes, FERRY_E_LONG, "another number of bytes");
}

static void what_no_bridge_wrote_is_refused(void **state)
{
    (void)state;
    memset(stream, 0x55, 64);
    assert_refused(64, FERRY_E_FOREIGN, "not written by a bridge");
    (void)make_stream(NULL);
    ferry_store_le32(stream, BRIDGE_FRAME_DATA);
    assert_refused(stream_bytes, FERRY_E_FOREIGN, "not written by a bridge");
}

static void a_newer_version_is_refused_by_name(void **state)
{
    (void)state;
    ferry_store_le32(stream + BRIDGE_FRAME_HEAD_BYTES, BRIDGE_FRAME_VERSION + 1);
    assert_refused(stream_bytes, FERRY_E_VERSION, "version");
    (void)make_stream(NULL);
    ferry_store_le32(stream + BRIDGE_FRAME_HEAD_BYTES + 4, 1);
    assert_refused(stream_bytes, FERRY_E_VERSION, "options");
}

static void an_option_that_may_be_unknown_is_passed_over(void **state)
{
    struct seen seen;

    (void)state;
    ferry_store_le32(stream + BRIDGE_FRAME_HEAD_BYTES + 4, 0x10000);
    /* It is hashed as well: only END can tell. */
    assert_int_equal(read_all(stream, end_at, &seen), FERRY_OK);
    assert_int_equal(seen.headers, 1);
    assert_int_equal(read_all(stream, stream_bytes, &seen), FERRY_E_CORRUPT);
}

static void insert_unit(uint32_t kind, uint32_t length)
{
    uint8_t *at = stream + header_bytes;

    memmove(at + BRIDGE_FRAME_HEAD_BYTES + length, at, stream_bytes - header_bytes);
    ferry_store_le32(at, kind);
    ferry_store_le32(at + 4, length);
    ferry_store_le64(at + 8, 99);
    memset(at + BRIDGE_FRAME_HEAD_BYTES, 1, length);
    stream_bytes += BRIDGE_FRAME_HEAD_BYTES + length;
}

static void an_unknown_unit_is_passed_over_only_when_it_may_be(void **state)
{
    struct seen seen;
    uint32_t length;

    (void)state;
    for (length = 0; length < 40; length += 13) {
        (void)make_stream(NULL);
        insert_unit(BRIDGE_FRAME_OPTIONAL | 77, length);
        assert_int_equal(read_all(stream, stream_bytes, &seen), FERRY_OK);
        assert_int_equal(seen.ends, 1);
        assert_memory_equal(seen.data, content, sizeof(content));
    }
    (void)make_stream(NULL);
    insert_unit(77, 4);
    assert_refused(stream_bytes, FERRY_E_MESSAGE, "newer bridge");
    (void)make_stream(NULL);
    insert_unit(BRIDGE_FRAME_HEADER, 4);
    assert_refused(stream_bytes, FERRY_E_MESSAGE, "does not know");
}

static void every_length_has_a_limit(void **state)
{
    (void)state;
    ferry_store_le32(stream + 4, BRIDGE_FRAME_BODY_MAX + 1);
    assert_refused(stream_bytes, FERRY_E_LIMIT, "HEADER");
    (void)make_stream(NULL);
    ferry_store_le32(stream + 4, 7);
    assert_refused(stream_bytes, FERRY_E_LIMIT, "HEADER");
    (void)make_stream(NULL);
    ferry_store_le32(stream + header_bytes + 4, BRIDGE_FRAME_DATA_MAX + 1);
    assert_refused(stream_bytes, FERRY_E_LIMIT, "DATA");
    (void)make_stream(NULL);
    ferry_store_le32(stream + header_bytes + 4, 0);
    assert_refused(stream_bytes, FERRY_E_LIMIT, "DATA");
    (void)make_stream(NULL);
    ferry_store_le32(stream + end_at - 20 + 4, 3);
    assert_refused(stream_bytes, FERRY_E_LIMIT, "IRQS");
    (void)make_stream(NULL);
    ferry_store_le64(stream + end_at - 20 + 8, 3);
    assert_refused(stream_bytes, FERRY_E_PROTOCOL, "MSI");
    (void)make_stream(NULL);
    ferry_store_le32(stream + end_at + 4, 17);
    assert_refused(stream_bytes, FERRY_E_LIMIT, "END");
    (void)make_stream(NULL);
    insert_unit(BRIDGE_FRAME_OPTIONAL | 77, 4);
    ferry_store_le32(stream + header_bytes + 4, BRIDGE_FRAME_BODY_MAX + 1);
    assert_refused(stream_bytes, FERRY_E_LIMIT, "optional");
}

static void a_header_of_another_size_is_refused(void **state)
{
    struct seen seen;

    (void)state;
    /* One key more than there is room for. */
    ferry_store_le32(stream + 4, (uint32_t)header_bytes - BRIDGE_FRAME_HEAD_BYTES - 1);
    assert_int_equal(read_all(stream, stream_bytes, &seen), FERRY_E_SHORT);
    (void)make_stream(NULL);
    ferry_store_le32(stream + 4, (uint32_t)header_bytes - BRIDGE_FRAME_HEAD_BYTES + 1);
    assert_int_equal(read_all(stream, stream_bytes, &seen), FERRY_E_LONG);
}

static void the_longest_header_fits(void **state)
{
    static struct bridge_frame_writer writer;
    uint8_t bytes[BRIDGE_FRAME_HEADER_MAX];
    struct seen seen;
    uint32_t i;

    (void)state;
    hello.identity.key_count = FERRY_KEYS_MAX;
    for (i = 1; i < FERRY_KEYS_MAX; i++) {
        hello.identity.key[i] = hello.identity.key[0];
    }
    assert_int_equal(bridge_frame_begin(&writer, &hello, bytes), BRIDGE_FRAME_HEADER_MAX);
    assert_int_equal(read_all(bytes, sizeof(bytes), &seen), FERRY_OK);
    assert_int_equal(seen.headers, 1);
}

#define TEST(name) cmocka_unit_test_setup(name, make_stream)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_comes_out_as_it_went_in_wherever_it_is_cut),
        TEST(it_comes_byte_by_byte_too),
        TEST(what_is_cut_off_never_ends),
        TEST(every_damaged_byte_is_found),
        TEST(a_wrong_hash_is_refused),
        TEST(bytes_behind_the_end_are_refused),
        TEST(data_that_is_missing_or_twice_there_is_refused),
        TEST(what_no_bridge_wrote_is_refused),
        TEST(a_newer_version_is_refused_by_name),
        TEST(an_option_that_may_be_unknown_is_passed_over),
        TEST(an_unknown_unit_is_passed_over_only_when_it_may_be),
        TEST(every_length_has_a_limit),
        TEST(a_header_of_another_size_is_refused),
        TEST(the_longest_header_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
