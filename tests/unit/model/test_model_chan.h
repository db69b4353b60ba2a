/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_MODEL_CHAN_H
#define FERRY_TEST_MODEL_CHAN_H

#include "models/copy/copy_regs.h"
#include "test_model_rig.h"

/* A guest's driver of one channel of `copy`; it lives in guest memory alone. */
#define CHAN_ENTRIES 16u
#define CHAN_IOVA(off) (RIG_RAM_IOVA + (uint64_t)(off))

struct chan {
    uint8_t *ram;
    uint32_t index;
    uint32_t off; /* of both rings in guest memory */
    uint32_t tail, seen;
};

/* Sets the channel up and enables it, vector = index. */
void chan_start(struct chan *chan, struct rig *rig, const struct rig_ram *ram,
                uint32_t index);
/* Puts a descriptor into the ring; not rung. */
void chan_put(struct chan *chan, uint32_t op, uint32_t id, uint64_t src, uint64_t dst,
              uint64_t len);
/* Rings the doorbell. Return: status of the write. */
int chan_ring(const struct chan *chan, struct rig *rig);
/* Takes the next completion. Return: 1 and the completion, 0. */
int chan_take(struct chan *chan, struct copy_completion *ret_done);
uint32_t chan_reg(const struct chan *chan, struct rig *rig, uint32_t reg);
uint64_t chan_progress(const struct chan *chan, struct rig *rig);

#endif
