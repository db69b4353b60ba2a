/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the device's side of uAPI v1: any accesses to the migration region, over a
 * device of v2 that answers anything, at once or later. Input: the form of the region,
 * the device's features, then in turn an access and what the device answers.
 *
 * Whatever comes, each access ends once, device_state reads as a combination that there
 * is, what is asked of the device is legal, and a piece lies inside of the region.
 */
#include <string.h>

#include "base/reader.h"
#include "core/v1/region.h"
#include "ferry/face.h"
#include "link/endpoint.h"
#include "must.h"

#define REGION 9u
#define ACCESSES_MAX 400u
#define PENDING_MAX 80u
#define BUFFER_BYTES 4096u

static struct device {
    struct ferry_endpoint endpoint;
    struct ferry_reader input;
    uint32_t features, state, attached;
    struct ferry_request *later; /* one that is answered by work() */
    uint32_t cancelled;          /* a reset came before that */
} device;

static struct ferry_request request[PENDING_MAX];
static uint8_t data[PENDING_MAX][BUFFER_BYTES];
static uint32_t over[PENDING_MAX];

static uint32_t next(void)
{
    uint8_t byte = 0;

    ferry_reader_bytes(&device.input, &byte, 1);
    return byte;
}

static int any_status(void)
{
    const uint32_t byte = next();

    return byte < 0xe0 ? FERRY_OK : FERRY_E_IO - (int)(byte & 3);
}

static int set_state(uint32_t state)
{
    const uint32_t how = next();
    uint32_t step;

    /* The face walks arc by arc, and asks for none that there is not. */
    must(device.state != FERRY_STATE_ERROR);
    must(ferry_state_next(device.state, state, device.features, &step) == FERRY_OK);
    must(step == state);
    if (how < 0xd0) {
        device.state = state;
        return FERRY_OK;
    }
    if (how < 0xe0) {
        device.state = state; /* it went, and says that it did not */
    } else if (how < 0xe8) {
        device.state = FERRY_STATE_ERROR;
        return FERRY_E_DEVICE_ERROR;
    }
    return FERRY_E_DEVICE;
}

static int read_data(struct ferry_data_io *io)
{
    const uint32_t how = next();

    must(ferry_state_is_saving(device.state));
    must(io->size == FERRY_V1_PIECE_MAX);
    if (how >= 0xf0) {
        return how < 0xf8 ? FERRY_E_DRY : FERRY_E_DEVICE;
    }
    io->got = how >= 0xe0 ? io->size - 0xe8 + how : how & 0x3f; /* also too much */
    memset(io->data, (int)how, io->got < io->size ? io->got : io->size);
    return FERRY_OK;
}

static int answer(struct ferry_request *asked)
{
    switch (asked->kind) {
    case FERRY_RQ_MIG_FLAGS:
        asked->u.mig_flags = device.features;
        return FERRY_OK;
    case FERRY_RQ_GET_INFO:
        asked->u.info.region_count = REGION;
        return FERRY_OK;
    case FERRY_RQ_IDENTITY:
        memset(asked->u.identity, 0, sizeof(*asked->u.identity));
        return FERRY_OK;
    case FERRY_RQ_GET_REGION_INFO:
        asked->u.region = (struct ferry_region_info){ .fd = FERRY_NO_REGION_FD };
        return any_status();
    case FERRY_RQ_SET_STATE:
        return set_state(asked->u.state);
    case FERRY_RQ_GET_STATE:
        asked->u.state = device.state;
        return any_status();
    case FERRY_RQ_RESET:
        if (any_status() != FERRY_OK) {
            return FERRY_E_DEVICE;
        }
        device.state = FERRY_STATE_RUNNING;
        device.cancelled = device.later != NULL;
        return FERRY_OK;
    case FERRY_RQ_DATA_READ:
        return read_data(&asked->u.data);
    case FERRY_RQ_DATA_WRITE:
        must(device.state == FERRY_STATE_RESUMING);
        must(asked->u.data.size > 0 && asked->u.data.size <= FERRY_V1_PIECE_MAX);
        return any_status();
    case FERRY_RQ_DATA_SIZE:
        asked->u.data_size = UINT64_MAX - next() * 3;
        return any_status();
    case FERRY_RQ_PRECOPY_INFO:
        asked->u.precopy.initial_bytes = next();
        asked->u.precopy.dirty_bytes = UINT64_MAX - next();
        return any_status();
    default:
        must(0); /* nothing else is asked for an access to the region */
        return FERRY_E_MESSAGE;
    }
}

static int device_attach(struct ferry_endpoint *endpoint,
                         const struct ferry_client_port *port)
{
    (void)endpoint;
    (void)port;
    device.attached = 1;
    return FERRY_OK;
}

static void device_detach(struct ferry_endpoint *endpoint)
{
    struct ferry_request *later = device.later;

    (void)endpoint;
    device.attached = 0;
    device.later = NULL;
    device.cancelled = 0;
    device.state = FERRY_STATE_RUNNING;
    if (later != NULL) {
        later->status = FERRY_E_CLOSED;
        later->done(later);
    }
}

static int device_submit(struct ferry_endpoint *endpoint, struct ferry_request *asked)
{
    (void)endpoint;
    must(device.attached != 0);
    if (device.later == NULL && (next() & 3) == 0) {
        device.later = asked;
        return FERRY_PENDING;
    }
    asked->status = answer(asked);
    return asked->status;
}

static int device_work(struct ferry_endpoint *endpoint)
{
    struct ferry_request *later = device.later;

    (void)endpoint;
    if (later != NULL) {
        device.later = NULL;
        later->status = device.cancelled ? FERRY_E_CANCELLED : answer(later);
        device.cancelled = 0;
        later->done(later);
    }
    return 0;
}

static const struct ferry_endpoint_ops device_ops = {
    .struct_size = offsetof(struct ferry_endpoint_ops, wake_fd),
    .attach = device_attach,
    .detach = device_detach,
    .submit = device_submit,
    .work = device_work,
};

static void done(struct ferry_request *ended)
{
    const size_t i = (size_t)(ended - request);

    must(!over[i]);
    over[i] = 1;
}

/* Where an access may go: registers, their edges, the data. */
static uint64_t any_off(const struct ferry_region_info *info)
{
    const uint32_t byte = next();

    if (byte < 0x80) {
        return byte & 0x3f;
    }
    if (byte < 0xc0) {
        return 4096 + (byte & 3) * (uint64_t)(FERRY_V1_PIECE_MAX / 2);
    }
    return info->size - (byte & 0x3f);
}

static void fill(struct ferry_request *ask, uint8_t *bytes,
                 const struct ferry_region_info *info)
{
    const uint32_t what = next();

    memset(ask, 0, sizeof(*ask));
    memset(bytes, 0, 8);
    ask->done = done;
    ask->kind = what & 1 ? FERRY_RQ_REGION_READ : FERRY_RQ_REGION_WRITE;
    ask->u.io.index = REGION;
    ask->u.io.data = bytes;
    if (what >= 0xf8) {
        ask->kind = FERRY_RQ_RESET;
    } else if (what >= 0x60) { /* a register as it should be */
        const struct ferry_v1_register_info *reg = ferry_v1_register((what >> 1) % 5);

        ask->u.io.off = reg->off;
        ask->u.io.count = reg->bytes;
        bytes[0] = (uint8_t)next();
        bytes[0] = reg->off == 0 && bytes[0] < 0xf0 ? bytes[0] % 5 : bytes[0];
        bytes[2] = (uint8_t)(what & 2 ? next() & 0x11 : 0);
    } else {
        ask->u.io.off = any_off(info);
        ask->u.io.count = what < 8 ? BUFFER_BYTES : next() & 0x1f;
    }
}

/* What an access gave. */
static void look(const struct ferry_request *ended, const uint8_t *bytes)
{
    const struct ferry_region_io *io = &ended->u.io;

    must(ended->status <= FERRY_OK);
    if (ended->kind == FERRY_RQ_REGION_READ && ended->status == FERRY_OK &&
        io->off == FERRY_V1_STATE_OFF) {
        const uint32_t bits = ferry_load_le32(bytes);

        must(ferry_state_v1_valid(bits) || bits == FERRY_V1_ERROR);
    }
    if (ended->kind == FERRY_RQ_REGION_READ && ended->status == FERRY_OK &&
        io->off == FERRY_V1_SIZE_OFF) {
        must(ferry_load_le64(bytes) <= FERRY_V1_PIECE_MAX);
    }
}

static void use(struct ferry_endpoint *face, const struct ferry_region_info *info)
{
    uint32_t begun = 0;

    for (uint32_t i = 0; i < ACCESSES_MAX && device.input.pos < device.input.size; i++) {
        const uint32_t slot = begun % PENDING_MAX;

        if (begun >= PENDING_MAX) {
            break;
        }
        fill(&request[slot], data[slot], info);
        over[slot] = 0;
        if (face->ops->submit(face, &request[slot]) != FERRY_PENDING) {
            must(!over[slot]);
            look(&request[slot], data[slot]);
            continue; /* its place is free */
        }
        begun++;
        if (next() & 1) {
            (void)face->ops->work(face);
        }
    }
    if (next() & 1) {
        for (uint32_t i = 0; i < 16 * PENDING_MAX; i++) {
            (void)face->ops->work(face);
        }
    }
    face->ops->detach(face);
    for (uint32_t i = 0; i < begun; i++) {
        must(over[i] != 0);
        look(&request[i], data[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct ferry_endpoint *face;
    struct ferry_request info = { .kind = FERRY_RQ_GET_REGION_INFO };
    uint32_t form;

    memset(&device, 0, sizeof(device));
    device.endpoint.ops = &device_ops;
    device.state = FERRY_STATE_RUNNING;
    ferry_reader_init(&device.input, bytes, size);
    form = next() % 3;
    device.features = FERRY_MIG_STOP_COPY | (next() & 6);
    if (ferry_face_v1_open(&device.endpoint, form, &face, NULL) != FERRY_OK) {
        return 0;
    }
    must(face->ops->attach(face, NULL) == FERRY_OK);
    info.u.region.index = REGION;
    must(face->ops->submit(face, &info) == FERRY_OK);
    use(face, &info.u.region);
    ferry_face_v1_close(face);
    return 0;
}
