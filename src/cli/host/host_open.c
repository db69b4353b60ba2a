/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/host/host.h"
#include "cli/output.h"
#include "drivers/virtio/pci.h"

static int find_device(const struct host_args *args, const char *name)
{
    for (uint32_t i = 0; i < args->device_count; i++) {
        if (strcmp(args->device[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int add_memory(struct host *host, struct ferry_error *reterr)
{
    uint64_t bytes = host->args->memory_bytes;
    struct ferry_memory memory = { .iova = HOST_MEMORY_IOVA,
                                   .size = bytes,
                                   .writable = 1 };

    int status = ferry_memory_create(bytes, &host->memory_fd, &host->memory, reterr);

    if (status < 0) {
        return status;
    }
    /* First touches during a migration would cost a multiple of the copy. */
    memset(host->memory, 0, bytes);
    memory.address = host->memory;
    memory.fd = host->memory_fd;
    return ferry_context_add_memory(host->context, &memory, reterr);
}

static int add_devices(struct host *host, struct ferry_error *reterr)
{
    for (uint32_t i = 0; i < host->args->device_count; i++) {
        int status = ferry_context_add_device(host->context, host->args->device[i].name,
                                              host->args->device[i].uri, reterr);

        if (status < 0) {
            print_open_error("host", reterr);
            return status;
        }
    }
    return FERRY_OK;
}

/* Maps the whole of the first region of the target that can be mapped. */
static int add_peer(struct host *host, uint32_t i, struct ferry_error *reterr)
{
    int initiator = find_device(host->args, host->args->peer[i].initiator);
    int target = find_device(host->args, host->args->peer[i].target);
    struct pci_function pci = { .context = host->context };
    uint64_t bytes = 0;
    int region;

    if (initiator < 0 || target < 0) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "host", NULL, 0,
                               "--peer %s:%s: no such --device",
                               host->args->peer[i].initiator, host->args->peer[i].target);
    }
    pci.device = (uint32_t)target;
    region = pci_memory_region(&pci, &bytes);
    if (region < 0) {
        return ferry_error_set(reterr, region, "host", NULL, 0,
                               "%s has no region that can be mapped",
                               host->args->peer[i].target);
    }
    host->peer_bytes = i == 0 ? bytes : host->peer_bytes;
    return ferry_context_map_peer(host->context, (uint32_t)initiator, (uint32_t)target,
                                  (uint32_t)region, 0, bytes,
                                  HOST_PEER_IOVA + i * HOST_PEER_STEP, reterr);
}

static int add_peers(struct host *host, struct ferry_error *reterr)
{
    for (uint32_t i = 0; i < host->args->peer_count; i++) {
        int status = add_peer(host, i, reterr);

        if (status < 0) {
            print_error("host", reterr, "peer map %s:%s", host->args->peer[i].initiator,
                        host->args->peer[i].target);
            return status;
        }
    }
    return FERRY_OK;
}

static int add_workload(struct host *host, struct ferry_error *reterr)
{
    static const char *const role[GUEST_STAGES] = { "acc", "copy0", "copy1" };
    const struct host_args *args = host->args;
    struct workload_options options = {
        .context = host->context,
        .address = host->memory,
        .iova = HOST_MEMORY_IOVA,
        .size = args->memory_bytes,
        .peer_iova = HOST_PEER_IOVA,
        .peer_bytes = host->peer_bytes,
        .input = args->work,
        .folder = args->result,
        .lanes = args->options.lanes,
        .slots_per_lane = args->options.depth,
        .block_bytes = args->options.block_bytes,
        .watchdog_ms = args->watchdog_ms,
        .rate_bytes_per_s = args->options.rate,
    };

    if (args->peer_count == 0 || strcmp(args->peer[0].initiator, "copy0") != 0 ||
        strcmp(args->peer[0].target, "copy1") != 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "host", NULL, 0,
                               "the work needs --peer copy0:copy1 first");
    }
    for (uint32_t i = 0; i < GUEST_STAGES; i++) {
        int device = find_device(args, role[i]);

        if (device < 0) {
            return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "host", NULL, 0,
                                   "the work needs --device %s=URI", role[i]);
        }
        options.device[i] = (uint32_t)device;
    }
    if (find_device(args, "nic") >= 0) {
        options.nic = (uint32_t)find_device(args, "nic");
        options.has_nic = 1;
    }
    return workload_create(&options, &host->workload, reterr);
}

int host_open(struct host *host, const struct host_args *args)
{
    struct ferry_context_options options = {
        .struct_size = sizeof(options),
        .ops = &host_ops,
        .user = host,
        .device_timeout_ms = args->device_timeout_ms,
        .no_peer_maps = args->no_peer_maps != 0,
    };
    struct ferry_error error = { .code = FERRY_OK };
    int status;

    host->args = args;
    status = ferry_context_create(&options, &host->context, &error);
    if (status < 0) {
        print_error("host", &error, "cannot make a context");
        return status;
    }
    status = add_memory(host, &error);
    if (status < 0) {
        print_error("host", &error, "cannot add the memory");
        return status;
    }
    status = add_devices(host, &error);
    if (status == FERRY_OK) {
        status = add_peers(host, &error);
    }
    if (status == FERRY_OK && args->work != NULL) {
        status = add_workload(host, &error);
        if (status < 0) {
            print_error("host", &error, "cannot prepare the work");
        }
    }
    return status;
}

void host_close(struct host *host)
{
    /* The CPU first: it must not touch devices that are being closed. */
    workload_destroy(host->workload);
    host->workload = NULL;
    if (host->context != NULL) {
        ferry_context_destroy(host->context);
    }
    if (host->memory != NULL) {
        munmap(host->memory, host->args->memory_bytes);
    }
    if (host->memory_fd >= 0) {
        close(host->memory_fd);
    }
}

int host_listen(struct host *host, struct ferry_error *reterr)
{
    struct ferry_migrate_options options = {
        .struct_size = sizeof(options),
        .arc_limit_ms = host->args->arc_limit_ms,
        .peer_limit_ms = host->args->peer_limit_ms,
        .connections = host->args->connections,
        .arbiter = host->args->arbiter,
    };
    int status;

    if (host->args->listen == NULL) {
        return FERRY_OK;
    }
    status = ferry_context_listen(host->context, host->args->listen, &options, reterr);
    host->listening = status >= 0;
    return status;
}

int host_reopen(struct host *host, struct ferry_error *reterr)
{
    int status;

    if (host->workload != NULL) {
        workload_forget(host->workload);
    }
    status = ferry_context_reopen(host->context, reterr);
    if (status >= 0 && host->workload != NULL) {
        status = workload_attach(host->workload, reterr);
    }
    if (status >= 0) {
        status = host_listen(host, reterr);
    }
    return status;
}
