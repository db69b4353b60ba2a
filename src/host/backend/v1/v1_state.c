/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/backend/v1/v1_private.h"

#define FEATURES (FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY)

static int read_state(struct backend_v1 *v1, v1_step_fn *next)
{
    return ferry_v1_read(v1, FERRY_V1_STATE_OFF, 4, next);
}

int ferry_v1_take_state(struct backend_v1 *v1, uint32_t bits)
{
    /* What somebody else began is nothing that this side could go on with. */
    if (atomic_exchange(&v1->foreign, 0) != 0) {
        ferry_v1_forget_data(v1);
    }
    if (ferry_state_from_v1(bits & FERRY_V1_MASK, &v1->state) != FERRY_OK) {
        v1->known = 0;
        return ferry_v1_lies(v1, "device_state reads as a combination that is none",
                             bits);
    }
    if (v1->halted && v1->state == FERRY_STATE_RESUMING) {
        v1->state = FERRY_STATE_STOP;
    } else {
        v1->halted = 0;
    }
    /* A transaction that was begun ends with saving, also if the device left by itself.
     */
    if (!ferry_state_is_saving(v1->state)) {
        ferry_v1_forget_data(v1);
    }
    v1->bits = bits;
    v1->known = 1;
    return FERRY_OK;
}

static int took_state(struct backend_v1 *v1, int status)
{
    if (status != FERRY_OK) {
        return ferry_v1_failed(v1, status, "device_state");
    }
    return ferry_v1_take_state(v1, (uint32_t)ferry_v1_value(v1));
}

/* --- GET_STATE --- */

static int got_state(struct backend_v1 *v1, int status)
{
    const int rc = took_state(v1, status);

    if (rc == FERRY_OK) {
        v1->job->u.state = v1->state;
    }
    return rc;
}

int ferry_v1_get_state(struct backend_v1 *v1, int status)
{
    (void)status;
    return read_state(v1, got_state);
}

/* --- SET_STATE --- */

/*
 * The edges that the text of v1 draws leave STOP out where v2 passes through it: RUNNING
 * to stop-and-copy, RUNNING to RESUMING and back.
 */
static int is_drawn(uint32_t from, uint32_t to)
{
    return (from == FERRY_STATE_RUNNING &&
            (to == FERRY_STATE_STOP_COPY || to == FERRY_STATE_RESUMING)) ||
           (from == FERRY_STATE_RESUMING && to == FERRY_STATE_RUNNING);
}

static int make_plan(struct backend_v1 *v1, uint32_t wanted)
{
    uint32_t path[FERRY_STATE_COUNT], before = v1->state;
    const int count = ferry_state_path(v1->state, wanted, FEATURES, path);

    v1->plan_count = v1->plan_next = 0;
    if (count < 0) {
        return ferry_error_set(v1->job->reterr, FERRY_E_ARC, V1_LAYER, NULL, 0,
                               "migration region (uAPI v1): there is no way from %s to "
                               "%s%s",
                               ferry_state_name(v1->state), ferry_state_name(wanted),
                               v1->state == FERRY_STATE_ERROR
                                   ? ": only a reset leaves the error state"
                                   : "");
    }
    for (int i = 0; i < count; i++) {
        if (path[i] == FERRY_STATE_STOP && i + 1 < count &&
            is_drawn(before, path[i + 1])) {
            continue;
        }
        before = path[i];
        (void)ferry_state_to_v1(path[i], &v1->plan[v1->plan_count++]);
    }
    return FERRY_OK;
}

static int wrote_state(struct backend_v1 *v1, int status);

static int write_next(struct backend_v1 *v1)
{
    if (v1->plan_next == v1->plan_count) {
        return FERRY_OK;
    }
    v1->known = 0;
    /* Reserved bits stay what they are. */
    return ferry_v1_write(v1, FERRY_V1_STATE_OFF, 4,
                          (v1->bits & ~FERRY_V1_MASK) | v1->plan[v1->plan_next],
                          wrote_state);
}

/*
 * The edge from RESUMING to STOP, which v2 needs, is not drawn in v1: a device may know
 * none but the one to RUNNING. It loads all the same, and says only there whether it
 * takes the state. A device that tells who it is has been made with this edge in mind:
 * from it the failure is about the data.
 */
static int may_halt(const struct backend_v1 *v1)
{
    return v1->write_status == FERRY_E_ARGUMENT && !v1->identified &&
           v1->state == FERRY_STATE_RESUMING && v1->plan[v1->plan_next] == 0 &&
           v1->plan_next + 1 == v1->plan_count;
}

/* The write failed: the state is the one before, or ERROR. */
static int read_after_failure(struct backend_v1 *v1, int status)
{
    const uint32_t before = v1->bits & FERRY_V1_MASK;
    uint32_t now;
    int rc;

    if (status != FERRY_OK) {
        return ferry_v1_failed(v1, status, "device_state after a write that failed");
    }
    now = (uint32_t)ferry_v1_value(v1) & FERRY_V1_MASK;
    v1->halted = 0; /* it refuses to run what was loaded: the load is not over */
    rc = ferry_v1_take_state(v1, (uint32_t)ferry_v1_value(v1));
    if (rc != FERRY_OK) {
        return rc;
    }
    if (v1->state != FERRY_STATE_ERROR && now != before) {
        return ferry_v1_lies(v1,
                             "a write of device_state failed and left a state that is "
                             "neither the one before nor the error state",
                             now);
    }
    if (may_halt(v1)) {
        v1->halted = 1;
        v1->state = FERRY_STATE_STOP;
        return FERRY_OK;
    }
    return ferry_error_set(
        v1->job->reterr, v1->write_status, V1_LAYER, NULL, 0,
        "migration region (uAPI v1): device_state 0x%x: %.120s; it is in %s",
        v1->plan[v1->plan_next],
        v1->write_error.text[0] != '\0' ? v1->write_error.text
                                        : ferry_status_text(v1->write_status),
        ferry_state_name(v1->state));
}

static int read_after_success(struct backend_v1 *v1, int status)
{
    const uint32_t wanted = v1->plan[v1->plan_next];
    const int rc = took_state(v1, status);

    if (rc != FERRY_OK) {
        return rc;
    }
    if ((v1->bits & FERRY_V1_MASK) == wanted) {
        v1->plan_next++;
        return write_next(v1);
    }
    if (v1->state == FERRY_STATE_ERROR) {
        return ferry_error_set(v1->job->reterr, FERRY_E_DEVICE_ERROR, V1_LAYER, NULL, 0,
                               "migration region (uAPI v1): device_state 0x%x was taken "
                               "and the device is in the error state",
                               wanted);
    }
    return ferry_v1_lies(v1, "a write of device_state succeeded and was not done",
                         v1->bits);
}

static int wrote_state(struct backend_v1 *v1, int status)
{
    if (status == FERRY_OK) {
        return read_state(v1, read_after_success);
    }
    if (status == FERRY_E_TIMEOUT || status == FERRY_E_CLOSED) {
        return ferry_v1_failed(v1, status, "device_state");
    }
    v1->write_status = status;
    v1->write_error = v1->sub_error;
    return read_state(v1, read_after_failure);
}

static int know_where(struct backend_v1 *v1, int status)
{
    const uint32_t wanted = v1->job->u.state;
    int rc = took_state(v1, status);

    if (rc == FERRY_OK) {
        rc = make_plan(v1, wanted);
    }
    if (rc != FERRY_OK || v1->plan_count == 0) {
        return rc;
    }
    if (v1->halted && v1->plan[0] != FERRY_V1_RUNNING) {
        return ferry_error_set(v1->job->reterr, FERRY_E_ARC, V1_LAYER, NULL, 0,
                               "migration region (uAPI v1): a device that was loaded and "
                               "does not know STOP after a load goes to RUNNING only");
    }
    /* The data of a pre-copy and of the stop that follows are one session. */
    if (v1->state != FERRY_STATE_PRE_COPY || wanted != FERRY_STATE_STOP_COPY) {
        ferry_v1_forget_data(v1);
    } else if (v1->open) {
        return ferry_error_set(
            v1->job->reterr, FERRY_E_STATE, V1_LAYER, NULL, 0,
            "migration region (uAPI v1): a transaction of the pre-copy "
            "was begun and not read");
    }
    return write_next(v1);
}

int ferry_v1_set_state(struct backend_v1 *v1, int status)
{
    (void)status;
    return read_state(v1, know_where);
}

/* --- RESET --- */

static int was_reset(struct backend_v1 *v1, int status)
{
    int rc = took_state(v1, status);

    /* v1 says what a reset does to the error state, and nothing of the others. */
    if (rc == FERRY_OK) {
        rc = make_plan(v1, FERRY_STATE_RUNNING);
    }
    return rc == FERRY_OK ? write_next(v1) : rc;
}

static int reset_done(struct backend_v1 *v1, int status)
{
    if (status != FERRY_OK) {
        return ferry_v1_failed(v1, status, "RESET");
    }
    ferry_v1_forget_data(v1);
    v1->halted = 0;
    return read_state(v1, was_reset);
}

int ferry_v1_reset(struct backend_v1 *v1, int status)
{
    (void)status;
    v1->known = 0;
    (void)ferry_v1_read(v1, 0, 0, reset_done);
    v1->sub.kind = FERRY_RQ_RESET;
    return V1_ASK;
}
