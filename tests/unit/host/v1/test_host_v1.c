/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_v1.h"
#include "ferry/host.h"
#include "host/backend/v1/v1.h"

/* A device with uAPI v1 seen through the backend that makes it one of v2. */

struct rig {
    struct fake_v1 fake;
    struct ferry_backend *backend;
    struct ferry_error error;
};

static int on_dma(void *user, uint64_t iova, void *data, size_t size)
{
    (void)user;
    (void)iova;
    (void)data;
    (void)size;
    return FERRY_E_RANGE;
}

static int on_dma_write(void *user, uint64_t iova, const void *data, size_t size)
{
    (void)user;
    (void)iova;
    (void)data;
    (void)size;
    return FERRY_E_RANGE;
}

static int connect_rig(struct rig *rig)
{
    const struct ferry_backend_options options = { .struct_size = sizeof(options),
                                                   .timeout_ms = 50,
                                                   .memory = { on_dma, on_dma_write,
                                                               NULL } };
    struct ferry_backend *below;
    int rc;

    assert_int_equal(
        ferry_backend_from_endpoint(&rig->fake.endpoint, &options, &below, NULL),
        FERRY_OK);
    rig->error.text[0] = '\0';
    rc = ferry_backend_v1_find(below, &rig->backend, &rig->error);
    if (rc != FERRY_OK) {
        below->ops->close(below);
        rig->backend = NULL;
    }
    return rc;
}

static void open_form(struct rig *rig, uint32_t form)
{
    fake_v1_open(&rig->fake, form);
    assert_int_equal(connect_rig(rig), FERRY_OK);
}

static void open_rig(struct rig *rig)
{
    open_form(rig, FAKE_TRAPPED);
}

static void close_rig(struct rig *rig)
{
    if (rig->backend) {
        rig->backend->ops->close(rig->backend);
    }
    fake_v1_close(&rig->fake);
}

static int call(struct rig *rig, struct ferry_request *request)
{
    rig->error.text[0] = '\0';
    request->reterr = &rig->error;
    return rig->backend->ops->call(rig->backend, request);
}

static int get_state(struct rig *rig, uint32_t *ret_state)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };
    const int rc = call(rig, &request);

    *ret_state = request.u.state;
    return rc;
}

static int set_state(struct rig *rig, uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .u.state = state };

    return call(rig, &request);
}

static int read_data(struct rig *rig, void *data, uint64_t size, uint64_t *ret_got)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    int rc;

    request.u.data = (struct ferry_data_io){ .data = data, .size = size };
    rc = call(rig, &request);
    *ret_got = request.u.data.got;
    return rc;
}

static int write_data(struct rig *rig, void *data, uint64_t size)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };

    request.u.data = (struct ferry_data_io){ .data = data, .size = size };
    return call(rig, &request);
}

static void assert_text(const struct rig *rig, const char *part)
{
    if (strstr(rig->error.text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, rig->error.text);
    }
}

static void assert_trace(struct rig *rig, const char *trace)
{
    assert_string_equal(rig->fake.trace, trace);
    fake_v1_forget(&rig->fake);
}

/* --- opening --- */

static void a_device_with_the_region_is_one_of_v2_for_everyone_above(void **state)
{
    struct rig rig;
    struct ferry_request request = { .kind = FERRY_RQ_MIG_FLAGS };

    (void)state;
    open_rig(&rig);
    assert_int_equal(call(&rig, &request), FERRY_OK);
    assert_int_equal(request.u.mig_flags, FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY);
    assert_true(rig.backend->ops->extensions(rig.backend) & FERRY_VIEW_UAPI_V1);
    close_rig(&rig);
}

static void a_device_without_the_region_stays_as_it_is(void **state)
{
    struct rig rig;

    (void)state;
    fake_v1_open(&rig.fake, FAKE_TRAPPED);
    rig.fake.shy = 1;
    assert_int_equal(connect_rig(&rig), FERRY_OK);
    assert_string_equal(rig.backend->ops->scheme, "local");
    close_rig(&rig);
}

static void a_region_that_cannot_be_one_is_refused_with_its_reason(void **state)
{
    static const struct {
        uint64_t region_bytes, area_off, area_bytes;
        uint32_t flags, form;
        const char *text;
    } rows[] = {
        { 32, 0, 0, 3, FAKE_TRAPPED, "no room for data" },
        { 0, 0, 0, 3, FAKE_TRAPPED, "no room for data" },
        { UINT64_MAX, 0, 0, 3, FAKE_TRAPPED, "no room for data" },
        { 0x6000, 0, 0, FERRY_REGION_READ, FAKE_TRAPPED, "both read and written" },
        { 0x6000, 0, 0, FERRY_REGION_WRITE, FAKE_TRAPPED, "both read and written" },
        { 0x6000, 0, 0x1000, 3, FAKE_MAPPED, "its registers can be mapped" },
        { 0x6000, 0x1000, 0x5001, 3, FAKE_MAPPED, "mmappable area" },
        { 0x6000, 0x1000, 0x6000, 3, FAKE_MAPPED, "mmappable area" },
        { 0x6000, 0x1001, 0x1000, 3, FAKE_MAPPED, "mmappable area" },
        { 0x6000, 0x1000, 0, 3, FAKE_MAPPED, "mmappable area" },
        { 0x6000, UINT64_MAX - 0xfff, 0x1000, 3, FAKE_MAPPED, "mmappable area" },
    };
    struct rig rig;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fake_v1_open(&rig.fake, rows[i].form);
        rig.fake.region_bytes = rows[i].region_bytes;
        rig.fake.region_flags = rows[i].flags;
        rig.fake.area_off = rows[i].area_off;
        rig.fake.area_bytes = rows[i].area_bytes;
        assert_int_equal(connect_rig(&rig), FERRY_E_PROTOCOL);
        assert_text(&rig, rows[i].text);
        close_rig(&rig);
    }
}

static void only_what_v1_can_tell_is_there(void **state)
{
    static const struct {
        uint32_t index, operation;
        int status;
    } rows[] = {
        { 1, FERRY_FEATURE_GET, FERRY_OK },
        { 1, FERRY_FEATURE_SET, FERRY_E_UNSUPPORTED },
        { 2, FERRY_FEATURE_GET, FERRY_OK },
        { 2, FERRY_FEATURE_SET, FERRY_OK },
        { 6, FERRY_FEATURE_SET, FERRY_E_UNSUPPORTED }, /* the fake has no log */
        { 9, FERRY_FEATURE_GET, FERRY_E_UNSUPPORTED },
        { 0xfe01, FERRY_FEATURE_GET, FERRY_OK },
    };
    static const uint32_t refused[] = { FERRY_RQ_DATA_SIZE, FERRY_RQ_DATA_FD,
                                        FERRY_RQ_LEAVE_STATE };
    struct rig rig;

    (void)state;
    open_rig(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ferry_request request = { .kind = FERRY_RQ_PROBE };

        request.u.probe.index = rows[i].index;
        request.u.probe.operation = rows[i].operation;
        assert_int_equal(call(&rig, &request), rows[i].status);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct ferry_request request = { .kind = refused[i] };

        assert_int_equal(call(&rig, &request), FERRY_E_UNSUPPORTED);
    }
    /* None of it read pending_bytes, which freezes a stopped device. */
    assert_trace(&rig, "");
    close_rig(&rig);
}

/* --- states --- */

/* MIG-V1-1, MIG-V1-5 */
static void every_combination_of_bits_is_translated_never_passed_through(void **state)
{
    static const struct {
        uint32_t bits;
        int status;
        uint32_t v2;
    } rows[] = {
        { 0, FERRY_OK, FERRY_STATE_STOP },      { 1, FERRY_OK, FERRY_STATE_RUNNING },
        { 2, FERRY_OK, FERRY_STATE_STOP_COPY }, { 3, FERRY_OK, FERRY_STATE_PRE_COPY },
        { 4, FERRY_OK, FERRY_STATE_RESUMING },  { 5, FERRY_E_PROTOCOL, 0 },
        { 6, FERRY_OK, FERRY_STATE_ERROR },     { 7, FERRY_E_PROTOCOL, 0 },
    };
    struct rig rig;

    (void)state;
    open_rig(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t seen;

        rig.fake.state = FAKE_V1_RESERVED | rows[i].bits;
        assert_int_equal(get_state(&rig, &seen), rows[i].status);
        if (rows[i].status == FERRY_OK) {
            assert_int_equal(seen, rows[i].v2);
        }
    }
    close_rig(&rig);
}

/* MIG-V1-4: reserved bits are kept */
static void each_legal_pair_of_states_is_walked_by_the_edges_of_v1(void **state)
{
    static const struct {
        uint32_t from, to;
        const char *trace;
    } rows[] = {
        { 1, FERRY_STATE_RUNNING, "s1" },
        { 1, FERRY_STATE_STOP, "s1 w0 s0" },
        { 1, FERRY_STATE_STOP_COPY, "s1 w2 s2" },
        { 1, FERRY_STATE_RESUMING, "s1 w4 s4" },
        { 1, FERRY_STATE_PRE_COPY, "s1 w3 s3" },
        { 0, FERRY_STATE_RUNNING, "s0 w1 s1" },
        { 0, FERRY_STATE_STOP_COPY, "s0 w2 s2" },
        { 0, FERRY_STATE_RESUMING, "s0 w4 s4" },
        { 0, FERRY_STATE_PRE_COPY, "s0 w1 s1 w3 s3" },
        { 2, FERRY_STATE_STOP, "s2 w0 s0" },
        { 2, FERRY_STATE_RUNNING, "s2 w0 s0 w1 s1" },
        { 2, FERRY_STATE_RESUMING, "s2 w0 s0 w4 s4" },
        { 4, FERRY_STATE_STOP, "s4 w0 s0" },
        { 4, FERRY_STATE_RUNNING, "s4 w1 s1" },
        { 4, FERRY_STATE_STOP_COPY, "s4 w0 s0 w2 s2" },
        { 4, FERRY_STATE_PRE_COPY, "s4 w1 s1 w3 s3" },
        { 3, FERRY_STATE_STOP, "s3 w1 s1 w0 s0" },
        { 3, FERRY_STATE_RUNNING, "s3 w1 s1" },
        { 3, FERRY_STATE_STOP_COPY, "s3 w2 s2" },
        { 3, FERRY_STATE_RESUMING, "s3 w1 s1 w4 s4" },
    };
    struct rig rig;

    (void)state;
    open_rig(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig.fake.state = FAKE_V1_RESERVED | rows[i].from;
        assert_int_equal(set_state(&rig, rows[i].to), FERRY_OK);
        assert_trace(&rig, rows[i].trace);
        assert_int_equal(rig.fake.state & ~FERRY_V1_MASK, FAKE_V1_RESERVED);
    }
    close_rig(&rig);
}

static void what_v1_or_v2_lack_is_refused_without_a_write(void **state)
{
    static const struct {
        uint32_t from, to;
    } rows[] = {
        { 1, FERRY_STATE_RUNNING_P2P },
        { 3, FERRY_STATE_PRE_COPY_P2P },
        { 2, FERRY_STATE_PRE_COPY },
        { 1, FERRY_STATE_ERROR },
        { 1, 8 },
        { 1, UINT32_MAX },
        { 6, FERRY_STATE_RUNNING },
        { 6, FERRY_STATE_STOP },
    };
    struct rig rig;

    (void)state;
    open_rig(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig.fake.state = FAKE_V1_RESERVED | rows[i].from;
        assert_int_equal(set_state(&rig, rows[i].to), FERRY_E_ARC);
        assert_int_equal(rig.fake.state, FAKE_V1_RESERVED | rows[i].from);
        assert_int_equal(strlen(rig.fake.trace), 2);
        fake_v1_forget(&rig.fake);
    }
    assert_text(&rig, "only a reset leaves the error state");
    close_rig(&rig);
}

/* MIG-V1-2 */
static void a_failed_write_is_read_back(void **state)
{
    struct rig rig;
    uint32_t seen;

    (void)state;
    open_rig(&rig);
    rig.fake.fail_bits = FERRY_V1_SAVING;
    rig.fake.fail_bits_status = FERRY_E_DEVICE;
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_E_DEVICE);
    assert_trace(&rig, "s1 w2 s1");
    assert_text(&rig, "it is in RUNNING");

    rig.fake.fail_bits_status = FERRY_E_DEVICE;
    rig.fake.fail_error = 1;
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_E_DEVICE);
    assert_text(&rig, "it is in ERROR");
    assert_int_equal(get_state(&rig, &seen), FERRY_OK);
    assert_int_equal(seen, FERRY_STATE_ERROR);
    close_rig(&rig);
}

/* MIG-V1-3 */
static void only_a_reset_leaves_the_error_state(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    struct rig rig;
    uint32_t seen;

    (void)state;
    open_rig(&rig);
    rig.fake.state = FAKE_V1_RESERVED | FERRY_V1_ERROR;
    assert_int_equal(set_state(&rig, FERRY_STATE_RUNNING), FERRY_E_ARC);
    assert_int_equal(call(&rig, &request), FERRY_OK);
    assert_int_equal(get_state(&rig, &seen), FERRY_OK);
    assert_int_equal(seen, FERRY_STATE_RUNNING);
    close_rig(&rig);
}

static void a_reset_that_leaves_the_bits_is_followed_by_a_write(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    struct rig rig;

    (void)state;
    open_rig(&rig);
    rig.fake.reset_keeps = 1;
    rig.fake.state = FAKE_V1_RESERVED | FERRY_V1_SAVING;
    assert_int_equal(call(&rig, &request), FERRY_OK);
    assert_trace(&rig, "R s2 w0 s0 w1 s1");
    rig.fake.fail_reset = FERRY_E_DEVICE;
    assert_int_equal(call(&rig, &request), FERRY_E_DEVICE);
    close_rig(&rig);
}

static void a_device_state_that_lies_is_found_out(void **state)
{
    static const struct {
        uint32_t lie;
        int status;
        const char *text;
    } rows[] = {
        { FAKE_STATE_NONE, FERRY_E_PROTOCOL, "a combination that is none (0x5)" },
        { FAKE_STATE_DEAF, FERRY_E_PROTOCOL, "succeeded and was not done" },
        { FAKE_STATE_ERROR, FERRY_E_DEVICE_ERROR, "is in the error state" },
        { FAKE_STATE_ASTRAY, FERRY_E_PROTOCOL, "neither the one before nor the error" },
    };
    struct rig rig;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        open_rig(&rig);
        rig.fake.lie = rows[i].lie;
        assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), rows[i].status);
        assert_text(&rig, rows[i].text);
        close_rig(&rig);
    }
}

/* --- saving --- */

static void save_pieces(struct rig *rig, uint64_t at, const uint64_t *pieces)
{
    static uint8_t data[0x6000];
    uint64_t got;

    for (size_t i = 0; pieces[i] != 0; i++) {
        memset(data, 0, sizeof(data));
        assert_int_equal(read_data(rig, data, sizeof(data), &got), FERRY_OK);
        assert_int_equal(got, pieces[i]);
        for (uint64_t n = 0; n < got; n++) {
            assert_int_equal(data[n], fake_v1_byte(at + n));
        }
        at += got;
    }
}

static void each_form_of_the_section_gives_one_transaction_a_read(void **state)
{
    static const uint64_t precopy[FAKE_V1_PIECES] = { 1, 4096, 0x2345 };
    static const uint64_t stopped[FAKE_V1_PIECES] = { 0x2fff, 7, 0x1000 };
    uint64_t got;
    struct rig rig;
    uint8_t byte;

    (void)state;
    for (uint32_t form = FAKE_TRAPPED; form <= FAKE_PARTITIONED; form++) {
        for (uint32_t wander = 0; wander < 2; wander++) {
            open_form(&rig, form);
            rig.fake.wander = wander;
            memcpy(rig.fake.precopy, precopy, sizeof(precopy));
            memcpy(rig.fake.stopped, stopped, sizeof(stopped));
            assert_int_equal(set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
            save_pieces(&rig, 0, precopy);
            assert_int_equal(read_data(&rig, &byte, 1, &got), FERRY_E_DRY);
            assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
            save_pieces(&rig, 1 + 4096 + 0x2345, stopped);
            assert_int_equal(read_data(&rig, &byte, 1, &got), FERRY_OK);
            assert_int_equal(got, 0);
            close_rig(&rig);
        }
    }
}

static void a_mapped_section_takes_no_request_for_its_data(void **state)
{
    uint8_t data[0x3000];
    struct rig rig;
    uint64_t got;

    (void)state;
    open_form(&rig, FAKE_MAPPED);
    rig.fake.stopped[0] = 0x1800;
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_trace(&rig, "P O S");
    close_rig(&rig);

    open_form(&rig, FAKE_PARTITIONED);
    rig.fake.stopped[0] = 0x1800;
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_trace(&rig, "P O S r");
    close_rig(&rig);
}

static void a_reader_with_little_memory_gets_a_transaction_in_parts(void **state)
{
    struct rig rig;
    uint64_t got, at = 0;
    uint8_t byte;

    (void)state;
    open_rig(&rig);
    rig.fake.precopy[0] = 3;
    rig.fake.stopped[0] = 2;
    assert_int_equal(set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(read_data(&rig, &byte, 1, &got), FERRY_OK);
    assert_int_equal(byte, fake_v1_byte(at++));
    /* What the reader has not taken yet comes first after the stop. */
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    rig.fake.made = 3;
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(read_data(&rig, &byte, 1, &got), FERRY_OK);
        assert_int_equal(got, 1);
        assert_int_equal(byte, fake_v1_byte(at++));
    }
    assert_int_equal(read_data(&rig, &byte, 1, &got), FERRY_OK);
    assert_int_equal(got, 0);
    close_rig(&rig);
}

static void a_transaction_that_must_stay_whole_is_refused_before_it_is_touched(void **s)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    struct rig rig;
    uint8_t data[64];
    uint64_t got;

    (void)s;
    open_rig(&rig);
    rig.fake.stopped[0] = 65;
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    request.u.data =
        (struct ferry_data_io){ .data = data, .size = sizeof(data), .whole = 1 };
    assert_int_equal(call(&rig, &request), FERRY_E_LIMIT);
    assert_text(&rig, "one transaction has 65 bytes, at most 64");
    /* It is still there for a reader that may have it in parts. */
    assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 64);
    assert_int_equal(data[0], fake_v1_byte(0));
    assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 1);
    assert_int_equal(data[0], fake_v1_byte(64));
    close_rig(&rig);
}

static void a_transaction_that_was_not_read_is_not_lost(void **state)
{
    struct rig rig;
    uint8_t data[64];
    uint64_t got;

    (void)state;
    open_rig(&rig);
    rig.fake.precopy[0] = 40;
    assert_int_equal(set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    rig.fake.fail_off = 0x1000;
    rig.fake.fail_off_status = FERRY_E_IO;
    assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_E_IO);
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_E_STATE);
    assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 40);
    assert_int_equal(data[39], fake_v1_byte(39));
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    close_rig(&rig);
}

static void the_end_is_not_asked_for_again(void **state)
{
    struct rig rig;
    uint64_t got;
    uint8_t byte;

    (void)state;
    open_rig(&rig);
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(read_data(&rig, &byte, 1, &got), FERRY_OK);
    assert_int_equal(got, 0);
    assert_trace(&rig, "P");
    assert_int_equal(read_data(&rig, &byte, 1, &got), FERRY_OK);
    assert_int_equal(got, 0);
    assert_trace(&rig, "");
    close_rig(&rig);
}

static void stopping_reads_no_pending_bytes(void **state)
{
    uint32_t seen;
    struct rig rig;

    (void)state;
    open_rig(&rig);
    assert_int_equal(set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(get_state(&rig, &seen), FERRY_OK);
    assert_null(strchr(rig.fake.trace, 'P'));
    close_rig(&rig);
}

/* MIG-V1-9 */
static void the_lies_of_a_saving_device_are_found_out(void **state)
{
    static const struct {
        uint32_t lie;
        const char *text;
    } rows[] = {
        { FAKE_OFFSET_ZERO, "data_offset points into the registers (0x0)" },
        { FAKE_OFFSET_IN_REGISTERS, "data_offset points into the registers (0x1f)" },
        { FAKE_OFFSET_OUTSIDE, "data_offset lies outside of the region (0x6000)" },
        { FAKE_OFFSET_HUGE, "data_offset lies outside of the region" },
        { FAKE_SIZE_ZERO, "data_size is 0 while pending_bytes is not" },
        { FAKE_SIZE_OUTSIDE, "data_size goes beyond the region (0x5001)" },
        { FAKE_SIZE_HUGE, "data_size goes beyond the region" },
    };
    struct rig rig;
    uint8_t data[256];
    uint64_t got;

    (void)state;
    for (uint32_t form = FAKE_TRAPPED; form <= FAKE_PARTITIONED; form++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            open_form(&rig, form);
            rig.fake.stopped[0] = 100;
            assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
            rig.fake.lie = rows[i].lie;
            assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_E_PROTOCOL);
            assert_text(&rig, rows[i].text);
            close_rig(&rig);
        }
    }
}

static void a_stopped_device_whose_data_never_end_is_given_up(void **state)
{
    struct rig rig;
    uint8_t data[256];
    uint64_t got;
    uint32_t reads = 0;
    int rc = FERRY_OK;

    (void)state;
    open_form(&rig, FAKE_MAPPED);
    rig.fake.stopped[0] = 100;
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    rig.fake.lie = FAKE_ENDLESS;
    while (rc == FERRY_OK && reads < 10000) {
        rc = read_data(&rig, data, sizeof(data), &got);
        reads++;
    }
    assert_int_equal(rc, FERRY_E_PROTOCOL);
    assert_text(&rig, "does not go down");
    close_rig(&rig);
}

static void the_errno_of_a_register_ends_the_read(void **state)
{
    static const uint32_t offs[] = { FERRY_V1_PENDING_OFF, FERRY_V1_OFFSET_OFF,
                                     FERRY_V1_SIZE_OFF };
    static const char *const names[] = { "pending_bytes", "data_offset", "data_size" };
    struct rig rig;
    uint8_t data[256];
    uint64_t got;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        open_rig(&rig);
        rig.fake.stopped[0] = 100;
        assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
        rig.fake.fail_off = offs[i];
        rig.fake.fail_off_status = FERRY_E_IO;
        assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_E_IO);
        assert_text(&rig, names[i]);
        close_rig(&rig);
    }
}

static void data_belong_to_their_states(void **state)
{
    struct rig rig;
    uint8_t data[16];
    uint64_t got;

    (void)state;
    open_rig(&rig);
    assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_E_STATE);
    assert_int_equal(write_data(&rig, data, sizeof(data)), FERRY_E_STATE);
    assert_int_equal(set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_E_STATE);
    close_rig(&rig);
}

static void what_is_pending_is_told_in_pre_copy_only(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_PRECOPY_INFO };
    struct rig rig;

    (void)state;
    open_rig(&rig);
    rig.fake.precopy[0] = 100;
    rig.fake.precopy[1] = 23;
    assert_int_equal(call(&rig, &request), FERRY_E_STATE);
    assert_int_equal(set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(call(&rig, &request), FERRY_OK);
    assert_int_equal(request.u.precopy.initial_bytes, 0);
    assert_int_equal(request.u.precopy.dirty_bytes, 123);
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(call(&rig, &request), FERRY_E_STATE);
    assert_trace(&rig, "");
    close_rig(&rig);
}

/* --- resuming --- */

/* MIG-V1-11 */
static void each_write_is_one_transaction(void **state)
{
    static const uint64_t sizes[] = { 1, 0x2000, 4097, 12 };
    struct rig rig;
    uint8_t data[0x2000];

    (void)state;
    for (uint32_t form = FAKE_TRAPPED; form <= FAKE_PARTITIONED; form++) {
        uint64_t at = 0;

        open_form(&rig, form);
        rig.fake.wander = 1;
        assert_int_equal(set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
        for (size_t i = 0; i < 4; i++) {
            for (uint64_t n = 0; n < sizes[i]; n++) {
                data[n] = fake_v1_byte(at + n);
            }
            assert_int_equal(write_data(&rig, data, sizes[i]), FERRY_OK);
            at += sizes[i];
        }
        assert_int_equal(rig.fake.written_count, 4);
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(rig.fake.written[i], sizes[i]);
        }
        for (uint64_t n = 0; n < at; n++) {
            assert_int_equal(rig.fake.taken[n], fake_v1_byte(n));
        }
        close_rig(&rig);
    }
}

static void
a_transaction_that_does_not_fit_is_refused_before_the_section_is_touched(void **state)
{
    static uint8_t data[FAKE_V1_REGION_BYTES];
    struct rig rig;

    (void)state;
    open_rig(&rig);
    assert_int_equal(set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(write_data(&rig, data, 0x5001), FERRY_E_LIMIT);
    assert_text(&rig, "must not be split");
    assert_trace(&rig, "O");
    assert_int_equal(write_data(&rig, data, 0x5000), FERRY_OK);
    close_rig(&rig);

    /* One that takes any size gets it in parts. */
    fake_v1_open(&rig.fake, FAKE_TRAPPED);
    rig.fake.any_chunks = 1;
    assert_int_equal(connect_rig(&rig), FERRY_OK);
    assert_int_equal(set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(write_data(&rig, data, 0x5001), FERRY_OK);
    assert_int_equal(rig.fake.written_count, 2);
    assert_int_equal(rig.fake.written[1], 1);
    close_rig(&rig);
}

static void the_lies_of_a_resuming_device_are_found_out(void **state)
{
    static const uint32_t lies[] = { FAKE_OFFSET_ZERO, FAKE_OFFSET_IN_REGISTERS,
                                     FAKE_OFFSET_OUTSIDE, FAKE_OFFSET_HUGE };
    struct rig rig;
    uint8_t data[256] = { 1 };

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        open_form(&rig, FAKE_MAPPED);
        assert_int_equal(set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
        rig.fake.lie = lies[i];
        assert_int_equal(write_data(&rig, data, sizeof(data)), FERRY_E_PROTOCOL);
        assert_text(&rig, "data_offset");
        assert_int_equal(rig.fake.written_count, 0);
        close_rig(&rig);
    }
}

static void the_errno_of_a_transaction_ends_the_write(void **state)
{
    struct rig rig;
    uint8_t data[256] = { 1 };

    (void)state;
    open_rig(&rig);
    assert_int_equal(set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    rig.fake.fail_off = FERRY_V1_SIZE_OFF;
    rig.fake.fail_off_status = FERRY_E_CORRUPT;
    assert_int_equal(write_data(&rig, data, sizeof(data)), FERRY_E_CORRUPT);
    close_rig(&rig);
}

static void a_write_to_the_region_by_somebody_else_is_noticed(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };
    uint32_t bits = FAKE_V1_RESERVED | FERRY_V1_SAVING;
    struct rig rig;
    uint8_t data[256];
    uint64_t got;

    (void)state;
    open_rig(&rig);
    rig.fake.stopped[0] = 9;
    assert_int_equal(set_state(&rig, FERRY_STATE_STOP), FERRY_OK);
    request.u.io =
        (struct ferry_region_io){ .index = FAKE_V1_REGION, .count = 4, .data = &bits };
    assert_int_equal(call(&rig, &request), FERRY_OK);
    assert_int_equal(read_data(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 9);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_with_the_region_is_one_of_v2_for_everyone_above),
        cmocka_unit_test(a_device_without_the_region_stays_as_it_is),
        cmocka_unit_test(a_region_that_cannot_be_one_is_refused_with_its_reason),
        cmocka_unit_test(only_what_v1_can_tell_is_there),
        cmocka_unit_test(every_combination_of_bits_is_translated_never_passed_through),
        cmocka_unit_test(each_legal_pair_of_states_is_walked_by_the_edges_of_v1),
        cmocka_unit_test(what_v1_or_v2_lack_is_refused_without_a_write),
        cmocka_unit_test(a_failed_write_is_read_back),
        cmocka_unit_test(only_a_reset_leaves_the_error_state),
        cmocka_unit_test(a_reset_that_leaves_the_bits_is_followed_by_a_write),
        cmocka_unit_test(a_device_state_that_lies_is_found_out),
        cmocka_unit_test(each_form_of_the_section_gives_one_transaction_a_read),
        cmocka_unit_test(a_mapped_section_takes_no_request_for_its_data),
        cmocka_unit_test(a_reader_with_little_memory_gets_a_transaction_in_parts),
        cmocka_unit_test(
            a_transaction_that_must_stay_whole_is_refused_before_it_is_touched),
        cmocka_unit_test(a_transaction_that_was_not_read_is_not_lost),
        cmocka_unit_test(the_end_is_not_asked_for_again),
        cmocka_unit_test(stopping_reads_no_pending_bytes),
        cmocka_unit_test(the_lies_of_a_saving_device_are_found_out),
        cmocka_unit_test(a_stopped_device_whose_data_never_end_is_given_up),
        cmocka_unit_test(the_errno_of_a_register_ends_the_read),
        cmocka_unit_test(data_belong_to_their_states),
        cmocka_unit_test(what_is_pending_is_told_in_pre_copy_only),
        cmocka_unit_test(each_write_is_one_transaction),
        cmocka_unit_test(
            a_transaction_that_does_not_fit_is_refused_before_the_section_is_touched),
        cmocka_unit_test(the_lies_of_a_resuming_device_are_found_out),
        cmocka_unit_test(the_errno_of_a_transaction_ends_the_write),
        cmocka_unit_test(a_write_to_the_region_by_somebody_else_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
