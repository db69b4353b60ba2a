/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FILTER_H
#define FERRY_FILTER_H

#include "ferry/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Filters: endpoints that stand between a device and its user and delay, refuse, shorten,
 * damage or log what passes, to test the user (a VMM). A specification is a list such as
 * "delay=stop_copy:200ms,error=read:EIO@3"; docs/filters.md has all of it.
 */

#define FERRY_FILTERS_MAX 32 /* of one specification */

/*
 * Puts filters over an endpoint; the first of the specification is the nearest to the
 * user.
 * below: borrowed until the filters are closed; nobody else uses it meanwhile.
 * spec: borrowed for the call.
 * ret_endpoint: for ferry_server_create_endpoint(), ferry_context_add_endpoint() or a
 *   further ferry_filter_open(); the caller ends it with ferry_filter_close().
 * Return: FERRY_OK; FERRY_E_ARGUMENT (reterr->offset is the place in spec, its text says
 *   what is wrong and shows an example); FERRY_E_MEMORY; FERRY_E_LIMIT (too many
 *   filters); FERRY_E_IO, FERRY_E_PERMISSION, FERRY_E_NOT_FOUND (a log file).
 * Thread: the one that will run the device.
 */
FERRY_PUBLIC int ferry_filter_open(struct ferry_endpoint *below, const char *spec,
                                   struct ferry_endpoint **ret_endpoint,
                                   struct ferry_error *reterr);

/* Ends the filters of one ferry_filter_open(). No user is attached. NULL: nothing. */
FERRY_PUBLIC void ferry_filter_close(struct ferry_endpoint *endpoint);

/*
 * Serves an endpoint, such as a device under filters; otherwise as ferry_server_create().
 * endpoint: borrowed until the server is destroyed.
 */
FERRY_PUBLIC int ferry_server_create_endpoint(struct ferry_endpoint *endpoint,
                                              const struct ferry_server_options *options,
                                              struct ferry_server **ret_server,
                                              struct ferry_error *reterr);

#ifdef __cplusplus
}
#endif

#endif
