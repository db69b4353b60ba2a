/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/nic_rig.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/rig.h"
#include "models/models.h"

#define OPTIONS_MAX 8
#define DRIVER_OFF (64u << 10) /* rings and buffers, behind struct nic_driver */
#define BATCH 64u
#define TIMEOUT_NS 5000000000ull
#define IDLE_TURNS 1024u
#define ETHERNET_BYTES 14u
#define IP_BYTES 20u

static struct ferry_server *server;

static void stop_server(int signal_number)
{
    (void)signal_number;
    ferry_server_stop(server);
}

static struct ferry_device *make_device(const char *const *option, void **ret_state)
{
    const struct ferry_model *model = ferry_model_find("nic");
    struct ferry_model_options options = { .struct_size = sizeof(options),
                                           .option = option };
    struct ferry_device *device;
    struct ferry_error error;

    while (option[options.count] != NULL) {
        options.count++;
    }
    if (model == NULL ||
        model->create(&options, &device, ret_state, &error) != FERRY_OK) {
        bench_die(model == NULL ? "there is no model nic" : error.text);
    }
    return device;
}

static void serve(const char *path, const char *const *option, uint32_t spin_us,
                  int ready_fd) __attribute__((noreturn));

static void serve(const char *path, const char *const *option, uint32_t spin_us,
                  int ready_fd)
{
    struct ferry_server_options options = { .struct_size = sizeof(options),
                                            .path = path,
                                            .spin_us = spin_us };
    struct ferry_device *device;
    struct ferry_error error;
    void *state;
    char byte = 0;

    device = make_device(option, &state);
    if (ferry_server_create(device, &options, &server, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    signal(SIGTERM, stop_server);
    bench_write(ready_fd, &byte, 1);
    close(ready_fd);
    ferry_server_run(server);
    ferry_server_destroy(server);
    ferry_model_find("nic")->destroy(device, state);
    _exit(0);
}

pid_t bench_nic_serve(const char *path, const char *const *options, uint32_t spin_us,
                      int cpu)
{
    int ready[2];
    char byte;
    pid_t pid;

    if (pipe(ready) < 0) {
        bench_die("no pipe");
    }
    pid = bench_child();
    if (pid == 0) {
        if (cpu >= 0) {
            bench_pin(cpu);
        }
        serve(path, options, spin_us, ready[1]);
    }
    close(ready[1]);
    bench_read(ready[0], &byte, 1);
    close(ready[0]);
    return pid;
}

/* For the control queue: lets a device in this process work, too. */
static int wait_control(void *user, int timeout_ms)
{
    const struct bench_nic *nic = user;
    const uint64_t until = bench_now_ns() + (uint64_t)timeout_ms * 1000000u;
    uint64_t count;

    while (bench_now_ns() < until) {
        if (read(nic->irq[NIC_VECTOR_CONTROL], &count, sizeof(count)) > 0) {
            return FERRY_OK;
        }
        ferry_context_dispatch(nic->context, 0);
    }
    return FERRY_E_TIMEOUT;
}

static void add_memory(struct bench_nic *nic)
{
    struct ferry_memory memory = { .iova = BENCH_NIC_IOVA,
                                   .size = BENCH_NIC_MEMORY,
                                   .writable = 1 };
    struct ferry_error error;

    if (ferry_memory_create(memory.size, &nic->memory_fd, &memory.address, &error) !=
        FERRY_OK) {
        bench_die(error.text);
    }
    memset(memory.address, 0, memory.size);
    memory.fd = nic->memory_fd;
    if (ferry_context_add_memory(nic->context, &memory, &error) < 0) {
        bench_die(error.text);
    }
    nic->ram = (struct guest_ram){ .address = memory.address,
                                   .iova = memory.iova,
                                   .size = memory.size };
    nic->driver = memory.address;
}

void bench_nic_attach(struct bench_nic *nic)
{
    struct ferry_error error;

    if (ferry_context_set_irqs(nic->context, 0, nic->irq, NIC_VECTORS(1), &error) < 0) {
        bench_die(error.text);
    }
}

void bench_nic_open(struct bench_nic *nic, const char *uri, const char *const *options,
                    const struct ferry_context_ops *ops)
{
    struct ferry_context_options choices = { .struct_size = sizeof(choices),
                                             .ops = ops,
                                             .user = nic };
    struct ferry_error error;
    int status;

    memset(nic, 0, sizeof(*nic));
    for (size_t i = 0; i < NIC_VECTORS(1); i++) {
        nic->irq[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (ferry_context_create(&choices, &nic->context, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    add_memory(nic);
    if (uri != NULL) {
        status = ferry_context_add_device(nic->context, "nic", uri, &error);
    } else {
        nic->device = make_device(options, &nic->model_state);
        status = ferry_context_add_endpoint(nic->context, "nic",
                                            ferry_device_endpoint(nic->device), &error);
    }
    if (status < 0) {
        bench_die(error.text);
    }
    nic->pci.context = nic->context;
    bench_nic_attach(nic);
}

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

void bench_nic_make(uint8_t *buffer, const uint8_t *mac, uint32_t flow,
                    uint32_t frame_bytes)
{
    uint8_t *frame = buffer + NIC_DRIVER_HEADER_BYTES;
    uint8_t *ip = frame + ETHERNET_BYTES, *udp = ip + IP_BYTES;

    memset(buffer, 0, NIC_DRIVER_HEADER_BYTES + frame_bytes);
    memcpy(frame, mac, NIC_DRIVER_MAC_BYTES);
    memcpy(frame + NIC_DRIVER_MAC_BYTES, mac, NIC_DRIVER_MAC_BYTES);
    put16(frame + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, frame_bytes - ETHERNET_BYTES);
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    ip[12] = ip[16] = 10;
    put16(ip + 14, flow >> 16);
    ip[19] = 1;
    put16(udp, flow);
    put16(udp + 2, 9);
    put16(udp + 4, frame_bytes - ETHERNET_BYTES - IP_BYTES);
}

void bench_nic_start(struct bench_nic *nic, uint32_t frame_bytes)
{
    struct ferry_error error;
    uint32_t buffers;

    nic->setup = (struct nic_setup){ .iova = BENCH_NIC_IOVA + DRIVER_OFF,
                                     .pairs = 1,
                                     .queue_size = NIC_DRIVER_QUEUE_MAX,
                                     .buffer_bytes = NIC_DRIVER_BUFFER_MIN,
                                     .wait = wait_control,
                                     .user = nic,
                                     .timeout_ms = 5000 };
    if (nic_driver_init(&nic->pci, &nic->ram, nic->driver, &nic->setup, &error) !=
        FERRY_OK) {
        bench_die(error.text);
    }
    /* Who looks at the rings all the time wants no interrupts. */
    virtqueue_want_interrupts(&nic->ram, &nic->driver->pair[0].receive.ring, 0);
    buffers = nic_driver_free(nic->driver, 0);
    for (uint32_t i = 0; i < buffers; i++) {
        bench_nic_make(nic_driver_fill(&nic->ram, nic->driver, 0, i), nic->driver->mac, i,
                       frame_bytes);
    }
}

static void check(int status)
{
    if (status < 0) {
        bench_die(ferry_status_text(status));
    }
}

static uint32_t send_some(struct bench_nic *nic, uint32_t count, uint32_t frame_bytes)
{
    uint32_t bytes[BATCH], room;

    check(nic_driver_reclaim(&nic->ram, nic->driver, 0));
    room = nic_driver_free(nic->driver, 0);
    room = room < BENCH_NIC_IN_FLIGHT - nic->in_flight
               ? room
               : BENCH_NIC_IN_FLIGHT - nic->in_flight;
    count = count < room ? count : room;
    count = count < BATCH ? count : BATCH;
    for (uint32_t i = 0; i < count; i++) {
        bytes[i] = frame_bytes;
        if (nic->new_flows) {
            bench_nic_make(nic_driver_fill(&nic->ram, nic->driver, 0, i),
                           nic->driver->mac, nic->flow++, frame_bytes);
        }
    }
    if (count > 0) {
        nic_driver_send(&nic->ram, nic->driver, 0, bytes, count);
        check(nic_driver_kick(&nic->pci, &nic->ram, &nic->driver->pair[0].transmit));
    }
    return count;
}

static uint32_t take_some(struct bench_nic *nic, uint32_t frame_bytes)
{
    struct nic_received received[BATCH];
    int taken = nic_driver_receive(&nic->ram, nic->driver, 0, received, BATCH);
    uint32_t mine = 0;

    check(taken);
    for (int i = 0; i < taken; i++) {
        mine += received[i].bytes == frame_bytes;
    }
    if (taken > 0) {
        nic_driver_give_back(&nic->ram, nic->driver, 0, received, (uint32_t)taken);
        check(nic_driver_kick(&nic->pci, &nic->ram, &nic->driver->pair[0].receive));
    }
    return mine;
}

void bench_nic_turn(struct bench_nic *nic, uint32_t send, uint32_t frame_bytes)
{
    const uint32_t sent = send > 0 ? send_some(nic, send, frame_bytes) : 0;
    uint32_t taken;

    nic->in_flight += sent;
    nic->sent += sent;
    if (nic->device != NULL) {
        check(ferry_context_dispatch(nic->context, 0));
    }
    taken = take_some(nic, frame_bytes);
    nic->in_flight -= taken < nic->in_flight ? taken : nic->in_flight;
    nic->received += taken;
}

double bench_nic_run(struct bench_nic *nic, uint64_t frames, uint32_t frame_bytes)
{
    const uint64_t begun = bench_now_ns(), want = nic->received + frames;
    const uint64_t last = nic->sent + frames;
    uint64_t received = nic->received, looked = 0, idle = 0;

    while (nic->received < want) {
        const uint64_t left = last - nic->sent;

        bench_nic_turn(nic, left < BATCH ? (uint32_t)left : BATCH, frame_bytes);
        if (nic->received != received) {
            received = nic->received;
            looked = idle = 0;
        } else if (++idle % IDLE_TURNS == 0) { /* the clock costs as much as a frame */
            looked = looked == 0 ? bench_now_ns() : looked;
            if (bench_now_ns() - looked > TIMEOUT_NS) {
                bench_die("frames do not come back");
            }
        }
    }
    return (double)(bench_now_ns() - begun);
}

void bench_nic_close(struct bench_nic *nic)
{
    ferry_context_destroy(nic->context);
    if (nic->device != NULL) {
        ferry_model_find("nic")->destroy(nic->device, nic->model_state);
    }
    munmap(nic->ram.address, nic->ram.size);
    close(nic->memory_fd);
    for (size_t i = 0; i < NIC_VECTORS(1); i++) {
        close(nic->irq[i]);
    }
}
