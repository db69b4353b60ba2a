/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "check/data/data.h"
#include "ferry/host.h"
#include "wire/message.h"

/* What VFIO_MIG_GET_PRECOPY_INFO gives, or its like over vfio-user. */

#define PLAUSIBLE_BYTES (1ull << 48)
#define READS_MAX 64u
#define SMALL_BYTES 512u
#define SMALL_READS 4096u

static int gives_info(struct check_run *run)
{
    const struct ferry_backend_ops *ops = run->device.backend->ops;

    if (ops->extensions &&
        !(ops->extensions(run->device.backend) & FERRY_VIEW_PRECOPY_INFO)) {
        check_skip(run, "the server has no pre-copy information");
        return 0;
    }
    return 1;
}

static int ask(struct check_run *run, struct ferry_precopy_info *ret_info)
{
    return check_ok(run, check_precopy_info(run, ret_info), "pre-copy information");
}

/* The device, with something to give, in PRE_COPY. */
static int begin(struct check_run *run, uint32_t state)
{
    if (!data_has(run, state)) {
        check_skip(run, "the device has no %s", ferry_state_name(state));
        return 0;
    }
    return gives_info(run) && data_fill(run) && check_go(run, state);
}

/* -- Where -- */

static const uint32_t where[] = { FERRY_STATE_PRE_COPY, FERRY_STATE_PRE_COPY_P2P,
                                  FERRY_STATE_RUNNING,  FERRY_STATE_RUNNING_P2P,
                                  FERRY_STATE_STOP,     FERRY_STATE_STOP_COPY,
                                  FERRY_STATE_RESUMING };
static const char *const where_names[] = { "PRE_COPY", "PRE_COPY_P2P",
                                           "RUNNING",  "RUNNING_P2P",
                                           "STOP",     "STOP_COPY",
                                           "RESUMING", NULL };

static void run_where(struct check_run *run, uint32_t at)
{
    struct ferry_precopy_info info;
    int rc;

    if (!begin(run, where[at])) {
        return;
    }
    rc = check_precopy_info(run, &info);
    if (where[at] == FERRY_STATE_PRE_COPY || where[at] == FERRY_STATE_PRE_COPY_P2P) {
        check_ok(run, rc, "pre-copy information");
    } else if (check_refused(run, rc, "pre-copy information")) {
        check_is(run, where[at], "after pre-copy information was refused");
    }
}

/* -- initial_bytes -- */

static void run_starts(struct check_run *run, uint32_t at)
{
    struct ferry_precopy_info info;

    if (begin(run, at == 0 ? FERRY_STATE_PRE_COPY : FERRY_STATE_PRE_COPY_P2P) &&
        ask(run, &info)) {
        check_that(run, info.initial_bytes > 0, "initial_bytes above 0 at first", "0");
    }
}

static void run_dirty(struct check_run *run, uint32_t at)
{
    struct ferry_precopy_info info;

    if (begin(run, at == 0 ? FERRY_STATE_PRE_COPY : FERRY_STATE_PRE_COPY_P2P) &&
        ask(run, &info)) {
        check_that(run, info.dirty_bytes == 0, "dirty_bytes 0 at first", "%llu",
                   (unsigned long long)info.dirty_bytes);
    }
}

static const char *const states_names[] = { "PRE_COPY", "PRE_COPY_P2P", NULL };

enum { INITIAL_READS, INITIAL_CHANGES, INITIAL_P2P };
static const char *const initial_names[] = { "reads", "changes", "PRE_COPY_P2P", NULL };

/* A read, or what the case has between two looks. Return: 1; 0: over, or FAILED. */
static int step(struct check_run *run, uint32_t at, uint32_t i, uint64_t piece,
                struct check_stream *stream)
{
    uint64_t got = 0;
    int rc = check_stream_room(stream, piece);

    if (at == INITIAL_CHANGES && i % 4 == 3 && !data_change(run)) {
        return 0;
    }
    if (at == INITIAL_P2P && i == 2 && !check_go(run, FERRY_STATE_PRE_COPY_P2P)) {
        return 0;
    }
    if (rc == FERRY_OK) {
        rc = check_read(run, stream->data, piece, &got);
    }
    return rc == FERRY_E_DRY || check_ok(run, rc, "DATA_READ");
}

static void run_initial(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct ferry_precopy_info info;
    uint64_t before, piece, large;

    if ((at == INITIAL_CHANGES && !data_can_change(run)) ||
        (at == INITIAL_P2P && !data_has(run, FERRY_STATE_PRE_COPY_P2P))) {
        check_skip(run, "the device has no PRE_COPY_P2P");
        return;
    }
    if (!begin(run, FERRY_STATE_PRE_COPY) || !ask(run, &info)) {
        return;
    }
    before = info.initial_bytes;
    large = before / (READS_MAX / 2) + 1;
    large = large < (1u << 20) ? large : 1u << 20;
    for (uint32_t i = 0; i < READS_MAX; i++) {
        piece = i < READS_MAX / 4 && large > SMALL_BYTES ? SMALL_BYTES : large;
        if (!step(run, at, i, piece, &stream) || !ask(run, &info) ||
            !check_that(run, info.initial_bytes <= before,
                        "initial_bytes does not rise in a session", "%llu, then %llu",
                        (unsigned long long)before,
                        (unsigned long long)info.initial_bytes)) {
            break;
        }
        before = info.initial_bytes;
    }
    check_stream_free(&stream);
}

/* -- Nothing is there exactly when it says so -- */

enum { EMPTY_AFTER_DRY, EMPTY_THEN_DRY, EMPTY_P2P, EMPTY_SMALL };
static const char *const empty_names[] = { "when-dry", "when-0", "PRE_COPY_P2P",
                                           "when-dry,small-reads", NULL };

static void then_dry(struct check_run *run)
{
    struct ferry_precopy_info info = { 1, 0 };
    uint8_t data[65536];
    uint64_t got;
    char text[160];
    int rc = FERRY_OK;

    while (rc == FERRY_OK && info.initial_bytes + info.dirty_bytes > 0) {
        rc = check_read(run, data, sizeof(data), &got);
        if ((rc == FERRY_OK && got == 0) || !ask(run, &info)) {
            return; /* precopy.dry tells of the first */
        }
    }
    if (rc == FERRY_OK) {
        rc = check_read(run, data, sizeof(data), &got);
        check_that(run, rc == FERRY_E_DRY,
                   "ENOMSG when initial_bytes and dirty_bytes are 0", "%s, %llu bytes",
                   check_status_text(run, rc, text), (unsigned long long)got);
    }
}

/* With nothing ready, and more announced, a read has to wait. Return: 1 when it was told
 * ENOMSG. */
static int small_until_dry(struct check_run *run)
{
    uint8_t data[SMALL_BYTES];
    uint64_t got = 1;
    int rc = FERRY_OK;

    for (uint32_t i = 0; i < SMALL_READS && rc == FERRY_OK && got > 0; i++) {
        rc = check_read(run, data, sizeof(data), &got);
    }
    return rc == FERRY_E_DRY;
}

static void run_empty(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct ferry_precopy_info info;

    if (begin(run, at == EMPTY_P2P ? FERRY_STATE_PRE_COPY_P2P : FERRY_STATE_PRE_COPY)) {
        if (at == EMPTY_THEN_DRY) {
            then_dry(run);
        } else if ((at == EMPTY_SMALL ? small_until_dry(run)
                                      : data_until_dry(run, &stream)) &&
                   ask(run, &info)) {
            check_that(run, info.initial_bytes == 0 && info.dirty_bytes == 0,
                       "initial_bytes and dirty_bytes 0 after ENOMSG", "%llu and %llu",
                       (unsigned long long)info.initial_bytes,
                       (unsigned long long)info.dirty_bytes);
        }
    }
    check_stream_free(&stream);
}

/* -- Not below what comes -- */

enum { TOLD_START, TOLD_MIDDLE };
static const char *const told_names[] = { "start", "middle", NULL };

static void run_told(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct ferry_precopy_info info;
    uint8_t data[64];
    uint64_t got;
    int rc = FERRY_OK;

    if (!begin(run, FERRY_STATE_PRE_COPY)) {
        return;
    }
    if (at == TOLD_MIDDLE) {
        rc = check_read(run, data, sizeof(data), &got);
    }
    if ((rc == FERRY_E_DRY || check_ok(run, rc, "DATA_READ")) && ask(run, &info) &&
        data_until_dry(run, &stream)) {
        check_that(
            run, info.initial_bytes + info.dirty_bytes >= stream.bytes,
            "initial_bytes and dirty_bytes are not below what then comes",
            "%llu and %llu, and %llu bytes came", (unsigned long long)info.initial_bytes,
            (unsigned long long)info.dirty_bytes, (unsigned long long)stream.bytes);
    }
    check_stream_free(&stream);
}

/* -- What the caller left there -- */

static int ask_poisoned(struct check_run *run, uint8_t poison,
                        struct ferry_precopy_info *ret_info)
{
    struct ferry_request request = { .kind = FERRY_RQ_PRECOPY_INFO };

    memset(&request.u.precopy, poison, sizeof(request.u.precopy));
    if (!check_ok(run, check_call(run, &request), "pre-copy information")) {
        return 0;
    }
    *ret_info = request.u.precopy;
    return 1;
}

enum { POISON_BEFORE, POISON_DRY };
static const char *const poison_names[] = { "at-first", "when-dry", NULL };

static void run_poison(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct ferry_precopy_info a, b;

    if (begin(run, FERRY_STATE_PRE_COPY) &&
        (at == POISON_BEFORE || data_until_dry(run, &stream)) &&
        ask_poisoned(run, 0xa5, &a) && ask_poisoned(run, 0x5a, &b)) {
        check_that(run,
                   a.initial_bytes < PLAUSIBLE_BYTES && a.dirty_bytes < PLAUSIBLE_BYTES &&
                       b.initial_bytes < PLAUSIBLE_BYTES &&
                       b.dirty_bytes < PLAUSIBLE_BYTES,
                   "both fields are filled in, whatever the caller left there",
                   "0x%llx and 0x%llx", (unsigned long long)b.initial_bytes,
                   (unsigned long long)b.dirty_bytes);
    }
    check_stream_free(&stream);
}

/* -- As a message -- */

#define GET_INFO (1u << 16 | FERRY_WIRE_FEATURE_PRECOPY_INFO)

static const struct {
    uint32_t argsz, bytes; /* bytes: of data behind the 8 of the head */
    uint8_t poison;
    int works;
} messages[] = {
    { 8, 0, 0, 0 },      { 16, 8, 0, 0 },       { 23, 16, 0, 0 },
    { 24, 16, 0xa5, 1 }, { 4096, 16, 0xff, 1 },
};
static const char *const message_names[] = { "argsz=8",  "argsz=16",        "argsz=23",
                                             "poisoned", "poisoned,longer", NULL };

static void run_message(struct check_run *run, uint32_t at)
{
    struct ferry_request request = { .kind = FERRY_RQ_RAW };
    struct ferry_precopy_info info;
    uint8_t payload[24], reply[64];
    int rc;

    if (!begin(run, FERRY_STATE_PRE_COPY) || !ask(run, &info)) {
        return;
    }
    memset(payload, messages[at].poison, sizeof(payload));
    ferry_store_le32(payload, messages[at].argsz);
    ferry_store_le32(payload + 4, GET_INFO);
    request.u.raw.command = FERRY_WIRE_FEATURE;
    request.u.raw.bytes = 8 + messages[at].bytes;
    request.u.raw.payload = payload;
    request.u.raw.reply = reply;
    request.u.raw.cap = sizeof(reply);
    rc = check_call(run, &request);
    if (!messages[at].works) {
        check_refused(run, rc, "pre-copy information with less than 24 bytes of argsz");
    } else if (check_ok(run, rc, "pre-copy information with 24 bytes of argsz")) {
        check_that(run,
                   request.u.raw.got >= 24 &&
                       ferry_load_le64(reply + 8) == info.initial_bytes &&
                       ferry_load_le64(reply + 16) == info.dirty_bytes,
                   "the same numbers, whatever the message held there",
                   "%u bytes of reply, 0x%llx and 0x%llx", request.u.raw.got,
                   (unsigned long long)ferry_load_le64(reply + 8),
                   (unsigned long long)ferry_load_le64(reply + 16));
    }
    check_is(run, FERRY_STATE_PRE_COPY, "after pre-copy information");
}

const struct data_cases data_cases_info[] = {
    { "precopy.where", where_names },
    { "precopy.starts", states_names },
    { "precopy.initial", initial_names },
    { "precopy.dirty", states_names },
    { "precopy.empty", empty_names },
    { "precopy.told", told_names },
    { "precopy.poison", poison_names },
    { "precopy.message", message_names },
    { NULL, NULL },
};

const struct check check_data_info[] = {
    { .info = { "precopy.where", "MIG-DATA-3",
                "pre-copy information is given in pre-copy and refused elsewhere",
                FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_PRE_COPY },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_where },
    { .info = { "precopy.starts", "MIG-PRE-4",
                "initial_bytes is not 0 at first (the text says \"should\")",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_PRE_COPY },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_starts },
    { .info = { "precopy.initial", "MIG-PRE-4",
                "initial_bytes goes down and does not rise in a session",
                FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_PRE_COPY },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_initial },
    { .info = { "precopy.dirty", "MIG-PRE-10", "dirty_bytes is 0 at first",
                FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_PRE_COPY },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_dirty },
    { .info = { "precopy.empty", "MIG-PRE-11",
                "initial_bytes and dirty_bytes are 0 when a read says ENOMSG",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_PRE_COPY },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_empty },
    { .info = { "precopy.told", "MIG-PRE-9",
                "initial_bytes and dirty_bytes are not below what an idle device gives",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_PRE_COPY },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_told },
    { .info = { "precopy.poison", "MIG-PRE-5",
                "pre-copy information gives nothing back of what the caller left there",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_PRE_COPY },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_poison },
    { .info = { "precopy.message", "MIG-PRE-5",
                "the message for pre-copy information, too short and poisoned",
                FERRY_CHECK_RECOMMENDED,
                FERRY_CHECK_NEEDS_PRE_COPY | FERRY_CHECK_NEEDS_WIRE },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_message },
    { .info = { 0 } },
};
