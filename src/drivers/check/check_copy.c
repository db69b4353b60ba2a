/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/check/check_drivers.h"
#include "drivers/copy_driver.h"
#include "models/copy/copy_regs.h"

/* Layout of the driver's memory: the rings, then two sources and a target. */
#define ENTRIES 4096u
#define PIECE_BYTES (1u << 20) /* of a descriptor, and of each area */
#define AREA_OFF(i) (((uint64_t)(i) + 1) * PIECE_BYTES)
#define AREA_A 0
#define AREA_B 1
#define AREA_BACK 2

/* What begin() queues: enough to be under way for a while. */
#define BEGUN_BYTES (64u << 20)
#define BEGUN_ROUNDS_MIN 4u

#define PAGE 4096u

struct copy_check {
    struct ferry_check_device *device;
    struct pci_function pci;
    struct guest_ram ram;
    struct copy_driver copy;
    uint64_t memory_bytes; /* the device's own; its upper half is the driver's */
    uint32_t under_way, next_id;
    uint32_t round;  /* no two rounds of work carry the same bytes */
    uint32_t failed; /* enum copy_status of the first job that did */
};

static_assert(AREA_OFF(AREA_BACK) + PIECE_BYTES <= 4u << 20, "the driver's memory");

static int copy_matches(const uint8_t *config)
{
    return check_driver_is(config, COPY_PCI_VENDOR, COPY_PCI_DEVICE);
}

static void copy_stop(void *state)
{
    free(state);
}

static int copy_start(struct ferry_check_device *device, void **ret_state,
                      struct ferry_error *reterr)
{
    struct copy_check *check = calloc(1, sizeof(*check));
    int rc;

    if (check == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "copy", NULL, 0, "no memory");
    }
    check->device = device;
    check->pci.check = device;
    check->ram.address = ferry_check_memory(device, &check->ram.iova, &check->ram.size);
    rc = ferry_check_irqs(device, COPY_DRIVER_VECTORS);
    if (rc != FERRY_OK) {
        ferry_error_set(reterr, rc, "copy", NULL, 0, "no interrupts: %s",
                        ferry_status_text(rc));
    } else {
        rc = copy_driver_init(&check->pci, &check->ram, &check->copy, check->ram.iova,
                              ENTRIES, PAGE, reterr);
    }
    if (rc == FERRY_OK) {
        check->memory_bytes =
            pci_read(&check->pci, COPY_BAR_REGS, COPY_REG_MEMORY, 8, &rc);
    }
    if (rc != FERRY_OK) {
        copy_stop(check);
        return rc;
    }
    *ret_state = check;
    return FERRY_OK;
}

static uint64_t area_iova(const struct copy_check *check, uint32_t area)
{
    return check->ram.iova + AREA_OFF(area);
}

static uint8_t *area(const struct copy_check *check, uint32_t number)
{
    return check->ram.address + AREA_OFF(number);
}

/* Queues a job; the device does not hear of it before kick(). */
static void submit(struct copy_check *check, uint32_t flags, uint64_t from, uint64_t to,
                   uint64_t bytes)
{
    const struct copy_job job = { check->next_id++, flags, from, to, bytes };

    copy_driver_submit(&check->ram, &check->copy, &job);
    check->under_way++;
}

/* Takes what is there. Return: 1 when nothing is under way any more. */
static int take_all(void *user)
{
    struct copy_check *check = user;
    struct copy_result result;

    while (check->under_way > 0 &&
           copy_driver_take(&check->ram, &check->copy, &result) == 1) {
        check->under_way--;
        if (result.status != COPY_DONE && check->failed == COPY_DONE) {
            check->failed = result.status;
        }
    }
    return check->under_way == 0;
}

static int copy_settle(void *state, struct ferry_error *reterr)
{
    struct copy_check *check = state;
    const uint32_t before = check->under_way;
    int rc = check_driver_wait(check->device, take_all, check);

    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, "copy", NULL, 0,
                               "%u of %u jobs are not completed: %s", check->under_way,
                               before, ferry_status_text(rc));
    }
    if (check->failed != COPY_DONE) {
        rc = ferry_error_set(reterr, FERRY_E_DEVICE, "copy", NULL, 0,
                             "a job ended with status %u", check->failed);
        check->failed = COPY_DONE;
    }
    return rc;
}

/* Has the queued jobs done. */
static int run(struct copy_check *check, struct ferry_error *reterr)
{
    const int rc = copy_driver_kick(&check->pci, &check->copy);

    return rc == FERRY_OK ? copy_settle(check, reterr)
                          : ferry_error_set(reterr, rc, "copy", NULL, 0,
                                            "the doorbell: %s", ferry_status_text(rc));
}

static uint64_t piece_of(uint64_t bytes)
{
    return bytes < PIECE_BYTES ? bytes : PIECE_BYTES;
}

static int copy_write(void *state, uint64_t iova, uint64_t bytes,
                      struct ferry_error *reterr)
{
    struct copy_check *check = state;
    int rc = copy_settle(check, reterr);

    while (rc == FERRY_OK && bytes > 0) {
        const uint64_t piece = piece_of(bytes);
        const uint8_t *now = ferry_check_memory_at(check->device, iova, piece);

        if (now == NULL) {
            return ferry_error_set(reterr, FERRY_E_RANGE, "copy", NULL, iova,
                                   "not in the memory");
        }
        for (uint64_t i = 0; i < piece; i++) {
            area(check, AREA_A)[i] = (uint8_t)(now[i] ^ 0xa5u); /* each byte is another */
        }
        submit(check, 0, area_iova(check, AREA_A), iova, piece);
        rc = run(check, reterr);
        iova += piece;
        bytes -= piece;
    }
    return rc;
}

static void fill(struct copy_check *check, uint32_t number, uint64_t bytes)
{
    uint32_t x = ++check->round * 2654435761u;

    for (uint64_t i = 0; i < bytes; i++) {
        x = x * 1664525u + 1013904223u;
        area(check, number)[i] = (uint8_t)(x >> 24);
    }
}

static int copy_begin(void *state, uint64_t iova, uint64_t bytes,
                      struct ferry_error *reterr)
{
    struct copy_check *check = state;
    int rc = copy_settle(check, reterr);
    const uint64_t pieces = (bytes + PIECE_BYTES - 1) / PIECE_BYTES;
    uint64_t rounds;

    if (rc != FERRY_OK || bytes == 0) {
        return rc;
    }
    if (ferry_check_memory_at(check->device, iova, bytes) == NULL) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "copy", NULL, iova,
                               "not in the memory");
    }
    fill(check, AREA_A, piece_of(bytes));
    fill(check, AREA_B, piece_of(bytes));
    rounds = BEGUN_BYTES / bytes;
    rounds = rounds < BEGUN_ROUNDS_MIN ? BEGUN_ROUNDS_MIN : rounds;
    rounds = rounds > (ENTRIES - 1) / pieces ? (ENTRIES - 1) / pieces : rounds;
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint64_t off = 0; off < bytes; off += PIECE_BYTES) {
            submit(check, 0, area_iova(check, round % 2 == 0 ? AREA_A : AREA_B),
                   iova + off, piece_of(bytes - off));
        }
    }
    rc = copy_driver_kick(&check->pci, &check->copy);
    return rc == FERRY_OK ? FERRY_OK
                          : ferry_error_set(reterr, rc, "copy", NULL, 0,
                                            "the doorbell: %s", ferry_status_text(rc));
}

/* Into the device's memory, within it, and back: the bytes and the interrupt arrive. */
static int copy_works(void *state, struct ferry_error *reterr)
{
    struct copy_check *check = state;
    const uint64_t half = check->memory_bytes / 2;
    int rc = copy_settle(check, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    (void)ferry_check_irq_wait(check->device, 0, 0); /* of what was before */
    fill(check, AREA_A, PAGE);
    memset(area(check, AREA_BACK), 0, PAGE);
    submit(check, COPY_F_DST_LOCAL, area_iova(check, AREA_A), half, PAGE);
    submit(check, COPY_F_SRC_LOCAL | COPY_F_DST_LOCAL, half, half + PAGE, PAGE);
    submit(check, COPY_F_SRC_LOCAL, half + PAGE, area_iova(check, AREA_BACK), PAGE);
    rc = run(check, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    if (memcmp(area(check, AREA_A), area(check, AREA_BACK), PAGE) != 0) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, "copy", NULL, 0,
                               "what went through the device came back changed");
    }
    rc = ferry_check_irq_wait(check->device, 0, CHECK_DRIVER_TIMEOUT_MS);
    return rc == FERRY_OK ? FERRY_OK
                          : ferry_error_set(reterr, rc, "copy", NULL, 0,
                                            "no interrupt for completed jobs: %s",
                                            ferry_status_text(rc));
}

/* Turns the bits of the last page of the device's memory over. */
static int copy_change(void *state, struct ferry_error *reterr)
{
    struct copy_check *check = state;
    const uint64_t page = check->memory_bytes - PAGE;
    int rc = copy_settle(check, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    submit(check, COPY_F_SRC_LOCAL, page, area_iova(check, AREA_BACK), PAGE);
    rc = run(check, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    for (uint32_t i = 0; i < PAGE; i++) {
        area(check, AREA_BACK)[i] = (uint8_t)~area(check, AREA_BACK)[i];
    }
    submit(check, COPY_F_DST_LOCAL, area_iova(check, AREA_BACK), page, PAGE);
    return run(check, reterr);
}

static void copy_scratch(void *state, uint32_t *ret_region, uint64_t *ret_off,
                         uint64_t *ret_bytes)
{
    const struct copy_check *check = state;

    *ret_region = COPY_BAR_MEMORY;
    *ret_off = 0;
    *ret_bytes = check->memory_bytes / 2;
}

const struct ferry_check_driver check_driver_copy = {
    .struct_size = sizeof(check_driver_copy),
    .name = "copy",
    .matches = copy_matches,
    .start = copy_start,
    .stop = copy_stop,
    .works = copy_works,
    .write = copy_write,
    .begin = copy_begin,
    .settle = copy_settle,
    .change = copy_change,
    .scratch = copy_scratch,
};
