/* SPDX-License-Identifier: BSD-3-Clause */
/* QEMU's `edu` device (docs/specs/edu of QEMU). A DMA takes a tenth of a second. */
#include "payload.h"

#define EDU_ID 0x00u
#define EDU_ID_VALUE 0x010000edu
#define EDU_LIVENESS 0x04u /* reads as the complement of what was written */
#define EDU_DMA_SRC 0x80u
#define EDU_DMA_DST 0x88u
#define EDU_DMA_COUNT 0x90u
#define EDU_DMA_COMMAND 0x98u
#define EDU_DMA_START 1u
#define EDU_DMA_TO_MEMORY 2u
#define EDU_BUFFER 0x40000u /* where the buffer lies for the device */
#define EDU_LOOKS_MAX 2000000u

static struct {
    volatile uint8_t *mmio;
    uint32_t liveness;
    uint32_t src;
    uint32_t dst;
    uint32_t begun; /* 0: src and dst were never written */
} edu;

static const char *begin(volatile uint8_t *mmio)
{
    edu.mmio = mmio;
    return mmio_read(mmio, EDU_ID) == EDU_ID_VALUE ? 0 : "edu's id";
}

static void remember(uint32_t round)
{
    edu.liveness = round * 0x9e3779b1u;
    mmio_write(edu.mmio, EDU_LIVENESS, edu.liveness);
}

static const char *check(void)
{
    if (mmio_read(edu.mmio, EDU_LIVENESS) != ~edu.liveness) {
        return "edu's liveness register";
    }
    if (edu.begun && (mmio_read(edu.mmio, EDU_DMA_SRC) != edu.src ||
                      mmio_read(edu.mmio, EDU_DMA_DST) != edu.dst ||
                      mmio_read(edu.mmio, EDU_DMA_COUNT) != WORK_BYTES)) {
        return "edu's DMA registers";
    }
    return 0;
}

static const char *dma(uint32_t src, uint32_t dst, uint32_t direction)
{
    edu.src = src;
    edu.dst = dst;
    edu.begun = 1;
    mmio_write(edu.mmio, EDU_DMA_SRC, src);
    mmio_write(edu.mmio, EDU_DMA_DST, dst);
    mmio_write(edu.mmio, EDU_DMA_COUNT, WORK_BYTES);
    mmio_write(edu.mmio, EDU_DMA_COMMAND, EDU_DMA_START | direction);
    for (uint32_t i = 0; i < EDU_LOOKS_MAX; i++) {
        if (!(mmio_read(edu.mmio, EDU_DMA_COMMAND) & EDU_DMA_START)) {
            return 0;
        }
        rest();
    }
    return "edu's DMA does not end";
}

static const char *put(const uint32_t *from)
{
    return dma((uint32_t)(uintptr_t)from, EDU_BUFFER, 0);
}

static const char *get(uint32_t *to)
{
    return dma(EDU_BUFFER, (uint32_t)(uintptr_t)to, EDU_DMA_TO_MEMORY);
}

const struct device edu_device = {
    .name = "edu",
    .vendor = 0x1234u,
    .number = 0x11e8u,
    .rounds_a_line = 1,
    .begin = begin,
    .check = check,
    .remember = remember,
    .put = put,
    .get = get,
};
