/* SPDX-License-Identifier: BSD-3-Clause */
#include "ferry/state.h"

#include "ferry/error.h"

/* One basic arc: what a device does in one step. */
struct arc {
    uint8_t from;
    uint8_t to;
    uint8_t needs;    /* features that must be there */
    uint8_t replaced; /* features that take the arc away again */
    uint8_t data;     /* enum ferry_data_session */
};

#define S(name) FERRY_STATE_##name

/*
 * The arcs: all that is legal follows from this table. A device with P2P states loses the
 * arcs that would stop it without being quiet first: RUNNING <-> STOP and
 * PRE_COPY -> STOP_COPY.
 */
static const struct arc arcs[] = {
    { S(STOP), S(RUNNING), 0, FERRY_MIG_P2P, FERRY_DATA_NONE },
    { S(RUNNING), S(STOP), 0, FERRY_MIG_P2P, FERRY_DATA_NONE },
    { S(STOP), S(STOP_COPY), 0, 0, FERRY_DATA_BEGINS },
    { S(STOP_COPY), S(STOP), 0, 0, FERRY_DATA_ENDS },
    { S(STOP), S(RESUMING), 0, 0, FERRY_DATA_BEGINS },
    { S(RESUMING), S(STOP), 0, 0, FERRY_DATA_ENDS },
    { S(RUNNING), S(RUNNING_P2P), FERRY_MIG_P2P, 0, FERRY_DATA_NONE },
    { S(RUNNING_P2P), S(RUNNING), FERRY_MIG_P2P, 0, FERRY_DATA_NONE },
    { S(RUNNING_P2P), S(STOP), FERRY_MIG_P2P, 0, FERRY_DATA_NONE },
    { S(STOP), S(RUNNING_P2P), FERRY_MIG_P2P, 0, FERRY_DATA_NONE },
    { S(RUNNING), S(PRE_COPY), FERRY_MIG_PRE_COPY, 0, FERRY_DATA_BEGINS },
    { S(PRE_COPY), S(RUNNING), FERRY_MIG_PRE_COPY, 0, FERRY_DATA_ENDS },
    { S(PRE_COPY), S(STOP_COPY), FERRY_MIG_PRE_COPY, FERRY_MIG_P2P, FERRY_DATA_NONE },
    { S(PRE_COPY), S(PRE_COPY_P2P), FERRY_MIG_PRE_COPY | FERRY_MIG_P2P, 0,
      FERRY_DATA_NONE },
    { S(PRE_COPY_P2P), S(PRE_COPY), FERRY_MIG_PRE_COPY | FERRY_MIG_P2P, 0,
      FERRY_DATA_NONE },
    { S(PRE_COPY_P2P), S(RUNNING_P2P), FERRY_MIG_PRE_COPY | FERRY_MIG_P2P, 0,
      FERRY_DATA_ENDS },
    { S(RUNNING_P2P), S(PRE_COPY_P2P), FERRY_MIG_PRE_COPY | FERRY_MIG_P2P, 0,
      FERRY_DATA_BEGINS },
    { S(PRE_COPY_P2P), S(STOP_COPY), FERRY_MIG_PRE_COPY | FERRY_MIG_P2P, 0,
      FERRY_DATA_NONE },
};

#define ARCS (sizeof(arcs) / sizeof(arcs[0]))

/* A path's cost: arcs count first, interior saving states break ties. */
#define COST_ARC 16u
#define COST_SAVING 1u
#define COST_NONE UINT32_MAX

_Static_assert(COST_ARC > FERRY_STATE_COUNT * COST_SAVING,
               "no number of saving states outweighs an arc");

static const char *const state_names[FERRY_STATE_COUNT] = {
    [S(ERROR)] = "ERROR",       [S(STOP)] = "STOP",
    [S(RUNNING)] = "RUNNING",   [S(STOP_COPY)] = "STOP_COPY",
    [S(RESUMING)] = "RESUMING", [S(RUNNING_P2P)] = "RUNNING_P2P",
    [S(PRE_COPY)] = "PRE_COPY", [S(PRE_COPY_P2P)] = "PRE_COPY_P2P",
};

static const uint8_t state_needs[FERRY_STATE_COUNT] = {
    [S(STOP_COPY)] = FERRY_MIG_STOP_COPY,
    [S(RESUMING)] = FERRY_MIG_STOP_COPY,
    [S(RUNNING_P2P)] = FERRY_MIG_P2P,
    [S(PRE_COPY)] = FERRY_MIG_PRE_COPY,
    [S(PRE_COPY_P2P)] = FERRY_MIG_PRE_COPY | FERRY_MIG_P2P,
};

const char *ferry_state_name(uint32_t state)
{
    return state < FERRY_STATE_COUNT ? state_names[state] : "?";
}

int ferry_state_exists(uint32_t state, uint32_t features)
{
    return state < FERRY_STATE_COUNT &&
           (features & state_needs[state]) == state_needs[state];
}

int ferry_state_is_saving(uint32_t state)
{
    return state == S(PRE_COPY) || state == S(PRE_COPY_P2P) || state == S(STOP_COPY);
}

static int arc_exists(const struct arc *arc, uint32_t features)
{
    return (features & arc->needs) == arc->needs && (features & arc->replaced) == 0;
}

static int pair_is_legal(uint32_t cur, uint32_t wanted, uint32_t features)
{
    if (!(features & FERRY_MIG_STOP_COPY) || cur == S(ERROR) || wanted == S(ERROR) ||
        !ferry_state_exists(cur, features) || !ferry_state_exists(wanted, features)) {
        return 0;
    }
    /*
     * uAPI: forbidden although a path through STOP exists. The kernel's reason: the user
     * would believe that the stop-copy session went on.
     */
    return !(cur == S(STOP_COPY) && (wanted == S(PRE_COPY) || wanted == S(PRE_COPY_P2P)));
}

/*
 * Cost of the best path from every state to `wanted`: the arcs are relaxed until nothing
 * changes. A state adds COST_SAVING when a path passes through it, not where it ends.
 */
static void costs_to(uint32_t wanted, uint32_t features, uint32_t *ret_cost)
{
    uint32_t state;
    size_t i;
    int changed = 1;

    for (state = 0; state < FERRY_STATE_COUNT; state++) {
        ret_cost[state] = COST_NONE;
    }
    ret_cost[wanted] = 0;
    while (changed) {
        changed = 0;
        for (i = 0; i < ARCS; i++) {
            uint32_t beyond = ret_cost[arcs[i].to];
            uint32_t cost;

            if (!arc_exists(&arcs[i], features) || beyond == COST_NONE) {
                continue;
            }
            cost = beyond + COST_ARC;
            if (arcs[i].to != wanted && ferry_state_is_saving(arcs[i].to)) {
                cost += COST_SAVING;
            }
            if (cost < ret_cost[arcs[i].from]) {
                ret_cost[arcs[i].from] = cost;
                changed = 1;
            }
        }
    }
}

/* The first arc of the best path, or NULL when there is none. cur != wanted. */
static const struct arc *first_arc(uint32_t cur, uint32_t wanted, uint32_t features)
{
    uint32_t cost[FERRY_STATE_COUNT];
    const struct arc *best = NULL;
    uint32_t best_cost = COST_NONE;
    size_t i;

    costs_to(wanted, features, cost);
    for (i = 0; i < ARCS; i++) {
        uint32_t through = cost[arcs[i].to];

        if (arcs[i].from != cur || !arc_exists(&arcs[i], features) ||
            through == COST_NONE) {
            continue;
        }
        if (arcs[i].to != wanted && ferry_state_is_saving(arcs[i].to)) {
            through += COST_SAVING;
        }
        if (through < best_cost) {
            best_cost = through;
            best = &arcs[i];
        }
    }
    return best;
}

int ferry_state_next(uint32_t cur, uint32_t wanted, uint32_t features, uint32_t *ret_next)
{
    const struct arc *arc;

    if (!pair_is_legal(cur, wanted, features)) {
        return FERRY_E_ARC;
    }
    if (cur == wanted) {
        *ret_next = cur;
        return FERRY_OK;
    }
    arc = first_arc(cur, wanted, features);
    if (!arc) {
        return FERRY_E_ARC;
    }
    *ret_next = arc->to;
    return FERRY_OK;
}

int ferry_state_path(uint32_t cur, uint32_t wanted, uint32_t features, uint32_t *ret_path)
{
    int count = 0;

    if (!pair_is_legal(cur, wanted, features)) {
        return FERRY_E_ARC;
    }
    while (cur != wanted && count < FERRY_STATE_COUNT) {
        const struct arc *arc = first_arc(cur, wanted, features);

        if (!arc) {
            return FERRY_E_ARC;
        }
        cur = arc->to;
        ret_path[count++] = cur;
    }
    return count;
}

int ferry_state_data(uint32_t cur, uint32_t wanted, uint32_t features)
{
    int ends = 0, begins = 0, steps;

    if (!pair_is_legal(cur, wanted, features)) {
        return FERRY_E_ARC;
    }
    for (steps = 0; cur != wanted && steps < FERRY_STATE_COUNT; steps++) {
        const struct arc *arc = first_arc(cur, wanted, features);

        if (!arc) {
            return FERRY_E_ARC;
        }
        ends |= arc->data == FERRY_DATA_ENDS;
        begins |= arc->data == FERRY_DATA_BEGINS;
        cur = arc->to;
    }
    if (ends) {
        return begins ? FERRY_DATA_ENDS_BEGINS : FERRY_DATA_ENDS;
    }
    return begins ? FERRY_DATA_BEGINS : FERRY_DATA_NONE;
}
