/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_KERNEL_INSIDE_H
#define FERRY_HOST_BACKEND_KERNEL_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "host/backend/backend.h"
#include "host/backend/kernel/calls.h"
#include "host/backend/kernel/iommu.h"
#include "os/loop.h"
#include "os/uapi/precopy.h"
#include "os/uapi/vfio.h"

/*
 * The inside of a kernel device. What the kernel says of regions and interrupts is asked
 * for and checked when it is opened, and then stays as it is: reading it needs no lock.
 *
 * Calls that may wait for the device (all of VFIO_DEVICE_FEATURE but probes, RESET, the
 * data descriptor) are made by one thread, the worker, job after job. It works on a copy
 * of each request and in memory of its own, so a request that is overdue goes back to its
 * submitter although the kernel still has the call: nobody can take a call back.
 *
 * Locks: `lock` guards the jobs and the end; it is never held across a call of the
 * kernel. `iommu_lock` guards the IOMMU, `irq_lock` the interrupts' set-up; both are held
 * across calls, and neither is taken with another one held. What is marked "worker's" is
 * touched by the worker alone.
 */

#define KERNEL_LAYER "kernel"

/* Limits. */
#define KERNEL_REGIONS_MAX 256u       /* a kernel's device has a few beyond nine */
#define KERNEL_IRQ_INDEXES_MAX 64u    /* five of PCI */
#define KERNEL_VECTORS_MAX 2048u      /* MSI-X */
#define KERNEL_INFO_BYTES_MAX 65536u  /* an info with its capabilities */
#define KERNEL_INFO_TRIES 4u          /* to learn how long it is */
#define KERNEL_CAPS_MAX 64u           /* in one chain */
#define KERNEL_DATA_MAX (1u << 20)    /* of a region or data request */
#define KERNEL_BITMAP_MAX (64u << 20) /* one report: 2 TiB of small pages */
#define KERNEL_TURN_MS 20             /* of a wait that looks whether it is to end */
#define KERNEL_DATA_BYTES_SANE (1ull << 48) /* a driver's -errno is beyond */

enum kernel_dirty {
    KERNEL_DIRTY_BEST,
    KERNEL_DIRTY_DEVICE,
    KERNEL_DIRTY_IOMMU,
    KERNEL_DIRTY_NONE,
};

/* The first job: what is fixed of the device. No request of a user's. */
#define KERNEL_RQ_BEGIN FERRY_RQ_COUNT

/* One request at the worker. */
struct kernel_job {
    struct ferry_request request;   /* the worker's copy */
    struct ferry_request *original; /* NULL: its submitter has it back */
    struct ferry_error detail;
    uint64_t deadline_ns;
    uint32_t sync;    /* 1: a thread waits in call() */
    uint32_t copying; /* 1: the worker has its hands on the submitter's memory */
    struct kernel_job *next;
};

struct backend_kernel {
    struct ferry_backend base;
    const struct kernel_calls *calls;
    struct kernel_iommu *iommu; /* NULL: none, no memory can be mapped */
    int fd;                     /* the device's */
    uint64_t timeout_ns;

    /* Known since it was opened. */
    struct ferry_device_info info;
    struct ferry_region_info *region; /* info.region_count; fd: -1 */
    uint8_t *region_there;            /* 1: the kernel knows that index */
    struct ferry_irq_info *irq;       /* info.irq_count; count 0: not there */
    uint64_t mig_flags;               /* 0: migrates not, or by v1 */
    enum kernel_dirty dirty;          /* never KERNEL_DIRTY_BEST */
    uint32_t send_all_arcs;           /* 1: also those that hang many kernels */
    uint32_t as_is;                   /* 1: nothing of what a driver does is made good */

    pthread_mutex_t iommu_lock;
    pthread_mutex_t irq_lock;
    int notice_fd;      /* eventfd of REQ while the user has none there */
    atomic_int testing; /* 1: the user fires REQ himself, it means nothing */
    struct ferry_watch notice_watch;

    /* Worker's. */
    int data_fd; /* of the session, or -1 */
    uint32_t data_loads;
    uint32_t torn; /* 1: bytes of the session are lost (kernel_tears()) */
    int ended_fd;  /* as_is: of the session before, to see that it is over; or -1 */
    uint32_t ended_loads;
    uint32_t state; /* as last known */
    uint32_t iommu_logs;
    uint8_t *bounce;
    uint64_t bounce_bytes;

    pthread_mutex_t lock;
    pthread_cond_t work;  /* there is a job, or the end */
    pthread_cond_t ended; /* a job of a call() is over; the worker has gone */
    pthread_t worker;
    uint32_t has_worker;
    uint32_t worker_gone;
    uint32_t closing;
    uint32_t wanted_back;   /* 1: the kernel waits for the device; 2: it has it */
    uint32_t orphan;        /* 1: the worker frees all when it gets its call back */
    struct kernel_job *job; /* at the kernel now */
    struct kernel_job *head, **tail;
    struct ferry_request *done_head, **done_tail; /* for dispatch */
    struct ferry_loop *loop;
    struct ferry_watch event_watch;
    struct ferry_loop_timer timer; /* the first deadline of a submitted request */
    int event_fd;
    atomic_int dead; /* FERRY_OK, or why it serves nobody any more */
    struct ferry_error error;
};

/* One job of the worker. job->detail is filled on failure. Return: its status. */
typedef int kernel_perform_fn(struct backend_kernel *kernel, struct kernel_job *job);

/* What a backend is made of; open.c finds it, a test makes it. */
struct kernel_parts {
    const struct kernel_calls *calls; /* borrowed until close */
    int fd;                           /* the device */
    struct kernel_iommu *iommu;       /* may be NULL */
    enum kernel_dirty dirty;
    uint32_t timeout_ms;
    uint32_t send_all_arcs; /* 1: the user takes the risk of state.c, check_ends() */
    uint32_t as_is;         /* as in the options */
};

/*
 * kernel.c: starts the worker, which asks the device for all that is fixed and finds the
 * dirty tracking. The parts are given away in any case; on failure they are closed, as
 * soon as the kernel lets them.
 */
int kernel_backend_new(const struct kernel_parts *parts,
                       struct ferry_backend **ret_backend, struct ferry_error *reterr);
/* Frees all that the worker does not use, and then itself. */
void kernel_free(struct backend_kernel *kernel);
/* Takes all memory away from the device; iommu_lock held. */
void kernel_unmap_all(struct backend_kernel *kernel);
/* Takes a device out of service; called with the lock held. */
void kernel_die(struct backend_kernel *kernel, int code, const char *text);

/* --- refusal.c --- */

/* The status for an errno of a VFIO device, the same that a vfio-user server's gives. */
int kernel_status(int err);
/*
 * Fills *reterr with "what: the errno's sentence (errno N)" and returns kernel_status().
 * rc: negative errno.
 */
int kernel_refusal(struct ferry_error *reterr, int rc, const char *what);

/* --- info.c --- */

/* Worker: what is fixed of the device. */
kernel_perform_fn kernel_begin;
int kernel_region_info(struct backend_kernel *kernel, struct ferry_region_info *region,
                       struct ferry_error *reterr);

/* --- access.c: what whoever asks does himself --- */

int kernel_region_access(struct backend_kernel *kernel,
                         const struct ferry_request *request);
int kernel_set_irqs(struct backend_kernel *kernel, const struct ferry_irq_set *set,
                    struct ferry_error *reterr);
/* Puts our own eventfd where the user has none for REQ. */
void kernel_watch_notice(struct backend_kernel *kernel);
int kernel_dma(struct backend_kernel *kernel, struct ferry_request *request);

/* --- feature.c --- */

/*
 * VFIO_DEVICE_FEATURE. payload: in and out, at most KERNEL_PAYLOAD_MAX bytes.
 * Return: >= 0, or -errno; a signal makes it begin anew until deadline_ns (0: never).
 */
#define KERNEL_PAYLOAD_MAX 64u
int kernel_feature(const struct backend_kernel *kernel, uint32_t flags, void *payload,
                   uint32_t bytes, uint64_t deadline_ns);
int kernel_probe(struct backend_kernel *kernel, const struct ferry_feature_probe *probe,
                 struct ferry_error *reterr);
/* Who does a request of that kind. Return: NULL: it is none of the worker's. */
kernel_perform_fn *kernel_performer(uint32_t kind);

/* --- state.c: worker --- */

kernel_perform_fn kernel_get_state, kernel_set_state, kernel_reset;
void kernel_end_session(struct backend_kernel *kernel);

/* --- data.c: worker --- */

kernel_perform_fn kernel_data_read, kernel_data_write, kernel_precopy_info;
/* A job that ended, with the lock held: does its session lack bytes from now on that its
 * submitter believes to be there still, or to come? */
int kernel_tears(const struct kernel_job *job, int status);

/* --- log.c: worker --- */

/* Chooses the dirty tracking; kernel->dirty is what the user asked for. */
int kernel_find_dirty(struct backend_kernel *kernel, struct ferry_error *reterr);
kernel_perform_fn kernel_log_start, kernel_log_stop, kernel_log_report;

/* --- worker.c --- */

int kernel_worker_start(struct backend_kernel *kernel, struct ferry_error *reterr);
/*
 * Waits for the worker, bounded, and frees the backend; when the kernel keeps the worker,
 * that frees it as soon as it can. Nothing of the backend may be touched afterwards.
 */
void kernel_worker_end(struct backend_kernel *kernel);
/* Lock held. Return: FERRY_PENDING, FERRY_E_MEMORY. */
int kernel_enqueue(struct backend_kernel *kernel, struct ferry_request *request,
                   uint32_t sync);
/* Lock held: waits for a request that was enqueued with sync. Return: its status,
 * FERRY_E_TIMEOUT. */
int kernel_await(struct backend_kernel *kernel, struct ferry_request *request);
/* Lock held: with FERRY_E_TIMEOUT ends what was submitted and is overdue; with another
 * status all requests. Sets the timer for what is left. */
void kernel_end_requests(struct backend_kernel *kernel, int status);
/*
 * Worker: copies between its memory and the request's, as long as that is still ours.
 * Return: FERRY_OK, FERRY_E_TIMEOUT (the submitter has it back).
 */
int kernel_copy(struct backend_kernel *kernel, struct kernel_job *job, void *to,
                const void *from, uint64_t bytes);
/* Worker: memory of at least that many bytes. Return: NULL: there is none. */
void *kernel_bounce(struct backend_kernel *kernel, uint64_t bytes);
/* Worker: is a wait to end? Return: FERRY_OK: not yet; FERRY_E_TIMEOUT. */
int kernel_patience(struct backend_kernel *kernel, const struct kernel_job *job);

#endif
