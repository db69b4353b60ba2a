/* SPDX-License-Identifier: BSD-3-Clause */
#include "faces/v1/face.h"

static int taken(struct face *face, int status)
{
    if (status == FERRY_OK) {
        face->turn++;
    }
    return status;
}

int face_take_piece(struct face *face, uint64_t bytes)
{
    if (face->device.v1 != FERRY_V1_RESUMING) {
        return face_fail(face, FERRY_E_STATE, NULL,
                         "data_size is written while the device is RESUMING only");
    }
    if (bytes > FERRY_V1_PIECE_MAX) {
        return face_fail(face, FERRY_E_RANGE, "MIG-V1-9",
                         "data_size is more than the data section holds");
    }
    if (bytes == 0) {
        return FERRY_OK;
    }
    /* The device gets a copy: a user could change mapped memory while it is looked at. */
    face_section_read(face, face_section_offset(face), face->section.work.data, bytes);
    (void)face_ask(face, FERRY_RQ_DATA_WRITE, taken);
    face->sub.u.data.data = face->section.work.data;
    face->sub.u.data.size = bytes;
    return FACE_ASK;
}
