/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WIRE_STATUS_H
#define FERRY_WIRE_STATUS_H

#include <stdint.h>

/*
 * The errno that an Error reply carries for a status. What the uAPI prescribes is kept
 * (a missing feature is ENOTTY, a bad argument or an impossible arc EINVAL, a forbidden
 * operation EPERM, a dry stream ENOMSG); other statuses have a number of their own, so
 * that two Ferries tell each other exactly what was wrong.
 * status: a negative code; anything else gives EIO.
 * Return: a Linux errno number, never 0.
 * Thread: any.
 */
uint32_t ferry_wire_errno_from_status(int status);

/*
 * The status for the errno of an Error reply: the inverse, and for numbers that only
 * other servers use the nearest. EINVAL gives FERRY_E_ARGUMENT, also for an arc that
 * the other side refused; 0 and unknown numbers give FERRY_E_REFUSED.
 * Return: a negative code.
 * Thread: any.
 */
int ferry_wire_status_from_errno(uint32_t number);

#endif
