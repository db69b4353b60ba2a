/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/access/access.h"
#include "check/access/irq/line.h"
#include "check/classes.h"

/* SET_IRQS belongs to the user: it works in every state, and what was set up stays. */

#define ARRIVE_MS 1000u /* a signal that was asked for comes before that */
#define NONE FERRY_IRQ_SET_DATA_NONE
#define BOOL FERRY_IRQ_SET_DATA_BOOL
#define EVENTFD FERRY_IRQ_SET_DATA_EVENTFD
#define TRIGGER FERRY_IRQ_SET_TRIGGER

/* The ways to call it. */
static const struct flavour {
    const char *name;
    uint32_t flags, value;
    uint32_t maskable; /* 1: only where the index can be masked */
    uint32_t signals;  /* of the vector's eventfd, that come of it */
} flavours[] = {
    { "EVENTFD", EVENTFD | TRIGGER, 0, 0, 0 },
    { "TRIGGER_NONE", NONE | TRIGGER, 0, 0, 1 },
    { "TRIGGER_BOOL", BOOL | TRIGGER, 1, 0, 1 },
    { "TRIGGER_BOOL_0", BOOL | TRIGGER, 0, 0, 0 },
    { "MASK", NONE | FERRY_IRQ_SET_MASK, 0, 1, 0 },
    { "UNMASK", NONE | FERRY_IRQ_SET_UNMASK, 0, 1, 0 },
    { "MASK_BOOL", BOOL | FERRY_IRQ_SET_MASK, 1, 1, 0 },
    { "REMOVE", EVENTFD | TRIGGER, IRQ_REMOVE, 0, 0 },
};
#define FLAVOURS (sizeof(flavours) / sizeof(flavours[0]))
#define DISABLE FLAVOURS /* the last case of each state */
#define WAYS (FLAVOURS + 1)

static uint32_t set_cases(const struct check_run *run)
{
    return (uint32_t)WAYS * check_states(run, 0, UINT32_MAX, NULL);
}

static void set_name(const struct check_run *run, uint32_t at,
                     char ret_name[FERRY_CHECK_CASE_BYTES])
{
    const uint32_t way = at % WAYS;
    uint32_t state = 0;

    (void)check_states(run, 0, (uint32_t)(at / WAYS), &state);
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s@%s",
             way == DISABLE ? "DISABLE" : flavours[way].name, ferry_state_name(state));
}

static int is_maskable(struct check_run *run, uint32_t index)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_IRQ_INFO };

    request.u.irq.index = index;
    return check_call(run, &request) == FERRY_OK &&
           (request.u.irq.flags & FERRY_IRQ_MASKABLE) != 0;
}

static int works_in(struct check_run *run, uint32_t state, int status, const char *name)
{
    char what[96];

    snprintf(what, sizeof(what), "SET_IRQS %s in %s", name, ferry_state_name(state));
    return check_ok(run, status, what) && check_is(run, state, "after SET_IRQS");
}

/* A trigger by the user is the user's: it comes in every state. */
static void try_flavour(struct check_run *run, const struct irq_line *line,
                        const struct flavour *flavour, uint32_t state)
{
    uint64_t signals;
    char expected[160];

    if (!works_in(run, state, irq_set(run, line, flavour->flags, flavour->value),
                  flavour->name) ||
        !(flavour->flags & TRIGGER)) {
        return;
    }
    signals = irq_line_count(run, line, flavour->signals ? ARRIVE_MS : 0);
    snprintf(expected, sizeof(expected), "%s in %s gives %u signals of the eventfd",
             flavour->name, ferry_state_name(state), flavour->signals);
    check_that(run, signals == flavour->signals, expected, "%llu came",
               (unsigned long long)signals);
    if (flavour->value == IRQ_REMOVE) {
        (void)irq_set(run, line, NONE | TRIGGER, 0);
        check_that(run, irq_line_count(run, line, 0) == 0,
                   "an eventfd that was taken away is not signalled", "it is");
    }
}

static void run_set(struct check_run *run, uint32_t at)
{
    const uint32_t way = at % WAYS;
    struct irq_line line;
    uint32_t state = 0;

    (void)check_states(run, 0, (uint32_t)(at / WAYS), &state);
    if (!irq_line_make(run, &line)) {
        return;
    }
    if (way != DISABLE && flavours[way].maskable && !is_maskable(run, line.index)) {
        check_skip(run, "the device's vectors cannot be masked by SET_IRQS");
    } else if (access_enter(run, state) &&
               works_in(run, state, irq_set(run, &line, EVENTFD | TRIGGER, 0),
                        "EVENTFD")) {
        if (way == DISABLE) {
            works_in(run, state, irq_disable(run, &line), "DISABLE");
        } else {
            try_flavour(run, &line, &flavours[way], state);
            if (flavours[way].flags & FERRY_IRQ_SET_MASK) {
                /* The user's own doing: no reset takes it back. */
                (void)irq_set(run, &line, NONE | FERRY_IRQ_SET_UNMASK, 0);
            }
        }
        (void)irq_disable(run, &line);
    }
    irq_line_close(&line);
}

/* -- What was set up stays -- */

static uint32_t kept_cases(const struct check_run *run)
{
    return check_state_count(run); /* ERROR has no way back */
}

static void kept_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    const uint32_t state = check_state_at(run, at);

    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "RUNNING>%s>RUNNING",
             ferry_state_name(state));
}

static int arrives(struct check_run *run, const struct irq_line *line, const char *when)
{
    char expected[160];

    snprintf(expected, sizeof(expected), "a vector keeps its eventfd %s", when);
    return check_ok(run, irq_set(run, line, NONE | TRIGGER, 0), "a trigger") &&
           check_that(run, irq_line_count(run, line, ARRIVE_MS) > 0, expected,
                      "a trigger does not arrive");
}

/* Into the state with the vector set up, there and back in RUNNING it is triggered. */
static void try_kept(struct check_run *run, const struct irq_line *line, uint32_t state)
{
    struct check_stream stream = { 0 };
    char when[64];
    int good;

    snprintf(when, sizeof(when), "in %s", ferry_state_name(state));
    if (state == FERRY_STATE_RESUMING) {
        good = check_save(run, &stream) && check_go(run, state) &&
               arrives(run, line, when) &&
               check_ok(run, check_write_all(run, stream.data, stream.bytes, 0),
                        "the load of its own state") &&
               check_ok(run, check_set_state(run, FERRY_STATE_STOP), "RESUMING to STOP");
        check_stream_free(&stream);
    } else {
        good = check_go(run, state) && arrives(run, line, when);
    }
    if (good && check_go(run, FERRY_STATE_RUNNING)) {
        arrives(run, line, "until it runs again");
    }
}

static void run_kept(struct check_run *run, uint32_t at)
{
    struct irq_line line;
    const uint32_t state = check_state_at(run, at);

    if (!irq_line_make(run, &line)) {
        return;
    }
    if (check_ok(run, irq_set(run, &line, EVENTFD | TRIGGER, 0), "SET_IRQS in RUNNING")) {
        try_kept(run, &line, state);
        (void)irq_disable(run, &line);
    }
    irq_line_close(&line);
}

/* -- At the target -- */

enum { BEFORE_LOAD, WHILE_RESUMING, AFTER_LOAD, TARGETS };

static uint32_t target_cases(const struct check_run *run)
{
    (void)run;
    return TARGETS;
}

static void target_name(const struct check_run *run, uint32_t at,
                        char ret_name[FERRY_CHECK_CASE_BYTES])
{
    static const char *const names[TARGETS] = { "before", "RESUMING", "STOP" };

    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", names[at]);
}

static int set_up(struct check_run *run, const struct irq_line *line, uint32_t now)
{
    return !now || check_ok(run, irq_set(run, line, EVENTFD | TRIGGER, 0), "SET_IRQS");
}

/* A load, with the set-up of interrupts at one of the places where VMMs make it. */
static int load_with(struct check_run *run, const struct irq_line *line,
                     const struct check_stream *stream, uint32_t place)
{
    return check_reset(run) == FERRY_OK && set_up(run, line, place == BEFORE_LOAD) &&
           check_go(run, FERRY_STATE_RESUMING) &&
           check_ok(run, check_write_all(run, stream->data, stream->bytes / 2, 0),
                    "a write of data") &&
           set_up(run, line, place == WHILE_RESUMING) &&
           check_ok(run,
                    check_write_all(run, stream->data + stream->bytes / 2,
                                    stream->bytes - stream->bytes / 2, 0),
                    "a write of data") &&
           check_ok(run, check_set_state(run, FERRY_STATE_STOP), "RESUMING to STOP") &&
           set_up(run, line, place == AFTER_LOAD) && check_go(run, FERRY_STATE_RUNNING);
}

static void run_target(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct irq_line line;

    if (!irq_line_make(run, &line)) {
        return;
    }
    if (check_save(run, &stream) && load_with(run, &line, &stream, at)) {
        arrives(run, &line, "when the device runs after the load");
        (void)irq_disable(run, &line);
    }
    check_stream_free(&stream);
    irq_line_close(&line);
}

/* -- The device's own, on vectors that were set up while it did not run -- */

/* Takes the driver's vectors away and gives them back. */
static int renew(struct check_run *run, uint32_t state)
{
    const struct irq_line all = { .index = run->device.eventfd_index, .fd = -1 };
    const uint32_t count = run->device.eventfd_count;
    char what[96];

    snprintf(what, sizeof(what), "SET_IRQS in %s", ferry_state_name(state));
    return check_ok(run, irq_disable(run, &all), what) &&
           check_ok(run, ferry_check_irqs(&run->driven, count), what);
}

static void run_later(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    char when[96];
    const uint32_t state = check_state_at(run, at);
    int good;

    if (!run->options->driver->works || !check_drive(run) ||
        run->device.eventfd_count == 0) {
        check_skip(run, "the driver has no interrupts");
        return;
    }
    if (state == FERRY_STATE_RESUMING) {
        good = check_save(run, &stream) && check_go(run, state) && renew(run, state) &&
               check_ok(run, check_write_all(run, stream.data, stream.bytes, 0),
                        "the load of its own state") &&
               check_ok(run, check_set_state(run, FERRY_STATE_STOP), "RESUMING to STOP");
        check_stream_free(&stream);
    } else {
        good = check_go(run, state) && renew(run, state);
    }
    snprintf(when, sizeof(when), "on vectors that were set up in %s",
             ferry_state_name(state));
    if (good && check_go(run, FERRY_STATE_RUNNING)) {
        check_works(run, when);
    }
}

const struct check check_access_irq_set[] = {
    { { "irq.set", "MIG-IRQ-1", "SET_IRQS works in every state, in each of its forms",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_IRQ },
      set_cases,
      set_name,
      run_set },
    { { "irq.kept", "MIG-IRQ-4", "vectors keep their set-up over changes of state",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_IRQ },
      kept_cases,
      kept_name,
      run_kept },
    { { "irq.later", "MIG-IRQ-1",
        "vectors that are set up while it does not run are used when it does",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_IRQ },
      kept_cases,
      kept_name,
      run_later },
    { { "irq.target", "MIG-EXT-2",
        "interrupts are set up before, during or after a load, and arrive when it runs",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_IRQ | FERRY_CHECK_NEEDS_RESET },
      target_cases,
      target_name,
      run_target },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
