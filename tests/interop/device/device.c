/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device served by libvfio-user: registers, memory that can be mapped, DMA by mapping
 * or by messages, and a state that can be moved. Its own samples end by assertions in the
 * course of a migration.
 *
 * usage: interop_device SOCKET [plain | no-dma | no-migration]; "ready" is said when it
 * listens. no-dma: the library is told that it does none.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <libvfio-user.h>

#define MEMORY_BYTES 0x10000u
#define REGS 64u
#define STEP_MS 1
#define FLAG_ATTACH_NB 1 /* LIBVFIO_USER_FLAG_ATTACH_NB */
#define MAPS_MAX 1024u

/* Registers of BAR 0, 4 bytes each; the others are plain storage. */
enum { WORKS, ERRORS, RUN, ADDRESS, VALUE, HOW, TRIGGER, FIRST_PLAIN };
/* RUN: 1 DMA goes on by itself. HOW: 1 by messages. A write to VALUE is written to
 * ADDRESS, one to TRIGGER interrupts. */

struct unit {
    uint32_t bytes, last; /* last: registers, too */
};

struct device {
    uint32_t reg[REGS];
    uint8_t *memory;
    uint32_t value_waits, has_dma, moving, complete, bad, at;
    /* The stream, out and in: a unit, the memory, and at last the registers. Out it may
     * hold the rest of a unit of pre-copy before the last one. */
    uint8_t stream[2 * (sizeof(struct unit) + MEMORY_BYTES + sizeof(uint32_t[REGS]))];
    uint32_t stream_bytes, state;
};

static struct device device;

/* Return: 1 when it was written and reads back. */
static int dma_write(vfu_ctx_t *ctx, uint32_t address, uint32_t value)
{
    dma_sg_t *sg = calloc(1, dma_sg_size());
    struct iovec iov = { 0 };
    uint32_t back = ~value;
    int done = 0;

    if (sg == NULL || vfu_addr_to_sgl(ctx, (vfu_dma_addr_t)(uintptr_t)address, 4, sg, 1,
                                      PROT_READ | PROT_WRITE) != 1) {
        free(sg);
        return 0;
    }
    if (device.reg[HOW] == 1) {
        done = vfu_sgl_write(ctx, sg, 1, &value, 0) == 0 &&
               vfu_sgl_read(ctx, sg, 1, &back, 0) == 0 && back == value;
    } else if (vfu_sgl_get(ctx, sg, &iov, 1, 0) == 0) {
        memcpy(iov.iov_base, &value, 4);
        vfu_sgl_mark_dirty(ctx, sg, 1);
        vfu_sgl_put(ctx, sg, &iov, 1);
        done = 1;
    }
    free(sg);
    return done;
}

static int is_going(void)
{
    return device.state == VFU_MIGR_STATE_RUNNING ||
           device.state == VFU_MIGR_STATE_PRE_COPY;
}

/* Outside of callbacks: the library may wait for the client in it. */
static void work(vfu_ctx_t *ctx)
{
    if (!device.has_dma || !is_going()) {
        return;
    }
    if (device.value_waits) {
        device.value_waits = 0;
        device.reg[ERRORS] += !dma_write(ctx, device.reg[ADDRESS], device.reg[VALUE]);
        device.reg[WORKS]++;
    }
    if (device.reg[RUN]) {
        device.reg[ERRORS] +=
            !dma_write(ctx, device.reg[ADDRESS] + 4096, device.reg[WORKS] + 1);
        device.reg[WORKS]++;
    }
}

static ssize_t registers(vfu_ctx_t *ctx, char *data, size_t count, loff_t off,
                         bool is_write)
{
    if (count != 4 || off % 4 != 0 || off / 4 >= REGS) {
        errno = EINVAL;
        return -1;
    }
    if (!is_write) {
        memcpy(data, &device.reg[off / 4], 4);
        return 4;
    }
    memcpy(&device.reg[off / 4], data, 4);
    device.value_waits |= off / 4 == VALUE;
    if (off / 4 == TRIGGER && vfu_irq_trigger(ctx, 0) != 0) {
        return -1;
    }
    return 4;
}

static ssize_t memory(vfu_ctx_t *ctx, char *data, size_t count, loff_t off, bool is_write)
{
    (void)ctx;
    if ((uint64_t)off + count > MEMORY_BYTES) {
        errno = EINVAL;
        return -1;
    }
    if (is_write) {
        memcpy(device.memory + off, data, count);
    } else {
        memcpy(data, device.memory + off, count);
    }
    return (ssize_t)count;
}

/* Everything that there is to be saved now. */
static void begin_save(uint32_t last)
{
    struct unit unit = { .bytes = MEMORY_BYTES, .last = last };
    /* A unit that was begun in pre-copy is given to its end. */
    const uint32_t rest = last && device.state == VFU_MIGR_STATE_PRE_COPY && device.at > 0
                              ? device.stream_bytes - device.at
                              : 0;
    uint8_t *at = device.stream + rest;

    memmove(device.stream, device.stream + device.at, rest);
    memcpy(at, &unit, sizeof(unit));
    memcpy(at + sizeof(unit), device.memory, MEMORY_BYTES);
    memcpy(at + sizeof(unit) + MEMORY_BYTES, device.reg, sizeof(device.reg));
    device.stream_bytes =
        rest + (uint32_t)(sizeof(unit) + MEMORY_BYTES + (last ? sizeof(device.reg) : 0));
    device.at = 0;
}

static int transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    (void)ctx;
    if (device.state == VFU_MIGR_STATE_RESUME && (!device.complete || device.bad)) {
        errno = EINVAL;
        return -1;
    }
    if (state == VFU_MIGR_STATE_PRE_COPY || state == VFU_MIGR_STATE_STOP_AND_COPY) {
        begin_save(state == VFU_MIGR_STATE_STOP_AND_COPY);
    } else if (state == VFU_MIGR_STATE_RESUME) {
        device.stream_bytes = device.complete = device.bad = 0;
    }
    device.state = state;
    return 0;
}

static ssize_t read_data(vfu_ctx_t *ctx, void *data, uint64_t count)
{
    const uint32_t left = device.stream_bytes - device.at;
    const uint32_t some = count < left ? (uint32_t)count : left;

    (void)ctx;
    memcpy(data, device.stream + device.at, some);
    device.at += some;
    return (ssize_t)some;
}

static ssize_t write_data(vfu_ctx_t *ctx, void *data, uint64_t count)
{
    const uint8_t *from = data;

    (void)ctx;
    for (uint64_t i = 0; i < count; i++) {
        struct unit unit;

        if (device.complete || device.bad) {
            device.bad = 1; /* until the load begins anew */
            errno = EINVAL;
            return -1;
        }
        device.stream[device.stream_bytes++] = from[i];
        if (device.stream_bytes < sizeof(unit) + MEMORY_BYTES) {
            continue;
        }
        memcpy(&unit, device.stream, sizeof(unit));
        if (unit.bytes != MEMORY_BYTES || unit.last > 1) {
            device.bad = 1;
            errno = EINVAL;
            return -1;
        }
        if (unit.last &&
            device.stream_bytes < sizeof(unit) + MEMORY_BYTES + sizeof(device.reg)) {
            continue;
        }
        memcpy(device.memory, device.stream + sizeof(unit), MEMORY_BYTES);
        if (unit.last) {
            memcpy(device.reg, device.stream + sizeof(unit) + MEMORY_BYTES,
                   sizeof(device.reg));
            device.complete = 1;
        }
        device.stream_bytes = 0;
    }
    return (ssize_t)count;
}

static int reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    (void)ctx;
    (void)type;
    memset(device.reg, 0, sizeof(device.reg));
    memset(device.memory, 0, MEMORY_BYTES);
    device.state = VFU_MIGR_STATE_RUNNING;
    device.value_waits = 0;
    return 0;
}

static void map(vfu_ctx_t *ctx, vfu_dma_info_t *info)
{
    (void)ctx;
    (void)info;
}

static void say(vfu_ctx_t *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    fprintf(stderr, "device: %s\n", text);
}

static vfu_ctx_t *create(const char *path, const char *variant)
{
    static const vfu_migration_callbacks_t moves = { .version = VFU_MIGR_CALLBACKS_VERS,
                                                     .transition = transition,
                                                     .read_data = read_data,
                                                     .write_data = write_data };
    struct iovec area = { .iov_base = NULL, .iov_len = MEMORY_BYTES };
    vfu_ctx_t *ctx =
        vfu_create_ctx(VFU_TRANS_SOCK, path, FLAG_ATTACH_NB, &device, VFU_DEV_TYPE_PCI);
    const int fd = memfd_create("interop", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const int bar = VFU_REGION_FLAG_RW | VFU_REGION_FLAG_MEM;

    if (ctx == NULL || fd < 0 || ftruncate(fd, MEMORY_BYTES) != 0 ||
        vfu_setup_log(ctx, say, getenv("INTEROP_VERBOSE") ? 7 : 3) != 0 ||
        vfu_pci_init(ctx, VFU_PCI_TYPE_CONVENTIONAL, 0, 0) != 0) {
        return NULL;
    }
    device.memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    device.has_dma = strcmp(variant, "no-dma") != 0;
    device.state = VFU_MIGR_STATE_RUNNING;
    vfu_pci_set_id(ctx, 0xfe44, 0xf0e1, 0xfe44, 1);
    vfu_pci_set_class(ctx, 0x08, 0x80, 0);
    if (device.memory == MAP_FAILED ||
        vfu_setup_region(ctx, 0, 4096, registers, bar, NULL, 0, -1, 0) != 0 ||
        vfu_setup_region(ctx, 2, MEMORY_BYTES, memory, bar, &area, 1, fd, 0) != 0 ||
        (strcmp(variant, "no-migration") != 0 &&
         vfu_setup_device_migration_callbacks(ctx, &moves) != 0) ||
        vfu_setup_device_reset_cb(ctx, reset) != 0 ||
        (device.has_dma && vfu_setup_device_dma(ctx, MAPS_MAX, map, map) != 0) ||
        vfu_setup_device_nr_irqs(ctx, VFU_DEV_INTX_IRQ, 1) != 0 ||
        vfu_realize_ctx(ctx) != 0) {
        return NULL;
    }
    return ctx;
}

/* Serves one client to its end. Return: 0; -1 when nothing more can be served. */
static int serve(vfu_ctx_t *ctx)
{
    struct pollfd at = { .events = POLLIN };

    while (vfu_attach_ctx(ctx) != 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            fprintf(stderr, "device: no client: %s\n", strerror(errno));
            return errno == ENOTCONN || errno == ECONNRESET ? 0 : -1;
        }
        at.fd = vfu_get_poll_fd(ctx);
        (void)poll(&at, 1, -1);
    }
    for (;;) {
        at.fd = vfu_get_poll_fd(ctx);
        (void)poll(&at, 1, STEP_MS);
        if (vfu_run_ctx(ctx) < 0) {
            return errno == ENOTCONN ? 0 : -1;
        }
        work(ctx);
    }
}

int main(int argc, char **argv)
{
    vfu_ctx_t *ctx;

    if (argc < 2) {
        return 2;
    }
    ctx = create(argv[1], argc > 2 ? argv[2] : "plain");
    if (ctx == NULL) {
        perror("device");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    while (serve(ctx) == 0) {
    }
    perror("device: it ends");
    return 1;
}
