/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "tests/check/odd/odd.h"

#define HEAD_BYTES 4u
#define IS_PADDING 0x80000000u
#define LENGTH 0x00ffffffu /* of a head; its other bits are 0 */
#define PIECE_BYTES 4000u

/* var[]: what is pending lies in mutant->bytes, from OUT on. */
enum { OUT = 0, BEGUN, NOISE, HEAD_GOT, HEAD, LEFT };

static uint8_t noise(struct mutant *mutant)
{
    mutant->var[NOISE] = mutant->var[NOISE] * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(mutant->var[NOISE] >> 56);
}

static void add(struct mutant *mutant, uint32_t head, const uint8_t *data, size_t count)
{
    uint8_t bytes[HEAD_BYTES];

    for (uint32_t i = 0; i < HEAD_BYTES; i++) {
        bytes[i] = (uint8_t)(head >> 8 * i);
    }
    mutant_keep(mutant, bytes, sizeof(bytes), 1);
    mutant_keep(mutant, data, count, 1);
}

static void add_padding(struct mutant *mutant, uint32_t count)
{
    uint8_t bytes[256];

    for (uint32_t i = 0; i < count; i++) {
        bytes[i] = noise(mutant);
    }
    add(mutant, IS_PADDING | count, bytes, count);
}

static void forget_pending(struct mutant *mutant)
{
    mutant_keep(mutant, "", 0, 0);
    mutant->var[OUT] = 0;
}

/* The model's next bytes. Return: FERRY_OK with something pending, or at the end. */
static int refill(struct mutant *mutant, int never_dry)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    uint8_t bytes[PIECE_BYTES];
    int rc;

    forget_pending(mutant);
    if (!mutant->var[BEGUN]) {
        mutant->var[BEGUN] = 1;
        add_padding(mutant, noise(mutant) % 200u);
    }
    request.u.data.data = bytes;
    request.u.data.size = sizeof(bytes);
    rc = mutant_call(mutant, &request);
    if (rc == FERRY_OK && request.u.data.got > 0) {
        add(mutant, (uint32_t)request.u.data.got, bytes, request.u.data.got);
    } else if (rc == FERRY_E_DRY && never_dry) {
        add_padding(mutant, 12);
        rc = FERRY_OK;
    }
    return rc == FERRY_E_DRY && mutant->byte_count > 0 ? FERRY_OK : rc;
}

static int read_on(struct mutant *mutant, struct ferry_request *request, int never_dry)
{
    uint64_t left = mutant->byte_count - mutant->var[OUT];
    int rc = FERRY_OK;

    if (left == 0) {
        rc = refill(mutant, never_dry);
        left = mutant->byte_count;
    }
    if (rc == FERRY_OK) {
        left = left < request->u.data.size ? left : request->u.data.size;
        if (left > 0) {
            memcpy(request->u.data.data, mutant->bytes + mutant->var[OUT], left);
        }
        mutant->var[OUT] += left;
        request->u.data.got = left;
    }
    return rc;
}

static int pass_on(struct mutant *mutant, const uint8_t *data, uint64_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };

    memcpy(&request.u.data.data, &data, sizeof(data)); /* it is only read */
    request.u.data.size = count;
    return mutant_call(mutant, &request);
}

/* One more byte of a head. */
static int take_head(struct mutant *mutant, uint8_t byte)
{
    mutant->var[HEAD] |= (uint64_t)byte << 8 * mutant->var[HEAD_GOT]++;
    if (mutant->var[HEAD_GOT] < HEAD_BYTES) {
        return FERRY_OK;
    }
    mutant->var[LEFT] = mutant->var[HEAD] & LENGTH;
    if ((mutant->var[HEAD] & ~(uint64_t)(IS_PADDING | LENGTH)) != 0 ||
        mutant->var[HEAD] == 0) {
        return FERRY_E_CORRUPT;
    }
    if (mutant->var[LEFT] == 0) {
        mutant->var[HEAD] = mutant->var[HEAD_GOT] = 0;
    }
    return FERRY_OK;
}

static int write_on(struct mutant *mutant, const struct ferry_request *request)
{
    const uint8_t *data = request->u.data.data;
    uint64_t left = request->u.data.size;
    int rc = FERRY_OK;

    while (rc == FERRY_OK && left > 0) {
        uint64_t count = 1;

        if (mutant->var[HEAD_GOT] < HEAD_BYTES) {
            rc = take_head(mutant, *data);
        } else {
            count = mutant->var[LEFT] < left ? mutant->var[LEFT] : left;
            if (!(mutant->var[HEAD] & IS_PADDING)) {
                rc = pass_on(mutant, data, count);
            }
            mutant->var[LEFT] -= count;
            if (mutant->var[LEFT] == 0) {
                mutant->var[HEAD] = mutant->var[HEAD_GOT] = 0;
            }
        }
        data += count;
        left -= count;
    }
    return rc;
}

static int before(struct mutant *mutant, struct ferry_request *request, int never_dry)
{
    if (request->kind == FERRY_RQ_DATA_READ && ferry_state_is_saving(mutant->state)) {
        return read_on(mutant, request, never_dry);
    }
    if (request->kind == FERRY_RQ_DATA_WRITE && mutant_in(mutant, FERRY_STATE_RESUMING)) {
        return write_on(mutant, request);
    }
    return MUTANT_PASS;
}

int odd_stream_before(struct mutant *mutant, struct ferry_request *request)
{
    return before(mutant, request, 0);
}

int odd_stream_never_dry(struct mutant *mutant, struct ferry_request *request)
{
    return before(mutant, request,
                  mutant_in(mutant, FERRY_STATE_PRE_COPY) ||
                      mutant_in(mutant, FERRY_STATE_PRE_COPY_P2P));
}

int odd_stream_after(struct mutant *mutant, struct ferry_request *request, int status)
{
    const uint64_t pending = mutant->byte_count - mutant->var[OUT];

    if (status == FERRY_OK && request->kind == FERRY_RQ_DATA_SIZE) {
        request->u.data_size += pending + request->u.data_size / 100 + 8192;
    }
    if (status == FERRY_OK && request->kind == FERRY_RQ_PRECOPY_INFO) {
        /* The padding comes first, and counts once. */
        const uint64_t padding = mutant->var[BEGUN] ? 0 : 512;

        if (request->u.precopy.initial_bytes > 0) {
            request->u.precopy.initial_bytes +=
                request->u.precopy.initial_bytes / 100 + padding + 16;
        }
        if (request->u.precopy.dirty_bytes > 0) {
            request->u.precopy.dirty_bytes += request->u.precopy.dirty_bytes / 100 + 16;
        }
        if (request->u.precopy.initial_bytes > 0) {
            request->u.precopy.initial_bytes += pending;
        } else if (mutant->var[BEGUN]) {
            request->u.precopy.dirty_bytes += pending;
        }
    }
    return status;
}

void odd_stream_state(struct mutant *mutant, uint32_t from, uint32_t to)
{
    if (!ferry_state_is_saving(from) || !ferry_state_is_saving(to)) {
        forget_pending(mutant);
        mutant->var[BEGUN] = 0;
        mutant->var[HEAD] = mutant->var[HEAD_GOT] = mutant->var[LEFT] = 0;
    }
}
