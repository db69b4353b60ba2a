/* SPDX-License-Identifier: BSD-3-Clause */
/* Ferry's `copy` (docs/models/copy.md): one channel, one descriptor at a time. */
#include "models/copy/copy_regs.h"
#include "payload.h"

#define ENTRIES 4u
#define CHANNEL(reg) (COPY_CHANNEL_OFF + (reg))
#define COPY_LOOKS_MAX 2000000u

static struct copy_descriptor ring[ENTRIES] __attribute__((aligned(4096)));
static volatile struct copy_completion done[ENTRIES] __attribute__((aligned(4096)));

static struct {
    volatile uint8_t *mmio;
    uint32_t given;  /* descriptors */
    uint32_t vector; /* of a register that no interrupt uses here */
} copy;

static const char *begin(volatile uint8_t *mmio)
{
    copy.mmio = mmio;
    copy.vector = COPY_NO_VECTOR;
    if (mmio_read(mmio, COPY_REG_ID) != COPY_ID) {
        return "copy's id";
    }
    mmio_write(mmio, CHANNEL(COPY_CH_RING), (uint32_t)(uintptr_t)ring);
    mmio_write(mmio, CHANNEL(COPY_CH_RING) + 4, 0);
    mmio_write(mmio, CHANNEL(COPY_CH_DONE_RING), (uint32_t)(uintptr_t)done);
    mmio_write(mmio, CHANNEL(COPY_CH_DONE_RING) + 4, 0);
    mmio_write(mmio, CHANNEL(COPY_CH_ENTRIES), ENTRIES);
    mmio_write(mmio, CHANNEL(COPY_CH_VECTOR), COPY_NO_VECTOR);
    mmio_write(mmio, CHANNEL(COPY_CH_CONTROL), COPY_CONTROL_ENABLE);
    return mmio_read(mmio, CHANNEL(COPY_CH_CONTROL)) == COPY_CONTROL_ENABLE
               ? 0
               : "copy's channel is not enabled";
}

/* Its registers hold no free word: the counters, which go with each round, have to do. */
static void remember(uint32_t round)
{
    (void)round;
}

static const char *check(void)
{
    volatile uint8_t *mmio = copy.mmio;

    if (mmio_read(mmio, CHANNEL(COPY_CH_RING)) != (uint32_t)(uintptr_t)ring ||
        mmio_read(mmio, CHANNEL(COPY_CH_DONE_RING)) != (uint32_t)(uintptr_t)done ||
        mmio_read(mmio, CHANNEL(COPY_CH_ENTRIES)) != ENTRIES ||
        mmio_read(mmio, CHANNEL(COPY_CH_CONTROL)) != COPY_CONTROL_ENABLE ||
        mmio_read(mmio, CHANNEL(COPY_CH_VECTOR)) != copy.vector) {
        return "copy's registers";
    }
    if (mmio_read(mmio, CHANNEL(COPY_CH_HEAD)) != copy.given ||
        mmio_read(mmio, CHANNEL(COPY_CH_TAIL)) != copy.given ||
        mmio_read(mmio, CHANNEL(COPY_CH_DONE)) != copy.given) {
        return "copy's counters";
    }
    return 0;
}

static const char *dma(uint32_t flags, uint64_t src, uint64_t dst)
{
    const uint32_t index = copy.given % ENTRIES;
    const volatile struct copy_completion *end = &done[index];

    ring[index] = (struct copy_descriptor){ .op = COPY_OP_COPY | COPY_F_NO_IRQ | flags,
                                            .id = copy.given,
                                            .src = src,
                                            .dst = dst,
                                            .len = WORK_BYTES };
    copy.given++;
    mmio_write(copy.mmio, COPY_DOORBELL_OFF, copy.given);
    for (uint32_t i = 0; i < COPY_LOOKS_MAX; i++) {
        if (end->sequence == copy.given) {
            return end->status == COPY_DONE && end->id == copy.given - 1u &&
                           end->bytes == WORK_BYTES
                       ? 0
                       : "copy's completion";
        }
        rest();
    }
    return "copy's descriptor is not done";
}

static const char *put(const uint32_t *from)
{
    return dma(COPY_F_DST_LOCAL, (uint32_t)(uintptr_t)from, 0);
}

static const char *get(uint32_t *to)
{
    return dma(COPY_F_SRC_LOCAL, 0, (uint32_t)(uintptr_t)to);
}

const struct device copy_device = {
    .name = "copy",
    .vendor = COPY_PCI_VENDOR,
    .number = COPY_PCI_DEVICE,
    .rounds_a_line = 64,
    .begin = begin,
    .check = check,
    .remember = remember,
    .put = put,
    .get = get,
};
