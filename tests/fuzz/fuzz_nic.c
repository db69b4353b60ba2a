/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes `nic` between two hostile sides: a driver that writes what it likes into its
 * memory, rings and registers, and a peer on the wire that sends any bytes. Input: the
 * features, then actions.
 *
 * Whatever comes: DMA only inside the maps, every request is answered, what goes out on
 * the wire keeps to its framing, and counters never claim more than there was.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "link/endpoint.h"
#include "models/le.h"
#include "models/nic/net/net.h"
#include "models/nic/nic.h"
#include "models/virtio/virtio_pci.h"
#include "must.h"
#include "nic_peer.h"

#define PAGE 4096u
#define RAM_BYTES                                                                        \
    (32u * PAGE) /* of a file; the first and the last page are not mapped                \
                  */
#define RAM_IOVA 0x10000u
#define MAPPED (RAM_BYTES - 2 * PAGE)
#define FAR_IOVA 0x80000u /* reached by message */
#define FAR_BYTES (4u * PAGE)
#define CANARY 0xa5u
#define RING 16u
#define QUEUES_MAX 5u
#define DESC(queue) ((queue)*0x400u)
#define AVAIL(queue) (DESC(queue) + 0x100u)
#define USED(queue) (DESC(queue) + 0x200u)
#define BUFFERS 0x2000u
#define ACTIONS_MAX 300u
#define SLICES_MAX 200u
#define PEER_BYTES_MAX (1u << 20)

static struct {
    const uint8_t *at;
    size_t left;
} input;

static struct {
    int listener, memory;
    uint8_t *ram; /* the file */
    uint8_t far[FAR_BYTES];
    struct ferry_device *device;
    struct ferry_endpoint *endpoint;
    void *state;
    uint16_t avail[QUEUES_MAX];
    struct nic_peer peer;
    uint32_t over;
} rig;

static uint32_t next(void)
{
    if (input.left == 0) {
        return 0;
    }
    input.left--;
    return *input.at++;
}

static uint32_t next16(void)
{
    const uint32_t low = next();

    return low | next() << 8;
}

static void take(uint8_t *to, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)next();
    }
}

/* --- the user --- */

static int far_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    (void)user;
    must(iova >= FAR_IOVA && size <= FAR_BYTES && iova - FAR_IOVA <= FAR_BYTES - size);
    memcpy(ret_data, rig.far + (iova - FAR_IOVA), size);
    return FERRY_OK;
}

static int far_write(void *user, uint64_t iova, const void *data, size_t size)
{
    (void)user;
    must(iova >= FAR_IOVA && size <= FAR_BYTES && iova - FAR_IOVA <= FAR_BYTES - size);
    memcpy(rig.far + (iova - FAR_IOVA), data, size);
    return FERRY_OK;
}

static void done(struct ferry_request *request)
{
    (void)request;
    rig.over = 1;
}

static void work(void)
{
    for (uint32_t i = 0; i < SLICES_MAX; i++) {
        struct pollfd wake = { .fd = ferry_endpoint_wake_fd(rig.endpoint),
                               .events = POLLIN };

        if (!rig.endpoint->ops->work(rig.endpoint) && poll(&wake, 1, 0) == 0) {
            break;
        }
    }
}

static int ask(struct ferry_request *request)
{
    int status;

    request->done = done;
    rig.over = 0;
    status = rig.endpoint->ops->submit(rig.endpoint, request);
    for (uint32_t i = 0; status == FERRY_PENDING && !rig.over && i < SLICES_MAX; i++) {
        (void)rig.endpoint->ops->work(rig.endpoint);
    }
    must(status != FERRY_PENDING || rig.over);
    return status == FERRY_PENDING ? request->status : status;
}

static void map(uint64_t iova, uint64_t size, int fd)
{
    struct ferry_request request = { .kind = FERRY_RQ_DMA_MAP };

    request.u.map = (struct ferry_dma_map){ .iova = iova,
                                            .size = size,
                                            .offset = fd >= 0 ? PAGE : 0,
                                            .fd = fd,
                                            .flags = FERRY_DMA_READ | FERRY_DMA_WRITE };
    must(ask(&request) == FERRY_OK);
}

static int access_bar(uint32_t kind, uint32_t region, uint64_t off, void *data,
                      uint32_t count)
{
    struct ferry_request request = { .kind = kind };

    request.u.io = (struct ferry_region_io){
        .index = region, .count = count, .off = off, .data = data
    };
    return ask(&request);
}

static void put(uint64_t off, uint64_t value, uint32_t count)
{
    uint8_t bytes[8];

    le_put64(bytes, value);
    (void)access_bar(FERRY_RQ_REGION_WRITE, NIC_BAR_VIRTIO, off, bytes, count);
}

static uint32_t get(uint64_t off, uint32_t count)
{
    uint8_t bytes[8] = { 0 };

    (void)access_bar(FERRY_RQ_REGION_READ, NIC_BAR_VIRTIO, off, bytes, count);
    return le_get32(bytes);
}

static int set_state(uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .u.state = state };

    return ask(&request);
}

/* --- the driver --- */

static uint8_t *ram(uint32_t off)
{
    return rig.ram + PAGE + off % MAPPED;
}

static void start_queue(uint32_t queue)
{
    put(VIRTIO_PCI_COMMON_Q_SELECT, queue, 2);
    put(VIRTIO_PCI_COMMON_Q_SIZE, RING, 2);
    put(VIRTIO_PCI_COMMON_Q_MSIX, queue, 2);
    put(VIRTIO_PCI_COMMON_Q_DESCLO, RAM_IOVA + DESC(queue), 8);
    put(VIRTIO_PCI_COMMON_Q_AVAILLO, RAM_IOVA + AVAIL(queue), 8);
    put(VIRTIO_PCI_COMMON_Q_USEDLO, RAM_IOVA + USED(queue), 8);
    put(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

/* Up to DRIVER_OK, with the features that the input leaves. */
static void start_driver(void)
{
    const uint32_t ready = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                           VIRTIO_CONFIG_S_FEATURES_OK;
    uint32_t features[2];

    put(VIRTIO_PCI_COMMON_STATUS, 0, 1);
    put(VIRTIO_PCI_COMMON_STATUS, ready & ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK, 1);
    for (uint32_t i = 0; i < 2; i++) {
        put(VIRTIO_PCI_COMMON_DFSELECT, i, 4);
        features[i] = get(VIRTIO_PCI_COMMON_DF, 4);
    }
    features[0] &= ~next16();
    features[0] &= ~(next16() << 16);
    features[1] &= ~next16() | 1u; /* VERSION_1 */
    for (uint32_t i = 0; i < 2; i++) {
        put(VIRTIO_PCI_COMMON_GFSELECT, i, 4);
        put(VIRTIO_PCI_COMMON_GF, features[i], 4);
    }
    put(VIRTIO_PCI_COMMON_STATUS, ready, 1);
    memset(rig.avail, 0, sizeof(rig.avail));
    memset(ram(0), 0, BUFFERS);
    for (uint32_t i = 0; i < QUEUES_MAX; i++) {
        start_queue(i);
    }
    put(VIRTIO_PCI_COMMON_STATUS, ready | VIRTIO_CONFIG_S_DRIVER_OK, 1);
}

static void describe(uint32_t queue, uint32_t place, uint64_t iova, uint32_t bytes,
                     uint32_t flags, uint32_t follows)
{
    uint8_t *desc = ram(DESC(queue) + 16 * (place % RING));

    le_put64(desc, iova);
    le_put32(desc + 8, bytes);
    le_put16(desc + 12, (uint16_t)flags);
    le_put16(desc + 14, (uint16_t)follows);
}

/* Makes a chain of a split ring available. */
static void offer(uint32_t queue, uint32_t place)
{
    uint8_t *avail = ram(AVAIL(queue));

    le_put16(avail + 4 + 2 * (rig.avail[queue] % RING), (uint16_t)place);
    le_put16(avail + 2, ++rig.avail[queue]);
}

static void notify(uint32_t queue)
{
    put(VIRTIO_PCI_NOTIFY_OFF + queue * VIRTIO_PCI_NOTIFY_STEP, queue, 2);
}

/* Any place, mostly one that there is. */
static uint64_t any_iova(void)
{
    const uint32_t how = next();

    if (how < 0xe0) {
        return RAM_IOVA + BUFFERS + next16() % (MAPPED - BUFFERS);
    }
    return how < 0xf0   ? FAR_IOVA + next16() % FAR_BYTES
           : how < 0xf8 ? next16() << 8
                        : UINT64_MAX - next16();
}

static void receive_buffer(void)
{
    const uint32_t queue = next() % 2 * 2, place = next() % RING;
    const uint64_t iova = any_iova();

    describe(queue, place, iova, next16(), VRING_DESC_F_WRITE, 0);
    offer(queue, place);
    notify(queue);
}

static void send_frame(void)
{
    const uint32_t queue = next() % 2 * 2 + 1, place = next() % RING;
    const uint32_t off = BUFFERS + next() * 64u, bytes = next();
    const uint32_t tail = next16();

    take(ram(off), bytes);
    describe(queue, place, RAM_IOVA + off, bytes, tail != 0 ? VRING_DESC_F_NEXT : 0,
             (place + 1) % RING);
    if (tail != 0) {
        describe(queue, place + 1, any_iova(), tail, 0, 0);
    }
    offer(queue, place);
    notify(queue);
}

static void send_command(uint32_t control)
{
    const uint32_t bytes = next();

    take(ram(BUFFERS), bytes);
    describe(control, 0, RAM_IOVA + BUFFERS, bytes, VRING_DESC_F_NEXT, 1);
    describe(control, 1, RAM_IOVA + BUFFERS + 0x200, 1, VRING_DESC_F_WRITE, 0);
    offer(control, 0);
    notify(control);
}

/* --- what holds --- */

static uint64_t sum(const struct ferry_counter *counter, uint32_t count, const char *name)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < count; i++) {
        value += strcmp(counter[i].name, name) == 0 ? counter[i].value : 0;
    }
    return value;
}

static void check_counters(void)
{
    struct ferry_counter counter[FERRY_COUNTERS_MAX];
    struct ferry_request request = { .kind = FERRY_RQ_COUNTERS };
    uint64_t received = 0;
    uint32_t count;

    request.u.counters =
        (struct ferry_counters){ .counter = counter, .cap = FERRY_COUNTERS_MAX };
    must(ask(&request) == FERRY_OK);
    count = request.u.counters.count;
    received = sum(counter, count, "rx_frames") + sum(counter, count, "rx_filtered") +
               sum(counter, count, "rx_dropped") + sum(counter, count, "rx_lost") +
               sum(counter, count, "rx_waiting");
    must(received * (4 + NIC_FRAME_MIN) <= rig.peer.sent);
    must(sum(counter, count, "rx_bytes") <= rig.peer.sent);
    must(sum(counter, count, "rx_carried") == 0);
    must(sum(counter, count, "tx_bytes") >=
         sum(counter, count, "tx_frames") * NIC_FRAME_MIN);
}

static void check_memory(void)
{
    for (uint32_t i = 0; i < PAGE; i++) {
        must(rig.ram[i] == CANARY && rig.ram[RAM_BYTES - PAGE + i] == CANARY);
    }
}

/* --- the run --- */

static void move(void)
{
    static const uint32_t states[] = { FERRY_STATE_RUNNING_P2P, FERRY_STATE_STOP,
                                       FERRY_STATE_RUNNING_P2P, FERRY_STATE_PRE_COPY,
                                       FERRY_STATE_STOP_COPY,   FERRY_STATE_RUNNING };
    static uint8_t data[PAGE];
    const uint32_t state = states[next() % (sizeof(states) / sizeof(states[0]))];

    if (set_state(state) == FERRY_OK && ferry_state_is_saving(state)) {
        struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };

        request.u.data = (struct ferry_data_io){ .data = data, .size = sizeof(data) };
        (void)ask(&request);
    }
}

static void register_access(void)
{
    static const uint32_t width[] = { 1, 2, 4, 8 };
    const uint32_t bytes = width[next() % 4];
    const uint32_t bar = next() % 8 == 0 ? NIC_BAR_MSIX : NIC_BAR_VIRTIO;
    const uint64_t off = next() % 4 * 0x1000u + next();
    uint8_t data[8];

    take(data, sizeof(data));
    (void)access_bar(next() & 1 ? FERRY_RQ_REGION_WRITE : FERRY_RQ_REGION_READ, bar, off,
                     data, bytes);
}

static void config_access(void)
{
    uint8_t data[4];
    const uint32_t off = next() % 0x100;

    take(data, sizeof(data));
    (void)access_bar(FERRY_RQ_REGION_WRITE, FERRY_REGION_CONFIG, off & ~3u, data, 4);
}

static void peer_frame(void)
{
    uint8_t given[256];
    const uint32_t how = next();
    const uint32_t bytes = how < 0xc0 ? next() : next16();
    const uint32_t count = next();

    take(given, count);
    nic_peer_frame(&rig.peer, bytes, given, count);
}

static void peer_bytes(void)
{
    uint8_t bytes[256];
    const uint32_t count = next();

    take(bytes, count);
    nic_peer_send(&rig.peer, bytes, count);
}

static void act(void)
{
    switch (next() % 16) {
    case 0: {
        const uint32_t off = next16();
        const uint32_t bytes = next();

        if (off % MAPPED + bytes <= MAPPED) {
            take(ram(off), bytes);
        }
        break;
    }
    case 1:
        notify(next() % QUEUES_MAX);
        break;
    case 2:
    case 3:
        peer_frame();
        break;
    case 4:
        peer_bytes();
        break;
    case 5:
    case 6:
        receive_buffer();
        break;
    case 7:
    case 8:
        send_frame();
        break;
    case 9:
        send_command(next() & 1 ? 4 : 2);
        break;
    case 10:
        register_access();
        break;
    case 11:
        move();
        break;
    case 12:
        check_counters();
        break;
    case 13:
        if (next() == 0) {
            nic_peer_hang_up(&rig.peer);
        } else if (next() == 0) {
            config_access();
        } else {
            nic_peer_receive(&rig.peer);
        }
        break;
    default:
        work();
        break;
    }
}

/* Once: a place where the wire finds its peer, and the driver's memory. */
static void prepare(struct sockaddr_un *ret_name)
{
    *ret_name = (struct sockaddr_un){ .sun_family = AF_UNIX };
    (void)snprintf(ret_name->sun_path, sizeof(ret_name->sun_path),
                   "/tmp/ferry-fuzz-nic-%d", (int)getpid());
    (void)unlink(ret_name->sun_path);
    rig.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(rig.listener, (const struct sockaddr *)ret_name, sizeof(*ret_name)) == 0);
    must(listen(rig.listener, 4) == 0);
    rig.memory = memfd_create("fuzz-nic", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    must(rig.memory >= 0 && ftruncate(rig.memory, RAM_BYTES) == 0);
    must(fcntl(rig.memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    rig.ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, rig.memory, 0);
    must(rig.ram != MAP_FAILED);
}

/* The file of the socket is there only as long as the wire needs to find it. */
static void make_nic(void)
{
    static const char *const more[] = { "mergeable=off", "offloads=off", "packed=on" };
    struct sockaddr_un name;
    char net[sizeof(name.sun_path) + 16];
    const char *option[8] = { net, "backlog=8", "queue-size=16" };
    struct ferry_model_options options = { .struct_size = sizeof(options),
                                           .count = 3,
                                           .option = option };
    const uint32_t choice = next();

    prepare(&name);
    (void)snprintf(net, sizeof(net), "net=stream:%s", name.sun_path);
    option[options.count++] = choice & 8 ? "pairs=2" : "pairs=1";
    for (uint32_t i = 0; i < 3; i++) {
        if ((choice >> i & 1) != 0) {
            option[options.count++] = more[i];
        }
    }
    must(nic_model.create(&options, &rig.device, &rig.state, NULL) == FERRY_OK);
    rig.peer.fd = accept(rig.listener, NULL, NULL);
    must(rig.peer.fd >= 0);
    (void)unlink(name.sun_path);
    (void)close(rig.listener);
    rig.endpoint = ferry_device_endpoint(rig.device);
}

static void end_nic(void)
{
    rig.endpoint->ops->detach(rig.endpoint);
    work();
    nic_model.destroy(rig.device, rig.state);
    nic_peer_hang_up(&rig.peer);
    check_memory();
    (void)munmap(rig.ram, RAM_BYTES);
    (void)close(rig.memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ferry_client_port port = { .struct_size = sizeof(port),
                                                   .dma_read = far_read,
                                                   .dma_write = far_write };
    uint8_t command[2] = { 6, 0 }; /* memory and bus master */

    memset(&rig, 0, sizeof(rig));
    input.at = data;
    input.left = size;
    make_nic();
    memset(rig.ram, CANARY, PAGE);
    memset(rig.ram + RAM_BYTES - PAGE, CANARY, PAGE);
    must(rig.endpoint->ops->attach(rig.endpoint, &port) == FERRY_OK);
    map(RAM_IOVA, MAPPED, rig.memory);
    map(FAR_IOVA, FAR_BYTES, -1);
    must(access_bar(FERRY_RQ_REGION_WRITE, FERRY_REGION_CONFIG, 4, command, 2) ==
         FERRY_OK);
    start_driver();
    for (uint32_t i = 0; i < ACTIONS_MAX && input.left > 0; i++) {
        act();
    }
    work();
    nic_peer_receive(&rig.peer);
    check_counters();
    end_nic();
    return 0;
}
