/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/range.h"
#include "base/reader.h"
#include "base/writer.h"
#include "faces/v1/face.h"

int face_put(struct face *face, uint64_t value)
{
    uint8_t bytes[8];

    ferry_store_le64(bytes, value);
    memcpy(face->job->u.io.data, bytes, face->job->u.io.count);
    return FERRY_OK;
}

static int is_saving(const struct face *face)
{
    return (face->device.v1 & FERRY_V1_SAVING) != 0;
}

static int in_error(struct face *face)
{
    return face_fail(face, FERRY_E_DEVICE_ERROR, "MIG-V1-3",
                     "the device is in the error state; a reset leaves it");
}

static int read_size(struct face *face)
{
    if (face->failed) {
        return in_error(face);
    }
    if (!is_saving(face) || face->piece_bytes == 0) {
        return face_put(face, 0);
    }
    face->told = 1;
    return face_put(face, face->piece_bytes);
}

static int read_register(struct face *face, uint32_t reg)
{
    switch (reg) {
    case FERRY_V1_STATE:
        return face_read_state(face);
    case FERRY_V1_PENDING:
        return face->failed ? in_error(face) : face_read_pending(face);
    case FERRY_V1_OFFSET:
        return face_put(face, face_section_offset(face));
    case FERRY_V1_SIZE:
        return read_size(face);
    default:
        return face_put(face, 0);
    }
}

static int write_register(struct face *face, uint32_t reg)
{
    const struct ferry_region_io *io = &face->job->u.io;

    if (!ferry_v1_register(reg)->writable) {
        return face_fail(face, FERRY_E_ARGUMENT, "MIG-V1-12",
                         "this register can only be read");
    }
    if (reg == FERRY_V1_RESERVED) {
        return FERRY_OK;
    }
    if (face->failed) {
        return in_error(face);
    }
    if (reg == FERRY_V1_STATE) {
        return face_write_state(face, ferry_load_le32(io->data));
    }
    return face_take_piece(face, ferry_load_le64(io->data));
}

/* Bytes of the section that may be accessed now; 0 and *ret_status why not. */
static uint64_t accessible(struct face *face, int write, int *ret_status)
{
    const int right = write ? face->device.v1 == FERRY_V1_RESUMING
                            : is_saving(face) && face->piece_bytes > 0;

    *ret_status = FERRY_OK;
    if (face->failed) {
        *ret_status = in_error(face);
    } else if (!right) {
        *ret_status =
            face_fail(face, FERRY_E_STATE, NULL,
                      write ? "data is written while the device is RESUMING only"
                            : "there is no data to be read");
    }
    if (*ret_status != FERRY_OK) {
        return 0;
    }
    return write ? FERRY_V1_PIECE_MAX : face->piece_bytes;
}

static int access_data(struct face *face, int write)
{
    const struct ferry_region_io *io = &face->job->u.io;
    const uint64_t begin = face_section_offset(face);
    int status;
    const uint64_t bytes = accessible(face, write, &status);

    if (status != FERRY_OK) {
        return status;
    }
    if (io->count == 0 || io->off < begin ||
        !ferry_range_inside(io->off - begin, io->count, bytes)) {
        return face_fail(face, FERRY_E_RANGE, "MIG-V1-9",
                         "the access does not lie in the data of this transaction");
    }
    if (write) {
        face_section_write(face, io->off, io->data, io->count);
    } else {
        face_section_read(face, io->off, io->data, io->count);
    }
    return FERRY_OK;
}

int face_access(struct face *face, int status)
{
    const struct ferry_region_io *io = &face->job->u.io;
    const int write = face->job->kind == FERRY_RQ_REGION_WRITE;
    uint32_t reg;

    status = ferry_v1_register_find(io->off, io->count, &reg);
    if (status == FERRY_E_RANGE) {
        return access_data(face, write);
    }
    if (status != FERRY_OK) {
        return face_fail(face, status, "MIG-V1-12",
                         "a register is accessed whole, in its own width");
    }
    return write ? write_register(face, reg) : read_register(face, reg);
}
