/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_nic_guest.h"

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "models/nic/nic.h"
#include "models/virtio/virtio_pci.h"

#define AVAIL_OFF 0x4000u
#define USED_OFF 0x5000u
#define WRAP 0x8000u
#define NEXT_BYTES 0x10000u

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *from)
{
    return (uint32_t)from[0] << 8 | from[1];
}

static void common(struct rig *rig, uint64_t off, uint64_t value, uint32_t width)
{
    assert_int_equal(
        rig_write(rig, NIC_BAR_VIRTIO, VIRTIO_PCI_COMMON_OFF + off, &value, width),
        FERRY_OK);
}

uint64_t nic_offered(struct rig *rig)
{
    uint64_t features;

    common(rig, VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
    features = rig_read32(rig, NIC_BAR_VIRTIO, VIRTIO_PCI_COMMON_DF);
    common(rig, VIRTIO_PCI_COMMON_DFSELECT, 0, 4);
    return features << 32 | rig_read32(rig, NIC_BAR_VIRTIO, VIRTIO_PCI_COMMON_DF);
}

static void start_queue(struct ring *ring, struct rig *rig)
{
    common(rig, VIRTIO_PCI_COMMON_Q_SELECT, ring->queue, 2);
    common(rig, VIRTIO_PCI_COMMON_Q_SIZE, RING_SIZE, 2);
    common(rig, VIRTIO_PCI_COMMON_Q_MSIX, ring->queue, 2);
    common(rig, VIRTIO_PCI_COMMON_Q_DESCLO, RING_IOVA(ring->off), 8);
    common(rig, VIRTIO_PCI_COMMON_Q_AVAILLO, RING_IOVA(ring->off + AVAIL_OFF), 8);
    common(rig, VIRTIO_PCI_COMMON_Q_USEDLO, RING_IOVA(ring->off + USED_OFF), 8);
    common(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

void nic_start(struct nic_guest *guest, struct rig *rig, const struct rig_ram *ram,
               uint64_t features)
{
    const uint32_t ready = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
    uint32_t queues;

    memset(guest, 0, sizeof(*guest));
    memset(ram->bytes, 0, 0x100000);
    guest->ram = ram->bytes;
    common(rig, VIRTIO_PCI_COMMON_STATUS, 0, 1);
    common(rig, VIRTIO_PCI_COMMON_STATUS, ready, 1);
    guest->features = nic_offered(rig) & (features | 1ull << VIRTIO_F_VERSION_1);
    common(rig, VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
    common(rig, VIRTIO_PCI_COMMON_GF, (uint32_t)guest->features, 4);
    common(rig, VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
    common(rig, VIRTIO_PCI_COMMON_GF, guest->features >> 32, 4);
    common(rig, VIRTIO_PCI_COMMON_STATUS, ready | VIRTIO_CONFIG_S_FEATURES_OK, 1);
    assert_true((nic_status(rig) & VIRTIO_CONFIG_S_FEATURES_OK) != 0);
    common(rig, VIRTIO_PCI_COMMON_MSIX, NIC_VECTOR_CONFIG, 2);
    queues = rig_read32(rig, NIC_BAR_VIRTIO, VIRTIO_PCI_COMMON_MSIX) >> 16;
    assert_true(queues <= NIC_QUEUES);
    guest->control = (guest->features >> VIRTIO_NET_F_MQ & 1) != 0 ? queues - 1 : 2;
    for (uint32_t i = 0; i < queues; i++) {
        struct ring *ring = &guest->ring[i];

        ring->ram = ram->bytes;
        ring->queue = i;
        ring->off = NEXT_BYTES * i;
        ring->packed = (guest->features >> VIRTIO_F_RING_PACKED & 1) != 0;
        ring->avail = ring->packed ? WRAP : 0;
        ring->used = ring->avail;
        start_queue(ring, rig);
    }
    common(rig, VIRTIO_PCI_COMMON_STATUS,
           ready | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK, 1);
}

void nic_give(struct nic_guest *guest, uint32_t queue, uint32_t place, uint32_t bytes)
{
    ring_desc(&guest->ring[queue], (uint16_t)place, RING_IOVA(NIC_BUFFER(queue, place)),
              bytes, VRING_DESC_F_WRITE, 0);
    ring_offer(&guest->ring[queue], (uint16_t)place);
}

void nic_send(struct nic_guest *guest, uint32_t pair,
              const struct virtio_net_hdr_v1 *header, const uint8_t *frame,
              uint32_t bytes)
{
    static const struct virtio_net_hdr_v1 none;
    struct ring *ring = &guest->ring[2 * pair + 1];
    const uint32_t queue = 2 * pair + 1, first = guest->frames % RING_SIZE;
    uint32_t place = first, room = NIC_BUFFER_BYTES - NIC_HEADER;

    memcpy(guest->ram + NIC_BUFFER(queue, first), header != NULL ? header : &none,
           NIC_HEADER);
    memcpy(guest->ram + NIC_BUFFER(queue, first) + NIC_HEADER, frame,
           bytes < room ? bytes : room);
    for (;;) {
        const uint32_t here = bytes < room ? bytes : room;
        const uint32_t next = (place + 1) % RING_SIZE;

        ring_desc(ring, (uint16_t)place, RING_IOVA(NIC_BUFFER(queue, place)),
                  here + (place == first ? NIC_HEADER : 0),
                  bytes > here ? VRING_DESC_F_NEXT : 0, (uint16_t)next);
        guest->frames++;
        frame += here;
        bytes -= here;
        if (bytes == 0) {
            break;
        }
        place = next;
        room = NIC_BUFFER_BYTES;
        memcpy(guest->ram + NIC_BUFFER(queue, place), frame, bytes < room ? bytes : room);
    }
    ring_offer(ring, (uint16_t)first);
}

void nic_notify(struct nic_guest *guest, struct rig *rig, uint32_t queue)
{
    ring_notify(&guest->ring[queue], rig);
    rig_work(rig);
}

uint32_t nic_take(struct nic_guest *guest, uint32_t pair,
                  struct virtio_net_hdr_v1 *ret_header, uint8_t *ret_frame)
{
    struct vring_used_elem elem;
    uint32_t bytes = 0, off = NIC_HEADER;

    if (!ring_take(&guest->ring[2 * pair], &elem)) {
        return 0;
    }
    assert_true(elem.len >= NIC_HEADER);
    memcpy(ret_header, guest->ram + NIC_BUFFER(2 * pair, elem.id), NIC_HEADER);
    assert_true(ret_header->num_buffers >= 1 && ret_header->num_buffers <= RING_SIZE);
    for (uint32_t i = 0; i < ret_header->num_buffers; i++) {
        if (i > 0) {
            assert_true(ring_take(&guest->ring[2 * pair], &elem));
            off = 0;
        }
        assert_true(bytes + elem.len - off <= 70000);
        memcpy(ret_frame + bytes, guest->ram + NIC_BUFFER(2 * pair, elem.id) + off,
               elem.len - off);
        bytes += elem.len - off;
    }
    return bytes;
}

uint8_t nic_command(struct nic_guest *guest, struct rig *rig, uint8_t class, uint8_t what,
                    const void *data, uint32_t bytes)
{
    struct ring *ring = &guest->ring[guest->control];
    uint8_t *out = guest->ram + NIC_BUFFER(guest->control, 0);
    uint8_t *answer = guest->ram + NIC_BUFFER(guest->control, 1);
    struct vring_used_elem elem;

    out[0] = class;
    out[1] = what;
    memcpy(out + 2, data, bytes);
    *answer = 255;
    ring_desc(ring, 0, RING_IOVA(NIC_BUFFER(guest->control, 0)), 2 + bytes,
              VRING_DESC_F_NEXT, 1);
    ring_desc(ring, 1, RING_IOVA(NIC_BUFFER(guest->control, 1)), 1, VRING_DESC_F_WRITE,
              0);
    ring_offer(ring, 0);
    nic_notify(guest, rig, guest->control);
    return ring_take(ring, &elem) ? *answer : 255;
}

struct virtio_net_config nic_config(struct rig *rig)
{
    struct virtio_net_config config = { 0 };
    uint8_t bytes[12];

    assert_int_equal(
        rig_read(rig, NIC_BAR_VIRTIO, VIRTIO_PCI_DEVICE_OFF, bytes, sizeof(bytes)),
        FERRY_OK);
    memcpy(&config, bytes, sizeof(bytes));
    return config;
}

uint8_t nic_status(struct rig *rig)
{
    uint8_t status;

    assert_int_equal(rig_read(rig, NIC_BAR_VIRTIO, VIRTIO_PCI_COMMON_STATUS, &status, 1),
                     FERRY_OK);
    return status;
}

void nic_plain(uint8_t *frame, uint32_t bytes, uint32_t seed)
{
    static const uint8_t mac[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };

    rig_fill(frame, bytes, seed);
    memcpy(frame, mac, sizeof(mac));
    put16(frame + 12, 0x88b5);
}

/* The Internet checksum, a word at a time, as the textbook has it. */
static uint32_t sum_words(uint32_t sum, const uint8_t *from, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        sum += (i & 1) != 0 ? from[i] : (uint32_t)from[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Of pseudo header, TCP header and data, as they are. */
static uint32_t tcp_sum(const uint8_t *frame, uint32_t bytes, uint32_t v6)
{
    const uint32_t tcp = v6 ? 54 : 34;
    const uint32_t sum = v6 ? sum_words(0, frame + 22, 32) : sum_words(0, frame + 26, 8);

    return sum_words(sum + 6 + (bytes - tcp), frame + tcp, bytes - tcp);
}

void nic_tcp(uint8_t *frame, uint32_t bytes, uint32_t v6, uint32_t flow)
{
    const uint32_t tcp = v6 ? 54 : 34;
    uint8_t *ip = frame + 14;

    nic_plain(frame, bytes, flow);
    memset(frame + 12, 0, tcp + 20 - 12);
    put16(frame + 12, v6 ? 0x86dd : 0x0800);
    if (v6) {
        ip[0] = 0x60;
        put16(ip + 4, bytes - 54);
        ip[6] = 6;
        ip[7] = 64;
        ip[23] = 1;
        ip[39] = 2;
    } else {
        ip[0] = 0x45;
        put16(ip + 2, bytes - 14);
        put16(ip + 4, 100);
        ip[8] = 64;
        ip[9] = 6;
        ip[12] = ip[16] = 10;
        ip[15] = 1;
        ip[19] = 2;
        put16(ip + 10, ~sum_words(0, ip, 20) & 0xffff);
    }
    put16(frame + tcp, 1000 + flow);
    put16(frame + tcp + 2, 80);
    put16(frame + tcp + 6, 7000); /* sequence number */
    frame[tcp + 12] = 5 << 4;
    frame[tcp + 13] = 0x18; /* PSH, ACK */
    put16(frame + tcp + 16, ~tcp_sum(frame, bytes, v6) & 0xffff);
}

int nic_tcp_right(const uint8_t *frame, uint32_t bytes, uint32_t v6)
{
    const uint8_t *ip = frame + 14;

    if (v6) {
        return get16(ip + 4) == bytes - 54 && tcp_sum(frame, bytes, 1) == 0xffff;
    }
    return get16(ip + 2) == bytes - 14 && sum_words(0, ip, 20) == 0xffff &&
           tcp_sum(frame, bytes, 0) == 0xffff;
}
