/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

/*
 * Golden traces: each scenario runs the real sessions in the simulated world, always
 * taking the first thing that can happen, with one fault at a named place. Every event
 * and action is a line; the lines are compared with the committed trace. `golden DIR
 * --update` writes.
 */

#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)
#define NO_P2P (FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY)
#define NO_PRE (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P)
#define PLAIN FERRY_MIG_STOP_COPY
#define STEPS_MAX 2000
#define TEXT_MAX (1u << 20)

/* Where the fault of a scenario happens. */
enum place {
    NOWHERE = 0,
    AT_OP,           /* an operation of `side`: op, device, arg, the nth */
    AT_SOURCE_PHASE, /* the source has entered phase `op` */
    AT_TARGET_PHASE,
    AT_MESSAGE /* message `op` is about to be delivered to `side` */
};

struct scenario {
    char name[64];
    struct world_setup setup;
    uint32_t place, side, op, device, arg;
    uint32_t fault;
};

struct text {
    char *bytes;
    size_t size;
};

static void append(const char *line, void *user)
{
    struct text *text = user;
    size_t size = strlen(line);

    assert(text->size + size + 2 < TEXT_MAX);
    memcpy(text->bytes + text->size, line, size);
    text->size += size;
    text->bytes[text->size++] = '\n';
    text->bytes[text->size] = 0;
}

static int op_matches(const struct world *world, const struct scenario *scenario,
                      const struct world_transition *transition)
{
    const struct world_op *op = &world->host[transition->side].op[transition->index];

    return transition->kind == GO_OP && transition->side == scenario->side &&
           transition->fault == scenario->fault && op->kind == scenario->op &&
           op->device == scenario->device && op->arg == scenario->arg;
}

/* The transition that brings the scenario's fault, when its place has come. */
static int due(const struct world *world, const struct scenario *scenario,
               const struct world_transition *transition)
{
    int here;

    if (transition->fault != scenario->fault || scenario->fault == FAULT_NONE) {
        return 0;
    }
    switch ((enum place)scenario->place) {
    case AT_OP:
        return op_matches(world, scenario, transition);
    case AT_SOURCE_PHASE:
        here = world->source.phase == scenario->op;
        break;
    case AT_TARGET_PHASE:
        here = world->target.phase == scenario->op;
        break;
    case AT_MESSAGE:
        here = world->host[scenario->side].in_count > 0 &&
               world->host[scenario->side].in[0].what == scenario->op;
        break;
    case NOWHERE:
    default:
        here = 0;
        break;
    }
    return here && transition->side == scenario->arg;
}

static const struct world_transition *choose(const struct world *world,
                                             const struct scenario *scenario,
                                             const struct world_transition *list,
                                             uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (due(world, scenario, &list[i])) {
            return &list[i];
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].fault == FAULT_NONE) {
            return &list[i];
        }
    }
    return NULL;
}

static void run(const struct scenario *scenario, struct text *text)
{
    static struct world world;
    static struct world_transition list[256];
    char line[128];
    const char *broken = NULL;

    world_trace = append;
    world_trace_user = text;
    world_init(&world, &scenario->setup);
    for (int step = 0; !broken; step++) {
        const struct world_transition *transition;
        uint32_t count = world_next(&world, list, 256);

        assert(step < STEPS_MAX);
        transition = choose(&world, scenario, list, count);
        if (!transition) {
            broken = world_check_end(&world);
            break;
        }
        if (transition->fault != FAULT_NONE || transition->kind == GO_OPERATOR) {
            char what[96];

            world_describe(&world, transition, what);
            snprintf(line, sizeof(line), "------ %s", what);
            append(line, text);
        }
        world_apply(&world, transition);
        broken = world_check(&world);
    }
    if (scenario->place != NOWHERE && world.faults_left) {
        broken = "the fault's place never came";
    }
    snprintf(line, sizeof(line), "end: source %s, target %s, %s",
             ferry_outcome_name(ferry_source_outcome(&world.source)),
             ferry_outcome_name(ferry_target_outcome(&world.target)),
             broken ? broken : "in order");
    append(line, text);
    world_trace = NULL;
}

/* Return: 0 when the trace is the committed one. */
static int compare(const char *path, const struct text *text)
{
    char *old = malloc(TEXT_MAX);
    FILE *file = fopen(path, "rb");
    size_t size = 0;
    int same;

    assert(old);
    if (file) {
        size = fread(old, 1, TEXT_MAX, file);
        fclose(file);
    }
    same = file && size == text->size && memcmp(old, text->bytes, size) == 0;
    if (!same) {
        size_t at = 0, line = 1;

        while (at < size && at < text->size && old[at] == text->bytes[at]) {
            line += old[at++] == '\n';
        }
        fprintf(stderr, "%s: differs from line %zu on\n", path, line);
    }
    free(old);
    return same ? 0 : 1;
}

static int play(const struct scenario *scenario, const char *folder, int update)
{
    struct text text = { malloc(TEXT_MAX), 0 };
    char path[512];
    int failed = 0;

    assert(text.bytes);
    run(scenario, &text);
    snprintf(path, sizeof(path), "%s/%s.trace", folder, scenario->name);
    if (!strstr(text.bytes, "in order")) {
        fprintf(stderr, "%s: %s", scenario->name, strstr(text.bytes, "end:"));
        failed = 1;
    }
    if (update) {
        FILE *file = fopen(path, "wb");

        assert(file);
        fwrite(text.bytes, 1, text.size, file);
        fclose(file);
    } else {
        failed |= compare(path, &text);
    }
    free(text.bytes);
    return failed;
}

static const struct scenario plain[] = {
    { .name = "one-device", .setup = { .device_count = 1, .features = { ALL } } },
    { .name = "three-devices",
      .setup = { .device_count = 3, .features = { NO_P2P, ALL, ALL } } },
    { .name = "arbiter-file",
      .setup = { .device_count = 1, .features = { ALL }, .shared_arbiter = 1 } },
    { .name = "no-p2p-no-peer-map",
      .setup = { .device_count = 2, .features = { NO_P2P, ALL } } },
    { .name = "no-p2p-peer-map-of-its-own",
      .setup = { .device_count = 2,
                 .features = { NO_P2P, ALL },
                 .reaches_peer = { 2, 0 } } },
    { .name = "no-p2p-peer-map-of-another",
      .setup = { .device_count = 3,
                 .features = { NO_P2P, ALL, ALL },
                 .reaches_peer = { 0, 3, 0 } } },
    { .name = "v1-devices-reach-each-other",
      .setup = { .device_count = 2,
                 .features = { NO_P2P, NO_P2P },
                 .implicit = { 1, 1 },
                 .reaches_peer = { 2, 1 } } },
    { .name = "v1-device-comes-back-to-one-with-p2p",
      .setup = { .device_count = 3,
                 .features = { NO_P2P, ALL, PLAIN },
                 .implicit = { 1, 0, 0 },
                 .reaches_peer = { 2, 0, 0 },
                 .faults = 1 },
      .place = AT_OP,
      .side = SIDE_TARGET,
      .op = WORLD_OP_LOADED,
      .fault = FAULT_FAIL },
    { .name = "no-pre-copy",
      .setup = { .device_count = 2, .features = { PLAIN, NO_PRE } } },
    { .name = "target-refuses",
      .setup = { .device_count = 1, .features = { ALL }, .faults = 1 },
      .place = AT_OP,
      .side = SIDE_TARGET,
      .op = FERRY_ACT_CHECK,
      .fault = FAULT_FAIL },
    { .name = "damaged-data",
      .setup = { .device_count = 1, .features = { ALL }, .faults = 1 },
      .place = AT_OP,
      .side = SIDE_TARGET,
      .op = WORLD_OP_LOADED,
      .fault = FAULT_FAIL },
};

static int play_arcs(const char *folder, int update, uint32_t *count)
{
    static const struct {
        uint32_t side, state;
    } arcs[] = {
        { SIDE_SOURCE, FERRY_STATE_PRE_COPY },  { SIDE_SOURCE, FERRY_STATE_PRE_COPY_P2P },
        { SIDE_SOURCE, FERRY_STATE_STOP_COPY }, { SIDE_TARGET, FERRY_STATE_RESUMING },
        { SIDE_TARGET, FERRY_STATE_STOP },      { SIDE_TARGET, FERRY_STATE_RUNNING_P2P },
        { SIDE_TARGET, FERRY_STATE_RUNNING },
    };
    static const struct {
        const char *name;
        uint32_t fault;
    } faults[] = { { "fails", FAULT_FAIL },
                   { "fails-into-error", FAULT_FAIL_ERROR },
                   { "hangs", FAULT_HANG } };
    int failed = 0;

    for (size_t i = 0; i < sizeof(arcs) / sizeof(arcs[0]); i++) {
        for (size_t k = 0; k < sizeof(faults) / sizeof(faults[0]); k++) {
            struct scenario scenario = {
                .setup = { .device_count = 2, .features = { ALL, ALL }, .faults = 1 },
                .place = AT_OP,
                .side = arcs[i].side,
                .op = FERRY_ACT_SET_STATE,
                .device = 1,
                .arg = arcs[i].state,
                .fault = faults[k].fault
            };

            snprintf(scenario.name, sizeof(scenario.name), "arc-%s-%s-%s",
                     arcs[i].side ? "target" : "source", ferry_state_name(arcs[i].state),
                     faults[k].name);
            failed += play(&scenario, folder, update);
            ++*count;
        }
    }
    return failed;
}

static int play_phases(const char *folder, int update, uint32_t *count)
{
    static const struct {
        const char *name;
        uint32_t fault, side;
    } faults[] = { { "cancel", FAULT_CANCEL, SIDE_SOURCE },
                   { "cut", FAULT_CUT, SIDE_SOURCE },
                   { "target-dies", FAULT_DIE, SIDE_TARGET } };
    int failed = 0;

    for (uint32_t phase = FERRY_SRC_HELLO; phase <= FERRY_SRC_COMMIT; phase++) {
        for (size_t k = 0; k < sizeof(faults) / sizeof(faults[0]); k++) {
            for (uint32_t shared = 0; shared < 2; shared++) {
                struct scenario scenario = { .setup = { .device_count = 2,
                                                        .features = { ALL, NO_P2P },
                                                        .shared_arbiter = shared,
                                                        .faults = 1 },
                                             .place = AT_SOURCE_PHASE,
                                             .op = phase,
                                             .arg = faults[k].side,
                                             .fault = faults[k].fault };

                if (shared && phase < FERRY_SRC_PREPARE) {
                    continue; /* the arbiter is not asked before */
                }
                if (!shared && phase == FERRY_SRC_DECIDE) {
                    continue; /* decided without a question */
                }
                snprintf(scenario.name, sizeof(scenario.name), "%s-in-%s%s",
                         faults[k].name, ferry_source_phase_name(phase),
                         shared ? "-arbiter" : "");
                failed += play(&scenario, folder, update);
                ++*count;
            }
        }
    }
    return failed;
}

static int play_commit(const char *folder, int update, uint32_t *count)
{
    static const struct {
        const char *name;
        uint32_t side, message;
    } places[] = { { "cut-before-COMMIT", SIDE_SOURCE, FERRY_MSG_PREPARED },
                   { "cut-at-COMMIT", SIDE_TARGET, FERRY_MSG_COMMIT },
                   { "cut-after-COMMIT", SIDE_SOURCE, FERRY_MSG_RUNNING } };
    int failed = 0;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        for (uint32_t shared = 0; shared < 2; shared++) {
            struct scenario scenario = { .setup = { .device_count = 1,
                                                    .features = { ALL },
                                                    .shared_arbiter = shared,
                                                    .faults = 1 },
                                         .place = AT_MESSAGE,
                                         .side = places[i].side,
                                         .op = places[i].message,
                                         .fault = FAULT_CUT };

            snprintf(scenario.name, sizeof(scenario.name), "%s%s", places[i].name,
                     shared ? "-arbiter" : "");
            failed += play(&scenario, folder, update);
            ++*count;
        }
    }
    return failed;
}

int main(int argc, char **argv)
{
    int update = argc > 2 && strcmp(argv[2], "--update") == 0;
    uint32_t count = 0;
    int failed = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: golden FOLDER [--update]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        failed += play(&plain[i], argv[1], update);
        count++;
    }
    failed += play_arcs(argv[1], update, &count);
    failed += play_phases(argv[1], update, &count);
    failed += play_commit(argv[1], update, &count);
    printf("%u golden traces, %d differ\n", count, failed);
    return failed ? 1 : 0;
}
