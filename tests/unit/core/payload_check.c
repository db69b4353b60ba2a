/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "payload_check.h"

uint8_t memory[FERRY_RECORD_CONTROL_MAX];
struct ferry_writer writer;

void begin(void)
{
    memset(memory, 0, sizeof(memory));
    ferry_writer_init(&writer, memory, sizeof(memory));
}

int decode(get_function *get, const uint8_t *payload, size_t bytes,
           struct ferry_error *reterr)
{
    uint8_t *exact = malloc(bytes ? bytes : 1);
    int rc;

    assert_non_null(exact);
    memcpy(exact, payload, bytes);
    rc = get(exact, bytes, reterr);
    free(exact);
    return rc;
}

void check_length(get_function *get)
{
    struct ferry_error error;
    size_t bytes;

    assert_false(writer.overflow);
    assert_int_equal(decode(get, memory, writer.pos, &error), FERRY_OK);
    for (bytes = 0; bytes < writer.pos; bytes++) {
        assert_int_equal(decode(get, memory, bytes, &error), FERRY_E_SHORT);
        assert_string_equal(error.rule, "STR-PAY-1");
    }
    assert_int_equal(decode(get, memory, writer.pos + 1, &error), FERRY_E_LONG);
    assert_string_equal(error.rule, "STR-PAY-1");
    assert_int_equal(error.offset, writer.pos);
}

void refuse_u32(get_function *get, size_t off, uint32_t value, int code, const char *rule)
{
    struct ferry_error error;
    uint8_t old[4];

    memcpy(old, memory + off, 4);
    ferry_store_le32(memory + off, value);
    assert_int_equal(decode(get, memory, writer.pos, &error), code);
    assert_string_equal(error.rule, rule);
    assert_string_equal(error.layer, "stream");
    if (strcmp(rule, "STR-PAY-1") != 0) {
        assert_true(error.offset <= off + 4);
    }
    memcpy(memory + off, old, 4);
}
