/* SPDX-License-Identifier: BSD-3-Clause */
/* GET_INFO, GET_IRQ_INFO, SET_IRQS and RESET. */
#include "base/range.h"
#include "wire/inside.h"

#define INFO_BYTES 16u
#define AT_ARGSZ FERRY_WIRE_AT(0u)
#define INFO_AT_INDEX FERRY_WIRE_AT(8u)

#define SET_BYTES 20u
#define SET_AT_FLAGS FERRY_WIRE_AT(4u)
#define SET_AT_COUNT FERRY_WIRE_AT(16u)
#define SET_DATA (FERRY_WIRE_IRQ_NONE | FERRY_WIRE_IRQ_BOOL | FERRY_WIRE_IRQ_EVENTFD)
#define SET_ACTION (FERRY_WIRE_IRQ_MASK | FERRY_WIRE_IRQ_UNMASK | FERRY_WIRE_IRQ_TRIGGER)

/* argsz of a request: room for the fixed part of the reply; when encoding 0 stands for
 * it. */
static int check_argsz(const struct ferry_wire_in *in, uint32_t argsz)
{
    if (argsz >= INFO_BYTES || (in->header == NULL && argsz == 0)) {
        return FERRY_OK;
    }
    return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_INFO_ARGSZ, AT_ARGSZ,
                           "argsz", argsz);
}

static int info_parse(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    struct ferry_wire_info *info = &message->u.info;

    info->argsz = ferry_reader_u32(&in->reader);
    info->flags = ferry_reader_u32(&in->reader);
    info->region_count = ferry_reader_u32(&in->reader);
    info->irq_count = ferry_reader_u32(&in->reader);
    return FERRY_OK;
}

static int info_parse_reply(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    (void)info_parse(in, message);
    if (message->u.info.argsz < INFO_BYTES) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ARGSZ, AT_ARGSZ,
                               "argsz", message->u.info.argsz);
    }
    return FERRY_OK;
}

static int info_check(const struct ferry_wire_in *in,
                      const struct ferry_wire_message *message)
{
    return check_argsz(in, message->u.info.argsz);
}

static void info_put(struct ferry_writer *out, const struct ferry_wire_info *info,
                     uint32_t argsz)
{
    ferry_writer_u32(out, argsz);
    ferry_writer_u32(out, info->flags);
    ferry_writer_u32(out, info->region_count);
    ferry_writer_u32(out, info->irq_count);
}

static int info_put_request(struct ferry_writer *out,
                            const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_info *info = &message->u.info;

    (void)ret_data;
    info_put(out, info, info->argsz != 0 ? info->argsz : INFO_BYTES);
    return FERRY_OK;
}

static int info_put_reply(struct ferry_writer *out,
                          const struct ferry_wire_message *message, uint64_t *ret_data)
{
    (void)ret_data;
    info_put(out, &message->u.info, INFO_BYTES);
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_info = {
    .parse_request = info_parse,
    .parse_reply = info_parse_reply,
    .check = info_check,
    .put_request = info_put_request,
    .put_reply = info_put_reply,
};

static int irq_parse(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    struct ferry_wire_irq_info *irq = &message->u.irq;

    irq->argsz = ferry_reader_u32(&in->reader);
    irq->flags = ferry_reader_u32(&in->reader);
    irq->index = ferry_reader_u32(&in->reader);
    irq->count = ferry_reader_u32(&in->reader);
    return FERRY_OK;
}

static int irq_parse_reply(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    (void)irq_parse(in, message);
    if (message->u.irq.argsz < INFO_BYTES) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ARGSZ, AT_ARGSZ,
                               "argsz", message->u.irq.argsz);
    }
    if (message->u.irq.index != in->asked->u.irq.index) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO,
                               INFO_AT_INDEX, "index", message->u.irq.index);
    }
    return FERRY_OK;
}

static int irq_check(const struct ferry_wire_in *in,
                     const struct ferry_wire_message *message)
{
    return check_argsz(in, message->u.irq.argsz);
}

static void irq_put(struct ferry_writer *out, const struct ferry_wire_irq_info *irq,
                    uint32_t argsz)
{
    ferry_writer_u32(out, argsz);
    ferry_writer_u32(out, irq->flags);
    ferry_writer_u32(out, irq->index);
    ferry_writer_u32(out, irq->count);
}

static int irq_put_request(struct ferry_writer *out,
                           const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_irq_info *irq = &message->u.irq;

    (void)ret_data;
    irq_put(out, irq, irq->argsz != 0 ? irq->argsz : INFO_BYTES);
    return FERRY_OK;
}

static int irq_put_reply(struct ferry_writer *out,
                         const struct ferry_wire_message *message, uint64_t *ret_data)
{
    (void)ret_data;
    irq_put(out, &message->u.irq, INFO_BYTES);
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_irq_info = {
    .parse_request = irq_parse,
    .parse_reply = irq_parse_reply,
    .check = irq_check,
    .put_request = irq_put_request,
    .put_reply = irq_put_reply,
};

static uint32_t set_bools(const struct ferry_wire_irq_set *set)
{
    return (set->flags & FERRY_WIRE_IRQ_BOOL) != 0 ? set->count : 0;
}

static int set_parse_request(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    struct ferry_wire_irq_set *set = &message->u.irq_set;
    uint32_t argsz = ferry_reader_u32(&in->reader);

    set->flags = ferry_reader_u32(&in->reader);
    set->index = ferry_reader_u32(&in->reader);
    set->start = ferry_reader_u32(&in->reader);
    set->count = ferry_reader_u32(&in->reader);
    if (argsz != in->payload) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_IRQ_ARGSZ, AT_ARGSZ,
                               "argsz", argsz);
    }
    if (in->payload - SET_BYTES != set_bools(set)) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_IRQ_DATA,
                               SET_AT_COUNT, "count", set->count);
    }
    return ferry_wire_take_data(in, SET_BYTES, set_bools(set), message);
}

static int set_check_fds(const struct ferry_wire_in *in,
                         const struct ferry_wire_message *message)
{
    const struct ferry_wire_irq_set *set = &message->u.irq_set;
    int eventfd = (set->flags & FERRY_WIRE_IRQ_EVENTFD) != 0;

    /* None with EVENTFD takes the vectors' eventfds away. */
    if (message->fd_count != 0 && (!eventfd || message->fd_count != set->count)) {
        return ferry_wire_fail(in, FERRY_E_FDS, FERRY_WIRE_RULE_IRQ_DATA, SET_AT_COUNT,
                               "the number of descriptors", message->fd_count);
    }
    return FERRY_OK;
}

static int set_check(const struct ferry_wire_in *in,
                     const struct ferry_wire_message *message)
{
    const struct ferry_wire_irq_set *set = &message->u.irq_set;

    if ((set->flags & ~(SET_DATA | SET_ACTION)) != 0 ||
        !ferry_is_power_of_2(set->flags & SET_DATA) ||
        !ferry_is_power_of_2(set->flags & SET_ACTION)) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_IRQ_FLAGS,
                               SET_AT_FLAGS, "flags", set->flags);
    }
    if (!ferry_range_inside(set->start, set->count, FERRY_WIRE_IRQS_MAX)) {
        return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_IRQ_RANGE, SET_AT_COUNT,
                               "count", set->count);
    }
    if (set->count == 0 && set->flags != (FERRY_WIRE_IRQ_NONE | FERRY_WIRE_IRQ_TRIGGER)) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_IRQ_RANGE,
                               SET_AT_COUNT, "count", 0);
    }
    return set_check_fds(in, message);
}

static int set_put_request(struct ferry_writer *out,
                           const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_irq_set *set = &message->u.irq_set;

    ferry_writer_u32(out, SET_BYTES + set_bools(set));
    ferry_writer_u32(out, set->flags);
    ferry_writer_u32(out, set->index);
    ferry_writer_u32(out, set->start);
    ferry_writer_u32(out, set->count);
    *ret_data = set_bools(set);
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_irq_set = {
    .parse_request = set_parse_request,
    .parse_reply = ferry_wire_parse_nothing,
    .check = set_check,
    .put_request = set_put_request,
    .put_reply = ferry_wire_put_nothing,
};

static int reset_check(const struct ferry_wire_in *in,
                       const struct ferry_wire_message *message)
{
    (void)in;
    (void)message;
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_reset = {
    .parse_request = ferry_wire_parse_nothing,
    .parse_reply = ferry_wire_parse_nothing,
    .check = reset_check,
    .put_request = ferry_wire_put_nothing,
    .put_reply = ferry_wire_put_nothing,
};
