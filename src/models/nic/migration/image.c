/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/migration/image.h"

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pci.h>
#include <string.h>
#include <xxhash.h>

#include "models/le.h"

#define TRANSPORT_BYTES 52u
#define QUEUE_BYTES 40u
#define FILTER_LISTS_OFF 24u
#define FILTER_VLAN_OFF (FILTER_LISTS_OFF + 2u * NIC_MAC_TABLE_MAX * NIC_MAC_BYTES)
#define FILTER_BYTES (FILTER_VLAN_OFF + NIC_VLANS / 8u)
#define NET_BYTES 16u
#define COUNTERS_BYTES 64u /* of a pair */
#define STATUS_BITS                                                                      \
    (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |                              \
     VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |                           \
     VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)
#define GUEST_OFFLOADS                                                                   \
    (1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |                 \
     1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN |                  \
     1ull << VIRTIO_NET_F_GUEST_UFO)

void nic_record_put(uint8_t *ret_header, uint32_t tag, uint64_t bytes)
{
    le_put64(ret_header, bytes);
    le_put32(ret_header + 8, tag == NIC_TAG_SIZE ? NIC_RECORD_OPTIONAL : 0);
    le_put32(ret_header + 12, tag);
}

void nic_image_init(struct nic_image *ret_image, const struct nic *nic)
{
    memset(ret_image, 0, sizeof(*ret_image));
    ret_image->nic = nic;
    ret_image->virtio = nic->virtio;
    virtio_pci_reset(&ret_image->virtio);
}

void nic_image_apply(const struct nic_image *image, struct nic *nic)
{
    nic->virtio = image->virtio;
    nic->filter = image->filter;
    memcpy(nic->receive, image->receive, sizeof(nic->receive));
    memcpy(nic->transmit, image->transmit, sizeof(nic->transmit));
    nic_flows_state_set(nic->flows, &image->flows);
    nic->offloads_off = image->offloads_off;
    nic->pairs_used = image->pairs_used;
    nic->status = image->status;
}

static void write_match(const struct nic *nic, uint8_t *out)
{
    le_put64(out, NIC_IMAGE_MAGIC);
    le_put32(out + 8, NIC_IMAGE_VERSION);
    le_put32(out + 12, nic->config.pairs);
    le_put32(out + 16, nic->config.queue_size);
    le_put32(out + 20, nic->config.backlog_frames);
    le_put64(out + 24, nic->config.flow_bytes);
    le_put64(out + 32, nic->virtio.features);
    le_put32(out + 40, nic->config.mtu);
    le_put32(out + 44, NIC_FLOWS_PAGE);
    memcpy(out + 48, nic->config.mac, NIC_MAC_BYTES);
    le_put64(out + 56, XXH3_64bits(out, 56));
}

static int read_match(struct nic_image *image, const uint8_t *in)
{
    const struct nic_config *config = &image->nic->config;

    if (le_get64(in) != NIC_IMAGE_MAGIC) {
        return FERRY_E_FOREIGN;
    }
    if (le_get64(in + 56) != XXH3_64bits(in, 56)) {
        return FERRY_E_CORRUPT;
    }
    if (le_get32(in + 8) != NIC_IMAGE_VERSION) {
        return FERRY_E_VERSION;
    }
    /* What the driver sees stays; what it can do may only grow. */
    if (le_get32(in + 12) != config->pairs || le_get32(in + 16) != config->queue_size ||
        le_get32(in + 20) > config->backlog_frames ||
        le_get64(in + 24) != config->flow_bytes ||
        (le_get64(in + 32) & ~image->nic->virtio.features) != 0 ||
        le_get32(in + 40) != config->mtu || le_get32(in + 44) != NIC_FLOWS_PAGE ||
        memcmp(in + 48, config->mac, NIC_MAC_BYTES) != 0) {
        return FERRY_E_INCOMPATIBLE;
    }
    return FERRY_OK;
}

static void write_size(const struct nic *nic, uint8_t *out)
{
    le_put64(out, nic_flows_used(nic->flows));
}

static int read_size(struct nic_image *image, const uint8_t *in)
{
    return le_get64(in) <= nic_flows_pages(image->nic->flows) ? FERRY_OK
                                                              : FERRY_E_CORRUPT;
}

static void write_transport(const struct nic *nic, uint8_t *out)
{
    const struct virtio_pci *virtio = &nic->virtio;

    le_put64(out, virtio->driver_features);
    le_put32(out + 8, virtio->device_select);
    le_put32(out + 12, virtio->driver_select);
    le_put16(out + 16, virtio->config_vector);
    le_put16(out + 18, virtio->queue_select);
    out[20] = virtio->status;
    out[21] = virtio->isr;
    memcpy(out + 32, virtio->window, sizeof(virtio->window));
}

static int vector_valid(const struct virtio_pci *virtio, uint32_t value)
{
    return value < virtio->vectors || value == VIRTIO_MSI_NO_VECTOR;
}

static int status_valid(const struct virtio_pci *virtio)
{
    const uint32_t ready = VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK;

    if ((virtio->status & ~(uint32_t)STATUS_BITS) != 0 ||
        (virtio->status & ready) == VIRTIO_CONFIG_S_DRIVER_OK) {
        return 0;
    }
    return (virtio->status & VIRTIO_CONFIG_S_FEATURES_OK) == 0 ||
           virtio_pci_features_valid(virtio, virtio->driver_features);
}

static int read_transport(struct nic_image *image, const uint8_t *in)
{
    struct virtio_pci *virtio = &image->virtio;

    virtio->driver_features = le_get64(in);
    virtio->device_select = le_get32(in + 8);
    virtio->driver_select = le_get32(in + 12);
    virtio->config_vector = le_get16(in + 16);
    virtio->queue_select = le_get16(in + 18);
    virtio->status = in[20];
    virtio->isr = in[21];
    /* The first bytes are the capability's own; the driver writes those behind. */
    memcpy(virtio->window + VIRTIO_PCI_CAP_BAR, in + 32 + VIRTIO_PCI_CAP_BAR,
           sizeof(virtio->window) - VIRTIO_PCI_CAP_BAR);
    return status_valid(virtio) && virtio->isr <= 3 &&
                   vector_valid(virtio, virtio->config_vector) &&
                   memcmp(virtio->window, in + 32, sizeof(virtio->window)) == 0 &&
                   le_get64(in + 22) == 0 && le_get16(in + 30) == 0
               ? FERRY_OK
               : FERRY_E_CORRUPT;
}

static void write_queues(const struct nic *nic, uint8_t *out)
{
    for (uint32_t i = 0; i < nic->virtio.queue_count; i++, out += QUEUE_BYTES) {
        const struct virtqueue *queue = &nic->virtio.queue[i];

        le_put64(out, queue->desc_iova);
        le_put64(out + 8, queue->avail_iova);
        le_put64(out + 16, queue->used_iova);
        le_put16(out + 24, queue->size);
        le_put16(out + 26, queue->vector);
        le_put16(out + 28, queue->enabled);
        le_put16(out + 30, queue->avail_taken);
        le_put16(out + 32, queue->used_published);
    }
}

static int read_queue(const struct virtio_pci *virtio, struct virtqueue *queue,
                      const uint8_t *in)
{
    const uint32_t enabled = le_get16(in + 28);

    queue->desc_iova = le_get64(in);
    queue->avail_iova = le_get64(in + 8);
    queue->used_iova = le_get64(in + 16);
    queue->size = le_get16(in + 24);
    queue->vector = le_get16(in + 26);
    queue->avail_taken = le_get16(in + 30);
    queue->used_published = le_get16(in + 32);
    if (enabled > 1 || !vector_valid(virtio, queue->vector) ||
        !virtqueue_size_valid(queue, virtio->driver_features, queue->size) ||
        le_get32(in + 34) != 0 || le_get16(in + 38) != 0) {
        return FERRY_E_CORRUPT;
    }
    if (enabled == 0) {
        queue->enabled = 0;
        return FERRY_OK;
    }
    return virtqueue_import(queue, virtio->driver_features) == FERRY_OK ? FERRY_OK
                                                                        : FERRY_E_CORRUPT;
}

static int read_queues(struct nic_image *image, const uint8_t *in)
{
    int status = FERRY_OK;

    for (uint32_t i = 0; i < image->virtio.queue_count && status == FERRY_OK; i++) {
        status = read_queue(&image->virtio, &image->virtio.queue[i], in);
        in += QUEUE_BYTES;
    }
    return status;
}

/* The flags of a filter, in the order of the struct and of the stream. */
#define FILTER_FLAGS 8u

static void write_filter(const struct nic *nic, uint8_t *out)
{
    const struct nic_filter *filter = &nic->filter;
    const uint8_t flags[FILTER_FLAGS] = {
        filter->promiscuous,      filter->all_multicast,     filter->all_unicast,
        filter->no_multicast,     filter->no_unicast,        filter->no_broadcast,
        filter->unicast_overflow, filter->multicast_overflow
    };
    uint8_t *list = out + FILTER_LISTS_OFF;

    memcpy(out, filter->mac, NIC_MAC_BYTES);
    memcpy(out + 8, flags, sizeof(flags));
    le_put32(out + 16, filter->unicast_count);
    le_put32(out + 20, filter->multicast_count);
    memcpy(list, filter->unicast, (size_t)filter->unicast_count * NIC_MAC_BYTES);
    list += sizeof(filter->unicast);
    memcpy(list, filter->multicast, (size_t)filter->multicast_count * NIC_MAC_BYTES);
    for (uint32_t i = 0; i < NIC_VLANS / 64; i++) {
        le_put64(out + FILTER_VLAN_OFF + i * 8, filter->vlan[i]);
    }
}

static int read_filter(struct nic_image *image, const uint8_t *in)
{
    struct nic_filter *filter = &image->filter;
    const uint8_t *flag = in + 8;

    for (uint32_t i = 0; i < FILTER_FLAGS; i++) {
        if (flag[i] > 1) {
            return FERRY_E_CORRUPT;
        }
    }
    memcpy(filter->mac, in, NIC_MAC_BYTES);
    filter->promiscuous = flag[0];
    filter->all_multicast = flag[1];
    filter->all_unicast = flag[2];
    filter->no_multicast = flag[3];
    filter->no_unicast = flag[4];
    filter->no_broadcast = flag[5];
    filter->unicast_overflow = flag[6];
    filter->multicast_overflow = flag[7];
    filter->unicast_count = le_get32(in + 16);
    filter->multicast_count = le_get32(in + 20);
    if (filter->unicast_count > NIC_MAC_TABLE_MAX ||
        filter->multicast_count > NIC_MAC_TABLE_MAX) {
        return FERRY_E_CORRUPT;
    }
    in += FILTER_LISTS_OFF;
    memcpy(filter->unicast, in, (size_t)filter->unicast_count * NIC_MAC_BYTES);
    in += sizeof(filter->unicast);
    memcpy(filter->multicast, in, (size_t)filter->multicast_count * NIC_MAC_BYTES);
    in += sizeof(filter->multicast);
    for (uint32_t i = 0; i < NIC_VLANS / 64; i++) {
        filter->vlan[i] = le_get64(in + i * 8);
    }
    return FERRY_OK;
}

static void write_net(const struct nic *nic, uint8_t *out)
{
    le_put64(out, nic->offloads_off);
    le_put32(out + 8, nic->pairs_used);
    le_put16(out + 12, nic->status);
}

static int read_net(struct nic_image *image, const uint8_t *in)
{
    const uint32_t pairs = (image->virtio.driver_features >> VIRTIO_NET_F_MQ & 1) != 0
                               ? image->nic->config.pairs
                               : 1;

    image->offloads_off = le_get64(in);
    image->pairs_used = le_get32(in + 8);
    image->status = le_get16(in + 12);
    return (image->offloads_off & ~GUEST_OFFLOADS) == 0 && image->pairs_used != 0 &&
                   image->pairs_used <= pairs &&
                   (image->status & ~(VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE)) ==
                       0 &&
                   le_get16(in + 14) == 0
               ? FERRY_OK
               : FERRY_E_CORRUPT;
}

static void write_counter(const struct nic_counters *counters, uint8_t *out)
{
    le_put64(out, counters->frames);
    le_put64(out + 8, counters->bytes);
    le_put64(out + 16, counters->dropped);
    le_put64(out + 24, counters->filtered);
}

static void read_counter(struct nic_counters *counters, const uint8_t *in)
{
    counters->frames = le_get64(in);
    counters->bytes = le_get64(in + 8);
    counters->dropped = le_get64(in + 16);
    counters->filtered = le_get64(in + 24);
}

static void write_counters(const struct nic *nic, uint8_t *out)
{
    for (uint32_t i = 0; i < nic->config.pairs; i++) {
        write_counter(&nic->receive[i], out + (size_t)i * COUNTERS_BYTES);
        write_counter(&nic->transmit[i], out + (size_t)i * COUNTERS_BYTES + 32);
    }
}

static int read_counters(struct nic_image *image, const uint8_t *in)
{
    for (uint32_t i = 0; i < image->nic->config.pairs; i++) {
        read_counter(&image->receive[i], in + (size_t)i * COUNTERS_BYTES);
        read_counter(&image->transmit[i], in + (size_t)i * COUNTERS_BYTES + 32);
    }
    return FERRY_OK; /* any number can have been counted */
}

static void write_table(const struct nic *nic, uint8_t *out)
{
    struct nic_flows_state state;

    nic_flows_state_get(nic->flows, &state);
    le_put64(out, state.frames);
    le_put64(out + 8, state.churned);
}

static int read_table(struct nic_image *image, const uint8_t *in)
{
    image->flows.frames = le_get64(in);
    image->flows.churned = le_get64(in + 8);
    return image->flows.churned <= image->flows.frames ? FERRY_OK : FERRY_E_CORRUPT;
}

/* Records of a length that the device's options fix. */
struct kind {
    uint32_t bytes;
    uint32_t queue_bytes, pair_bytes; /* and as many for each queue, each pair */
    uint32_t pad;
    void (*write)(const struct nic *nic, uint8_t *ret_payload);
    int (*read)(struct nic_image *image, const uint8_t *payload);
};

static const struct kind kinds[NIC_TAGS] = {
    [NIC_TAG_MATCH] = { NIC_MATCH_BYTES, 0, 0, 0, write_match, read_match },
    [NIC_TAG_SIZE] = { 8, 0, 0, 0, write_size, read_size },
    [NIC_TAG_TRANSPORT] = { TRANSPORT_BYTES, 0, 0, 0, write_transport, read_transport },
    [NIC_TAG_QUEUES] = { 0, QUEUE_BYTES, 0, 0, write_queues, read_queues },
    [NIC_TAG_FILTER] = { FILTER_BYTES, 0, 0, 0, write_filter, read_filter },
    [NIC_TAG_NET] = { NET_BYTES, 0, 0, 0, write_net, read_net },
    [NIC_TAG_COUNTERS] = { 0, 0, COUNTERS_BYTES, 0, write_counters, read_counters },
    [NIC_TAG_TABLE] = { 16, 0, 0, 0, write_table, read_table },
};
static_assert(FILTER_BYTES <= NIC_SMALL_MAX, "the longest record");
static_assert(VIRTIO_PCI_QUEUES_MAX * QUEUE_BYTES <= NIC_SMALL_MAX, "the longest record");

uint32_t nic_image_bytes(const struct nic *nic, uint32_t tag)
{
    const struct kind *kind = &kinds[tag];

    assert(kind->write != NULL);
    return kind->bytes + kind->queue_bytes * nic->virtio.queue_count +
           kind->pair_bytes * nic->config.pairs;
}

void nic_image_write(const struct nic *nic, uint32_t tag, uint8_t *ret_payload)
{
    memset(ret_payload, 0, nic_image_bytes(nic, tag));
    kinds[tag].write(nic, ret_payload);
}

int nic_image_read(struct nic_image *image, uint32_t tag, const uint8_t *payload)
{
    return kinds[tag].read(image, payload);
}
