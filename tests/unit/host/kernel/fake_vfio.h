/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_FAKE_VFIO_H
#define TEST_FAKE_VFIO_H

#include <pthread.h>
#include <stdint.h>

#include "ferry/state.h"
#include "host/backend/kernel/inside.h"

/*
 * A kernel with one device, that does what the uAPI says and fails where it is told to.
 * Its descriptors are real ones that nobody else has, so that a lost one is found.
 *
 * Thread: any; what a test sets while a call may be under way goes through the lock.
 */
#define FAKE_REGIONS 12u
#define FAKE_IRQS 5u
#define FAKE_BAR0_BYTES 0x4000u
#define FAKE_STREAM_BYTES 5000u
#define FAKE_INFO_BYTES 512u

struct fake_region {
    struct uapi_region head;       /* without argsz; index of the region */
    uint8_t caps[FAKE_INFO_BYTES]; /* behind it, as it lies in the answer */
    uint32_t caps_bytes;
    uint32_t grows; /* 1: each answer says that it needs more than was given */
    int fails;      /* errno */
};

/* One kind of call that fails. */
struct fake_fault {
    int err;        /* errno; 0: none */
    uint32_t after; /* so many such calls are all right first */
    uint32_t times; /* then so many fail; 0: all */
    uint32_t state; /* where a failed change leaves the device; 0: where it was */
};

struct fake_vfio {
    struct kernel_calls calls;
    struct kernel_iommu iommu;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    int device_fd;
    struct uapi_info info;
    struct fake_region region[FAKE_REGIONS];
    struct uapi_irq irq[FAKE_IRQS];
    uint8_t bar0[FAKE_BAR0_BYTES];
    uint32_t io_most; /* bytes of one read or write of a region; 0: any */

    uint64_t flags; /* FERRY_MIG_*; 0: migrates not */
    uint32_t state;
    int data_fd;          /* of the session, or -1 */
    uint32_t no_data_fd;  /* 1: forgets to give one */
    uint32_t no_end;      /* 1: a session goes on after its state */
    uint32_t as_is;       /* for the backend: a checker has it */
    uint32_t needless_fd; /* 1: gives one with RUNNING */
    uint32_t no_reset;
    uint32_t reset_state; /* 0: RUNNING */
    uint64_t stop_copy_bytes;
    uint32_t knows_reinit, reinit_set;
    uint64_t initial_bytes;

    /* Data. */
    uint8_t stream[FAKE_STREAM_BYTES];
    uint32_t stream_bytes; /* that there are now */
    uint32_t stream_pos;
    uint32_t data_most;       /* bytes of one read or write; 0: any */
    uint32_t data_late;       /* so many reads and writes say EAGAIN first */
    uint32_t has_enomsg;      /* 0: says 0 when it is dry, as many drivers do */
    uint32_t more_than_asked; /* 1: says that it moved a byte more */
    uint8_t loaded[FAKE_STREAM_BYTES];
    uint32_t loaded_bytes;
    uint32_t polls;

    /* Dirty log. */
    uint32_t logs, log_starts, log_stops, log_reports, log_ranges;
    uint64_t dirty; /* pages 0 to 63, of the next report */

    /* IOMMU. */
    uint32_t tracks, maps, unmaps, closed;

    struct fake_fault set, get, mig, start_log, report_log, set_irqs, reset, data,
        info_of, access,
        emfile;       /* emfile: the change takes place, its descriptor is lost */
    uint32_t signals; /* so many calls in turn are interrupted first */
    uint32_t stuck;   /* 1: changes of state do not return; 2: reads of data; 3: the
                           first question */
    uint32_t inside;  /* calls that are stuck now */
    uint32_t sets, gets, resets, irq_sets, opened, closed_fds, given_up;
    struct uapi_irq_set last_irq;
    int32_t last_irq_fd[16];
};

void fake_init(struct fake_vfio *fake);
/* Everything that was opened has to be closed by then. */
void fake_end(struct fake_vfio *fake);
/* Opens a backend on it. timeout_ms: 0 for one that no test waits for. */
struct ferry_backend *fake_open(struct fake_vfio *fake, enum kernel_dirty dirty,
                                uint32_t timeout_ms);
/* The same, when it is to fail. */
int fake_open_fails(struct fake_vfio *fake, enum kernel_dirty dirty,
                    struct ferry_error *reterr);
/* The same, when the device is stuck. */
int fake_open_in_time(struct fake_vfio *fake, uint32_t timeout_ms,
                      struct ferry_error *reterr);
/* A capability behind what a region has. next: 0 for the last. Return: its offset. */
uint32_t fake_cap(struct fake_region *region, uint16_t id, const void *body,
                  uint32_t bytes, uint32_t next);
/* Lets stuck calls go on, or makes later ones stuck. */
void fake_stuck(struct fake_vfio *fake, uint32_t stuck);
/* Sets data_late while a read may be under way. */
void fake_late(struct fake_vfio *fake, uint32_t count);
/* Waits until data were waited for that often. */
void fake_await_polls(struct fake_vfio *fake, uint32_t count);
/* Waits until so many calls are stuck. */
void fake_await_inside(struct fake_vfio *fake, uint32_t count);

/* One request and its status. */
int fake_call(struct ferry_backend *backend, struct ferry_request *request);
int fake_set_state(struct ferry_backend *backend, uint32_t state,
                   struct ferry_error *reterr);
uint32_t fake_get_state(struct ferry_backend *backend);

/* --- the fake's own files --- */

/* An eventfd that counts as opened. */
int fake_new_fd(struct fake_vfio *fake);
/* Return: 0, or -errno when this call fails. */
int fake_fault(struct fake_fault *fault_of);
/* Lock held: a call that does not return while the test says so. */
void fake_wait_stuck(struct fake_vfio *fake, uint32_t which);
int fake_has_data(uint32_t state);
/* Lock held: an ioctl of the device. */
int fake_device_call(struct fake_vfio *fake, unsigned long request, void *arg);
/* Lock held: the ioctl of the data descriptor. */
int fake_precopy_info(struct fake_vfio *fake, struct uapi_precopy_info *info);
void fake_use_calls(struct fake_vfio *fake);

#endif
