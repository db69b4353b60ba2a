/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_MODEL_RIG_H
#define FERRY_TEST_MODEL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "link/endpoint.h"
#include "models/models.h"

/*
 * A user of one model in the same process: guest memory, interrupts, and a state that can
 * be moved to another rig over the same memory.
 */
#define RIG_RAM_IOVA 0x100000u
#define RIG_RAM_BYTES (4u << 20)
#define RIG_VECTORS 8u

/* Guest memory, shared by the rigs of one test. */
struct rig_ram {
    int fd;
    uint8_t *bytes;
};

struct rig {
    const struct ferry_model *model;
    struct ferry_device *device;
    void *state;
    struct ferry_endpoint *endpoint;
    int irq[RIG_VECTORS];
};

/* The bytes of a saved state. */
struct rig_blob {
    uint8_t *bytes;
    size_t count, cap;
};

void rig_ram_open(struct rig_ram *ram);
/* In a file that could be shortened: devices do not touch it with their own hands. */
void rig_ram_open_unsealed(struct rig_ram *ram);
void rig_ram_close(struct rig_ram *ram);

/* option: NULL-terminated list of "name=value" or NULL. ram: mapped at RIG_RAM_IOVA. */
void rig_open(struct rig *rig, const char *model, const char *const *option,
              const struct rig_ram *ram);
void rig_close(struct rig *rig);

/* Performs a request to its end. Return: its status. */
int rig_request(struct rig *rig, struct ferry_request *request);
int rig_map(struct rig *rig, uint64_t iova, uint64_t size, int fd, uint64_t offset);

int rig_read(struct rig *rig, uint32_t region, uint64_t off, void *ret_data,
             uint32_t count);
int rig_write(struct rig *rig, uint32_t region, uint64_t off, const void *data,
              uint32_t count);
uint32_t rig_read32(struct rig *rig, uint32_t region, uint64_t off);
void rig_write32(struct rig *rig, uint32_t region, uint64_t off, uint32_t value);
void rig_write64(struct rig *rig, uint32_t region, uint64_t off, uint64_t value);

/* Lets the device work until it waits. */
void rig_work(struct rig *rig);
/* Interrupts of a vector since the last call. */
uint64_t rig_irqs(struct rig *rig, uint32_t vector);

int rig_state(struct rig *rig, uint32_t state);
int rig_reset(struct rig *rig);
uint64_t rig_data_size(struct rig *rig);

/*
 * Reads the state in pieces of `piece` bytes until the end, or until there is nothing
 * now. Return: FERRY_OK (end), FERRY_E_DRY, another code.
 */
int rig_save(struct rig *rig, size_t piece, struct rig_blob *blob);
/* Writes a state in pieces. Return: the first status that is not FERRY_OK, or FERRY_OK.
 */
int rig_load(struct rig *rig, size_t piece, const struct rig_blob *blob);
/* STOP, RESUMING, load, STOP. Return: the first failure. */
int rig_resume(struct rig *rig, size_t piece, const struct rig_blob *blob);
void rig_blob_free(struct rig_blob *blob);

/* Numbers that look random and are the same each time. */
void rig_fill(uint8_t *to, size_t count, uint32_t seed);

#endif
