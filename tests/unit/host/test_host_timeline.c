/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test_host_mig_rig.h"

#define LIMIT_MS 5000u
#define EVENTS_MAX 4096u

/* Everything both sides told, in order. */
static struct ferry_trace_event told[EVENTS_MAX];
static size_t told_count;

static void on_trace(void *user, struct ferry_context *context,
                     const struct ferry_trace_event *event)
{
    (void)user;
    (void)context;
    assert_true(told_count < EVENTS_MAX);
    told[told_count++] = *event;
}

static void open_traced(struct rig *rig, const struct rig_choice *choice)
{
    told_count = 0;
    rig_open(rig, choice);
    rig_fill(rig, 1);
    rig->side[0].context->ops.trace = on_trace;
    rig->side[1].context->ops.trace = on_trace;
}

static int is_at(const struct ferry_trace_event *event, uint32_t incoming,
                 uint32_t device, const char *track)
{
    return event->incoming == incoming && event->device == device &&
           strcmp(event->track, track) == 0;
}

/* The first event from `from` on that is there, or NULL. */
static const struct ferry_trace_event *find(size_t from, uint32_t incoming, uint32_t kind,
                                            uint32_t device, const char *track,
                                            const char *name)
{
    for (size_t i = from; i < told_count; i++) {
        if (is_at(&told[i], incoming, device, track) && told[i].kind == kind &&
            (name == NULL || (told[i].name && strcmp(told[i].name, name) == 0))) {
            return &told[i];
        }
    }
    return NULL;
}

static const struct ferry_trace_event *expect(uint32_t incoming, uint32_t kind,
                                              uint32_t device, const char *track,
                                              const char *name)
{
    const struct ferry_trace_event *event = find(0, incoming, kind, device, track, name);

    if (event == NULL) {
        fail_msg("no %u of device %u at %s: %s", kind, device, track, name ? name : "*");
    }
    return event;
}

/* Every END has its BEGIN, time never goes back. */
static void expect_sound(void)
{
    for (size_t i = 0; i < told_count; i++) {
        const struct ferry_trace_event *last = NULL;

        assert_non_null(told[i].track);
        assert_true(i == 0 || told[i].time_ns >= told[i - 1].time_ns);
        if (told[i].kind != FERRY_TRACE_END) {
            assert_non_null(told[i].name);
            continue;
        }
        for (size_t j = 0; j < i; j++) {
            if (is_at(&told[j], told[i].incoming, told[i].device, told[i].track) &&
                (told[j].kind == FERRY_TRACE_BEGIN || told[j].kind == FERRY_TRACE_END)) {
                last = &told[j];
            }
        }
        if (last == NULL || last->kind != FERRY_TRACE_BEGIN) {
            fail_msg("event %zu ends nothing: device %u, %s", i, told[i].device,
                     told[i].track);
        }
    }
}

static void a_timeline_tells_what_each_device_did_when(void **state)
{
    struct rig rig;
    const struct ferry_trace_event *paused, *stop, *sent, *run;

    (void)state;
    open_traced(&rig, NULL);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    expect_sound();
    paused = expect(0, FERRY_TRACE_BEGIN, FERRY_NO_DEVICE, "cpus", "paused");
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        const struct ferry_trace_event *data, *load;

        expect(0, FERRY_TRACE_BEGIN, i, "state", "PRE_COPY");
        stop = expect(0, FERRY_TRACE_END, i, "state", "STOP_COPY");
        assert_int_equal(stop->status, FERRY_OK);
        assert_true(stop->time_ns >= paused->time_ns);
        data = find((size_t)(stop - told), 0, FERRY_TRACE_END, i, "data", NULL);
        assert_non_null(data);
        load = expect(1, FERRY_TRACE_BEGIN, i, "data", "load");
        assert_non_null(find((size_t)(load - told), 1, FERRY_TRACE_END, i, "data", NULL));
        run = expect(1, FERRY_TRACE_END, i, "state", "RUNNING");
        sent = expect(0, FERRY_TRACE_POINT, FERRY_NO_DEVICE, "sent", "COMMIT");
        assert_true(run->time_ns >= sent->time_ns);
    }
    expect(0, FERRY_TRACE_FIGURE, FERRY_NO_DEVICE, "memory", "dirty bytes");
    expect(0, FERRY_TRACE_FIGURE, FERRY_NO_DEVICE, "figures", "bytes left");
    expect(1, FERRY_TRACE_POINT, FERRY_NO_DEVICE, "received", "COMMIT");
    /* The last phase of both sides has ended. */
    for (uint32_t incoming = 0; incoming < 2; incoming++) {
        assert_int_equal(
            expect(incoming, FERRY_TRACE_END, FERRY_NO_DEVICE, "phase", "ENDED")->status,
            FERRY_OK);
        expect(incoming, FERRY_TRACE_POINT, FERRY_NO_DEVICE, "session", "MOVED");
    }
    rig_close(&rig);
}

static void a_failed_step_ends_with_its_status_and_where_the_device_is(void **state)
{
    struct rig rig;
    const struct ferry_trace_event *end;

    (void)state;
    open_traced(&rig, NULL);
    rig.side[0].device[1].fail_to = FERRY_STATE_STOP_COPY;
    rig.side[0].device[1].fail_status = FERRY_E_IO;
    rig.side[0].device[1].fails = 1;
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    expect_sound();
    for (size_t i = 0; i < told_count; i++) {
        if (is_at(&told[i], 0, 1, "state") && told[i].kind == FERRY_TRACE_END &&
            told[i].status < 0) {
            end = &told[i];
            assert_int_equal(end->status, FERRY_E_IO);
            assert_string_not_equal(end->name, "STOP_COPY");
            expect(0, FERRY_TRACE_POINT, FERRY_NO_DEVICE, "session", "ROLLED_BACK");
            expect(0, FERRY_TRACE_END, FERRY_NO_DEVICE, "cpus", NULL);
            rig_close(&rig);
            return;
        }
    }
    fail_msg("the failed step is not on the timeline");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeline_tells_what_each_device_did_when),
        cmocka_unit_test(a_failed_step_ends_with_its_status_and_where_the_device_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
