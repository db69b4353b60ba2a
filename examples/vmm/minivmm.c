/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VMM without a guest: memory, one device over vfio-user, and a "CPU" thread that
 * writes memory and uses the device. It moves to another process, while it works:
 *
 *   minivmm receive ADDRESS DEVICE     waits there, goes on where the other one stopped
 *   minivmm send ADDRESS DEVICE        works for a while, then moves there
 *
 * ADDRESS is "unix:PATH" or "tcp:127.0.0.1:PORT", DEVICE "vfio-user:SOCKET".
 */
#include "cpu.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#define TICKS 200 /* of work, before it is sent and when it has arrived */

struct vmm {
    struct ferry_context *context;
    struct cpu cpu;
    uint64_t saved; /* the CPU's registers, as they are sent */
    int memory_fd, irq_fd;
    uint64_t irqs;
    struct ferry_report report; /* BUSY until it has ended */
};

static int pause_cpus(void *user, struct ferry_context *context)
{
    (void)context;
    cpu_ask_pause(&((struct vmm *)user)->cpu);
    return FERRY_PENDING; /* it ends with ferry_context_cpus_done() */
}

static int resume_cpus(void *user, struct ferry_context *context)
{
    (void)context;
    cpu_go_on(&((struct vmm *)user)->cpu);
    return FERRY_OK;
}

static void track_cpus(void *user, struct ferry_context *context, int start)
{
    /* Our CPU marks what it writes itself; a VMM with KVM takes KVM's dirty log here. */
    (void)user, (void)context, (void)start;
}

static int save_state(void *user, struct ferry_context *context, const void **ret_data,
                      size_t *ret_bytes)
{
    struct vmm *vmm = user;

    (void)context;
    vmm->saved = vmm->cpu.tick; /* it stands still */
    *ret_data = &vmm->saved;
    *ret_bytes = sizeof(vmm->saved);
    return FERRY_OK;
}

static int load_state(void *user, struct ferry_context *context, const void *data,
                      size_t bytes)
{
    struct vmm *vmm = user;

    (void)context;
    if (bytes != sizeof(vmm->saved)) {
        return FERRY_E_PROTOCOL; /* the migration fails, the source goes on */
    }
    memcpy(&vmm->saved, data, bytes);
    vmm->cpu.tick = vmm->saved;
    return FERRY_OK;
}

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    (void)context;
    if (event->kind == FERRY_HOST_FINISHED) {
        ((struct vmm *)user)->report = *event->report; /* borrowed for the call */
    }
}

static int open_vmm(struct vmm *vmm, const char *device, struct ferry_error *reterr)
{
    static const struct ferry_context_ops ops = {
        .struct_size = sizeof(ops),
        .pause_cpus = pause_cpus,
        .resume_cpus = resume_cpus,
        .track_cpus = track_cpus,
        .save_state = save_state,
        .load_state = load_state,
        .event = on_event,
    };
    const struct ferry_context_options options = { sizeof(options), &ops, vmm, 0, 0 };
    static struct ferry_device_view view;
    struct ferry_memory memory = { .iova = CPU_IOVA, .size = CPU_BYTES, .writable = 1 };
    int rc = ferry_memory_create(CPU_BYTES, &vmm->memory_fd, &memory.address, reterr);

    if (rc < 0 || (rc = ferry_context_create(&options, &vmm->context, reterr)) < 0) {
        return rc;
    }
    memory.fd = vmm->memory_fd;
    memset(memory.address, 0, memory.size); /* touched before a migration comes in */
    if ((rc = ferry_context_add_memory(vmm->context, &memory, reterr)) < 0 ||
        (rc = ferry_context_add_device(vmm->context, "dev0", device, reterr)) < 0 ||
        (rc = ferry_context_device(vmm->context, 0, &view, reterr)) < 0) {
        return rc;
    }
    if (view.irq[FERRY_IRQ_MSIX] > 0 &&
        (rc = ferry_context_set_irqs(vmm->context, 0, &vmm->irq_fd, 1, reterr)) < 0) {
        return rc;
    }
    return cpu_create(&vmm->cpu, vmm->context, memory.address, reterr);
}

static int turn(struct vmm *vmm)
{
    struct pollfd ready[2] = { { ferry_context_fd(vmm->context), POLLIN, 0 },
                               { vmm->irq_fd, POLLIN, 0 } };
    eventfd_t count;

    (void)poll(ready, 2, 10);
    if (ready[1].revents != 0 && eventfd_read(vmm->irq_fd, &count) == 0) {
        vmm->irqs += count; /* a VMM would give the guest an interrupt */
    }
    return ferry_context_dispatch(vmm->context, 0);
}

/* Works until the CPU's clock says `tick`. */
static int work_until(struct vmm *vmm, uint64_t tick)
{
    int status = FERRY_OK;

    while (status >= 0 && vmm->cpu.tick < tick) {
        status = vmm->cpu.status < 0 ? vmm->cpu.status : turn(vmm);
    }
    return status;
}

static int move(struct vmm *vmm, int incoming, const char *address,
                struct ferry_error *reterr)
{
    const struct ferry_migrate_options options = { .struct_size = sizeof(options),
                                                   .max_downtime_ms = 300,
                                                   .bandwidth_bytes_per_s = 32u << 20 };
    int status = incoming ? ferry_context_listen(vmm->context, address, &options, reterr)
                          : ferry_context_send(vmm->context, address, &options, reterr);

    while (status >= 0 && vmm->report.outcome == FERRY_OUTCOME_BUSY) {
        status = turn(vmm); /* the CPU works meanwhile */
    }
    if (status >= 0) {
        *reterr = vmm->report.error;
        status = vmm->report.error.code; /* FERRY_OK: it has moved */
    }
    return status;
}

int main(int argc, char **argv)
{
    const int incoming = argc == 4 && strcmp(argv[1], "receive") == 0;
    struct ferry_error error = { 0 };
    static struct vmm vmm;
    int status;

    if (argc != 4 || (!incoming && strcmp(argv[1], "send") != 0)) {
        fprintf(stderr, "usage: %s send|receive ADDRESS DEVICE\n", argv[0]);
        return 2;
    }
    vmm.irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    status = open_vmm(&vmm, argv[3], &error);
    if (status >= 0 && !incoming) {
        cpu_go_on(&vmm.cpu);
        status = work_until(&vmm, TICKS);
    }
    if (status >= 0) {
        status = move(&vmm, incoming, argv[2], &error);
    }
    if (status >= 0 && incoming) {
        status = work_until(&vmm, vmm.cpu.tick + TICKS);
        cpu_stop(&vmm.cpu);
        status = status < 0 ? status : cpu_check(&vmm.cpu, &error);
    }
    cpu_stop(&vmm.cpu);
    ferry_context_destroy(vmm.context);
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", ferry_status_name(status), error.text);
        return 1;
    }
    printf("%s at tick %llu, %u rounds, %llu interrupts\n",
           ferry_outcome_name(vmm.report.outcome), (unsigned long long)vmm.cpu.tick,
           vmm.report.rounds, (unsigned long long)vmm.irqs);
    return 0;
}
