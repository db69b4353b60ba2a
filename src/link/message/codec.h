/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_MESSAGE_CODEC_H
#define FERRY_LINK_MESSAGE_CODEC_H

#include "link/request.h"
#include "os/socket.h"
#include "wire/message.h"

/*
 * The one place that maps struct ferry_request to wire messages and back, for both
 * roles. Every call may come from any thread.
 */

/* Client: what becomes of a reply's data behind the fixed part. */
enum ferry_codec_mode {
    FERRY_CODEC_DROP = 0,
    FERRY_CODEC_COPY, /* to the request's memory */
    FERRY_CODEC_OR    /* or'ed into the request's bitmap */
};
struct ferry_codec_sink {
    uint8_t *dst;
    size_t bytes;
    uint32_t mode; /* enum ferry_codec_mode */
    uint32_t pad;
};

/*
 * Client: the message of a request, without its id. Its data stays the request's
 *   memory.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (no such request, or a wrong member),
 *   FERRY_E_LIMIT (more than limits permit).
 */
int ferry_codec_ask(const struct ferry_request *request,
                    const struct ferry_wire_limits *limits,
                    struct ferry_wire_message *ret_message);

/* Client: the descriptors that go with a request; borrowed from it. */
const int *ferry_codec_fds(const struct ferry_request *request, uint32_t *ret_count);

/*
 * Client: takes a decoded reply into the request.
 * fds: what came with it; a descriptor that the request wants is taken out.
 * sink: its dst and mode are set to where the reply's data goes.
 * Return: FERRY_OK; FERRY_E_LIMIT (a region's capabilities are larger than this side
 *   reads).
 */
int ferry_codec_take(struct ferry_request *request,
                     const struct ferry_wire_message *reply, struct ferry_os_fds *fds,
                     struct ferry_codec_sink *sink);

/*
 * Client: the runs of a LOG_RUNS reply, once all of them are there. Return: FERRY_OK;
 * FERRY_E_PROTOCOL (not ascending, off the grid of pages, or out of the range told).
 */
int ferry_codec_check_runs(const struct ferry_log_runs *runs);

/*
 * Client: the counters of a reply, once all of them are there. Return: FERRY_OK;
 * FERRY_E_PROTOCOL (a name that is none).
 */
int ferry_codec_check_counters(const struct ferry_counters *counters);

/*
 * Client: the entries of a reply to GET_REGION_IO_FDS. Each gets a descriptor of its
 *   own.
 * Return: FERRY_OK; FERRY_E_CAPACITY (more than out->cap), FERRY_E_LIMIT; then there
 *   are none.
 */
int ferry_codec_take_io_fds(struct ferry_region_io_fds *out,
                            const struct ferry_wire_message *reply,
                            const struct ferry_os_fds *fds);

/*
 * Server: the reply to GET_REGION_IO_FDS, in place of ferry_codec_reply().
 * layout: FERRY_WIRE_IO_FD_*. max_fds: descriptors that the client takes at once;
 *   entries beyond these are left out. ret_data: FERRY_CODEC_IO_FDS_BYTES; ret_fds:
 *   max_fds places, filled with the request's descriptors.
 */
#define FERRY_CODEC_IO_FDS_BYTES (FERRY_WIRE_IO_FDS_MAX * 48u)
void ferry_codec_reply_io_fds(const struct ferry_region_io_fds *in, uint32_t layout,
                              uint32_t max_fds, uint8_t *ret_data, int *ret_fds,
                              struct ferry_wire_message *reply);

/* Server: bytes of data that the reply to this request may have. */
size_t ferry_codec_reply_data(const struct ferry_wire_message *asked);

/*
 * Server: the request of a decoded message.
 * data: memory for the reply's data, ferry_codec_reply_data() bytes; range: for
 *   LOG_START, FERRY_LOG_RANGES_MAX entries; fds: those of the message. All borrowed
 *   by the request.
 * Return: FERRY_OK; FERRY_E_MESSAGE, FERRY_E_UNSUPPORTED.
 */
int ferry_codec_request(const struct ferry_wire_message *asked, void *data,
                        struct ferry_range *range, const struct ferry_os_fds *fds,
                        struct ferry_request *ret_request);

/*
 * Server: the reply to a request that ended with FERRY_OK.
 * data: as given to ferry_codec_request(). message: what the request was made of;
 *   becomes the reply.
 */
void ferry_codec_reply(const struct ferry_request *request, const void *data,
                       struct ferry_wire_message *message);

#endif
