/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_DATA_DATA_H
#define FERRY_CHECK_DATA_DATA_H

#include "check/check.h"
#include "check/classes.h"

/*
 * What the checks of a device's data share: content.c (something to save, and
 * comparing it), help.c (sessions). One file each:
 *   stream/ends.c       where a stream ends, what is between its reads
 *   stream/cut.c        reading and writing in pieces of any size
 *   stream/whole.c      short, long and endless streams
 *   stream/damage.c     damaged, reordered and meaningless streams
 *   stream/origin.c     streams of other devices
 *   stream/again.c      what one session leaves to the next
 *   stream/equal.c      the same state gives the same bytes, and works where it is loaded
 *   estimate/sizes.c    the estimate of the stop-copy
 *   estimate/precopy.c  pre-copy, its ends and what changes meanwhile
 *   estimate/info.c     pre-copy information
 *   socket/socket.c     the data descriptor; pipe.c: the frames on it
 * Large streams are tried at samples: a run over a device with megabytes of state is to
 * last seconds.
 */

/* Other bytes of a stream, the same in each run. */
struct data_noise {
    uint64_t state;
};
uint64_t data_noise(struct data_noise *noise);

/* The cases of a check, where they are constants. */
struct data_cases {
    const char *id;           /* of the check; NULL ends a table */
    const char *const *names; /* ended by NULL */
};
/* One table for each file. */
extern const struct data_cases data_cases_again[], data_cases_cut[], data_cases_damage[],
    data_cases_ends[], data_cases_equal[], data_cases_origin[], data_cases_precopy[],
    data_cases_info[], data_cases_sizes[], data_cases_socket[], data_cases_whole[];
/* For `cases` and `name` of a check that has a row in one of them. */
uint32_t data_cases(const struct check_run *run);
void data_case_name(const struct check_run *run, uint32_t at,
                    char ret_name[FERRY_CHECK_CASE_BYTES]);

/* To RUNNING, and has the device hold something worth saving where a driver can do that.
 * Return: 1; 0: BROKEN. */
int data_fill(struct check_run *run);
/* Other bytes than before, in RUNNING or PRE_COPY; there is a driver that can. */
int data_change(struct check_run *run);
/* 1 when there is such a driver; else SKIP. */
int data_can_change(struct check_run *run);
/* data_fill() and check_save(): the device is in STOP_COPY. */
int data_saved(struct check_run *run, struct check_stream *ret_stream);
/* From STOP_COPY to a session of its own: the same state, read again. */
int data_saved_again(struct check_run *run, struct check_stream *ret_stream);

/* The same, of at least one byte: SKIP when there is none. */
int data_own(struct check_run *run, struct check_stream *ret_stream);

/* How many of `most` tries with streams of that length fit into a case: at least 2. */
uint64_t data_tries(uint64_t bytes, uint64_t most);
/* The i-th of `parts` places all over that many bytes. */
uint64_t data_part(uint64_t bytes, uint64_t i, uint64_t parts);

/* How a stream is cut: reads and writes of these sizes, in turn. */
#define DATA_CUTS 10u
#define DATA_CUT_WHOLE 9u
extern const char *const data_cut_names[];
/*
 * Reads on until the end, or until nothing is there; appends. total: what will come, as
 * far as that is known, or 0. Small pieces are used at its head and tail only.
 * Return: FERRY_OK (a read gave 0), FERRY_E_DRY, FERRY_E_LIMIT (CHECK_STREAM_MAX),
 *   FERRY_E_PROTOCOL (more than asked for), the read's status.
 */
int data_read_cut(struct check_run *run, uint32_t cut, uint64_t total,
                  struct check_stream *stream);
int data_write_cut(struct check_run *run, uint32_t cut, const uint8_t *data,
                   uint64_t bytes);

/* 1 when the device has that state. */
int data_has(const struct check_run *run, uint32_t state);
/* In pre-copy: reads until nothing is there, appends. Return: 1; 0: FAILED when that is
 * said with anything but ENOMSG, SKIP when it does not come. */
int data_until_dry(struct check_run *run, struct check_stream *stream);

/* To RESUMING, with a session that has just begun. Return: 1; 0: BROKEN. */
int data_begin_load(struct check_run *run);
/* In RESUMING: writes it all, then SET_STATE to STOP. Return: the first failure. */
int data_offer(struct check_run *run, const uint8_t *data, uint64_t bytes);
/*
 * A session of its own in which these bytes are refused, by a write or by SET_STATE, and
 * the state is told as it must be. what: "a stream without its last byte".
 * Return: 1 when so, else the case has FAILED.
 */
int data_refused(struct check_run *run, const uint8_t *data, uint64_t bytes,
                 const char *what, ...) __attribute__((format(printf, 4, 5)));
/* The state after a refusal: RESUMING or ERROR. */
int data_refused_state(struct check_run *run, const char *what);
/* After refusals: a reset, and a good stream loads and the device works. */
int data_recovers(struct check_run *run, const struct check_stream *good);
/* A session of its own in which this loads, REQUIRED by the rule; the device works. */
int data_loads(struct check_run *run, const uint8_t *data, uint64_t bytes,
               const char *what);
/* Are both the same? FAILED if not; what: "the second save". Return: 1 when so. */
int data_equal(struct check_run *run, const struct check_stream *expected,
               const struct check_stream *seen, const char *what);
/* Where they differ first; the shorter one's length when one begins with the other. */
uint64_t data_differs_at(const struct check_stream *a, const struct check_stream *b);
/* Is a state of the one known to fit into the other, or known not to? Return: 1, 0, -1
 * when one of them does not say what it is. */
int data_fits(const struct check_device *from, const struct check_device *to);

#endif
