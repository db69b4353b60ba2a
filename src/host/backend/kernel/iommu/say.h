/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_KERNEL_IOMMU_SAY_H
#define FERRY_HOST_BACKEND_KERNEL_IOMMU_SAY_H

#include <stdint.h>

#include "ferry/error.h"

/*
 * What the kernel means by an errno, in one sentence with what would help. Thread: any.
 */

/* Fills *reterr (may be NULL). err: the errno behind it, or 0. Return: status. */
int kernel_say(struct ferry_error *reterr, int status, int err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A node in /dev could not be opened. what: the device that it belongs to. err: positive.
 */
int kernel_say_open(struct ferry_error *reterr, int err, const char *path,
                    const char *what);

/* Memory could not be mapped for a device. iommu: "iommufd", "type 1". err: positive.
 * is_peer: it is a region of another device. */
int kernel_say_map(struct ferry_error *reterr, int err, const char *iommu, uint64_t iova,
                   uint64_t size, int is_peer);

#endif
