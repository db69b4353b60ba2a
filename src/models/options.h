/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_OPTIONS_H
#define FERRY_MODELS_OPTIONS_H

#include "models/models.h"

/* Where an option's number goes, and its limits. */
struct option_number {
    const char *name;
    uint64_t min, max;
    uint32_t suffixes;     /* 1: takes K, M and G (powers of 1024) */
    uint32_t power_of_two; /* 1: only a power of two */
    uint32_t on_off;       /* 1: takes "on" (1) and "off" (0) instead of a number */
    uint32_t pad;
    uint64_t *ret_value; /* holds the default before the call */
};

/* The same for one that is a text. */
struct option_text {
    const char *name;
    const char **ret_text; /* holds the default before the call; then points into the
                              options, or is left alone */
};

/*
 * Reads options of the form name=number into their places.
 * options: may be NULL. number: count entries; both borrowed for the call.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (unknown, given twice, no number, outside the
 * limits; reterr names the option).
 */
int options_parse(const struct ferry_model_options *options,
                  const struct option_number *number, size_t count,
                  struct ferry_error *reterr);

/*
 * The same with text_count texts among them. Numbers and texts: 64 at most.
 * Return: as options_parse (also: an empty text).
 */
int options_parse_texts(const struct ferry_model_options *options,
                        const struct option_number *number, size_t count,
                        const struct option_text *text, size_t text_count,
                        struct ferry_error *reterr);

#endif
