/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_FUZZ_SESSION_RULES_H
#define FERRY_TESTS_FUZZ_SESSION_RULES_H

#include "ferry/session.h"

/*
 * What holds of a session whatever events come, kept by what goes in and out only:
 *
 *   source  tracks before it sends memory; stops no device before CPUs and foreign
 *           initiators are quiet, nor before every device that can be quieted is; says
 *           ALL_SENT once all has ended well, COMMIT when the target is PREPARED or the
 *           arbiter said so; after COMMIT it runs only by somebody's word, releases only
 *           when the target runs or by the operator's word; one that is back has
 *           everything on again.
 *   target  asks a device to stop only when its data is whole; says PREPARED when all is
 *           there; runs only as owner; from PREPARED on it discards only by a word, and
 *           as owner only together with RETURN; says RETURN only when nothing can have
 *           run.
 *   both    reset only what is in ERROR; do nothing once they have ended.
 */
struct session_rules {
    uint32_t is_target, arbiter, device_count;
    const struct ferry_session_device *device;
    /* A device answered OK and is not where it was asked to go: nobody may do that to a
     * session, so what depends on states says nothing any more. */
    int void_states;
    struct {
        uint32_t known, wanted; /* enum ferry_state */
        int asked, reset_asked; /* an arc, a reset has no answer yet */
        int log_on, log_started, data_ended, loaded, configured;
    } at[FERRY_SESSION_DEVICES_MAX];
    /* what was asked and has not been undone */
    int cpus_paused, foreign_quiet, drained;
    /* what was heard */
    int paused, quiet, final_done, prepared, decided_commit, decided_abort, back_word;
    int target_runs, dropped, checked, all_sent_heard, memory, vmm, run_word, drop_word;
    int resumed;
    /* what was said */
    int commit_sent, prepared_sent, asked_around, returned, discarded, finished;
};

/* Before an event goes in. */
void session_rules_hear(struct session_rules *rules, const struct ferry_event *event);
/* The actions that came out for it; aborts when one must not be. */
void session_rules_check(struct session_rules *rules, const struct ferry_action *action,
                         int count);

#endif
