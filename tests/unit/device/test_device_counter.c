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
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/reader.h"
#include "base/writer.h"
#include "ferry/device.h"
#include "link/client/client.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"

/* The example device in two processes, moved from one to the other over vfio-user. */

#define GUEST_IOVA 0x10000ull
#define GUEST_BYTES 8192ull
#define GUEST_OFF 4104u /* where the count goes: the second page */

static const char *program; /* the example */
static char folder[] = "/tmp/ferry-counter-XXXXXX";

struct side {
    char path[64];
    pid_t pid;
    struct ferry_client *client;
    int irq;
};

static void start(struct side *side, const char *name)
{
    struct ferry_client_options options = { .struct_size = sizeof(options) };
    char path[64], exe[512];
    char *const args[] = { exe, path, NULL };
    char *const environment[] = { NULL };
    const uint64_t limit_ns = ferry_os_now_ns() + 5u * (uint64_t)FERRY_NS_PER_S;
    int status;

    snprintf(exe, sizeof(exe), "%s", program);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    memcpy(side->path, path, sizeof(path));
    assert_int_equal(posix_spawn(&side->pid, program, NULL, NULL, args, environment), 0);
    do {
        status = ferry_client_connect(path, &options, &side->client, NULL);
        if (status == FERRY_E_NOT_FOUND) {
            ferry_os_sleep_ns(2 * (uint64_t)FERRY_NS_PER_MS);
        }
    } while (status == FERRY_E_NOT_FOUND && ferry_os_now_ns() < limit_ns);
    assert_int_equal(status, FERRY_OK);
    assert_int_equal(ferry_os_eventfd_create(&side->irq), FERRY_OK);
}

static void end(struct side *side)
{
    int status = -1;

    ferry_client_close(side->client);
    assert_int_equal(kill(side->pid, SIGTERM), 0);
    assert_int_equal(waitpid(side->pid, &status, 0), side->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(access(side->path, F_OK), -1); /* the socket file is gone */
    ferry_os_close(&side->irq);
}

static int ask(struct side *side, struct ferry_request *request)
{
    return ferry_client_call(side->client, request);
}

static void write_reg(struct side *side, uint32_t region, uint64_t off, uint64_t value,
                      uint32_t count)
{
    uint8_t data[8];
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };

    ferry_store_le64(data, value);
    request.u.io = (struct ferry_region_io){
        .index = region, .off = off, .count = count, .data = data
    };
    assert_int_equal(ask(side, &request), FERRY_OK);
}

static uint64_t read_count(struct side *side)
{
    uint8_t data[8];
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };

    request.u.io = (struct ferry_region_io){ .index = 0, .count = 8, .data = data };
    assert_int_equal(ask(side, &request), FERRY_OK);
    return ferry_load_le64(data);
}

static void set_state(struct side *side, uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE };

    request.u.state = state;
    assert_int_equal(ask(side, &request), FERRY_OK);
}

/* What the user controls: memory, bus master, interrupt. */
static void plug_in(struct side *side, int memory)
{
    struct ferry_request map = { .kind = FERRY_RQ_DMA_MAP };
    struct ferry_request irqs = { .kind = FERRY_RQ_SET_IRQS };

    map.u.map = (struct ferry_dma_map){ .iova = GUEST_IOVA,
                                        .size = GUEST_BYTES,
                                        .fd = memory,
                                        .flags = FERRY_DMA_READ | FERRY_DMA_WRITE };
    assert_int_equal(ask(side, &map), FERRY_OK);
    irqs.u.irq_set = (struct ferry_irq_set){
        .flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER,
        .index = 2,
        .count = 1,
        .fds = &side->irq,
        .fd_count = 1,
    };
    assert_int_equal(ask(side, &irqs), FERRY_OK);
    write_reg(side, FERRY_REGION_CONFIG, 4, 6, 2);
}

static void wait_irq(struct side *side)
{
    struct pollfd poller = { .fd = side->irq, .events = POLLIN };

    assert_int_equal(poll(&poller, 1, 5000), 1);
    assert_int_equal(ferry_os_eventfd_drain(side->irq, NULL), FERRY_OK);
}

/* Appends what the device gives until it is dry or at its end. */
static uint64_t save(struct side *side, uint8_t *data, uint64_t cap)
{
    uint64_t total = 0;

    for (;;) {
        struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
        int status;

        request.u.data =
            (struct ferry_data_io){ .data = data + total, .size = cap - total };
        status = ask(side, &request);
        if (status == FERRY_E_DRY || (status == FERRY_OK && request.u.data.got == 0)) {
            return total;
        }
        assert_int_equal(status, FERRY_OK);
        total += request.u.data.got;
    }
}

static void load(struct side *side, uint8_t *data, uint64_t size)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };

    request.u.data = (struct ferry_data_io){ .data = data, .size = size };
    assert_int_equal(ask(side, &request), FERRY_OK);
}

static void check_log(struct side *side)
{
    uint64_t bitmap = 0;
    struct ferry_request report = { .kind = FERRY_RQ_LOG_REPORT };

    report.u.log_report = (struct ferry_log_report){ .iova = GUEST_IOVA,
                                                     .length = GUEST_BYTES,
                                                     .page_size = 4096,
                                                     .bitmap = &bitmap,
                                                     .bitmap_bytes = 8 };
    assert_int_equal(ask(side, &report), FERRY_OK);
    assert_int_equal(bitmap, 2); /* the page that holds the count */
}

static void the_example_counts_on_after_a_move(void **state)
{
    struct side from = { .irq = -1 }, to = { .irq = -1 };
    struct ferry_request log = { .kind = FERRY_RQ_LOG_START };
    struct ferry_os_map guest = { 0 };
    uint8_t data[1024];
    uint64_t early, total;
    int memory = -1;

    (void)state;
    assert_int_equal(ferry_os_memfd_create("guest", GUEST_BYTES, &memory), FERRY_OK);
    assert_int_equal(ferry_os_map_shared(memory, 0, GUEST_BYTES, 3, &guest, NULL),
                     FERRY_OK);
    start(&from, "from");
    start(&to, "to");

    plug_in(&from, memory);
    log.u.log_start.page_size = 4096;
    assert_int_equal(ask(&from, &log), FERRY_OK);
    write_reg(&from, 0, 0x10, GUEST_IOVA + GUEST_OFF, 8);
    write_reg(&from, 0, 0x08, 5, 4);
    wait_irq(&from);
    assert_int_equal(ferry_load_le64((uint8_t *)guest.data + GUEST_OFF), 5);
    check_log(&from);

    set_state(&from, FERRY_STATE_PRE_COPY);
    early = save(&from, data, sizeof(data));
    assert_true(early > 0);
    set_state(&to, FERRY_STATE_RESUMING);
    load(&to, data, early);
    set_state(&from, FERRY_STATE_PRE_COPY_P2P);
    write_reg(&from, 0, 0x08, 7, 4); /* while it is quiet */
    set_state(&from, FERRY_STATE_STOP_COPY);
    total = early + save(&from, data + early, sizeof(data) - early);
    assert_int_equal(ferry_load_le64((uint8_t *)guest.data + GUEST_OFF), 5);

    load(&to, data + early, total - early);
    set_state(&to, FERRY_STATE_STOP);
    plug_in(&to, memory);
    set_state(&to, FERRY_STATE_RUNNING);
    wait_irq(&to);
    assert_int_equal(ferry_load_le64((uint8_t *)guest.data + GUEST_OFF), 12);
    assert_int_equal(read_count(&to), 12);

    end(&from);
    end(&to);
    ferry_os_unmap(&guest);
    ferry_os_close(&memory);
}

static void a_second_server_at_the_same_path_is_refused(void **state)
{
    struct side side = { .irq = -1 };
    char path[64], exe[512];
    char *const args[] = { exe, path, NULL };
    char *const environment[] = { NULL };
    pid_t pid = -1;
    int status = -1;

    (void)state;
    start(&side, "twice");
    snprintf(exe, sizeof(exe), "%s", program);
    memcpy(path, side.path, sizeof(path));
    assert_int_equal(posix_spawn(&pid, program, NULL, NULL, args, environment), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(read_count(&side), 0); /* the first one is served on */
    end(&side);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_counts_on_after_a_move),
        cmocka_unit_test(a_second_server_at_the_same_path_is_refused),
    };
    int failed;

    if (argc != 2 || mkdtemp(folder) == NULL) {
        return 2;
    }
    program = argv[1];
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(folder);
    return failed;
}
