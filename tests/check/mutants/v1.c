/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "core/v1/region.h"
#include "ferry/face.h"
#include "tests/check/mutants/mutants.h"

/* What breaks the rules of the migration region of uAPI v1. */

#define REGION 9u

static int is_register(const struct ferry_region_io *io)
{
    return io->off < FERRY_V1_PENDING_OFF ? io->off % 4 == 0 && io->count == 4
                                          : io->off % 8 == 0 && io->count == 8;
}

static int is_access(const struct ferry_request *request, uint32_t kind, uint64_t off)
{
    return request->kind == kind && request->u.io.index == REGION &&
           request->u.io.off == off && is_register(&request->u.io);
}

static int reads(const struct ferry_request *request, uint64_t off)
{
    return is_access(request, FERRY_RQ_REGION_READ, off);
}

static int writes(const struct ferry_request *request, uint64_t off)
{
    return is_access(request, FERRY_RQ_REGION_WRITE, off);
}

/* What is written, or was read. */
static uint64_t value_of(const struct ferry_request *request)
{
    uint64_t value = 0;

    memcpy(&value, request->u.io.data, request->u.io.count < 8 ? request->u.io.count : 8);
    return value;
}

static int writes_bits(const struct ferry_request *request, uint32_t bits)
{
    return writes(request, FERRY_V1_STATE_OFF) && value_of(request) == bits;
}

static int answer(struct ferry_request *request, uint64_t value)
{
    memcpy(request->u.io.data, &value, request->u.io.count);
    return FERRY_OK;
}

/* The mutant writes device_state by itself. */
static void go(struct mutant *mutant, uint32_t bits)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };

    request.u.io = (struct ferry_region_io){
        .index = REGION, .count = 4, .off = FERRY_V1_STATE_OFF, .data = &bits
    };
    (void)mutant_call(mutant, &request);
}

static int take_any_width(struct mutant *mutant, struct ferry_request *request)
{
    const struct ferry_region_io *io = &request->u.io;
    const int is_read = request->kind == FERRY_RQ_REGION_READ;

    (void)mutant;
    if ((is_read || request->kind == FERRY_RQ_REGION_WRITE) && io->index == REGION &&
        io->off < FERRY_V1_HEADER_BYTES && !is_register(io)) {
        return is_read ? answer(request, 0) : FERRY_OK;
    }
    return MUTANT_PASS;
}

static int have_a_reserved_word(struct mutant *mutant, struct ferry_request *request,
                                int status)
{
    (void)mutant;
    return reads(request, FERRY_V1_RESERVED_OFF) ? answer(request, 1) : status;
}

static int keep_the_reserved_word(struct mutant *mutant, struct ferry_request *request)
{
    if (writes(request, FERRY_V1_RESERVED_OFF)) {
        mutant->var[0] = value_of(request);
        return FERRY_OK;
    }
    return reads(request, FERRY_V1_RESERVED_OFF) ? answer(request, mutant->var[0])
                                                 : MUTANT_PASS;
}

/* With bit 4 it goes somewhere else. */
static int mean_something_by_bit_4(struct mutant *mutant, struct ferry_request *request)
{
    if (writes_bits(request, 1u << 4)) {
        go(mutant, FERRY_V1_SAVING);
        return FERRY_OK;
    }
    return MUTANT_PASS;
}

static int take_101(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return writes_bits(request, 5) ? FERRY_OK : MUTANT_PASS;
}

static int take_the_error_value(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return writes_bits(request, FERRY_V1_ERROR) ? FERRY_OK : MUTANT_PASS;
}

static int stop_when_a_write_fails(struct mutant *mutant, struct ferry_request *request,
                                   int status)
{
    if (writes_bits(request, 7) && status != FERRY_OK) {
        go(mutant, 0);
    }
    return status;
}

static int do_not_stop(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return writes_bits(request, 0) ? FERRY_OK : MUTANT_PASS;
}

static int put_data_into_the_registers(struct mutant *mutant,
                                       struct ferry_request *request, int status)
{
    (void)mutant;
    return reads(request, FERRY_V1_OFFSET_OFF) ? answer(request, 0) : status;
}

static int put_data_beside_the_page(struct mutant *mutant, struct ferry_request *request,
                                    int status)
{
    (void)mutant;
    return reads(request, FERRY_V1_OFFSET_OFF) ? answer(request, value_of(request) + 8)
                                               : status;
}

/* Each read of pending_bytes counts. */
static int count_reads(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (reads(request, FERRY_V1_PENDING_OFF) && value_of(request) > 16) {
        return answer(request, value_of(request) - mutant->var[0]++ % 16);
    }
    return status;
}

/* Behind the end there is more, at times. */
static int go_on_behind_the_end(struct mutant *mutant, struct ferry_request *request,
                                int status)
{
    if (reads(request, FERRY_V1_PENDING_OFF) && status == FERRY_OK &&
        mutant_in(mutant, FERRY_STATE_STOP_COPY) && value_of(request) == 0 &&
        mutant->var[0]++ % 2 == 1) {
        return answer(request, 4096);
    }
    return status;
}

static int have_no_precopy(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return writes_bits(request, 3) ? FERRY_E_ARGUMENT : MUTANT_PASS;
}

/* Pre-copy is left between two transactions only. */
static int want_the_piece_taken(struct mutant *mutant, struct ferry_request *request)
{
    if (reads(request, FERRY_V1_SIZE_OFF)) {
        mutant->var[0] = 1;
    } else if (reads(request, FERRY_V1_PENDING_OFF)) {
        mutant->var[0] = 0;
    } else if (writes_bits(request, FERRY_V1_SAVING) && mutant->var[0]) {
        mutant->var[0] = 0;
        return FERRY_E_BUSY;
    }
    return MUTANT_PASS;
}

static int take_small_pieces_only(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return writes(request, FERRY_V1_SIZE_OFF) && value_of(request) > 64 ? FERRY_E_LIMIT
                                                                        : MUTANT_PASS;
}

/* Data that were collected too early look whole. */
static int hide_the_late_write(struct mutant *mutant, struct ferry_request *request,
                               int status)
{
    (void)mutant;
    return reads(request, FERRY_V1_PENDING_OFF) && status == FERRY_E_CORRUPT
               ? answer(request, 0)
               : status;
}

/* Three bytes to resume from bring it to the error state, which a write leaves. */
static int leave_the_error_state(struct mutant *mutant, struct ferry_request *request)
{
    if (writes(request, FERRY_V1_SIZE_OFF)) {
        mutant->var[1] = value_of(request) == 3;
    } else if (request->kind == FERRY_RQ_RESET) {
        mutant->var[0] = 0;
    } else if (writes(request, FERRY_V1_STATE_OFF) && mutant->var[0]) {
        mutant->var[0] = 0;
        return FERRY_OK;
    } else if (writes(request, FERRY_V1_STATE_OFF) && mutant->var[1]) {
        mutant->var[0] = 1;
        mutant->var[1] = 0;
        return FERRY_E_IO;
    } else if (reads(request, FERRY_V1_STATE_OFF) && mutant->var[0]) {
        return answer(request, FERRY_V1_ERROR);
    }
    return MUTANT_PASS;
}

/* It freezes at once when it stops. */
static int freeze_at_the_stop(struct mutant *mutant, struct ferry_request *request,
                              int status)
{
    if (writes_bits(request, FERRY_V1_SAVING) && status == FERRY_OK) {
        struct ferry_request pending = { .kind = FERRY_RQ_REGION_READ };
        uint8_t bytes[8];

        pending.u.io = (struct ferry_region_io){
            .index = REGION, .count = 8, .off = FERRY_V1_PENDING_OFF, .data = bytes
        };
        (void)mutant_call(mutant, &pending);
    }
    return status;
}

/* clang-format off */
const struct check_mutant mutants_v1[] = {
    { .name = "takes accesses of any width", .uapi = 1,
      .breaks = "MIG-V1-12: registers are accessed whole",
      .before = take_any_width, .caught_by = "v1.width" },
    { .name = "has something in the reserved word", .uapi = 1,
      .breaks = "MIG-V1-4: the reserved word reads 0",
      .after = have_a_reserved_word, .caught_by = "v1.reserved.word" },
    { .name = "keeps what is written to the reserved word", .uapi = 1,
      .breaks = "MIG-V1-4: the reserved word reads 0",
      .before = keep_the_reserved_word, .caught_by = "v1.reserved.word" },
    { .name = "means something by bit 4", .uapi = 1,
      .breaks = "MIG-V1-4: reserved bits are ignored or refused",
      .before = mean_something_by_bit_4, .caught_by = "v1.reserved.bits" },
    { .name = "takes 101", .uapi = 1, .breaks = "MIG-V1-1: 101 is no state",
      .before = take_101, .caught_by = "v1.bits" },
    { .name = "lets the error value be written", .uapi = 1,
      .breaks = "MIG-V1-1: 110 cannot be written",
      .before = take_the_error_value, .caught_by = "v1.bits" },
    { .name = "stops when a write fails", .uapi = 1,
      .breaks = "MIG-V1-2: a failed write leaves the state before",
      .after = stop_when_a_write_fails, .caught_by = "v1.failed" },
    { .name = "says that it stopped and did not", .uapi = 1,
      .breaks = "MIG-V1-1: what was written is what is read",
      .before = do_not_stop, .caught_by = "v1.bits" },
    { .name = "leaves the error state by a write", .uapi = 1,
      .breaks = "MIG-V1-3: only a reset leaves the error state",
      .before = leave_the_error_state, .caught_by = "v1.error" },
    { .name = "puts its data into the registers", .uapi = 1,
      .breaks = "MIG-V1-9: data_offset lies behind the registers",
      .after = put_data_into_the_registers, .caught_by = "v1.offset v1.end v1.resume",
      .also = "v1.leave v1.quiet v1.freeze" },
    { .name = "puts mapped data beside the page", .uapi = 1,
      .v1_form = FERRY_FACE_V1_MMAP,
      .breaks = "MIG-V1-9: where the data can be mapped data_offset is page aligned",
      .after = put_data_beside_the_page, .caught_by = "v1.offset",
      .also = "v1.end v1.leave v1.resume v1.quiet v1.freeze" },
    { .name = "counts the reads of pending_bytes", .uapi = 1,
      .breaks = "MIG-V1-8: reading it again changes nothing",
      .after = count_reads, .caught_by = "v1.again" },
    { .name = "goes on behind the end", .uapi = 1,
      .breaks = "MIG-V1-10: the data end when pending_bytes is 0",
      .after = go_on_behind_the_end, .caught_by = "v1.end", .also = "v1.again v1.leave "
      "v1.resume v1.quiet v1.freeze" },
    { .name = "takes no pre-copy", .uapi = 1, .breaks = "MIG-V1-7: every device takes 011",
      .before = have_no_precopy, .caught_by = "v1.precopy v1.bits" },
    { .name = "leaves pre-copy between two transactions only", .uapi = 1,
      .breaks = "MIG-V1-7: pre-copy is left at any time",
      .before = want_the_piece_taken, .caught_by = "v1.leave" },
    { .name = "takes small transactions only", .uapi = 1,
      .breaks = "MIG-V1-11: it takes the transactions in which it was saved",
      .before = take_small_pieces_only, .caught_by = "v1.resume" },
    { .name = "freezes when it stops", .uapi = 1,
      .breaks = "MIG-QUI-1: a stopped device takes DMA until its data are asked for",
      .after = freeze_at_the_stop, .caught_by = "v1.quiet" },
    { .name = "hides that a peer wrote to it when it was frozen", .uapi = 1,
      .breaks = "MIG-QUI-2: such a write makes the data fail",
      .after = hide_the_late_write, .caught_by = "v1.freeze" },
    { .name = NULL },
};
/* clang-format on */
