/* SPDX-License-Identifier: BSD-3-Clause */
/* GET_REGION_INFO and its chain of capabilities. */
#include "base/range.h"
#include "wire/inside.h"

#define INFO_BYTES 32u
#define AT_ARGSZ FERRY_WIRE_AT(0u)
#define AT_INDEX FERRY_WIRE_AT(8u)
#define AT_CAP FERRY_WIRE_AT(12u)
#define AT_OFFSET FERRY_WIRE_AT(24u)

#define FLAG_MMAP 4u
#define FLAG_CAPS 8u

/* Capability: u16 id, u16 version, u32 offset of the next one or 0. */
#define CAP_BYTES 8u
#define CAP_SPARSE 1u
#define CAP_SPARSE_VERSION 1u
#define CAP_TYPE 2u
#define CAP_TYPE_VERSION 1u
#define CAPS_CHAIN_MAX 16u
/* Sparse: u32 count and 4 reserved bytes, then the areas. */
#define SPARSE_BYTES 8u
#define AREA_BYTES 16u
#define TYPE_BYTES 8u

static uint32_t whole_bytes(uint32_t areas, int typed)
{
    return INFO_BYTES + (areas == 0 ? 0 : CAP_BYTES + SPARSE_BYTES + areas * AREA_BYTES) +
           (typed ? CAP_BYTES + TYPE_BYTES : 0);
}

/* Fills all but the areas and cut; returns the offset of the first capability. */
static uint32_t read_fixed(struct ferry_wire_in *in,
                           struct ferry_wire_region_info *region)
{
    uint32_t cap_off;

    region->argsz = ferry_reader_u32(&in->reader);
    region->flags = ferry_reader_u32(&in->reader);
    region->index = ferry_reader_u32(&in->reader);
    cap_off = ferry_reader_u32(&in->reader);
    region->size = ferry_reader_u64(&in->reader);
    region->offset = ferry_reader_u64(&in->reader);
    region->area_count = 0;
    region->type = region->subtype = 0;
    region->cut = 0;
    region->pad = 0;
    return cap_off;
}

static int region_parse_request(struct ferry_wire_in *in,
                                struct ferry_wire_message *message)
{
    (void)read_fixed(in, &message->u.region);
    /* Only argsz and index ask for something. */
    message->u.region.flags = 0;
    message->u.region.size = 0;
    message->u.region.offset = 0;
    return FERRY_OK;
}

static int region_check(const struct ferry_wire_in *in,
                        const struct ferry_wire_message *message)
{
    uint32_t argsz = message->u.region.argsz;

    if (argsz >= INFO_BYTES || (in->header == NULL && argsz == 0)) {
        return FERRY_OK;
    }
    return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_INFO_ARGSZ, AT_ARGSZ,
                           "argsz", argsz);
}

/* One sparse capability; the reader stands behind its header. */
static int read_areas(struct ferry_wire_in *in, struct ferry_wire_region_info *region)
{
    uint32_t off = (uint32_t)in->reader.pos;
    uint32_t count = ferry_reader_u32(&in->reader);

    ferry_reader_skip(&in->reader, SPARSE_BYTES - 4);
    if (in->reader.failed != 0 ||
        count > ferry_reader_remaining(&in->reader) / AREA_BYTES) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_REGION_CAPS,
                               FERRY_WIRE_AT(off), "the number of areas", count);
    }
    if (count > FERRY_WIRE_AREAS_MAX) {
        return ferry_wire_fail(in, FERRY_E_LIMIT, FERRY_WIRE_RULE_REGION_AREAS,
                               FERRY_WIRE_AT(off),
                               "the number of areas (16 are supported)", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct ferry_wire_range *area = &region->area[i];

        area->off = ferry_reader_u64(&in->reader);
        area->size = ferry_reader_u64(&in->reader);
        if (area->size == 0 || !ferry_range_inside(area->off, area->size, region->size)) {
            return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_REGION_AREAS,
                                   FERRY_WIRE_AT(off + SPARSE_BYTES + i * AREA_BYTES),
                                   "the offset of an area", area->off);
        }
    }
    region->area_count = count;
    /* A list of no areas says that none of it can be mapped; no list at all says all. */
    if (count == 0) {
        region->flags &= ~FLAG_MMAP;
    }
    return FERRY_OK;
}

/* One type capability; the reader stands behind its header. */
static int read_type(struct ferry_wire_in *in, struct ferry_wire_region_info *region)
{
    uint32_t off = (uint32_t)in->reader.pos;

    region->type = ferry_reader_u32(&in->reader);
    region->subtype = ferry_reader_u32(&in->reader);
    if (in->reader.failed != 0) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_REGION_CAPS,
                               FERRY_WIRE_AT(off), "the type of a region", region->type);
    }
    return FERRY_OK;
}

static int read_caps(struct ferry_wire_in *in, uint32_t cap_off,
                     struct ferry_wire_region_info *region)
{
    uint32_t last = INFO_BYTES - 1;
    int sparse = 0;

    for (uint32_t i = 0; cap_off != 0; i++) {
        uint32_t id, version, next;

        /* Ascending offsets: the chain cannot be a ring. */
        if (i == CAPS_CHAIN_MAX || cap_off <= last ||
            !ferry_range_inside(cap_off, CAP_BYTES, in->payload)) {
            return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_REGION_CAPS,
                                   i == 0 ? AT_CAP : FERRY_WIRE_AT(last) + 4,
                                   "the offset of a capability", cap_off);
        }
        in->reader.pos = cap_off;
        id = ferry_reader_u16(&in->reader);
        version = ferry_reader_u16(&in->reader);
        next = ferry_reader_u32(&in->reader);
        if (id == CAP_SPARSE) {
            int status;

            /* Passing over one would make forbidden parts look mappable. */
            if (version != CAP_SPARSE_VERSION || sparse != 0) {
                return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_REGION_CAPS,
                                       FERRY_WIRE_AT(cap_off),
                                       "the version of a sparse-mmap capability",
                                       version);
            }
            sparse = 1;
            status = read_areas(in, region);
            if (status != FERRY_OK) {
                return status;
            }
        } else if (id == CAP_TYPE && version == CAP_TYPE_VERSION) {
            int status = read_type(in, region);

            if (status != FERRY_OK) {
                return status;
            }
        }
        last = cap_off;
        cap_off = next;
    }
    return FERRY_OK;
}

static int region_parse_reply(struct ferry_wire_in *in,
                              struct ferry_wire_message *message)
{
    struct ferry_wire_region_info *region = &message->u.region;
    uint32_t cap_off = read_fixed(in, region);
    int caps = (region->flags & FLAG_CAPS) != 0;
    uint64_t end;

    region->flags &= FERRY_WIRE_REGION_FLAGS;
    if (region->index != in->asked->u.region.index) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO, AT_INDEX,
                               "index", region->index);
    }
    if (region->argsz < INFO_BYTES ||
        region->argsz > INFO_BYTES + FERRY_WIRE_REGION_CAPS_MAX) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ARGSZ, AT_ARGSZ,
                               "argsz", region->argsz);
    }
    if (!ferry_range_add(region->offset, region->size, &end)) {
        return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_REGION_AREAS, AT_OFFSET,
                               "the offset of the region", region->offset);
    }
    /* Some servers repeat the request's argsz, so a chain that is there is read. */
    if (caps && region->argsz > in->payload && (cap_off == 0 || cap_off >= in->payload)) {
        region->cut = 1;
        return FERRY_OK;
    }
    if (caps && cap_off == 0) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_REGION_CAPS, AT_CAP,
                               "the offset of the capabilities", 0);
    }
    return caps ? read_caps(in, cap_off, region) : FERRY_OK;
}

static int region_put_request(struct ferry_writer *out,
                              const struct ferry_wire_message *message,
                              uint64_t *ret_data)
{
    const struct ferry_wire_region_info *region = &message->u.region;

    (void)ret_data;
    ferry_writer_u32(out, region->argsz != 0 ? region->argsz
                                             : whole_bytes(FERRY_WIRE_AREAS_MAX, 1));
    ferry_writer_u32(out, 0);
    ferry_writer_u32(out, region->index);
    ferry_writer_zero(out, INFO_BYTES - 12);
    return FERRY_OK;
}

static void put_areas(struct ferry_writer *out,
                      const struct ferry_wire_region_info *region)
{
    ferry_writer_u16(out, CAP_SPARSE);
    ferry_writer_u16(out, CAP_SPARSE_VERSION);
    ferry_writer_u32(out, region->type != 0 ? whole_bytes(region->area_count, 0) : 0);
    ferry_writer_u32(out, region->area_count);
    ferry_writer_u32(out, 0);
    for (uint32_t i = 0; i < region->area_count; i++) {
        ferry_writer_u64(out, region->area[i].off);
        ferry_writer_u64(out, region->area[i].size);
    }
}

static int region_put_reply(struct ferry_writer *out,
                            const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_region_info *region = &message->u.region;
    uint32_t whole;
    int caps, fits;

    (void)ret_data;
    if (region->area_count > FERRY_WIRE_AREAS_MAX ||
        (region->flags & ~FERRY_WIRE_REGION_FLAGS) != 0) {
        return FERRY_E_ARGUMENT;
    }
    whole = whole_bytes(region->area_count, region->type != 0);
    caps = region->area_count > 0 || region->type != 0;
    fits = region->argsz == 0 || whole <= region->argsz;
    ferry_writer_u32(out, whole);
    ferry_writer_u32(out, region->flags | (caps ? FLAG_CAPS : 0));
    ferry_writer_u32(out, region->index);
    ferry_writer_u32(out, caps && fits ? INFO_BYTES : 0);
    ferry_writer_u64(out, region->size);
    ferry_writer_u64(out, region->offset);
    if (!caps || !fits) {
        return FERRY_OK;
    }
    if (region->area_count > 0) {
        put_areas(out, region);
    }
    if (region->type != 0) {
        ferry_writer_u16(out, CAP_TYPE);
        ferry_writer_u16(out, CAP_TYPE_VERSION);
        ferry_writer_u32(out, 0);
        ferry_writer_u32(out, region->type);
        ferry_writer_u32(out, region->subtype);
    }
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_region_info = {
    .parse_request = region_parse_request,
    .parse_reply = region_parse_reply,
    .check = region_check,
    .put_request = region_put_request,
    .put_reply = region_put_reply,
};
