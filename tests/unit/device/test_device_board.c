/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ferry/device.h"
#include "ferry/host.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "os/socket.h"

/* The example with everything, in two processes, used and moved by contexts. */

#define RAM_IOVA 0x10000000u
#define RAM_BYTES (8u << 20)
#define REG_ADDRESS 0x00u
#define REG_SIZE 0x08u
#define REG_BYTE 0x10u
#define REG_GO 0x14u
#define REG_DONE 0x18u
#define LIMIT_MS 5000

static const char *program; /* the example */
static pid_t alive[4];      /* to be killed when a test has failed */
static char folder[] = "/tmp/ferry-board-XXXXXX";

struct side {
    pid_t pid;
    struct ferry_context *context;
    uint8_t *ram;
    int ram_fd, msi, intx;
    uint64_t job_bytes; /* of the job that is begun when the CPUs are paused */
};

static void add_device(struct side *side, const char *path)
{
    const uint64_t limit_ns = ferry_os_now_ns() + LIMIT_MS * (uint64_t)FERRY_NS_PER_MS;
    struct ferry_error error = { 0 };
    char uri[128];
    int rc;

    snprintf(uri, sizeof(uri), "vfio-user:%s", path);
    do {
        rc = ferry_context_add_device(side->context, "board", uri, &error);
        if (rc == FERRY_E_NOT_FOUND) {
            ferry_os_sleep_ns(2 * (uint64_t)FERRY_NS_PER_MS);
        }
    } while (rc == FERRY_E_NOT_FOUND && ferry_os_now_ns() < limit_ns);
    if (rc != 0) {
        fail_msg("%s", error.text);
    }
}

static void put(struct side *side, uint64_t off, uint64_t value, size_t bytes)
{
    assert_int_equal(
        ferry_context_region_write(side->context, 0, 0, off, &value, bytes, 0), FERRY_OK);
}

static uint32_t done(struct side *side)
{
    uint32_t value = 0;

    assert_int_equal(ferry_context_region_read(side->context, 0, 0, REG_DONE, &value, 4),
                     FERRY_OK);
    return value;
}

static void fill(struct side *side, uint64_t size, uint8_t byte)
{
    put(side, REG_ADDRESS, RAM_IOVA, 8);
    put(side, REG_SIZE, size, 8);
    put(side, REG_BYTE, byte, 4);
    put(side, REG_GO, 1, 4);
}

/* What a CPU does just before it stops: the job is in hand when the device is quieted. */
static int last_access(void *user, struct ferry_context *context)
{
    struct side *side = user;

    (void)context;
    fill(side, side->job_bytes, 0x45);
    return FERRY_OK;
}

static void start(struct side *side, const char *name)
{
    static const struct ferry_context_ops ops = { .struct_size = sizeof(ops),
                                                  .pause_cpus = last_access };
    const struct ferry_context_options options = { .struct_size = sizeof(options),
                                                   .ops = &ops,
                                                   .user = side };
    struct ferry_memory memory = { .iova = RAM_IOVA, .size = RAM_BYTES, .writable = 1 };
    char path[64], exe[512];
    char *const args[] = { exe, path, NULL };
    char *const environment[] = { NULL };
    const uint16_t command = 6;

    snprintf(exe, sizeof(exe), "%s", program);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(posix_spawn(&side->pid, program, NULL, NULL, args, environment), 0);
    alive[name[0] - 'a'] = side->pid;
    assert_int_equal(ferry_context_create(&options, &side->context, NULL), FERRY_OK);
    assert_int_equal(ferry_memory_create(RAM_BYTES, &side->ram_fd, &memory.address, NULL),
                     FERRY_OK);
    side->ram = memory.address;
    memory.fd = side->ram_fd;
    assert_int_equal(ferry_context_add_memory(side->context, &memory, NULL), 0);
    add_device(side, path);
    assert_int_equal(ferry_os_eventfd_create(&side->msi), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_create(&side->intx), FERRY_OK);
    assert_int_equal(ferry_context_region_write(side->context, 0, 7, 4, &command, 2, 0),
                     FERRY_OK);
}

static void end(struct side *side)
{
    int status = -1;

    ferry_context_destroy(side->context);
    munmap(side->ram, RAM_BYTES);
    ferry_os_close(&side->ram_fd);
    ferry_os_close(&side->msi);
    ferry_os_close(&side->intx);
    assert_int_equal(kill(side->pid, SIGTERM), 0);
    assert_int_equal(waitpid(side->pid, &status, 0), side->pid);
    for (size_t i = 0; i < sizeof(alive) / sizeof(alive[0]); i++) {
        alive[i] = alive[i] == side->pid ? 0 : alive[i];
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int rings(int fd)
{
    struct pollfd poller = { .fd = fd, .events = POLLIN };

    return poll(&poller, 1, LIMIT_MS) == 1 &&
           ferry_os_eventfd_drain(fd, NULL) == FERRY_OK;
}

static int filled(const struct side *side, uint64_t size, uint8_t byte)
{
    uint64_t i = 0;

    while (i < size && side->ram[i] == byte) {
        i++;
    }
    return i == size && side->ram[size] == 0;
}

static void msi(struct side *side)
{
    assert_int_equal(
        ferry_context_set_irq_index(side->context, 0, FERRY_IRQ_MSI, &side->msi, 1, NULL),
        FERRY_OK);
}

static void it_fills_and_interrupts_by_line_and_by_message(void **state)
{
    struct side side;

    (void)state;
    start(&side, "a");
    assert_int_equal(
        ferry_context_set_irq_index(side.context, 0, FERRY_IRQ_INTX, &side.intx, 1, NULL),
        FERRY_OK);
    fill(&side, 200000, 0x42);
    assert_true(rings(side.intx));
    assert_int_equal(done(&side), 1);
    assert_true(filled(&side, 200000, 0x42));
    put(&side, REG_DONE, 0, 4); /* the line falls: no second interrupt */
    assert_int_equal(
        ferry_context_mask_irqs(side.context, 0, FERRY_IRQ_INTX, 0, 1, 0, NULL),
        FERRY_OK);
    msi(&side);
    assert_true(rings(side.msi)); /* the first job's, which was pending */
    fill(&side, 300000, 0x43);
    assert_true(rings(side.msi));
    assert_int_equal(done(&side), 2);
    assert_true(filled(&side, 300000, 0x43));
    end(&side);
}

static void it_has_a_rom_a_log_and_a_capability(void **state)
{
    uint8_t rom[3] = { 0 };
    char log[64] = "";
    uint32_t header = 0, off = 0x100;
    char body[6] = "";
    struct side side;

    (void)state;
    start(&side, "b");
    assert_int_equal(ferry_context_region_read(side.context, 0, 6, 0, rom, sizeof(rom)),
                     FERRY_OK);
    assert_memory_equal(rom, "\x55\xaa\x01", 3);
    fill(&side, 0x7fffffff, 0x44); /* past the end of all memory */
    while (done(&side) == 0) {
    }
    assert_int_equal(ferry_context_region_read(side.context, 0, FERRY_REGION_EXTRA, 0,
                                               log, sizeof(log)),
                     FERRY_OK);
    assert_string_equal(log, "job 1: FERRY_E_RANGE");
    while (off != 0) {
        assert_int_equal(ferry_context_region_read(side.context, 0, 7, off, &header, 4),
                         FERRY_OK);
        if ((header & 0xffff) == 0x000b) {
            break;
        }
        off = header >> 20;
    }
    assert_int_not_equal(off, 0);
    assert_int_equal(ferry_context_region_read(side.context, 0, 7, off + 8, body, 5),
                     FERRY_OK);
    assert_string_equal(body, "board");
    end(&side);
}

/* Its arc waits for the job: what moves is a device that has done all it was asked. */
static void a_job_in_hand_is_finished_before_it_moves(void **state)
{
    struct side side[2];
    int pair[2];

    (void)state;
    start(&side[0], "c");
    start(&side[1], "d");
    msi(&side[0]);
    msi(&side[1]);
    side[0].job_bytes = RAM_BYTES - 1;
    assert_int_equal(ferry_os_socketpair(&pair[0], &pair[1]), FERRY_OK);
    assert_int_equal(ferry_context_receive_fd(side[1].context, pair[1], NULL, NULL),
                     FERRY_OK);
    assert_int_equal(ferry_context_send_fd(side[0].context, pair[0], NULL, NULL),
                     FERRY_OK);
    for (int waiting = 1; waiting;) {
        struct ferry_report report;

        waiting = 0;
        for (int i = 0; i < 2; i++) {
            assert_int_equal(ferry_context_dispatch(side[i].context, 1), FERRY_OK);
            ferry_context_report(side[i].context, &report);
            waiting += report.outcome == FERRY_OUTCOME_BUSY;
            assert_int_equal(report.error.code, FERRY_OK);
        }
    }
    assert_int_equal(done(&side[1]), 1);
    assert_true(filled(&side[1], RAM_BYTES - 1, 0x45));
    assert_true(rings(side[1].msi)); /* which nobody had taken at the source */
    fill(&side[1], 5000000, 0x46);   /* it goes on as it was */
    assert_true(rings(side[1].msi));
    assert_int_equal(done(&side[1]), 2);
    end(&side[0]);
    end(&side[1]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fills_and_interrupts_by_line_and_by_message),
        cmocka_unit_test(it_has_a_rom_a_log_and_a_capability),
        cmocka_unit_test(a_job_in_hand_is_finished_before_it_moves),
    };
    int rc;

    if (argc != 2 || mkdtemp(folder) == NULL) {
        fprintf(stderr, "usage: %s BOARD\n", argv[0]);
        return 2;
    }
    program = argv[1];
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < sizeof(alive) / sizeof(alive[0]); i++) {
        if (alive[i] > 0) {
            (void)kill(alive[i], SIGKILL);
        }
    }
    (void)rmdir(folder);
    return rc;
}
