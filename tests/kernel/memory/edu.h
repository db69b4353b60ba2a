/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_KERNEL_EDU_H
#define FERRY_TEST_KERNEL_EDU_H

#include <stdint.h>

/* QEMU's edu device by its bare registers: the device that proves where memory is. */

#define EDU_BAR_BYTES (1u << 20)
/* Of a transfer; one that fills the buffer ends QEMU 7.2. */
#define EDU_BYTES_MAX 4088u

/* fd: of a VFIO device. Lets it do DMA. Return: 0, or -1. */
int edu_start(int fd);

/* Where the region BAR0 is in the descriptor. */
uint64_t edu_bar0(int fd);

/* Memory to memory by way of the device's buffer, at most EDU_BYTES_MAX bytes. Return: 0,
 * or -1 when the device does not end. */
int edu_copy(int fd, uint64_t from_iova, uint64_t to_iova, uint32_t bytes);

#endif
