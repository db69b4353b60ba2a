/* SPDX-License-Identifier: BSD-3-Clause */
/* DEVICE_FEATURE. */
#include "base/range.h"
#include "wire/inside.h"

#define HEAD_BYTES 8u
#define AT_ARGSZ FERRY_WIRE_AT(0u)
#define AT_FLAGS FERRY_WIRE_AT(4u)
#define AT_DATA FERRY_WIRE_AT(8u)

#define INDEX_MASK 0xffffu
#define OPERATION_SHIFT 16
#define OPERATION_MASK 3u
#define PROBE_FLAG (1u << 18)
#define KNOWN_FLAGS (INDEX_MASK | (OPERATION_MASK << OPERATION_SHIFT) | PROBE_FLAG)

#define RANGE_BYTES 16u
#define START_BYTES 16u
#define REPORT_BYTES 24u
#define RUNS_BYTES 24u
#define RUN_BYTES 16u
#define COUNTERS_BYTES 24u

static const struct row {
    uint32_t index;
    uint32_t operations; /* FERRY_WIRE_GET, FERRY_WIRE_SET */
    uint32_t bytes;      /* of a SET's data and of the fixed data in a GET's reply */
    uint32_t ask_bytes;  /* of data that a GET's request must have */
} table[] = {
    { FERRY_WIRE_FEATURE_MIGRATION, FERRY_WIRE_GET, 8, 0 },
    { FERRY_WIRE_FEATURE_STATE, FERRY_WIRE_GET | FERRY_WIRE_SET, 8, 0 },
    { FERRY_WIRE_FEATURE_LOG_START, FERRY_WIRE_SET, START_BYTES, 0 },
    { FERRY_WIRE_FEATURE_LOG_STOP, FERRY_WIRE_SET, 0, 0 },
    { FERRY_WIRE_FEATURE_LOG_REPORT, FERRY_WIRE_GET, REPORT_BYTES, REPORT_BYTES },
    { FERRY_WIRE_FEATURE_DATA_SIZE, FERRY_WIRE_GET, 8, 0 },
    { FERRY_WIRE_FEATURE_PRECOPY_INFO, FERRY_WIRE_GET, 16, 0 },
    { FERRY_WIRE_FEATURE_LOG_RUNS, FERRY_WIRE_GET, RUNS_BYTES, RUNS_BYTES },
    { FERRY_WIRE_FEATURE_DATA_FD, FERRY_WIRE_GET, 16, 0 },
    { FERRY_WIRE_FEATURE_LEAVE_STATE, FERRY_WIRE_SET, 24, 0 },
    { FERRY_WIRE_FEATURE_COUNTERS, FERRY_WIRE_GET, COUNTERS_BYTES, 0 },
};

static const struct row *find_row(uint32_t index)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].index == index) {
            return &table[i];
        }
    }
    return NULL;
}

static uint32_t to_flags(const struct ferry_wire_feature *feature)
{
    return feature->index | feature->operation << OPERATION_SHIFT |
           (feature->probe != 0 ? PROBE_FLAG : 0);
}

/* Reads argsz and flags. Returns the flags. */
static uint32_t read_head(struct ferry_wire_in *in, struct ferry_wire_feature *feature)
{
    uint32_t flags;

    feature->argsz = ferry_reader_u32(&in->reader);
    flags = ferry_reader_u32(&in->reader);
    feature->index = flags & INDEX_MASK;
    feature->operation = (flags >> OPERATION_SHIFT) & OPERATION_MASK;
    feature->probe = (flags & PROBE_FLAG) != 0;
    feature->u.precopy.initial_bytes = 0;
    feature->u.precopy.dirty_bytes = 0;
    return flags;
}

/* The feature's own fields. */
static void read_data(struct ferry_wire_in *in, struct ferry_wire_feature *feature)
{
    switch (feature->index) {
    case FERRY_WIRE_FEATURE_MIGRATION:
        feature->u.migration_flags = ferry_reader_u64(&in->reader);
        break;
    case FERRY_WIRE_FEATURE_STATE:
        /* Behind it a data_fd, which has no meaning between two processes. */
        feature->u.state = ferry_reader_u32(&in->reader);
        break;
    case FERRY_WIRE_FEATURE_LOG_START:
        feature->u.log_start.page_size = ferry_reader_u64(&in->reader);
        feature->u.log_start.range_count = ferry_reader_u32(&in->reader);
        feature->u.log_start.pad = 0;
        break;
    case FERRY_WIRE_FEATURE_LOG_REPORT:
        feature->u.log_report.iova = ferry_reader_u64(&in->reader);
        feature->u.log_report.length = ferry_reader_u64(&in->reader);
        feature->u.log_report.page_size = ferry_reader_u64(&in->reader);
        break;
    case FERRY_WIRE_FEATURE_DATA_SIZE:
        feature->u.data_size = ferry_reader_u64(&in->reader);
        break;
    case FERRY_WIRE_FEATURE_PRECOPY_INFO:
        feature->u.precopy.initial_bytes = ferry_reader_u64(&in->reader);
        feature->u.precopy.dirty_bytes = ferry_reader_u64(&in->reader);
        break;
    case FERRY_WIRE_FEATURE_LOG_RUNS:
        /* The request's; read_runs() has the reply's. */
        feature->u.log_runs.iova = ferry_reader_u64(&in->reader);
        feature->u.log_runs.length = ferry_reader_u64(&in->reader);
        feature->u.log_runs.page_size = ferry_reader_u64(&in->reader);
        feature->u.log_runs.next_iova = 0;
        feature->u.log_runs.count = 0;
        break;
    case FERRY_WIRE_FEATURE_DATA_FD:
        feature->u.data_fd.session = ferry_reader_u64(&in->reader);
        feature->u.data_fd.direction = ferry_reader_u32(&in->reader);
        feature->u.data_fd.flags = ferry_reader_u32(&in->reader);
        break;
    case FERRY_WIRE_FEATURE_LEAVE_STATE:
        feature->u.leave.state = ferry_reader_u32(&in->reader);
        feature->u.leave.pad = ferry_reader_u32(&in->reader);
        feature->u.leave.session = ferry_reader_u64(&in->reader);
        feature->u.leave.bytes = ferry_reader_u64(&in->reader);
        break;
    default:
        break;
    }
}

static void write_data(struct ferry_writer *out, const struct ferry_wire_feature *feature)
{
    switch (feature->index) {
    case FERRY_WIRE_FEATURE_MIGRATION:
        ferry_writer_u64(out, feature->u.migration_flags);
        break;
    case FERRY_WIRE_FEATURE_STATE:
        ferry_writer_u32(out, feature->u.state);
        ferry_writer_u32(out, 0);
        break;
    case FERRY_WIRE_FEATURE_LOG_START:
        ferry_writer_u64(out, feature->u.log_start.page_size);
        ferry_writer_u32(out, feature->u.log_start.range_count);
        ferry_writer_u32(out, 0);
        break;
    case FERRY_WIRE_FEATURE_LOG_REPORT:
        ferry_writer_u64(out, feature->u.log_report.iova);
        ferry_writer_u64(out, feature->u.log_report.length);
        ferry_writer_u64(out, feature->u.log_report.page_size);
        break;
    case FERRY_WIRE_FEATURE_DATA_SIZE:
        ferry_writer_u64(out, feature->u.data_size);
        break;
    case FERRY_WIRE_FEATURE_PRECOPY_INFO:
        ferry_writer_u64(out, feature->u.precopy.initial_bytes);
        ferry_writer_u64(out, feature->u.precopy.dirty_bytes);
        break;
    case FERRY_WIRE_FEATURE_LOG_RUNS:
        ferry_writer_u64(out, feature->u.log_runs.iova);
        ferry_writer_u64(out, feature->u.log_runs.length);
        ferry_writer_u64(out, feature->u.log_runs.page_size);
        break;
    case FERRY_WIRE_FEATURE_DATA_FD:
        ferry_writer_u64(out, feature->u.data_fd.session);
        ferry_writer_u32(out, feature->u.data_fd.direction);
        ferry_writer_u32(out, feature->u.data_fd.flags);
        break;
    case FERRY_WIRE_FEATURE_LEAVE_STATE:
        ferry_writer_u32(out, feature->u.leave.state);
        ferry_writer_u32(out, feature->u.leave.pad);
        ferry_writer_u64(out, feature->u.leave.session);
        ferry_writer_u64(out, feature->u.leave.bytes);
        break;
    default:
        break;
    }
}

/* Feature number, operation and flags; writes the row on success (NULL for a probe). */
static int check_head(const struct ferry_wire_in *in,
                      const struct ferry_wire_feature *feature,
                      const struct row **ret_row)
{
    const struct row *row = find_row(feature->index);

    *ret_row = NULL;
    if (feature->index > INDEX_MASK || feature->operation > OPERATION_MASK ||
        (feature->probe == 0 && !ferry_is_power_of_2(feature->operation))) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_FEAT_FLAGS, AT_FLAGS,
                               "flags", to_flags(feature));
    }
    if (feature->probe != 0) {
        return FERRY_OK;
    }
    if (row == NULL) {
        return ferry_wire_fail(in, FERRY_E_UNSUPPORTED, FERRY_WIRE_RULE_FEAT_KNOWN,
                               AT_FLAGS, "the feature", feature->index);
    }
    if ((row->operations & feature->operation) == 0) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_FEAT_OPERATION,
                               AT_FLAGS, "flags", to_flags(feature));
    }
    *ret_row = row;
    return FERRY_OK;
}

/* Bytes of ranges in the request and the reply of LOG_START. */
static uint32_t ranges_bytes(const struct ferry_wire_feature *feature)
{
    return feature->index == FERRY_WIRE_FEATURE_LOG_START
               ? feature->u.log_start.range_count * RANGE_BYTES
               : 0;
}

/* The runs or counters that a reply may have: what the sender has room for, and this side
 * sends. */
static uint32_t list_cap(const struct ferry_wire_in *in, uint32_t argsz, uint32_t fixed,
                         uint32_t each)
{
    const uint32_t room = argsz > fixed ? (argsz - fixed) / each : 0;
    const uint32_t most = in->limits->max_data_bytes / each;

    return room < most ? room : most;
}

static int feature_parse_request(struct ferry_wire_in *in,
                                 struct ferry_wire_message *message)
{
    struct ferry_wire_feature *feature = &message->u.feature;
    uint32_t flags = read_head(in, feature);
    const struct row *row = NULL;
    uint32_t data;
    int status;

    if ((flags & ~KNOWN_FLAGS) != 0) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_FEAT_FLAGS, AT_FLAGS,
                               "flags", flags);
    }
    status = check_head(in, feature, &row);
    if (status != FERRY_OK || row == NULL) {
        return status;
    }
    data = in->payload - HEAD_BYTES;
    if (feature->operation == FERRY_WIRE_GET) {
        /* Users of the kernel's call leave room for the answer behind the head. */
        if (data < row->ask_bytes || data > row->bytes) {
            return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_FEAT_SIZE,
                                   AT_DATA, "the data's size", data);
        }
        if (row->ask_bytes > 0) {
            read_data(in, feature);
        }
        if (feature->index == FERRY_WIRE_FEATURE_LOG_RUNS) {
            feature->u.log_runs.cap =
                list_cap(in, feature->argsz, HEAD_BYTES + RUNS_BYTES, RUN_BYTES);
        } else if (feature->index == FERRY_WIRE_FEATURE_COUNTERS) {
            feature->u.counters.cap =
                list_cap(in, feature->argsz, HEAD_BYTES + COUNTERS_BYTES,
                         FERRY_WIRE_COUNTER_BYTES);
            if (feature->u.counters.cap > FERRY_WIRE_COUNTERS_MAX) {
                feature->u.counters.cap = FERRY_WIRE_COUNTERS_MAX;
            }
        }
        return FERRY_OK;
    }
    if (data < row->bytes ||
        (ranges_bytes(feature) == 0 && feature->index != FERRY_WIRE_FEATURE_LOG_START &&
         data != row->bytes)) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_FEAT_SIZE, AT_DATA,
                               "the data's size", data);
    }
    read_data(in, feature);
    if (feature->index != FERRY_WIRE_FEATURE_LOG_START) {
        return FERRY_OK;
    }
    if (feature->u.log_start.range_count > FERRY_WIRE_LOG_RANGES_MAX) {
        return ferry_wire_fail(in, FERRY_E_LIMIT, FERRY_WIRE_RULE_LOG_RANGES, AT_DATA + 8,
                               "the number of ranges", feature->u.log_start.range_count);
    }
    return ferry_wire_take_data(in, HEAD_BYTES + START_BYTES, ranges_bytes(feature),
                                message);
}

static int check_start(const struct ferry_wire_in *in,
                       const struct ferry_wire_message *message)
{
    const struct ferry_wire_feature *feature = &message->u.feature;
    uint64_t page_size = feature->u.log_start.page_size;
    uint32_t count = feature->u.log_start.range_count;
    uint64_t ignored;

    if (ferry_wire_bitmap_need(1, page_size, UINT64_MAX, &ignored) != FERRY_OK) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_LOG_PAGE, AT_DATA,
                               "the page size", page_size);
    }
    if (count > FERRY_WIRE_LOG_RANGES_MAX || (count > 0 && message->data == NULL)) {
        return ferry_wire_fail(in, FERRY_E_LIMIT, FERRY_WIRE_RULE_LOG_RANGES, AT_DATA + 8,
                               "the number of ranges", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct ferry_wire_range range;
        uint64_t end;

        ferry_wire_ranges_decode(message->data + (size_t)i * RANGE_BYTES, 1, &range);
        if (range.size == 0 || !ferry_range_add(range.off, range.size, &end)) {
            return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_LOG_RANGES,
                                   AT_DATA + START_BYTES + i * RANGE_BYTES,
                                   "the address of a range", range.off);
        }
    }
    return FERRY_OK;
}

static int check_report(const struct ferry_wire_in *in,
                        const struct ferry_wire_feature *feature, uint64_t *ret_bitmap)
{
    uint64_t length = feature->u.log_report.length;
    uint64_t page_size = feature->u.log_report.page_size;
    uint64_t end;
    int status;

    if (ferry_wire_bitmap_need(1, page_size, UINT64_MAX, &end) != FERRY_OK) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_LOG_PAGE,
                               AT_DATA + 16, "the page size", page_size);
    }
    if (!ferry_range_add(feature->u.log_report.iova, length, &end)) {
        return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_LOG_REPORT, AT_DATA + 8,
                               "the length", length);
    }
    status = ferry_wire_bitmap_need(length, page_size, in->limits->max_bitmap_bytes,
                                    ret_bitmap);
    if (status != FERRY_OK) {
        return ferry_wire_fail(in, status, FERRY_WIRE_RULE_LOG_REPORT, AT_DATA + 8,
                               "the length", length);
    }
    return FERRY_OK;
}

static int check_runs(const struct ferry_wire_in *in,
                      const struct ferry_wire_feature *feature)
{
    uint64_t length = feature->u.log_runs.length;
    uint64_t page_size = feature->u.log_runs.page_size;
    uint64_t end;

    if (ferry_wire_bitmap_need(1, page_size, UINT64_MAX, &end) != FERRY_OK) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_LOG_PAGE,
                               AT_DATA + 16, "the page size", page_size);
    }
    if (length == 0 || !ferry_range_add(feature->u.log_runs.iova, length, &end)) {
        return ferry_wire_fail(in, length == 0 ? FERRY_E_PROTOCOL : FERRY_E_RANGE,
                               FERRY_WIRE_RULE_LOG_REPORT, AT_DATA + 8, "the length",
                               length);
    }
    if (feature->u.log_runs.cap == 0) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_FEAT_ARGSZ, AT_ARGSZ,
                               "argsz", feature->argsz);
    }
    return FERRY_OK;
}

static int feature_check(const struct ferry_wire_in *in,
                         const struct ferry_wire_message *message)
{
    const struct ferry_wire_feature *feature = &message->u.feature;
    const struct row *row = NULL;
    uint64_t tail = 0;
    int status = check_head(in, feature, &row);

    if (status != FERRY_OK) {
        return status;
    }
    if (row != NULL && feature->index == FERRY_WIRE_FEATURE_LOG_START) {
        status = check_start(in, message);
        tail = ranges_bytes(feature);
    } else if (row != NULL && feature->index == FERRY_WIRE_FEATURE_LOG_REPORT) {
        status = check_report(in, feature, &tail);
    } else if (row != NULL && feature->index == FERRY_WIRE_FEATURE_LOG_RUNS) {
        status = check_runs(in, feature);
    }
    if (status != FERRY_OK || (in->header == NULL && feature->argsz == 0)) {
        return status;
    }
    if (feature->argsz < HEAD_BYTES + (row != NULL ? row->bytes : 0) + tail) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_FEAT_ARGSZ, AT_ARGSZ,
                               "argsz", feature->argsz);
    }
    return FERRY_OK;
}

/* Bytes of the whole reply's payload; 0 when the fields are out of bounds. */
static uint64_t reply_bytes(const struct ferry_wire_feature *feature,
                            const struct row *row)
{
    uint64_t bitmap = 0;

    if (feature->index == FERRY_WIRE_FEATURE_LOG_REPORT &&
        ferry_wire_bitmap_need(feature->u.log_report.length,
                               feature->u.log_report.page_size, UINT32_MAX / 2,
                               &bitmap) != FERRY_OK) {
        return 0;
    }
    if (feature->index == FERRY_WIRE_FEATURE_LOG_RUNS) {
        bitmap = (uint64_t)feature->u.log_runs.cap * RUN_BYTES;
    } else if (feature->index == FERRY_WIRE_FEATURE_COUNTERS) {
        bitmap = (uint64_t)feature->u.counters.cap * FERRY_WIRE_COUNTER_BYTES;
    }
    return HEAD_BYTES + row->bytes + (uint64_t)ranges_bytes(feature) + bitmap;
}

static int feature_put_request(struct ferry_writer *out,
                               const struct ferry_wire_message *message,
                               uint64_t *ret_data)
{
    const struct ferry_wire_feature *feature = &message->u.feature;
    const struct row *row = feature->probe != 0 ? NULL : find_row(feature->index);
    uint64_t whole = row != NULL ? reply_bytes(feature, row) : HEAD_BYTES;

    ferry_writer_u32(out, feature->argsz != 0 ? feature->argsz : (uint32_t)whole);
    ferry_writer_u32(out, to_flags(feature));
    if (row != NULL && (feature->operation == FERRY_WIRE_SET || row->ask_bytes > 0)) {
        write_data(out, feature);
        *ret_data = ranges_bytes(feature);
    }
    return FERRY_OK;
}

static int put_runs(struct ferry_writer *out, const struct ferry_wire_feature *feature,
                    uint64_t *ret_data)
{
    const uint32_t count = feature->u.log_runs.count;

    if (count > feature->u.log_runs.cap) {
        return FERRY_E_ARGUMENT;
    }
    ferry_writer_u32(out, HEAD_BYTES + RUNS_BYTES + count * RUN_BYTES);
    ferry_writer_u32(out, to_flags(feature));
    ferry_writer_u64(out, feature->u.log_runs.next_iova);
    ferry_writer_u32(out, count);
    ferry_writer_u32(out, 0);
    ferry_writer_u64(out, feature->u.log_runs.page_size);
    *ret_data = (uint64_t)count * RUN_BYTES;
    return FERRY_OK;
}

static int put_counters(struct ferry_writer *out,
                        const struct ferry_wire_feature *feature, uint64_t *ret_data)
{
    const uint32_t count = feature->u.counters.count;

    if (count > feature->u.counters.cap) {
        return FERRY_E_ARGUMENT;
    }
    *ret_data = (uint64_t)count * FERRY_WIRE_COUNTER_BYTES;
    ferry_writer_u32(out, HEAD_BYTES + COUNTERS_BYTES + (uint32_t)*ret_data);
    ferry_writer_u32(out, to_flags(feature));
    ferry_writer_u64(out, count);
    ferry_writer_u64(out, 0);
    ferry_writer_u64(out, 0);
    return FERRY_OK;
}

static int feature_put_reply(struct ferry_writer *out,
                             const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_feature *feature = &message->u.feature;
    const struct row *row = feature->probe != 0 ? NULL : find_row(feature->index);
    uint64_t whole = HEAD_BYTES;

    if (row != NULL && feature->index == FERRY_WIRE_FEATURE_LOG_RUNS) {
        return put_runs(out, feature, ret_data);
    }
    if (row != NULL && feature->index == FERRY_WIRE_FEATURE_COUNTERS) {
        return put_counters(out, feature, ret_data);
    }
    if (feature->probe == 0) {
        whole = row != NULL ? reply_bytes(feature, row) : 0;
    }
    if (whole == 0) {
        return FERRY_E_ARGUMENT;
    }
    ferry_writer_u32(out, (uint32_t)whole);
    ferry_writer_u32(out, to_flags(feature));
    if (row != NULL) {
        write_data(out, feature);
        *ret_data = whole - HEAD_BYTES - row->bytes;
    }
    return FERRY_OK;
}

static int check_echo(const struct ferry_wire_in *in, uint32_t flags,
                      const struct ferry_wire_feature *feature)
{
    const struct ferry_wire_feature *asked = &in->asked->u.feature;

    if (flags != to_flags(asked)) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO, AT_FLAGS,
                               "flags", flags);
    }
    if (feature->probe == 0 && feature->index == FERRY_WIRE_FEATURE_LOG_REPORT &&
        (feature->u.log_report.iova != asked->u.log_report.iova ||
         feature->u.log_report.length != asked->u.log_report.length ||
         feature->u.log_report.page_size != asked->u.log_report.page_size)) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO, AT_DATA,
                               "the address of the report", feature->u.log_report.iova);
    }
    return FERRY_OK;
}

static int read_runs(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    const struct ferry_wire_feature *asked = &in->asked->u.feature;
    struct ferry_wire_feature *feature = &message->u.feature;
    uint64_t next = ferry_reader_u64(&in->reader);
    uint32_t count = ferry_reader_u32(&in->reader);
    uint64_t page_size;

    (void)ferry_reader_u32(&in->reader);
    page_size = ferry_reader_u64(&in->reader);
    feature->u.log_runs = asked->u.log_runs;
    feature->u.log_runs.next_iova = next;
    feature->u.log_runs.count = count;
    if (page_size != asked->u.log_runs.page_size) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO,
                               AT_DATA + 16, "the page size", page_size);
    }
    /* It gets on, or the asking would never end. */
    if (next <= asked->u.log_runs.iova ||
        next - asked->u.log_runs.iova > asked->u.log_runs.length) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO, AT_DATA,
                               "the next address", next);
    }
    if (count > asked->u.log_runs.cap) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ARGSZ,
                               AT_DATA + 8, "the number of runs", count);
    }
    return ferry_wire_take_data(in, HEAD_BYTES + RUNS_BYTES, (uint64_t)count * RUN_BYTES,
                                message);
}

static int read_counters(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    const struct ferry_wire_feature *asked = &in->asked->u.feature;
    const uint32_t count = ferry_reader_u32(&in->reader);

    message->u.feature.u.counters.count = count;
    message->u.feature.u.counters.cap = asked->u.counters.cap;
    if (count > asked->u.counters.cap) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ARGSZ, AT_DATA,
                               "the number of counters", count);
    }
    return ferry_wire_take_data(in, HEAD_BYTES + COUNTERS_BYTES,
                                (uint64_t)count * FERRY_WIRE_COUNTER_BYTES, message);
}

static int feature_parse_reply(struct ferry_wire_in *in,
                               struct ferry_wire_message *message)
{
    const struct ferry_wire_feature *asked = &in->asked->u.feature;
    struct ferry_wire_feature *feature = &message->u.feature;
    uint32_t flags = read_head(in, feature);
    const struct row *row = find_row(asked->index);
    int status = check_echo(in, flags, asked);

    if (status != FERRY_OK || feature->probe != 0 || row == NULL) {
        return status;
    }
    /* The reply to a SET repeats the request; some servers send its head only. */
    if (feature->operation == FERRY_WIRE_SET && in->payload == HEAD_BYTES) {
        feature->u = asked->u;
        return FERRY_OK;
    }
    if (in->payload < HEAD_BYTES + row->bytes) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_FEAT_SIZE, AT_DATA,
                               "the data's size", in->payload - HEAD_BYTES);
    }
    if (feature->index == FERRY_WIRE_FEATURE_LOG_RUNS) {
        return read_runs(in, message);
    }
    if (feature->index == FERRY_WIRE_FEATURE_COUNTERS) {
        return read_counters(in, message);
    }
    read_data(in, feature);
    status = check_echo(in, flags, feature);
    if (status == FERRY_OK && feature->index == FERRY_WIRE_FEATURE_LOG_START &&
        feature->u.log_start.range_count != asked->u.log_start.range_count) {
        status =
            ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO, AT_DATA + 8,
                            "the number of ranges", feature->u.log_start.range_count);
    }
    if (status != FERRY_OK) {
        return status;
    }
    return ferry_wire_take_data(in, HEAD_BYTES + row->bytes,
                                reply_bytes(asked, row) - HEAD_BYTES - row->bytes,
                                message);
}

const struct ferry_wire_codec ferry_wire_codec_feature = {
    .parse_request = feature_parse_request,
    .parse_reply = feature_parse_reply,
    .check = feature_check,
    .put_request = feature_put_request,
    .put_reply = feature_put_reply,
};
