/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_QUEUES_SEGMENT_H
#define FERRY_MODELS_NIC_QUEUES_SEGMENT_H

#include <linux/virtio_net.h>
#include <stdint.h>

/*
 * Work that was left to do in a frame, done in software: its checksum, and its cutting
 * into segments. Frames are bytes in one piece that nobody else writes to; what their
 * headers say is hostile.
 */
#define NIC_SEGMENT_HEADER_MAX 256u /* Ethernet, VLAN tags, IP with options, TCP */
#define NIC_SEGMENTS_MAX 1024u      /* of one frame */

/* 1 when what the header says of the frame can be: places inside it, a known kind. */
int nic_offload_valid(const struct virtio_net_hdr_v1 *header, uint32_t frame_bytes);

/* Puts the checksum in place; the header is valid and asks for it. */
void nic_offload_checksum(uint8_t *frame, uint32_t frame_bytes,
                          const struct virtio_net_hdr_v1 *header);

struct nic_segments {
    const uint8_t *frame; /* borrowed */
    uint32_t header_bytes, payload_bytes;
    uint32_t segment_bytes; /* payload of each but the last */
    uint32_t count;
    uint32_t ip, tcp; /* offsets */
    uint32_t v6;
};

/* Return: FERRY_OK; FERRY_E_PROTOCOL (no TCP frame, or too many segments). */
int nic_segments_begin(struct nic_segments *ret_segments, const uint8_t *frame,
                       uint32_t frame_bytes, const struct virtio_net_hdr_v1 *header);

/*
 * Headers of segment i, checksums done, and where its payload is.
 * ret_header: NIC_SEGMENT_HEADER_MAX bytes. Return: bytes of payload.
 */
uint32_t nic_segments_get(const struct nic_segments *segments, uint32_t i,
                          uint8_t *ret_header, const uint8_t **ret_payload);

#endif
