/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "host/migrate/migration.h"
#include "os/clock.h"

/* --- records --- */

void ferry_run_link_down(struct ferry_run *run, const struct ferry_error *error)
{
    if (!run->down) {
        run->down = 1;
        ferry_run_note(run, error);
        ferry_run_event(run, FERRY_EV_LINK_DOWN, FERRY_NO_DEVICE, error->code, 0);
    }
}

static void put_preamble(struct ferry_run *run)
{
    struct ferry_stream_preamble preamble = { .version = FERRY_STREAM_VERSION,
                                              .version_min = FERRY_STREAM_VERSION_MIN,
                                              .epoch = run->epoch };
    uint8_t payload[64];
    struct ferry_writer writer;

    run->preamble_sent = 1;
    memcpy(preamble.session_id, run->session_id, sizeof(preamble.session_id));
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_preamble(&writer, &preamble);
    ferry_run_put(run, FERRY_REC_PREAMBLE, FERRY_NO_DEVICE, payload, writer.pos);
}

void ferry_run_put(struct ferry_run *run, uint16_t tag, uint32_t device,
                   const void *payload, size_t bytes)
{
    struct ferry_channel *channel = run->channel;
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (!run->preamble_sent) {
        put_preamble(run);
    }
    if (tag == FERRY_REC_MEMORY_END || tag == FERRY_REC_ALL_SENT) {
        ferry_lanes_barrier(run); /* it speaks of what went over all connections */
    } else if (tag == FERRY_REC_DEVICE_INITIAL || tag == FERRY_REC_DEVICE_END) {
        channel = ferry_lanes_of_device(run, device);
    }
    ferry_stream_order_sent(&run->order, tag);
    rc = ferry_channel_put(channel, tag, device, payload, bytes);
    /* A dead output is told by the input, whose last words may say why. */
    if (rc < 0 && rc != FERRY_E_CLOSED) {
        ferry_error_set(&error, rc, FERRY_HOST_LAYER, NULL, 0,
                        "record %s could not be queued: %s", ferry_record_name(tag),
                        ferry_status_text(rc));
        ferry_run_link_down(run, &error);
    }
}

static void put_reason(struct ferry_run *run, uint16_t tag, int32_t status)
{
    uint8_t payload[512];
    struct ferry_stream_reason reason;
    struct ferry_writer writer;
    struct ferry_error error;

    ferry_run_detail(run, status < 0 ? status : FERRY_E_REFUSED, &error);
    ferry_stream_reason_from_error(&error, &reason);
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_reason(&writer, &reason);
    assert(!writer.overflow);
    if (tag == FERRY_REC_ABORT) {
        ferry_lanes_drop_data(run);
    }
    ferry_run_put(run, tag, FERRY_NO_DEVICE, payload, writer.pos);
}

void ferry_run_put_abort(struct ferry_run *run, int32_t status)
{
    int early = run->incoming && !run->accepted;

    if (!run->silent) {
        put_reason(run, early ? FERRY_REC_REFUSE : FERRY_REC_ABORT, status);
        run->silent = 1;
        run->aborted = 1;
    }
}

static void put_token(struct ferry_run *run, uint16_t tag)
{
    uint8_t payload[64];
    struct ferry_stream_token token = { .epoch = run->epoch };
    struct ferry_writer writer;

    memcpy(token.session_id, run->session_id, sizeof(token.session_id));
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_token(&writer, &token);
    assert(!writer.overflow);
    ferry_run_put(run, tag, FERRY_NO_DEVICE, payload, writer.pos);
}

static void put_message(struct ferry_run *run, const struct ferry_action *action)
{
    switch ((enum ferry_message)action->arg) {
    case FERRY_MSG_HELLO:
        ferry_run_send_hello(run);
        break;
    case FERRY_MSG_ACCEPT:
        run->accepted = 1;
        ferry_run_put_accept(run);
        break;
    case FERRY_MSG_REFUSE:
        put_reason(run, FERRY_REC_REFUSE, action->status);
        run->silent = 1;
        break;
    case FERRY_MSG_ABORT:
        /* For bad input it has been sent already. */
        if (!run->aborted) {
            run->aborted = 1;
            put_reason(run, FERRY_REC_ABORT, action->status);
        }
        run->silent = 1;
        break;
    case FERRY_MSG_INITIAL_SENT:
        ferry_run_put(run, FERRY_REC_DEVICE_INITIAL, action->device, NULL, 0);
        break;
    case FERRY_MSG_INITIAL_DONE:
        ferry_run_put(run, FERRY_REC_INITIAL_DONE, action->device, NULL, 0);
        break;
    case FERRY_MSG_ALL_SENT:
        ferry_run_put(run, FERRY_REC_ALL_SENT, FERRY_NO_DEVICE, NULL, 0);
        ferry_run_mark(run, FERRY_MARK_ALL_SENT);
        break;
    case FERRY_MSG_PREPARED:
        /* From here on only the source knows whether it commits. */
        run->silent = 1;
        ferry_run_mark(run, FERRY_MARK_PREPARED);
        put_token(run, FERRY_REC_PREPARED);
        break;
    case FERRY_MSG_COMMIT:
        run->silent = 1;
        ferry_run_mark(run, FERRY_MARK_COMMIT);
        put_token(run, FERRY_REC_COMMIT);
        break;
    case FERRY_MSG_RUNNING:
        ferry_run_mark(run, FERRY_MARK_RUNNING);
        ferry_run_put_running(run);
        break;
    case FERRY_MSG_RETURN:
        put_token(run, FERRY_REC_RETURN);
        break;
    case FERRY_MSG_COUNT:
        break;
    }
}

/* --- states --- */

static void note_device_error(struct ferry_run *run, const struct ferry_op *op,
                              int32_t status, const char *what)
{
    struct ferry_error error = { .code = FERRY_OK };

    ferry_error_set(&error, status, op->error.layer[0] ? op->error.layer : "device",
                    op->error.rule, op->error.offset, "device %s: %s: %.180s",
                    run->context->device[op->device]->name, what,
                    op->error.text[0] ? op->error.text : ferry_status_text(status));
    ferry_run_note(run, &error);
}

static void arc_over(struct ferry_run *run, uint32_t device, int32_t status)
{
    struct ferry_host_device *host = run->context->device[device];

    run->device[device].report.state = host->state;
    ferry_run_event(run, FERRY_EV_STATE_DONE, device, status, host->state);
}

static void arc_done(struct ferry_run *run, uint32_t device)
{
    arc_over(run, device, FERRY_OK);
}

static int saves(uint32_t state)
{
    return state == FERRY_STATE_PRE_COPY || state == FERRY_STATE_PRE_COPY_P2P ||
           state == FERRY_STATE_STOP_COPY;
}

static void state_read_back(struct ferry_run *run, struct ferry_op *op)
{
    int32_t status = (int32_t)op->arg;
    uint32_t device = op->device;

    if (op->request.status >= 0 && op->request.u.state < FERRY_STATE_COUNT) {
        run->context->device[device]->state = op->request.u.state;
    }
    ferry_op_free(op);
    arc_over(run, device, status);
}

static void state_done(struct ferry_run *run, struct ferry_op *op)
{
    uint32_t wanted = op->arg, device = op->device;
    int32_t status = op->request.status;
    struct ferry_host_device *host = run->context->device[device];
    struct ferry_op *back;

    if (status >= 0) {
        host->state = wanted;
        ferry_run_arc_time(run, device, wanted, ferry_os_now_ns() - op->begun_ns);
        if (op->request.kind == FERRY_RQ_LEAVE_STATE) {
            ferry_run_pipe_close(run, device);
        }
        ferry_op_free(op);
        if (run->incoming ? wanted == FERRY_STATE_RESUMING : saves(wanted)) {
            ferry_run_pipe_open(run, device, arc_done);
        } else {
            arc_done(run, device);
        }
        return;
    }
    if (status == FERRY_E_TIMEOUT) {
        status = FERRY_E_HUNG;
        run->device[device].report.hung = 1;
    }
    note_device_error(run, op, status, ferry_state_name(wanted));
    ferry_op_free(op);
    /* It may have stopped anywhere on its way: only the device knows where. */
    back = status == FERRY_E_HUNG || status == FERRY_E_CLOSED
               ? NULL
               : ferry_op_new(run, FERRY_RQ_GET_STATE, device, 0, state_read_back);
    if (!back) {
        arc_over(run, device, status);
        return;
    }
    back->arg = (uint32_t)status;
    ferry_op_run(back);
}

static void set_state(struct ferry_run *run, const struct ferry_action *action)
{
    struct ferry_op *op =
        ferry_op_new(run, FERRY_RQ_SET_STATE, action->device, 0, state_done);
    struct ferry_run_pipe *pipe = &run->device[action->device].pipe;

    run->device[action->device].touched = 1;
    if (!op) {
        arc_over(run, action->device, FERRY_E_MEMORY);
        return;
    }
    op->arg = action->arg;
    op->request.u.state = action->arg;
    if (run->incoming && pipe->open) {
        /* Nothing that is still under way may be overtaken. The device closes its end as
         * it leaves, maybe before its answer is seen: that is no loss of the device. */
        ferry_run_pipe_watch(pipe, 0);
        op->request.kind = FERRY_RQ_LEAVE_STATE;
        op->request.u.leave = (struct ferry_leave_state){ .state = action->arg,
                                                          .session = pipe->session,
                                                          .data_bytes = pipe->out.bytes };
    } else if (!saves(action->arg)) {
        ferry_run_pipe_close(run, action->device);
    }
    ferry_op_run(op);
}

static void reset_done(struct ferry_run *run, struct ferry_op *op)
{
    uint32_t device = op->device;
    int32_t status = op->request.status;

    if (status >= 0) {
        run->context->device[device]->state = FERRY_STATE_RUNNING;
        run->device[device].report.state = FERRY_STATE_RUNNING;
    } else {
        note_device_error(run, op, status, "reset");
    }
    ferry_op_free(op);
    ferry_run_event(run, FERRY_EV_RESET_DONE, device, status, 0);
}

static void reset(struct ferry_run *run, uint32_t device)
{
    struct ferry_op *op = ferry_op_new(run, FERRY_RQ_RESET, device, 0, reset_done);

    run->device[device].touched = 1;
    run->device[device].report.was_reset = 1;
    ferry_run_pipe_close(run, device);
    if (!op) {
        ferry_run_event(run, FERRY_EV_RESET_DONE, device, FERRY_E_MEMORY, 0);
        return;
    }
    ferry_op_run(op);
}

static void restore_config(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_device *own = &run->device[device];
    struct ferry_error error = { .code = FERRY_OK };
    int status;

    if (!own->config) {
        status = ferry_error_set(&error, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                                 "device %s: its config was never read",
                                 run->context->device[device]->name);
    } else {
        status = ferry_host_config_restore(run->context, device, own->config,
                                           own->config_bytes, &error);
    }
    if (status >= 0 && run->incoming && own->irqs_known) {
        int raised =
            ferry_host_irqs_raise(run->context, device, own->irqs, sizeof(own->irqs));

        if (raised < 0) {
            status = raised;
        } else {
            own->report.irqs_carried = (uint32_t)raised;
        }
    }
    if (status < 0) {
        ferry_run_note(run, &error);
    }
    ferry_run_event(run, FERRY_EV_CONFIG_DONE, device, status < 0 ? status : FERRY_OK, 0);
}

/* --- CPUs and the arbiter --- */

static void cpus(struct ferry_run *run, uint32_t kind)
{
    struct ferry_context *context = run->context;
    struct ferry_migration *migration = run->migration;
    int (*op)(void *, struct ferry_context *) =
        kind == FERRY_EV_CPUS_PAUSED ? context->ops.pause_cpus : context->ops.resume_cpus;
    int status;

    if (kind == FERRY_EV_CPUS_RESUMED) {
        run->cpus_stopped = 0;
    }
    /* A late answer to an earlier question is not the answer to this one. */
    ferry_migration_count_answers(migration);
    atomic_store(&migration->cpus_answered, 0);
    migration->cpus_wanted = kind;
    status = op ? op(context->user, context) : FERRY_OK;
    if (status == FERRY_PENDING) {
        migration->cpus_owed++;
        return;
    }
    migration->cpus_wanted = 0;
    if (status < 0) {
        struct ferry_error error = { .code = FERRY_OK };

        ferry_error_set(&error, status, FERRY_HOST_LAYER, NULL, 0,
                        "the CPUs cannot be %s: %s",
                        kind == FERRY_EV_CPUS_PAUSED ? "paused" : "resumed",
                        ferry_status_text(status));
        ferry_run_note(run, &error);
    }
    ferry_run_event(run, kind, FERRY_NO_DEVICE, status < 0 ? status : FERRY_OK, 0);
}

static void decide(struct ferry_run *run, const struct ferry_action *action)
{
    struct ferry_error error = { .code = FERRY_OK };
    uint32_t decision = FERRY_DECISION_NONE;
    int status = ferry_arbiter_decide(&run->arbiter, ferry_run_session_number(run),
                                      action->device, action->arg, &decision, &error);

    ferry_run_note(run, &error);
    ferry_run_event(run, FERRY_EV_DECISION, action->device, status, decision);
}

/* A device whose connection ended and that nobody asked since is lost all the same. */
static int has_lost(const struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        if (atomic_load(&run->context->device[i]->lost) != FERRY_OK) {
            return 1;
        }
    }
    return 0;
}

static void finished(struct ferry_run *run, const struct ferry_action *action)
{
    run->ended = 1;
    run->undecided = 0;
    run->outcome = action->arg;
    if (!run->incoming && run->outcome == FERRY_OUTCOME_ROLLED_BACK && has_lost(run)) {
        run->outcome = FERRY_OUTCOME_LOST;
    }
    run->status = action->status;
    run->failed_device = action->device;
}

int ferry_run_perform(struct ferry_run *run, const struct ferry_action *action)
{
    switch (action->kind) {
    case FERRY_ACT_SEND:
        put_message(run, action);
        return 1;
    case FERRY_ACT_SET_STATE:
        set_state(run, action);
        return 1;
    case FERRY_ACT_RESET:
        reset(run, action->device);
        return 1;
    case FERRY_ACT_RESTORE_CONFIG:
        restore_config(run, action->device);
        return 1;
    case FERRY_ACT_PAUSE_CPUS:
        ferry_run_stop_begins(run);
        cpus(run, FERRY_EV_CPUS_PAUSED);
        return 1;
    case FERRY_ACT_RESUME_CPUS:
        cpus(run, FERRY_EV_CPUS_RESUMED);
        return 1;
    case FERRY_ACT_DECIDE:
        decide(run, action);
        return 1;
    case FERRY_ACT_FINISHED:
        finished(run, action);
        return 1;
    default:
        return 0;
    }
}
