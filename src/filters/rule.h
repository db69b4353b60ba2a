/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FILTERS_RULE_H
#define FERRY_FILTERS_RULE_H

#include "link/request.h"

/*
 * Which requests a filter is for: an operation, and when. Operations are the kinds of
 * requests, changes of state by the state's name, and the device's DMA by message.
 */
#define FILTER_OP_ANY 0u
#define FILTER_OP_DMA_READ ((uint32_t)FERRY_RQ_COUNT)
#define FILTER_OP_DMA_WRITE ((uint32_t)FERRY_RQ_COUNT + 1u)
#define FILTER_STATE_ANY UINT32_MAX
#define FILTER_STATE_UNKNOWN (UINT32_MAX - 1u)

enum filter_when {
    FILTER_ALWAYS = 0,
    FILTER_NTH,    /* @N */
    FILTER_SINCE,  /* @N+ */
    FILTER_ONE_IN, /* %N, by chance with a seed */
};

struct filter_rule {
    uint32_t operation; /* FILTER_OP_*, or enum ferry_request_kind */
    uint32_t from, to;  /* of a change of state, or FILTER_STATE_ANY */
    uint32_t when;      /* enum filter_when */
    uint64_t number;    /* N */
    uint64_t seen;      /* requests of the operation so far */
    uint64_t random;    /* state of the generator */
    uint32_t state;     /* the device's, as far as the requests tell */
    uint32_t dma_too;   /* FILTER_OP_ANY is for DMA by message as well */
};

/* 1 when the rule selects this request. Counts it: to be asked once for each. */
int filter_rule_takes(struct filter_rule *rule, const struct ferry_request *request);
/* The same for a DMA by message: FILTER_OP_DMA_*. */
int filter_rule_takes_dma(struct filter_rule *rule, uint32_t operation);
/* 1 when the rule must see how this request ends, to know the device's state. */
int filter_rule_follows(const struct filter_rule *rule, uint32_t kind);
/* Tells the rule how a request ended. */
void filter_rule_follow(struct filter_rule *rule, const struct ferry_request *request,
                        int status);
/* A number from the rule's generator. */
uint64_t filter_rule_random(struct filter_rule *rule);

/* A piece of a specification; not ended with NUL. */
struct filter_token {
    const char *text;
    size_t length;
};

/* What is being read, for messages. */
struct filter_text {
    const char *spec;
    const char *example;
    struct ferry_error *reterr;
};

/*
 * Says what is wrong with a token. Return: FERRY_E_ARGUMENT.
 */
int filter_text_error(const struct filter_text *text, const struct filter_token *token,
                      const char *what);
/* Digits only. Return: 1 and *ret_value. */
int filter_token_number(const struct filter_token *token, uint64_t *ret_value);
/* 1 when the token is that word, in either case. */
int filter_token_is(const struct filter_token *token, const char *word);

/* The operation of a name. Return: FERRY_OK, FERRY_E_ARGUMENT. */
int filter_parse_operation(struct filter_text *text, const struct filter_token *token,
                           struct filter_rule *ret_rule);
/* "@3", "@3+", "%10", "%10#7" or nothing. Return: FERRY_OK, FERRY_E_ARGUMENT. */
int filter_parse_when(struct filter_text *text, const struct filter_token *token,
                      struct filter_rule *ret_rule);

#endif
