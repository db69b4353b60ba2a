/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_HOST_MIG_RIG_H
#define TEST_HOST_MIG_RIG_H

#include <stdatomic.h>
#include <stdint.h>

#include "ferry/device.h"
#include "ferry/host.h"
#include "host/migrate/migration.h"

/*
 * Two contexts in one process, each with devices of the SDK, and a wire between them that
 * can be tampered with at any byte.
 */
#define RIG_DEVICES 2u
#define RIG_STATE_BYTES 70000u
#define RIG_INITIAL_BYTES 20000u
#define RIG_MEMORY_BYTES (64u * 4096u)
#define RIG_IOVA 0x100000u
#define RIG_VECTORS 4u
#define RIG_PEER_REGION 2u /* of each device: memory that the others can reach */
#define RIG_PEER_BYTES 0x4000u

/* A device that is nothing but state, and misbehaves when told to. */
struct rig_device {
    struct ferry_device *device;
    uint8_t *bytes;
    size_t size, at;
    uint32_t features;
    uint32_t hang_to;   /* the arc to this state does not end; 0: none */
    uint32_t fail_to;   /* the arc to this state fails with fail_status */
    uint32_t fail_from; /* only the arc from this state; 0: from any */
    int fail_status;
    uint32_t fails; /* how often; 0: always */
    uint32_t resets;
    uint64_t counted; /* what its counters tell; 0: it has none */
    uint32_t writes;  /* 1: writes to memory with each arc, up to the quiet one */
};

struct rig_side {
    struct ferry_context *context;
    struct rig_device device[RIG_DEVICES];
    uint32_t device_count;
    uint8_t *memory;
    int memory_fd;
    int irq_fd[RIG_DEVICES][RIG_VECTORS];
    /* What the VMM was told. */
    int running; /* CPUs run */
    int pauses, resumes, foreign;
    int pause_pending; /* pause_cpus answers FERRY_PENDING and never ends */
    int track_calls, tracking;
    uint32_t events[8];
    struct ferry_report report; /* with FINISHED */
    int finished;
    void (*on_finished)(struct rig_side *side); /* in the event; NULL: nothing */
    void (*undress)(uint32_t side, uint32_t device);
    char vmm[64];
    size_t vmm_bytes;
};

enum rig_fault { RIG_NONE = 0, RIG_FLIP, RIG_CUT, RIG_SILENT };

struct rig {
    struct rig_side side[2];
    uint32_t from;       /* the source's index; 0 at first */
    int wire[2];         /* our ends of the connections to the sides */
    uint64_t passed[2];  /* bytes from side 0 / from side 1 */
    uint32_t fault;      /* enum rig_fault */
    uint32_t fault_from; /* side whose bytes are hit */
    uint64_t fault_at;
    uint8_t *held[2];
    size_t held_bytes[2];
    void (*every_turn)(struct rig *rig);
    uint32_t cancel_phase, cancel_side, cancelled;
};

struct rig_choice {
    uint32_t device_count;          /* 0: RIG_DEVICES */
    uint32_t features[RIG_DEVICES]; /* 0: all */
    uint32_t no_tracking;           /* 1: without track_cpus */
    uint64_t memory_bytes;          /* 0: RIG_MEMORY_BYTES */
    const char *models[2];          /* of the sides; NULL: the same */
    uint32_t timeout_ms;            /* of devices; 0: default */
    uint32_t state_bytes;           /* of each device; 0: RIG_STATE_BYTES */
    /* What the context gets instead of a device's own endpoint, and its end; NULL. */
    struct ferry_endpoint *(*dress)(struct ferry_endpoint *endpoint, uint32_t side,
                                    uint32_t device);
    void (*undress)(uint32_t side, uint32_t device);
};

void rig_open(struct rig *rig, const struct rig_choice *choice);
void rig_close(struct rig *rig);
/* Connects the sides and starts. options may be NULL. Return: status of the source's
 * start. */
int rig_start(struct rig *rig, const struct ferry_migrate_options *options);
/* One turn of everybody. */
void rig_turn(struct rig *rig);
/* Turns until both sides have ended or are undecided, or limit_ms passed.
 * Return: 1 when they have. */
int rig_run(struct rig *rig, uint32_t limit_ms);
/* Fills memory and state of the source with something to recognise. */
void rig_fill(struct rig *rig, uint32_t seed);
/* Does the target hold what the source had? */
int rig_memory_equal(const struct rig *rig);
int rig_state_equal(const struct rig *rig);
/* 1 when every device of a side is RUNNING and its CPUs run. */
int rig_runs(const struct rig *rig, uint32_t side);
uint32_t rig_outcome(const struct rig *rig, uint32_t side);
int rig_undecided(const struct rig *rig, uint32_t side);
/* RIG_NO_PHASE when there is no migration. */
#define RIG_NO_PHASE UINT32_MAX
uint32_t rig_phase(const struct rig *rig, uint32_t side);

#endif
