/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/nic.h"

#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/identity.h"
#include "models/nic/nic_private.h"
#include "models/nic/queues/queues.h"
#include "models/options.h"

#define QUEUE_SIZE_MIN 16u
#define QUEUE_SIZE_DEFAULT 256u
#define CONTROL_QUEUE_SIZE 64u
#define MTU_MIN 68u
#define MTU_DEFAULT 1500u
#define BACKLOG_DEFAULT 1024u
#define MAC_DEFAULT "52:54:00:fe:44:01"
#define NET_DEFAULT "none"
#define LOG_RANGES_MAX 16u /* that its page tracker holds; more are combined */

/* Times that the arcs take here with room to spare; a load grows with the table. */
#define QUIET_NS 200000u
#define STOP_NS 1000000u
#define LOAD_NS 1000000u
#define RUN_NS 200000u

static int nic_region_read(void *state, struct ferry_device *device, uint32_t region,
                           uint64_t off, void *ret_data, size_t count)
{
    struct nic *nic = state;

    (void)device;
    if (region == NIC_BAR_VIRTIO) {
        return virtio_pci_read(&nic->virtio, off, ret_data, count);
    }
    memset(ret_data, 0, count);
    return FERRY_OK;
}

static int nic_region_write(void *state, struct ferry_device *device, uint32_t region,
                            uint64_t off, const void *data, size_t count)
{
    struct nic *nic = state;

    (void)device;
    return region == NIC_BAR_VIRTIO ? virtio_pci_write(&nic->virtio, off, data, count)
                                    : FERRY_OK;
}

static int nic_cap_read(void *state, struct ferry_device *device, uint32_t cap,
                        uint32_t off, void *ret_data, size_t count)
{
    struct nic *nic = state;

    (void)device;
    return virtio_pci_cap_read(&nic->virtio, cap, off, ret_data, count);
}

static int nic_cap_write(void *state, struct ferry_device *device, uint32_t cap,
                         uint32_t off, const void *data, size_t count)
{
    struct nic *nic = state;

    (void)device;
    return virtio_pci_cap_write(&nic->virtio, cap, off, data, count);
}

static void nic_reset(void *state, struct ferry_device *device,
                      enum ferry_reset_reason reason)
{
    struct nic *nic = state;

    (void)device;
    nic->quiet = 0;
    nic->frozen = 0;
    virtio_pci_reset(&nic->virtio);
    nic_queues_reset(nic);
    nic_backlog_reset(nic->backlog);
    memset(nic->receive, 0, sizeof(nic->receive));
    memset(nic->transmit, 0, sizeof(nic->transmit));
    nic_flows_clear(nic->flows);
    nic_migration_reset(nic->migration, reason);
}

static int nic_work(void *state, struct ferry_device *device)
{
    struct nic *nic = state;
    int more;

    (void)device;
    more = nic_migration_work(nic->migration) | nic_flow_timer_work(nic->flow_timer);
    return nic_queues_work(nic) | more;
}

static int nic_arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct nic *nic = state;

    (void)device;
    return nic_migration_arc(nic->migration, from, to);
}

static int nic_save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct nic *nic = state;

    (void)device;
    return nic_migration_save(nic->migration, ret_data, cap);
}

static int nic_load(void *state, struct ferry_device *device, const void *data,
                    size_t count)
{
    struct nic *nic = state;

    (void)device;
    return nic_migration_load(nic->migration, data, count);
}

static size_t nic_load_place(void *state, struct ferry_device *device, size_t most,
                             void **ret_place)
{
    struct nic *nic = state;

    (void)device;
    return nic_migration_load_place(nic->migration, most, ret_place);
}

static int nic_load_done(void *state, struct ferry_device *device, size_t count)
{
    struct nic *nic = state;

    (void)device;
    return nic_migration_load_done(nic->migration, count);
}

static int nic_precopy_info(void *state, struct ferry_device *device,
                            struct ferry_device_precopy *ret_info)
{
    struct nic *nic = state;

    (void)device;
    return nic_migration_precopy_info(nic->migration, ret_info);
}

static int nic_data_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    struct nic *nic = state;

    (void)device;
    return nic_migration_data_size(nic->migration, ret_bytes);
}

static int nic_counters(void *state, struct ferry_device *device,
                        struct ferry_counter *ret_counter, uint32_t cap)
{
    (void)device;
    return nic_counters_tell(state, ret_counter, cap);
}

static const struct ferry_device_ops nic_ops = {
    .struct_size = sizeof(nic_ops),
    .region_read = nic_region_read,
    .region_write = nic_region_write,
    .cap_read = nic_cap_read,
    .cap_write = nic_cap_write,
    .reset = nic_reset,
    .work = nic_work,
    .arc = nic_arc,
    .save = nic_save,
    .load = nic_load,
    .load_place = nic_load_place,
    .load_done = nic_load_done,
    .precopy_info = nic_precopy_info,
    .data_size = nic_data_size,
    .counters = nic_counters,
};

/* The driver wrote status 0. */
static void transport_reset(void *user)
{
    nic_queues_reset(user);
}

static const struct virtio_pci_ops transport_ops = {
    .struct_size = sizeof(transport_ops),
    .config = nic_config_image,
    .reset = transport_reset,
};

static void prepare_transport(struct nic *nic)
{
    struct virtio_pci *virtio = &nic->virtio;
    const uint32_t control = 2 * nic->config.pairs;

    virtio->ops = &transport_ops;
    virtio->user = nic;
    virtio->features = nic_features(&nic->config) | 1ull << VIRTIO_F_VERSION_1 |
                       1ull << VIRTIO_F_ACCESS_PLATFORM |
                       1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_F_RING_RESET;
    if (nic->config.packed) {
        virtio->features |= 1ull << VIRTIO_F_RING_PACKED;
    }
    virtio->config_bytes = NIC_CONFIG_BYTES;
    virtio->bar = NIC_BAR_VIRTIO;
    virtio->queue_count = control + 1;
    virtio->vectors = control + 2;
    for (uint32_t i = 0; i < control; i++) {
        virtio->queue[i].size_max = (uint16_t)nic->config.queue_size;
    }
    virtio->queue[control].size_max = CONTROL_QUEUE_SIZE;
    virtio_pci_init(virtio);
}

/* What a target has to agree on with the source. */
static void describe_keys(const struct nic *nic, struct ferry_identity *identity)
{
    const struct nic_config *config = &nic->config;
    uint64_t mac = 0;

    for (uint32_t i = 0; i < NIC_MAC_BYTES; i++) {
        mac = mac << 8 | config->mac[i];
    }
    identity_add_key(identity, "pairs", FERRY_KEY_EQUAL, config->pairs);
    identity_add_key(identity, "queue-size", FERRY_KEY_EQUAL, config->queue_size);
    identity_add_key(identity, "mac", FERRY_KEY_EQUAL, mac);
    identity_add_key(identity, "mtu", FERRY_KEY_EQUAL, config->mtu);
    identity_add_key(identity, "flows", FERRY_KEY_EQUAL, config->flow_bytes);
    identity_add_key(identity, "backlog", FERRY_KEY_AT_LEAST, config->backlog_frames);
    identity_add_key(identity, "features", FERRY_KEY_SUPERSET, nic->virtio.features);
}

static void describe(struct nic *nic, struct ferry_device_desc *ret_desc)
{
    struct ferry_identity *identity = &ret_desc->identity;

    ret_desc->struct_size = sizeof(*ret_desc);
    ret_desc->ops = &nic_ops;
    ret_desc->state = nic;
    ret_desc->flags = FERRY_DEVICE_READS_DURING_DMA;
    strncpy(identity->model, "nic", sizeof(identity->model) - 1);
    identity->state_version = 1;
    identity->state_version_min = 1;
    identity->pci_vendor = NIC_PCI_VENDOR;
    identity->pci_device = NIC_PCI_DEVICE;
    identity->pci_subvendor = NIC_PCI_VENDOR;
    identity->pci_subdevice = NIC_PCI_DEVICE;
    identity->pci_class = NIC_PCI_CLASS << 8 | NIC_PCI_REVISION;
    identity->migration_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY;
    identity->doorbell_latch = 1;
    identity->quiet_ns = QUIET_NS;
    identity->stop_ns = STOP_NS;
    identity->load_ns = LOAD_NS;
    identity->run_ns = RUN_NS;
    describe_keys(nic, identity);
    ret_desc->region[NIC_BAR_MSIX].size_bytes = NIC_BAR_MSIX_BYTES;
    ret_desc->region[NIC_BAR_VIRTIO].size_bytes = NIC_BAR_VIRTIO_BYTES;
    ret_desc->region[NIC_BAR_VIRTIO].flags = FERRY_BAR_64BIT | FERRY_BAR_PREFETCH;
    ret_desc->log_ranges_max = LOG_RANGES_MAX;
    ret_desc->msix_vectors = nic->virtio.vectors;
    ret_desc->msix_bar = NIC_BAR_MSIX;
    ret_desc->msix_table_off = 0;
    ret_desc->msix_pba_off = 0x800;
    virtio_pci_caps(&nic->virtio, ret_desc);
}

/* "52:54:00:fe:44:01", of one station, not all zero. */
static int parse_mac(const char *text, uint8_t *ret_mac)
{
    uint8_t all = 0;

    for (uint32_t i = 0; i < NIC_MAC_BYTES; i++) {
        unsigned byte;
        char end = 'x';

        if (strspn(text, "0123456789abcdefABCDEF") != 2 ||
            sscanf(text, "%2x%c", &byte, &end) < (i + 1 < NIC_MAC_BYTES ? 2 : 1) ||
            end != (i + 1 < NIC_MAC_BYTES ? ':' : 'x')) {
            return FERRY_E_ARGUMENT;
        }
        ret_mac[i] = (uint8_t)byte;
        all |= ret_mac[i];
        text += 3;
    }
    return (ret_mac[0] & 1) == 0 && all != 0 ? FERRY_OK : FERRY_E_ARGUMENT;
}

static int parse_options(const struct ferry_model_options *options,
                         struct nic_config *ret_config, const char **ret_net,
                         struct ferry_error *reterr)
{
    uint64_t pairs = 1, queue_size = QUEUE_SIZE_DEFAULT, mtu = MTU_DEFAULT;
    uint64_t flows = NIC_FLOWS_BYTES_MIN, backlog = BACKLOG_DEFAULT;
    uint64_t mergeable = 1, offloads = 1, packed = 0, churn = 0;
    const char *mac = MAC_DEFAULT;
    const struct option_number number[] = {
        { .name = "pairs", .min = 1, .max = NIC_PAIRS_MAX, .ret_value = &pairs },
        { .name = "queue-size",
          .min = QUEUE_SIZE_MIN,
          .max = VIRTQUEUE_SIZE_MAX,
          .power_of_two = 1,
          .ret_value = &queue_size },
        { .name = "mtu", .min = MTU_MIN, .max = NIC_MTU_MAX, .ret_value = &mtu },
        { .name = "flows",
          .min = NIC_FLOWS_BYTES_MIN,
          .max = NIC_FLOWS_BYTES_MAX,
          .suffixes = 1,
          .power_of_two = 1,
          .ret_value = &flows },
        { .name = "flow-churn", .max = NIC_FLOW_CHURN_MAX, .ret_value = &churn },
        { .name = "backlog", .max = NIC_BACKLOG_FRAMES_MAX, .ret_value = &backlog },
        { .name = "mergeable", .max = 1, .on_off = 1, .ret_value = &mergeable },
        { .name = "offloads", .max = 1, .on_off = 1, .ret_value = &offloads },
        { .name = "packed", .max = 1, .on_off = 1, .ret_value = &packed },
    };
    const struct option_text text[] = { { "mac", &mac }, { "net", ret_net } };
    const int status =
        options_parse_texts(options, number, sizeof(number) / sizeof(number[0]), text,
                            sizeof(text) / sizeof(text[0]), reterr);

    if (status != FERRY_OK) {
        return status;
    }
    *ret_config = (struct nic_config){ .flow_bytes = flows,
                                       .pairs = (uint32_t)pairs,
                                       .queue_size = (uint32_t)queue_size,
                                       .backlog_frames = (uint32_t)backlog,
                                       .mtu = (uint32_t)mtu,
                                       .mergeable = (uint8_t)mergeable,
                                       .offloads = (uint8_t)offloads,
                                       .packed = (uint8_t)packed,
                                       .flow_churn = (uint8_t)churn };
    return parse_mac(mac, ret_config->mac) == FERRY_OK
               ? FERRY_OK
               : ferry_error_set(reterr, FERRY_E_ARGUMENT, "model", NULL, 0,
                                 "option \"mac=%s\" is no address of one station", mac);
}

static void free_nic(struct nic *nic)
{
    nic_queues_destroy(nic);
    nic_migration_destroy(nic->migration);
    nic_flows_destroy(nic->flows);
    nic_backlog_destroy(nic->backlog);
    nic_net_close(nic->net);
    free(nic);
}

static void nic_destroy(struct ferry_device *device, void *state)
{
    struct nic *nic = state;

    nic_flow_timer_destroy(nic->flow_timer);
    /* The device's loop watches the wire: it goes first. */
    ferry_device_destroy(device);
    free_nic(nic);
}

/* The parts of the nic, and the device around them. */
static int build(struct nic *nic, const char *net, struct ferry_device **ret_device,
                 struct ferry_error *reterr)
{
    struct ferry_device_doorbell bell[VIRTIO_PCI_QUEUES_MAX];
    struct ferry_device_desc desc = { 0 };
    int status = nic_net_open(net, &nic->net, reterr);

    if (status != FERRY_OK) {
        return status;
    }
    status = nic_backlog_create(nic->config.backlog_frames, &nic->backlog);
    if (status == FERRY_OK) {
        status = nic_flows_create(nic->config.flow_bytes, &nic->flows);
    }
    if (status == FERRY_OK) {
        status = nic_migration_create(nic, &nic->migration);
    }
    if (status != FERRY_OK) {
        return ferry_error_set(reterr, status, "model", NULL, 0, "the nic's memory: %s",
                               ferry_status_text(status));
    }
    prepare_transport(nic);
    describe(nic, &desc);
    virtio_pci_doorbells(&nic->virtio, bell, &desc);
    status = ferry_device_create(&desc, &nic->device, reterr);
    if (status != FERRY_OK) {
        return status;
    }
    nic->virtio.device = nic->device;
    status = nic_queues_create(nic);
    if (status == FERRY_OK && nic->config.flow_churn != 0) {
        status = nic_flow_timer_create(nic->flows, nic->device, nic->config.flow_churn,
                                       &nic->flow_timer);
    }
    if (status != FERRY_OK) {
        ferry_device_destroy(nic->device);
        return ferry_error_set(reterr, status, "model", NULL, 0, "the nic's queues: %s",
                               ferry_status_text(status));
    }
    *ret_device = nic->device;
    return FERRY_OK;
}

static int nic_create(const struct ferry_model_options *options,
                      struct ferry_device **ret_device, void **ret_state,
                      struct ferry_error *reterr)
{
    struct nic *nic = calloc(1, sizeof(*nic));
    const char *net = NET_DEFAULT;
    int status;

    if (nic == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "model", NULL, 0, "out of memory");
    }
    status = parse_options(options, &nic->config, &net, reterr);
    if (status == FERRY_OK) {
        status = build(nic, net, ret_device, reterr);
    }
    if (status != FERRY_OK) {
        free_nic(nic);
        return status;
    }
    *ret_state = nic;
    return FERRY_OK;
}

static const struct ferry_model_option nic_options[] = {
    { "net", "WIRE", NET_DEFAULT,
      "what it is plugged into: none, echo, stream:PATH, listen:PATH, tap:NAME, user or "
      "pcap:IN" },
    { "mac", "ADDRESS", MAC_DEFAULT, "its address" },
    { "pairs", "N", "1", "pairs of a receive and a transmit queue, 1 to 8" },
    { "queue-size", "N", "256", "places in each queue, a power of two, 16 to 1024" },
    { "mtu", "BYTES", "1500", "largest packet that the driver is told, 68 to 65535" },
    { "flows", "BYTES", "1M", "table of flows, a power of two, 1M to 1G" },
    { "flow-churn", "PERCENT", "0",
      "of that table that changes in a second by itself, for tests, 0 to 100; it is "
      "filled first" },
    { "backlog", "FRAMES", "1024",
      "frames that wait for the driver or travel with the device, 0 to 4096" },
    { "mergeable", "on|off", "on", "frames may fill several receive buffers" },
    { "offloads", "on|off", "on", "checksums and segmentation are the device's work" },
    { "packed", "on|off", "off", "offer packed virtqueues" },
};

const struct ferry_model nic_model = {
    .name = "nic",
    .summary = "virtio-net device with peer-to-peer support and a large internal state",
    .option = nic_options,
    .option_count = sizeof(nic_options) / sizeof(nic_options[0]),
    .create = nic_create,
    .destroy = nic_destroy,
};
