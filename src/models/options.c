/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/options.h"

#include <inttypes.h>
#include <string.h>

#define LAYER "model"

/* Digits only: strtoull() would take signs, blanks and octal as well. */
static int parse_number(const char *text, uint32_t suffixes, uint64_t *ret_value)
{
    uint64_t value = 0;
    uint32_t shift = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        const uint64_t digit = (uint64_t)(*at - '0');

        if (value > (UINT64_MAX - digit) / 10) {
            return FERRY_E_ARGUMENT;
        }
        value = value * 10 + digit;
    }
    if (at == text) {
        return FERRY_E_ARGUMENT;
    }
    if (suffixes != 0 && *at != '\0') {
        shift = *at == 'K' || *at == 'k'   ? 10
                : *at == 'M' || *at == 'm' ? 20
                : *at == 'G' || *at == 'g' ? 30
                                           : 0;
        at += shift != 0;
    }
    if (*at != '\0' || (shift != 0 && value > UINT64_MAX >> shift)) {
        return FERRY_E_ARGUMENT;
    }
    *ret_value = value << shift;
    return FERRY_OK;
}

/* The options of a model, and which of them were given. */
struct table {
    const struct option_number *number;
    const struct option_text *text;
    size_t count, text_count;
    uint64_t seen; /* bits: numbers, then texts */
};

static int is_named(const char *name, const char *option, size_t name_length)
{
    return strlen(name) == name_length && memcmp(name, option, name_length) == 0;
}

/* Return: its place among numbers and texts; their sum: there is none. */
static size_t find(const struct table *table, const char *option, size_t name_length)
{
    size_t at = 0;

    while (at < table->count && !is_named(table->number[at].name, option, name_length)) {
        at++;
    }
    while (at >= table->count && at < table->count + table->text_count &&
           !is_named(table->text[at - table->count].name, option, name_length)) {
        at++;
    }
    return at;
}

/* Return: FERRY_OK; FERRY_E_ARGUMENT. */
static int parse_value(const char *text, const struct option_number *number,
                       uint64_t *ret_value)
{
    if (number->on_off == 0) {
        return parse_number(text, number->suffixes, ret_value);
    }
    *ret_value = strcmp(text, "on") == 0;
    return *ret_value == 1 || strcmp(text, "off") == 0 ? FERRY_OK : FERRY_E_ARGUMENT;
}

static int take_number(const char *option, const char *text,
                       const struct option_number *number, struct ferry_error *reterr)
{
    uint64_t value = 0;

    if (text == NULL || parse_value(text, number, &value) != FERRY_OK) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is not of the form %s=%s", option,
                               number->name,
                               number->on_off != 0     ? "on|off"
                               : number->suffixes != 0 ? "NUMBER[K|M|G]"
                                                       : "NUMBER");
    }
    if (value < number->min || value > number->max) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is outside %" PRIu64 " to %" PRIu64, option,
                               number->min, number->max);
    }
    if (number->power_of_two != 0 && (value & (value - 1)) != 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is not a power of two", option);
    }
    *number->ret_value = value;
    return FERRY_OK;
}

static int parse_one(const char *option, struct table *table, struct ferry_error *reterr)
{
    const size_t name_length = strcspn(option, "=");
    const size_t at = find(table, option, name_length);
    const char *text = option[name_length] == '=' ? option + name_length + 1 : NULL;

    if (at == table->count + table->text_count) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is not known to this model", option);
    }
    if ((table->seen & (1ull << at)) != 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%.*s\" is given twice", (int)name_length,
                               option);
    }
    table->seen |= 1ull << at;
    if (at < table->count) {
        return take_number(option, text, &table->number[at], reterr);
    }
    if (text == NULL || *text == '\0') {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is not of the form %.*s=TEXT", option,
                               (int)name_length, option);
    }
    *table->text[at - table->count].ret_text = text;
    return FERRY_OK;
}

int options_parse_texts(const struct ferry_model_options *options,
                        const struct option_number *number, size_t count,
                        const struct option_text *text, size_t text_count,
                        struct ferry_error *reterr)
{
    struct table table = {
        .number = number, .text = text, .count = count, .text_count = text_count
    };

    if (options == NULL) {
        return FERRY_OK;
    }
    for (size_t i = 0; i < options->count; i++) {
        const int status = parse_one(options->option[i], &table, reterr);

        if (status != FERRY_OK) {
            return status;
        }
    }
    return FERRY_OK;
}

int options_parse(const struct ferry_model_options *options,
                  const struct option_number *number, size_t count,
                  struct ferry_error *reterr)
{
    return options_parse_texts(options, number, count, NULL, 0, reterr);
}
