/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_H
#define FERRY_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"
#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The conformance test of a device that migrates: every check belongs to a rule of the
 * specification (ferry_rule_get()) and drives the device through the same requests that a
 * VMM makes. The device is reset and reopened many times: it must have no other user and
 * nothing in it that matters.
 *
 * Thread: a run belongs to the thread that called ferry_check_run().
 */
struct ferry_endpoint;
struct ferry_check_device;

/* Who demands it. A later one holds the earlier ones. */
enum ferry_check_profile {
    FERRY_CHECK_REQUIRED = 1,   /* the text of the VFIO uAPI */
    FERRY_CHECK_EXPECTED = 2,   /* QEMU relies on it */
    FERRY_CHECK_RECOMMENDED = 3 /* Ferry: makes a device better than it has to be */
};

enum ferry_check_verdict {
    FERRY_CHECK_PASS = 1,
    FERRY_CHECK_FAIL,  /* the rule is broken; expected and seen say how */
    FERRY_CHECK_SKIP,  /* does not apply to this device or these options; seen: why */
    FERRY_CHECK_BROKEN /* could not be tried: what comes before it failed; seen: how */
};

/* What a check takes. */
#define FERRY_CHECK_NEEDS_P2P 1u       /* FERRY_MIG_P2P */
#define FERRY_CHECK_NEEDS_PRE_COPY 2u  /* FERRY_MIG_PRE_COPY */
#define FERRY_CHECK_NEEDS_LOG 4u       /* the device logs its DMA */
#define FERRY_CHECK_NEEDS_DRIVER 8u    /* a driver that has the device work */
#define FERRY_CHECK_NEEDS_RESET 16u    /* the device can be reset */
#define FERRY_CHECK_NEEDS_WIRE 32u     /* a vfio-user connection */
#define FERRY_CHECK_NEEDS_PARTNER 64u  /* a second device of the same kind */
#define FERRY_CHECK_NEEDS_FOREIGN 128u /* a device of another kind */
#define FERRY_CHECK_NEEDS_V1 256u      /* a device with the migration region of v1 */
#define FERRY_CHECK_NEEDS_V2 512u      /* not such a device */
#define FERRY_CHECK_NEEDS_IRQ 1024u    /* MSI-X or MSI */
#define FERRY_CHECK_DESTRUCTIVE                                                          \
    2048u                          /* may wedge a device or a kernel: only when asked */
#define FERRY_CHECK_MAY_HANG 4096u /* hangs kernels that are not fixed: FORCE only */
#define FERRY_CHECK_NEEDS_REOPEN 8192u /* a device that can be opened again */

/* One check; a constant of the library. */
struct ferry_check_info {
    const char *id;    /* "arc.legal" */
    const char *rule;  /* "MIG-ARC-1" */
    const char *title; /* what is tried, one line */
    uint32_t profile;  /* enum ferry_check_profile */
    uint32_t needs;    /* FERRY_CHECK_* */
};

/* The i-th check, or NULL past the last. Thread: any. */
FERRY_PUBLIC const struct ferry_check_info *ferry_check_get(size_t i);

#define FERRY_CHECK_CASE_BYTES 64

/* How one case of a check ended. */
struct ferry_check_result {
    const struct ferry_check_info *check;
    char
        name[FERRY_CHECK_CASE_BYTES]; /* of the case: "RUNNING>STOP_COPY"; "": the only */
    uint32_t verdict;                 /* enum ferry_check_verdict */
    uint32_t looked_ms; /* what was not seen was looked for that long: no proof; 0: no
                           verdict of time */
    uint64_t duration_ns;
    char expected[192];
    char seen[320];
};

/*
 * A driver that has a device work, so that there is something to see: for devices of
 * others from a plug-in, a shared object with a function
 *   const struct ferry_check_driver *ferry_check_driver(void);
 * Its functions run on the thread of ferry_check_run(). Where nothing else is said they
 * return FERRY_OK or a negative code. NULL: it cannot do that, and what needs it is
 * skipped.
 */
struct ferry_check_driver {
    size_t struct_size;
    const char *name;
    /* 1: it drives this one; config: the first 64 bytes of config space. */
    int (*matches)(const uint8_t *config);
    /* The device is in RUNNING after a reset or an opening, and memory is mapped. */
    int (*start)(struct ferry_check_device *device, void **ret_state,
                 struct ferry_error *reterr);
    /* The device was reset or is gone: frees state, touches nothing. */
    void (*stop)(void *state);
    /* Does some work and looks at what came out. */
    int (*works)(void *state, struct ferry_error *reterr);
    /* Has the device write to [iova, iova + bytes) and nowhere else of the scratch
     * memory; all of it is written, and the bytes change, when it returns. */
    int (*write)(void *state, uint64_t iova, uint64_t bytes, struct ferry_error *reterr);
    /* The same, but without waiting: it goes on writing there, over and over as long as
     * it can, until settle() or a change of state. */
    int (*begin)(void *state, uint64_t iova, uint64_t bytes, struct ferry_error *reterr);
    /* Takes in all that was begun; the device is in RUNNING. */
    int (*settle)(void *state, struct ferry_error *reterr);
    /* Changes what the device would save: other bytes than before. */
    int (*change)(void *state, struct ferry_error *reterr);
    /* Device memory that a peer may write to: bytes of a mappable region. 0 bytes: none.
     */
    void (*scratch)(void *state, uint32_t *ret_region, uint64_t *ret_off,
                    uint64_t *ret_bytes);
};

/* For drivers: the device, as they reach it. region: 0-5 BARs, 7 config space. */
FERRY_PUBLIC int ferry_check_region_read(struct ferry_check_device *device,
                                         uint32_t region, uint64_t off, void *ret_data,
                                         size_t count);
FERRY_PUBLIC int ferry_check_region_write(struct ferry_check_device *device,
                                          uint32_t region, uint64_t off, const void *data,
                                          size_t count);
/* The memory that is mapped for the driver's own use: rings and requests. Zeroed before
 * start(). It lies apart from what write() is asked to have written. */
FERRY_PUBLIC void *ferry_check_memory(struct ferry_check_device *device,
                                      uint64_t *ret_iova, uint64_t *ret_bytes);
/* The same for all of the mapped memory; iova must lie in it with that many bytes. */
FERRY_PUBLIC void *ferry_check_memory_at(struct ferry_check_device *device, uint64_t iova,
                                         uint64_t bytes);
/*
 * Has vectors [0, count) of MSI-X, of MSI where the device has no MSI-X, delivered to
 * eventfds of the checker's, and waits for one of them. Return: FERRY_OK; FERRY_E_TIMEOUT
 * after timeout_ms.
 */
FERRY_PUBLIC int ferry_check_irqs(struct ferry_check_device *device, uint32_t count);
FERRY_PUBLIC int ferry_check_irq_wait(struct ferry_check_device *device, uint32_t vector,
                                      uint32_t timeout_ms);
/* Lets the device go on for a while; an in-process one works in that time only. */
FERRY_PUBLIC int ferry_check_turn(struct ferry_check_device *device, uint32_t wait_ms);

/* A device: of the one or of the other. */
struct ferry_check_target {
    const char *uri;                 /* as ferry_context_add(); borrowed */
    struct ferry_endpoint *endpoint; /* of this process; borrowed, nobody attached */
};

struct ferry_check_options {
    size_t struct_size;
    struct ferry_check_target device;
    struct ferry_check_target partner;       /* of the same kind; NULLs: none */
    struct ferry_check_target foreign;       /* of another kind; NULLs: none */
    const struct ferry_check_driver *driver; /* NULL: none */
    uint32_t profile;                        /* up to this one; 0: all */
    uint32_t allowed;    /* FERRY_CHECK_DESTRUCTIVE, FERRY_CHECK_MAY_HANG */
    uint32_t timeout_ms; /* of each request; 0: 5000 */
    uint32_t look_ms;    /* how long to look for what must not happen; 0: 20 */
    /* Patterns between spaces, over "id" and "id[case]": * and ? stand for any, brackets
     * for themselves. What picks nothing is no error. NULL: all. */
    const char *only;
    const char *rule; /* prefix of the rule's identifier; NULL: all */
    /* A case begins, and has ended; borrowed for the call. Both may be NULL. A result
     * that returns other than 0 ends the run. */
    void (*begin)(void *user, const struct ferry_check_info *check, const char *name);
    int (*result)(void *user, const struct ferry_check_result *result);
    void *user;
};

/*
 * Does a pattern mean a case? only: as of the options, patterns between spaces; name: of
 * the case, "" of the only one; NULL: of any case that the check may have.
 * Return: 1 when it does, else 0. Thread: any.
 */
FERRY_PUBLIC int ferry_check_matches(const char *only,
                                     const struct ferry_check_info *info,
                                     const char *name);
/*
 * Would ferry_check_run() try cases of this check? Of the options, profile, rule and only
 * decide; the device may still lack what the check needs.
 * Return: 1 when it would, else 0. Thread: any.
 */
FERRY_PUBLIC int ferry_check_wanted(const struct ferry_check_options *options,
                                    const struct ferry_check_info *info);

struct ferry_check_summary {
    uint32_t passed, failed, skipped, broken;
    uint32_t failed_of[4]; /* by enum ferry_check_profile */
    uint32_t features;     /* FERRY_MIG_* of the device */
    uint32_t uapi;         /* 1, 2 */
};

/*
 * Runs the checks. ret_summary may be NULL, and reterr too. Return: FERRY_OK, whatever
 * they found; FERRY_E_UNSUPPORTED (the device does not migrate at all), FERRY_E_ARGUMENT,
 * FERRY_E_MEMORY, or what opening it returned; FERRY_E_CANCELLED (a result callback ended
 * it).
 */
FERRY_PUBLIC int ferry_check_run(const struct ferry_check_options *options,
                                 struct ferry_check_summary *ret_summary,
                                 struct ferry_error *reterr);

#ifdef __cplusplus
}
#endif

#endif
