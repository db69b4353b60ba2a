/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_host_mig_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "os/socket.h"

#define WIRE_BYTES 65536u
#define ALL_FEATURES (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)

/* --- the device --- */

/* The last write of a device before it is quiet: only its log knows of it. */
static void write_memory(struct rig_device *dev, uint32_t to)
{
    uint64_t value = 0x1122334455667788u + to;

    if (dev->writes && (to == FERRY_STATE_RUNNING_P2P || to == FERRY_STATE_PRE_COPY_P2P ||
                        to == FERRY_STATE_PRE_COPY)) {
        assert_int_equal(ferry_dma_write(dev->device, RIG_IOVA + to * 8192u + 16, &value,
                                         sizeof(value)),
                         FERRY_OK);
    }
}

static int dev_arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct rig_device *dev = state;

    (void)device;
    write_memory(dev, to);
    if (to == dev->hang_to && dev->hang_to != 0) {
        return FERRY_PENDING;
    }
    if (to == dev->fail_to && dev->fail_to != 0 &&
        (dev->fail_from == 0 || dev->fail_from == from)) {
        if (dev->fails == 1) {
            dev->fail_to = 0;
        }
        dev->fails -= dev->fails > 0;
        return dev->fail_status;
    }
    if (to == FERRY_STATE_RESUMING || to == FERRY_STATE_PRE_COPY ||
        (to == FERRY_STATE_STOP_COPY && from == FERRY_STATE_STOP)) {
        dev->at = 0;
    }
    if (from == FERRY_STATE_RESUMING && to == FERRY_STATE_STOP && dev->at != dev->size) {
        return FERRY_E_SHORT;
    }
    return FERRY_OK;
}

static int dev_save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct rig_device *dev = state;
    size_t end = ferry_device_state(device) == FERRY_STATE_STOP_COPY ? dev->size
                                                                     : RIG_INITIAL_BYTES;
    size_t count = end - dev->at;

    if (count == 0) {
        return end == dev->size ? 0 : FERRY_E_DRY;
    }
    count = count < cap ? count : cap;
    memcpy(ret_data, dev->bytes + dev->at, count);
    dev->at += count;
    return (int)count;
}

static int dev_load(void *state, struct ferry_device *device, const void *data,
                    size_t count)
{
    struct rig_device *dev = state;

    (void)device;
    if (count > dev->size - dev->at) {
        return FERRY_E_LONG;
    }
    memcpy(dev->bytes + dev->at, data, count);
    dev->at += count;
    return FERRY_OK;
}

static int dev_precopy(void *state, struct ferry_device *device,
                       struct ferry_device_precopy *ret_info)
{
    struct rig_device *dev = state;

    (void)device;
    ret_info->initial_bytes =
        dev->at < RIG_INITIAL_BYTES ? RIG_INITIAL_BYTES - dev->at : 0;
    ret_info->dirty_bytes = 0;
    return FERRY_OK;
}

static int dev_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    struct rig_device *dev = state;

    (void)device;
    *ret_bytes = dev->size - dev->at + 1;
    return FERRY_OK;
}

static void dev_reset(void *state, struct ferry_device *device,
                      enum ferry_reset_reason reason)
{
    struct rig_device *dev = state;

    (void)device;
    if (reason == FERRY_RESET_REQUEST) {
        dev->resets++;
    }
}

static int dev_counters(void *state, struct ferry_device *device,
                        struct ferry_counter *ret_counter, uint32_t cap)
{
    (void)device;
    *ret_counter =
        (struct ferry_counter){ "lost", 1, 0, ((struct rig_device *)state)->counted };
    return ret_counter->value != 0 && cap > 0;
}

static const struct ferry_device_ops dev_ops = {
    .struct_size = sizeof(dev_ops),
    .arc = dev_arc,
    .save = dev_save,
    .load = dev_load,
    .precopy_info = dev_precopy,
    .data_size = dev_size,
    .counters = dev_counters,
    .reset = dev_reset,
};

static void open_device(struct rig_device *dev, const char *model, size_t size)
{
    struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &dev_ops,
        .state = dev,
        .identity = { .state_version = 1,
                      .state_version_min = 1,
                      .migration_flags = dev->features },
        .region[0] = { .size_bytes = 0x2000 },
        .region[2] = { .size_bytes = RIG_PEER_BYTES, .flags = FERRY_BAR_MEMORY },
        .msix_vectors = RIG_VECTORS,
        .msix_bar = 0,
        .msix_table_off = 0,
        .msix_pba_off = 0x1000,
    };
    struct ferry_error error = { .code = FERRY_OK };

    strcpy(desc.identity.model, model);
    dev->size = size;
    dev->bytes = calloc(1, dev->size);
    assert_non_null(dev->bytes);
    if (ferry_device_create(&desc, &dev->device, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
}

/* --- the VMM --- */

static int pause_cpus(void *user, struct ferry_context *context)
{
    struct rig_side *side = user;

    (void)context;
    side->pauses++;
    if (side->pause_pending) {
        return FERRY_PENDING;
    }
    side->running = 0;
    return FERRY_OK;
}

static int resume_cpus(void *user, struct ferry_context *context)
{
    struct rig_side *side = user;

    (void)context;
    side->resumes++;
    side->running = 1;
    return FERRY_OK;
}

static int quiet_foreign(void *user, struct ferry_context *context)
{
    (void)context;
    ((struct rig_side *)user)->foreign++;
    return FERRY_OK;
}

static void release_foreign(void *user, struct ferry_context *context)
{
    (void)context;
    ((struct rig_side *)user)->foreign--;
}

static void track_cpus(void *user, struct ferry_context *context, int start)
{
    struct rig_side *side = user;

    (void)context;
    side->track_calls++;
    side->tracking += start;
}

static int save_state(void *user, struct ferry_context *context, const void **ret_data,
                      size_t *ret_bytes)
{
    struct rig_side *side = user;

    (void)context;
    *ret_data = side->vmm;
    *ret_bytes = side->vmm_bytes;
    return FERRY_OK;
}

static int load_state(void *user, struct ferry_context *context, const void *data,
                      size_t bytes)
{
    struct rig_side *side = user;

    (void)context;
    if (bytes > sizeof(side->vmm)) {
        return FERRY_E_LIMIT;
    }
    if (bytes > 0) {
        memcpy(side->vmm, data, bytes);
    }
    side->vmm_bytes = bytes;
    return FERRY_OK;
}

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    struct rig_side *side = user;

    (void)context;
    side->events[event->kind]++;
    if (event->kind == FERRY_HOST_FINISHED) {
        side->finished++;
        side->report = *event->report;
        if (side->on_finished) {
            side->on_finished(side);
        }
    }
}

static const struct ferry_context_ops ops = {
    .struct_size = sizeof(ops),
    .pause_cpus = pause_cpus,
    .resume_cpus = resume_cpus,
    .quiet_foreign = quiet_foreign,
    .release_foreign = release_foreign,
    .track_cpus = track_cpus,
    .save_state = save_state,
    .load_state = load_state,
    .event = on_event,
};

/* --- opening --- */

static void open_side(struct rig_side *side, const struct rig_choice *choice,
                      uint32_t number)
{
    struct ferry_context_ops own = ops;
    struct ferry_context_options options = { .struct_size = sizeof(options),
                                             .ops = &own,
                                             .user = side,
                                             .device_timeout_ms = choice->timeout_ms };
    struct ferry_memory memory = { .iova = RIG_IOVA, .writable = 1 };
    struct ferry_error error = { .code = FERRY_OK };

    memset(side, 0, sizeof(*side));
    if (choice->no_tracking) {
        own.track_cpus = NULL;
    }
    side->running = number == 0;
    assert_int_equal(ferry_context_create(&options, &side->context, &error), FERRY_OK);
    memory.size = choice->memory_bytes ? choice->memory_bytes : RIG_MEMORY_BYTES;
    assert_int_equal(ferry_os_memfd_create("rig", memory.size, &side->memory_fd),
                     FERRY_OK);
    side->memory =
        mmap(NULL, memory.size, PROT_READ | PROT_WRITE, MAP_SHARED, side->memory_fd, 0);
    assert_true(side->memory != MAP_FAILED);
    memory.address = side->memory;
    memory.fd = side->memory_fd;
    assert_int_equal(ferry_context_add_memory(side->context, &memory, &error), 0);
    side->device_count = choice->device_count ? choice->device_count : RIG_DEVICES;
    side->undress = choice->undress;
    for (uint32_t i = 0; i < side->device_count; i++) {
        struct ferry_endpoint *endpoint;
        char name[8] = { 'd', 'e', 'v', (char)('0' + i), '\0' };

        side->device[i].features =
            choice->features[i] ? choice->features[i] : ALL_FEATURES;
        open_device(&side->device[i],
                    choice->models[number] ? choice->models[number] : "rig",
                    choice->state_bytes ? choice->state_bytes : RIG_STATE_BYTES);
        endpoint = ferry_device_endpoint(side->device[i].device);
        if (choice->dress) {
            endpoint = choice->dress(endpoint, number, i);
        }
        if (ferry_context_add_endpoint(side->context, name, endpoint, &error) < 0) {
            fail_msg("%s", error.text);
        }
        for (uint32_t n = 0; n < RIG_VECTORS; n++) {
            assert_int_equal(ferry_os_eventfd_create(&side->irq_fd[i][n]), FERRY_OK);
        }
        assert_int_equal(ferry_context_set_irqs(side->context, i, side->irq_fd[i],
                                                RIG_VECTORS, &error),
                         FERRY_OK);
    }
}

void rig_open(struct rig *rig, const struct rig_choice *choice)
{
    static const struct rig_choice plain;

    memset(rig, 0, sizeof(*rig));
    for (uint32_t i = 0; i < 2; i++) {
        rig->wire[i] = -1;
        rig->held[i] = malloc(WIRE_BYTES);
        assert_non_null(rig->held[i]);
        open_side(&rig->side[i], choice ? choice : &plain, i);
    }
}

static void close_side(struct rig_side *side, uint32_t number, uint64_t memory_bytes)
{
    ferry_context_destroy(side->context);
    for (uint32_t i = 0; i < side->device_count; i++) {
        if (side->undress) {
            side->undress(number, i);
        }
        ferry_device_destroy(side->device[i].device);
        free(side->device[i].bytes);
        for (uint32_t n = 0; n < RIG_VECTORS; n++) {
            ferry_os_close(&side->irq_fd[i][n]);
        }
    }
    munmap(side->memory, memory_bytes);
    ferry_os_close(&side->memory_fd);
}

void rig_close(struct rig *rig)
{
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t bytes = 0;

        assert_int_equal(ferry_os_file_size(rig->side[i].memory_fd, &bytes), FERRY_OK);
        ferry_os_close(&rig->wire[i]);
        close_side(&rig->side[i], i, bytes);
        free(rig->held[i]);
    }
}

int rig_start(struct rig *rig, const struct ferry_migrate_options *options)
{
    struct ferry_error error = { .code = FERRY_OK };
    int end[2];

    for (uint32_t i = 0; i < 2; i++) {
        ferry_os_close(&rig->wire[i]);
        rig->held_bytes[i] = 0;
        rig->passed[i] = 0;
        rig->side[i].finished = 0;
        assert_int_equal(ferry_os_socketpair(&end[i], &rig->wire[i]), FERRY_OK);
        fcntl(rig->wire[i], F_SETFL, O_NONBLOCK);
    }
    if (ferry_context_receive_fd(rig->side[1 - rig->from].context, end[1 - rig->from],
                                 options, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    return ferry_context_send_fd(rig->side[rig->from].context, end[rig->from], options,
                                 &error);
}

/* --- the wire --- */

static void cut(struct rig *rig)
{
    ferry_os_close(&rig->wire[0]);
    ferry_os_close(&rig->wire[1]);
}

/* Applies the fault to bytes that have just come from a side. */
static void tamper(struct rig *rig, uint32_t from, uint8_t *bytes, size_t *count)
{
    uint64_t start = rig->passed[from];

    rig->passed[from] += *count;
    if (rig->fault == RIG_NONE || rig->fault_from != from ||
        rig->fault_at >= start + *count) {
        return;
    }
    if (rig->fault == RIG_FLIP) {
        if (rig->fault_at >= start) {
            bytes[rig->fault_at - start] ^= 0x10;
        }
        return;
    }
    *count = rig->fault_at > start ? (size_t)(rig->fault_at - start) : 0;
}

static int carry(struct rig *rig, uint32_t from)
{
    uint8_t *held = rig->held[from];
    uint32_t to = 1 - from;
    ssize_t count;

    if (rig->wire[from] < 0) {
        return 0;
    }
    if (rig->held_bytes[from] == 0) {
        size_t bytes;

        count = read(rig->wire[from], held, WIRE_BYTES);
        if (count == 0) {
            if (rig->wire[to] >= 0) {
                shutdown(rig->wire[to], SHUT_WR);
            }
            ferry_os_close(&rig->wire[from]);
            return 1;
        }
        if (count < 0) {
            return 0;
        }
        bytes = (size_t)count;
        tamper(rig, from, held, &bytes);
        rig->held_bytes[from] = bytes;
        if (rig->fault == RIG_CUT && rig->fault_from == from &&
            rig->passed[from] > rig->fault_at) {
            if (bytes > 0 && rig->wire[to] >= 0) {
                (void)!write(rig->wire[to], held, bytes);
            }
            rig->held_bytes[from] = 0;
            cut(rig);
            return 1;
        }
    }
    if (rig->wire[to] < 0) {
        rig->held_bytes[from] = 0;
        return 1;
    }
    count = send(rig->wire[to], held, rig->held_bytes[from], MSG_NOSIGNAL);
    if (count < 0) {
        if (errno != EAGAIN) {
            rig->held_bytes[from] = 0;
        }
        return 0;
    }
    rig->held_bytes[from] -= (size_t)count;
    memmove(held, held + count, rig->held_bytes[from]);
    return 1;
}

/* --- running --- */

static struct ferry_run *run_of(const struct rig *rig, uint32_t side)
{
    struct ferry_migration *migration = rig->side[side].context->migration;

    return migration ? migration->run : NULL;
}

uint32_t rig_phase(const struct rig *rig, uint32_t side)
{
    const struct ferry_run *run = run_of(rig, side);

    if (!run) {
        return RIG_NO_PHASE;
    }
    return !run->incoming ? ferry_source_phase(run->session)
                          : ferry_target_phase(run->session);
}

int rig_undecided(const struct rig *rig, uint32_t side)
{
    const struct ferry_run *run = run_of(rig, side);

    return run && run->undecided;
}

void rig_turn(struct rig *rig)
{
    struct pollfd fd[4];

    for (uint32_t i = 0; i < 2; i++) {
        fd[i] = (struct pollfd){ ferry_context_fd(rig->side[i].context), POLLIN, 0 };
        fd[2 + i] = (struct pollfd){ rig->wire[i], POLLIN, 0 };
    }
    poll(fd, 4, 5);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(ferry_context_dispatch(rig->side[i].context, 0), FERRY_OK);
        while (carry(rig, i)) {
        }
    }
    if (rig->every_turn) {
        rig->every_turn(rig);
    }
}

static int over(const struct rig *rig, uint32_t side)
{
    return !run_of(rig, side) || rig_undecided(rig, side);
}

int rig_run(struct rig *rig, uint32_t limit_ms)
{
    uint64_t limit_ns = ferry_os_now_ns() + (uint64_t)limit_ms * FERRY_NS_PER_MS;

    while (!over(rig, 0) || !over(rig, 1)) {
        if (ferry_os_now_ns() > limit_ns) {
            return 0;
        }
        rig_turn(rig);
    }
    /* What was said last may still be under way. */
    for (int i = 0; i < 3; i++) {
        rig_turn(rig);
    }
    return over(rig, 0) && over(rig, 1);
}

/* --- looking --- */

void rig_fill(struct rig *rig, uint32_t seed)
{
    struct rig_side *source = &rig->side[rig->from];
    uint64_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < RIG_MEMORY_BYTES; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        /* Every fourth page is zero at the source and was not at the target. */
        source->memory[i] = i / 4096 % 4 == 3 ? 0 : (uint8_t)(x >> 56);
    }
    memset(rig->side[1 - rig->from].memory, 0x5a, RIG_MEMORY_BYTES);
    for (uint32_t d = 0; d < source->device_count; d++) {
        for (size_t i = 0; i < source->device[d].size; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            source->device[d].bytes[i] = (uint8_t)(x >> 56);
        }
    }
    strcpy(source->vmm, "registers of a CPU");
    source->vmm_bytes = strlen(source->vmm) + 1;
}

int rig_memory_equal(const struct rig *rig)
{
    return memcmp(rig->side[0].memory, rig->side[1].memory, RIG_MEMORY_BYTES) == 0;
}

int rig_state_equal(const struct rig *rig)
{
    for (uint32_t i = 0; i < rig->side[0].device_count; i++) {
        const struct rig_device *a = &rig->side[0].device[i],
                                *b = &rig->side[1].device[i];

        if (memcmp(a->bytes, b->bytes, a->size) != 0) {
            return 0;
        }
    }
    return rig->side[0].vmm_bytes == rig->side[1].vmm_bytes &&
           memcmp(rig->side[0].vmm, rig->side[1].vmm, rig->side[0].vmm_bytes) == 0;
}

int rig_runs(const struct rig *rig, uint32_t side)
{
    const struct rig_side *own = &rig->side[side];

    for (uint32_t i = 0; i < own->device_count; i++) {
        if (ferry_device_state(own->device[i].device) != FERRY_STATE_RUNNING) {
            return 0;
        }
    }
    return own->running;
}

uint32_t rig_outcome(const struct rig *rig, uint32_t side)
{
    return rig->side[side].finished ? rig->side[side].report.outcome : FERRY_OUTCOME_BUSY;
}
