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
#define NIC_BACKLOG_QUEUES_MAX 8u

struct nic_backlog;

/* frames: limit, at most NIC_BACKLOG_FRAMES_MAX. Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_backlog_create(uint32_t frames, struct nic_backlog **ret_backlog);
void nic_backlog_destroy(struct nic_backlog *backlog);
/* Forgets the frames, and the seal. What was counted stays. */
void nic_backlog_clear(struct nic_backlog *backlog);
/* Forgets what was counted as well. */
void nic_backlog_reset(struct nic_backlog *backlog);

/*
 * queue, here and below: the pair that it is for, less than NIC_BACKLOG_QUEUES_MAX.
 * frame: its bytes are copied. Return: FERRY_OK; FERRY_E_LIMIT: lost, and counted.
 */
int nic_backlog_put(struct nic_backlog *backlog, uint32_t queue,
                    const struct nic_frame *frame);
/* The oldest frame of a queue, in one part, valid until it is dropped. Return: 1, 0. */
int nic_backlog_peek(struct nic_backlog *backlog, uint32_t queue,
                     struct nic_frame *ret_frame);
void nic_backlog_drop(struct nic_backlog *backlog, uint32_t queue);
/* The frames of a queue wait for another one, behind those that do already. */
void nic_backlog_join(struct nic_backlog *backlog, uint32_t from, uint32_t to);
/*
 * sealed 1: what is put from now on is lost, since the image that carries the rest is
 * already written. 0: it is taken again (the move did not happen).
 */
void nic_backlog_seal(struct nic_backlog *backlog, uint32_t sealed);

uint32_t nic_backlog_frames(const struct nic_backlog *backlog);
uint32_t nic_backlog_waiting(const struct nic_backlog *backlog, uint32_t queue);
/* Since it was created or reset: frames that did not fit, and such as came in an image.
 */
uint64_t nic_backlog_lost(const struct nic_backlog *backlog, uint32_t queue);
uint64_t nic_backlog_carried(const struct nic_backlog *backlog, uint32_t queue);

/*
 * Its frames in an image: size, written, read back. queues: receive queues that there
 * are. A read replaces the frames. Return: FERRY_OK; FERRY_E_SHORT, FERRY_E_LONG,
 * FERRY_E_LIMIT (more than this backlog may hold), FERRY_E_CORRUPT, FERRY_E_MEMORY:
 * nothing has changed.
 */
#define NIC_BACKLOG_IMAGE_BYTES_MAX                                                      \
    (8u + NIC_BACKLOG_FRAMES_MAX * 20u + NIC_BACKLOG_BYTES_MAX)
uint64_t nic_backlog_image_bytes(const struct nic_backlog *backlog);
void nic_backlog_image_write(const struct nic_backlog *backlog, uint8_t *ret_image);
int nic_backlog_image_read(struct nic_backlog *backlog, const uint8_t *image,
                           uint64_t bytes, uint32_t queues);

#endif
