/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_CHECK_RIG_MUTANT_H
#define FERRY_TESTS_CHECK_RIG_MUTANT_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/check.h"
#include "ferry/device.h"
#include "ferry/state.h"
#include "link/endpoint.h"
#include "link/request.h"

/*
 * A mutant is a model with one fault: it breaks one rule, and the checks that are named
 * in its row must find it, and no others. It is an endpoint over the model's; its hooks
 * see every request on its way down and every result on its way up.
 *
 * A row is as short as this:
 *
 *     static int refuse_stop(struct mutant *mutant, struct ferry_request *request)
 *     {
 *         return mutant_sets(request, FERRY_STATE_STOP) && mutant_nth(mutant, 1)
 *                    ? FERRY_E_IO
 *                    : MUTANT_PASS;
 *     }
 *     { .name = "refuses its first stop", .breaks = "MIG-ARC-1: every legal arc works",
 *       .before = refuse_stop, .caught_by = "arc.legal" },
 *
 * Thread: all hooks run on the device's thread.
 */
struct mutant;
struct mutant_wire;
struct wire_message;

#define MUTANT_PASS 0x100 /* of before(): on its way */
#define MUTANT_MAPS_MAX 64u
#define MUTANT_VARS 16u
#define MUTANT_EVENTFDS_MAX 64u

struct check_mutant {
    const char *name;   /* a sentence's end: "a mutant that ..." */
    const char *breaks; /* the rule, in words */
    const char *model;  /* "copy,memory=65536"; NULL: MUTANT_COPY. */
    /*
     * A request on its way down. It is the mutant's own copy: fields may be changed; the
     * memory that they point to is the user's (mutant_own_data() makes a copy of what
     * is written).
     * Return: MUTANT_PASS; a status (FERRY_OK or negative), which is the answer then and
     *   the model never hears of it; mutant_hold().
     */
    int (*before)(struct mutant *mutant, struct ferry_request *request);
    /*
     * A result on its way up; what it points to (data that was read, a bitmap) may be
     * changed. status: the model's. Return: the status that the user gets.
     */
    int (*after)(struct mutant *mutant, struct ferry_request *request, int status);
    /* The model went from one state to another, by SET_STATE, reset or detach. */
    void (*on_state)(struct mutant *mutant, uint32_t from, uint32_t to);
    /* A user came (1) or went (0); what the mutant keeps is not cleared by itself. */
    void (*on_user)(struct mutant *mutant, int here);
    /* In each slice of the device's work. Return: 1 to be called again at once. */
    int (*work)(struct mutant *mutant);
    /*
     * A message between a vfio-user client and the server, and the row is served. What
     * may be done with it is in wire.h. NULL: no proxy.
     */
    void (*wire)(struct mutant_wire *wire, struct wire_message *message);
    /* Before the model makes its device: changes what it describes, or its operations
     * (mutant_ops()). */
    void (*describe)(struct ferry_device_desc *desc);
    const char *caught_by; /* the checks that must fail, between spaces */
    const char *also;      /* those that may fail as well, as a consequence */
    uint32_t whole;        /* 1: runs the checks of all classes */
    uint32_t served;       /* 1: over vfio-user; else in this process */
    uint32_t uapi;       /* 1: with the migration region of v1, and the hooks see that */
    uint32_t v1_form;    /* enum ferry_face_v1_form */
    uint32_t under;      /* 1: with uapi 1: the hooks see v2, below the region */
    uint32_t partner_v2; /* 1: with uapi 1: the partner has v2 */
    uint32_t timeout_ms; /* of a request; 0: 2000. For mutants that never answer */
    const char *partner; /* its model; NULL: the same as of the device */
    uint32_t sound_partner; /* 1: the partner of the same kind has no fault */
    uint32_t sound_device;  /* 1: only the partner has it */
    uint32_t undriven;      /* 1: nobody has it work */
    const char *only; /* instead of the class's checks, when a run would take long */
};

/* Models with little state, so that a run is fast. */
#define MUTANT_COPY "copy,memory=65536"
#define MUTANT_ACC "acc"

struct mutant_map {
    uint64_t iova, size;
    uint8_t *address; /* NULL: it came without a descriptor */
    uint32_t flags;   /* FERRY_DMA_* */
};

struct mutant {
    struct ferry_endpoint endpoint; /* first */
    const struct check_mutant *row; /* NULL: no fault, requests are only followed */
    struct ferry_device *device;    /* the model */
    uint32_t state; /* enum ferry_state: of the model, before a pending arc's end */
    uint32_t attached;
    /* How many requests of a kind came since the last change of state, and in all; the
     * present one counts. */
    uint32_t since[FERRY_RQ_COUNT], total[FERRY_RQ_COUNT];
    uint32_t kind;                          /* of the present request */
    struct mutant_map map[MUTANT_MAPS_MAX]; /* size 0: free */
    int eventfd[5][MUTANT_EVENTFDS_MAX];    /* by index and vector; -1 */
    uint64_t data_bytes; /* read or written since the present session began */
    /* The mutant's own; zero at first, kept over users. */
    uint64_t var[MUTANT_VARS];
    uint8_t *bytes; /* mutant_keep() */
    size_t byte_count;
    /* mutant.c's own */
    struct mutant_call *calls, *held;
    const struct ferry_client_port *port;
    int wake_fd, loop_fd;
};

/* -- Questions -- */

static inline int mutant_is(const struct ferry_request *request, uint32_t kind)
{
    return request->kind == kind;
}

/* Is it SET_STATE to that state? */
static inline int mutant_sets(const struct ferry_request *request, uint32_t state)
{
    return request->kind == FERRY_RQ_SET_STATE && request->u.state == state;
}

/* Is it a SET_STATE of that arc? Both ends of it, not the path between. */
static inline int mutant_arc(const struct mutant *mutant,
                             const struct ferry_request *request, uint32_t from,
                             uint32_t to)
{
    return mutant->state == from && mutant_sets(request, to);
}

static inline int mutant_in(const struct mutant *mutant, uint32_t state)
{
    return mutant->state == state;
}

/* The present request is the n-th (from 1) of its kind since the state changed. */
static inline int mutant_nth(const struct mutant *mutant, uint32_t n)
{
    return mutant->since[mutant->kind] == n;
}

/* 1 once for each of the mutant's variables. */
static inline int mutant_once(struct mutant *mutant, uint32_t var)
{
    return mutant->var[var]++ == 0;
}

/* -- Answers -- */

/* before(): keeps it until mutant_release() or the user goes. Return: what before() must
 * return. */
int mutant_hold(struct mutant *mutant, struct ferry_request *request);
/* Sends all that is held on to the model (MUTANT_PASS), or ends it with that status. Not
 * from before() and after(): from work(). */
void mutant_release(struct mutant *mutant, int status);
/* Has work() called soon. */
void mutant_wake(struct mutant *mutant);

/*
 * before() of DATA_WRITE or REGION_WRITE: a copy of what is written, which may be changed
 * and is freed by itself. room: bytes that it can hold (size may be raised up to it), at
 * least what is written.
 */
uint8_t *mutant_own_data(struct mutant *mutant, struct ferry_request *request,
                         size_t room);

/* -- What the mutant does by itself -- */

/* A request of the mutant's own to the model, waited for. Return: its status. */
int mutant_call(struct mutant *mutant, struct ferry_request *request);
int mutant_set_state(struct mutant *mutant, uint32_t state);
int mutant_reset(struct mutant *mutant);

/* Memory that was mapped, or NULL. */
uint8_t *mutant_at(struct mutant *mutant, uint64_t iova, uint64_t bytes);
/* Writes there behind the model's back (no log knows). Return: 0 when it is not mapped.
 */
int mutant_write(struct mutant *mutant, uint64_t iova, const void *data, uint64_t bytes);
/* Adds 1 to each byte there. */
int mutant_scribble(struct mutant *mutant, uint64_t iova, uint64_t bytes);
/* Raises an interrupt. index: 0 INTx, 1 MSI, 2 MSI-X. Return: 0 when nobody listens. */
int mutant_interrupt(struct mutant *mutant, uint32_t index, uint32_t vector);
/* Keeps a copy of bytes in mutant->bytes, instead of what was there; append: behind it.
 */
void mutant_keep(struct mutant *mutant, const void *data, size_t count, int append);

/* -- For describe() -- */

/* The operations that the device will have, to be changed. */
struct ferry_device_ops *mutant_ops(struct ferry_device_desc *desc);
/* The model's own, for those in their place. state: what every operation is given. */
const struct ferry_device_ops *mutant_model_ops(const void *state);
/* A describe(): the model's arcs can be made to fail. */
void mutant_can_fail(struct ferry_device_desc *desc);
/* The model is reset, and its next arc fails so that it is in ERROR. For rows with that
 * describe(). */
void mutant_fail(struct mutant *mutant);
/* An after() for such rows: a load that is refused leaves the device in ERROR, which is
 * its right. */
int mutant_loads_into_error(struct mutant *mutant, struct ferry_request *request,
                            int status);

/* -- For the rig -- */

/* What is called for devices that are made from now on; NULL: nothing. */
void mutant_describe(void (*describe)(struct ferry_device_desc *desc));
/* The device with this state is gone. */
void mutant_ops_free(const void *state);

/* A mutant over a device's endpoint. below: borrowed. Return: NULL without memory. */
struct mutant *mutant_new(const struct check_mutant *row, struct ferry_device *device,
                          struct ferry_endpoint *below);
void mutant_free(struct mutant *mutant);

/* The rows of a class, and which checks it is about. */
struct mutant_class {
    const char *name;
    const char *checks; /* "arc.* session.*": patterns, as ferry_check_options.only */
    const struct check_mutant *row; /* ended by a row without name */
};
extern const struct mutant_class mutant_classes[]; /* ended by one without name */

#endif
