/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <xxhash.h>

#include "models/nic/flows/flows_private.h"

/* Which flow a frame belongs to. Its bytes are hostile and may end anywhere. */

#define MAC_BYTES 6u
#define ETHERNET_BYTES 14u
#define TAG_BYTES 4u
#define TAGS_MAX 2u
#define TYPE_IP4 0x0800u
#define TYPE_IP6 0x86ddu
#define TYPE_TAG 0x8100u
#define TYPE_OUTER_TAG 0x88a8u
#define IP4_BYTES 20u
#define IP6_BYTES 40u
#define PROTOCOL_TCP 6u
#define PROTOCOL_UDP 17u
#define PROTOCOL_SCTP 132u

/* One end: an address (MAC, IPv4 or IPv6, the rest zero) and a port. */
struct end {
    uint8_t address[16];
    uint8_t port[2];
};

struct key {
    struct end end[2]; /* in order, so that both directions are one flow */
    uint8_t type[2];
    uint8_t tag[2];
    uint8_t protocol;
    uint8_t pad[3];
};

static uint32_t get16(const uint8_t *from)
{
    return (uint32_t)from[0] << 8 | from[1];
}

static int has_ports(uint32_t protocol)
{
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP ||
           protocol == PROTOCOL_SCTP;
}

static void take_ports(struct key *key, const uint8_t *at, uint32_t left)
{
    if (left >= 4 && has_ports(key->protocol)) {
        memcpy(key->end[0].port, at, 2);
        memcpy(key->end[1].port, at + 2, 2);
    }
}

static void take_ip4(struct key *key, const uint8_t *at, uint32_t left)
{
    const uint32_t header = (at[0] & 15u) * 4u;

    memset(key->end, 0, sizeof(key->end));
    key->protocol = at[9];
    memcpy(key->end[0].address, at + 12, 4);
    memcpy(key->end[1].address, at + 16, 4);
    /* All fragments of a packet are one flow, and only the first has ports. */
    if (header >= IP4_BYTES && header <= left && (get16(at + 6) & 0x3fffu) == 0) {
        take_ports(key, at + header, left - header);
    }
}

static void take_ip6(struct key *key, const uint8_t *at, uint32_t left)
{
    memset(key->end, 0, sizeof(key->end));
    key->protocol = at[6];
    memcpy(key->end[0].address, at + 8, 16);
    memcpy(key->end[1].address, at + 24, 16);
    take_ports(key, at + IP6_BYTES, left - IP6_BYTES);
}

static void take_frame(struct key *key, const uint8_t *start, uint32_t present)
{
    uint32_t off = ETHERNET_BYTES;

    if (present < ETHERNET_BYTES) {
        return;
    }
    memcpy(key->end[1].address, start, MAC_BYTES);
    memcpy(key->end[0].address, start + MAC_BYTES, MAC_BYTES);
    for (uint32_t i = 0; i < TAGS_MAX; i++) {
        const uint32_t type = get16(start + off - 2);

        if ((type != TYPE_TAG && type != TYPE_OUTER_TAG) || present < off + TAG_BYTES) {
            break;
        }
        key->tag[0] = start[off] & 15u;
        key->tag[1] = start[off + 1];
        off += TAG_BYTES;
    }
    memcpy(key->type, start + off - 2, 2);
    if (get16(key->type) == TYPE_IP4 && present - off >= IP4_BYTES) {
        take_ip4(key, start + off, present - off);
    } else if (get16(key->type) == TYPE_IP6 && present - off >= IP6_BYTES) {
        take_ip6(key, start + off, present - off);
    }
}

uint64_t nic_flow_key_hash(const uint8_t *start, uint32_t present)
{
    struct key key;
    uint64_t hash;

    memset(&key, 0, sizeof(key));
    take_frame(&key, start, present);
    if (memcmp(&key.end[0], &key.end[1], sizeof(key.end[0])) > 0) {
        const struct end swap = key.end[0];

        key.end[0] = key.end[1];
        key.end[1] = swap;
    }
    hash = XXH3_64bits(&key, sizeof(key));
    return hash != 0 ? hash : 1;
}
