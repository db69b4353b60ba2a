/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program of its own, built against an installed Ferry by pkg-config: a device with one
 * register is moved from one context to another, both of them in this process.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <ferry/device.h>
#include <ferry/host.h>

#define VALUE 0x5eaf00du
#define SIDES 2

struct scratch {
    uint32_t value;  /* the register at offset 0 of BAR0 */
    uint32_t loaded; /* what arrived */
    size_t done;     /* bytes of the state that are saved or loaded */
};

static int region_read(void *state, struct ferry_device *device, uint32_t region,
                       uint64_t off, void *ret_data, size_t count)
{
    const struct scratch *scratch = state;

    (void)device;
    memset(ret_data, 0, count);
    if (region == 0 && off == 0 && count == sizeof(scratch->value)) {
        memcpy(ret_data, &scratch->value, count);
    }
    return FERRY_OK;
}

static int region_write(void *state, struct ferry_device *device, uint32_t region,
                        uint64_t off, const void *data, size_t count)
{
    struct scratch *scratch = state;

    (void)device;
    if (region == 0 && off == 0 && count == sizeof(scratch->value)) {
        memcpy(&scratch->value, data, count);
    }
    return FERRY_OK;
}

static int arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct scratch *scratch = state;

    (void)device;
    if (from == FERRY_STATE_RESUMING) {
        if (scratch->done < sizeof(scratch->loaded)) {
            return FERRY_E_SHORT;
        }
        scratch->value = scratch->loaded;
    }
    if (to == FERRY_STATE_STOP_COPY || to == FERRY_STATE_RESUMING) {
        scratch->done = 0; /* a data session begins */
    }
    return FERRY_OK;
}

static int save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct scratch *scratch = state;
    size_t count = sizeof(scratch->value) - scratch->done;

    (void)device;
    count = count < cap ? count : cap;
    memcpy(ret_data, (const char *)&scratch->value + scratch->done, count);
    scratch->done += count;
    return (int)count;
}

static int load(void *state, struct ferry_device *device, const void *data, size_t count)
{
    struct scratch *scratch = state;

    (void)device;
    if (count > sizeof(scratch->loaded) - scratch->done) {
        return FERRY_E_LONG;
    }
    memcpy((char *)&scratch->loaded + scratch->done, data, count);
    scratch->done += count;
    return FERRY_OK;
}

static int data_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)device;
    *ret_bytes = sizeof(((struct scratch *)state)->value);
    return FERRY_OK;
}

static const struct ferry_device_ops device_ops = {
    .struct_size = sizeof(device_ops),
    .region_read = region_read,
    .region_write = region_write,
    .arc = arc,
    .save = save,
    .load = load,
    .data_size = data_size,
};

/* A side: a device, and the context that uses it. */
struct side {
    struct scratch scratch;
    struct ferry_device *device;
    struct ferry_context *context;
    int finished;
};

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    struct side *side = user;

    (void)context;
    side->finished |= event->kind == FERRY_HOST_FINISHED;
}

static int open_side(struct side *side, struct ferry_error *reterr)
{
    static const struct ferry_context_ops context_ops = { .struct_size =
                                                              sizeof(context_ops),
                                                          .event = on_event };
    const struct ferry_context_options options = { .struct_size = sizeof(options),
                                                   .ops = &context_ops,
                                                   .user = side };
    const struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &device_ops,
        .state = &side->scratch,
        .identity = { .model = "scratch",
                      .state_version = 1,
                      .state_version_min = 1,
                      .migration_flags = FERRY_MIG_STOP_COPY },
        .region = { { .size_bytes = 4096 } },
    };
    int status = ferry_device_create(&desc, &side->device, reterr);

    if (status == FERRY_OK) {
        status = ferry_context_create(&options, &side->context, reterr);
    }
    if (status == FERRY_OK) {
        status = ferry_context_add_endpoint(side->context, "scratch",
                                            ferry_device_endpoint(side->device), reterr);
    }
    return status;
}

static void close_side(struct side *side)
{
    ferry_context_destroy(side->context);
    ferry_device_destroy(side->device);
}

/* Moves the first side's device to the second, from one main loop. */
static int move(struct side *side, struct ferry_error *reterr)
{
    int pair[SIDES], status = FERRY_OK;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return ferry_error_set(reterr, FERRY_E_IO, "main", NULL, 0, "socketpair");
    }
    status = ferry_context_receive_fd(side[1].context, pair[1], NULL, reterr);
    if (status == FERRY_OK) {
        status = ferry_context_send_fd(side[0].context, pair[0], NULL, reterr);
    }
    while (status >= 0 && !(side[0].finished && side[1].finished)) {
        struct pollfd wait[SIDES];

        for (int i = 0; i < SIDES; i++) {
            wait[i].fd = ferry_context_fd(side[i].context);
            wait[i].events = POLLIN;
        }
        if (poll(wait, SIDES, 5000) <= 0) {
            return ferry_error_set(reterr, FERRY_E_TIMEOUT, "main", NULL, 0, "stuck");
        }
        for (int i = 0; i < SIDES && status >= 0; i++) {
            status = ferry_context_dispatch(side[i].context, 0);
        }
    }
    return status;
}

int main(void)
{
    static struct ferry_report report;
    struct side side[SIDES] = { 0 };
    struct ferry_error error = { 0 };
    uint32_t value = VALUE;
    int status = open_side(&side[0], &error);

    if (status >= 0) {
        status = open_side(&side[1], &error);
    }
    if (status >= 0) {
        status = ferry_context_region_write(side[0].context, 0, 0, 0, &value,
                                            sizeof(value), 0);
    }
    if (status >= 0) {
        status = move(side, &error);
    }
    if (status >= 0) {
        value = 0;
        status =
            ferry_context_region_read(side[1].context, 0, 0, 0, &value, sizeof(value));
        ferry_context_report(side[0].context, &report);
    }
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", ferry_status_name(status), error.text);
    } else {
        printf("libferry %s: %s, register 0x%x\n", ferry_version(),
               ferry_outcome_name(report.outcome), value);
    }
    close_side(&side[0]);
    close_side(&side[1]);
    return status >= 0 && value == VALUE && report.outcome == FERRY_OUTCOME_MOVED ? 0 : 1;
}
