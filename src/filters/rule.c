/* SPDX-License-Identifier: BSD-3-Clause */
#include "filters/rule.h"

uint64_t filter_rule_random(struct filter_rule *rule)
{
    uint64_t value = rule->random += 0x9e3779b97f4a7c15u; /* splitmix64 */

    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* One more request of the operation: is it its turn? */
static int count(struct filter_rule *rule)
{
    rule->seen++;
    switch ((enum filter_when)rule->when) {
    case FILTER_ALWAYS:
        return 1;
    case FILTER_NTH:
        return rule->seen == rule->number;
    case FILTER_SINCE:
        return rule->seen >= rule->number;
    case FILTER_ONE_IN:
        return filter_rule_random(rule) % rule->number == 0;
    }
    return 0;
}

/* The state that a request asks for; FILTER_STATE_ANY when it asks for none. */
static uint32_t wanted(const struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_SET_STATE) {
        return request->u.state;
    }
    return request->kind == FERRY_RQ_LEAVE_STATE ? request->u.leave.state
                                                 : FILTER_STATE_ANY;
}

int filter_rule_takes(struct filter_rule *rule, const struct ferry_request *request)
{
    const uint32_t to = wanted(request);

    if (rule->to != FILTER_STATE_ANY) {
        if (to != rule->to ||
            (rule->from != FILTER_STATE_ANY && rule->from != rule->state)) {
            return 0;
        }
        return count(rule);
    }
    if (rule->operation != FILTER_OP_ANY && rule->operation != request->kind) {
        return 0;
    }
    return count(rule);
}

int filter_rule_takes_dma(struct filter_rule *rule, uint32_t operation)
{
    const int any = rule->operation == FILTER_OP_ANY && rule->dma_too != 0;

    return (rule->operation == operation || any) && count(rule);
}

int filter_rule_follows(const struct filter_rule *rule, uint32_t kind)
{
    return rule->from != FILTER_STATE_ANY &&
           (kind == FERRY_RQ_SET_STATE || kind == FERRY_RQ_LEAVE_STATE ||
            kind == FERRY_RQ_GET_STATE || kind == FERRY_RQ_RESET);
}

void filter_rule_follow(struct filter_rule *rule, const struct ferry_request *request,
                        int status)
{
    if (!filter_rule_follows(rule, request->kind)) {
        return;
    }
    if (request->kind == FERRY_RQ_RESET) {
        rule->state = status == FERRY_OK ? FERRY_STATE_RUNNING : rule->state;
    } else if (request->kind == FERRY_RQ_GET_STATE) {
        rule->state = status == FERRY_OK ? request->u.state : rule->state;
    } else if (status == FERRY_OK) {
        rule->state = wanted(request);
    } else {
        /* It may have gone a part of the way; the next answer to GET_STATE tells. */
        rule->state = FILTER_STATE_UNKNOWN;
    }
}
