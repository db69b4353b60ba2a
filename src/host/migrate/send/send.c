/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/migrate/migration.h"

static void log_done(struct ferry_run *run, struct ferry_op *op)
{
    uint32_t device = op->device;
    int32_t status = op->request.status;
    struct ferry_run_device *own = &run->device[device];

    if (op->request.kind == FERRY_RQ_LOG_START) {
        own->log_asked = status >= 0;
    }
    if (status < 0) {
        struct ferry_error error = { .code = FERRY_OK };

        ferry_error_set(&error, status, "device", NULL, 0,
                        "device %s: dirty tracking did not %s: %.150s",
                        run->context->device[device]->name,
                        op->request.kind == FERRY_RQ_LOG_START ? "start" : "stop",
                        op->error.text[0] ? op->error.text : ferry_status_text(status));
        ferry_run_note(run, &error);
    }
    ferry_op_free(op);
    ferry_run_event(run, FERRY_EV_LOG_DONE, device, status < 0 ? status : FERRY_OK, 0);
}

static void log_switch(struct ferry_run *run, uint32_t device, uint32_t kind)
{
    size_t cap = kind == FERRY_RQ_LOG_START
                     ? FERRY_CONTEXT_MEMORY_MAX * sizeof(struct ferry_range)
                     : 0;
    struct ferry_op *op = ferry_op_new(run, kind, device, cap, log_done);

    if (!op) {
        ferry_run_event(run, FERRY_EV_LOG_DONE, device, FERRY_E_MEMORY, 0);
        return;
    }
    if (kind == FERRY_RQ_LOG_START) {
        struct ferry_range *range = (void *)op->data;

        op->request.u.log_start.page_size = FERRY_PAGE_BYTES;
        op->request.u.log_start.range = range;
        op->request.u.log_start.range_count = ferry_host_log_ranges(run->context, range);
        /* Nothing that the device could write: there is no log of nothing, and to a
         * vfio-user server it would mean the whole address space. */
        if (op->request.u.log_start.range_count == 0) {
            ferry_op_free(op);
            ferry_run_event(run, FERRY_EV_LOG_DONE, device, FERRY_OK, 0);
            return;
        }
    } else {
        run->device[device].log_asked = 0;
    }
    ferry_op_run(op);
}

static void raise_irqs(struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_run_device *own = &run->device[i];

        if (own->irqs_known) {
            own->irqs_known = 0;
            (void)ferry_host_irqs_raise(run->context, i, own->irqs, sizeof(own->irqs));
        }
    }
}

static void quiet_foreign(struct ferry_run *run)
{
    struct ferry_context *context = run->context;
    int status = context->ops.quiet_foreign
                     ? context->ops.quiet_foreign(context->user, context)
                     : FERRY_OK;

    if (status < 0) {
        struct ferry_error error = { .code = FERRY_OK };

        ferry_error_set(&error, status, FERRY_HOST_LAYER, NULL, 0,
                        "DMA initiators outside of the context cannot be quieted: %s",
                        ferry_status_text(status));
        ferry_run_note(run, &error);
    }
    ferry_run_event(run, FERRY_EV_FOREIGN_QUIET, FERRY_NO_DEVICE,
                    status < 0 ? status : FERRY_OK, 0);
}

static void release(struct ferry_run *run)
{
    run->released = 1;
    for (uint32_t i = 0; i < run->device_count; i++) {
        run->device[i].report.state = run->context->device[i]->state;
        if (!run->device[i].report.hung) {
            ferry_host_count(run->context, i);
        }
        ferry_host_device_close(run->context, i);
    }
}

int ferry_run_perform_send(struct ferry_run *run, const struct ferry_action *action)
{
    switch (action->kind) {
    case FERRY_ACT_LOG_START:
        log_switch(run, action->device, FERRY_RQ_LOG_START);
        return 1;
    case FERRY_ACT_LOG_STOP:
        log_switch(run, action->device, FERRY_RQ_LOG_STOP);
        return 1;
    case FERRY_ACT_RAM_ROUND:
        ferry_run_config_refresh(run);
        ferry_ram_round(run);
        return 1;
    case FERRY_ACT_DATA_READ:
        ferry_run_data_read(run, action->device);
        return 1;
    case FERRY_ACT_FINAL_ROUND:
        ferry_run_final_round(run);
        return 1;
    case FERRY_ACT_QUIET_FOREIGN:
        quiet_foreign(run);
        return 1;
    case FERRY_ACT_RELEASE_FOREIGN:
        if (run->context->ops.release_foreign) {
            run->context->ops.release_foreign(run->context->user, run->context);
        }
        return 1;
    case FERRY_ACT_RAISE_IRQS:
        raise_irqs(run);
        return 1;
    case FERRY_ACT_CANCEL_IO:
        run->cancelled = 1;
        ferry_ram_cancel(run);
        ferry_run_readers_cancel(run);
        return 1;
    case FERRY_ACT_RELEASE:
        release(run);
        return 1;
    default:
        return 0;
    }
}
