/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the device's data look like: records, little-endian, each with a checksum.
 *
 *   COMPAT  which device this is for. Always the first, so that a device of another kind
 *           refuses before anything else was sent
 *   STATE   the registers and what the driver knows beside them. During PRE_COPY any
 *           number of them, the last one counts; one with EDU_STATE_FINAL from STOP_COPY
 *   BUFFER  the device's buffer, where a command wrote to it
 *   END     length and checksum of all that came before: nothing is missing, nothing
 *           changed places
 *
 * docs/write-a-variant-driver.md has the table.
 */
#ifndef EDU_STREAM_H
#define EDU_STREAM_H

#include <linux/build_bug.h>
#include <linux/types.h>

#define EDU_MAGIC 0x5952524546554445ULL /* "EDUFERRY" */
#define EDU_MAJOR 1 /* another one is refused */
#define EDU_MINOR 0 /* any is taken: what is new in it is marked as optional */

#define EDU_RECORD_COMPAT 1
#define EDU_RECORD_STATE 2
#define EDU_RECORD_BUFFER 3
#define EDU_RECORD_END 4

#define EDU_RECORD_OPTIONAL 1 /* who does not know the type skips the record */

struct edu_record {
	__le32 type;
	__le32 flags;
	__le32 length; /* of what follows, bytes */
	__le32 crc; /* of this header, with 0 here, and of what follows */
};

struct edu_compat {
	__le64 magic;
	__le16 major;
	__le16 minor;
	__le16 vendor;
	__le16 device;
	__le32 ident; /* the identification register */
	__le32 dma_bits;
	__le32 buffer_bytes;
	__le32 reserved;
};

#define EDU_STATE_FINAL 1
#define EDU_STATE_BUFFER 2 /* a BUFFER follows; without it the buffer is all zeros */

struct edu_state {
	__le32 flags;
	__le32 live;
	__le32 factorial;
	__le32 status;
	__le32 irq;
	__le32 reserved;
	__le64 dma_src;
	__le64 dma_dst;
	__le64 dma_count;
	__le64 dma_command;
};

struct edu_end {
	__le64 bytes; /* all before this record */
	__le32 crc; /* of them */
	__le32 reserved;
};

static_assert(sizeof(struct edu_record) == 16);
static_assert(sizeof(struct edu_compat) == 32);
static_assert(sizeof(struct edu_state) == 56);
static_assert(sizeof(struct edu_end) == 16);

#define EDU_PAYLOAD_MAX 4096
/* One device's data. Increments have no end of their own, so that somebody must set one. */
#define EDU_STREAM_MAX (64UL << 20)

struct edu_device;
struct edu_regs;

/* Bytes of records with these payloads. */
#define EDU_COMPAT_BYTES (sizeof(struct edu_record) + sizeof(struct edu_compat))
#define EDU_STATE_BYTES (sizeof(struct edu_record) + sizeof(struct edu_state))
#define EDU_BUFFER_RECORD_BYTES (sizeof(struct edu_record) + EDU_PAYLOAD_MAX)
#define EDU_END_BYTES (sizeof(struct edu_record) + sizeof(struct edu_end))

/* Room for what one session holds at most: an initial part or increment, and the rest. */
#define EDU_OUT_MAX                                                                      \
	(EDU_COMPAT_BYTES + 2 * EDU_STATE_BYTES + EDU_BUFFER_RECORD_BYTES + EDU_END_BYTES)

/* What is written, and not read yet. */
struct edu_out {
	u8 bytes[EDU_OUT_MAX];
	size_t length;
	u64 total; /* all that was written since the session began */
	u32 crc;
};

void edu_put_compat(struct edu_out *out);
void edu_put_state(struct edu_out *out, const struct edu_regs *regs, u32 flags);
/* data: EDU_BUFFER_BYTES */
void edu_put_buffer(struct edu_out *out, const u8 *data);
void edu_put_end(struct edu_out *out);

/* What comes, taken apart record by record. */
struct edu_in {
	u8 record[sizeof(struct edu_record) + EDU_PAYLOAD_MAX] __aligned(8);
	size_t have;
	u64 total; /* all complete records */
	u32 crc;
	int error; /* the first one, for good */
	bool compat;
	bool final;
	bool wants_buffer;
	bool has_buffer;
	bool ended;
	u8 buffer[EDU_PAYLOAD_MAX];
};

/*
 * Takes `length` bytes of the stream. regs gets the registers of the last state.
 * Return: 0; -EINVAL: the data are damaged; -EOPNOTSUPP: they are another device's or a
 * newer driver's; -EFBIG: they do not end.
 */
int edu_in_feed(struct edu_in *in, struct edu_regs *regs, const u8 *bytes, size_t length);

#endif
