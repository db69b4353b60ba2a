/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_CHECK_ODD_ODD_H
#define FERRY_TESTS_CHECK_ODD_ODD_H

#include "tests/check/rig/mutant.h"

#define ODD_MAX 64u

/* Devices that conform and are unlike Ferry's models; ended by one without name. */
extern const struct check_mutant odd_devices[];

/*
 * A stream of its own form (stream.c): pieces with a head of four bytes, and padding
 * that differs in length and bytes from session to session.
 */
int odd_stream_before(struct mutant *mutant, struct ferry_request *request);
/* The same, and pre-copy always has some more. */
int odd_stream_never_dry(struct mutant *mutant, struct ferry_request *request);
int odd_stream_after(struct mutant *mutant, struct ferry_request *request, int status);
void odd_stream_state(struct mutant *mutant, uint32_t from, uint32_t to);

#endif
