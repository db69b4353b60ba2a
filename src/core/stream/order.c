/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/stream/order.h"

#include <assert.h>
#include <string.h>

#include "base/range.h"

/* Where one direction of a stream stands. */
enum phase {
    PHASE_START = 0, /* nothing has come */
    PHASE_INTRO,     /* after PREAMBLE */
    PHASE_DATA,      /* source: after HELLO; target: after ACCEPT */
    PHASE_READY,     /* source: after ALL_SENT; target: after PREPARED */
    PHASE_CLOSED     /* nothing may follow */
};

#define IN(phase) (1u << (phase))
#define TAG(name) (1u << FERRY_REC_##name)

/* One record that may come. */
struct order_row {
    uint8_t side; /* who sends it */
    uint8_t tag;
    uint8_t in;       /* IN() of the phases in which it may come */
    uint8_t next;     /* phase after it; PHASE_START: it stays */
    uint32_t answers; /* tags of which this side must have sent one before */
    uint32_t after;   /* tags that must have come before (of the same device, or whole) */
    uint32_t not_after; /* tags that must not have come before */
};

/* What a file never holds: its reader has one stream and nobody to ask. */
#define LIVE_TAGS (TAG(CONNECTIONS) | TAG(BARRIER))

#define SRC FERRY_STREAM_SOURCE
#define TGT FERRY_STREAM_TARGET
#define STAY PHASE_START

/*
 * The whole order of both directions. What is not here is refused. A tag in its own
 * `not_after` comes once at most (per device, where it has one).
 */
static const struct order_row rows[] = {
    { SRC, FERRY_REC_PREAMBLE, IN(PHASE_START), PHASE_INTRO, 0, 0, 0 },
    { SRC, FERRY_REC_HELLO_DEVICE, IN(PHASE_INTRO), STAY, 0, 0, TAG(HELLO_DEVICE) },
    { SRC, FERRY_REC_HELLO_V1, IN(PHASE_INTRO), STAY, 0, TAG(HELLO_DEVICE),
      TAG(HELLO_V1) },
    { SRC, FERRY_REC_HELLO_MEMORY, IN(PHASE_INTRO), STAY, 0, 0, 0 },
    { SRC, FERRY_REC_HELLO, IN(PHASE_INTRO), PHASE_DATA, 0, 0, 0 },
    { SRC, FERRY_REC_MEMORY_PAGES, IN(PHASE_DATA), STAY, TAG(ACCEPT), 0,
      TAG(MEMORY_END) },
    { SRC, FERRY_REC_MEMORY_ZERO, IN(PHASE_DATA), STAY, TAG(ACCEPT), 0, TAG(MEMORY_END) },
    { SRC, FERRY_REC_MEMORY_END, IN(PHASE_DATA), STAY, TAG(ACCEPT), 0, TAG(MEMORY_END) },
    { SRC, FERRY_REC_DEVICE_DATA, IN(PHASE_DATA), STAY, TAG(ACCEPT), 0, TAG(DEVICE_END) },
    { SRC, FERRY_REC_DEVICE_INITIAL, IN(PHASE_DATA), STAY, TAG(ACCEPT), 0,
      TAG(DEVICE_INITIAL) | TAG(DEVICE_END) },
    { SRC, FERRY_REC_DEVICE_END, IN(PHASE_DATA), STAY, TAG(ACCEPT), 0, TAG(DEVICE_END) },
    { SRC, FERRY_REC_DEVICE_CONFIG, IN(PHASE_DATA), STAY, TAG(ACCEPT), 0,
      TAG(DEVICE_CONFIG) },
    { SRC, FERRY_REC_DEVICE_IRQS, IN(PHASE_DATA), STAY, TAG(ACCEPT), 0,
      TAG(DEVICE_IRQS) },
    { SRC, FERRY_REC_VMM_STATE, IN(PHASE_DATA), STAY, TAG(ACCEPT), 0, 0 },
    { SRC, FERRY_REC_ALL_SENT, IN(PHASE_DATA), PHASE_READY, TAG(ACCEPT), TAG(MEMORY_END),
      0 },
    { SRC, FERRY_REC_CONNECTIONS, IN(PHASE_INTRO), STAY, 0, 0, TAG(CONNECTIONS) },
    { SRC, FERRY_REC_BARRIER, IN(PHASE_DATA), STAY, TAG(ACCEPT), TAG(CONNECTIONS), 0 },
    { SRC, FERRY_REC_COMMIT, IN(PHASE_READY), PHASE_CLOSED, TAG(PREPARED), 0, 0 },
    { SRC, FERRY_REC_ABORT, IN(PHASE_INTRO) | IN(PHASE_DATA) | IN(PHASE_READY),
      PHASE_CLOSED, 0, 0, 0 },
    { SRC, FERRY_REC_FILE_END, IN(PHASE_READY), PHASE_CLOSED, 0, 0, 0 },
    { TGT, FERRY_REC_PREAMBLE, IN(PHASE_START), PHASE_INTRO, 0, 0, 0 },
    { TGT, FERRY_REC_CONNECTIONS, IN(PHASE_INTRO), STAY, TAG(CONNECTIONS), 0,
      TAG(CONNECTIONS) },
    { TGT, FERRY_REC_ACCEPT, IN(PHASE_INTRO), PHASE_DATA, TAG(HELLO), 0, 0 },
    { TGT, FERRY_REC_REFUSE, IN(PHASE_INTRO), PHASE_CLOSED, TAG(PREAMBLE), 0, 0 },
    { TGT, FERRY_REC_INITIAL_DONE, IN(PHASE_DATA), STAY, TAG(DEVICE_INITIAL), 0,
      TAG(INITIAL_DONE) },
    { TGT, FERRY_REC_PREPARED, IN(PHASE_DATA), PHASE_READY, TAG(ALL_SENT), 0, 0 },
    { TGT, FERRY_REC_RUNNING, IN(PHASE_READY), PHASE_CLOSED, TAG(COMMIT), 0, 0 },
    { TGT, FERRY_REC_RETURN, IN(PHASE_READY), PHASE_CLOSED, TAG(COMMIT), 0, 0 },
    { TGT, FERRY_REC_ABORT, IN(PHASE_INTRO) | IN(PHASE_DATA) | IN(PHASE_READY),
      PHASE_CLOSED, 0, 0, 0 },
};

static const char *const phase_names[] = {
    [PHASE_START] = "before PREAMBLE", [PHASE_INTRO] = "in the introduction",
    [PHASE_DATA] = "among the data",   [PHASE_READY] = "after all data",
    [PHASE_CLOSED] = "after the end",
};

static int refuse(struct ferry_error *reterr, int code, const char *rule, uint64_t off,
                  uint32_t tag, const char *what, uint64_t value)
{
    return ferry_error_set(reterr, code, "stream", rule, off, "%s: %s (%llu)",
                           ferry_record_name(tag), what, (unsigned long long)value);
}

void ferry_stream_order_init(struct ferry_stream_order *order, uint32_t side,
                             uint32_t device_count, uint32_t one_way)
{
    assert(device_count <= FERRY_SESSION_DEVICES_MAX);
    memset(order, 0, sizeof(*order));
    order->side = side;
    order->one_way = one_way;
    order->device_count = side == FERRY_STREAM_TARGET ? device_count : 0;
}

void ferry_stream_order_sent(struct ferry_stream_order *order, uint32_t tag)
{
    assert(tag < FERRY_REC_TAG_END);
    order->sent |= 1u << tag;
}

static const struct order_row *find_row(uint32_t side, uint32_t tag)
{
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].side == side && rows[i].tag == tag) {
            return &rows[i];
        }
    }
    return NULL;
}

/* HELLO_* records make devices and memories known; they come with the next free index. */
static int check_introduced(const struct ferry_stream_order *order,
                            const struct ferry_record *record, uint64_t off,
                            struct ferry_error *reterr)
{
    if (record->tag == FERRY_REC_HELLO_MEMORY &&
        order->memory_count >= FERRY_STREAM_MEMORIES_MAX) {
        return refuse(reterr, FERRY_E_LIMIT, "STR-ORD-4", off, record->tag,
                      "too many memory regions", order->memory_count);
    }
    if (record->device == FERRY_NO_DEVICE || record->device < order->device_count) {
        return FERRY_OK;
    }
    if (record->tag != FERRY_REC_HELLO_DEVICE) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-4", off, record->tag,
                      "there is no such device", record->device);
    }
    if (record->device >= FERRY_SESSION_DEVICES_MAX) {
        return refuse(reterr, FERRY_E_LIMIT, "STR-ORD-4", off, record->tag,
                      "too many devices", record->device);
    }
    if (record->device != order->device_count) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-4", off, record->tag,
                      "devices are not numbered in order", record->device);
    }
    return FERRY_OK;
}

/* ALL_SENT promises that everything is complete. */
static int check_complete(const struct ferry_stream_order *order, uint64_t off,
                          struct ferry_error *reterr)
{
    uint32_t device;

    for (device = 0; device < order->device_count; device++) {
        if (!(order->device_seen[device] & TAG(DEVICE_END))) {
            return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-5", off, FERRY_REC_ALL_SENT,
                          "no DEVICE_END of a device", device);
        }
    }
    if (order->vmm_next != order->vmm_total) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-5", off, FERRY_REC_ALL_SENT,
                      "the VMM's state is not complete", order->vmm_next);
    }
    return FERRY_OK;
}

static int check_row(const struct ferry_stream_order *order, const struct order_row *row,
                     const struct ferry_record *record, uint64_t off,
                     struct ferry_error *reterr)
{
    uint32_t seen = order->seen;

    if (!row || !(row->in & IN(order->phase)) ||
        (record->tag == FERRY_REC_FILE_END && !order->one_way) ||
        (order->one_way && (LIVE_TAGS >> record->tag & 1))) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "stream", "STR-ORD-1", off,
                               "%s at offset %llu may not come %s",
                               ferry_record_name(record->tag), (unsigned long long)off,
                               phase_names[order->phase]);
    }
    if (record->device != FERRY_NO_DEVICE && record->device < FERRY_SESSION_DEVICES_MAX) {
        seen = order->device_seen[record->device];
    }
    if (row->not_after & seen) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-3", off, record->tag,
                      "it came already, or its end did; device", record->device);
    }
    if (row->answers && !order->one_way && !(row->answers & order->sent)) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-2", off, record->tag,
                      "it answers what was not sent, or did not wait for an answer", 0);
    }
    if ((row->after & seen) != row->after) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-5", off, record->tag,
                      "what it stands on has not come", 0);
    }
    return FERRY_OK;
}

int ferry_stream_order_record(struct ferry_stream_order *order,
                              const struct ferry_record *record, uint64_t stream_off,
                              struct ferry_error *reterr)
{
    const struct order_row *row = find_row(order->side, record->tag);
    int rc = check_row(order, row, record, stream_off, reterr);

    if (rc == FERRY_OK) {
        rc = check_introduced(order, record, stream_off, reterr);
    }
    if (rc == FERRY_OK && record->tag == FERRY_REC_ALL_SENT) {
        rc = check_complete(order, stream_off, reterr);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    if (record->tag == FERRY_REC_HELLO_DEVICE) {
        order->device_count++;
    }
    if (record->device != FERRY_NO_DEVICE) {
        order->device_seen[record->device] |= 1u << record->tag;
    } else {
        order->seen |= 1u << record->tag;
    }
    if (row->next != STAY) {
        order->phase = row->next;
    }
    return FERRY_OK;
}

int ferry_stream_order_hello_memory(struct ferry_stream_order *order,
                                    const struct ferry_stream_hello_memory *hello,
                                    struct ferry_error *reterr)
{
    uint32_t i;

    if (hello->index != order->memory_count ||
        order->memory_count >= FERRY_STREAM_MEMORIES_MAX) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-4", 0, FERRY_REC_HELLO_MEMORY,
                      "regions are not numbered in order", hello->index);
    }
    for (i = 0; i < order->memory_count; i++) {
        if (ferry_range_overlaps(order->memory_iova[i], order->memory_size[i],
                                 hello->iova, hello->size)) {
            return refuse(reterr, FERRY_E_OVERLAP, "STR-ORD-7", 8, FERRY_REC_HELLO_MEMORY,
                          "it overlaps region", i);
        }
    }
    order->memory_iova[hello->index] = hello->iova;
    order->memory_size[hello->index] = hello->size;
    order->memory_count++;
    return FERRY_OK;
}

int ferry_stream_order_hello(struct ferry_stream_order *order,
                             const struct ferry_stream_hello *hello,
                             struct ferry_error *reterr)
{
    if (hello->device_count != order->device_count) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-6", 0, FERRY_REC_HELLO,
                      "HELLO_DEVICE records came", order->device_count);
    }
    if (hello->memory_count != order->memory_count) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-6", 4, FERRY_REC_HELLO,
                      "HELLO_MEMORY records came", order->memory_count);
    }
    return FERRY_OK;
}

int ferry_stream_order_memory(struct ferry_stream_order *order, uint32_t memory,
                              uint64_t off, uint64_t bytes, int zero,
                              struct ferry_error *reterr)
{
    uint32_t tag = zero ? FERRY_REC_MEMORY_ZERO : FERRY_REC_MEMORY_PAGES;

    if (memory >= order->memory_count) {
        return refuse(reterr, FERRY_E_NOT_FOUND, "STR-ORD-7", 0, tag,
                      "there is no such memory region", memory);
    }
    if (!ferry_range_inside(off, bytes, order->memory_size[memory])) {
        return refuse(reterr, FERRY_E_RANGE, "STR-ORD-7", 8, tag,
                      "it goes past the end of its region, offset", off);
    }
    order->pages += bytes / FERRY_STREAM_PAGE_BYTES;
    if (!zero) {
        order->page_bytes += bytes;
    }
    return FERRY_OK;
}

int ferry_stream_order_memory_end(struct ferry_stream_order *order,
                                  const struct ferry_stream_memory_end *end,
                                  struct ferry_error *reterr)
{
    if (order->pages != end->pages) {
        return refuse(reterr, order->pages < end->pages ? FERRY_E_SHORT : FERRY_E_LONG,
                      "STR-ORD-8", 0, FERRY_REC_MEMORY_END, "pages came", order->pages);
    }
    if (order->page_bytes != end->bytes) {
        return refuse(reterr,
                      order->page_bytes < end->bytes ? FERRY_E_SHORT : FERRY_E_LONG,
                      "STR-ORD-8", 8, FERRY_REC_MEMORY_END, "bytes of pages came",
                      order->page_bytes);
    }
    return FERRY_OK;
}

int ferry_stream_order_vmm(struct ferry_stream_order *order,
                           const struct ferry_stream_vmm *vmm, struct ferry_error *reterr)
{
    if (order->vmm_started && (vmm->total != order->vmm_total || vmm->total == 0)) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-9", 0, FERRY_REC_VMM_STATE,
                      "pieces of different totals", vmm->total);
    }
    if (vmm->off != order->vmm_next) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-ORD-9", 8, FERRY_REC_VMM_STATE,
                      "a piece is missing or came twice, offset", vmm->off);
    }
    order->vmm_started = 1;
    order->vmm_total = vmm->total;
    order->vmm_next = vmm->off + vmm->bytes;
    return FERRY_OK;
}

int ferry_stream_order_vmm_complete(const struct ferry_stream_order *order)
{
    return order->vmm_started && order->vmm_next == order->vmm_total;
}

int ferry_stream_order_end(const struct ferry_stream_order *order, uint64_t stream_off,
                           struct ferry_error *reterr)
{
    if (order->phase == PHASE_CLOSED) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, FERRY_E_SHORT, "stream", "STR-END-2", stream_off,
                           "the stream ends at offset %llu, %s",
                           (unsigned long long)stream_off, phase_names[order->phase]);
}
