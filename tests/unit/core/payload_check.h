/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_PAYLOAD_CHECK_H
#define FERRY_TESTS_PAYLOAD_CHECK_H

#include "core/stream/payload.h"

/* What every test of a payload does: put it into `memory`, then try it whole, cut, too
 * long and with single values replaced. */

/* Every decoder behind one signature; the result is compared by the round trip. */
typedef int get_function(const void *payload, size_t bytes, struct ferry_error *reterr);

extern uint8_t memory[FERRY_RECORD_CONTROL_MAX];
extern struct ferry_writer writer;

/* Empties memory. */
void begin(void);

/* Decodes from memory of the very size, so that a sanitizer sees a read past the end. */
int decode(get_function *get, const uint8_t *payload, size_t bytes,
           struct ferry_error *reterr);

/* Too short by any number of bytes, and too long by one, is refused by STR-PAY-1. */
void check_length(get_function *get);

/* One 32-bit value at off replaced: the refusal and where it points. */
void refuse_u32(get_function *get, size_t off, uint32_t value, int code,
                const char *rule);

#endif
