/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* usleep() */
#endif
#include "cpu.h"

#include <string.h>
#include <unistd.h>

/* The registers of examples/device/counter. */
#define REG_COUNT 0x00u
#define REG_ADD 0x08u
#define REG_ADDRESS 0x10u
#define COUNT_OFF 8u /* where in the first page it writes its count by DMA */

static void work(struct cpu *cpu)
{
    const uint64_t tick = cpu->tick + 1;
    const uint64_t off = tick % CPU_PAGES * FERRY_PAGE_BYTES;
    const uint32_t one = 1;
    int status = FERRY_OK;

    memcpy(cpu->memory + off, &tick, sizeof(tick));
    ferry_context_mark_dirty(cpu->context, CPU_IOVA + off, sizeof(tick)); /* afterwards */
    if (cpu->drives) {
        status = ferry_context_region_write(cpu->context, 0, 0, REG_ADD, &one, 4, 0);
    }
    cpu->tick = tick;
    if (status < 0) {
        cpu->status = status;
    }
}

static void *run(void *user)
{
    struct cpu *cpu = user;

    pthread_mutex_lock(&cpu->lock);
    while (!cpu->stopped) {
        for (; cpu->asked > 0; cpu->asked--) {
            ferry_context_cpus_done(cpu->context, FERRY_OK); /* one for each question */
        }
        if (cpu->paused) {
            pthread_cond_wait(&cpu->changed, &cpu->lock);
            continue;
        }
        pthread_mutex_unlock(&cpu->lock); /* never held over an access to a device */
        work(cpu);
        usleep(500);
        pthread_mutex_lock(&cpu->lock);
    }
    pthread_mutex_unlock(&cpu->lock);
    return NULL;
}

void cpu_ask_pause(struct cpu *cpu)
{
    pthread_mutex_lock(&cpu->lock);
    cpu->paused = 1;
    cpu->asked++;
    pthread_cond_signal(&cpu->changed);
    pthread_mutex_unlock(&cpu->lock);
}

void cpu_go_on(struct cpu *cpu)
{
    pthread_mutex_lock(&cpu->lock);
    cpu->paused = 0;
    pthread_cond_signal(&cpu->changed);
    pthread_mutex_unlock(&cpu->lock);
}

/* What a guest's driver does first. At a target all of it comes with the device. */
static int probe(struct cpu *cpu, struct ferry_error *reterr)
{
    static struct ferry_device_view view;
    const uint64_t address = CPU_IOVA + COUNT_OFF;
    const uint16_t command = 6; /* memory, bus master */
    int status = ferry_context_device(cpu->context, 0, &view, reterr);

    cpu->drives = status >= 0 && strcmp(view.identity.model, "counter") == 0;
    if (status >= 0) {
        status = ferry_context_region_write(cpu->context, 0, 7, 4, &command, 2, 0);
    }
    if (status >= 0 && cpu->drives) {
        status =
            ferry_context_region_write(cpu->context, 0, 0, REG_ADDRESS, &address, 8, 0);
    }
    return status;
}

int cpu_create(struct cpu *cpu, struct ferry_context *context, void *memory,
               struct ferry_error *reterr)
{
    int status;

    cpu->context = context;
    cpu->memory = memory;
    cpu->paused = 1;
    pthread_mutex_init(&cpu->lock, NULL);
    pthread_cond_init(&cpu->changed, NULL);
    status = probe(cpu, reterr);
    if (status >= 0 && pthread_create(&cpu->thread, NULL, run, cpu) != 0) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "cpu", NULL, 0, "no thread");
    }
    cpu->started = status >= 0;
    return status;
}

void cpu_stop(struct cpu *cpu)
{
    if (!cpu->started) {
        return;
    }
    cpu->started = 0;
    pthread_mutex_lock(&cpu->lock);
    cpu->stopped = 1;
    pthread_cond_signal(&cpu->changed);
    pthread_mutex_unlock(&cpu->lock);
    pthread_join(cpu->thread, NULL);
}

/* The device counted every tick, and wrote so into the memory. It may take a moment. */
static int check_device(const struct cpu *cpu, struct ferry_error *reterr)
{
    uint64_t count = 0, written = 0;

    for (int i = 0; i < 200 && (count != cpu->tick || written != count); i++) {
        int status = ferry_context_region_read(cpu->context, 0, 0, REG_COUNT, &count, 8);

        if (status < 0) {
            return ferry_error_set(reterr, status, "cpu", NULL, 0, "COUNT: not read");
        }
        memcpy(&written, cpu->memory + COUNT_OFF, sizeof(written));
        usleep(10000);
    }
    return count == cpu->tick && written == count
               ? FERRY_OK
               : ferry_error_set(reterr, FERRY_E_CORRUPT, "cpu", NULL, 0,
                                 "the device has counted %llu and written %llu",
                                 (unsigned long long)count, (unsigned long long)written);
}

int cpu_check(const struct cpu *cpu, struct ferry_error *reterr)
{
    for (uint64_t page = 0; page < CPU_PAGES; page++) {
        const uint64_t back = (cpu->tick - page) % CPU_PAGES; /* ticks ago */
        const uint64_t want = cpu->tick >= back ? cpu->tick - back : 0;
        uint64_t have;

        memcpy(&have, cpu->memory + page * FERRY_PAGE_BYTES, sizeof(have));
        if (have != want) {
            return ferry_error_set(
                reterr, FERRY_E_CORRUPT, "cpu", NULL, page * FERRY_PAGE_BYTES,
                "page %llu has tick %llu instead of %llu", (unsigned long long)page,
                (unsigned long long)have, (unsigned long long)want);
        }
    }
    return cpu->drives ? check_device(cpu, reterr) : FERRY_OK;
}
