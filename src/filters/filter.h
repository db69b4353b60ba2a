/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FILTERS_FILTER_H
#define FERRY_FILTERS_FILTER_H

#include "filters/rule.h"
#include "link/endpoint.h"
#include "os/loop.h"

/*
 * What the filters share: an endpoint that passes everything to the one below, and calls
 * its kind for the requests that the rule selects. The kinds are rows of one table in
 * spec.c.
 * Thread: the device's.
 */

#define FILTER_CALLS_MAX 256u /* requests that one filter watches or holds at a time */

struct ferry_filter;

/* A request on its way below under the filter's eyes: the device sees `inner`. */
struct filter_call {
    struct ferry_request inner;
    struct ferry_request *outer;
    struct ferry_filter *filter;
    struct filter_call *next; /* list of free ones */
    uint64_t begun_ns;        /* log */
    void *memory;             /* freed at the end; corrupt: the changed copy */
    uint32_t matched;         /* the rule selected it */
};

struct filter_kind {
    const char *name;
    const char *example;
    /*
     * Reads the kind's own value (NULL text: none was given) and makes what it needs.
     * Return: FERRY_OK or a negative code with *text's error.
     */
    int (*open)(struct ferry_filter *filter, struct filter_text *text,
                const struct filter_token *value);
    void (*close)(struct ferry_filter *filter);
    void (*attach)(struct ferry_filter *filter);
    /* After the endpoint below let go of everything: ends what is held, with CLOSED. */
    void (*detach)(struct ferry_filter *filter);
    /* Every request. matched: the rule selects it. NULL: `matched` ones are watched. */
    int (*submit)(struct ferry_filter *filter, struct ferry_request *request,
                  int matched);
    /* A watched request ended: *status may be changed. */
    void (*after)(struct ferry_filter *filter, struct filter_call *call, int *status);
    int (*work)(struct ferry_filter *filter);
    int (*wake_fd)(struct ferry_filter *filter);
    /* A DMA by message that the rule selects; data is read or filled. */
    int (*dma)(struct ferry_filter *filter, int write, uint64_t iova, void *data,
               size_t size);
    uint32_t operations; /* FILTER_TAKES_* */
};
#define FILTER_TAKES_NONE 0u /* no operation is named: it is for all of them */
#define FILTER_TAKES_ALL 1u
#define FILTER_TAKES_DATA 2u  /* operations that carry bytes */
#define FILTER_TAKES_READ 4u  /* reads of migration data */
#define FILTER_TAKES_DIRTY 8u /* operations that tell dirty pages */

struct ferry_filter {
    struct ferry_endpoint endpoint; /* first: an endpoint is its filter */
    const struct filter_kind *kind;
    struct filter_rule rule;
    struct ferry_client_port port; /* what the endpoint below is given */
    const struct ferry_client_port *user_port;
    struct filter_call *free_calls;
    uint32_t calls; /* that are under way */
    uint32_t attached;
    uint32_t bottom; /* the last one of its ferry_filter_open() */
    union {
        struct {
            uint64_t ns;
            struct ferry_loop *loop; /* the timer, and the descriptor below */
            struct ferry_loop_timer timer;
            struct ferry_watch below;
            struct ferry_request *first, *last; /* held; tag: when it is due */
            struct ferry_request *arc;          /* a held change of state */
            struct ferry_request *over;         /* to be told in work() */
            uint32_t count;
        } delay;
        struct {
            int status;
        } error;
        struct {
            uint64_t bytes;
        } shorter;
        struct {
            uint64_t off;
            uint32_t bit, given; /* given: off and bit are */
        } corrupt;
        struct {
            uint64_t begun_ns;
            int fd, json, owned;
        } log;
    } u;
};

extern const struct filter_kind filter_delay, filter_error, filter_short, filter_corrupt,
    filter_lose, filter_log;

/* Passes a request on unwatched. Return: as submit. */
int filter_pass(struct ferry_filter *filter, struct ferry_request *request);
/*
 * A watched copy of a request, to be sent below with filter_send().
 * Return: NULL when memory is out or the limit is reached (*ret_status says which).
 */
struct filter_call *filter_call_new(struct ferry_filter *filter,
                                    struct ferry_request *request, int *ret_status);
/* Return: as submit; the kind's after() has run unless it is FERRY_PENDING. */
int filter_send(struct filter_call *call);
/* Forgets a call that was not sent. Return: status. */
int filter_call_drop(struct filter_call *call, int status);
/* Passes on, watched when the rule has to follow the state. Return: as submit. */
int filter_forward(struct ferry_filter *filter, struct ferry_request *request);
/* The user's port. Return: as the port's functions. */
int filter_port(struct ferry_filter *filter, int write, uint64_t iova, void *data,
                size_t size);
/* Ends a request that had been pending. */
void filter_end(struct ferry_request *request, int status);
/* The wake_fd of the endpoint below, or -1. */
int filter_below_fd(struct ferry_filter *filter);

/*
 * Makes one filter of the text [at, at + length) of spec.
 * Return: FERRY_OK, FERRY_E_ARGUMENT, FERRY_E_MEMORY, or what the kind's open() says.
 */
int filter_parse(struct ferry_filter *filter, const char *spec, size_t at, size_t length,
                 struct ferry_error *reterr);

#endif
