/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "filters/filter.h"

/* From text to filters; docs/filters.md has the grammar. */

static const struct filter_kind *const kinds[] = {
    &filter_delay,   &filter_error, &filter_short,
    &filter_corrupt, &filter_lose,  &filter_log,
};

/* Short names of the migration data's requests, and the device's own operations. */
static const struct {
    const char *name;
    uint32_t operation;
} words[] = {
    { "any", FILTER_OP_ANY },
    { "read", FERRY_RQ_DATA_READ },
    { "write", FERRY_RQ_DATA_WRITE },
    { "dma_read", FILTER_OP_DMA_READ },
    { "dma_write", FILTER_OP_DMA_WRITE },
};

int filter_text_error(const struct filter_text *text, const struct filter_token *token,
                      const char *what)
{
    const size_t at =
        token->text != NULL ? (size_t)(token->text - text->spec) : strlen(text->spec);

    return ferry_error_set(text->reterr, FERRY_E_ARGUMENT, "filter", NULL, at,
                           "\"%.100s\", at character %zu (\"%.*s\"): %s; for example %s",
                           text->spec, at + 1,
                           (int)(token->length < 40 ? token->length : 40),
                           token->text != NULL ? token->text : "", what, text->example);
}

int filter_token_number(const struct filter_token *token, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (token->length == 0 || token->length > 18) {
        return 0;
    }
    for (size_t i = 0; i < token->length; i++) {
        if (token->text[i] < '0' || token->text[i] > '9') {
            return 0;
        }
        value = value * 10 + (uint64_t)(token->text[i] - '0');
    }
    *ret_value = value;
    return 1;
}

static char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

int filter_token_is(const struct filter_token *token, const char *word)
{
    if (strlen(word) != token->length) {
        return 0;
    }
    for (size_t i = 0; i < token->length; i++) {
        if (lower(token->text[i]) != lower(word[i])) {
            return 0;
        }
    }
    return 1;
}

static int find_state(const struct filter_token *token, uint32_t *ret_state)
{
    for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
        if (filter_token_is(token, ferry_state_name(state))) {
            *ret_state = state;
            return 1;
        }
    }
    return 0;
}

/* "stop" or "resuming>stop". */
static int find_arc(const struct filter_token *token, struct filter_rule *ret_rule)
{
    const char *mark = memchr(token->text, '>', token->length);
    struct filter_token from = *token, to = *token;

    if (mark != NULL) {
        from.length = (size_t)(mark - token->text);
        to.text = mark + 1;
        to.length = token->length - from.length - 1;
        if (!find_state(&from, &ret_rule->from)) {
            return 0;
        }
    }
    ret_rule->operation = FERRY_RQ_SET_STATE;
    return find_state(&to, &ret_rule->to);
}

int filter_parse_operation(struct filter_text *text, const struct filter_token *token,
                           struct filter_rule *ret_rule)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (filter_token_is(token, words[i].name)) {
            ret_rule->operation = words[i].operation;
            return FERRY_OK;
        }
    }
    for (uint32_t kind = 1; kind < FERRY_RQ_COUNT; kind++) {
        if (filter_token_is(token, ferry_request_name(kind))) {
            ret_rule->operation = kind;
            return FERRY_OK;
        }
    }
    if (token->length > 0 && find_arc(token, ret_rule)) {
        return FERRY_OK;
    }
    return filter_text_error(text, token,
                             "no operation or state has this name (read, write, "
                             "region_read, set_state, stop, resuming>stop, any ...)");
}

int filter_parse_when(struct filter_text *text, const struct filter_token *token,
                      struct filter_rule *ret_rule)
{
    struct filter_token number = { token->text + 1, token->length - 1 }, seed;
    const char *mark;

    if (token->length == 0) {
        return FERRY_OK;
    }
    if (token->text[0] == '@') {
        ret_rule->when = FILTER_NTH;
        if (number.length > 0 && number.text[number.length - 1] == '+') {
            ret_rule->when = FILTER_SINCE;
            number.length--;
        }
    } else {
        ret_rule->when = FILTER_ONE_IN;
        mark = memchr(number.text, '#', number.length);
        if (mark != NULL) {
            seed.text = mark + 1;
            seed.length = number.length - (size_t)(mark - number.text) - 1;
            number.length -= seed.length + 1;
            if (!filter_token_number(&seed, &ret_rule->random)) {
                return filter_text_error(text, &seed, "a seed is a number");
            }
        }
    }
    if (!filter_token_number(&number, &ret_rule->number) || ret_rule->number == 0) {
        return filter_text_error(text, token, "when is @N, @N+, %N or %N#SEED, N from 1");
    }
    return FERRY_OK;
}

/* The kinds of filters that an operation can be for: FILTER_TAKES_*. */
static uint32_t takers(uint32_t operation)
{
    switch (operation) {
    case FERRY_RQ_DATA_READ:
        return FILTER_TAKES_ALL | FILTER_TAKES_DATA | FILTER_TAKES_READ;
    case FERRY_RQ_DATA_WRITE:
    case FERRY_RQ_REGION_READ:
    case FERRY_RQ_REGION_WRITE:
    case FILTER_OP_DMA_READ:
    case FILTER_OP_DMA_WRITE:
        return FILTER_TAKES_ALL | FILTER_TAKES_DATA;
    case FILTER_OP_ANY:
    case FERRY_RQ_LOG_REPORT:
    case FERRY_RQ_LOG_RUNS:
    case FERRY_RQ_DMA_UNMAP:
        return FILTER_TAKES_ALL | FILTER_TAKES_DIRTY;
    default:
        return FILTER_TAKES_ALL;
    }
}

/* May a filter of this kind be about the rule's operation? */
static int check_operation(const struct filter_text *text,
                           const struct filter_token *token,
                           const struct filter_kind *kind, const struct filter_rule *rule)
{
    const char *what = "only read, write, region_read, region_write, "
                       "dma_read and dma_write carry data";

    if ((takers(rule->operation) & kind->operations) != 0) {
        return FERRY_OK;
    }
    if (kind->operations == FILTER_TAKES_READ) {
        what = "only read can be short";
    } else if (kind->operations == FILTER_TAKES_DIRTY) {
        what = "only log_report, log_runs, dma_unmap and any tell dirty pages";
    }
    return filter_text_error(text, token, what);
}

/* OPERATION[:VALUE][WHEN]. */
static int parse_rule(struct ferry_filter *filter, struct filter_text *text,
                      const struct filter_token *whole)
{
    struct filter_token operation = { whole->text, 0 }, value = { NULL, 0 }, when;
    size_t at = 0;
    int status;

    while (at < whole->length && strchr(":@%", whole->text[at]) == NULL) {
        at++;
    }
    operation.length = at;
    if (at < whole->length && whole->text[at] == ':') {
        value.text = whole->text + ++at;
        while (at < whole->length && strchr("@%", whole->text[at]) == NULL) {
            at++;
        }
        value.length = (size_t)(whole->text + at - value.text);
    }
    when.text = whole->text + at;
    when.length = whole->length - at;
    status = filter_parse_operation(text, &operation, &filter->rule);
    if (status == FERRY_OK) {
        status = check_operation(text, &operation, filter->kind, &filter->rule);
    }
    if (status == FERRY_OK) {
        status = filter_parse_when(text, &when, &filter->rule);
    }
    return status == FERRY_OK ? filter->kind->open(filter, text, &value) : status;
}

int filter_parse(struct ferry_filter *filter, const char *spec, size_t at, size_t length,
                 struct ferry_error *reterr)
{
    struct filter_text text = { spec, "delay=stop_copy:200ms,error=read:EIO@3", reterr };
    struct filter_token name = { spec + at, 0 }, rest = { NULL, 0 };
    const struct filter_kind *kind = NULL;

    while (name.length < length && name.text[name.length] != '=') {
        name.length++;
    }
    if (name.length < length) {
        rest.text = name.text + name.length + 1;
        rest.length = length - name.length - 1;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (filter_token_is(&name, kinds[i]->name)) {
            kind = kinds[i];
        }
    }
    if (kind == NULL) {
        return filter_text_error(&text, &name,
                                 "no such filter (delay, error, short, corrupt, "
                                 "lose, log)");
    }
    text.example = kind->example;
    filter->rule.from = FILTER_STATE_ANY;
    filter->rule.to = FILTER_STATE_ANY;
    filter->rule.random = 1;
    filter->kind = kind;
    if (kind->operations == FILTER_TAKES_NONE) {
        return kind->open(filter, &text, &rest);
    }
    if (rest.text == NULL) {
        return filter_text_error(&text, &name, "an operation is needed");
    }
    return parse_rule(filter, &text, &rest);
}
