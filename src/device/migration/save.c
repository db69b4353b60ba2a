/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/migration/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "device/device_private.h"

/* What a frame may be cut into before a read ends in front of it. */
#define FRAME_PIECES 8u
#define BUFFER_BYTES (DEVICE_STREAM_FRAME_BYTES + DEVICE_STREAM_DATA_MAX)

_Static_assert(DEVICE_STREAM_LATCH_BYTES + DEVICE_LATCH_MAX * DEVICE_STREAM_ENTRY_BYTES +
                       DEVICE_PENDING_MAX * DEVICE_STREAM_VECTOR_BYTES <=
                   DEVICE_STREAM_DATA_MAX,
               "a full latch must fit into the frame buffer");

static int stopped(const struct ferry_device *device)
{
    return device->mig.state == FERRY_STATE_STOP_COPY;
}

static void put_frame(struct ferry_writer *writer, enum device_frame type, size_t length)
{
    ferry_writer_u32(writer, (uint32_t)type);
    ferry_writer_u32(writer, (uint32_t)length);
}

void device_save_begin(struct ferry_device *device)
{
    device_save_end(device);
}

void device_save_end(struct ferry_device *device)
{
    free(device->save.buffer);
    memset(&device->save, 0, sizeof(device->save));
}

/* Bytes that wait in the buffer. */
static uint64_t waiting_bytes(const struct ferry_device *device)
{
    return device->save.end - device->save.pos;
}

/* Bytes in the frame of the latch. */
static size_t latch_bytes(const struct ferry_device *device)
{
    return DEVICE_STREAM_LATCH_BYTES +
           (size_t)device->latch.count * DEVICE_STREAM_ENTRY_BYTES +
           (size_t)device_irqs_pending_count(device) * DEVICE_STREAM_VECTOR_BYTES;
}

/* So many bytes of the author's in frames. */
static uint64_t framed_bytes(uint64_t data)
{
    return data == 0
               ? 0
               : data + (data / DEVICE_STREAM_DATA_MAX + 1) * DEVICE_STREAM_FRAME_BYTES;
}

void device_save_precopy(struct ferry_device *device, struct ferry_device_precopy *info)
{
    struct device_save *save = &device->save;

    info->initial_bytes = framed_bytes(info->initial_bytes) + waiting_bytes(device) +
                          (save->header_sent ? 0 : DEVICE_STREAM_HEADER_BYTES);
    info->dirty_bytes = framed_bytes(info->dirty_bytes);
    /* What waits may have come after the initial bytes. */
    if (save->has_told && info->initial_bytes > save->initial_told) {
        info->dirty_bytes += info->initial_bytes - save->initial_told;
        info->initial_bytes = save->initial_told;
    }
    save->has_told = 1;
    save->initial_told = info->initial_bytes;
}

uint64_t device_save_size(const struct ferry_device *device, uint64_t data)
{
    const struct device_save *save = &device->save;
    const uint64_t frames = data / DEVICE_STREAM_DATA_MAX + 1;
    uint64_t size = data + frames * DEVICE_STREAM_FRAME_BYTES + waiting_bytes(device);

    size += save->header_sent ? 0 : DEVICE_STREAM_HEADER_BYTES;
    if (!save->latch_sent) {
        size += DEVICE_STREAM_FRAME_BYTES + latch_bytes(device);
    }
    size += save->end_sent ? 0 : DEVICE_STREAM_FRAME_BYTES + DEVICE_STREAM_END_BYTES;
    return size;
}

static void write_header(struct ferry_device *device, struct ferry_writer *writer)
{
    ferry_writer_u32(writer, DEVICE_STREAM_MAGIC);
    ferry_writer_u32(writer, DEVICE_STREAM_VERSION);
    ferry_writer_u32(writer, device->identity.state_version);
    ferry_writer_u32(writer, 0);
    ferry_writer_bytes(writer, device->identity.model, FERRY_MODEL_BYTES);
}

static void write_latch(struct ferry_device *device, struct ferry_writer *writer)
{
    const struct device_latch *latch = &device->latch;
    uint32_t number = device_irqs_next_pending(device, 0);

    put_frame(writer, DEVICE_FRAME_LATCH, latch_bytes(device));
    ferry_writer_u32(writer, latch->count);
    ferry_writer_u32(writer, device_irqs_pending_count(device));
    for (uint32_t i = 0; i < latch->count; i++) {
        const struct device_latch_entry *entry = &latch->entry[i];

        ferry_writer_u64(writer, entry->off);
        ferry_writer_bytes(writer, entry->data, DEVICE_LATCH_BYTES);
        ferry_writer_u8(writer, entry->region);
        ferry_writer_u8(writer, entry->count);
        ferry_writer_zero(writer, 6);
    }
    for (; number != UINT32_MAX; number = device_irqs_next_pending(device, number + 1)) {
        ferry_writer_u32(writer, number);
    }
}

/* After an author's mistake nobody knows which bytes are lost. Return: the status. */
static int spoil(struct device_save *save)
{
    save->status = FERRY_E_DEVICE;
    return save->status;
}

/*
 * A data frame's content from the author: as much as there is, up to the longest frame,
 * however the reader cuts it.
 * Return: bytes, 0 (end), FERRY_E_DRY or another code when there was nothing at all.
 */
static int64_t fill(struct ferry_device *device, uint8_t *to)
{
    size_t filled = 0;
    int got = 1;

    while (filled < DEVICE_STREAM_DATA_MAX && got > 0) {
        const size_t room = DEVICE_STREAM_DATA_MAX - filled;

        got = device->ops.save(device->state, device, to + filled, room);
        if (got > 0 && (size_t)got > room) {
            return spoil(&device->save); /* the author wrote past its buffer */
        }
        filled += got > 0 ? (size_t)got : 0;
    }
    if (filled > 0) {
        return (int64_t)filled;
    }
    if (got == 0 && !stopped(device)) {
        return FERRY_E_DRY; /* pre-copy has no end */
    }
    if (got == FERRY_E_DRY && stopped(device)) {
        /* uAPI: in STOP_COPY there is always more, or the end. */
        return FERRY_E_DEVICE;
    }
    return got;
}

/* Header or latch, when it is their turn, into the buffer. Return: 1 when one was. */
static int next_section(struct ferry_device *device)
{
    struct device_save *save = &device->save;
    struct ferry_writer writer;

    ferry_writer_init(&writer, save->buffer, BUFFER_BYTES);
    if (!save->header_sent) {
        write_header(device, &writer);
        save->header_sent = 1;
    } else if (stopped(device) && !save->latch_sent) {
        write_latch(device, &writer);
        save->latch_sent = 1;
    }
    save->pos = 0;
    save->end = writer.pos;
    return writer.pos > 0;
}

static void put_end(struct device_save *save)
{
    struct ferry_writer writer;

    ferry_writer_init(&writer, save->buffer, BUFFER_BYTES);
    put_frame(&writer, DEVICE_FRAME_END, DEVICE_STREAM_END_BYTES);
    ferry_writer_u64(&writer, save->total);
    save->end_sent = 1;
    save->end = writer.pos;
}

/*
 * Produces the next frame, straight at `to` when `room` holds the longest one, else in
 * the buffer. Return: bytes put at `to`; 0: into the buffer, or the end; or a negative
 * code.
 */
static int64_t next_frame(struct ferry_device *device, uint8_t *to, uint64_t room)
{
    struct device_save *save = &device->save;
    struct ferry_writer writer;
    const int direct = room >= BUFFER_BYTES;
    int64_t bytes;

    if (next_section(device)) {
        return 0;
    }
    ferry_writer_init(&writer, direct ? to : save->buffer, BUFFER_BYTES);
    bytes = fill(device, writer.data + DEVICE_STREAM_FRAME_BYTES);
    if (bytes < 0) {
        return bytes;
    }
    if (bytes == 0) {
        put_end(save);
        return 0;
    }
    put_frame(&writer, DEVICE_FRAME_DATA, (size_t)bytes);
    save->total += (uint64_t)bytes;
    bytes += (int64_t)DEVICE_STREAM_FRAME_BYTES;
    if (direct) {
        return bytes;
    }
    save->end = (size_t)bytes;
    return 0;
}

/* Return: FERRY_OK, FERRY_E_MEMORY, what has spoilt the session. */
static int prepare(struct device_save *save)
{
    if (save->status < 0) {
        return save->status;
    }
    if (save->buffer == NULL) {
        save->buffer = malloc(BUFFER_BYTES);
    }
    return save->buffer != NULL ? FERRY_OK : FERRY_E_MEMORY;
}

int device_save_read(struct ferry_device *device, void *ret_data, uint64_t cap,
                     uint64_t *ret_got)
{
    struct device_save *save = &device->save;
    uint8_t *to = ret_data;
    uint64_t got = 0;
    int status;

    status = prepare(save);
    if (status != FERRY_OK) {
        return status;
    }
    while (got < cap) {
        const uint64_t waiting = waiting_bytes(device);
        int64_t made = 0;

        if (waiting > 0) {
            const uint64_t len = waiting < cap - got ? waiting : cap - got;

            memcpy(to + got, save->buffer + save->pos, (size_t)len);
            save->pos += (size_t)len;
            got += len;
            continue;
        }
        if (save->end_sent || (got >= BUFFER_BYTES && cap - got < BUFFER_BYTES)) {
            break; /* a frame that does not fit would be copied twice */
        }
        made = next_frame(device, to + got, cap - got);
        if (made < 0 && (got == 0 || save->status < 0)) {
            return (int)made;
        }
        if (made < 0) {
            break; /* what there is goes out; the next read meets it again */
        }
        got += (uint64_t)made;
    }
    *ret_got = got;
    return FERRY_OK;
}

/* Names the next bytes. Those that follow each other in memory are one piece. */
static void name(struct ferry_data_io *io, const uint8_t *data, uint64_t size)
{
    struct ferry_data_piece *last = &io->piece[io->piece_count];

    if (io->piece_count > 0 && (const uint8_t *)last[-1].data + last[-1].size == data) {
        last[-1].size += size;
    } else {
        assert(io->piece_count < FERRY_DATA_PIECES_MAX); /* see lend_frame */
        *last = (struct ferry_data_piece){ .data = data, .size = size };
        io->piece_count++;
    }
    io->got += size;
}

/*
 * A data frame of what the author lends; what is not lent goes to `to`, which holds the
 * longest frame. Its segments are those of fill().
 * Return: bytes used of `to`, 0 (end), or another code when there was nothing at all.
 */
static int64_t lend_frame(struct ferry_device *device, struct ferry_data_io *io,
                          uint8_t *to)
{
    struct ferry_writer writer;
    size_t filled = 0, used = DEVICE_STREAM_FRAME_BYTES;
    int got = 1;

    while (filled < DEVICE_STREAM_DATA_MAX && got > 0) {
        const size_t room = DEVICE_STREAM_DATA_MAX - filled;
        const void *from = NULL;

        got = device->ops.save_lend(device->state, device, to + used, room, &from);
        if (got > 0 && ((size_t)got > room || from == NULL)) {
            return spoil(&device->save);
        }
        if (got <= 0) {
            break;
        }
        if (filled == 0) {
            name(io, to, DEVICE_STREAM_FRAME_BYTES);
        }
        /* The last piece is kept for the rest of the frame, which is then in one. */
        if (from != to + used && io->piece_count >= FERRY_DATA_PIECES_MAX - 1) {
            memcpy(to + used, from, (size_t)got);
            from = to + used;
        }
        used += from == to + used ? (size_t)got : 0;
        name(io, from, (uint64_t)got);
        filled += (size_t)got;
    }
    if (filled == 0) {
        /* uAPI: in STOP_COPY there is always more, or the end. */
        return got == FERRY_E_DRY ? FERRY_E_DEVICE : got;
    }
    ferry_writer_init(&writer, to, BUFFER_BYTES);
    put_frame(&writer, DEVICE_FRAME_DATA, filled);
    device->save.total += filled;
    return (int64_t)used;
}

int device_save_lend(struct ferry_device *device, struct ferry_data_io *io)
{
    struct device_save *save = &device->save;
    uint8_t *to = io->data;
    int status;

    if (device->ops.save_lend == NULL || !stopped(device) || io->size < BUFFER_BYTES) {
        return FERRY_E_UNSUPPORTED;
    }
    status = prepare(save);
    if (status != FERRY_OK) {
        return status;
    }
    io->got = 0;
    while (io->size - io->got >= BUFFER_BYTES &&
           io->piece_count + FRAME_PIECES <= FERRY_DATA_PIECES_MAX) {
        const uint64_t waiting = waiting_bytes(device);
        int64_t made;

        if (waiting > 0) {
            memcpy(to, save->buffer + save->pos, (size_t)waiting);
            name(io, to, waiting);
            save->pos = save->end;
            to += waiting;
            continue;
        }
        if (save->end_sent) {
            break;
        }
        if (next_section(device)) {
            continue;
        }
        made = lend_frame(device, io, to);
        if (made < 0) {
            /* What there is goes out; the next read meets it again. */
            return io->got == 0 || save->status < 0 ? (int)made : FERRY_OK;
        }
        if (made == 0) {
            put_end(save);
        }
        to += made;
    }
    return FERRY_OK;
}
