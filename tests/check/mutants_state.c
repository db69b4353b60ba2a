/* SPDX-License-Identifier: BSD-3-Clause */
#include "mutants.h"

/* What breaks the rules of states, arcs, sessions and resets. */

static int refuse_stop(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_RUNNING, FERRY_STATE_STOP)
               ? FERRY_E_IO
               : MUTANT_PASS;
}

static int stay_in_precopy(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_PRE_COPY, FERRY_STATE_RUNNING)
               ? FERRY_OK
               : MUTANT_PASS;
}

/* A request that is held back for ever. */
static int never_stop_copy(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_STOP, FERRY_STATE_STOP_COPY)
               ? mutant_hold(mutant, request)
               : MUTANT_PASS;
}

/* The word of the device is another than its state, over the wire. */
static void lie_about_stop(struct mutant_wire *wire, struct wire_message *message)
{
    const uint32_t at = 8; /* argsz, flags: then the data */

    (void)wire;
    if (wire_is_reply_to(message, FERRY_WIRE_FEATURE) && message->size >= 12 &&
        (wire_get32(message, 4) & 0x1ffffu) == (0x10000u | 2u) &&
        wire_get32(message, at) == FERRY_STATE_STOP) {
        wire_put32(message, at, FERRY_STATE_RUNNING);
    }
}

const struct check_mutant mutants_state[] = {
    { .name = "refuses to stop when it runs",
      .breaks = "every legal arc works",
      .before = refuse_stop,
      .only = "arc.legal",
      .caught_by = "arc.legal" },
    { .name = "says that it left PRE_COPY and stays",
      .breaks = "after SET_STATE the device is in that state",
      .before = stay_in_precopy,
      .only = "arc.legal",
      .caught_by = "arc.legal" },
    { .name = "never ends its way from STOP to STOP_COPY",
      .breaks = "an arc ends",
      .before = never_stop_copy,
      .timeout_ms = 50,
      .only = "arc.legal",
      .caught_by = "arc.legal" },
    { .name = "says RUNNING in STOP over vfio-user",
      .breaks = "GET_STATE tells the state",
      .wire = lie_about_stop,
      .only = "arc.legal",
      .caught_by = "arc.legal" },
    { .name = NULL },
};
