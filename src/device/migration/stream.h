/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_MIGRATION_STREAM_H
#define FERRY_DEVICE_MIGRATION_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"
#include "link/endpoint.h"

/*
 * A device's data as it leaves and enters: the author's bytes in frames, with the SDK's
 * own section among them. All numbers are little endian.
 *
 *   header   magic u32, version u32, state_version u32, 0 u32, model[32]
 *   frame    type u32, length u32, then length bytes:
 *     DATA   1 to 65536 bytes of the author's (in PRE_COPY short when it had no more)
 *     LATCH  count u32, vectors u32,
 *            count * {off u64, data[8], region u8, bytes u8, 0[6]}, vectors * u32
 *     END    u64: all the author's bytes
 *
 * LATCH comes exactly once, in front of the first data of STOP_COPY: doorbells that came
 * while the device was quiet (P2P) and are performed when it runs at the target, and
 * interrupts that are pending, which a user can read but not write: MSI-X vector n as n,
 * MSI vector n as 0x10000 + n, an asserted INTx line as 0x20000. END is last.
 * Config space and the MSI-X table are the user's to carry and not in here.
 *
 * How a reader cuts the stream does not change a byte of it. Thread: the device's.
 */
#define DEVICE_STREAM_MAGIC 0x53444546u /* "FEDS" */
#define DEVICE_STREAM_VERSION 1u
#define DEVICE_STREAM_HEADER_BYTES 48u
#define DEVICE_STREAM_FRAME_BYTES 8u
#define DEVICE_STREAM_ENTRY_BYTES 24u
#define DEVICE_STREAM_VECTOR_BYTES 4u
#define DEVICE_STREAM_DATA_MAX 65536u
#define DEVICE_STREAM_LATCH_BYTES 8u
#define DEVICE_STREAM_END_BYTES 8u

enum device_frame { DEVICE_FRAME_DATA = 1, DEVICE_FRAME_LATCH = 2, DEVICE_FRAME_END = 3 };

struct device_save {
    uint8_t *buffer; /* a frame that did not fit into a read; NULL until needed */
    size_t pos, end; /* what of it is still to be read */
    uint64_t total;  /* the author's bytes so far */
    uint32_t header_sent, latch_sent, end_sent;
    int32_t status; /* why the session is spoilt, or FERRY_OK */
    /* Pre-copy: 1 and the initial_bytes that were told last; they do not rise again. */
    uint32_t has_told;
    uint64_t initial_told;
};

struct device_load {
    uint32_t stage; /* enum load_stage */
    int32_t status; /* why the session is spoilt, or FERRY_OK */
    uint8_t item[DEVICE_STREAM_HEADER_BYTES];
    size_t have, need; /* bytes of the item */
    uint64_t left;     /* DATA: bytes; LATCH: bytes behind its counts, then entries */
    uint64_t total;
    uint32_t latch_seen;
    uint32_t vectors_left; /* LATCH */
    uint64_t placed;       /* room of the last place that was named */
};

void device_save_begin(struct ferry_device *device);
void device_save_end(struct ferry_device *device);
/*
 * Return: FERRY_OK and *ret_got (0: end of the stream, STOP_COPY only); FERRY_E_DRY;
 *   FERRY_E_MEMORY; what the author's save returned; FERRY_E_DEVICE when that cannot be.
 */
int device_save_read(struct ferry_device *device, void *ret_data, uint64_t cap,
                     uint64_t *ret_got);
/*
 * The same, but what the author lends stays where it is and is named in io->piece.
 * Return: as device_save_read; FERRY_E_UNSUPPORTED: nothing can be lent, read it.
 */
int device_save_lend(struct ferry_device *device, struct ferry_data_io *io);
/* What of the stream can be read in pre-copy, for what the author could give now: with
 * header, frames, and what it gave but nobody has read. */
void device_save_precopy(struct ferry_device *device, struct ferry_device_precopy *info);
/* Length of a stream with `data` bytes of the author's that begins now. */
uint64_t device_save_size(const struct ferry_device *device, uint64_t data);

void device_load_begin(struct ferry_device *device);
/*
 * Return: FERRY_OK; FERRY_E_FOREIGN, FERRY_E_VERSION, FERRY_E_PROTOCOL, FERRY_E_CORRUPT,
 *   FERRY_E_LONG, FERRY_E_INCOMPATIBLE; what the author's load returned. After an error
 * the session is spoilt: it returns the same again.
 */
int device_load_write(struct ferry_device *device, const void *data, uint64_t size,
                      struct ferry_error *reterr);
/*
 * Where the author wants the next bytes, and what of the SDK's own follows them.
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED: the author has no places.
 */
int device_load_place(struct ferry_device *device, uint64_t most,
                      struct ferry_data_place *ret_place);
/* size bytes of the last place are there. Return: as device_load_write. */
int device_load_placed(struct ferry_device *device, uint64_t size);
/* Is the stream whole? Return: FERRY_OK, FERRY_E_SHORT, what spoilt the session. */
int device_load_check(const struct ferry_device *device);

#endif
