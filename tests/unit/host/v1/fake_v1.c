/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_v1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ferry/compat.h"

/*
 * The trace, a letter an access: s5 reads device_state, w5 writes it (bits 0 to 2), P
 * reads pending_bytes, O data_offset, S data_size, Z writes data_size, r and t read and
 * write the data section, R resets.
 */

#define SECTION 0x1000u

uint8_t fake_v1_byte(uint64_t i)
{
    return (uint8_t)(i * 7 + i / 251 + 3);
}

void fake_v1_forget(struct fake_v1 *fake)
{
    fake->trace[0] = '\0';
}

static void note(struct fake_v1 *fake, const char *text)
{
    const size_t used = strlen(fake->trace);

    (void)snprintf(fake->trace + used, sizeof(fake->trace) - used, "%s%s",
                   used > 0 ? " " : "", text);
}

static void note_bits(struct fake_v1 *fake, char what, uint32_t bits)
{
    const char text[3] = { what, (char)('0' + (bits & FERRY_V1_MASK)), '\0' };

    note(fake, text);
}

static const uint64_t *pieces(const struct fake_v1 *fake)
{
    return (fake->state & FERRY_V1_RUNNING) != 0 ? fake->precopy : fake->stopped;
}

static uint64_t pending(const struct fake_v1 *fake)
{
    uint64_t sum = 0;

    if ((fake->state & FERRY_V1_SAVING) == 0) {
        return 0;
    }
    for (uint32_t i = fake->piece; i < FAKE_V1_PIECES; i++) {
        sum += pieces(fake)[i];
    }
    return sum;
}

static uint64_t piece_size(const struct fake_v1 *fake)
{
    return fake->piece < FAKE_V1_PIECES ? pieces(fake)[fake->piece] : 0;
}

static uint64_t data_offset(const struct fake_v1 *fake)
{
    switch ((enum fake_v1_lie)fake->lie) {
    case FAKE_OFFSET_ZERO:
        return 0;
    case FAKE_OFFSET_IN_REGISTERS:
        return FERRY_V1_HEADER_BYTES - 1;
    case FAKE_OFFSET_OUTSIDE:
        return fake->region_bytes;
    case FAKE_OFFSET_HUGE:
        return UINT64_MAX;
    case FAKE_HONEST:
    case FAKE_SIZE_ZERO:
    case FAKE_SIZE_OUTSIDE:
    case FAKE_SIZE_HUGE:
    case FAKE_ENDLESS:
    case FAKE_STATE_NONE:
    case FAKE_STATE_DEAF:
    case FAKE_STATE_ERROR:
    case FAKE_STATE_ASTRAY:
    case FAKE_LIE_COUNT:
        break;
    }
    return SECTION + (fake->wander ? fake->piece % 3 * 0x1000u : 0);
}

/* Puts the piece in its place when its size is asked for. */
static uint64_t present(struct fake_v1 *fake)
{
    const uint64_t size = piece_size(fake);
    const uint64_t off = data_offset(fake);

    if (fake->lie == FAKE_SIZE_ZERO) {
        return 0;
    }
    if (fake->lie == FAKE_SIZE_OUTSIDE) {
        return fake->region_bytes - off + 1;
    }
    if (fake->lie == FAKE_SIZE_HUGE) {
        return UINT64_MAX;
    }
    if (!fake->piece_open) {
        for (uint64_t i = 0; i < size && off + i < fake->region_bytes; i++) {
            fake->memory[off + i] = fake_v1_byte(fake->made + i);
        }
    }
    fake->piece_open = 1;
    return size;
}

static uint64_t read_pending(struct fake_v1 *fake)
{
    if (fake->piece_open) {
        fake->piece_open = 0;
        if (fake->lie != FAKE_ENDLESS) {
            fake->made += piece_size(fake);
            fake->piece++;
        }
    }
    return fake->lie == FAKE_ENDLESS ? 100 : pending(fake);
}

/* The resuming side: what lies in the section is taken. */
static int take(struct fake_v1 *fake, uint64_t size)
{
    const uint64_t off = data_offset(fake);

    if ((fake->state & FERRY_V1_RESUMING) == 0) {
        return FERRY_E_STATE;
    }
    if (off + size > fake->region_bytes ||
        fake->taken_bytes + size > sizeof(fake->taken)) {
        return FERRY_E_RANGE;
    }
    memcpy(fake->taken + fake->taken_bytes, fake->memory + off, (size_t)size);
    fake->taken_bytes += size;
    fake->written[fake->written_count++] = size;
    fake->piece++; /* so that data_offset wanders */
    return FERRY_OK;
}

static int write_state(struct fake_v1 *fake, uint32_t bits)
{
    note_bits(fake, 'w', bits);
    if (fake->lie == FAKE_STATE_DEAF) {
        return FERRY_OK;
    }
    if (fake->lie == FAKE_STATE_ERROR || fake->lie == FAKE_STATE_ASTRAY) {
        const int failed = fake->lie == FAKE_STATE_ASTRAY;

        fake->state = FAKE_V1_RESERVED | (failed ? FERRY_V1_RESUMING : FERRY_V1_ERROR);
        return failed ? FERRY_E_DEVICE : FERRY_OK;
    }
    if ((bits & ~FERRY_V1_MASK) != FAKE_V1_RESERVED) {
        return FERRY_E_ARGUMENT; /* not read, modified, written */
    }
    if (fake->fail_bits_status != 0 && (bits & FERRY_V1_MASK) == fake->fail_bits) {
        const int status = fake->fail_bits_status;

        fake->fail_bits_status = 0;
        if (fake->fail_error) {
            fake->state = FAKE_V1_RESERVED | FERRY_V1_ERROR;
        }
        return status;
    }
    fake->state = bits;
    fake->piece = 0;
    fake->piece_open = 0;
    return FERRY_OK;
}

static int access_register(struct fake_v1 *fake, int write, uint64_t off, uint32_t count,
                           uint8_t *data)
{
    uint32_t reg, bits = 0;
    uint64_t value = 0;

    if (ferry_v1_register_find(off, count, &reg) != FERRY_OK) {
        return FERRY_E_ALIGN;
    }
    if (fake->fail_off_status != 0 && off == fake->fail_off) {
        const int status = fake->fail_off_status;

        fake->fail_off_status = 0;
        return status;
    }
    memcpy(&value, data, write ? count : 0);
    if (write && reg == FERRY_V1_STATE) {
        memcpy(&bits, data, sizeof(bits));
        return write_state(fake, bits);
    }
    if (write) {
        note(fake, "Z");
        return reg == FERRY_V1_SIZE ? take(fake, value) : FERRY_E_PERMISSION;
    }
    if (reg == FERRY_V1_STATE) {
        note_bits(fake, 's', fake->state);
        value = fake->lie == FAKE_STATE_NONE ? 5 : fake->state;
    } else if (reg == FERRY_V1_PENDING) {
        note(fake, "P");
        value = read_pending(fake);
    } else if (reg == FERRY_V1_OFFSET) {
        note(fake, "O");
        value = data_offset(fake);
    } else if (reg == FERRY_V1_SIZE) {
        note(fake, "S");
        value = present(fake);
    }
    memcpy(data, &value, count);
    return FERRY_OK;
}

static int access_region(struct fake_v1 *fake, int write, struct ferry_region_io *io)
{
    uint8_t *data = io->data;

    if (io->index != FAKE_V1_REGION || io->off + io->count > fake->region_bytes) {
        return FERRY_E_RANGE;
    }
    if (io->off < FERRY_V1_HEADER_BYTES) {
        return access_register(fake, write, io->off, io->count, data);
    }
    if (fake->fail_off_status != 0 && io->off == fake->fail_off) {
        const int status = fake->fail_off_status;

        fake->fail_off_status = 0;
        return status;
    }
    note(fake, write ? "t" : "r");
    memcpy(write ? fake->memory + io->off : data, write ? data : fake->memory + io->off,
           io->count);
    return FERRY_OK;
}

static void region_info(const struct fake_v1 *fake, struct ferry_region_info *region)
{
    const uint32_t index = region->index;

    *region = (struct ferry_region_info){ .index = index, .fd = FERRY_NO_REGION_FD };
    if (index == 7) {
        region->size = 256;
        region->flags = FERRY_REGION_READ | FERRY_REGION_WRITE;
    }
    if (index != FAKE_V1_REGION) {
        return;
    }
    region->size = fake->region_bytes;
    region->flags = fake->region_flags;
    region->type = fake->shy ? 0 : FERRY_V1_REGION_TYPE;
    region->subtype = fake->shy ? 0 : FERRY_V1_REGION_SUBTYPE;
    if (fake->form != FAKE_TRAPPED) {
        region->flags |= FERRY_REGION_MMAP;
        region->fd = fake->memory_fd;
        region->area_count = 1;
        region->area[0] =
            (struct ferry_range){ .off = fake->area_off, .size = fake->area_bytes };
    }
}

static int reset(struct fake_v1 *fake)
{
    note(fake, "R");
    if (fake->fail_reset != 0) {
        return fake->fail_reset;
    }
    fake->resets++;
    if (!fake->reset_keeps || (fake->state & FERRY_V1_MASK) == FERRY_V1_ERROR) {
        fake->state = FAKE_V1_RESERVED | FERRY_V1_RUNNING;
    }
    fake->lie = FAKE_HONEST;
    return FERRY_OK;
}

static int perform(struct fake_v1 *fake, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_GET_INFO) {
        request->u.info = (struct ferry_device_info){
            .flags = FERRY_DEVICE_FLAG_PCI | FERRY_DEVICE_FLAG_RESET,
            .region_count = FAKE_V1_REGION + 1,
        };
        return FERRY_OK;
    }
    if (request->kind == FERRY_RQ_GET_REGION_INFO) {
        region_info(fake, &request->u.region);
        return FERRY_OK;
    }
    if (request->kind == FERRY_RQ_IDENTITY) {
        request->u.identity->any_chunks = fake->any_chunks;
        return FERRY_OK;
    }
    if (request->kind == FERRY_RQ_MIG_FLAGS && fake->has_flags) {
        request->u.mig_flags = FERRY_MIG_STOP_COPY;
        return FERRY_OK;
    }
    if (request->kind == FERRY_RQ_RESET) {
        return reset(fake);
    }
    if (request->kind == FERRY_RQ_REGION_READ || request->kind == FERRY_RQ_REGION_WRITE) {
        return access_region(fake, request->kind == FERRY_RQ_REGION_WRITE,
                             &request->u.io);
    }
    return FERRY_E_UNSUPPORTED;
}

static int fake_attach(struct ferry_endpoint *endpoint,
                       const struct ferry_client_port *port)
{
    ((struct fake_v1 *)endpoint)->port = port;
    return FERRY_OK;
}

static void fake_detach(struct ferry_endpoint *endpoint)
{
    struct fake_v1 *fake = (struct fake_v1 *)endpoint;
    const uint32_t count = fake->waiting_count;

    fake->waiting_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        fake->waiting[i]->status = FERRY_E_CLOSED;
        fake->waiting[i]->done(fake->waiting[i]);
    }
    fake->port = NULL;
}

static int fake_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    struct fake_v1 *fake = (struct fake_v1 *)endpoint;

    if (fake->slow && fake->waiting_count < 16) {
        fake->waiting[fake->waiting_count++] = request;
        return FERRY_PENDING;
    }
    request->status = perform(fake, request);
    return request->status;
}

static int fake_work(struct ferry_endpoint *endpoint)
{
    struct fake_v1 *fake = (struct fake_v1 *)endpoint;
    struct ferry_request *request;

    if (fake->waiting_count == 0 || fake->slow == 2) {
        return 0;
    }
    request = fake->waiting[0];
    fake->waiting_count--;
    memmove(&fake->waiting[0], &fake->waiting[1],
            fake->waiting_count * sizeof(fake->waiting[0]));
    request->status = perform(fake, request);
    request->done(request);
    return fake->waiting_count > 0;
}

static const struct ferry_endpoint_ops fake_ops = {
    .struct_size = sizeof(fake_ops),
    .attach = fake_attach,
    .detach = fake_detach,
    .submit = fake_submit,
    .work = fake_work,
};

void fake_v1_open(struct fake_v1 *fake, uint32_t form)
{
    memset(fake, 0, sizeof(*fake));
    fake->endpoint.ops = &fake_ops;
    fake->form = form;
    fake->region_bytes = FAKE_V1_REGION_BYTES;
    fake->region_flags = FERRY_REGION_READ | FERRY_REGION_WRITE;
    fake->area_off = SECTION;
    fake->area_bytes = form == FAKE_PARTITIONED ? 0x1000 : FAKE_V1_REGION_BYTES - SECTION;
    fake->state = FAKE_V1_RESERVED | FERRY_V1_RUNNING;
    if (ferry_os_memfd_create("v1", FAKE_V1_REGION_BYTES, &fake->memory_fd) != FERRY_OK ||
        ferry_os_map_shared(fake->memory_fd, 0, FAKE_V1_REGION_BYTES,
                            FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE, &fake->map,
                            NULL) != FERRY_OK) {
        abort();
    }
    fake->memory = fake->map.data;
}

void fake_v1_close(struct fake_v1 *fake)
{
    ferry_os_unmap(&fake->map);
    ferry_os_close(&fake->memory_fd);
}
