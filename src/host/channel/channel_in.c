/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "host/channel/channel_inside.h"
#include "os/socket.h"

/* Taken in per readiness, so that one fast peer does not keep the loop to itself. */
#define INPUT_SLICE_BYTES (4u << 20)
/* From here on a payload is received where it belongs, without a copy. */
#define DIRECT_BYTES (16u << 10)
/* What is taken in behind such a payload: a few small records, not the next payload. */
#define BEHIND_BYTES (4u << 10)

static size_t buffered(const struct ferry_channel *channel)
{
    return channel->input_tail - channel->input_head;
}

void ferry_channel_end_input(struct ferry_channel *channel,
                             const struct ferry_error *error)
{
    if (channel->in_dead) {
        return;
    }
    channel->in_dead = 1;
    ferry_channel_watch(channel);
    if (error && channel->sink) {
        channel->sink->down(channel->user, error);
    }
}

static int take_header(struct ferry_channel *channel, struct ferry_error *reterr)
{
    const uint8_t *bytes = channel->input + channel->input_head;
    int rc;

    channel->record_off = channel->in_bytes - buffered(channel);
    rc = ferry_record_decode(bytes, channel->record_off, &channel->record, reterr);
    if (rc < 0) {
        return rc;
    }
    channel->skip = rc == FERRY_RECORD_SKIP;
    channel->prefix_bytes = 0;
    if (!channel->skip) {
        rc = channel->sink->begin(channel->user, &channel->record, channel->record_off,
                                  &channel->prefix_bytes, reterr);
        if (rc < 0) {
            return rc;
        }
    }
    assert(channel->prefix_bytes <= FERRY_CHANNEL_PREFIX_MAX &&
           channel->prefix_bytes <= channel->record.payload_bytes);
    channel->input_head += FERRY_RECORD_HEADER_BYTES;
    channel->body_bytes = (size_t)channel->record.payload_bytes - channel->prefix_bytes;
    channel->body_got = 0;
    channel->want = FERRY_CHANNEL_PREFIX;
    ferry_record_sum_init(&channel->sum, &channel->record);
    return FERRY_OK;
}

static int take_prefix(struct ferry_channel *channel, struct ferry_error *reterr)
{
    uint8_t *place = NULL;

    memcpy(channel->prefix, channel->input + channel->input_head, channel->prefix_bytes);
    if (!channel->skip) {
        int rc = channel->sink->place(channel->user, &channel->record, channel->prefix,
                                      &place, reterr);

        if (rc < 0) {
            return rc;
        }
    }
    assert(place || channel->body_bytes <= FERRY_RECORD_CONTROL_MAX);
    channel->place = place ? place : channel->scratch;
    channel->input_head += channel->prefix_bytes;
    if (channel->prefix_bytes > 0) {
        ferry_record_sum_update(&channel->sum, channel->prefix, channel->prefix_bytes);
    }
    channel->want = FERRY_CHANNEL_BODY;
    return FERRY_OK;
}

static void took_body(struct ferry_channel *channel, size_t bytes)
{
    if (bytes > 0) {
        ferry_record_sum_update(&channel->sum, channel->place + channel->body_got, bytes);
        channel->body_got += bytes;
    }
}

static int take_body(struct ferry_channel *channel)
{
    size_t wanted = channel->body_bytes - channel->body_got;
    size_t bytes = buffered(channel) < wanted ? buffered(channel) : wanted;

    if (bytes > 0) {
        memcpy(channel->place + channel->body_got, channel->input + channel->input_head,
               bytes);
        channel->input_head += bytes;
        took_body(channel, bytes);
    }
    return channel->body_got == channel->body_bytes;
}

static int finish_record(struct ferry_channel *channel, struct ferry_error *reterr)
{
    const uint8_t *payload =
        channel->place == channel->scratch ? channel->scratch : channel->prefix;
    int rc = ferry_record_check(&channel->record, ferry_record_sum_digest(&channel->sum),
                                channel->record_off, reterr);

    channel->want = FERRY_CHANNEL_HEADER;
    if (rc < 0 || channel->skip) {
        return rc;
    }
    return channel->sink->record(channel->user, &channel->record, channel->record_off,
                                 payload, reterr);
}

/* Takes records out of the input buffer as far as they go.
 * Return: 1 when more input is needed, 0 when the input rests or has ended. */
static int parse(struct ferry_channel *channel)
{
    struct ferry_error error = { .code = FERRY_OK };

    for (;;) {
        int rc = FERRY_OK;

        if (channel->in_dead || channel->resting ||
            channel->worked >= INPUT_SLICE_BYTES || !channel->sink) {
            return 0;
        }
        if (channel->want == FERRY_CHANNEL_HEADER) {
            if (buffered(channel) < FERRY_RECORD_HEADER_BYTES) {
                return 1;
            }
            rc = take_header(channel, &error);
        } else if (channel->want == FERRY_CHANNEL_PREFIX) {
            if (buffered(channel) < channel->prefix_bytes) {
                return 1;
            }
            rc = take_prefix(channel, &error);
            if (rc == FERRY_E_AGAIN) {
                channel->resting = 1;
                return 0;
            }
        } else {
            if (!take_body(channel)) {
                return 1;
            }
            rc = finish_record(channel, &error);
        }
        if (rc < 0) {
            if (error.code == FERRY_OK) {
                ferry_error_set(&error, rc, "stream", NULL, channel->record_off,
                                "record %s is not acceptable",
                                ferry_record_name(channel->record.tag));
            }
            ferry_channel_end_input(channel, &error);
            return 0;
        }
    }
}

/* Return: bytes that came, or a negative code. */
static int receive(struct ferry_channel *channel)
{
    size_t wanted = channel->body_bytes - channel->body_got;
    int direct = channel->want == FERRY_CHANNEL_BODY && wanted >= DIRECT_BYTES;
    struct iovec iov[2];
    size_t count = 0, behind;
    int rc;

    memmove(channel->input, channel->input + channel->input_head, buffered(channel));
    channel->input_tail -= channel->input_head;
    channel->input_head = 0;
    if (direct) {
        iov[count++] = (struct iovec){ channel->place + channel->body_got, wanted };
    }
    iov[count++] =
        (struct iovec){ channel->input + channel->input_tail,
                        direct ? BEHIND_BYTES
                               : FERRY_CHANNEL_INPUT_BYTES - channel->input_tail };
    rc = ferry_os_receive(channel->fd, iov, count, NULL, FERRY_OS_NOWAIT);
    if (rc <= 0) {
        return rc;
    }
    channel->in_bytes += (uint64_t)rc;
    behind = (size_t)rc;
    if (direct) {
        size_t body = behind < wanted ? behind : wanted;

        took_body(channel, body);
        behind -= body;
    }
    channel->input_tail += behind;
    return rc;
}

static void closed(struct ferry_channel *channel, int status)
{
    struct ferry_error error = { .code = FERRY_OK };

    if (channel->want == FERRY_CHANNEL_HEADER && buffered(channel) == 0) {
        ferry_error_set(&error, status, "host", NULL, channel->in_bytes,
                        "the migration peer has closed the connection");
    } else {
        ferry_error_set(&error, status, "host", NULL, channel->in_bytes,
                        "the connection ended inside record %s at stream offset %llu",
                        channel->want == FERRY_CHANNEL_HEADER
                            ? "header"
                            : ferry_record_name(channel->record.tag),
                        (unsigned long long)channel->in_bytes);
    }
    ferry_channel_end_input(channel, &error);
}

void ferry_channel_input(struct ferry_channel *channel)
{
    size_t slice = 0;

    channel->worked = 0;
    while (parse(channel) && slice < INPUT_SLICE_BYTES) {
        int rc = receive(channel);

        if (rc == FERRY_E_AGAIN) {
            break;
        }
        if (rc < 0) {
            closed(channel, rc);
            return;
        }
        slice += (size_t)rc;
    }
}

void ferry_channel_worked(struct ferry_channel *channel, uint64_t bytes)
{
    channel->worked += bytes;
    if (channel->worked >= INPUT_SLICE_BYTES) {
        /* What is buffered does not make the descriptor readable. */
        ferry_loop_idle_start(channel->loop, &channel->flusher);
    }
}

void ferry_channel_resume(struct ferry_channel *channel)
{
    if (channel->resting) {
        channel->resting = 0;
        /* What is buffered makes the descriptor not readable: go on from the loop. */
        ferry_loop_idle_start(channel->loop, &channel->flusher);
        ferry_channel_watch(channel);
    }
}

uint64_t ferry_channel_received(const struct ferry_channel *channel)
{
    return channel->in_bytes;
}

uint64_t ferry_channel_sent(const struct ferry_channel *channel)
{
    return channel->out_bytes;
}
