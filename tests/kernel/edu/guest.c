/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/kernel/edu/guest.h"

#include <assert.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "drivers/edu_driver.h"

#define PAGE FERRY_PAGE_BYTES
#define PAGES (EDU_GUEST_BYTES / PAGE)
/* Pages of the memory; the others keep what they had at first. */
#define FILL 1u  /* what goes into the buffer */
#define KNOWN 2u /* what is in it */
#define OWN 3u   /* those before are the guest's own: no copy is kept */
#define CPU_FIRST 16u
#define CPU_COUNT 32u
#define WORK_FIRST 64u /* where transfers go to */
#define WORK_COUNT 512u
#define IRQ_LIMIT_S 3 /* that an interrupt may be later than its transfer's end */

enum phase { IDLE, IN, OUT };

struct edu_guest {
    uint64_t seed;
    uint32_t phase, fills;
    uint32_t bytes, irqs_due;
    uint64_t target; /* offset in the memory */
    struct edu_figures figures;
};
static_assert(sizeof(struct edu_guest) <= PAGE, "a page");

static uint8_t shadow[EDU_GUEST_BYTES];
static time_t done_at; /* the transfer was seen to be done; 0: it was not */
static int has_moved;  /* since the last transfer */

static struct edu_guest *guest_of(const struct edu_place *place)
{
    return guest_at(&place->ram, EDU_GUEST_IOVA, sizeof(struct edu_guest));
}

static uint8_t *page_at(const struct edu_place *place, uint32_t page)
{
    return guest_at(&place->ram, EDU_GUEST_IOVA + page * PAGE, PAGE);
}

static uint64_t some(struct edu_guest *guest, uint64_t below)
{
    guest->seed ^= guest->seed << 13;
    guest->seed ^= guest->seed >> 7;
    guest->seed ^= guest->seed << 17;
    return guest->seed % below;
}

static void noise(struct edu_guest *guest, uint8_t *to, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)some(guest, 256);
    }
}

static void remember(const struct edu_place *place)
{
    guest_wrote(&place->ram, guest_of(place), sizeof(struct edu_guest));
}

static int fault(struct ferry_error *reterr, const struct edu_guest *guest,
                 const char *what)
{
    return ferry_error_set(reterr, FERRY_E_DEVICE, "guest", NULL,
                           guest->figures.transfers, "transfer %llu: %s",
                           (unsigned long long)guest->figures.transfers, what);
}

/* The CPU writes a few bytes somewhere. */
static void write_by_cpu(const struct edu_place *place)
{
    struct edu_guest *guest = guest_of(place);
    const uint64_t at =
        (CPU_FIRST + some(guest, CPU_COUNT)) * PAGE + some(guest, PAGE / 8) * 8;
    const uint64_t value = some(guest, UINT64_MAX);

    memcpy(shadow + at, &value, sizeof(value));
    guest_copy(&place->ram, guest_at(&place->ram, EDU_GUEST_IOVA + at, 8), &value,
               sizeof(value));
    guest->figures.touched++;
}

static int begin_in(const struct edu_place *place)
{
    struct edu_guest *guest = guest_of(place);
    const struct edu_move move = { .iova = EDU_GUEST_IOVA + FILL * PAGE,
                                   .bytes = EDU_MOVE_BYTES,
                                   .flags = EDU_DMA_IRQ };

    noise(guest, page_at(place, FILL), PAGE);
    guest_wrote(&place->ram, page_at(place, FILL), PAGE);
    guest_copy(&place->ram, page_at(place, KNOWN), page_at(place, FILL), PAGE);
    guest->figures.touched += 2;
    guest->phase = IN;
    return edu_driver_move(&place->pci, &move);
}

/* Whatever was there is made other than what will be, and the copy has it at once. */
static int begin_out(const struct edu_place *place)
{
    struct edu_guest *guest = guest_of(place);
    const uint8_t *known = page_at(place, KNOWN);
    const uint64_t target =
        (WORK_FIRST + some(guest, WORK_COUNT)) * PAGE + some(guest, PAGE);
    const uint32_t bytes = 1 + (uint32_t)some(guest, EDU_MOVE_BYTES);
    const struct edu_move move = { .iova = EDU_GUEST_IOVA + target,
                                   .bytes = bytes,
                                   .flags = EDU_DMA_TO_RAM | EDU_DMA_IRQ };
    uint8_t *at = guest_at(&place->ram, EDU_GUEST_IOVA + target, bytes);

    for (uint32_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)~known[i];
    }
    guest_wrote(&place->ram, at, bytes);
    memcpy(shadow + target, known, bytes);
    guest->target = target;
    guest->bytes = bytes;
    guest->figures.touched += 4; /* two pages, by the CPU and by the device */
    guest->phase = OUT;
    return edu_driver_move(&place->pci, &move);
}

static int begin(const struct edu_place *place, struct ferry_error *reterr)
{
    struct edu_guest *guest = guest_of(place);
    int rc;

    write_by_cpu(place);
    guest->figures.transfers++;
    guest->figures.touched++; /* page 0 */
    guest->irqs_due++;
    done_at = 0;
    rc = guest->fills && guest->figures.transfers % 2 == 1 && !has_moved
             ? begin_in(place)
             : begin_out(place);
    has_moved = 0;
    remember(place);
    return rc == FERRY_OK
               ? FERRY_OK
               : ferry_error_set(reterr, rc, "guest", NULL, 0,
                                 "a transfer is not taken: %s", ferry_status_text(rc));
}

static void take_interrupts(const struct edu_place *place)
{
    struct edu_guest *guest = guest_of(place);
    eventfd_t count;

    if (eventfd_read(place->irq, &count) == 0) {
        guest->figures.interrupts += count;
        guest->irqs_due -= count < guest->irqs_due ? (uint32_t)count : guest->irqs_due;
        remember(place);
    }
}

/* Is the transfer done, and all of it here? Return: 1, 0, or negative. */
static int look(const struct edu_place *place, struct ferry_error *reterr)
{
    struct edu_guest *guest = guest_of(place);
    int rc;

    take_interrupts(place);
    rc = edu_driver_idle(&place->pci);
    if (rc != 1) {
        return rc == 0 ? 0 : fault(reterr, guest, ferry_status_text(rc));
    }
    if (guest->phase == OUT && memcmp(place->ram.address + guest->target,
                                      shadow + guest->target, guest->bytes) != 0) {
        return fault(reterr, guest, "it is done, but its bytes are not in memory");
    }
    if (guest->irqs_due > 0) {
        done_at = done_at == 0 ? time(NULL) : done_at;
        return time(NULL) - done_at <= IRQ_LIMIT_S
                   ? 0
                   : fault(reterr, guest, "it is done, but there was no interrupt");
    }
    rc = edu_driver_ack(&place->pci, NULL);
    return rc == FERRY_OK ? 1 : fault(reterr, guest, ferry_status_text(rc));
}

int edu_guest_turn(const struct edu_place *place, struct ferry_error *reterr)
{
    struct edu_guest *guest = guest_of(place);

    if (guest->phase != IDLE) {
        const int rc = look(place, reterr);

        if (rc != 1) {
            return rc;
        }
        guest->phase = IDLE;
        remember(place);
    }
    return begin(place, reterr);
}

void edu_guest_moved(void)
{
    has_moved = 1;
}

int edu_guest_is_busy(const struct edu_place *place)
{
    return edu_driver_idle(&place->pci) == 0;
}

/* What is in the buffer: a transfer, before anybody looks. */
static int learn(const struct edu_place *place, struct ferry_error *reterr)
{
    struct edu_guest *guest = guest_of(place);
    const struct edu_move move = { .iova = EDU_GUEST_IOVA + KNOWN * PAGE,
                                   .bytes = EDU_MOVE_BYTES,
                                   .flags = EDU_DMA_TO_RAM };
    const time_t begun = time(NULL);
    int rc = edu_driver_move(&place->pci, &move);

    for (int idle = 0; rc == FERRY_OK && idle != 1;) {
        idle = edu_driver_idle(&place->pci);
        rc = idle < 0 ? idle : FERRY_OK;
        if (rc == FERRY_OK && time(NULL) - begun > IRQ_LIMIT_S) {
            rc = FERRY_E_TIMEOUT;
        }
    }
    return rc == FERRY_OK ? FERRY_OK : fault(reterr, guest, ferry_status_text(rc));
}

int edu_guest_boot(const struct edu_place *place, uint32_t fills,
                   struct ferry_error *reterr)
{
    struct edu_guest *guest = guest_of(place);
    struct edu_guest first = { .seed = 88172645463325252ull, .fills = fills };
    int rc = edu_driver_init(&place->pci, reterr);

    noise(&first, place->ram.address, EDU_GUEST_BYTES);
    *guest = first;
    guest_wrote(&place->ram, place->ram.address, EDU_GUEST_BYTES);
    if (rc == FERRY_OK) {
        rc = edu_driver_ack(&place->pci, NULL);
    }
    if (rc == FERRY_OK) {
        rc = learn(place, reterr);
    }
    memcpy(shadow, place->ram.address, EDU_GUEST_BYTES);
    return rc;
}

int edu_guest_compare(const struct edu_place *place, struct ferry_error *reterr)
{
    struct edu_guest *guest = guest_of(place);

    while (guest->phase != IDLE) {
        const struct timespec rest = { .tv_nsec = 1000000 };
        const int rc = look(place, reterr);

        if (rc < 0) {
            return rc;
        }
        guest->phase = rc == 1 ? IDLE : guest->phase;
        (void)nanosleep(&rest, NULL);
    }
    for (uint64_t page = OWN; page < PAGES; page++) {
        if (memcmp(place->ram.address + page * PAGE, shadow + page * PAGE, PAGE) != 0) {
            return ferry_error_set(reterr, FERRY_E_CORRUPT, "guest", NULL, page * PAGE,
                                   "page %llu of the memory is not what it must be",
                                   (unsigned long long)page);
        }
    }
    return FERRY_OK;
}

void edu_guest_figures(const struct edu_place *place, struct edu_figures *ret_figures)
{
    *ret_figures = guest_of(place)->figures;
}
