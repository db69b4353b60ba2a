/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_STATE_STATE_H
#define FERRY_CHECK_STATE_STATE_H

#include "check/check.h"

/*
 * What the checks of states share: which pairs and states a device has, a whole state of
 * its own to compare with, and transfers that are interrupted.
 */

/* A state of the device, saved while it did nothing. */
struct state_own {
    struct check_stream stream;
    int steady; /* two saves with RUNNING between them were equal */
};

/* How much of a transfer is done when something happens to it. */
enum state_cut {
    STATE_CUT_NONE = 0,
    STATE_CUT_ONE,
    STATE_CUT_HALF,
    STATE_CUT_ALL_BUT_ONE,
    STATE_CUT_ALL,
    STATE_CUTS
};
extern const char *const state_cut_names[STATE_CUTS]; /* "0", "1", "half", ... */
uint64_t state_cut_bytes(uint32_t cut, uint64_t whole);

/* States but ERROR and RESUMING, which nothing but a whole state or a reset leaves. */
uint32_t state_other_count(const struct check_run *run);
uint32_t state_other_at(const struct check_run *run, uint32_t at);
void state_other_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES]);
/* A case for each state and cut: "STOP_COPY,half". Those without a session have one. */
uint32_t state_cut_count(const struct check_run *run);
void state_cut_at(const struct check_run *run, uint32_t at, uint32_t *ret_state,
                  uint32_t *ret_cut);
void state_cut_name(const struct check_run *run, uint32_t at,
                    char ret_name[FERRY_CHECK_CASE_BYTES]);

struct state_pair {
    uint32_t from, to;
};
/*
 * The legal pairs, in the order of their numbers; data: bits 1 << enum
 * ferry_data_session, those that do such a thing only.
 * Return: how many there are; with `at` below that, *ret_pair.
 */
uint32_t state_pairs(const struct check_run *run, uint32_t data, uint32_t at,
                     struct state_pair *ret_pair);
void state_pair_name(const struct state_pair *pair,
                     char ret_name[FERRY_CHECK_CASE_BYTES]);

/* Is there a data session in this state? */
int state_has_session(uint32_t state);
/* Those, as check_state_count() and so on. */
uint32_t state_session_count(const struct check_run *run);
uint32_t state_session_at(const struct check_run *run, uint32_t at);
void state_session_name(const struct check_run *run, uint32_t at,
                        char ret_name[FERRY_CHECK_CASE_BYTES]);

/* Saves twice; the device is in RUNNING before and after. BROKEN if it cannot be saved.
 * Return: 1 when done. */
int state_own_save(struct check_run *run, struct state_own *ret_own);
void state_own_free(struct state_own *own);

/* Reads up to so many bytes more, to the end or until it is dry. Return: the status. */
int state_take(struct check_run *run, struct check_stream *stream, uint64_t bytes);
/*
 * Goes to a state and transfers the first part of its session's data: reads it into
 * `taken`, or writes it from `own`. BROKEN if that fails. Return: 1 when done.
 */
int state_enter(struct check_run *run, uint32_t state, uint32_t cut,
                const struct state_own *own, struct check_stream *taken);
/* The same for a case of state_cut_at(); what is read is not kept. Return: 1 when done.
 */
int state_enter_at(struct check_run *run, uint32_t at, const struct state_own *own);
/*
 * The session that state_enter() began still goes on: transfers the rest, and judges
 * what came out: a state that is loaded must be the one that was saved.
 * what: what the session has been through ("after a SET to the same state").
 */
int state_finish(struct check_run *run, uint32_t state, uint32_t cut,
                 const struct state_own *own, struct check_stream *taken,
                 const char *what);
/* A saved stream is the whole state: it can be loaded, and gives what `own` is where the
 * device is steady. The device is in STOP_COPY or STOP afterwards. */
int state_is_whole(struct check_run *run, const struct state_own *own,
                   const struct check_stream *stream, const char *what);
/* A load just ended by SET_STATE: the device saves what was loaded. */
int state_is_loaded(struct check_run *run, const struct state_own *own, const char *what);
/* A reset on the way: BROKEN if it is refused, which is reset.running's to say. */
int state_reset(struct check_run *run);
/* Nothing can be read or written now. */
int state_no_session(struct check_run *run, const char *when);

/*
 * One case of "in the middle of whatever the state does, something happens that must not
 * matter": state_enter(), happen(), state_finish() and the state is the same.
 */
void state_interrupt(struct check_run *run, uint32_t state,
                     int (*happen)(struct check_run *run, uint32_t state),
                     const char *what);

/*
 * SET_STATEs that no device takes: ERROR, numbers that are no state, states that the
 * features lack. Return: how many there are; with `at` below that, *ret_state.
 */
uint32_t state_forbidden(const struct check_run *run, uint32_t at, uint32_t *ret_state);

#endif
