/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two user contexts of this process with a `copy` device each: a guest whose memory the
 * device writes all the time moves from one to the other and back. Every byte of its
 * memory is compared with what the guest and its device wrote, so a page that dirty
 * tracking lost is seen.
 *
 * usage: kernel_live URI URI [MOVES]
 * Prints for each move "moved rounds R memory BYTES stop BYTES", and at the end
 * "interrupts N jobs N". Exit: 0; 1 with what did not hold on standard error.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "drivers/copy_driver.h"

#define IOVA 0x100000ull
#define PAGE FERRY_PAGE_BYTES
#define BYTES (8ull << 20)
/* Pages of the memory; the others keep what they had at first. */
#define RINGS 1u
#define CPU_FIRST 16u
#define CPU_COUNT 32u
#define WORK_FIRST 64u /* which the device copies to and fro in */
#define WORK_COUNT 128u
#define ENTRIES 64u
#define JOBS 400 /* before a move and after the last */
#define LIMIT_TURNS 200000
#define BUSY_ROUNDS 3u /* of memory in which the guest works as fast as it can */

struct side {
    const char *uri;
    struct ferry_context *context;
    struct guest_ram ram;
    struct ferry_memory memory;
    int irq;
    uint32_t paused, outcome, slow;
    struct ferry_report report;
};

static struct side sides[2];
static uint8_t *shadow; /* what the memory must be; without the driver's own pages */
static uint64_t interrupts, jobs;
static uint64_t seed = 88172645463325252ull;

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

static void check(int holds, const char *what, int line)
{
    if (!holds) {
        fprintf(stderr, "live.c:%d: does not hold: %s\n", line, what);
        exit(1);
    }
}

static void must(int status, const struct ferry_error *error, int line)
{
    if (status < 0) {
        fprintf(stderr, "live.c:%d: %s: %s\n", line, ferry_status_text(status),
                error->text);
        exit(1);
    }
}

static uint64_t some(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

/* --- the context */

static int pause_cpus(void *user, struct ferry_context *context)
{
    (void)context;
    ((struct side *)user)->paused = 1; /* the guest works in this thread */
    return FERRY_OK;
}

static int resume_cpus(void *user, struct ferry_context *context)
{
    (void)context;
    ((struct side *)user)->paused = 0;
    return FERRY_OK;
}

static void track_cpus(void *user, struct ferry_context *context, int start)
{
    (void)user, (void)context, (void)start; /* the driver marks what it writes */
}

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    struct side *side = user;

    (void)context;
    side->slow |= event->progress.round >= BUSY_ROUNDS;
    if (event->kind == FERRY_HOST_FINISHED) {
        side->outcome = event->report->outcome;
        side->report = *event->report;
    }
}

static void open_side(struct side *side, const char *uri)
{
    static const struct ferry_context_ops ops = {
        .struct_size = sizeof(ops),
        .pause_cpus = pause_cpus,
        .resume_cpus = resume_cpus,
        .track_cpus = track_cpus,
        .event = on_event,
    };
    const struct ferry_context_options options = { .struct_size = sizeof(options),
                                                   .ops = &ops,
                                                   .user = side };
    struct ferry_error error = { 0 };

    side->uri = uri;
    side->paused = 1;
    side->memory =
        (struct ferry_memory){ .iova = IOVA, .size = BYTES, .writable = 1, .fd = -1 };
    must(ferry_memory_create(BYTES, &side->memory.fd, &side->memory.address, &error),
         &error, __LINE__);
    memset(side->memory.address, 0xa5, BYTES);
    must(ferry_context_create(&options, &side->context, &error), &error, __LINE__);
    must(ferry_context_add_memory(side->context, &side->memory, &error), &error,
         __LINE__);
    must(ferry_context_add_device(side->context, "copy", uri, &error), &error, __LINE__);
    side->irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(ferry_context_set_irqs(side->context, 0, &side->irq, 1, &error), &error,
         __LINE__);
    side->ram = (struct guest_ram){ .context = side->context,
                                    .address = side->memory.address,
                                    .iova = IOVA,
                                    .size = BYTES };
}

static void close_side(struct side *side)
{
    ferry_context_destroy(side->context);
    close(side->irq);
    close(side->memory.fd);
}

/* --- the guest */

static struct pci_function pci_of(const struct side *side)
{
    return (struct pci_function){ .context = side->context };
}

static struct copy_driver *driver_of(const struct side *side)
{
    return guest_at(&side->ram, IOVA, sizeof(struct copy_driver));
}

/* Whoever comes to a machine finds its memory full of something. */
static void boot(struct side *side)
{
    const struct pci_function pci = pci_of(side);
    uint8_t *memory = side->memory.address;
    struct ferry_error error = { 0 };

    for (uint64_t i = 0; i < BYTES; i += 8) {
        const uint64_t value = some(UINT64_MAX);

        memcpy(memory + i, &value, sizeof(value));
    }
    memcpy(shadow, memory, BYTES);
    ferry_context_mark_dirty(side->context, IOVA, BYTES);
    must(copy_driver_init(&pci, &side->ram, driver_of(side), IOVA + RINGS * PAGE, ENTRIES,
                          0, &error),
         &error, __LINE__);
    side->paused = 0;
}

/* The device copies at most a page to somewhere else; the shadow has it at once, since
 * the device keeps the order. */
static void submit(struct side *side)
{
    struct copy_job job = { .id = (uint32_t)jobs, .bytes = 1 + some(PAGE) };
    const uint64_t from = (WORK_FIRST + some(WORK_COUNT / 2)) * PAGE + some(PAGE);
    const uint64_t to =
        (WORK_FIRST + WORK_COUNT / 2 + 2 + some(WORK_COUNT / 2 - 4)) * PAGE + some(PAGE);

    job.from = IOVA + (jobs % 2 == 0 ? from : to);
    job.to = IOVA + (jobs % 2 == 0 ? to : from);
    memmove(shadow + (job.to - IOVA), shadow + (job.from - IOVA), job.bytes);
    copy_driver_submit(&side->ram, driver_of(side), &job);
    jobs++;
}

static void write_by_cpu(struct side *side)
{
    const uint64_t at = (CPU_FIRST + some(CPU_COUNT)) * PAGE + some(PAGE / 8) * 8;
    const uint64_t value = some(UINT64_MAX);

    memcpy(shadow + at, &value, sizeof(value));
    guest_copy(&side->ram, guest_at(&side->ram, IOVA + at, 8), &value, sizeof(value));
}

static void take(struct side *side)
{
    struct copy_result result;
    eventfd_t count;

    if (eventfd_read(side->irq, &count) == 0) {
        interrupts += count;
    }
    while (copy_driver_take(&side->ram, driver_of(side), &result)) {
        CHECK(result.status == 0);
    }
}

static uint32_t under_way(const struct side *side)
{
    return driver_of(side)->tail - driver_of(side)->taken;
}

static void work(struct side *side)
{
    const struct pci_function pci = pci_of(side);

    take(side);
    if (under_way(side) >= (side->slow ? 1 : ENTRIES / 2)) {
        return;
    }
    while (under_way(side) < (side->slow ? 2 : ENTRIES)) {
        submit(side);
    }
    CHECK(copy_driver_kick(&pci, driver_of(side)) >= 0);
    write_by_cpu(side);
}

static void turn(void)
{
    struct pollfd ready[2];

    for (int i = 0; i < 2; i++) {
        ready[i] = (struct pollfd){ ferry_context_fd(sides[i].context), POLLIN, 0 };
    }
    (void)poll(ready, 2, 1);
    for (int i = 0; i < 2; i++) {
        CHECK(ferry_context_dispatch(sides[i].context, 0) == FERRY_OK);
    }
}

static void work_on(struct side *side, uint64_t more)
{
    const uint64_t end = jobs + more;

    for (int i = 0; jobs < end; i++) {
        CHECK(i < LIMIT_TURNS);
        turn();
        work(side);
    }
}

/* Everything that was given has been done; then all of the memory is what it must be. */
static void compare(struct side *side)
{
    const uint8_t *memory = side->memory.address;

    for (int i = 0; under_way(side) > 0; i++) {
        CHECK(i < LIMIT_TURNS);
        turn();
        take(side);
    }
    for (uint64_t page = CPU_FIRST; page < BYTES / PAGE; page++) {
        if (memcmp(memory + page * PAGE, shadow + page * PAGE, PAGE) != 0) {
            fprintf(stderr,
                    "live.c: page %llu of the guest's memory is not what it was\n",
                    (unsigned long long)page);
            exit(1);
        }
    }
}

/* --- moves */

static void move(struct side *from, struct side *to)
{
    /* Without tracking all memory counts as written, and is sent again at the stop. */
    const int tracked = strstr(from->uri, "dirty=none") == NULL;
    const struct ferry_migrate_options options = { .struct_size = sizeof(options),
                                                   .max_downtime_ms = tracked ? 40 : 2000,
                                                   .bandwidth_bytes_per_s = 32u << 20 };
    struct ferry_error error = { 0 };

    from->outcome = to->outcome = FERRY_OUTCOME_BUSY;
    from->slow = to->slow = 0;
    must(ferry_context_listen(to->context, "tcp:127.0.0.1:0", &options, &error), &error,
         __LINE__);
    must(ferry_context_send(from->context, ferry_context_address(to->context), &options,
                            &error),
         &error, __LINE__);
    while (from->outcome == FERRY_OUTCOME_BUSY || to->outcome == FERRY_OUTCOME_BUSY) {
        turn();
        if (!from->paused) {
            work(from);
        }
    }
    if (from->outcome != FERRY_OUTCOME_MOVED) {
        fprintf(stderr, "live.c: %s: %s\n", ferry_outcome_name(from->outcome),
                from->report.error.text);
        exit(1);
    }
    CHECK(to->outcome == FERRY_OUTCOME_MOVED && from->paused && !to->paused);
    printf("moved rounds %u memory %llu stop %llu\n", from->report.rounds,
           (unsigned long long)(from->report.ram_precopy_bytes +
                                from->report.ram_stop_bytes),
           (unsigned long long)from->report.ram_stop_bytes);
    /* What stays behind must not be what is found there later. */
    memset(from->memory.address, 0x5a, BYTES);
    must(ferry_context_reopen(from->context, &error), &error, __LINE__);
}

int main(int argc, char **argv)
{
    const int moves = argc == 4 ? atoi(argv[3]) : 2;
    struct side *here = &sides[0];

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s URI URI [MOVES]\n", argv[0]);
        return 2;
    }
    shadow = malloc(BYTES);
    CHECK(shadow != NULL);
    for (int i = 0; i < 2; i++) {
        open_side(&sides[i], argv[i + 1]);
    }
    boot(here);
    work_on(here, JOBS);
    for (int i = 0; i < moves; i++) {
        move(&sides[i % 2], &sides[(i + 1) % 2]);
        here = &sides[(i + 1) % 2];
        work_on(here, JOBS);
    }
    compare(here);
    CHECK(interrupts > 0);
    printf("interrupts %llu jobs %llu\n", (unsigned long long)interrupts,
           (unsigned long long)jobs);
    for (int i = 0; i < 2; i++) {
        close_side(&sides[i]);
    }
    free(shadow);
    return 0;
}
