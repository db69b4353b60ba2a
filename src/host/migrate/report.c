/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "host/migrate/migration.h"
#include "os/clock.h"

void ferry_run_mark(struct ferry_run *run, enum ferry_mark mark)
{
    if (run->mark[mark] == 0) {
        run->mark[mark] = ferry_os_now_ns();
    }
}

void ferry_run_mark_event(struct ferry_run *run, const struct ferry_event *event)
{
    uint32_t quiets = 0;

    if (event->kind == FERRY_EV_CPUS_PAUSED) {
        run->cpus_stopped = !run->incoming && event->status >= 0;
        if (!run->incoming && !run->cancelled) {
            ferry_run_config_refresh(run); /* nobody writes it from here on */
        }
        ferry_run_mark(run, FERRY_MARK_PAUSED);
        for (uint32_t i = 0; i < run->device_count; i++) {
            quiets |= run->config.device[i].features & FERRY_MIG_P2P;
        }
        if (!quiets) {
            ferry_run_mark(run, FERRY_MARK_QUIET); /* there is no such arc */
        }
    } else if (event->kind == FERRY_EV_CPUS_RESUMED && !run->incoming) {
        ferry_run_mark(run, FERRY_MARK_RUNNING);
    }
}

uint64_t ferry_run_session_number(const struct ferry_run *run)
{
    return ferry_load_le64(run->session_id);
}

static uint64_t first_of(uint64_t measured, uint64_t declared)
{
    return measured > 0 ? measured : declared;
}

void ferry_run_expected(const struct ferry_migration *migration, uint32_t device,
                        struct ferry_measured *ret_times)
{
    const struct ferry_measured *measured = &migration->measured[device];
    const struct ferry_identity *identity = &migration->context->device[device]->identity;

    ret_times->quiet_ns = first_of(measured->quiet_ns, identity->quiet_ns);
    ret_times->stop_ns = first_of(measured->stop_ns, identity->stop_ns);
    ret_times->load_ns = first_of(measured->load_ns, identity->load_ns);
    ret_times->run_ns = first_of(measured->run_ns, identity->run_ns);
}

/* --- measuring --- */

static void mark_stages(struct ferry_run *run)
{
    int quiet = 1, stopped = 1;

    for (uint32_t i = 0; i < run->device_count; i++) {
        uint32_t state = run->context->device[i]->state;
        uint32_t features = run->config.device[i].features;

        stopped = stopped && state == FERRY_STATE_STOP_COPY;
        quiet = quiet &&
                (state == FERRY_STATE_STOP_COPY || state == FERRY_STATE_PRE_COPY_P2P ||
                 state == FERRY_STATE_RUNNING_P2P || !(features & FERRY_MIG_P2P));
    }
    if (quiet) {
        ferry_run_mark(run, FERRY_MARK_QUIET);
    }
    if (stopped) {
        ferry_run_mark(run, FERRY_MARK_STOPPED);
    }
}

void ferry_run_arc_time(struct ferry_run *run, uint32_t device, uint32_t state,
                        uint64_t ns)
{
    struct ferry_device_report *report = &run->device[device].report;

    if (run->incoming) {
        if (state == FERRY_STATE_STOP) {
            report->load_ns = ns;
        } else if (state == FERRY_STATE_RUNNING_P2P || state == FERRY_STATE_RUNNING) {
            report->run_ns += ns;
        }
        return;
    }
    if (!run->stopped || run->cancelled) {
        return;
    }
    if (state == FERRY_STATE_STOP_COPY) {
        report->stop_ns = ns;
    } else if (state == FERRY_STATE_RUNNING_P2P || state == FERRY_STATE_PRE_COPY_P2P) {
        report->quiet_ns = ns;
    }
    mark_stages(run);
}

static uint64_t since(const struct ferry_run *run, enum ferry_mark from,
                      enum ferry_mark to)
{
    uint64_t begin = run->mark[from], end = run->mark[to];

    return begin > 0 && end > begin ? end - begin : 0;
}

void ferry_run_put_running(struct ferry_run *run)
{
    struct ferry_stream_running running = { .device_count = run->device_count };
    uint8_t payload[1024];
    struct ferry_writer writer;

    running.prepare_ns = since(run, FERRY_MARK_ALL_SENT, FERRY_MARK_PREPARED);
    running.run_ns = since(run, FERRY_MARK_COMMIT, FERRY_MARK_RUNNING);
    for (uint32_t i = 0; i < run->device_count; i++) {
        running.device[i].load_ns = run->device[i].report.load_ns;
        running.device[i].run_ns = run->device[i].report.run_ns;
        if (run->device[i].report.hung || run->device[i].report.was_reset ||
            run->context->device[i]->state != FERRY_STATE_RUNNING) {
            running.lost |= 1u << i;
        }
    }
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_running(&writer, &running);
    assert(!writer.overflow);
    ferry_run_put(run, FERRY_REC_RUNNING, FERRY_NO_DEVICE, payload, writer.pos);
}

/* --- the report --- */

/* The parts of the downtime lie one behind the other; what did not come to pass is empty,
 * and the part that was reached last takes the rest. */
static void downtime(const struct ferry_run *run, struct ferry_report *report)
{
    static const enum ferry_mark ends[] = { FERRY_MARK_PAUSED,   FERRY_MARK_QUIET,
                                            FERRY_MARK_STOPPED,  FERRY_MARK_ALL_SENT,
                                            FERRY_MARK_PREPARED, FERRY_MARK_RUNNING };
    uint64_t *parts[] = { &report->pause_ns,    &report->quiet_ns,   &report->stop_ns,
                          &report->transfer_ns, &report->prepare_ns, &report->commit_ns };
    uint64_t at = run->mark[FERRY_MARK_PAUSE];
    uint64_t end = run->mark[FERRY_MARK_RUNNING];

    if (at == 0 || end < at) {
        return;
    }
    report->downtime_ns = end - at;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        uint64_t mark = run->mark[ends[i]];
        int last = i + 1 == sizeof(ends) / sizeof(ends[0]) || mark == 0;

        if (last || mark > end) {
            mark = end;
        }
        if (mark > at) {
            *parts[i] = mark - at;
            at = mark;
        }
        if (last) {
            break;
        }
    }
}

static void devices(const struct ferry_run *run, struct ferry_report *report)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_device_report *device = &report->device[i];

        *device = run->device[i].report;
        memcpy(device->name, run->context->device[i]->name, sizeof(device->name));
        if (!run->released && !(run->discarded & (1u << i))) {
            device->state = run->context->device[i]->state;
        }
        device->counter = run->context->device[i]->counted;
        device->counter_count = run->context->device[i]->counted_count;
        if (!run->incoming && run->running.device_count == run->device_count) {
            device->load_ns = run->running.device[i].load_ns;
            device->run_ns = run->running.device[i].run_ns;
        }
    }
}

void ferry_run_report(struct ferry_run *run, struct ferry_report *ret_report)
{
    struct ferry_report *report = ret_report;
    struct ferry_progress progress = { 0 };

    memset(report, 0, sizeof(*report));
    report->outcome = run->outcome;
    report->incoming = run->incoming;
    report->device_count = run->device_count;
    report->connections = ferry_lanes_used(run);
    report->session_id = ferry_run_session_number(run);
    report->total_ns = ferry_os_now_ns() - run->mark[FERRY_MARK_START];
    if (!run->incoming) {
        ferry_source_progress(run->session, &progress);
        report->rounds = progress.round;
        report->predicted_downtime_ns = run->predicted_ns;
        report->ram_precopy_bytes = run->ram.precopy_bytes;
        report->ram_stop_bytes = run->ram.stop_bytes;
        downtime(run, report);
    } else {
        report->ram_precopy_bytes = run->order.page_bytes;
        report->prepare_ns = since(run, FERRY_MARK_ALL_SENT, FERRY_MARK_PREPARED);
        report->commit_ns = since(run, FERRY_MARK_COMMIT, FERRY_MARK_RUNNING);
        report->downtime_ns = report->prepare_ns + report->commit_ns;
    }
    devices(run, report);
    ferry_run_detail(run, run->status, &report->error);
    if (run->incoming && !run->introduced && run->note_count > 0) {
        /* The session knows only that nobody introduced himself. */
        report->error = run->note[0];
    }
}

void ferry_run_learn(struct ferry_run *run)
{
    struct ferry_migration *migration = run->migration;
    struct ferry_progress progress = { 0 };

    for (uint32_t i = 0; i < run->device_count; i++) {
        const struct ferry_device_report *report = &migration->report.device[i];
        struct ferry_measured *measured = &migration->measured[i];

        measured->quiet_ns = first_of(report->quiet_ns, measured->quiet_ns);
        measured->stop_ns = first_of(report->stop_ns, measured->stop_ns);
        measured->load_ns = first_of(report->load_ns, measured->load_ns);
        measured->run_ns = first_of(report->run_ns, measured->run_ns);
    }
    if (run->incoming) {
        if (run->load_ns > 0 && run->load_bytes > FERRY_RUN_READ_BYTES) {
            double rate = (double)run->load_bytes * 1e9 / (double)run->load_ns;

            migration->load_rate_bytes_per_s = (uint64_t)rate;
        }
        return;
    }
    ferry_source_progress(run->session, &progress);
    if (run->channel_limit == 0 && progress.rate_bytes_per_s > 0) {
        migration->rate_bytes_per_s = progress.rate_bytes_per_s;
    }
}
