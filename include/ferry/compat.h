/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_COMPAT_H
#define FERRY_COMPAT_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"
#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FERRY_MODEL_BYTES 32
#define FERRY_KEY_BYTES 32
#define FERRY_KEYS_MAX 16

/* How a target's value must stand to the source's. */
enum ferry_key_relation {
    FERRY_KEY_EQUAL = 1,    /* target == source */
    FERRY_KEY_AT_LEAST = 2, /* target >= source (a limit: queues, sessions, bytes) */
    FERRY_KEY_SUPERSET = 3  /* target has every bit of source (features) */
};

/* One property that decides whether a device's state can move to another device. */
struct ferry_compat_key {
    char name[FERRY_KEY_BYTES]; /* NUL-terminated, [a-z0-9_.-] */
    uint32_t relation;          /* enum ferry_key_relation */
    uint32_t pad;
    uint64_t value;
};

/* What a device is, as far as its migration is concerned. All strings NUL-terminated. */
struct ferry_identity {
    char model[FERRY_MODEL_BYTES]; /* "acc"; "" when the device does not say */
    uint32_t state_version;        /* version of the state that it writes */
    uint32_t state_version_min;    /* oldest version that it reads */
    uint16_t pci_vendor, pci_device, pci_subvendor, pci_subdevice;
    uint32_t pci_class;       /* class code << 8 | revision */
    uint32_t migration_flags; /* FERRY_MIG_* */
    uint32_t key_count;
    uint32_t doorbell_latch; /* 1: latches doorbells while quiet (P2P states) */
    /* Times that the device declares for its arcs; 0: not declared. */
    uint64_t quiet_ns, stop_ns, load_ns, run_ns;
    struct ferry_compat_key key[FERRY_KEYS_MAX];
    /* Of devices with uAPI v1. implicit_quiesce: one that is not RUNNING starts no DMA
     * but takes that of its peers until its pending_bytes is read first. any_chunks: it
     * takes its state in writes of any size, not only in the transactions that it was
     * saved in. */
    uint32_t implicit_quiesce;
    uint32_t any_chunks;
};

/*
 * May the state of a device with identity `source` be loaded by `target`? Compares model,
 * PCI identity, state versions and every key of the source.
 * reterr: names the first difference with both values.
 * Return: FERRY_OK; FERRY_E_INCOMPATIBLE; FERRY_E_VERSION (state version);
 * FERRY_E_ARGUMENT (an identity that is malformed: no NUL, too many keys, an unknown
 * relation). Thread: any. Rules: MIG-COMPAT-1 to -5.
 */
FERRY_PUBLIC int ferry_compat_check(const struct ferry_identity *source,
                                    const struct ferry_identity *target,
                                    struct ferry_error *reterr);

#ifdef __cplusplus
}
#endif

#endif
