/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/check/check_drivers.h"
#include "drivers/nic_driver.h"
#include "drivers/virtio/virtqueue_batch.h"
#include "drivers/virtio/virtio_pci.h"

/*
 * Has a nic write memory: frames that its wire gives back (nic,net=echo) are received
 * into the range. A receive request has three parts: what is the same in each frame, the
 * bytes for the range, and room for what another frame has more.
 */
#define NIC_VENDOR 0x1af4u
#define NIC_DEVICE 0x1041u /* virtio 1.x, type 1: network */

#define CHAIN 3u
#define QUEUE_SIZE 256u
#define LANES (QUEUE_SIZE / CHAIN) /* frames under way */
#define ETHERNET_BYTES 14u
#define FRAME_MOST 1514u /* without what is behind the range's bytes */
#define SENT_CHAIN 2u

/* What stands in front of a range's bytes: of each lane in the driver's memory. */
struct head {
    struct virtio_net_hdr_v1 header;
    uint8_t ethernet[ETHERNET_BYTES];
    uint8_t tag[8]; /* of the request that the frame is for */
};
#define TAGGED_BYTES (sizeof(struct head) - NIC_DRIVER_HEADER_BYTES)
#define PIECE_BYTES (FRAME_MOST - (uint32_t)TAGGED_BYTES)

/* Layout of the driver's memory behind queues and buffers. */
#define HEADS_OFF (2u << 20)
#define HEAD_STEP 64u
#define FRAMES_OFF (HEADS_OFF + LANES * HEAD_STEP)
#define FRAME_STEP 2048u
/* What frames have behind the range's bytes: little, or so much that they take long. */
#define FILL_OFF (HEADS_OFF + (1u << 20))
#define FILL_LITTLE 46u
#define FILL_MUCH 60000u
#define SPARE_OFF (FILL_OFF + (64u << 10))
#define SPARE_BYTES (64u << 10)
#define TARGET_OFF (SPARE_OFF + SPARE_BYTES) /* of works() */
/* How long a device that has given everything back may go on looking for more. */
#define REST_SPINS 50u
#define REST_MS 20u
/* Other frames than ours that may lie in the device: what it had queued for a driver. */
#define STRANGERS_MAX 16384u

static_assert(sizeof(struct head) <= HEAD_STEP, "a lane's head");
static_assert(FRAMES_OFF + LANES * FRAME_STEP <= FILL_OFF, "frames");
static_assert(TARGET_OFF + FRAME_MOST <= 4u << 20, "the driver's memory");

struct nic_check {
    struct ferry_check_device *device;
    struct pci_function pci;
    struct guest_ram ram;
    struct nic_driver nic;
    uint64_t wanted[LANES]; /* the tag of the frame that is to come; 0: lane is free */
    uint64_t next_tag;
    uint32_t under_way; /* frames that did not come back */
    uint32_t sending;   /* whose buffers the device has */
    uint32_t strangers, pad;
};

static int nic_matches(const uint8_t *config)
{
    return check_driver_is(config, NIC_VENDOR, NIC_DEVICE);
}

static void nic_stop(void *state)
{
    free(state);
}

static int wait_control(void *user, int timeout_ms)
{
    return ferry_check_irq_wait(user, NIC_VECTOR_CONTROL, (uint32_t)timeout_ms);
}

/* Without it no frame would ever come back, which takes long to find out. */
static int look_for_link(struct nic_check *check, struct ferry_error *reterr)
{
    const int rc = nic_driver_link(&check->pci, &check->nic);

    if (rc < 0) {
        return ferry_error_set(reterr, rc, "nic", NULL, 0, "no link state: %s",
                               ferry_status_text(rc));
    }
    return rc > 0 ? FERRY_OK
                  : ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "nic", NULL, 0,
                                    "no link; the wire has to give frames back, as "
                                    "net=echo does");
}

static int nic_start(struct ferry_check_device *device, void **ret_state,
                     struct ferry_error *reterr)
{
    struct nic_check *check = calloc(1, sizeof(*check));
    struct nic_setup setup = { .pairs = 1,
                               .queue_size = QUEUE_SIZE,
                               .buffer_bytes = NIC_DRIVER_BUFFER_MIN,
                               .rings_only = 1,
                               .wait = wait_control,
                               .user = device,
                               .timeout_ms = (int)CHECK_DRIVER_TIMEOUT_MS };
    int rc;

    if (check == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    }
    check->device = device;
    check->pci.check = device;
    check->ram.address = ferry_check_memory(device, &check->ram.iova, &check->ram.size);
    setup.iova = check->ram.iova;
    assert(nic_driver_need(&setup) <= HEADS_OFF);
    rc = ferry_check_irqs(device, NIC_VECTORS(1));
    if (rc != FERRY_OK) {
        ferry_error_set(reterr, rc, "nic", NULL, 0, "no interrupts: %s",
                        ferry_status_text(rc));
    } else {
        rc = nic_driver_init(&check->pci, &check->ram, &check->nic, &setup, reterr);
    }
    if (rc == FERRY_OK) {
        rc = look_for_link(check, reterr);
    }
    if (rc == FERRY_OK && check->nic.pair[0].receive.ring.size < QUEUE_SIZE) {
        rc = ferry_error_set(reterr, FERRY_E_LIMIT, "nic", NULL, 0,
                             "a receive queue of %u, %u are needed",
                             check->nic.pair[0].receive.ring.size, QUEUE_SIZE);
    }
    if (rc != FERRY_OK) {
        nic_stop(check);
        return rc;
    }
    *ret_state = check;
    return FERRY_OK;
}

static uint64_t head_iova(const struct nic_check *check, uint32_t lane)
{
    return check->ram.iova + HEADS_OFF + lane * HEAD_STEP;
}

static uint64_t tag_of(const struct nic_check *check, uint32_t lane)
{
    const struct head *head =
        guest_at(&check->ram, head_iova(check, lane), sizeof(*head));
    uint64_t tag;

    memcpy(&tag, head->tag, sizeof(tag));
    return tag;
}

/* Room for a frame, whose bytes from the tag on go to iova. */
static void offer(struct nic_check *check, uint32_t lane, uint64_t iova, uint32_t bytes)
{
    const struct virtqueue_piece piece[CHAIN] = {
        { head_iova(check, lane), sizeof(struct head), 1 },
        { iova, bytes, 1 },
        { check->ram.iova + SPARE_OFF, SPARE_BYTES, 1 },
    };

    virtqueue_put(&check->ram, &check->nic.pair[0].receive.ring, (uint16_t)(lane * CHAIN),
                  piece, CHAIN);
}

/*
 * A frame for a lane; what: its bytes for the range, NULL: other ones in each frame;
 * more_bytes: that it has behind them.
 */
static void send_frame(struct nic_check *check, uint32_t lane, const uint8_t *what,
                       uint32_t bytes, uint32_t more_bytes)
{
    const uint64_t iova = check->ram.iova + FRAMES_OFF + lane * FRAME_STEP;
    struct head *head = guest_at(&check->ram, iova, FRAME_STEP);
    uint8_t *payload = (uint8_t *)(head + 1);
    const struct virtqueue_piece piece[SENT_CHAIN] = {
        { iova, (uint32_t)sizeof(*head) + bytes, 0 },
        { check->ram.iova + FILL_OFF, more_bytes, 0 },
    };

    assert(check->wanted[lane] == 0 && bytes <= PIECE_BYTES && more_bytes > 0);
    memset(head, 0, sizeof(*head));
    memcpy(head->ethernet, check->nic.mac, NIC_DRIVER_MAC_BYTES);
    memcpy(head->ethernet + NIC_DRIVER_MAC_BYTES, check->nic.mac, NIC_DRIVER_MAC_BYTES);
    head->ethernet[12] = 0x88; /* IEEE: local experiments */
    head->ethernet[13] = 0xb5;
    check->wanted[lane] = ++check->next_tag;
    memcpy(head->tag, &check->wanted[lane], sizeof(head->tag));
    for (uint32_t i = 0; i < bytes; i++) {
        payload[i] = what != NULL ? what[i] : (uint8_t)(check->next_tag + i);
    }
    virtqueue_put(&check->ram, &check->nic.pair[0].transmit.ring,
                  (uint16_t)(lane * SENT_CHAIN), piece, SENT_CHAIN);
    check->sending++;
    check->under_way++;
}

/* Takes what is there. Return: 1 when nothing is under way any more; negative when the
 * device completed what nobody gave it. */
static int take_all(void *user)
{
    struct nic_check *check = user;
    uint16_t head;
    uint32_t bytes;
    int taken;

    while ((taken = virtqueue_take(&check->ram, &check->nic.pair[0].receive.ring, &head,
                                   &bytes)) == 1) {
        const uint32_t lane = head / CHAIN;

        if (head % CHAIN != 0 || lane >= LANES || check->wanted[lane] == 0) {
            return FERRY_E_PROTOCOL;
        }
        check->strangers += tag_of(check, lane) != check->wanted[lane];
        check->wanted[lane] = 0;
        check->under_way--;
    }
    while (taken == 0 &&
           (taken = virtqueue_take(&check->ram, &check->nic.pair[0].transmit.ring, &head,
                                   &bytes)) == 1) {
        check->sending--;
        taken = 0;
    }
    return taken < 0 ? taken : check->under_way == 0 && check->sending == 0;
}

static int nic_settle(void *state, struct ferry_error *reterr)
{
    struct nic_check *check = state;
    const uint32_t before = check->under_way;
    const int rc = check_driver_wait(check->device, take_all, check);

    return rc == FERRY_OK
               ? FERRY_OK
               : ferry_error_set(reterr, rc, "nic", NULL, 0,
                                 "%u of %u frames did not come back: %s; is the wire "
                                 "net=echo?",
                                 check->under_way, before, ferry_status_text(rc));
}

static int kick(struct nic_check *check, struct ferry_error *reterr)
{
    struct nic_driver_pair *pair = &check->nic.pair[0];
    int rc = nic_driver_kick(&check->pci, &check->ram, &pair->receive);

    if (rc == FERRY_OK) {
        rc = nic_driver_kick(&check->pci, &check->ram, &pair->transmit);
    }
    return rc == FERRY_OK ? FERRY_OK
                          : ferry_error_set(reterr, rc, "nic", NULL, 0,
                                            "the doorbell: %s", ferry_status_text(rc));
}

static int run(struct nic_check *check, struct ferry_error *reterr)
{
    const int rc = kick(check, reterr);

    return rc == FERRY_OK ? nic_settle(check, reterr) : rc;
}

/* Frames of the device's own (an announcement) may wait for room: they are let in before
 * any is counted on to arrive in the lane that it is for. */
static int empty_wire(struct nic_check *check, struct ferry_error *reterr)
{
    const uint64_t spare = check->ram.iova + SPARE_OFF;
    uint32_t before, tries = 0;
    int rc = nic_settle(check, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    send_frame(check, 0, NULL, 1, FILL_LITTLE);
    do {
        const uint64_t tag = check->next_tag;

        check->wanted[0] = tag;
        check->under_way = 1;
        before = check->strangers;
        offer(check, 0, spare, SPARE_BYTES);
        rc = run(check, reterr);
    } while (rc == FERRY_OK && check->strangers != before && ++tries < STRANGERS_MAX);
    return rc;
}

/* One pass over the range, with as many frames at a time as there are lanes. */
static int pass(struct nic_check *check, uint8_t *now, uint64_t iova, uint64_t bytes,
                struct ferry_error *reterr)
{
    const uint32_t strangers = check->strangers;
    uint8_t other[FRAME_MOST];
    int rc = FERRY_OK;

    while (rc == FERRY_OK && bytes > 0) {
        for (uint32_t lane = 0; lane < LANES && bytes > 0; lane++) {
            const uint32_t piece = bytes < PIECE_BYTES ? (uint32_t)bytes : PIECE_BYTES;

            for (uint32_t i = 0; i < piece; i++) {
                other[i] = (uint8_t)~now[i];
            }
            offer(check, lane, iova, piece);
            send_frame(check, lane, other, piece, FILL_LITTLE);
            now += piece;
            iova += piece;
            bytes -= piece;
        }
        rc = run(check, reterr);
    }
    if (rc == FERRY_OK && check->strangers != strangers) {
        rc = ferry_error_set(reterr, FERRY_E_DEVICE, "nic", NULL, 0,
                             "%u frames came back in another order or are not ours",
                             check->strangers - strangers);
    }
    return rc;
}

static int nic_write(void *state, uint64_t iova, uint64_t bytes,
                     struct ferry_error *reterr)
{
    struct nic_check *check = state;
    uint8_t *now = ferry_check_memory_at(check->device, iova, bytes);
    const int rc = empty_wire(check, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (now == NULL) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "nic", NULL, iova,
                               "not in the memory");
    }
    return pass(check, now, iova, bytes, reterr);
}

static int nic_begin(void *state, uint64_t iova, uint64_t bytes,
                     struct ferry_error *reterr)
{
    struct nic_check *check = state;
    /* A frame of the device's own may take a lane here: the next empty_wire() finds what
     * waits for it. In a P2P state nothing comes back yet. */
    const int rc = nic_settle(check, reterr);

    if (rc != FERRY_OK || bytes == 0) {
        return rc;
    }
    if (ferry_check_memory_at(check->device, iova, bytes) == NULL) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "nic", NULL, iova,
                               "not in the memory");
    }
    for (uint32_t lane = 0; lane < LANES; lane++) {
        const uint64_t pieces = (bytes + PIECE_BYTES - 1) / PIECE_BYTES;
        const uint64_t off = lane % pieces * PIECE_BYTES;
        const uint32_t piece =
            bytes - off < PIECE_BYTES ? (uint32_t)(bytes - off) : PIECE_BYTES;

        offer(check, lane, iova + off, piece);
        send_frame(check, lane, NULL, piece, FILL_MUCH);
    }
    return kick(check, reterr);
}

/*
 * Until the device asks for doorbells again: before, it looks at the ring by itself, and
 * memory that is taken away then is a fault of the driver's. A device that never rests
 * is left to that.
 */
static int await_rest(const struct nic_check *check)
{
    const struct virtqueue *ring = &check->nic.pair[0].transmit.ring;
    int rc = FERRY_OK;

    for (uint32_t i = 0; i < REST_SPINS + REST_MS && rc == FERRY_OK &&
                         !virtqueue_wants_doorbell(&check->ram, ring);
         i++) {
        rc = ferry_check_turn(check->device, i < REST_SPINS ? 0 : 1);
    }
    return rc;
}

/* Sends a known frame: its bytes and an interrupt arrive. Leaves nothing under way. */
static int nic_works(void *state, struct ferry_error *reterr)
{
    struct nic_check *check = state;
    uint8_t *const target = check->ram.address + TARGET_OFF;
    uint8_t known[PIECE_BYTES];
    int rc = empty_wire(check, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    (void)ferry_check_irq_wait(check->device, NIC_VECTOR_PAIR(0),
                               0); /* of what was before */
    for (uint32_t i = 0; i < sizeof(known); i++) {
        known[i] = (uint8_t)(i * 7u + (i >> 8) + check->next_tag);
    }
    memset(target, 0, sizeof(known));
    offer(check, 0, check->ram.iova + TARGET_OFF, sizeof(known));
    send_frame(check, 0, known, sizeof(known), FILL_LITTLE);
    rc = run(check, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    if (memcmp(target, known, sizeof(known)) != 0) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, "nic", NULL, 0,
                               "a frame came back with other bytes");
    }
    rc = ferry_check_irq_wait(check->device, NIC_VECTOR_PAIR(0), CHECK_DRIVER_TIMEOUT_MS);
    return rc == FERRY_OK ? await_rest(check)
                          : ferry_error_set(reterr, rc, "nic", NULL, 0,
                                            "no interrupt for received frames: %s",
                                            ferry_status_text(rc));
}

/* Where the device is in its queues is part of its state, and so is what it counts. */
static int nic_change(void *state, struct ferry_error *reterr)
{
    return empty_wire(state, reterr);
}

const struct ferry_check_driver check_driver_nic = {
    .struct_size = sizeof(check_driver_nic),
    .name = "nic",
    .matches = nic_matches,
    .start = nic_start,
    .stop = nic_stop,
    .works = nic_works,
    .write = nic_write,
    .begin = nic_begin,
    .settle = nic_settle,
    .change = nic_change,
};
