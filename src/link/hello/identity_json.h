/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_HELLO_IDENTITY_JSON_H
#define FERRY_LINK_HELLO_IDENTITY_JSON_H

#include <json-c/json.h>

#include "ferry/compat.h"
#include "ferry/error.h"

/* A device's identity as the "device" object of the VERSION extension. Thread: any. */

/* Return: a new object, given to the caller; NULL when memory is out. */
struct json_object *ferry_identity_to_json(const struct ferry_identity *identity);

/*
 * object: borrowed. ret_identity is written only on success.
 * Return: FERRY_OK; FERRY_E_PROTOCOL (reterr names the member), FERRY_E_LIMIT (too
 *   many keys).
 */
int ferry_identity_from_json(struct json_object *object,
                             struct ferry_identity *ret_identity,
                             struct ferry_error *reterr);

/*
 * A whole number >= 0 and <= max of an object's member.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND (no such member; *ret_value untouched),
 *   FERRY_E_PROTOCOL (another type, negative or too large; reterr names it).
 */
int ferry_json_number(struct json_object *object, const char *name, uint64_t max,
                      uint64_t *ret_value, struct ferry_error *reterr);

/* The same for true and false. */
int ferry_json_flag(struct json_object *object, const char *name, uint8_t *ret_value,
                    struct ferry_error *reterr);

#endif
