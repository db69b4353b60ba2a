/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "host/backend/kernel/inside.h"
#include "os/clock.h"

/*
 * Changes of state, and the data descriptor that comes and goes with them.
 *
 * A failed change leaves the device anywhere on its way, so the kernel is asked where.
 * The worker's `state` and `data_fd` are right after each job, whatever it returned; a
 * request that was overdue makes no difference, for the job goes on to its end.
 */

#define RESET_PAUSE_NS (10u * (uint64_t)FERRY_NS_PER_MS)

static int has_session(uint32_t state)
{
    return ferry_state_is_saving(state) || state == FERRY_STATE_RESUMING;
}

void kernel_end_session(struct backend_kernel *kernel)
{
    kernel->torn = 0;
    if (kernel->as_is && kernel->data_fd >= 0) {
        kernel_close(kernel->calls, &kernel->ended_fd);
        kernel->ended_fd = kernel->data_fd;
        kernel->ended_loads = kernel->data_loads;
        kernel->data_fd = -1;
    }
    kernel_close(kernel->calls, &kernel->data_fd);
}

/* Notes the state; a session of another one is over, its descriptor good for nothing. */
static void note_state(struct backend_kernel *kernel, uint32_t state)
{
    kernel->state = state;
    if (!has_session(state) || kernel->data_loads != (state == FERRY_STATE_RESUMING)) {
        kernel_end_session(kernel);
    }
}

/* Return: 0 or -errno. */
static int ask_state(struct backend_kernel *kernel, uint64_t deadline_ns)
{
    struct uapi_mig_state now = { .data_fd = -1 };
    const int rc = kernel_feature(kernel, UAPI_MIG_STATE | UAPI_FEATURE_GET, &now,
                                  sizeof(now), deadline_ns);

    if (rc >= 0 && now.state < FERRY_STATE_COUNT) {
        note_state(kernel, now.state);
    }
    return rc < 0 ? rc : now.state < FERRY_STATE_COUNT ? 0 : -EPROTO;
}

int kernel_get_state(struct backend_kernel *kernel, struct kernel_job *job)
{
    const int rc = ask_state(kernel, job->deadline_ns);

    if (rc < 0) {
        return kernel_refusal(&job->detail, rc, "MIG_DEVICE_STATE");
    }
    job->request.u.state = kernel->state;
    return FERRY_OK;
}

/* Return: 0 or -errno; *ret_fd: what came with it, or -1. */
static int set_state(struct backend_kernel *kernel, uint32_t wanted, uint64_t deadline_ns,
                     int *ret_fd)
{
    struct uapi_mig_state set = { .state = wanted, .data_fd = -1 };
    const int rc = kernel_feature(kernel, UAPI_MIG_STATE | UAPI_FEATURE_SET, &set,
                                  sizeof(set), deadline_ns);

    *ret_fd = rc >= 0 ? set.data_fd : -1;
    return rc < 0 ? rc : 0;
}

/* The change took place; what came with it? */
static int changed(struct backend_kernel *kernel, struct kernel_job *job, int fd)
{
    const uint32_t wanted = job->request.u.state;
    const char *name = ferry_state_name(wanted);

    if (fd >= 0) {
        kernel_end_session(kernel);
        kernel->data_fd = fd;
        kernel->data_loads = wanted == FERRY_STATE_RESUMING;
        /* So that a wait can end; a driver that does not know this blocks as before. */
        (void)kernel->calls->set_nonblocking(kernel->calls->user, fd);
    }
    note_state(kernel, wanted);
    if (fd >= 0 && !has_session(wanted)) {
        return ferry_error_set(&job->detail, FERRY_E_PROTOCOL, KERNEL_LAYER, NULL, 0,
                               "the driver gave a data descriptor with %s, which has no "
                               "data",
                               name);
    }
    if (kernel->data_fd < 0 && has_session(wanted)) {
        return ferry_error_set(&job->detail, FERRY_E_PROTOCOL, KERNEL_LAYER, NULL, 0,
                               "the driver gave no data descriptor with %s", name);
    }
    return FERRY_OK;
}

/* --- failures --- */

/*
 * The state was reached, but there was no free number for its descriptor, and it is lost:
 * the only way to another one is to leave the state. Only a reset leaves RESUMING without
 * data; what the device was, it is not any more since it went there.
 */
static void leave_without_fd(struct backend_kernel *kernel, uint64_t deadline_ns)
{
    uint32_t back = FERRY_STATE_STOP;
    int fd = -1;

    if (kernel->state == FERRY_STATE_PRE_COPY) {
        back = FERRY_STATE_RUNNING;
    } else if (kernel->state == FERRY_STATE_PRE_COPY_P2P) {
        back = FERRY_STATE_RUNNING_P2P;
    }
    if (kernel->state == FERRY_STATE_RESUMING) {
        (void)kernel_ioctl(kernel->calls, kernel->fd, UAPI_RESET, NULL);
    } else {
        (void)set_state(kernel, back, deadline_ns, &fd);
        kernel_close(kernel->calls, &fd);
    }
    (void)ask_state(kernel, deadline_ns);
}

static int no_descriptor(struct backend_kernel *kernel, struct kernel_job *job, int rc)
{
    if (has_session(kernel->state) && kernel->data_fd < 0) {
        leave_without_fd(kernel, job->deadline_ns);
    }
    (void)ferry_error_set(&job->detail, FERRY_E_LIMIT, KERNEL_LAYER, NULL, 0,
                          "no file descriptor was free for the device's data, it is in "
                          "%s again; raise the limit with %s",
                          ferry_state_name(kernel->state),
                          rc == -EMFILE ? "`ulimit -n` (LimitNOFILE= of a service)"
                                        : "`sysctl fs.file-max`");
    job->detail.os_errno = (uint32_t)-rc;
    return FERRY_E_LIMIT;
}

static int failed(struct backend_kernel *kernel, struct kernel_job *job, int rc)
{
    const uint32_t from = kernel->state, wanted = job->request.u.state;
    const int asked = ask_state(kernel, job->deadline_ns);
    struct ferry_error why = { 0 };
    int status;

    if (rc == -EMFILE || rc == -ENFILE) {
        return no_descriptor(kernel, job, rc);
    }
    status = kernel_refusal(&why, rc, "the driver");
    if (asked == 0 && kernel->state == FERRY_STATE_ERROR) {
        status = FERRY_E_DEVICE_ERROR;
    }
    (void)ferry_error_set(
        &job->detail, status, KERNEL_LAYER, NULL, 0, "%s to %s: %.120s; it is in %s",
        ferry_state_name(from), ferry_state_name(wanted), why.text,
        asked == 0 ? ferry_state_name(kernel->state) : "a state that it does not tell");
    job->detail.os_errno = (uint32_t)-rc;
    return status;
}

/*
 * Linux 6.2 to 7.1 does not end STOP_COPY to one of the two: the thread then spins in the
 * kernel for ever, with the device's lock, and no signal ends it. They are forbidden in
 * every version. The device is asked where it is, since what was known may be old: a
 * failed change that could not be asked about, a guest that reset it.
 */
static int check_ends(struct backend_kernel *kernel, struct kernel_job *job)
{
    const uint32_t wanted = job->request.u.state;
    int rc;

    if (kernel->send_all_arcs ||
        (wanted != FERRY_STATE_PRE_COPY && wanted != FERRY_STATE_PRE_COPY_P2P)) {
        return FERRY_OK;
    }
    rc = ask_state(kernel, job->deadline_ns);
    if (rc < 0) {
        return kernel_refusal(&job->detail, rc, "MIG_DEVICE_STATE before pre-copy");
    }
    return kernel->state != FERRY_STATE_STOP_COPY
               ? FERRY_OK
               : ferry_error_set(&job->detail, FERRY_E_ARC, KERNEL_LAYER, "MIG-ARC-1", 0,
                                 "STOP_COPY to %s is forbidden, and hangs many kernels: "
                                 "it was not asked for",
                                 ferry_state_name(wanted));
}

int kernel_set_state(struct backend_kernel *kernel, struct kernel_job *job)
{
    int fd, rc = check_ends(kernel, job);

    if (rc != FERRY_OK) {
        return rc;
    }
    rc = set_state(kernel, job->request.u.state, job->deadline_ns, &fd);
    return rc == 0 ? changed(kernel, job, fd) : failed(kernel, job, rc);
}

/* --- reset --- */

static int no_reset(struct kernel_job *job)
{
    return ferry_error_set(&job->detail, FERRY_E_UNSUPPORTED, KERNEL_LAYER, NULL, 0,
                           "the device has no reset of its own (function-level, or of a "
                           "bus that it has for itself): only a new start of the machine "
                           "brings it back");
}

int kernel_reset(struct backend_kernel *kernel, struct kernel_job *job)
{
    int rc = kernel_ioctl(kernel->calls, kernel->fd, UAPI_RESET, NULL);

    /* Somebody else holds a lock of the bus for a moment. */
    while (rc == -EAGAIN && kernel_patience(kernel, job) == FERRY_OK) {
        ferry_os_sleep_ns(RESET_PAUSE_NS);
        rc = kernel_ioctl(kernel->calls, kernel->fd, UAPI_RESET, NULL);
    }
    if (rc < 0 && (kernel->info.flags & FERRY_DEVICE_FLAG_RESET) == 0) {
        return no_reset(job);
    }
    if (rc < 0) {
        return kernel_refusal(&job->detail, rc, "VFIO_DEVICE_RESET");
    }
    /* Its data session is over in any case. */
    kernel_end_session(kernel);
    if (kernel->mig_flags == 0) {
        return FERRY_OK;
    }
    rc = ask_state(kernel, job->deadline_ns);
    if (rc < 0) {
        return kernel_refusal(&job->detail, rc, "MIG_DEVICE_STATE after a reset");
    }
    return kernel->state == FERRY_STATE_RUNNING
               ? FERRY_OK
               : ferry_error_set(&job->detail, FERRY_E_DEVICE, KERNEL_LAYER, NULL, 0,
                                 "the device was reset, but is in %s and not in RUNNING",
                                 ferry_state_name(kernel->state));
}
