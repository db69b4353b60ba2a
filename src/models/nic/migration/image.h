/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_MIGRATION_IMAGE_H
#define FERRY_MODELS_NIC_MIGRATION_IMAGE_H

#include "models/nic/nic_private.h"

/*
 * The stream of a nic: records of a header and a payload, little endian.
 * docs/models/nic-state.md has the bytes.
 */
#define NIC_IMAGE_VERSION 1u
#define NIC_IMAGE_MAGIC 0x43494e5952524546ull /* "FERRYNIC" */

/* Header: bytes of the payload @0 u64, flags @8 u32, tag @12 u32. */
#define NIC_RECORD_BYTES 16u
#define NIC_RECORD_OPTIONAL 1u  /* flags: who does not know the tag may skip it */
#define NIC_SKIP_MAX (1u << 20) /* payload of a record that is skipped */

/* In the order in which they come; all but SIZE and FLOWS exactly once. */
enum nic_tag {
    NIC_TAG_MATCH = 1, /* what the target must be */
    NIC_TAG_SIZE,      /* optional, at most once: pages of flows that will come */
    NIC_TAG_FLOWS, /* any number: pages of the table; the last word on a page counts */
    NIC_TAG_TRANSPORT, /* the virtio transport */
    NIC_TAG_QUEUES,
    NIC_TAG_FILTER,
    NIC_TAG_NET, /* status, pairs, offloads */
    NIC_TAG_COUNTERS,
    NIC_TAG_TABLE, /* of the table of flows what is not in its pages */
    NIC_TAG_BACKLOG,
    NIC_TAG_END, /* length and hash of all before */
    NIC_TAGS
};
#define NIC_MATCH_BYTES 64u
#define NIC_FLOWS_BYTES 16u /* first page u64, count u32, 0 u32; then the pages */
#define NIC_FLOWS_RUN 256u  /* pages of one record at most */
#define NIC_END_BYTES 16u   /* bytes before this record, XXH3-64 of all up to here */
#define NIC_SMALL_MAX 4096u /* payload of any record but FLOWS and BACKLOG, at most */

/* What is carried, apart from pages and backlog: judged, not yet in force. */
struct nic_image {
    const struct nic *nic; /* the target */
    struct virtio_pci virtio;
    struct nic_filter filter;
    struct nic_counters receive[NIC_PAIRS_MAX], transmit[NIC_PAIRS_MAX];
    struct nic_flows_state flows;
    uint64_t offloads_off;
    uint32_t pairs_used;
    uint16_t status;
    uint16_t pad;
};

void nic_image_init(struct nic_image *ret_image, const struct nic *nic);
/* Brings what was read into force. */
void nic_image_apply(const struct nic_image *image, struct nic *nic);

/* Payload bytes of a record of the fixed kinds (all but FLOWS, BACKLOG, END). */
uint32_t nic_image_bytes(const struct nic *nic, uint32_t tag);
/* ret_payload: as many bytes. */
void nic_image_write(const struct nic *nic, uint32_t tag, uint8_t *ret_payload);
/*
 * Judges a payload of nic_image_bytes() and takes it into the image.
 * Return: FERRY_OK; FERRY_E_FOREIGN, FERRY_E_VERSION, FERRY_E_INCOMPATIBLE (MATCH);
 *   FERRY_E_CORRUPT.
 */
int nic_image_read(struct nic_image *image, uint32_t tag, const uint8_t *payload);

void nic_record_put(uint8_t *ret_header, uint32_t tag, uint64_t bytes);

#endif
