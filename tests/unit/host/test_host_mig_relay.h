/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_HOST_MIG_RELAY_H
#define TEST_HOST_MIG_RELAY_H

#include "test_host_mig_rig.h"

/*
 * A migration from one address to another with a relay between them, which lets the
 * records of each connection through when it likes, so that they overtake each other in
 * every way that a network could think of.
 */
#define RELAY_MAX 20u
#define MEMORY_BYTES (512u << 10)

struct relay_conn {
    int source, target;
    uint8_t *bytes;
    size_t have, allowed; /* allowed: whole records that may leave */
    uint32_t records;     /* let through */
    int source_ended;
    /* A record that the source did not send, behind so many of its own; 0: none. */
    uint32_t forge_at;
    uint8_t forged[256];
    size_t forged_bytes;
};

struct move {
    struct rig rig;
    char folder[32], from[64], to[64];
    int listener;
    struct relay_conn conn[RELAY_MAX];
    uint32_t conn_count, refuse_from; /* refuse_from: later connections are closed */
    uint64_t random;
    /* The guest writes to memory, and the source does not stop, for so many more rounds
     * once wait_for connections are used. */
    uint32_t dirty_rounds, first_round;
    uint32_t held; /* connection that lets nothing through for a while */
    uint32_t held_turns;
    /* A connection is cut when the source gets to a phase. */
    uint32_t cut_conn, cut_phase, cut_done;
    uint32_t wait_for;
    void (*hook)(struct move *move);
};

/* seed: of memory, state, and what the relay and the guest do. */
void move_open(struct move *move, uint32_t seed);
/* The target listens, the source connects to the relay. Return: of ferry_context_send().
 */
int move_start(struct move *move, const struct ferry_migrate_options *source,
               const struct ferry_migrate_options *target);
/* Turns of everybody until both sides have ended. Return: 1 when they have. */
int move_run(struct move *move);
/* Fails, with what was tried, unless it moved and the target has all of it. */
void move_expect(const struct move *move, const char *what, uint32_t number);
void move_close(struct move *move);
/* Breaks one connection. */
void relay_cut(struct relay_conn *conn);

#endif
