/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "tests/check/mutants/mutants.h"

/* What breaks the rules of sizes and pre-copy. */

#define PAGE 4096u
#define MEMORY_BAR 2u
#define MEMORY_BYTES 65536u /* of MUTANT_COPY */

static int is_read_of(const struct mutant *mutant, const struct ferry_request *request,
                      uint32_t state)
{
    return mutant_is(request, FERRY_RQ_DATA_READ) && mutant_in(mutant, state);
}

static int in_pre_copy(const struct mutant *mutant)
{
    return mutant_in(mutant, FERRY_STATE_PRE_COPY) ||
           mutant_in(mutant, FERRY_STATE_PRE_COPY_P2P);
}

/* -- The size -- */

static int size_is_errno(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (mutant_is(request, FERRY_RQ_DATA_SIZE) &&
        mutant_in(mutant, FERRY_STATE_RESUMING)) {
        request->u.data_size = (uint64_t)-25;
    }
    return status;
}

static int no_size_while_quiet(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_is(request, FERRY_RQ_DATA_SIZE) &&
                   mutant_in(mutant, FERRY_STATE_RUNNING_P2P)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

static int size_too_low(struct mutant *mutant, struct ferry_request *request, int status)
{
    (void)mutant;
    if (mutant_is(request, FERRY_RQ_DATA_SIZE)) {
        request->u.data_size = 16;
    }
    return status;
}

static int size_grows(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (mutant_is(request, FERRY_RQ_DATA_SIZE)) {
        request->u.data_size += mutant->total[FERRY_RQ_DATA_SIZE];
    }
    return status;
}

/* -- Pre-copy -- */

static int end_in_pre_copy(struct mutant *mutant, struct ferry_request *request,
                           int status)
{
    if (is_read_of(mutant, request, FERRY_STATE_PRE_COPY_P2P) && status == FERRY_E_DRY) {
        request->u.data.got = 0;
        return FERRY_OK;
    }
    return status;
}

/* What is left of pre-copy when it ends is not given. */
static int lose_the_unread(struct mutant *mutant, struct ferry_request *request)
{
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };
    uint8_t lost[4096];

    if (mutant_arc(mutant, request, FERRY_STATE_PRE_COPY, FERRY_STATE_STOP_COPY)) {
        read.u.data.data = lost;
        read.u.data.size = sizeof(lost);
        (void)mutant_call(mutant, &read);
    }
    return MUTANT_PASS;
}

/* Takes the first word of the last page for the last one. */
static int load_old_page(struct mutant *mutant, struct ferry_request *request, int status)
{
    uint8_t *page = (uint8_t *)ferry_device_region_memory(mutant->device, MEMORY_BAR) +
                    MEMORY_BYTES - PAGE;

    if (mutant_is(request, FERRY_RQ_RESET)) {
        mutant->var[0] = 0;
    } else if (is_read_of(mutant, request, FERRY_STATE_PRE_COPY) &&
               status == FERRY_E_DRY && mutant_once(mutant, 0)) {
        mutant_keep(mutant, page, PAGE, 0);
    } else if (mutant_sets(request, FERRY_STATE_STOP) && mutant->var[1] &&
               mutant->var[0] && status == FERRY_OK) {
        memcpy(page, mutant->bytes, PAGE);
    }
    mutant->var[1] = mutant_in(mutant, FERRY_STATE_RESUMING) ? 1 : 0;
    return status;
}

/* -- Pre-copy information -- */

static int info_when_stopped(struct mutant *mutant, struct ferry_request *request)
{
    if (!mutant_is(request, FERRY_RQ_PRECOPY_INFO) ||
        !mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        return MUTANT_PASS;
    }
    memset(&request->u.precopy, 0, sizeof(request->u.precopy));
    return FERRY_OK;
}

static int no_info_while_quiet(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_is(request, FERRY_RQ_PRECOPY_INFO) &&
                   mutant_in(mutant, FERRY_STATE_PRE_COPY_P2P)
               ? FERRY_E_ARGUMENT
               : MUTANT_PASS;
}

static int is_info(const struct mutant *mutant, const struct ferry_request *request,
                   int status)
{
    return mutant_is(request, FERRY_RQ_PRECOPY_INFO) && status == FERRY_OK &&
           in_pre_copy(mutant);
}

static int all_is_dirty(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (is_info(mutant, request, status)) {
        request->u.precopy.dirty_bytes += request->u.precopy.initial_bytes;
        request->u.precopy.initial_bytes = 0;
    }
    return status;
}

static int initial_rises(struct mutant *mutant, struct ferry_request *request, int status)
{
    /* Up to its end: what is 0 stays 0. */
    if (is_info(mutant, request, status) && request->u.precopy.initial_bytes > 0) {
        mutant->var[0] += 1u << 20;
        request->u.precopy.initial_bytes += mutant->var[0];
    }
    return status;
}

static int dirty_from_the_start(struct mutant *mutant, struct ferry_request *request,
                                int status)
{
    if (is_info(mutant, request, status) && request->u.precopy.initial_bytes > 0) {
        request->u.precopy.dirty_bytes += 4096;
    }
    return status;
}

static int never_empty(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (is_info(mutant, request, status) && request->u.precopy.initial_bytes == 0) {
        request->u.precopy.dirty_bytes += 1;
    }
    return status;
}

static int told_too_low(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (is_info(mutant, request, status) && request->u.precopy.initial_bytes > 0) {
        request->u.precopy.initial_bytes = request->u.precopy.initial_bytes / 4096 + 1;
    }
    return status;
}

static int remember_dirty(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_is(request, FERRY_RQ_PRECOPY_INFO)) {
        mutant->var[0] = request->u.precopy.dirty_bytes;
    }
    return MUTANT_PASS;
}

static int echo_dirty(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (is_info(mutant, request, status)) {
        request->u.precopy.dirty_bytes = mutant->var[0];
    }
    return status;
}

/* A message for pre-copy information whose argsz is too small is taken for a whole one.
 */
static void lengthen_info(struct mutant_wire *wire, struct wire_message *message)
{
    (void)wire;
    if (wire_is_command(message, FERRY_WIRE_FEATURE) && message->size >= 8 &&
        (wire_get32(message, 4) & 0xffffu) == 0xfe01u && wire_get32(message, 0) < 24) {
        wire_put32(message, 0, 24);
    }
}

const struct check_mutant mutants_precopy[] = {
    { .name = "gives an errno for a size in RESUMING",
      .breaks = "a size is plausible",
      .after = size_is_errno,
      .caught_by = "size.states" },
    { .name = "gives no size in RUNNING_P2P",
      .breaks = "the size is given in every state",
      .before = no_size_while_quiet,
      .caught_by = "size.states size.below" },
    { .name = "announces 16 bytes",
      .breaks = "a size is not below what comes",
      .after = size_too_low,
      .caught_by = "size.below" },
    { .name = "adds to its size with each question",
      .breaks = "a stopped device gives the same size",
      .after = size_grows,
      .caught_by = "size.asking" },
    { .name = "says 0 in PRE_COPY_P2P when nothing is there",
      .breaks = "nothing for now is ENOMSG",
      .after = end_in_pre_copy,
      .caught_by = "precopy.dry precopy.empty" },
    { .name = "loses what was not read in pre-copy",
      .breaks = "what was not read in pre-copy comes afterwards",
      .before = lose_the_unread,
      .caught_by = "precopy.leave",
      .also = "precopy.changed" },
    { .name = "loads a page as it was before it changed",
      .breaks = "what changes in pre-copy is given again",
      .after = load_old_page,
      .caught_by = "precopy.changed" },
    { .name = "gives pre-copy information in STOP_COPY",
      .breaks = "pre-copy information is given in pre-copy only",
      .before = info_when_stopped,
      .caught_by = "precopy.where" },
    { .name = "refuses pre-copy information in PRE_COPY_P2P",
      .breaks = "pre-copy information is given in pre-copy",
      .before = no_info_while_quiet,
      .caught_by =
          "precopy.where precopy.starts precopy.initial precopy.dirty precopy.empty" },
    { .name = "counts all its bytes as dirty",
      .breaks = "initial_bytes begins above 0, dirty_bytes at 0",
      .after = all_is_dirty,
      .caught_by = "precopy.starts precopy.dirty" },
    { .name = "counts initial_bytes upwards",
      .breaks = "initial_bytes does not rise",
      .after = initial_rises,
      .caught_by = "precopy.initial" },
    { .name = "has dirty_bytes before anything was given",
      .breaks = "dirty_bytes begins at 0",
      .after = dirty_from_the_start,
      .caught_by = "precopy.dirty" },
    { .name = "keeps a byte of dirty_bytes for ever",
      .breaks = "both are 0 when nothing is there",
      .after = never_empty,
      .caught_by = "precopy.empty" },
    { .name = "announces a small part of its pre-copy",
      .breaks = "what is announced is not below what comes",
      .after = told_too_low,
      .caught_by = "precopy.told" },
    { .name = "leaves in dirty_bytes what the caller had there",
      .breaks = "both fields are filled in",
      .before = remember_dirty,
      .after = echo_dirty,
      .caught_by = "precopy.poison" },
    { .name = "takes a message that is too short for pre-copy information",
      .breaks = "argsz holds the answer",
      .wire = lengthen_info,
      .caught_by = "precopy.message" },
    { .name = NULL },
};
