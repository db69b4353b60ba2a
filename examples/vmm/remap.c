/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What does not wait for a migration: the guest moves a BAR, and somebody plugs memory.
 * Two devices with memory of their own, of which the first reaches the second's:
 *
 *   remap receive ADDRESS DEVICE0 DEVICE1
 *   remap send ADDRESS DEVICE0 DEVICE1
 */
#include <stdio.h>
#include <string.h>

#include "ferry/host.h"

#define RAM_BYTES (16u << 20)
#define RAM_IOVA 0u
#define DIMM_IOVA 0x40000000u
#define DIMM_BYTES (1u << 20)
#define BAR 2 /* of the copy model: its memory */
#define BAR_BYTES (1u << 20)
#define BAR_FIRST 0x80000000u
#define BAR_MOVED 0x90000000u

struct vmm {
    struct ferry_context *context;
    uint64_t bar; /* where the guest has put DEVICE1's memory; 0: nowhere */
    struct ferry_memory dimm;
    uint32_t waiting; /* 1: dimm is to be plugged when the migration has ended */
    uint32_t moves, plugged;
    int status; /* of the last such change */
    struct ferry_error error;
    struct ferry_report report;
};

/* On the loop thread; a CPU thread whose access did it waits until this has returned. */
static void bar_moves(struct vmm *vmm, uint64_t to)
{
    int status = FERRY_OK;

    if (vmm->bar != 0) {
        status = ferry_context_unmap_peer(vmm->context, 0, vmm->bar, &vmm->error);
    }
    if (status >= 0 && to != 0) {
        status = ferry_context_map_peer(vmm->context, 0, 1, BAR, 0, BAR_BYTES, to,
                                        &vmm->error);
    }
    vmm->bar = to;
    vmm->status = status;
}

/* An operator's command: plugged at once, or as soon as memory may change again. */
static void plug(struct vmm *vmm)
{
    int status = FERRY_OK;

    if (vmm->dimm.address == NULL) {
        vmm->dimm = (struct ferry_memory){ DIMM_IOVA, DIMM_BYTES, NULL, -1, 1, 0 };
        status = ferry_memory_create(DIMM_BYTES, &vmm->dimm.fd, &vmm->dimm.address,
                                     &vmm->error);
    }
    if (status >= 0) {
        status = ferry_context_add_memory(vmm->context, &vmm->dimm, &vmm->error);
    }
    vmm->waiting = status == FERRY_E_BUSY;
    vmm->plugged += status >= 0;
    vmm->status = vmm->waiting ? FERRY_OK : status;
}

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    struct vmm *vmm = user;

    (void)context;
    if (event->kind == FERRY_HOST_PHASE && strcmp(event->phase, "PRE_COPY") == 0 &&
        vmm->moves++ == 0) {
        bar_moves(vmm, BAR_MOVED); /* as if the guest had done it just now */
        plug(vmm);
    }
    if (event->kind == FERRY_HOST_FINISHED) {
        vmm->report = *event->report;
        if (vmm->waiting && event->report->outcome != FERRY_OUTCOME_MOVED) {
            plug(vmm); /* we have the guest still */
        }
    }
}

/* What the other side must know of ours: where the BAR is, and that memory waits. */
static int save_state(void *user, struct ferry_context *context, const void **ret_data,
                      size_t *ret_bytes)
{
    struct vmm *vmm = user;
    static uint64_t state[2];

    (void)context;
    state[0] = vmm->bar;
    state[1] = vmm->waiting;
    *ret_data = state;
    *ret_bytes = sizeof(state);
    return FERRY_OK;
}

static int load_state(void *user, struct ferry_context *context, const void *data,
                      size_t bytes)
{
    struct vmm *vmm = user;
    uint64_t state[2];

    (void)context;
    if (bytes != sizeof(state)) {
        return FERRY_E_PROTOCOL;
    }
    memcpy(state, data, sizeof(state));
    vmm->waiting = state[1] != 0;
    bar_moves(vmm, state[0]); /* before any device runs */
    return vmm->status;
}

static int open_vmm(struct vmm *vmm, char **device, struct ferry_error *reterr)
{
    static const struct ferry_context_ops ops = { .struct_size = sizeof(ops),
                                                  .save_state = save_state,
                                                  .load_state = load_state,
                                                  .event = on_event };
    const struct ferry_context_options options = { sizeof(options), &ops, vmm, 0, 0 };
    struct ferry_memory ram = { .iova = RAM_IOVA, .size = RAM_BYTES, .writable = 1 };
    int rc = ferry_memory_create(ram.size, &ram.fd, &ram.address, reterr);

    if (rc < 0 || (rc = ferry_context_create(&options, &vmm->context, reterr)) < 0 ||
        (rc = ferry_context_add_memory(vmm->context, &ram, reterr)) < 0) {
        return rc;
    }
    memset(ram.address, 0x5a, ram.size); /* something to send */
    rc = ferry_context_add_device(vmm->context, "dev0", device[0], reterr);
    return rc < 0 ? rc
                  : ferry_context_add_device(vmm->context, "dev1", device[1], reterr);
}

int main(int argc, char **argv)
{
    const int incoming = argc == 5 && strcmp(argv[1], "receive") == 0;
    const struct ferry_migrate_options options = { .struct_size = sizeof(options) };
    static struct vmm vmm;
    int status;

    if (argc != 5 || (!incoming && strcmp(argv[1], "send") != 0)) {
        fprintf(stderr, "usage: %s send|receive ADDRESS DEVICE0 DEVICE1\n", argv[0]);
        return 2;
    }
    status = open_vmm(&vmm, argv + 3, &vmm.error);
    if (status >= 0 && incoming) {
        status = ferry_context_listen(vmm.context, argv[2], &options, &vmm.error);
    } else if (status >= 0) {
        bar_moves(&vmm, BAR_FIRST);
        status = ferry_context_send(vmm.context, argv[2], &options, &vmm.error);
    }
    if (status >= 0) {
        status = ferry_context_wait(vmm.context, &vmm.error);
    }
    if (status >= 0 && incoming && vmm.waiting) {
        plug(&vmm); /* the guest's memory, which the source could not plug any more */
    }
    status = status < 0 || vmm.status >= 0 ? status : vmm.status;
    ferry_context_destroy(vmm.context);
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", ferry_status_name(status), vmm.error.text);
        return 1;
    }
    printf("%s, BAR at 0x%llx, %u waiting, %u plugged\n",
           ferry_outcome_name(vmm.report.outcome), (unsigned long long)vmm.bar,
           vmm.waiting, vmm.plugged);
    return 0;
}
