/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_NET_BACKLOG_H
#define FERRY_MODELS_NIC_NET_BACKLOG_H

#include "models/nic/net/net.h"

/*
 * Frames that came while the nic could not give them to the driver: quieted, stopped, or
 * out of buffers. Bounded by frames and bytes; what does not fit is counted as lost. The
 * final image carries it.
 */
#define NIC_BACKLOG_FRAMES_MAX 4096u
#define NIC_BACKLOG_BYTES_MAX (4u << 20)

struct nic_backlog;

/* frames: limit, at most NIC_BACKLOG_FRAMES_MAX. Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_backlog_create(uint32_t frames, struct nic_backlog **ret_backlog);
void nic_backlog_destroy(struct nic_backlog *backlog);
void nic_backlog_clear(struct nic_backlog *backlog);

/* queue: the receive queue that it is for. Return: FERRY_OK; FERRY_E_LIMIT: lost. */
int nic_backlog_put(struct nic_backlog *backlog, uint32_t queue,
                    const struct nic_frame *frame);
/* The oldest frame of a queue, valid until it is dropped. Return: 1, 0. */
int nic_backlog_peek(struct nic_backlog *backlog, uint32_t queue,
                     struct nic_frame *ret_frame);
void nic_backlog_drop(struct nic_backlog *backlog, uint32_t queue);
uint32_t nic_backlog_frames(const struct nic_backlog *backlog);
uint64_t nic_backlog_lost(const struct nic_backlog *backlog, uint32_t queue);

/* Its bytes in an image: size, written, read back (checked; nothing changes on refusal).
 * queues: receive queues that there are. */
uint64_t nic_backlog_image_bytes(const struct nic_backlog *backlog);
void nic_backlog_image_write(const struct nic_backlog *backlog, uint8_t *ret_image);
int nic_backlog_image_read(struct nic_backlog *backlog, const uint8_t *image,
                           uint64_t bytes, uint32_t queues);

#endif
