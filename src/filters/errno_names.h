/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FILTERS_ERRNO_NAMES_H
#define FERRY_FILTERS_ERRNO_NAMES_H

#include "filters/rule.h"

/* The Linux number of "EIO". Return: 1 and *ret_number; 0: no such name. Thread: any. */
int filter_errno_number(const struct filter_token *name, uint32_t *ret_number);

#endif
