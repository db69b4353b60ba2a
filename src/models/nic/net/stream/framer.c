/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/net/stream/framer.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_BYTES_MAX (NIC_FRAMER_LENGTH_BYTES + NIC_FRAME_MAX)

static_assert(NIC_FRAMER_PARTS_MAX > NIC_FRAME_PARTS_MAX, "a frame fits into one write");

/* Frames that go out in one write: their parts, each behind its length. */
struct batch {
    struct iovec part[NIC_FRAMER_PARTS_MAX];
    uint32_t length[NIC_BATCH]; /* as it goes over the wire */
    uint32_t source[NIC_BATCH]; /* which of the caller's frames it is */
    uint32_t parts, frames;
    size_t bytes;
};

int nic_framer_init(struct nic_framer *framer)
{
    memset(framer, 0, sizeof(*framer));
    framer->in = malloc(NIC_FRAMER_BUFFER_BYTES);
    framer->out = malloc(FRAME_BYTES_MAX);
    if (framer->in == NULL || framer->out == NULL) {
        nic_framer_fini(framer);
        return FERRY_E_MEMORY;
    }
    return FERRY_OK;
}

void nic_framer_fini(struct nic_framer *framer)
{
    free(framer->in);
    free(framer->out);
    framer->in = NULL;
    framer->out = NULL;
}

void nic_framer_reset(struct nic_framer *framer)
{
    framer->in_start = 0;
    framer->in_end = 0;
    framer->out_start = 0;
    framer->out_end = 0;
}

/* MSG_NOSIGNAL: a peer that has gone is no SIGPIPE. */
static int write_some(int fd, struct iovec *part, uint32_t parts, size_t *ret_bytes)
{
    const struct msghdr message = { .msg_iov = part, .msg_iovlen = parts };
    ssize_t sent;

    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS
                   ? FERRY_E_AGAIN
                   : FERRY_E_CLOSED;
    }
    *ret_bytes = (size_t)sent;
    return FERRY_OK;
}

int nic_framer_flush(struct nic_framer *framer, int fd)
{
    while (framer->out_start < framer->out_end) {
        struct iovec rest = { .iov_base = framer->out + framer->out_start,
                              .iov_len = framer->out_end - framer->out_start };
        size_t bytes = 0;
        const int status = write_some(fd, &rest, 1, &bytes);

        if (status < 0) {
            return status;
        }
        framer->out_start += (uint32_t)bytes;
    }
    framer->out_start = 0;
    framer->out_end = 0;
    return FERRY_OK;
}

/* Puts a frame behind those of a batch. Return: 1; 0: it is full. */
static int add_frame(struct batch *batch, const struct nic_frame *frame, uint32_t source)
{
    size_t left = frame->bytes;

    if (batch->frames == NIC_BATCH ||
        batch->parts + 1 + frame->part_count > NIC_FRAMER_PARTS_MAX) {
        return 0;
    }
    batch->length[batch->frames] = htonl(frame->bytes);
    batch->part[batch->parts++] =
        (struct iovec){ .iov_base = &batch->length[batch->frames],
                        .iov_len = NIC_FRAMER_LENGTH_BYTES };
    batch->source[batch->frames++] = source;
    for (uint32_t i = 0; i < frame->part_count && left > 0; i++) {
        struct iovec part = frame->part[i];

        part.iov_len = part.iov_len < left ? part.iov_len : left;
        left -= part.iov_len;
        batch->part[batch->parts++] = part;
    }
    batch->bytes += NIC_FRAMER_LENGTH_BYTES + frame->bytes;
    return 1;
}

/* Keeps what the socket did not take of a frame that it has begun to take. */
static void keep_rest(struct nic_framer *framer, const struct nic_frame *frame,
                      size_t taken)
{
    const uint32_t length = htonl(frame->bytes);

    memcpy(framer->out, &length, sizeof(length));
    nic_frame_gather(frame, framer->out + NIC_FRAMER_LENGTH_BYTES);
    framer->out_start = (uint32_t)taken;
    framer->out_end = NIC_FRAMER_LENGTH_BYTES + frame->bytes;
}

/*
 * sent bytes of the batch are gone: which of the caller's frames comes next? What was
 * begun is kept, and counts as taken.
 */
static uint32_t next_frame(struct nic_framer *framer, const struct batch *batch,
                           const struct nic_frame *frame, size_t sent, uint32_t behind)
{
    for (uint32_t i = 0; i < batch->frames; i++) {
        const struct nic_frame *this = &frame[batch->source[i]];
        const size_t bytes = NIC_FRAMER_LENGTH_BYTES + this->bytes;

        if (sent == 0) {
            return batch->source[i];
        }
        if (sent < bytes) {
            keep_rest(framer, this, sent);
            return batch->source[i] + 1;
        }
        sent -= bytes;
    }
    return behind;
}

/*
 * Frames from `first` on, as many as go into one write. Dropped ones are passed over;
 * they are counted once, when what stands in front of them is gone.
 */
static uint32_t fill_batch(struct batch *batch, const struct nic_net *net,
                           const struct nic_frame *frame, uint32_t first, uint32_t count)
{
    uint32_t i;

    batch->parts = 0;
    batch->frames = 0;
    batch->bytes = 0;
    for (i = first; i < count; i++) {
        if (nic_frame_can_send(net, &frame[i]) && !add_frame(batch, &frame[i], i)) {
            break;
        }
    }
    return i;
}

int nic_framer_send(struct nic_framer *framer, int fd, struct nic_net *net,
                    const struct nic_frame *frame, uint32_t count, uint32_t *ret_taken)
{
    uint32_t done = 0;
    int status = nic_framer_flush(framer, fd);

    while (status == FERRY_OK && done < count) {
        struct batch batch;
        const uint32_t behind = fill_batch(&batch, net, frame, done, count);
        uint32_t next = behind;
        size_t sent = 0;

        if (batch.frames > 0) {
            status = write_some(fd, batch.part, batch.parts, &sent);
            next = next_frame(framer, &batch, frame, sent, behind);
        }
        for (; done < next; done++) {
            net->dropped += nic_frame_can_send(net, &frame[done]) ? 0 : 1;
        }
        if (status == FERRY_OK && sent < batch.bytes) {
            status = nic_framer_flush(framer, fd);
        }
    }
    *ret_taken = done;
    return status;
}

/*
 * Reads on behind what is there. *ret_dry: 1: there was less than room for; what has come
 * since then makes the socket readable again, so nobody has to ask now.
 * Return: FERRY_OK; FERRY_E_AGAIN, FERRY_E_CLOSED.
 */
static int read_some(struct nic_framer *framer, int fd, uint32_t *ret_dry)
{
    const uint32_t left = framer->in_end - framer->in_start;
    ssize_t bytes;

    if (framer->in_start > 0) {
        memmove(framer->in, framer->in + framer->in_start, left);
        framer->in_start = 0;
        framer->in_end = left;
    }
    do {
        bytes = recv(fd, framer->in + left, NIC_FRAMER_BUFFER_BYTES - left, MSG_DONTWAIT);
    } while (bytes < 0 && errno == EINTR);
    if (bytes < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? FERRY_E_AGAIN : FERRY_E_CLOSED;
    }
    framer->in_end += (uint32_t)bytes;
    *ret_dry = framer->in_end < NIC_FRAMER_BUFFER_BYTES;
    return bytes == 0 ? FERRY_E_CLOSED : FERRY_OK;
}

/*
 * Is a whole frame there? Return: 1 with its length; 0: not yet; FERRY_E_PROTOCOL.
 */
static int whole_frame(const struct nic_framer *framer, uint32_t *ret_bytes)
{
    const uint32_t left = framer->in_end - framer->in_start;
    uint32_t length;

    if (left < NIC_FRAMER_LENGTH_BYTES) {
        return 0;
    }
    memcpy(&length, framer->in + framer->in_start, sizeof(length));
    length = ntohl(length);
    if (length == 0 || length > NIC_FRAME_MAX) {
        return FERRY_E_PROTOCOL;
    }
    *ret_bytes = length;
    return left - NIC_FRAMER_LENGTH_BYTES >= length;
}

int nic_framer_receive(struct nic_framer *framer, int fd, struct nic_net *net,
                       struct nic_frame *frame, uint32_t count, uint32_t *ret_came)
{
    uint32_t reads = 0;
    uint32_t came = 0;
    uint32_t bytes = 0;
    uint32_t dry = 0;
    int status = FERRY_OK;
    int whole = whole_frame(framer, &bytes);

    while (whole >= 0 && came < count) {
        if (whole > 0) {
            const uint8_t *data = framer->in + framer->in_start + NIC_FRAMER_LENGTH_BYTES;

            if (bytes >= NIC_FRAME_MIN && nic_frame_scatter(&frame[came], data, bytes)) {
                came++;
            } else {
                net->dropped++;
            }
            framer->in_start += NIC_FRAMER_LENGTH_BYTES + bytes;
        } else {
            status = dry == 0 && reads++ < NIC_FRAMER_READS_MAX
                         ? read_some(framer, fd, &dry)
                         : FERRY_E_AGAIN;
            if (status < 0) {
                break;
            }
        }
        whole = whole_frame(framer, &bytes);
    }
    *ret_came = came;
    net->pending = whole > 0;
    if (whole < 0) {
        return whole;
    }
    return status == FERRY_E_AGAIN ? FERRY_OK : status;
}
