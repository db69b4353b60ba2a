/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_CHECK_H
#define FERRY_CHECK_CHECK_H

#include "ferry/access.h"
#include "ferry/check.h"
#include "ferry/state.h"
#include "host/backend/backend.h"
#include "link/request.h"

/*
 * The engine:
 *   pick.c      which checks and cases are meant
 *   run.c       runs them, brings the device to RUNNING before each
 *   device.c    opening, what the device is, memory, reset and reopening
 *   operate.c   one request each, for the checks
 *   find.c      what a check says of its case
 *   step.c      what takes several: going to a state, saves and loads
 *   work.c      work of the driver's that lasts
 *   cases.c     the states of a device, as cases
 *   driver.c    what drivers call
 *   table.c     the classes of checks
 * The checks: one folder per chapter of the specification; each file ends with a table.
 * A check's function makes requests by the functions of this header and says what it
 * finds by check_that() and the like; it may return anywhere, since whatever it left
 * behind is cleared by the engine.
 */

#define CHECK_IOVA 0x100000u            /* of the memory */
#define CHECK_DRIVER_BYTES (4u << 20)   /* at its start: the driver's own */
#define CHECK_SCRATCH_BYTES (16u << 20) /* behind: what devices are asked to write */
#define CHECK_MEMORY_BYTES (CHECK_DRIVER_BYTES + CHECK_SCRATCH_BYTES)
#define CHECK_SCRATCH_IOVA (CHECK_IOVA + CHECK_DRIVER_BYTES)
#define CHECK_STREAM_MAX (1ull << 30) /* of state that is kept in memory */
#define CHECK_ENDLESS_BYTES (256ull << 20)
#define CHECK_CASE_TIMEOUTS 12u /* limits of a request that one case may take */
#define CHECK_VECTORS_MAX 16u
#define CHECK_REGIONS_MAX 32u

struct check_run;

/* One check. Cases are numbered from 0; without `cases` there is one. */
struct check {
    struct ferry_check_info info;
    uint32_t (*cases)(const struct check_run *run);
    /* What tells this case from the others: no spaces or brackets. */
    void (*name)(const struct check_run *run, uint32_t at,
                 char ret_name[FERRY_CHECK_CASE_BYTES]);
    void (*run)(struct check_run *run, uint32_t at);
};

/* The checks of one file, ended by an entry without id. */
struct check_class {
    const struct check *check;
};
extern const struct check_class check_classes[];

struct check_memory {
    uint8_t *address;
    int fd;
};

/* One of the devices that take part. */
struct check_device {
    struct ferry_check_target target;
    struct ferry_backend *backend; /* NULL: closed */
    struct check_memory memory;    /* of its own; mapped at CHECK_IOVA while it is open */
    uint32_t features;             /* FERRY_MIG_*; known from the first opening on */
    uint32_t region_count, irq_count;
    uint32_t can_reset, has_log, is_v1;
    int reports_always; /* -1: not yet known, as check_reports_always() */
    uint32_t opened_in; /* the state that it told when it was opened last */
    uint64_t region_size[CHECK_REGIONS_MAX];
    uint32_t region_flags[CHECK_REGIONS_MAX];
    uint32_t vectors[5]; /* by enum ferry_irq_index */
    struct ferry_identity identity;
    int has_identity;
    int eventfd[CHECK_VECTORS_MAX];        /* -1 */
    uint32_t eventfd_count, eventfd_index; /* of enum ferry_irq_index */
    struct ferry_error error;              /* of the last request that failed */
};

/* What the driver sees. */
struct ferry_check_device {
    struct check_run *run;
};

struct check_run {
    const struct ferry_check_options *options;
    struct check_device device, partner, foreign;
    struct check_device *at; /* which of them the functions below reach; &device */
    struct ferry_check_device driven;
    void *driver_state; /* the driver is started */
    int driver_started;
    char driver_fault[400];            /* why it is of no use, though it starts; "" */
    const struct check *check;         /* whose cases are counted, named and run now */
    struct ferry_check_result *result; /* of the present case */
    uint32_t look_ms;
    uint32_t write_ms, has_written; /* what a write by the driver takes, at least */
    uint64_t case_ends_ns;          /* no request is made behind it; 0: between cases */
    uint32_t case_is_over;          /* one would have been */
    uint32_t stopped;               /* the result callback has had enough */
};

/* -- What a check says. The first word of a case stands. -- */

/*
 * It is as it must be? expected: what the rule demands; the rest: what was seen.
 * Return: condition, so that a check can go on only if it is.
 */
int check_that(struct check_run *run, int condition, const char *expected,
               const char *seen, ...) __attribute__((format(printf, 4, 5)));
/* The same with a status that must be FERRY_OK; what: "SET_STATE to STOP". */
int check_ok(struct check_run *run, int status, const char *what);
/* A request that must fail did, with a status and not by a timeout or a lost device.
 * Return: 1 when it was refused. */
int check_refused(struct check_run *run, int status, const char *what);
/* Does not apply. */
void check_skip(struct check_run *run, const char *why, ...)
    __attribute__((format(printf, 2, 3)));
/* Could not be tried. Return: 0. */
int check_broken(struct check_run *run, const char *how, ...)
    __attribute__((format(printf, 2, 3)));
/* What was not seen was looked for that long. */
void check_looked(struct check_run *run, uint32_t ms);

/* -- Requests to run->at. Return: the status; run->at->error has the details. -- */

int check_call(struct check_run *run, struct ferry_request *request);
int check_get_state(struct check_run *run, uint32_t *ret_state);
int check_set_state(struct check_run *run, uint32_t state);
/* ret_got: 0 with FERRY_OK is the end. FERRY_E_DRY: nothing for now. */
int check_read(struct check_run *run, void *ret_data, uint64_t bytes, uint64_t *ret_got);
int check_write(struct check_run *run, const void *data, uint64_t bytes);
int check_data_size(struct check_run *run, uint64_t *ret_bytes);
int check_precopy_info(struct check_run *run, struct ferry_precopy_info *ret_info);
int check_reset(struct check_run *run);
int check_region_read(struct check_run *run, uint32_t region, uint64_t off,
                      void *ret_data, size_t count);
int check_region_write(struct check_run *run, uint32_t region, uint64_t off,
                       const void *data, size_t count);
int check_log_start(struct check_run *run, uint64_t page_size,
                    const struct ferry_range *range, uint32_t count,
                    uint64_t *ret_page_size);
int check_log_stop(struct check_run *run);
/* bitmap: (length / page_size + 63) / 64 words. */
int check_log_report(struct check_run *run, uint64_t iova, uint64_t length,
                     uint64_t page_size, uint64_t *bitmap);
/*
 * 1: the device answers REPORT at any time, so that an answer does not tell that its log
 * is on. It is found out once: call it first where the log is off.
 */
int check_reports_always(struct check_run *run);
int check_map(struct check_run *run, uint64_t iova, uint64_t bytes, int fd,
              uint64_t offset);
int check_unmap(struct check_run *run, uint64_t iova, uint64_t bytes);

/* -- Steps on the way: what fails here makes the case BROKEN. Return: 1 when done. -- */

/* From wherever it is to that state, arc by arc, reading a stream to its end where one
 * is left (a device may refuse to leave STOP_COPY otherwise). */
int check_go(struct check_run *run, uint32_t state);
/* To RUNNING with nothing left of a session, by a reset or whatever else helps. */
int check_back(struct check_run *run);
/* The state that GET_STATE tells is this one; else the case has FAILED. */
int check_is(struct check_run *run, uint32_t state, const char *when);
/* The whole device still does what it did: the driver's works(), or a round over STOP
 * without one. FAILED if not. The device is in RUNNING before and after. */
int check_works(struct check_run *run, const char *when);
/* Starts the driver unless it is. BROKEN if it cannot. */
int check_drive(struct check_run *run);
/* Before the first case: a driver whose work fails with a device that nothing was done to
 * proves nothing afterwards; what needs it is not tried then. */
void check_driver_try(struct check_run *run);

/* -- Work of the driver's that lasts -- */

/* Has the driver any? Else the case is skipped. Return: 1 when it has. */
int check_can_begin(struct check_run *run);
/* Begins to have [iova, iova + bytes) written, as the driver's begin(). SKIP where it has
 * no such work, BROKEN if it cannot. Return: 1 when begun. */
int check_begin(struct check_run *run, uint64_t iova, uint64_t bytes);
/* All that was begun comes to an end; else the case has FAILED. The device runs.
 * Return: 1 when it did. */
int check_settles(struct check_run *run, const char *when);
/* The same on the way to something else: BROKEN if it does not. */
int check_settle(struct check_run *run);

/* -- States as cases -- */

/* States that the device has; without: bits 1 << state of those that are left out.
 * Return: how many there are; with `at` below that, *ret_state is the at-th. */
uint32_t check_states(const struct check_run *run, uint32_t without, uint32_t at,
                      uint32_t *ret_state);
/* The states that it can be asked to go to: all but ERROR. For tables: a case for each,
 * named by it. */
uint32_t check_state_count(const struct check_run *run);
uint32_t check_state_at(const struct check_run *run, uint32_t at);
void check_state_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES]);

/* -- Streams -- */

/* A stream of one session. */
struct check_stream {
    uint8_t *data; /* malloc */
    uint64_t bytes, cap;
};
void check_stream_free(struct check_stream *stream);
/* Room for so many bytes more. Return: FERRY_OK, FERRY_E_MEMORY, FERRY_E_LIMIT. */
int check_stream_room(struct check_stream *stream, uint64_t bytes);
/*
 * Reads to the end (STOP_COPY) or until it is dry (PRE_COPY), piece by piece, behind what
 * the stream holds. piece: 0 takes the largest.
 * Return: FERRY_OK; the status of the read that failed; FERRY_E_LIMIT
 * (CHECK_STREAM_MAX).
 */
int check_read_all(struct check_run *run, struct check_stream *stream, uint64_t piece);
/* Writes all of it, piece by piece. Return: FERRY_OK; of the write that failed. */
int check_write_all(struct check_run *run, const uint8_t *data, uint64_t bytes,
                    uint64_t piece);
/* RUNNING (or where it is) to STOP_COPY, all of the stream. The device is in STOP_COPY.
 */
int check_save(struct check_run *run, struct check_stream *ret_stream);
/* To RESUMING by a reset where the present state needs one; then the stream, then STOP.
 */
int check_load(struct check_run *run, const struct check_stream *stream);

/* -- The engine's own -- */

int check_device_open(struct check_run *run, struct check_device *device,
                      struct ferry_error *reterr);
void check_device_close(struct check_run *run, struct check_device *device);
/* Why an open device answers no more: FERRY_E_CLOSED and the like; FERRY_OK: it does. */
int check_end_of(const struct check_device *device);
/* 1: the device is one of the kernel's. */
int check_is_kernel(const struct check_run *run);
/* 0: an inherited connection, with one user in its life. */
int check_can_reopen(const struct check_device *device);
/* Closes and opens: BROKEN if that fails, SKIP where it cannot be. Return: 1 when done.
 */
int check_reopen(struct check_run *run);
/* To RUNNING with nothing left of the case before: by a reset, else by reopening. */
int check_base(struct check_run *run, struct ferry_error *reterr);
void check_undrive(struct check_run *run);
/* "FERRY_E_STATE: text" of a status. Return: ret_text. */
const char *check_status_text(const struct check_run *run, int status,
                              char ret_text[160]);

#endif
