/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/queues/segment.h"

#include <endian.h>
#include <netinet/in.h>
#include <string.h>

#include "ferry/error.h"

#define ETHER_BYTES 14u
#define TAG_BYTES 4u
#define TAGS_MAX 2u
#define IP4_BYTES 20u
#define IP6_BYTES 40u
#define TCP_BYTES 20u
#define TCP_FLAGS 13u
#define TCP_CHECKSUM 16u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

static uint32_t get16(const uint8_t *from)
{
    return (uint32_t)from[0] << 8 | from[1];
}

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* Adds bytes to a sum of 16-bit words in the machine's order, which folds to the same. */
static uint64_t sum_bytes(uint64_t sum, const uint8_t *from, uint32_t count)
{
    uint32_t i = 0;

    for (; count - i >= 8; i += 8) {
        uint64_t eight;

        memcpy(&eight, from + i, sizeof(eight));
        sum += (eight & 0xffffffffu) + (eight >> 32);
    }
    for (; count - i >= 2; i += 2) {
        uint16_t two;

        memcpy(&two, from + i, sizeof(two));
        sum += two;
    }
    if (i < count) {
        sum += htole16(from[i]); /* followed by a 0 */
    }
    return sum;
}

/* The checksum itself, in the machine's order as the words were. */
static uint16_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffu) + (sum >> 16);
    sum = (sum & 0xffffu) + (sum >> 16);
    return (uint16_t)~sum;
}

int nic_offload_valid(const struct virtio_net_hdr_v1 *header, uint32_t frame_bytes)
{
    const uint32_t kind = header->gso_type & (uint32_t)~VIRTIO_NET_HDR_GSO_ECN;

    if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 &&
        (uint32_t)le16toh(header->csum_start) + le16toh(header->csum_offset) + 2 >
            frame_bytes) {
        return 0;
    }
    if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
        return 1;
    }
    return (kind == VIRTIO_NET_HDR_GSO_TCPV4 || kind == VIRTIO_NET_HDR_GSO_TCPV6) &&
           (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 &&
           le16toh(header->gso_size) != 0;
}

void nic_offload_checksum(uint8_t *frame, uint32_t frame_bytes,
                          const struct virtio_net_hdr_v1 *header)
{
    const uint32_t start = le16toh(header->csum_start);
    uint16_t checksum = fold(sum_bytes(0, frame + start, frame_bytes - start));

    /* 0 would mean that there is none (UDP); both are the same number. */
    if (checksum == 0) {
        checksum = 0xffff;
    }
    memcpy(frame + start + le16toh(header->csum_offset), &checksum, sizeof(checksum));
}

/* Where the IP header begins, behind tags; 0: the frame is too short. */
static uint32_t find_ip(const uint8_t *frame, uint32_t frame_bytes)
{
    uint32_t at = ETHER_BYTES;

    for (uint32_t i = 0; i < TAGS_MAX && at + TAG_BYTES <= frame_bytes; i++) {
        const uint32_t type = get16(frame + at - 2);

        if (type != 0x8100 && type != 0x88a8) {
            break;
        }
        at += TAG_BYTES;
    }
    return at < frame_bytes ? at : 0;
}

int nic_segments_begin(struct nic_segments *ret_segments, const uint8_t *frame,
                       uint32_t frame_bytes, const struct virtio_net_hdr_v1 *header)
{
    const uint32_t ip = find_ip(frame, frame_bytes);
    const uint32_t tcp = le16toh(header->csum_start);
    const uint32_t v6 = (header->gso_type & (uint32_t)~VIRTIO_NET_HDR_GSO_ECN) ==
                        VIRTIO_NET_HDR_GSO_TCPV6;
    const uint32_t least = ip + (v6 ? IP6_BYTES : IP4_BYTES);
    struct nic_segments cut = { .frame = frame, .ip = ip, .tcp = tcp, .v6 = v6 };

    if (ip == 0 || le16toh(header->csum_offset) != TCP_CHECKSUM || tcp < least ||
        tcp + TCP_BYTES > frame_bytes || frame[ip] >> 4 != (v6 ? 6 : 4)) {
        return FERRY_E_PROTOCOL;
    }
    if (!v6 && (ip + 4u * (frame[ip] & 15u) != tcp || frame[ip + 9] != IPPROTO_TCP)) {
        return FERRY_E_PROTOCOL;
    }
    cut.header_bytes = tcp + 4u * (uint32_t)(frame[tcp + 12] >> 4);
    if (cut.header_bytes < tcp + TCP_BYTES || cut.header_bytes >= frame_bytes ||
        cut.header_bytes > NIC_SEGMENT_HEADER_MAX) {
        return FERRY_E_PROTOCOL;
    }
    cut.segment_bytes = le16toh(header->gso_size);
    cut.payload_bytes = frame_bytes - cut.header_bytes;
    cut.count = (cut.payload_bytes + cut.segment_bytes - 1) / cut.segment_bytes;
    if (cut.count > NIC_SEGMENTS_MAX) {
        return FERRY_E_PROTOCOL;
    }
    *ret_segments = cut;
    return FERRY_OK;
}

static void finish_ip(const struct nic_segments *segments, uint32_t i, uint8_t *header,
                      uint32_t payload_bytes)
{
    const uint32_t bytes = segments->header_bytes - segments->ip + payload_bytes;
    uint8_t *ip = header + segments->ip;
    uint16_t checksum;

    if (segments->v6) {
        put16(ip + 4, bytes - IP6_BYTES);
        return;
    }
    put16(ip + 2, bytes);
    put16(ip + 4, get16(ip + 4) + i);
    memset(ip + 10, 0, 2);
    checksum = fold(sum_bytes(0, ip, segments->tcp - segments->ip));
    memcpy(ip + 10, &checksum, sizeof(checksum));
}

static void finish_tcp(const struct nic_segments *segments, uint32_t i, uint8_t *header,
                       const uint8_t *payload, uint32_t payload_bytes)
{
    const uint32_t tcp_bytes = segments->header_bytes - segments->tcp;
    const uint8_t *ip = header + segments->ip;
    uint8_t *tcp = header + segments->tcp;
    uint32_t number;
    uint16_t checksum;
    uint64_t sum;

    memcpy(&number, tcp + 4, sizeof(number));
    number = htobe32(be32toh(number) + i * segments->segment_bytes);
    memcpy(tcp + 4, &number, sizeof(number));
    if (i + 1 < segments->count) {
        tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    }
    if (i > 0) {
        tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR; /* one for all of them */
    }
    memset(tcp + TCP_CHECKSUM, 0, 2);
    /* The pseudo header: addresses, protocol, length. */
    sum = segments->v6 ? sum_bytes(0, ip + 8, 32) : sum_bytes(0, ip + 12, 8);
    sum += htobe16(IPPROTO_TCP);
    sum += htobe16((uint16_t)(tcp_bytes + payload_bytes));
    sum = sum_bytes(sum, tcp, tcp_bytes); /* an even number: the payload goes on */
    checksum = fold(sum_bytes(sum, payload, payload_bytes));
    memcpy(tcp + TCP_CHECKSUM, &checksum, sizeof(checksum));
}

uint32_t nic_segments_get(const struct nic_segments *segments, uint32_t i,
                          uint8_t *ret_header, const uint8_t **ret_payload)
{
    const uint32_t off = i * segments->segment_bytes;
    const uint32_t left = segments->payload_bytes - off;
    const uint32_t bytes =
        left < segments->segment_bytes ? left : segments->segment_bytes;
    const uint8_t *payload = segments->frame + segments->header_bytes + off;

    memcpy(ret_header, segments->frame, segments->header_bytes);
    finish_ip(segments, i, ret_header, bytes);
    finish_tcp(segments, i, ret_header, payload, bytes);
    *ret_payload = payload;
    return bytes;
}
