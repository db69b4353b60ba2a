/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "base/writer.h"
#include "check/classes.h"
#include "check/state/state.h"
#include "wire/message.h"

/* DEVICE_FEATURE messages that no well-behaved user sends. */

#define GET (1u << 16)
#define SET (1u << 17)
#define PROBE (1u << 18)
#define EINVAL_NUMBER 22u
#define ANY_NUMBER UINT32_MAX /* MIG-FEAT-3 looks at it */

static const struct {
    const char *name;
    uint32_t argsz, flags;
    uint32_t bytes; /* of data behind the 8 of the head */
    uint32_t error; /* wanted; 0: it works */
} messages[] = {
    { "argsz=0", 0, GET | 2, 8, EINVAL_NUMBER },
    { "argsz=7", 7, GET | 2, 8, EINVAL_NUMBER },
    { "argsz=15,GET,8-wanted", 15, GET | 2, 8, EINVAL_NUMBER },
    { "argsz=8,GET-MIGRATION", 8, GET | 1, 0, EINVAL_NUMBER },
    { "argsz=15,SET-STATE", 15, SET | 2, 8, EINVAL_NUMBER },
    { "argsz=7,PROBE", 7, PROBE | GET | 1, 0, EINVAL_NUMBER },
    { "flag-19", 16, GET | 1u << 19 | 2, 8, EINVAL_NUMBER },
    { "flag-31", 16, GET | 1u << 31 | 2, 8, EINVAL_NUMBER },
    { "GET+SET", 16, GET | SET | 2, 8, EINVAL_NUMBER },
    { "no-operation", 16, 2, 8, EINVAL_NUMBER },
    { "SET-MIGRATION", 16, SET | 1, 8, EINVAL_NUMBER },
    { "SET-DATA-SIZE", 16, SET | 9, 8, EINVAL_NUMBER },
    { "GET-unknown", 16, GET | 4095, 8, ANY_NUMBER },
    { "SET-unknown", 16, SET | 4095, 8, ANY_NUMBER },
    { "PROBE+GET", 8, PROBE | GET | 2, 0, 0 },
    { "PROBE+GET+SET", 8, PROBE | GET | SET | 2, 0, 0 },
    { "argsz=larger,GET-STATE", 4096, GET | 2, 8, 0 },
};

static uint32_t message_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(messages) / sizeof(messages[0]));
}

static void message_name(const struct check_run *run, uint32_t at,
                         char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", messages[at].name);
}

static void run_message(struct check_run *run, uint32_t at)
{
    struct ferry_request request = { .kind = FERRY_RQ_RAW };
    uint8_t payload[16] = { 0 };
    uint8_t reply[16];
    char expected[64];
    char text[160];
    int rc;

    ferry_store_le32(payload, messages[at].argsz);
    ferry_store_le32(payload + 4, messages[at].flags);
    ferry_store_le32(payload + 8, FERRY_STATE_STOP); /* what a SET would mean */
    request.u.raw.command = FERRY_WIRE_FEATURE;
    request.u.raw.bytes = 8 + messages[at].bytes;
    request.u.raw.payload = payload;
    request.u.raw.reply = reply;
    request.u.raw.cap = sizeof(reply);
    rc = check_call(run, &request);
    check_status_text(run, rc, text);
    if (messages[at].error == 0) {
        snprintf(expected, sizeof(expected), "the message is taken");
    } else if (messages[at].error == ANY_NUMBER) {
        snprintf(expected, sizeof(expected), "an Error reply");
    } else {
        snprintf(expected, sizeof(expected), "an Error reply with errno %u",
                 messages[at].error);
    }
    if (check_that(run,
                   (request.u.raw.error == messages[at].error ||
                    (messages[at].error == ANY_NUMBER && request.u.raw.error != 0)) &&
                       (rc == FERRY_OK) == (messages[at].error == 0),
                   expected, "%s", text) &&
        check_is(run, FERRY_STATE_RUNNING, "after a message that was refused")) {
        check_works(run, "after a message that was refused");
    }
}

const struct check check_state_messages[] = {
    { { "feature.message", "MIG-FEAT-5", "DEVICE_FEATURE messages that are malformed",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_WIRE | FERRY_CHECK_NEEDS_V2 },
      message_cases,
      message_name,
      run_message },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
