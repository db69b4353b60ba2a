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

static const struct option_number *find_number(const char *option, size_t name_length,
                                               const struct option_number *number,
                                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(number[i].name) == name_length &&
            memcmp(number[i].name, option, name_length) == 0) {
            return &number[i];
        }
    }
    return NULL;
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

static int parse_one(const char *option, const struct option_number *number, size_t count,
                     uint64_t *seen, struct ferry_error *reterr)
{
    const size_t name_length = strcspn(option, "=");
    const struct option_number *found = find_number(option, name_length, number, count);
    uint64_t value = 0;

    if (found == NULL) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is not known to this model", option);
    }
    if ((*seen & (1ull << (found - number))) != 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is given twice", found->name);
    }
    *seen |= 1ull << (found - number);
    if (option[name_length] != '=' ||
        parse_value(option + name_length + 1, found, &value) != FERRY_OK) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is not of the form %s=%s", option,
                               found->name,
                               found->on_off != 0     ? "on|off"
                               : found->suffixes != 0 ? "NUMBER[K|M|G]"
                                                      : "NUMBER");
    }
    if (value < found->min || value > found->max) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is outside %" PRIu64 " to %" PRIu64, option,
                               found->min, found->max);
    }
    if (found->power_of_two != 0 && (value & (value - 1)) != 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "option \"%s\" is not a power of two", option);
    }
    *found->ret_value = value;
    return FERRY_OK;
}

int options_parse(const struct ferry_model_options *options,
                  const struct option_number *number, size_t count,
                  struct ferry_error *reterr)
{
    uint64_t seen = 0;

    if (options == NULL) {
        return FERRY_OK;
    }
    for (size_t i = 0; i < options->count; i++) {
        const int status = parse_one(options->option[i], number, count, &seen, reterr);

        if (status != FERRY_OK) {
            return status;
        }
    }
    return FERRY_OK;
}
