/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers/check/check_drivers.h"
#include "drivers/edu_driver.h"

/*
 * Two drivers of the same device. `edu` moves bytes out of its buffer only, since a
 * variant driver may refuse to save a device whose buffer was filled: no register gives
 * what is in there. `edu-buffer` fills it as well.
 */

/* Layout of the driver's memory. */
#define FILL_OFF 0x0000u  /* what goes into the buffer */
#define KNOWN_OFF 0x2000u /* what is in the buffer, as far as it is known */
#define BACK_OFF 0x4000u  /* what comes out of it */

/*
 * While nothing is under way the registers of transfers are free to hold what the others
 * must be: SRC, DST and COUNT seal LIVE and FACT, and with `edu-buffer` LIVE is a sum
 * over the buffer. So a state that was loaded is seen to be whole, whichever it is.
 */
#define SEALED 0x80000000u /* in SRC; no transfer has it */

/* A write that would take longer is not begun: 100 ms for each 4088 bytes. */
#define WRITE_MS_MAX 7000u

#define FACT_MIN 5u
#define FACT_KINDS 8u

struct edu_check {
    struct ferry_check_device *device;
    struct pci_function pci;
    uint8_t *memory; /* the driver's */
    uint64_t iova;
    uint32_t fills;     /* the buffer too */
    uint32_t is_known;  /* KNOWN_OFF has been read from the buffer, or put there */
    uint32_t round;     /* no two rounds of work carry the same bytes */
    uint32_t move_ms;   /* what a transfer took, at least */
    uint8_t *under_way; /* where one that was begun writes to; NULL: none */
    uint32_t under_way_bytes;
};

static int edu_matches(const uint8_t *config)
{
    return check_driver_is(config, EDU_PCI_VENDOR, EDU_PCI_DEVICE);
}

static int say(struct ferry_error *reterr, int rc, const char *what)
{
    return ferry_error_set(reterr, rc, "edu", NULL, 0, "%s: %s", what,
                           ferry_status_text(rc));
}

static void edu_stop(void *state)
{
    free(state);
}

static int is_idle(void *user)
{
    const struct edu_check *check = user;

    return edu_driver_idle(&check->pci);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

struct sum {
    const struct pci_function *pci;
    uint32_t result;
};

static int is_computed(void *user)
{
    struct sum *sum = user;

    return edu_driver_computed(sum->pci, &sum->result);
}

static int compute(struct edu_check *check, struct ferry_error *reterr)
{
    const uint32_t n = FACT_MIN + ++check->round % FACT_KINDS;
    struct sum sum = { &check->pci, 0 };
    int rc = edu_driver_compute(&check->pci, n, 0);

    if (rc == FERRY_OK) {
        rc = check_driver_wait(check->device, is_computed, &sum);
    }
    if (rc != FERRY_OK) {
        return say(reterr, rc, "a factorial");
    }
    if (sum.result != edu_driver_factorial(n)) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, "edu", NULL, EDU_REG_FACT,
                               "%u! is %u, and not %u", n, edu_driver_factorial(n),
                               sum.result);
    }
    return FERRY_OK;
}

static uint32_t sum_of(const uint8_t *bytes, uint32_t count)
{
    uint32_t sum = 2166136261u;

    for (uint32_t i = 0; i < count; i++) {
        sum = (sum ^ bytes[i]) * 16777619u;
    }
    return sum;
}

static uint32_t seal_of(uint32_t live, uint32_t fact, uint32_t number)
{
    uint32_t x = (live ^ number * 0x9e3779b9u) * 2654435761u;

    x = (x ^ x >> 15 ^ fact) * 2246822519u;
    return (x ^ x >> 13) | SEALED;
}

static const uint32_t seals[] = { EDU_REG_SRC, EDU_REG_DST, EDU_REG_COUNT };
#define SEALS (sizeof(seals) / sizeof(seals[0]))

/* Other numbers in all registers that keep some. Nothing is under way. */
static int seal(struct edu_check *check, struct ferry_error *reterr)
{
    const uint32_t live = check->fills ? sum_of(check->memory + KNOWN_OFF, EDU_MOVE_BYTES)
                                       : ++check->round * 2654435761u;
    int failed = compute(check, reterr);
    uint32_t fact, seen;

    if (failed != FERRY_OK) {
        return failed;
    }
    pci_write(&check->pci, EDU_BAR, EDU_REG_LIVE, ~live, 4, &failed);
    seen = (uint32_t)pci_read(&check->pci, EDU_BAR, EDU_REG_LIVE, 4, &failed);
    fact = (uint32_t)pci_read(&check->pci, EDU_BAR, EDU_REG_FACT, 4, &failed);
    for (uint32_t i = 0; i < SEALS; i++) {
        pci_write(&check->pci, EDU_BAR, seals[i], seal_of(live, fact, i), 4, &failed);
    }
    if (failed == FERRY_OK && seen != live) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, "edu", NULL, EDU_REG_LIVE,
                               "its first register gives 0x%08x for 0x%08x", seen, ~live);
    }
    return failed == FERRY_OK ? FERRY_OK : say(reterr, failed, "its registers");
}

/*
 * Are the registers what they were when they were sealed? ret_live: of sealed ones; not
 * sealed (a transfer was under way): ret_sealed is 0.
 */
static int unseal(struct edu_check *check, uint32_t *ret_sealed, uint32_t *ret_live,
                  struct ferry_error *reterr)
{
    int failed = FERRY_OK;
    const uint32_t live =
        (uint32_t)pci_read(&check->pci, EDU_BAR, EDU_REG_LIVE, 4, &failed);
    const uint32_t fact =
        (uint32_t)pci_read(&check->pci, EDU_BAR, EDU_REG_FACT, 4, &failed);
    uint32_t wrong = 0;

    *ret_live = live;
    *ret_sealed = 0;
    for (uint32_t i = 0; i < SEALS; i++) {
        const uint32_t seen =
            (uint32_t)pci_read(&check->pci, EDU_BAR, seals[i], 4, &failed);

        *ret_sealed = i == 0 ? seen & SEALED : *ret_sealed;
        wrong += seen != seal_of(live, fact, i);
    }
    if (failed != FERRY_OK) {
        return say(reterr, failed, "its registers");
    }
    return *ret_sealed == 0 || wrong == 0
               ? FERRY_OK
               : ferry_error_set(reterr, FERRY_E_DEVICE, "edu", NULL, EDU_REG_LIVE,
                                 "its registers are not those that were together when "
                                 "it was last used");
}

/* Has a transfer done. */
static int move(struct edu_check *check, uint32_t flags, uint64_t iova, uint32_t bytes,
                struct ferry_error *reterr)
{
    const struct edu_move edu_move = { .iova = iova, .bytes = bytes, .flags = flags };
    const uint64_t begun = now_ms();
    int rc = edu_driver_move(&check->pci, &edu_move);

    if (rc == FERRY_OK) {
        rc = check_driver_wait(check->device, is_idle, check);
    }
    if (rc == FERRY_OK && now_ms() - begun < check->move_ms) {
        check->move_ms = (uint32_t)(now_ms() - begun);
    }
    return rc == FERRY_OK ? FERRY_OK : say(reterr, rc, "a transfer");
}

static void noise(struct edu_check *check, uint8_t *to, uint32_t bytes)
{
    uint32_t x = ++check->round * 2654435761u;

    for (uint32_t i = 0; i < bytes; i++) {
        x = x * 1664525u + 1013904223u;
        to[i] = (uint8_t)(x >> 24);
    }
}

/* Takes a copy of the buffer. Whatever is in there, it is not what memory held before. */
static int learn(struct edu_check *check, uint32_t flags, struct ferry_error *reterr)
{
    uint8_t *known = check->memory + KNOWN_OFF;
    uint8_t *before = check->memory + BACK_OFF;
    uint32_t same = 0;
    int rc;

    noise(check, before, EDU_MOVE_BYTES);
    memcpy(known, before, EDU_MOVE_BYTES);
    rc = move(check, EDU_DMA_TO_RAM | flags, check->iova + KNOWN_OFF, EDU_MOVE_BYTES,
              reterr);
    for (uint32_t i = 0; i < EDU_MOVE_BYTES; i++) {
        same += before[i] == known[i]; /* some are, by chance: one of 256 */
    }
    if (rc == FERRY_OK && same > EDU_MOVE_BYTES / 16) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, "edu", NULL, 0,
                               "a transfer is done, but %u of %u bytes did not come",
                               same, EDU_MOVE_BYTES);
    }
    check->is_known = rc == FERRY_OK;
    return rc;
}

/* Other bytes into the buffer: the complement of what is at `unlike`, and noise behind
 * it. */
static int fill(struct edu_check *check, const uint8_t *unlike, uint32_t bytes,
                struct ferry_error *reterr)
{
    uint8_t *from = check->memory + FILL_OFF;
    int rc;

    noise(check, from, EDU_MOVE_BYTES);
    for (uint32_t i = 0; i < bytes; i++) {
        from[i] = (uint8_t)~unlike[i];
    }
    rc = move(check, 0, check->iova + FILL_OFF, EDU_MOVE_BYTES, reterr);
    if (rc == FERRY_OK) {
        memcpy(check->memory + KNOWN_OFF, from, EDU_MOVE_BYTES);
        check->is_known = 1;
    }
    return rc;
}

/* No byte of the target is as it will be. */
static void make_unlike(const struct edu_check *check, uint8_t *target, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        target[i] = (uint8_t)~check->memory[KNOWN_OFF + i];
    }
}

/*
 * Did the buffer's first bytes arrive? What is known of it may be of before a load.
 */
static int arrived(struct edu_check *check, const uint8_t *target, uint32_t bytes,
                   struct ferry_error *reterr)
{
    int rc = FERRY_OK;

    if (memcmp(target, check->memory + KNOWN_OFF, bytes) != 0) {
        rc = learn(check, 0, reterr);
    }
    if (rc == FERRY_OK && memcmp(target, check->memory + KNOWN_OFF, bytes) != 0) {
        rc = ferry_error_set(reterr, FERRY_E_DEVICE, "edu", NULL, 0,
                             "a transfer is done, but its bytes are not in memory");
    }
    return rc;
}

static int edu_settle(void *state, struct ferry_error *reterr)
{
    struct edu_check *check = state;
    uint8_t *target = check->under_way;
    int rc;

    if (target != NULL) {
        rc = check_driver_wait(check->device, is_idle, check);
        check->under_way = NULL;
        if (rc != FERRY_OK) {
            return say(reterr, rc, "a transfer that was begun");
        }
        rc = arrived(check, target, check->under_way_bytes, reterr);
        return rc == FERRY_OK ? seal(check, reterr) : rc;
    }
    return FERRY_OK;
}

/* Readies the buffer for a write to the target, which will not be as it is now. */
static int prepare(struct edu_check *check, uint8_t *target, uint32_t bytes,
                   struct ferry_error *reterr)
{
    const uint8_t *known = check->memory + KNOWN_OFF;
    int rc = check->is_known ? FERRY_OK : learn(check, 0, reterr);
    uint32_t same = 0;

    for (uint32_t i = 0; i < bytes; i++) {
        same += target[i] == known[i];
    }
    if (rc == FERRY_OK && check->fills) {
        return same > 0 ? fill(check, target, bytes, reterr) : FERRY_OK;
    }
    if (rc == FERRY_OK) {
        make_unlike(check, target, bytes); /* the buffer stays: so memory has to differ */
    }
    return rc;
}

static uint32_t piece_of(uint64_t bytes)
{
    return bytes < EDU_MOVE_BYTES ? (uint32_t)bytes : EDU_MOVE_BYTES;
}

static int edu_write(void *state, uint64_t iova, uint64_t bytes,
                     struct ferry_error *reterr)
{
    struct edu_check *check = state;
    const uint64_t moves = (bytes + EDU_MOVE_BYTES - 1) / EDU_MOVE_BYTES;
    uint8_t *target = ferry_check_memory_at(check->device, iova, bytes);
    int rc = edu_settle(check, reterr);

    if (target == NULL) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "edu", NULL, iova,
                               "not in the memory");
    }
    if (rc == FERRY_OK && !check->is_known) {
        rc = learn(check, 0, reterr); /* and learn how fast it is */
    }
    if (rc == FERRY_OK && moves * (1u + check->fills) * check->move_ms > WRITE_MS_MAX) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "edu", NULL, iova,
                               "%llu bytes take too long at %u ms for each %u",
                               (unsigned long long)bytes, check->move_ms, EDU_MOVE_BYTES);
    }
    while (rc == FERRY_OK && bytes > 0) {
        const uint32_t piece = piece_of(bytes);

        rc = prepare(check, target, piece, reterr);
        if (rc == FERRY_OK) {
            rc = move(check, EDU_DMA_TO_RAM, iova, piece, reterr);
        }
        if (rc == FERRY_OK) {
            rc = arrived(check, target, piece, reterr);
        }
        iova += piece;
        target += piece;
        bytes -= piece;
    }
    return rc == FERRY_OK ? seal(check, reterr) : rc;
}

/* One transfer is all that the device can have under way. */
static int edu_begin(void *state, uint64_t iova, uint64_t bytes,
                     struct ferry_error *reterr)
{
    struct edu_check *check = state;
    const uint32_t piece = piece_of(bytes);
    const struct edu_move edu_move = { iova, 0, piece, EDU_DMA_TO_RAM | EDU_DMA_IRQ, 0 };
    uint8_t *target = ferry_check_memory_at(check->device, iova, bytes);
    int rc = edu_settle(check, reterr);

    if (target == NULL) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "edu", NULL, iova,
                               "not in the memory");
    }
    if (rc != FERRY_OK || bytes == 0) {
        return rc;
    }
    rc = prepare(check, target, piece, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    rc = edu_driver_move(&check->pci, &edu_move);
    if (rc != FERRY_OK) {
        return say(reterr, rc, "a transfer");
    }
    check->under_way = target;
    check->under_way_bytes = piece;
    return FERRY_OK;
}

/* An interrupt at the end of a transfer, with its cause. */
static int interrupted(struct edu_check *check, struct ferry_error *reterr)
{
    uint32_t cause = 0;
    int rc = ferry_check_irq_wait(check->device, 0, CHECK_DRIVER_TIMEOUT_MS);

    if (rc == FERRY_OK) {
        rc = edu_driver_ack(&check->pci, &cause);
    }
    if (rc != FERRY_OK) {
        return say(reterr, rc, "no interrupt for a transfer that is done");
    }
    return (cause & EDU_CAUSE_DMA) != 0
               ? FERRY_OK
               : ferry_error_set(reterr, FERRY_E_DEVICE, "edu", NULL, EDU_REG_CAUSE,
                                 "the cause of an interrupt is 0x%x", cause);
}

/* The buffer is what it was when it was last filled. sealed: by this sum. */
static int look_at_buffer(struct edu_check *check, uint32_t sealed, uint32_t sum,
                          struct ferry_error *reterr)
{
    const int rc = learn(check, EDU_DMA_IRQ, reterr);

    return rc != FERRY_OK || !check->fills || !sealed ||
                   sum_of(check->memory + KNOWN_OFF, EDU_MOVE_BYTES) == sum
               ? rc
               : ferry_error_set(reterr, FERRY_E_DEVICE, "edu", NULL, EDU_BUFFER,
                                 "the buffer does not hold what was put there");
}

static int edu_works(void *state, struct ferry_error *reterr)
{
    struct edu_check *check = state;
    uint32_t sealed = 0, live = 0;
    int rc = edu_settle(check, reterr);

    if (rc == FERRY_OK) {
        rc = unseal(check, &sealed, &live, reterr);
    }
    if (rc == FERRY_OK) {
        rc = edu_driver_ack(&check->pci, NULL);
        (void)ferry_check_irq_wait(check->device, 0, 0); /* of what was before */
    }
    if (rc == FERRY_OK) {
        rc = look_at_buffer(check, sealed, live, reterr);
    }
    if (rc == FERRY_OK) {
        rc = interrupted(check, reterr);
    }
    if (rc == FERRY_OK && check->fills) {
        rc = fill(check, NULL, 0, reterr);
    }
    return rc == FERRY_OK ? seal(check, reterr) : rc;
}

static int edu_change(void *state, struct ferry_error *reterr)
{
    struct edu_check *check = state;
    int rc = edu_settle(check, reterr);

    if (rc == FERRY_OK && check->fills) {
        rc = fill(check, check->memory + KNOWN_OFF, EDU_MOVE_BYTES, reterr);
    }
    return rc == FERRY_OK ? seal(check, reterr) : rc;
}

static int start(struct ferry_check_device *device, uint32_t fills, void **ret_state,
                 struct ferry_error *reterr)
{
    struct edu_check *check = calloc(1, sizeof(*check));
    uint64_t bytes;
    int rc;

    if (check == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "edu", NULL, 0, "no memory");
    }
    check->device = device;
    check->pci.check = device;
    check->fills = fills;
    check->move_ms = UINT32_MAX;
    check->memory = ferry_check_memory(device, &check->iova, &bytes);
    rc = ferry_check_irqs(device, EDU_DRIVER_VECTORS);
    if (rc != FERRY_OK) {
        say(reterr, rc, "no interrupts");
    } else {
        rc = edu_driver_init(&check->pci, reterr);
    }
    /* One of the user before may be under way: a reset of the device does not end it. */
    if (rc == FERRY_OK) {
        rc = check_driver_wait(device, is_idle, check);
        rc = rc == FERRY_OK ? edu_driver_ack(&check->pci, NULL) : rc;
        if (rc != FERRY_OK) {
            say(reterr, rc, "it is not idle");
        }
    }
    if (rc == FERRY_OK && fills) {
        rc = fill(check, NULL, 0, reterr);
    }
    if (rc == FERRY_OK) {
        rc = seal(check, reterr);
    }
    if (rc != FERRY_OK) {
        edu_stop(check);
        return rc;
    }
    *ret_state = check;
    return FERRY_OK;
}

static int edu_start(struct ferry_check_device *device, void **ret_state,
                     struct ferry_error *reterr)
{
    return start(device, 0, ret_state, reterr);
}

static int edu_start_buffer(struct ferry_check_device *device, void **ret_state,
                            struct ferry_error *reterr)
{
    return start(device, 1, ret_state, reterr);
}

const struct ferry_check_driver check_driver_edu = {
    .struct_size = sizeof(check_driver_edu),
    .name = "edu",
    .matches = edu_matches,
    .start = edu_start,
    .stop = edu_stop,
    .works = edu_works,
    .write = edu_write,
    .begin = edu_begin,
    .settle = edu_settle,
    .change = edu_change,
};

const struct ferry_check_driver check_driver_edu_buffer = {
    .struct_size = sizeof(check_driver_edu_buffer),
    .name = "edu-buffer",
    .matches = edu_matches,
    .start = edu_start_buffer,
    .stop = edu_stop,
    .works = edu_works,
    .write = edu_write,
    .begin = edu_begin,
    .settle = edu_settle,
    .change = edu_change,
};
