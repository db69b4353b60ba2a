/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/guest/stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUEUE_SIZE 64u
#define ETHERNET_BYTES 14u
#define FRAME_LEAST 60u
#define FRAME_MOST 1514u
/* At each turn, so that the devices beside this one get their share. */
#define FEED_MOST 16u
#define TAKE_MOST 32u
/* A completion that lies there for so long was not announced. */
#define IRQ_LOST_MS 10000u

static struct nic_setup setup_at(uint64_t iova)
{
    return (struct nic_setup){ .iova = iova,
                               .pairs = 1,
                               .queue_size = QUEUE_SIZE,
                               .buffer_bytes = NIC_DRIVER_BUFFER_MIN };
}

static uint64_t state_bytes(void)
{
    return (sizeof(struct guest_stream) + FERRY_PAGE_BYTES - 1) / FERRY_PAGE_BYTES *
           FERRY_PAGE_BYTES;
}

uint64_t stream_need(void)
{
    const struct nic_setup setup = setup_at(0);

    return state_bytes() + nic_driver_need(&setup);
}

void stream_place(struct stream *stream, uint64_t iova)
{
    stream->state = guest_at(&stream->ram, iova, stream_need());
}

static struct nic_setup setup_of(const struct stream *stream)
{
    return setup_at(guest_iova(&stream->ram, stream->state) + state_bytes());
}

static void wrote(const struct stream *stream)
{
    guest_wrote(&stream->ram, stream->state, offsetof(struct guest_stream, nic));
}

static int fail(struct stream *stream, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct stream *stream, int code, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(stream->error, sizeof(stream->error), format, list);
    va_end(list);
    return code;
}

int stream_boot(struct stream *stream, struct ferry_error *reterr)
{
    const struct nic_setup setup = setup_of(stream);

    memset(stream->state, 0, sizeof(*stream->state));
    wrote(stream);
    return nic_driver_init(&stream->pci, &stream->ram, &stream->state->nic, &setup,
                           reterr);
}

int stream_check(const struct stream *stream)
{
    const struct guest_stream *state = stream->state;
    const struct nic_setup setup = setup_of(stream);

    return nic_driver_check(&state->nic, &setup) && state->received <= state->sent &&
           state->given_up <= state->sent - state->received &&
           state->given_up_below <= state->sent;
}

void stream_continue(struct stream *stream, uint64_t now_ns)
{
    stream->last_ns = stream->last_feed_ns = now_ns;
    stream->error[0] = '\0';
}

/* splitmix64. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint32_t frame_bytes_of(uint64_t number)
{
    return FRAME_LEAST + (uint32_t)(mix(number) % (FRAME_MOST - FRAME_LEAST + 1));
}

/* The whole frame. The sender is also the receiver: it comes back, and passes filters,
 * whether or not the other end swaps the addresses. */
static uint32_t make_frame(const struct stream *stream, uint64_t number,
                           uint8_t ret_frame[FRAME_MOST])
{
    const uint32_t bytes = frame_bytes_of(number);
    uint64_t word = number;

    memcpy(ret_frame, stream->state->nic.mac, NIC_DRIVER_MAC_BYTES);
    memcpy(ret_frame + NIC_DRIVER_MAC_BYTES, stream->state->nic.mac,
           NIC_DRIVER_MAC_BYTES);
    ret_frame[12] = 0x88; /* IEEE: local experiments */
    ret_frame[13] = 0xb5;
    for (uint32_t at = ETHERNET_BYTES; at < bytes; at += (uint32_t)sizeof(word)) {
        const uint32_t left = bytes - at;

        memcpy(ret_frame + at, &word, left < sizeof(word) ? left : sizeof(word));
        word = mix(word + at); /* the number stands first */
    }
    return bytes;
}

/* One that came back. Return: FERRY_OK; negative: it has not to be so. */
static int take_number(struct stream *stream, uint64_t number)
{
    struct guest_stream *state = stream->state;
    uint64_t *word = &state->seen[number % STREAM_SEEN / 64];
    const uint64_t bit = 1ull << (number % 64);

    if (number >= state->sent) {
        state->wrong++;
        return fail(stream, FERRY_E_DEVICE, "nic: frame %llu came, %llu were sent",
                    (unsigned long long)number, (unsigned long long)state->sent);
    }
    if (state->sent - number > STREAM_SEEN || (*word & bit) != 0) {
        state->twice++;
        return fail(stream, FERRY_E_DEVICE, "nic: frame %llu of %llu came twice",
                    (unsigned long long)number, (unsigned long long)state->sent);
    }
    *word |= bit;
    state->received++;
    if (number < state->given_up_below) {
        state->late++;
        state->given_up--;
    }
    return FERRY_OK;
}

static int take_frame(struct stream *stream, const struct nic_received *received)
{
    struct guest_stream *state = stream->state;
    uint8_t wanted[FRAME_MOST];
    uint64_t number;

    if (received->header == NULL || received->rest != 0 ||
        received->bytes < FRAME_LEAST || received->data[12] != 0x88 ||
        received->data[13] != 0xb5) {
        state->strangers++;
        return FERRY_OK;
    }
    memcpy(&number, received->data + ETHERNET_BYTES, sizeof(number));
    if (received->bytes != frame_bytes_of(number) ||
        memcmp(received->data, wanted, make_frame(stream, number, wanted)) != 0) {
        state->wrong++;
        return fail(stream, FERRY_E_DEVICE,
                    "nic: a frame of %u bytes that says it is number %llu came changed",
                    received->bytes, (unsigned long long)number);
    }
    return take_number(stream, number);
}

int stream_received(struct stream *stream, uint64_t now_ns)
{
    struct nic_driver *nic = &stream->state->nic;
    struct nic_received received[TAKE_MOST];
    int taken, status = FERRY_OK, all = 0;

    stream->state->interrupts++;
    while (status == FERRY_OK &&
           (taken = nic_driver_receive(&stream->ram, nic, 0, received, TAKE_MOST)) != 0) {
        if (taken < 0) {
            return fail(stream, taken, "nic: completed what it did not have");
        }
        for (int i = 0; i < taken && status == FERRY_OK; i++) {
            status = take_frame(stream, &received[i]);
        }
        nic_driver_give_back(&stream->ram, nic, 0, received, (uint32_t)taken);
        all += taken;
    }
    if (all > 0) {
        stream->last_ns = now_ns;
        wrote(stream);
        if (status == FERRY_OK) {
            status = nic_driver_kick(&stream->pci, &stream->ram, &nic->pair[0].receive);
        }
    }
    return status;
}

int stream_changed(struct stream *stream)
{
    struct nic_driver *nic = &stream->state->nic;
    uint8_t ack = VIRTIO_NET_OK;
    int status;

    stream->state->changes++;
    wrote(stream);
    status = nic_driver_answer(&stream->ram, nic, &ack);
    if (status < 0 || ack != VIRTIO_NET_OK) {
        return fail(stream, FERRY_E_DEVICE, "nic: a command was answered with %u", ack);
    }
    status = nic_driver_changed(&stream->pci, &stream->ram, nic);
    stream->answer_changes = status == FERRY_E_BUSY;
    return status < 0 && status != FERRY_E_BUSY
               ? fail(stream, status, "nic: no announcement: %s",
                      ferry_status_text(status))
               : FERRY_OK;
}

int stream_idle(const struct stream *stream)
{
    const struct guest_stream *state = stream->state;

    return state->sent == state->received + state->given_up;
}

/* Nothing has come for a while. Return: FERRY_OK; negative: an interrupt was lost. */
static int give_up(struct stream *stream, uint64_t now_ns)
{
    struct guest_stream *state = stream->state;
    const uint64_t waited_ms = (now_ns - stream->last_ns) / 1000000u;

    if (waited_ms < STREAM_GIVE_UP_MS || stream_idle(stream)) {
        return FERRY_OK;
    }
    if (virtqueue_ready(&stream->ram, &state->nic.pair[0].receive.ring) > 0) {
        /* They are there; is it the interrupt that is missing? */
        return waited_ms < IRQ_LOST_MS
                   ? FERRY_OK
                   : fail(stream, FERRY_E_DEVICE,
                          "nic: interrupt lost: a frame lies there for %llu ms",
                          (unsigned long long)waited_ms);
    }
    state->given_up = state->sent - state->received;
    state->given_up_below = state->sent;
    wrote(stream);
    return FERRY_OK;
}

/* The numbers that come next have not been seen; what stood in their place was older. */
static void forget_number(struct guest_stream *state, uint64_t number)
{
    state->seen[number % STREAM_SEEN / 64] &= ~(1ull << (number % 64));
}

int stream_feed(struct stream *stream, uint64_t now_ns, int send)
{
    struct guest_stream *state = stream->state;
    struct nic_driver *nic = &state->nic;
    const uint64_t due = (now_ns - stream->last_feed_ns) / (STREAM_PACE_MS * 1000000u);
    uint32_t bytes[FEED_MOST], count = 0;
    int status = give_up(stream, now_ns);

    if (status == FERRY_OK && stream->answer_changes) {
        status = stream_changed(stream);
    }
    if (status < 0 || due == 0 || !send) {
        return status;
    }
    stream->last_feed_ns = now_ns;
    if (stream_idle(stream)) {
        stream->last_ns = now_ns; /* frames are waited for from now on */
    }
    status = nic_driver_reclaim(&stream->ram, nic, 0);
    if (status < 0) {
        return fail(stream, status, "nic: sent what it was not given");
    }
    while (count < FEED_MOST && count < nic_driver_free(nic, 0) &&
           state->sent - state->received - state->given_up < STREAM_IN_FLIGHT) {
        uint8_t *buffer = nic_driver_fill(&stream->ram, nic, 0, count);

        memset(buffer, 0, NIC_DRIVER_HEADER_BYTES);
        bytes[count++] =
            make_frame(stream, state->sent, buffer + NIC_DRIVER_HEADER_BYTES);
        forget_number(state, state->sent++);
    }
    if (count == 0) {
        return FERRY_OK;
    }
    wrote(stream);
    nic_driver_send(&stream->ram, nic, 0, bytes, count);
    status = nic_driver_kick(&stream->pci, &stream->ram, &nic->pair[0].transmit);
    return status < 0 ? fail(stream, status, "nic takes no doorbell: %s",
                             ferry_status_text(status))
                      : FERRY_OK;
}

void stream_figures(const struct stream *stream, struct stream_figures *ret_figures)
{
    const struct guest_stream *state = stream->state;

    *ret_figures = (struct stream_figures){
        .sent = state->sent,
        .received = state->received,
        .lost = state->given_up,
        .late = state->late,
        .wrong = state->wrong,
        .twice = state->twice,
        .strangers = state->strangers,
        .announced = state->nic.announced,
    };
}
