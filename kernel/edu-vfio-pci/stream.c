// SPDX-License-Identifier: GPL-2.0-only
/* Records, put together and taken apart. Nothing here reaches a device or a lock. */
#include <linux/crc32.h>
#include <linux/minmax.h>
#include <linux/random.h>
#include <linux/string.h>

#include "edu.h"

static u32 record_crc(const struct edu_record *head, const void *payload, size_t length)
{
	struct edu_record blank = *head;

	blank.crc = 0;
	return crc32_le(crc32_le(~0, (const u8 *)&blank, sizeof(blank)), payload, length);
}

static void put(struct edu_out *out, u32 type, const void *payload, size_t length)
{
	struct edu_record head = {
		.type = cpu_to_le32(type),
		.length = cpu_to_le32(length),
	};
	u8 *at = out->bytes + out->length;

	if (WARN_ON(sizeof(head) + length > sizeof(out->bytes) - out->length))
		return;
	head.crc = cpu_to_le32(record_crc(&head, payload, length));
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), payload, length);
	out->crc = crc32_le(out->crc, at, sizeof(head) + length);
	out->length += sizeof(head) + length;
	out->total += sizeof(head) + length;
}

static struct edu_compat own_compat(void)
{
	return (struct edu_compat){
		.magic = cpu_to_le64(EDU_MAGIC),
		.major = cpu_to_le16(EDU_MAJOR),
		.minor = cpu_to_le16(EDU_MINOR),
		.vendor = cpu_to_le16(0x1234),
		.device = cpu_to_le16(0x11e8),
		.ident = cpu_to_le32(EDU_IDENT_VALUE),
		.dma_bits = cpu_to_le32(edu_dma_bits),
		.buffer_bytes = cpu_to_le32(EDU_BUFFER_BYTES),
	};
}

void edu_put_compat(struct edu_out *out)
{
	const struct edu_compat compat = own_compat();

	put(out, EDU_RECORD_COMPAT, &compat, sizeof(compat));
}

void edu_put_state(struct edu_out *out, const struct edu_regs *regs, u32 flags)
{
	const struct edu_state state = {
		.flags = cpu_to_le32(flags),
		.live = cpu_to_le32(regs->live),
		.factorial = cpu_to_le32(regs->factorial),
		.status = cpu_to_le32(regs->status),
		.irq = cpu_to_le32(regs->irq),
		.reserved =
			cpu_to_le32(edu_defect(EDU_DEFECT_LEAK) ? get_random_u32() : 0),
		.dma_src = cpu_to_le64(regs->dma_src),
		.dma_dst = cpu_to_le64(regs->dma_dst),
		.dma_count = cpu_to_le64(regs->dma_count),
		.dma_command = cpu_to_le64(regs->dma_command),
	};

	put(out, EDU_RECORD_STATE, &state, sizeof(state));
}

void edu_put_buffer(struct edu_out *out, const u8 *data)
{
	put(out, EDU_RECORD_BUFFER, data, EDU_PAYLOAD_MAX);
}

void edu_put_end(struct edu_out *out)
{
	const struct edu_end end = {
		.bytes = cpu_to_le64(out->total),
		.crc = cpu_to_le32(out->crc),
	};

	put(out, EDU_RECORD_END, &end, sizeof(end));
}

static int take_compat(struct edu_in *in, const struct edu_compat *compat)
{
	const struct edu_compat own = own_compat();

	if (compat->magic != own.magic || compat->reserved)
		return -EINVAL;
	/* Each field says what the state depends on. A minor version adds, and is taken. */
	if (compat->major != own.major || compat->vendor != own.vendor ||
	    compat->device != own.device || compat->ident != own.ident ||
	    compat->dma_bits != own.dma_bits || compat->buffer_bytes != own.buffer_bytes)
		return -EOPNOTSUPP;
	in->compat = true;
	return 0;
}

static int take_state(struct edu_in *in, struct edu_regs *regs,
		      const struct edu_state *state)
{
	const u32 flags = le32_to_cpu(state->flags);

	if (in->final || flags & ~(EDU_STATE_FINAL | EDU_STATE_BUFFER) ||
	    (flags == EDU_STATE_BUFFER) ||
	    (state->reserved && !edu_defect(EDU_DEFECT_LEAK)))
		return -EINVAL;
	*regs = (struct edu_regs){
		.live = le32_to_cpu(state->live),
		.factorial = le32_to_cpu(state->factorial),
		.status = le32_to_cpu(state->status),
		.irq = le32_to_cpu(state->irq),
		.dma_src = le64_to_cpu(state->dma_src),
		.dma_dst = le64_to_cpu(state->dma_dst),
		.dma_count = le64_to_cpu(state->dma_count),
		.dma_command = le64_to_cpu(state->dma_command),
	};
	in->final = flags & EDU_STATE_FINAL;
	in->wants_buffer = flags & EDU_STATE_BUFFER;
	/* One from PRE_COPY may show a device at work. */
	return in->final && !edu_regs_valid(regs) ? -EINVAL : 0;
}

static int take_buffer(struct edu_in *in, const u8 *data)
{
	if (!in->wants_buffer || in->has_buffer || data[EDU_BUFFER_BYTES])
		return -EINVAL;
	memcpy(in->buffer, data, EDU_PAYLOAD_MAX);
	in->has_buffer = true;
	return 0;
}

static int take_end(struct edu_in *in, const struct edu_end *end)
{
	const bool right = le64_to_cpu(end->bytes) == in->total &&
			   le32_to_cpu(end->crc) == in->crc && !end->reserved;

	if (!in->final || in->has_buffer != in->wants_buffer ||
	    (!right && !edu_defect(EDU_DEFECT_NO_CRC)))
		return -EINVAL;
	in->ended = true;
	return 0;
}

/* The length of what follows: known before a byte of it is taken. */
static int check_head(const struct edu_in *in, const struct edu_record *head)
{
	const u32 length = le32_to_cpu(head->length);
	const u32 flags = le32_to_cpu(head->flags);
	u32 expected;

	switch (le32_to_cpu(head->type)) {
	case EDU_RECORD_COMPAT:
		if (in->compat)
			return -EINVAL;
		return length == sizeof(struct edu_compat) && !flags ? 0 : -EINVAL;
	case EDU_RECORD_STATE:
		expected = sizeof(struct edu_state);
		break;
	case EDU_RECORD_BUFFER:
		expected = EDU_PAYLOAD_MAX;
		break;
	case EDU_RECORD_END:
		expected = sizeof(struct edu_end);
		break;
	default:
		if (length > EDU_PAYLOAD_MAX || !in->compat ||
		    flags & ~EDU_RECORD_OPTIONAL)
			return -EINVAL;
		return flags ? 0 : -EOPNOTSUPP;
	}
	return in->compat && length == expected && !flags ? 0 : -EINVAL;
}

static int take_record(struct edu_in *in, struct edu_regs *regs)
{
	const struct edu_record *head = (const struct edu_record *)in->record;
	const u8 *payload = in->record + sizeof(*head);
	const u32 length = le32_to_cpu(head->length);

	if (record_crc(head, payload, length) != le32_to_cpu(head->crc) &&
	    !edu_defect(EDU_DEFECT_NO_CRC))
		return -EINVAL;
	switch (le32_to_cpu(head->type)) {
	case EDU_RECORD_COMPAT:
		return take_compat(in, (const struct edu_compat *)payload);
	case EDU_RECORD_STATE:
		return take_state(in, regs, (const struct edu_state *)payload);
	case EDU_RECORD_BUFFER:
		return take_buffer(in, payload);
	case EDU_RECORD_END:
		return take_end(in, (const struct edu_end *)payload);
	default: /* optional */
		return 0;
	}
}

/* Fills the record up to `want` bytes. Return: is it there? */
static bool fill(struct edu_in *in, size_t want, const u8 **bytes, size_t *length)
{
	const size_t take = min(want - in->have, *length);

	memcpy(in->record + in->have, *bytes, take);
	in->have += take;
	*bytes += take;
	*length -= take;
	return in->have == want;
}

int edu_in_feed(struct edu_in *in, struct edu_regs *regs, const u8 *bytes, size_t length)
{
	const struct edu_record *head = (const struct edu_record *)in->record;
	size_t whole;
	int ret;

	while (length > 0) {
		if (in->ended)
			return -EINVAL;
		if (in->have < sizeof(*head)) {
			if (!fill(in, sizeof(*head), &bytes, &length))
				return 0;
			ret = check_head(in, head);
			if (ret)
				return ret;
		}
		whole = sizeof(*head) + le32_to_cpu(head->length);
		if (!fill(in, whole, &bytes, &length))
			return 0;
		ret = take_record(in, regs);
		if (ret)
			return ret;
		in->crc = crc32_le(in->crc, in->record, whole);
		in->total += whole;
		in->have = 0;
		if (in->total > EDU_STREAM_MAX)
			return -EFBIG;
	}
	return 0;
}
