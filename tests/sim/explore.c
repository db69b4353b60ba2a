/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "tests/sim/world.h"

/*
 * Visits every state that the world can reach, with one fault at any point, and checks
 * the invariants in each; with two faults it still checks what may never happen (two
 * sides that run, a reset of a device that could go on, a device that stops before its
 * peers are quiet). A violation is printed with the way that leads to it.
 */

#define DEPTH_MAX 4096
#define NEXT_MAX 160

struct frame {
    struct world world;
    struct world_transition list[NEXT_MAX];
    uint32_t count, at;
};

struct seen {
    XXH128_hash_t *slot;
    uint64_t cap, count;
};

struct totals {
    uint64_t states, transitions, ends, undecided;
    uint32_t depth;
};

static int seen_before(struct seen *seen, XXH128_hash_t hash)
{
    uint64_t at = hash.low64 & (seen->cap - 1);

    while (seen->slot[at].low64 || seen->slot[at].high64) {
        if (seen->slot[at].low64 == hash.low64 && seen->slot[at].high64 == hash.high64) {
            return 1;
        }
        at = (at + 1) & (seen->cap - 1);
    }
    seen->slot[at] = hash;
    seen->count++;
    return 0;
}

static void seen_grow(struct seen *seen)
{
    struct seen bigger = { NULL, seen->cap * 2, 0 };

    if (seen->count * 2 < seen->cap) {
        return;
    }
    bigger.slot = calloc(bigger.cap, sizeof(*bigger.slot));
    assert(bigger.slot);
    for (uint64_t i = 0; i < seen->cap; i++) {
        if (seen->slot[i].low64 || seen->slot[i].high64) {
            seen_before(&bigger, seen->slot[i]);
        }
    }
    free(seen->slot);
    *seen = bigger;
}

/* What only counts, and decides nothing, must not make two worlds of one. */
static XXH128_hash_t hash_of(const struct world *world)
{
    static struct world plain;

    plain = *world;
    plain.source.precopy.ram_bytes = 0;
    plain.source.precopy.device_bytes = 0;
    plain.source.precopy.round_bytes = 0;
    plain.source.precopy.rounds =
        plain.source.precopy.rounds > 2 ? 2 : plain.source.precopy.rounds;
    plain.fault = 0;
    plain.cause = 0;
    return XXH3_128bits(&plain, sizeof(plain));
}

static void print_way(const struct frame *stack, uint32_t depth, const char *broken)
{
    char text[96];

    fprintf(stderr, "broken: %s\n", broken);
    for (uint32_t i = 0; i <= depth; i++) {
        if (stack[i].at > 0) {
            world_describe(&stack[i].world, &stack[i].list[stack[i].at - 1], text);
            fprintf(stderr, "  %3u %-12s %-12s %s\n", i,
                    ferry_source_phase_name(stack[i].world.source.phase),
                    ferry_target_phase_name(stack[i].world.target.phase), text);
        }
    }
}

/* One fault must leave everything in order; more must leave it safe. */
static const char *check_end(const struct world *world, uint32_t faults)
{
    return faults > 1 ? NULL : world_check_end(world);
}

static const char *check(struct frame *frame, uint32_t faults, struct totals *totals)
{
    const char *broken = world_check(&frame->world);

    if (broken) {
        return broken;
    }
    frame->count = world_next(&frame->world, frame->list, NEXT_MAX);
    frame->at = 0;
    totals->undecided += (uint64_t)(ferry_source_undecided(&frame->world.source) ||
                                    ferry_target_undecided(&frame->world.target));
    if (frame->count == 0) {
        totals->ends++;
        return check_end(&frame->world, faults);
    }
    if (faults == 1 && frame->list[0].kind == GO_OPERATOR) {
        broken = world_check_rest(&frame->world);
        if (broken) {
            return broken;
        }
    }
    /* With faults left a world may end without one: then it must be in order as it is. */
    for (uint32_t i = 0; i < frame->count; i++) {
        if (frame->list[i].fault == FAULT_NONE) {
            return NULL;
        }
    }
    totals->ends++;
    return check_end(&frame->world, faults);
}

/* Return: 0 when every state keeps the rules. */
static int explore(const struct world_setup *setup, struct totals *totals, int quiet)
{
    struct frame *stack = calloc(DEPTH_MAX, sizeof(*stack));
    struct seen seen = { calloc(1u << 16, sizeof(XXH128_hash_t)), 1u << 16, 0 };
    uint32_t depth = 0;
    const char *broken;

    assert(stack && seen.slot);
    memset(totals, 0, sizeof(*totals));
    world_init(&stack[0].world, setup);
    seen_before(&seen, hash_of(&stack[0].world));
    totals->states = 1;
    broken = check(&stack[0], setup->faults, totals);
    while (!broken) {
        struct frame *frame = &stack[depth];

        if (frame->at == frame->count) {
            if (depth == 0) {
                break;
            }
            depth--;
            continue;
        }
        assert(depth + 1 < DEPTH_MAX);
        stack[depth + 1].world = frame->world;
        world_apply(&stack[depth + 1].world, &frame->list[frame->at]);
        frame->at++;
        totals->transitions++;
        seen_grow(&seen);
        if (seen_before(&seen, hash_of(&stack[depth + 1].world))) {
            continue;
        }
        totals->states++;
        depth++;
        totals->depth = depth > totals->depth ? depth : totals->depth;
        stack[depth].at = 0;
        broken = check(&stack[depth], setup->faults, totals);
    }
    if (broken && !quiet) {
        print_way(stack, depth, broken);
    }
    free(stack);
    free(seen.slot);
    return broken ? 1 : 0;
}

#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)
#define NO_P2P (FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY)
#define NO_PRE (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P)
#define PLAIN FERRY_MIG_STOP_COPY

static const struct {
    const char *name;
    uint32_t features[2];
    uint32_t implicit[2];
} pairs[] = {
    { "P2P+PRE_COPY, P2P+PRE_COPY", { ALL, ALL }, { 0 } },
    { "P2P+PRE_COPY, PRE_COPY", { ALL, NO_P2P }, { 0 } },
    { "P2P, P2P+PRE_COPY", { NO_PRE, ALL }, { 0 } },
    { "PRE_COPY, plain", { NO_P2P, PLAIN }, { 0 } },
    { "v1, v1, both reach peers", { NO_P2P, NO_P2P }, { 1, 1 } },
    { "v1 that reaches P2P", { NO_P2P, NO_PRE }, { 1, 0 } },
};

static int explore_rules(uint32_t faults)
{
    int failed = 0;

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        for (uint32_t shared = 0; shared < 2; shared++) {
            struct world_setup setup = {
                .device_count = 2,
                .features = { pairs[i].features[0], pairs[i].features[1] },
                .implicit = { pairs[i].implicit[0], pairs[i].implicit[1] },
                .reaches_peer = { pairs[i].implicit[0] ? 2 : 0,
                                  pairs[i].implicit[1] ? 1 : 0 },
                .shared_arbiter = shared,
                .faults = faults,
                .frozen_time = 1
            };
            struct totals totals;
            int broken = explore(&setup, &totals, 0);

            failed += broken;
            printf("%u fault%s %-28s arbiter %-6s %9llu states %10llu transitions %8llu "
                   "ends %7llu "
                   "undecided depth %u%s\n",
                   faults, faults == 1 ? " " : "s", pairs[i].name,
                   shared ? "shared" : "none", (unsigned long long)totals.states,
                   (unsigned long long)totals.transitions,
                   (unsigned long long)totals.ends, (unsigned long long)totals.undecided,
                   totals.depth, broken ? "  BROKEN" : "");
        }
    }
    return failed;
}

/* The explorer must find a rule that is broken on purpose. */
static int explore_broken(void)
{
    static const struct {
        const char *name;
        uint32_t broken;
    } rules[] = {
        { "the barrier before the stop", BROKEN_BARRIER },
        { "ownership changes at COMMIT only", BROKEN_COMMIT },
        { "no log stays on", BROKEN_ROLLBACK_LOG },
        { "an undecided source holds", BROKEN_LATE_COMMIT },
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        struct world_setup setup = { .device_count = 2,
                                     .features = { ALL, ALL },
                                     .faults = 1,
                                     .frozen_time = 1,
                                     .broken = rules[i].broken };
        struct totals totals;
        int found = explore(&setup, &totals, 1);

        printf("broken on purpose: %-36s %s after %llu states\n", rules[i].name,
               found ? "found" : "NOT FOUND", (unsigned long long)totals.states);
        failed += !found;
    }
    return failed;
}

int main(void)
{
    int failed = explore_rules(1);

    failed += explore_rules(2);
    failed += explore_broken();
    return failed ? 1 : 0;
}
