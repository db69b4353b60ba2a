/* SPDX-License-Identifier: BSD-3-Clause */
/* DMA_MAP, DMA_UNMAP, DMA_READ and DMA_WRITE. */
#include "base/range.h"
#include "wire/inside.h"

#define MAP_BYTES 32u
#define MAP_AT_FLAGS FERRY_WIRE_AT(4u)
#define MAP_AT_OFFSET FERRY_WIRE_AT(8u)
#define MAP_AT_SIZE FERRY_WIRE_AT(24u)
#define MAP_FLAGS (FERRY_WIRE_MAP_READ | FERRY_WIRE_MAP_WRITE)

#define UNMAP_BYTES 24u
#define UNMAP_BITMAP_BYTES 40u
#define UNMAP_AT_ARGSZ FERRY_WIRE_AT(0u)
#define UNMAP_AT_FLAGS FERRY_WIRE_AT(4u)
#define UNMAP_AT_SIZE FERRY_WIRE_AT(16u)
#define UNMAP_AT_PAGE FERRY_WIRE_AT(24u)
#define UNMAP_AT_BITMAP FERRY_WIRE_AT(32u)

#define DMA_BYTES 16u
#define DMA_AT_IOVA FERRY_WIRE_AT(0u)
#define DMA_AT_COUNT FERRY_WIRE_AT(8u)

static int map_parse_request(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    struct ferry_wire_dma_map *map = &message->u.map;
    uint32_t argsz = ferry_reader_u32(&in->reader);

    map->flags = ferry_reader_u32(&in->reader);
    map->offset = ferry_reader_u64(&in->reader);
    map->iova = ferry_reader_u64(&in->reader);
    map->size = ferry_reader_u64(&in->reader);
    if (argsz != MAP_BYTES) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_MAP_ARGSZ,
                               FERRY_WIRE_AT(0), "argsz", argsz);
    }
    return FERRY_OK;
}

static int map_check(const struct ferry_wire_in *in,
                     const struct ferry_wire_message *message)
{
    const struct ferry_wire_dma_map *map = &message->u.map;
    uint64_t end;

    if ((map->flags & ~MAP_FLAGS) != 0 || map->flags == 0) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_MAP_FLAGS,
                               MAP_AT_FLAGS, "flags", map->flags);
    }
    if (map->size == 0 || !ferry_range_add(map->iova, map->size, &end)) {
        return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_MAP_RANGE, MAP_AT_SIZE,
                               "size", map->size);
    }
    if (message->fd_count > 0 && !ferry_range_add(map->offset, map->size, &end)) {
        return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_MAP_RANGE,
                               MAP_AT_OFFSET, "offset", map->offset);
    }
    return FERRY_OK;
}

static int map_put_request(struct ferry_writer *out,
                           const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_dma_map *map = &message->u.map;

    (void)ret_data;
    ferry_writer_u32(out, MAP_BYTES);
    ferry_writer_u32(out, map->flags);
    ferry_writer_u64(out, map->offset);
    ferry_writer_u64(out, map->iova);
    ferry_writer_u64(out, map->size);
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_map = {
    .parse_request = map_parse_request,
    .parse_reply = ferry_wire_parse_nothing,
    .check = map_check,
    .put_request = map_put_request,
    .put_reply = ferry_wire_put_nothing,
};

static uint32_t unmap_fixed(const struct ferry_wire_dma_unmap *unmap)
{
    return (unmap->flags & FERRY_WIRE_UNMAP_BITMAP) != 0 ? UNMAP_BITMAP_BYTES
                                                         : UNMAP_BYTES;
}

/* Bytes of bitmap in the reply. */
static uint64_t unmap_data(const struct ferry_wire_dma_unmap *unmap)
{
    return (unmap->flags & FERRY_WIRE_UNMAP_BITMAP) != 0 ? unmap->bitmap_bytes : 0;
}

static void unmap_read(struct ferry_wire_in *in, struct ferry_wire_dma_unmap *unmap)
{
    unmap->argsz = ferry_reader_u32(&in->reader);
    unmap->flags = ferry_reader_u32(&in->reader);
    unmap->iova = ferry_reader_u64(&in->reader);
    unmap->size = ferry_reader_u64(&in->reader);
    unmap->page_size = 0;
    unmap->bitmap_bytes = 0;
    if (ferry_reader_remaining(&in->reader) >= UNMAP_BITMAP_BYTES - UNMAP_BYTES) {
        unmap->page_size = ferry_reader_u64(&in->reader);
        unmap->bitmap_bytes = ferry_reader_u64(&in->reader);
    }
}

static int unmap_parse_request(struct ferry_wire_in *in,
                               struct ferry_wire_message *message)
{
    unmap_read(in, &message->u.unmap);
    return ferry_wire_take_data(in, unmap_fixed(&message->u.unmap), 0, message);
}

static int unmap_check_bitmap(const struct ferry_wire_in *in,
                              const struct ferry_wire_dma_unmap *unmap)
{
    uint64_t need = 0;
    int status = ferry_wire_bitmap_need(unmap->size, unmap->page_size,
                                        in->limits->max_bitmap_bytes, &need);

    if (status != FERRY_OK) {
        return ferry_wire_fail(in, status, FERRY_WIRE_RULE_UNMAP_BITMAP, UNMAP_AT_PAGE,
                               "the page size", unmap->page_size);
    }
    if (unmap->bitmap_bytes < need) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_UNMAP_BITMAP,
                               UNMAP_AT_BITMAP, "the bitmap's size", unmap->bitmap_bytes);
    }
    if (unmap->bitmap_bytes > in->limits->max_bitmap_bytes) {
        return ferry_wire_fail(in, FERRY_E_LIMIT, FERRY_WIRE_RULE_UNMAP_BITMAP,
                               UNMAP_AT_BITMAP, "the bitmap's size", unmap->bitmap_bytes);
    }
    return FERRY_OK;
}

static int unmap_check_range(const struct ferry_wire_in *in,
                             const struct ferry_wire_dma_unmap *unmap)
{
    uint64_t end;

    if ((unmap->flags & FERRY_WIRE_UNMAP_ALL) != 0) {
        if (unmap->iova != 0 || unmap->size != 0) {
            return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_UNMAP_RANGE,
                                   UNMAP_AT_SIZE, "size", unmap->size);
        }
        return FERRY_OK;
    }
    if (unmap->size == 0 || !ferry_range_add(unmap->iova, unmap->size, &end)) {
        return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_UNMAP_RANGE,
                               UNMAP_AT_SIZE, "size", unmap->size);
    }
    return FERRY_OK;
}

static int unmap_check(const struct ferry_wire_in *in,
                       const struct ferry_wire_message *message)
{
    const struct ferry_wire_dma_unmap *unmap = &message->u.unmap;
    uint32_t bitmap = unmap->flags & FERRY_WIRE_UNMAP_BITMAP;
    int status;

    if ((unmap->flags & ~(FERRY_WIRE_UNMAP_BITMAP | FERRY_WIRE_UNMAP_ALL)) != 0 ||
        unmap->flags == (FERRY_WIRE_UNMAP_BITMAP | FERRY_WIRE_UNMAP_ALL) ||
        (bitmap != 0 && message->posted != 0)) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_UNMAP_FLAGS,
                               UNMAP_AT_FLAGS, "flags", unmap->flags);
    }
    status = unmap_check_range(in, unmap);
    if (status == FERRY_OK && bitmap != 0) {
        status = unmap_check_bitmap(in, unmap);
    }
    if (status != FERRY_OK) {
        return status;
    }
    if ((in->header != NULL || unmap->argsz != 0) &&
        unmap->argsz < unmap_fixed(unmap) + unmap_data(unmap)) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_UNMAP_ARGSZ,
                               UNMAP_AT_ARGSZ, "argsz", unmap->argsz);
    }
    return FERRY_OK;
}

static void unmap_put(struct ferry_writer *out, const struct ferry_wire_dma_unmap *unmap,
                      uint32_t argsz)
{
    ferry_writer_u32(out, argsz);
    ferry_writer_u32(out, unmap->flags);
    ferry_writer_u64(out, unmap->iova);
    ferry_writer_u64(out, unmap->size);
    if ((unmap->flags & FERRY_WIRE_UNMAP_BITMAP) != 0) {
        ferry_writer_u64(out, unmap->page_size);
        ferry_writer_u64(out, unmap->bitmap_bytes);
    }
}

static int unmap_put_request(struct ferry_writer *out,
                             const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_dma_unmap *unmap = &message->u.unmap;
    uint32_t whole = unmap_fixed(unmap) + (uint32_t)unmap_data(unmap);

    (void)ret_data;
    unmap_put(out, unmap, unmap->argsz != 0 ? unmap->argsz : whole);
    return FERRY_OK;
}

static int unmap_parse_reply(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    const struct ferry_wire_dma_unmap *asked = &in->asked->u.unmap;
    uint32_t fixed = unmap_fixed(asked);
    int status = ferry_wire_take_data(in, fixed, unmap_data(asked), message);

    if (status != FERRY_OK) {
        return status;
    }
    unmap_read(in, &message->u.unmap);
    /* Who asked knows the rest; servers differ in what they repeat of it. */
    if ((asked->flags & FERRY_WIRE_UNMAP_BITMAP) != 0 &&
        (message->u.unmap.page_size != asked->page_size ||
         message->u.unmap.bitmap_bytes != asked->bitmap_bytes)) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO,
                               UNMAP_AT_PAGE, "the page size",
                               message->u.unmap.page_size);
    }
    message->u.unmap.flags = asked->flags;
    return FERRY_OK;
}

static int unmap_put_reply(struct ferry_writer *out,
                           const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_dma_unmap *unmap = &message->u.unmap;
    uint64_t data = unmap_data(unmap);

    if (data > UINT32_MAX / 2) {
        return FERRY_E_ARGUMENT;
    }
    unmap_put(out, unmap, unmap_fixed(unmap) + (uint32_t)data);
    *ret_data = data;
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_unmap = {
    .parse_request = unmap_parse_request,
    .parse_reply = unmap_parse_reply,
    .check = unmap_check,
    .put_request = unmap_put_request,
    .put_reply = unmap_put_reply,
};

static int dma_parse_request(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    struct ferry_wire_dma_io *dma = &message->u.dma;
    uint64_t data;

    dma->iova = ferry_reader_u64(&in->reader);
    dma->count = ferry_reader_u64(&in->reader);
    dma->layout = FERRY_WIRE_DMA_SPEC;
    dma->pad = 0;
    data = message->command == FERRY_WIRE_DMA_WRITE ? dma->count : 0;
    return ferry_wire_take_data(in, DMA_BYTES, data, message);
}

static int dma_check(const struct ferry_wire_in *in,
                     const struct ferry_wire_message *message)
{
    const struct ferry_wire_dma_io *dma = &message->u.dma;
    uint64_t end;

    if (dma->count > in->limits->max_data_bytes) {
        return ferry_wire_fail(in, FERRY_E_LIMIT, FERRY_WIRE_RULE_DMA_COUNT, DMA_AT_COUNT,
                               "count", dma->count);
    }
    if (!ferry_range_add(dma->iova, dma->count, &end)) {
        return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_DMA_RANGE, DMA_AT_IOVA,
                               "the address", dma->iova);
    }
    return FERRY_OK;
}

/* Data of fewer than 4 bytes goes into the head, with zeros behind it. */
static int put_qemu(struct ferry_writer *out, const struct ferry_wire_message *message,
                    uint64_t *ret_data)
{
    const struct ferry_wire_dma_io *dma = &message->u.dma;

    ferry_writer_u64(out, dma->iova);
    ferry_writer_u32(out, (uint32_t)dma->count);
    if (dma->count < FERRY_WIRE_DMA_QEMU_MIN) {
        ferry_writer_bytes(out, message->data, (size_t)dma->count);
        ferry_writer_zero(out, FERRY_WIRE_DMA_QEMU_MIN - (size_t)dma->count);
        *ret_data = 0;
    } else {
        *ret_data = dma->count;
    }
    return FERRY_OK;
}

static int dma_put_request(struct ferry_writer *out,
                           const struct ferry_wire_message *message, uint64_t *ret_data)
{
    if (message->u.dma.layout == FERRY_WIRE_DMA_QEMU &&
        message->command == FERRY_WIRE_DMA_WRITE) {
        return put_qemu(out, message, ret_data);
    }
    ferry_writer_u64(out, message->u.dma.iova);
    ferry_writer_u64(out, message->u.dma.count);
    *ret_data = message->command == FERRY_WIRE_DMA_WRITE ? message->u.dma.count : 0;
    return FERRY_OK;
}

int ferry_wire_dma_layout_of(const void *payload, size_t bytes, uint64_t count)
{
    const uint8_t *at = payload;

    if (bytes < DMA_BYTES || bytes - 12 == count) {
        return bytes >= 12 && bytes - 12 == count ? (int)FERRY_WIRE_DMA_QEMU : -1;
    }
    if (bytes - DMA_BYTES != count) {
        return -1;
    }
    /* The count's upper half is 0 in the one, data in the other; the last 4 bytes are
     * data in the one, 0 in the other. */
    if (ferry_load_le32(at + 12) != 0) {
        return FERRY_WIRE_DMA_QEMU;
    }
    return ferry_load_le32(at + bytes - 4) != 0 ? (int)FERRY_WIRE_DMA_SPEC : -1;
}

/* The data, and behind it up to 4 bytes of padding. */
static int take_qemu(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    uint64_t count = message->u.dma.count;

    if (in->payload - 12 != count && in->payload - DMA_BYTES != count) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_CMD_SIZE, 4, "size",
                               (uint64_t)in->payload + FERRY_WIRE_HEADER_BYTES);
    }
    message->data_bytes = (uint32_t)count;
    message->data = in->complete != 0 && count > 0 ? in->reader.data + 12 : NULL;
    return FERRY_OK;
}

static int dma_parse_reply(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    const struct ferry_wire_dma_io *asked = &in->asked->u.dma;
    struct ferry_wire_dma_io *dma = &message->u.dma;
    int read = message->command == FERRY_WIRE_DMA_READ;
    int qemu = asked->layout == FERRY_WIRE_DMA_QEMU;

    dma->layout = asked->layout;
    dma->pad = 0;
    dma->iova = ferry_reader_u64(&in->reader);
    /* 12 bytes: the specification's own table for the reply to DMA_WRITE. */
    dma->count = in->payload < DMA_BYTES || qemu ? ferry_reader_u32(&in->reader)
                                                 : ferry_reader_u64(&in->reader);
    if (dma->iova != asked->iova) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO,
                               DMA_AT_IOVA, "the address", dma->iova);
    }
    if (dma->count != asked->count) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO,
                               DMA_AT_COUNT, "count", dma->count);
    }
    if (!read && (in->payload == 12 || qemu)) {
        return FERRY_OK;
    }
    if (qemu) {
        return take_qemu(in, message);
    }
    return ferry_wire_take_data(in, DMA_BYTES, read ? dma->count : 0, message);
}

static int dma_put_reply(struct ferry_writer *out,
                         const struct ferry_wire_message *message, uint64_t *ret_data)
{
    ferry_writer_u64(out, message->u.dma.iova);
    ferry_writer_u64(out, message->u.dma.count);
    *ret_data = message->command == FERRY_WIRE_DMA_READ ? message->u.dma.count : 0;
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_dma = {
    .parse_request = dma_parse_request,
    .parse_reply = dma_parse_reply,
    .check = dma_check,
    .put_request = dma_put_request,
    .put_reply = dma_put_reply,
};
