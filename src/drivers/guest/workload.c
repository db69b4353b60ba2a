/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/guest/workload.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "drivers/guest/pipeline.h"

#define DEFAULT_WATCHDOG_MS 10000u
/* Interrupts of all devices: acc's vectors, one of each copy engine, the nic's. */
#define IRQ_COUNT (IRQ_NIC + NIC_VECTORS(1))
#define IRQ_NIC (ACC_VECTORS + 2 * COPY_DRIVER_VECTORS)
#define IRQ_COPY(i) (ACC_VECTORS + (i))
/* The longest rest of a throttled CPU. */
#define REST_MS_MAX 1000

/* What the loop thread wants of the CPU, and where the CPU is. */
enum cpu_state {
    CPU_IDLE = 0, /* no guest here */
    CPU_BOOTING,
    CPU_RUNNING,
    CPU_PAUSING, /* wanted by the loop thread, not yet reached */
    CPU_PAUSED,
    CPU_QUIT
};

/*
 * Locks: `lock` guards state, status and key. Everything else belongs to the CPU thread
 * while state is BOOTING, RUNNING or PAUSING, and to the loop thread else.
 */
struct workload {
    struct workload_options options;
    struct pipeline pipeline;
    struct stream stream; /* of the pipeline, when there is a nic */
    struct storage storage;
    int irq[IRQ_COUNT];
    int wake, notify;
    pthread_t thread;
    int thread_started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum cpu_state state;
    int finish_wanted;
    uint32_t pause_owed; /* pauses that were promised and have not been told */
    uint8_t key[ACC_KEY_BYTES];
    struct workload_status status;
    uint32_t last_phase;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void signal_fd(int fd)
{
    uint64_t one = 1;

    /* An eventfd that is full has been signalled; nothing is lost. */
    if (write(fd, &one, sizeof(one)) < 0) {
        return;
    }
}

/* Return: 1 when the eventfd had been signalled. */
static int take_fd(int fd)
{
    uint64_t count;

    return read(fd, &count, sizeof(count)) == sizeof(count);
}

/* Shows the loop thread where the guest is; called with the lock held. */
static void publish(struct workload *workload)
{
    const struct guest_header *header = workload->pipeline.header;
    struct workload_status *status = &workload->status;

    status->phase = header->phase;
    status->lanes = header->lanes;
    status->packed = header->acc.data.packed != 0;
    status->requests = header->requests;
    status->bytes = header->bytes;
    status->twice = header->twice;
    status->irq_lost = header->irq_lost;
    status->stop_count = header->stop_count;
    status->submitted = status->completed = status->interrupts = 0;
    for (int i = 0; i < GUEST_STAGES; i++) {
        status->submitted += header->submitted[i];
        status->completed += header->completed[i];
        status->interrupts += header->interrupts[i];
    }
    memcpy(status->in_flight, header->busy, sizeof(status->in_flight));
    status->in_flight_all = pipeline_in_flight(&workload->pipeline);
    status->lost =
        header->phase == GUEST_DONE ? status->submitted - status->completed : 0;
    if (workload->pipeline.stream != NULL) {
        status->has_nic = 1;
        stream_figures(&workload->stream, &status->frames);
    }
    memcpy(status->stop, header->stop, sizeof(status->stop));
    memcpy(status->error, header->error, sizeof(status->error));
    if (header->phase != workload->last_phase) {
        workload->last_phase = header->phase;
        signal_fd(workload->notify);
    }
}

static void boot(struct workload *workload)
{
    const struct workload_options *options = &workload->options;
    struct pipeline_boot choices = {
        .lanes = options->lanes,
        .block_bytes = options->block_bytes,
        .slots_per_lane = options->slots_per_lane,
        .peer_iova = options->peer_iova,
        .peer_bytes = options->peer_bytes,
        .key = workload->key,
        .control_eventfd = workload->irq[ACC_VECTOR_CONTROL],
        .timeout_ms = (int)options->watchdog_ms,
    };
    struct ferry_error error = { .code = FERRY_OK };
    int status = pipeline_boot(&workload->pipeline, &choices, &error);

    pthread_mutex_lock(&workload->lock);
    workload->status.booting = 0;
    if (status < 0) {
        workload->pipeline.header->magic = 0;
        workload->state = CPU_IDLE;
        workload->status.here = 0;
        workload->status.phase = GUEST_FAILED;
        snprintf(workload->status.error, sizeof(workload->status.error), "%.15s: %.220s",
                 error.layer, error.text);
    } else if (workload->state == CPU_BOOTING) {
        workload->state = CPU_RUNNING;
        publish(workload);
    }
    signal_fd(workload->notify);
    pthread_mutex_unlock(&workload->lock);
}

/* The clock of a running CPU; starts anew whenever the CPU goes on. */
struct cpu_clock {
    uint64_t last_progress_ns;
    uint64_t last_budget_ns;
    int64_t budget_bytes;
};

static void start_clock(struct cpu_clock *cpu_clock)
{
    memset(cpu_clock, 0, sizeof(*cpu_clock));
    cpu_clock->last_progress_ns = cpu_clock->last_budget_ns = now_ns();
}

static void feed(struct workload *workload, struct cpu_clock *cpu_clock)
{
    uint64_t begun;

    pipeline_stream_feed(&workload->pipeline, now_ns());
    begun = pipeline_feed(&workload->pipeline, UINT64_MAX);
    cpu_clock->budget_bytes -= (int64_t)begun;
}

/*
 * A CPU that gets only a share of the time: it sleeps until it has earned what it began.
 * The devices have all requests of all lanes in hand meanwhile. Whoever wakes it (a
 * pause) finds it at the beginning of a step, so that the stop comes right after new
 * requests were given.
 */
static void rest(const struct workload *workload, struct cpu_clock *cpu_clock)
{
    uint64_t rate = workload->options.rate_bytes_per_s;
    struct pollfd wait = { .fd = workload->wake, .events = POLLIN };
    uint64_t now = now_ns();

    if (rate == 0) {
        return;
    }
    cpu_clock->budget_bytes +=
        (int64_t)(rate * ((now - cpu_clock->last_budget_ns) / 1000) / 1000000);
    cpu_clock->last_budget_ns = now;
    if (cpu_clock->budget_bytes > 0) {
        cpu_clock->budget_bytes = 0; /* time that was not used is lost */
    } else {
        uint64_t debt = (uint64_t)-cpu_clock->budget_bytes;
        uint64_t ms = debt * 1000 / rate;

        poll(&wait, 1, ms < REST_MS_MAX ? (int)ms : REST_MS_MAX);
    }
}

static int is_working(const struct pipeline *pipeline)
{
    return pipeline->header->phase == GUEST_WORKING ||
           pipeline->header->phase == GUEST_FINISHING;
}

static void take_nic(struct workload *workload)
{
    /* A command's answer is looked at as a change is. */
    const int changed = take_fd(workload->irq[IRQ_NIC + NIC_VECTOR_CONFIG]) +
                        take_fd(workload->irq[IRQ_NIC + NIC_VECTOR_CONTROL]);

    if (changed > 0) {
        pipeline_stream_changed(&workload->pipeline);
    }
    if (take_fd(workload->irq[IRQ_NIC + NIC_VECTOR_PAIR(0)])) {
        pipeline_stream_received(&workload->pipeline, now_ns());
    }
}

/* One step: wait for interrupts, take completions, begin requests. */
static void step(struct workload *workload, struct cpu_clock *cpu_clock)
{
    struct pipeline *pipeline = &workload->pipeline;
    uint64_t limit_ns = (uint64_t)workload->options.watchdog_ms * 1000000u;
    struct pollfd wait[1 + GUEST_STAGES + NIC_VECTORS(1)] = {
        { .fd = workload->wake, .events = POLLIN },
        { .fd = workload->irq[ACC_VECTOR_DATA], .events = POLLIN },
        { .fd = workload->irq[IRQ_COPY(0)], .events = POLLIN },
        { .fd = workload->irq[IRQ_COPY(1)], .events = POLLIN },
        { .fd = workload->irq[IRQ_NIC], .events = POLLIN },
        { .fd = workload->irq[IRQ_NIC + 1], .events = POLLIN },
        { .fd = workload->irq[IRQ_NIC + 2], .events = POLLIN },
    };
    int working = is_working(pipeline);
    int timeout_ms = working ? (int)workload->options.watchdog_ms : -1;
    int progress = 0;

    if (working && pipeline->stream != NULL) {
        timeout_ms = STREAM_PACE_MS; /* frames wait for no interrupt */
    }
    rest(workload, cpu_clock);
    if (poll(wait, sizeof(wait) / sizeof(wait[0]), timeout_ms) < 0 && errno != EINTR) {
        pipeline_fail(pipeline, "waiting for interrupts: %s", strerror(errno));
    }
    take_fd(workload->wake);
    for (uint32_t stage = 0; stage < GUEST_STAGES; stage++) {
        if (take_fd(wait[1 + stage].fd)) {
            pipeline_interrupt(pipeline, stage);
            progress = 1;
        }
    }
    take_nic(workload);
    if (working) {
        feed(workload, cpu_clock);
    }
    if (progress || pipeline_in_flight(pipeline) == 0) {
        cpu_clock->last_progress_ns = now_ns();
    } else if (working && now_ns() - cpu_clock->last_progress_ns > limit_ns) {
        pipeline_stalled(pipeline, limit_ns / 1000000u);
    }
}

/* Runs until the loop thread wants something else. */
static void run(struct workload *workload)
{
    struct cpu_clock cpu_clock;
    int go_on = 1;

    start_clock(&cpu_clock);
    stream_continue(&workload->stream, now_ns());
    feed(workload, &cpu_clock);
    while (go_on) {
        uint32_t passes;

        step(workload, &cpu_clock);
        passes = pipeline_passes(&workload->pipeline);
        pthread_mutex_lock(&workload->lock);
        go_on = workload->state == CPU_RUNNING && !workload->pause_owed;
        if (workload->finish_wanted) {
            workload->finish_wanted = 0;
            pipeline_finish(&workload->pipeline);
        }
        workload->status.passes = passes;
        publish(workload);
        pthread_mutex_unlock(&workload->lock);
    }
}

/* The safe point: nothing is half done, all that matters lies in the memory. */
static void stop_here(struct workload *workload)
{
    uint32_t owed;

    pthread_mutex_lock(&workload->lock);
    owed = workload->pause_owed;
    workload->pause_owed = 0;
    if (workload->state == CPU_PAUSING) {
        pipeline_note_stop(&workload->pipeline);
        publish(workload);
        workload->state = CPU_PAUSED;
    }
    pthread_mutex_unlock(&workload->lock);
    for (; owed > 0; owed--) {
        ferry_context_cpus_done(workload->options.context, FERRY_OK);
    }
}

static void *cpu_main(void *argument)
{
    struct workload *workload = argument;
    enum cpu_state state;

    for (;;) {
        pthread_mutex_lock(&workload->lock);
        while (workload->state == CPU_IDLE || workload->state == CPU_PAUSED) {
            pthread_cond_wait(&workload->changed, &workload->lock);
        }
        /* Called off before the CPU got here: the answer is owed all the same. */
        state = workload->pause_owed ? CPU_PAUSING : workload->state;
        pthread_mutex_unlock(&workload->lock);
        switch (state) {
        case CPU_BOOTING:
            boot(workload);
            break;
        case CPU_RUNNING:
            run(workload);
            break;
        case CPU_PAUSING:
            stop_here(workload);
            break;
        case CPU_QUIT:
            return NULL;
        case CPU_IDLE:
        case CPU_PAUSED:
            break;
        }
    }
}

static int set_state(struct workload *workload, enum cpu_state state)
{
    workload->state = state;
    pthread_cond_signal(&workload->changed);
    signal_fd(workload->wake);
    return FERRY_OK;
}

int workload_attach(struct workload *workload, struct ferry_error *reterr)
{
    const uint32_t *device = workload->options.device;
    struct ferry_context *context = workload->options.context;
    int status = ferry_context_set_irqs(context, device[GUEST_ACC], workload->irq,
                                        ACC_VECTORS, reterr);

    for (uint32_t i = 0; i < 2 && status >= 0; i++) {
        status = ferry_context_set_irqs(context, device[GUEST_COPY_OUT + i],
                                        &workload->irq[IRQ_COPY(i)], COPY_DRIVER_VECTORS,
                                        reterr);
    }
    if (status >= 0 && workload->options.has_nic) {
        status = ferry_context_set_irqs(context, workload->options.nic,
                                        &workload->irq[IRQ_NIC], NIC_VECTORS(1), reterr);
    }
    return status < 0 ? status : FERRY_OK;
}

static int open_eventfds(struct workload *workload)
{
    int bad = 0;

    for (unsigned i = 0; i < IRQ_COUNT; i++) {
        workload->irq[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        bad |= workload->irq[i] < 0;
    }
    workload->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    workload->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return bad || workload->wake < 0 || workload->notify < 0 ? FERRY_E_IO : FERRY_OK;
}

static void set_up(struct workload *workload, const struct workload_options *options)
{
    workload->options = *options;
    workload->options.input = workload->options.folder = NULL;
    if (workload->options.watchdog_ms == 0) {
        workload->options.watchdog_ms = DEFAULT_WATCHDOG_MS;
    }
    workload->pipeline.ram = (struct guest_ram){
        .context = options->context,
        .address = options->address,
        .iova = options->iova,
        .size = options->size,
    };
    workload->pipeline.header = options->address;
    workload->pipeline.storage = &workload->storage;
    for (uint32_t i = 0; i < GUEST_STAGES; i++) {
        workload->pipeline.pci[i].context = options->context;
        workload->pipeline.pci[i].device = options->device[i];
    }
    if (options->has_nic) {
        workload->stream.ram = workload->pipeline.ram;
        workload->stream.pci.context = options->context;
        workload->stream.pci.device = options->nic;
        workload->pipeline.stream = &workload->stream;
    }
    pthread_mutex_init(&workload->lock, NULL);
    pthread_cond_init(&workload->changed, NULL);
    storage_init(&workload->storage);
}

int workload_create(const struct workload_options *options,
                    struct workload **ret_workload, struct ferry_error *reterr)
{
    struct workload *workload;
    int status;

    if (options->size < sizeof(struct guest_header)) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "guest", NULL, 0,
                               "%llu bytes of memory are too few for a guest",
                               (unsigned long long)options->size);
    }
    workload = calloc(1, sizeof(*workload));
    if (workload == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "guest", NULL, 0, "out of memory");
    }
    set_up(workload, options);
    status = open_eventfds(workload);
    if (status < 0) {
        ferry_error_set(reterr, status, "guest", NULL, 0, "eventfd: %s", strerror(errno));
    }
    if (status == FERRY_OK) {
        status =
            storage_open(&workload->storage, options->input, options->folder, reterr);
    }
    if (status == FERRY_OK) {
        status = workload_attach(workload, reterr);
    }
    if (status == FERRY_OK &&
        pthread_create(&workload->thread, NULL, cpu_main, workload) != 0) {
        status =
            ferry_error_set(reterr, FERRY_E_IO, "guest", NULL, 0, "cannot make a thread");
    }
    if (status < 0) {
        workload_destroy(workload);
        return status;
    }
    workload->thread_started = 1;
    *ret_workload = workload;
    return FERRY_OK;
}

void workload_destroy(struct workload *workload)
{
    if (workload == NULL) {
        return;
    }
    if (workload->thread_started) {
        pthread_mutex_lock(&workload->lock);
        set_state(workload, CPU_QUIT);
        pthread_mutex_unlock(&workload->lock);
        pthread_join(workload->thread, NULL);
    }
    for (unsigned i = 0; i < IRQ_COUNT; i++) {
        if (workload->irq[i] >= 0) {
            close(workload->irq[i]);
        }
    }
    if (workload->wake >= 0) {
        close(workload->wake);
    }
    if (workload->notify >= 0) {
        close(workload->notify);
    }
    storage_close(&workload->storage);
    pthread_cond_destroy(&workload->changed);
    pthread_mutex_destroy(&workload->lock);
    free(workload);
}

int workload_start(struct workload *workload, const uint8_t key[ACC_KEY_BYTES],
                   struct ferry_error *reterr)
{
    int status = FERRY_E_BUSY;

    pthread_mutex_lock(&workload->lock);
    if (workload->state == CPU_IDLE) {
        memcpy(workload->key, key, ACC_KEY_BYTES);
        memset(&workload->status, 0, sizeof(workload->status));
        workload->status.here = 1;
        workload->status.booting = 1;
        workload->last_phase = GUEST_BLANK;
        status = set_state(workload, CPU_BOOTING);
    }
    pthread_mutex_unlock(&workload->lock);
    return status == FERRY_OK ? FERRY_OK
                              : ferry_error_set(reterr, status, "guest", NULL, 0,
                                                "there is a guest already");
}

int workload_finish(struct workload *workload)
{
    int status = FERRY_E_STATE;

    pthread_mutex_lock(&workload->lock);
    if (workload->state == CPU_RUNNING) {
        workload->finish_wanted = 1;
        status = set_state(workload, CPU_RUNNING);
    }
    pthread_mutex_unlock(&workload->lock);
    return status;
}

int workload_pause(struct workload *workload)
{
    int status = FERRY_OK;

    pthread_mutex_lock(&workload->lock);
    if (workload->state == CPU_BOOTING) {
        status = FERRY_E_BUSY;
    } else if (workload->state == CPU_RUNNING) {
        workload->pause_owed++;
        set_state(workload, CPU_PAUSING);
        status = FERRY_PENDING;
    }
    pthread_mutex_unlock(&workload->lock);
    return status;
}

int workload_resume(struct workload *workload, struct ferry_error *reterr)
{
    int status = FERRY_OK;

    pthread_mutex_lock(&workload->lock);
    if (workload->state == CPU_IDLE) {
        status = pipeline_check(&workload->pipeline, reterr);
        if (status == FERRY_OK) {
            workload->status.here = 1;
            workload->status.passes = pipeline_passes(&workload->pipeline);
            publish(workload);
            set_state(workload, CPU_RUNNING);
        } else if (status == FERRY_E_NOT_FOUND) {
            /* A context without a guest has moved. */
            status = FERRY_OK;
        }
    } else if (workload->state == CPU_PAUSED || workload->state == CPU_PAUSING) {
        set_state(workload, CPU_RUNNING);
    }
    pthread_mutex_unlock(&workload->lock);
    return status;
}

void workload_forget(struct workload *workload)
{
    struct guest_header *header = workload->pipeline.header;

    pthread_mutex_lock(&workload->lock);
    if (workload->state == CPU_PAUSED || workload->state == CPU_IDLE) {
        workload->state = CPU_IDLE;
        workload->status.here = 0;
        header->magic = 0;
        guest_wrote(&workload->pipeline.ram, header, sizeof(*header));
    }
    pthread_mutex_unlock(&workload->lock);
}

void workload_status(struct workload *workload, struct workload_status *ret_status)
{
    pthread_mutex_lock(&workload->lock);
    *ret_status = workload->status;
    pthread_mutex_unlock(&workload->lock);
}

int workload_notify_fd(const struct workload *workload)
{
    return workload->notify;
}

const char *workload_phase_name(uint32_t phase)
{
    switch ((enum guest_phase)phase) {
    case GUEST_BLANK:
        return "none";
    case GUEST_WORKING:
        return "working";
    case GUEST_FINISHING:
        return "finishing";
    case GUEST_DONE:
        return "done";
    case GUEST_FAILED:
        return "failed";
    }
    return "?";
}
