/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest whose edu device always has a transfer under way goes from one user context to
 * another and back, by live migration or over a file. Every byte of its memory is
 * compared with what it and its device wrote: a page that the dirty log lost is seen, and
 * with --exact also pages that it made up.
 *
 * usage: edu_live [--fill] [--exact] [--moves N] [--work N] [--file PATH] URI URI
 *   --fill   transfers into the device's buffer too
 *   --exact  hardly more memory is sent than was written
 *   --work   transfers before, between and after (4)
 *   --file   save and restore, instead of a connection
 * Prints for each move "moved under-way U rounds R memory BYTES stop BYTES ms MS", and at
 * the end "transfers N interrupts N". Exit: 0; 1 with what did not hold on standard
 * error.
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/kernel/edu/guest.h"

#define LIMIT_S 60       /* of a move, and of work between two */
#define LAST_TURNS 10000 /* before a pause */
#define SLACK_PAGES 8u

struct side {
    struct ferry_context *context;
    struct ferry_memory memory;
    struct edu_place place;
    uint32_t paused, outcome, was_busy;
    struct ferry_report report;
};

static struct side sides[2];
static uint32_t is_exact;

static void must(int status, const struct ferry_error *error, const char *what)
{
    if (status < 0) {
        fprintf(stderr, "edu_live: %s: %s%s%s\n", what, ferry_status_text(status),
                error->text[0] != '\0' ? ": " : "", error->text);
        exit(1);
    }
}

static void no(const char *what)
{
    fprintf(stderr, "edu_live: %s\n", what);
    exit(1);
}

/* --- the context */

static int pause_cpus(void *user, struct ferry_context *context)
{
    struct side *side = user;
    struct ferry_error error = { 0 };

    (void)context;
    /* The last thing that the guest does is to begin a transfer. */
    for (int i = 0; i < LAST_TURNS && !edu_guest_is_busy(&side->place); i++) {
        must(edu_guest_turn(&side->place, &error), &error, "the guest");
    }
    side->paused = 1; /* the guest runs in this thread */
    side->was_busy = (uint32_t)edu_guest_is_busy(&side->place);
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
    (void)user, (void)context, (void)start; /* the guest marks what it writes */
}

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    struct side *side = user;

    (void)context;
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

    side->paused = 1;
    side->memory = (struct ferry_memory){
        .iova = EDU_GUEST_IOVA, .size = EDU_GUEST_BYTES, .writable = 1, .fd = -1
    };
    must(ferry_memory_create(EDU_GUEST_BYTES, &side->memory.fd, &side->memory.address,
                             &error),
         &error, "memory");
    memset(side->memory.address, 0xa5, EDU_GUEST_BYTES);
    must(ferry_context_create(&options, &side->context, &error), &error, "context");
    must(ferry_context_add_memory(side->context, &side->memory, &error), &error,
         "memory");
    must(ferry_context_add_device(side->context, "edu", uri, &error), &error, uri);
    side->place.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(ferry_context_set_irq_index(side->context, 0, FERRY_IRQ_MSI, &side->place.irq, 1,
                                     &error),
         &error, "interrupts");
    side->place.pci.context = side->context;
    side->place.ram = (struct guest_ram){ .context = side->context,
                                          .address = side->memory.address,
                                          .iova = EDU_GUEST_IOVA,
                                          .size = EDU_GUEST_BYTES };
}

static void close_side(struct side *side)
{
    ferry_context_destroy(side->context);
    close(side->place.irq);
    close(side->memory.fd);
}

/* --- time */

static void dispatch(void)
{
    struct pollfd ready[2];

    for (int i = 0; i < 2; i++) {
        ready[i] = (struct pollfd){ ferry_context_fd(sides[i].context), POLLIN, 0 };
    }
    (void)poll(ready, 2, 1);
    for (int i = 0; i < 2; i++) {
        if (ferry_context_dispatch(sides[i].context, 0) != FERRY_OK) {
            no("a context cannot go on");
        }
    }
}

static void turn(struct side *side)
{
    struct ferry_error error = { 0 };

    dispatch();
    if (!side->paused) {
        must(edu_guest_turn(&side->place, &error), &error, "the guest");
    }
}

static uint64_t transfers(const struct side *side)
{
    struct edu_figures figures;

    edu_guest_figures(&side->place, &figures);
    return figures.transfers;
}

static void work_on(struct side *side, uint64_t count)
{
    const uint64_t end = transfers(side) + count;
    const time_t begun = time(NULL);

    while (transfers(side) < end) {
        turn(side);
        if (time(NULL) - begun > LIMIT_S) {
            no("the guest comes to no end");
        }
    }
}

/* --- moves */

static void wait_for(struct side *from, struct side *side, uint32_t outcome)
{
    const time_t begun = time(NULL);

    while (side->outcome == FERRY_OUTCOME_BUSY) {
        turn(from);
        if (time(NULL) - begun > LIMIT_S) {
            no("a move comes to no end");
        }
    }
    if (side->outcome != outcome) {
        fprintf(stderr, "edu_live: %s: %s\n", ferry_outcome_name(side->outcome),
                side->report.error.text);
        exit(1);
    }
}

static void over_file(struct side *from, struct side *to, const char *path)
{
    const struct ferry_save_options options = { .struct_size = sizeof(options),
                                                .then = FERRY_SAVE_STOP };
    struct ferry_error error = { 0 };

    must(ferry_context_save(from->context, path, &options, &error), &error, "save");
    wait_for(from, from, FERRY_OUTCOME_MOVED);
    must(ferry_context_restore(to->context, path, NULL, &error), &error, "restore");
    wait_for(from, to, FERRY_OUTCOME_MOVED);
}

static void over_connection(struct side *from, struct side *to)
{
    const struct ferry_migrate_options options = { .struct_size = sizeof(options),
                                                   .max_downtime_ms = 1000 };
    struct ferry_error error = { 0 };

    must(ferry_context_listen(to->context, "tcp:127.0.0.1:0", &options, &error), &error,
         "listen");
    must(ferry_context_send(from->context, ferry_context_address(to->context), &options,
                            &error),
         &error, "send");
    wait_for(from, from, FERRY_OUTCOME_MOVED);
    wait_for(from, to, FERRY_OUTCOME_MOVED);
}

static void look_at_sizes(const struct side *from, uint64_t touched)
{
    const uint64_t sent = from->report.ram_precopy_bytes + from->report.ram_stop_bytes;
    const uint64_t pages = EDU_GUEST_BYTES / FERRY_PAGE_BYTES + touched + SLACK_PAGES;

    if (is_exact && sent > pages * FERRY_PAGE_BYTES) {
        fprintf(stderr, "edu_live: %llu pages were sent, %llu of them can have changed\n",
                (unsigned long long)(sent / FERRY_PAGE_BYTES), (unsigned long long)pages);
        exit(1);
    }
}

static void move(struct side *from, struct side *to, const char *path)
{
    struct edu_figures before, after;
    struct ferry_error error = { 0 };

    from->outcome = to->outcome = FERRY_OUTCOME_BUSY;
    edu_guest_figures(&from->place, &before);
    if (path != NULL) {
        over_file(from, to, path);
    } else {
        over_connection(from, to);
    }
    if (!from->paused || to->paused) {
        no("the guest does not run where it was moved to");
    }
    edu_guest_moved();
    edu_guest_figures(&to->place, &after);
    look_at_sizes(from, after.touched - before.touched);
    printf("moved under-way %u rounds %u memory %llu stop %llu ms %llu\n", from->was_busy,
           from->report.rounds,
           (unsigned long long)(from->report.ram_precopy_bytes +
                                from->report.ram_stop_bytes),
           (unsigned long long)from->report.ram_stop_bytes,
           (unsigned long long)(from->report.downtime_ns / 1000000u));
    /* What stays behind must not be what is found there later. */
    memset(from->memory.address, 0x5a, EDU_GUEST_BYTES);
    must(ferry_context_reopen(from->context, &error), &error, "open again");
}

static const struct option long_options[] = {
    { "fill", no_argument, NULL, 'b' },        { "exact", no_argument, NULL, 'e' },
    { "moves", required_argument, NULL, 'm' }, { "work", required_argument, NULL, 'w' },
    { "file", required_argument, NULL, 'f' },  { NULL, 0, NULL, 0 }
};

int main(int argc, char **argv)
{
    struct side *here = &sides[0];
    struct ferry_error error = { 0 };
    struct edu_figures figures;
    uint32_t fills = 0, moves = 2, work = 4;
    const char *path = NULL;

    for (int key; (key = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        fills |= key == 'b';
        is_exact |= key == 'e';
        moves = key == 'm' ? (uint32_t)atoi(optarg) : moves;
        work = key == 'w' ? (uint32_t)atoi(optarg) : work;
        path = key == 'f' ? optarg : path;
        if (key == '?') {
            return 2;
        }
    }
    if (argc - optind != 2) {
        fprintf(stderr, "usage: %s [OPTION...] URI URI\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < 2; i++) {
        open_side(&sides[i], argv[optind + i]);
    }
    must(edu_guest_boot(&here->place, fills, &error), &error, "boot");
    here->paused = 0;
    work_on(here, work);
    for (uint32_t i = 0; i < moves; i++) {
        move(&sides[i % 2], &sides[(i + 1) % 2], path);
        here = &sides[(i + 1) % 2];
        work_on(here, work);
    }
    must(edu_guest_compare(&here->place, &error), &error, "the end");
    edu_guest_figures(&here->place, &figures);
    printf("transfers %llu interrupts %llu\n", (unsigned long long)figures.transfers,
           (unsigned long long)figures.interrupts);
    for (int i = 0; i < 2; i++) {
        close_side(&sides[i]);
    }
    return 0;
}
