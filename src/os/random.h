/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_RANDOM_H
#define FERRY_OS_RANDOM_H

#include <stddef.h>

/*
 * Fills size bytes with random data fit for keys and session ids.
 * Return: FERRY_OK, FERRY_E_IO.
 * Thread: any.
 */
int ferry_os_random(void *ret_data, size_t size);

#endif
