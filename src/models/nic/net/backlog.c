/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/net/backlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "models/le.h"
#include "models/nic/net/net_private.h"

#define IMAGE_HEAD 8u   /* frames, 0 */
#define IMAGE_FRAME 20u /* queue, bytes, header; then the bytes */

static_assert(sizeof(struct virtio_net_hdr_v1) == 12, "the header stands in an image");

struct waiting {
    struct waiting *next;
    struct iovec part;
    struct virtio_net_hdr_v1 header;
    uint32_t queue;
    uint8_t bytes[];
};

struct line {
    struct waiting *first;
    struct waiting **end; /* where the next one is hung in */
    uint32_t count;
    uint32_t pad;
    uint64_t lost, carried;
};

/* What a backlog holds; an image is read into one of its own first. */
struct held {
    uint32_t frames;
    uint32_t bytes;
};

struct nic_backlog {
    uint32_t frames_max;
    uint32_t sealed;
    struct held held;
    struct line line[NIC_BACKLOG_QUEUES_MAX];
};

static void empty_line(struct line *line)
{
    while (line->first != NULL) {
        struct waiting *gone = line->first;

        line->first = gone->next;
        free(gone);
    }
    line->end = &line->first;
    line->count = 0;
}

static void hang_in(struct line *line, struct waiting *frame)
{
    frame->next = NULL;
    *line->end = frame;
    line->end = &frame->next;
    line->count++;
}

static struct waiting *make_frame(uint32_t queue, uint32_t bytes)
{
    struct waiting *frame = malloc(sizeof(*frame) + bytes);

    if (frame != NULL) {
        frame->queue = queue;
        frame->part = (struct iovec){ .iov_base = frame->bytes, .iov_len = bytes };
    }
    return frame;
}

int nic_backlog_create(uint32_t frames, struct nic_backlog **ret_backlog)
{
    struct nic_backlog *backlog = calloc(1, sizeof(*backlog));

    assert(frames <= NIC_BACKLOG_FRAMES_MAX);
    if (backlog == NULL) {
        return FERRY_E_MEMORY;
    }
    backlog->frames_max = frames;
    for (uint32_t i = 0; i < NIC_BACKLOG_QUEUES_MAX; i++) {
        backlog->line[i].end = &backlog->line[i].first;
    }
    *ret_backlog = backlog;
    return FERRY_OK;
}

void nic_backlog_destroy(struct nic_backlog *backlog)
{
    if (backlog != NULL) {
        nic_backlog_clear(backlog);
        free(backlog);
    }
}

void nic_backlog_clear(struct nic_backlog *backlog)
{
    for (uint32_t i = 0; i < NIC_BACKLOG_QUEUES_MAX; i++) {
        empty_line(&backlog->line[i]);
    }
    backlog->held = (struct held){ 0 };
    backlog->sealed = 0;
}

void nic_backlog_reset(struct nic_backlog *backlog)
{
    nic_backlog_clear(backlog);
    for (uint32_t i = 0; i < NIC_BACKLOG_QUEUES_MAX; i++) {
        backlog->line[i].lost = 0;
        backlog->line[i].carried = 0;
    }
}

static int has_room(const struct nic_backlog *backlog, uint32_t bytes)
{
    return backlog->sealed == 0 && backlog->held.frames < backlog->frames_max &&
           bytes <= NIC_BACKLOG_BYTES_MAX - backlog->held.bytes;
}

int nic_backlog_put(struct nic_backlog *backlog, uint32_t queue,
                    const struct nic_frame *frame)
{
    struct waiting *copy = NULL;
    struct line *line = NULL;

    assert(queue < NIC_BACKLOG_QUEUES_MAX);
    line = &backlog->line[queue];
    if (nic_frame_length_ok(frame) && has_room(backlog, frame->bytes)) {
        copy = make_frame(queue, frame->bytes);
    }
    if (copy == NULL) {
        line->lost++;
        return FERRY_E_LIMIT;
    }
    copy->header = frame->header;
    nic_frame_gather(frame, copy->bytes);
    hang_in(line, copy);
    backlog->held.frames++;
    backlog->held.bytes += frame->bytes;
    return FERRY_OK;
}

int nic_backlog_peek(struct nic_backlog *backlog, uint32_t queue,
                     struct nic_frame *ret_frame)
{
    struct waiting *first = NULL;

    assert(queue < NIC_BACKLOG_QUEUES_MAX);
    first = backlog->line[queue].first;
    if (first == NULL) {
        return 0;
    }
    *ret_frame = (struct nic_frame){ .header = first->header,
                                     .part = &first->part,
                                     .part_count = 1,
                                     .bytes = (uint32_t)first->part.iov_len };
    return 1;
}

void nic_backlog_drop(struct nic_backlog *backlog, uint32_t queue)
{
    struct line *line = NULL;
    struct waiting *gone = NULL;

    assert(queue < NIC_BACKLOG_QUEUES_MAX);
    line = &backlog->line[queue];
    gone = line->first;
    assert(gone != NULL);
    line->first = gone->next;
    if (gone->next == NULL) {
        line->end = &line->first;
    }
    line->count--;
    backlog->held.frames--;
    backlog->held.bytes -= (uint32_t)gone->part.iov_len;
    free(gone);
}

void nic_backlog_join(struct nic_backlog *backlog, uint32_t from, uint32_t to)
{
    struct line *line = NULL;

    assert(from < NIC_BACKLOG_QUEUES_MAX && to < NIC_BACKLOG_QUEUES_MAX && from != to);
    line = &backlog->line[from];
    while (line->first != NULL) {
        struct waiting *frame = line->first;

        line->first = frame->next;
        frame->queue = to;
        hang_in(&backlog->line[to], frame);
    }
    line->end = &line->first;
    line->count = 0;
}

void nic_backlog_seal(struct nic_backlog *backlog, uint32_t sealed)
{
    backlog->sealed = sealed;
}

uint32_t nic_backlog_frames(const struct nic_backlog *backlog)
{
    return backlog->held.frames;
}

uint32_t nic_backlog_waiting(const struct nic_backlog *backlog, uint32_t queue)
{
    return backlog->line[queue].count;
}

uint64_t nic_backlog_lost(const struct nic_backlog *backlog, uint32_t queue)
{
    return backlog->line[queue].lost;
}

uint64_t nic_backlog_carried(const struct nic_backlog *backlog, uint32_t queue)
{
    return backlog->line[queue].carried;
}

uint64_t nic_backlog_image_bytes(const struct nic_backlog *backlog)
{
    return IMAGE_HEAD + (uint64_t)backlog->held.frames * IMAGE_FRAME +
           backlog->held.bytes;
}

void nic_backlog_image_write(const struct nic_backlog *backlog, uint8_t *ret_image)
{
    le_put32(ret_image, backlog->held.frames);
    le_put32(ret_image + 4, 0);
    ret_image += IMAGE_HEAD;
    for (uint32_t i = 0; i < NIC_BACKLOG_QUEUES_MAX; i++) {
        for (const struct waiting *at = backlog->line[i].first; at != NULL;
             at = at->next) {
            le_put32(ret_image, i);
            le_put32(ret_image + 4, (uint32_t)at->part.iov_len);
            memcpy(ret_image + 8, &at->header, sizeof(at->header));
            memcpy(ret_image + IMAGE_FRAME, at->bytes, at->part.iov_len);
            ret_image += IMAGE_FRAME + at->part.iov_len;
        }
    }
}

/* The next frame of an image; *image and *bytes go on behind it. */
static int read_frame(const uint8_t **image, uint64_t *bytes, uint32_t queues,
                      struct waiting **ret_frame)
{
    static const struct nic_offloads all = { 1, 1, 1, 1 };
    struct virtio_net_hdr_v1 header;
    struct waiting *frame = NULL;
    uint32_t queue;
    uint32_t size;

    if (*bytes < IMAGE_FRAME) {
        return FERRY_E_SHORT;
    }
    queue = le_get32(*image);
    size = le_get32(*image + 4);
    memcpy(&header, *image + 8, sizeof(header));
    if (queue >= queues || queue >= NIC_BACKLOG_QUEUES_MAX || size < NIC_FRAME_MIN ||
        size > NIC_FRAME_MAX || !nic_frame_header_ok(&header, size, &all)) {
        return FERRY_E_CORRUPT;
    }
    if (*bytes - IMAGE_FRAME < size) {
        return FERRY_E_SHORT;
    }
    frame = make_frame(queue, size);
    if (frame == NULL) {
        return FERRY_E_MEMORY;
    }
    frame->header = header;
    memcpy(frame->bytes, *image + IMAGE_FRAME, size);
    *image += IMAGE_FRAME + size;
    *bytes -= IMAGE_FRAME + size;
    *ret_frame = frame;
    return FERRY_OK;
}

/* All frames of an image, in a list. */
static int read_frames(const struct nic_backlog *backlog, const uint8_t *image,
                       uint64_t bytes, uint32_t queues, struct line *all,
                       struct held *ret_held)
{
    struct held held = { 0 };
    uint32_t count;

    if (bytes < IMAGE_HEAD) {
        return FERRY_E_SHORT;
    }
    count = le_get32(image);
    if (le_get32(image + 4) != 0) {
        return FERRY_E_CORRUPT;
    }
    if (count > backlog->frames_max) {
        return FERRY_E_LIMIT;
    }
    image += IMAGE_HEAD;
    bytes -= IMAGE_HEAD;
    for (; held.frames < count; held.frames++) {
        struct waiting *frame = NULL;
        const int status = read_frame(&image, &bytes, queues, &frame);

        if (status < 0) {
            return status;
        }
        hang_in(all, frame);
        if (frame->part.iov_len > NIC_BACKLOG_BYTES_MAX - held.bytes) {
            return FERRY_E_LIMIT;
        }
        held.bytes += (uint32_t)frame->part.iov_len;
    }
    *ret_held = held;
    return bytes == 0 ? FERRY_OK : FERRY_E_LONG;
}

int nic_backlog_image_read(struct nic_backlog *backlog, const uint8_t *image,
                           uint64_t bytes, uint32_t queues)
{
    struct line all = { .end = &all.first };
    struct held held;
    const int status = read_frames(backlog, image, bytes, queues, &all, &held);

    if (status < 0) {
        empty_line(&all);
        return status;
    }
    nic_backlog_clear(backlog);
    backlog->held = held;
    while (all.first != NULL) {
        struct waiting *frame = all.first;
        struct line *line = &backlog->line[frame->queue];

        all.first = frame->next;
        hang_in(line, frame);
        line->carried++;
    }
    return FERRY_OK;
}
