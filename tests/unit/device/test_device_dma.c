/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* memfd_create */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/guard.h"
#include "os/memory.h"
#include "test_device_toy.h"

#define RW (FERRY_DMA_READ | FERRY_DMA_WRITE)
#define PAGE 4096ull

/* cmocka takes SIGBUS for itself in each test; the guard's handler is kept from main().
 */
static struct sigaction guard;

static int setup(void **state)
{
    struct toy *toy = toy_new(FERRY_MIG_STOP_COPY | FERRY_MIG_P2P, 0);

    toy_bus_master(toy);
    *state = toy;
    return 0;
}

static int teardown(void **state)
{
    toy_free(*state);
    return 0;
}

static void malformed_maps_are_refused(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(4 * PAGE);

    assert_int_equal(toy_map(toy, 0, 0, 0, fd, RW), FERRY_E_ARGUMENT);
    assert_int_equal(toy_map(toy, 0, PAGE, 0, fd, 0), FERRY_E_ARGUMENT);
    assert_int_equal(toy_map(toy, 0, PAGE, 0, fd, 4), FERRY_E_ARGUMENT);
    assert_int_equal(toy_map(toy, 1, PAGE, 0, fd, RW), FERRY_E_ALIGN);
    assert_int_equal(toy_map(toy, 0, PAGE + 512, 0, fd, RW), FERRY_E_ALIGN);
    assert_int_equal(toy_map(toy, 0, PAGE, 2048, fd, RW), FERRY_E_ALIGN);
    assert_int_equal(toy_map(toy, 0ull - PAGE, 2 * PAGE, 0, -1, RW), FERRY_E_RANGE);
    assert_int_equal(toy_map(toy, 0, 2 * PAGE, 0ull - PAGE, fd, RW), FERRY_E_RANGE);
    assert_int_equal(toy_map(toy, 0, 5 * PAGE, 0, fd, RW), FERRY_E_RANGE);
    assert_int_equal(toy_map(toy, 0, PAGE, 4 * PAGE, fd, RW), FERRY_E_RANGE);
    assert_int_equal(toy_unmap(toy, 0, PAGE), FERRY_E_NOT_FOUND);
    close(fd);
}

static void overlaps_are_told_from_the_same_map(void **state)
{
    struct toy *toy = *state;

    assert_int_equal(toy_map(toy, 8 * PAGE, 4 * PAGE, 0, -1, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, 16 * PAGE, PAGE, 0, -1, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, 8 * PAGE, 4 * PAGE, 0, -1, RW), FERRY_E_EXISTS);
    assert_int_equal(toy_map(toy, 7 * PAGE, 2 * PAGE, 0, -1, RW), FERRY_E_OVERLAP);
    assert_int_equal(toy_map(toy, 9 * PAGE, PAGE, 0, -1, RW), FERRY_E_OVERLAP);
    assert_int_equal(toy_map(toy, 11 * PAGE, 2 * PAGE, 0, -1, RW), FERRY_E_OVERLAP);
    assert_int_equal(toy_map(toy, 0, 64 * PAGE, 0, -1, RW), FERRY_E_OVERLAP);
    assert_int_equal(toy_map(toy, 12 * PAGE, 4 * PAGE, 0, -1, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, 7 * PAGE, PAGE, 0, -1, RW), FERRY_OK);
}

static void unmaps_take_whole_maps_only(void **state)
{
    struct toy *toy = *state;
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };

    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(toy_map(toy, (10 + 2 * i) * PAGE, 2 * PAGE, 0, -1, RW),
                         FERRY_OK);
    }
    assert_int_equal(toy_unmap(toy, 11 * PAGE, 3 * PAGE), FERRY_E_RANGE);
    assert_int_equal(toy_unmap(toy, 10 * PAGE, 3 * PAGE), FERRY_E_RANGE);
    assert_int_equal(toy_unmap(toy, 10 * PAGE, 0), FERRY_E_RANGE);
    assert_int_equal(toy_unmap(toy, 10 * PAGE, 0ull - PAGE), FERRY_E_RANGE);
    assert_int_equal(toy_unmap(toy, 9 * PAGE, 3 * PAGE), FERRY_OK); /* a hole in front */
    assert_int_equal(toy_unmap(toy, 10 * PAGE, 2 * PAGE), FERRY_E_NOT_FOUND);
    assert_int_equal(toy_unmap(toy, 12 * PAGE, 4 * PAGE), FERRY_OK); /* two at once */
    request.u.unmap.flags = FERRY_UNMAP_ALL;
    request.u.unmap.iova = PAGE;
    assert_int_equal(toy_ask(toy, &request), FERRY_E_ARGUMENT);
    request.u.unmap.iova = 0;
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(toy_map(toy, 0, 64 * PAGE, 0, -1, RW), FERRY_OK);
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(toy_ask(toy, &request), FERRY_OK); /* nothing there: nothing to do */
}

static void transfers_cross_maps_but_no_hole(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(8 * PAGE);
    struct ferry_os_map view = { 0 };
    uint8_t out[3 * PAGE], in[3 * PAGE];

    assert_int_equal(ferry_os_map_shared(fd, 0, 8 * PAGE, 3, &view, NULL), FERRY_OK);
    assert_int_equal(toy_map(toy, 4 * PAGE, PAGE, 6 * PAGE, fd, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, 5 * PAGE, 2 * PAGE, 2 * PAGE, fd, RW), FERRY_OK);
    for (size_t i = 0; i < sizeof(out); i++) {
        out[i] = (uint8_t)(i * 7 + i / 256);
    }
    assert_int_equal(ferry_dma_write(toy->device, 4 * PAGE + 5, out, 2 * PAGE), FERRY_OK);
    assert_int_equal(ferry_dma_read(toy->device, 4 * PAGE + 5, in, 2 * PAGE), FERRY_OK);
    assert_memory_equal(in, out, 2 * PAGE);
    assert_memory_equal((uint8_t *)view.data + 6 * PAGE + 5, out, PAGE - 5);
    assert_memory_equal((uint8_t *)view.data + 2 * PAGE, out + PAGE - 5, PAGE + 5);
    assert_int_equal(ferry_dma_write(toy->device, 4 * PAGE, out, 3 * PAGE + 1),
                     FERRY_E_RANGE);
    assert_int_equal(ferry_dma_read(toy->device, 4 * PAGE - 1, in, 2), FERRY_E_RANGE);
    assert_int_equal(ferry_dma_read(toy->device, UINT64_MAX, in, 2), FERRY_E_RANGE);
    assert_int_equal(ferry_dma_read(toy->device, 7 * PAGE, in, 1), FERRY_E_RANGE);
    ferry_os_unmap(&view);
    close(fd);
}

static void permissions_and_bus_master_hold(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(2 * PAGE);
    struct ferry_dma_segment segment;
    uint8_t data[4] = { 0 };

    assert_int_equal(toy_map(toy, 0, PAGE, 0, fd, FERRY_DMA_READ), FERRY_OK);
    assert_int_equal(toy_map(toy, PAGE, PAGE, PAGE, fd, FERRY_DMA_WRITE), FERRY_OK);
    assert_int_equal(ferry_dma_read(toy->device, 0, data, 4), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 0, data, 4), FERRY_E_RANGE);
    assert_int_equal(ferry_dma_write(toy->device, PAGE, data, 4), FERRY_OK);
    assert_int_equal(ferry_dma_read(toy->device, PAGE, data, 4), FERRY_E_RANGE);
    assert_int_equal(ferry_dma_get(toy->device, 0, PAGE, 1, &segment), FERRY_E_RANGE);
    assert_int_equal(ferry_dma_get(toy->device, 0, 0, 0, &segment), FERRY_E_RANGE);
    assert_int_equal(toy_write32(toy, FERRY_REGION_CONFIG, 4, 0), FERRY_OK);
    assert_int_equal(ferry_dma_read(toy->device, 0, data, 4), FERRY_E_STATE);
    assert_int_equal(ferry_dma_get(toy->device, 0, PAGE, 0, &segment), FERRY_E_STATE);
    close(fd);
}

static void memory_without_a_descriptor_goes_by_message(void **state)
{
    struct toy *toy = *state;
    struct ferry_dma_segment segment;
    uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, back[8];

    assert_int_equal(toy_map(toy, TOY_PORT_IOVA, TOY_PORT_BYTES, 0, -1, RW), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, TOY_PORT_IOVA + 100, data, 8),
                     FERRY_OK);
    assert_memory_equal(toy->message_memory + 100, data, 8);
    assert_int_equal(ferry_dma_read(toy->device, TOY_PORT_IOVA + 100, back, 8), FERRY_OK);
    assert_memory_equal(back, data, 8);
    assert_int_equal(toy->message_count, 2);
    assert_int_equal(ferry_dma_get(toy->device, TOY_PORT_IOVA, 8, 0, &segment),
                     FERRY_E_UNSUPPORTED);
}

static void a_file_that_shrinks_is_an_error_and_no_crash(void **state)
{
    struct toy *toy = *state;
    char path[] = "/tmp/ferry-test-XXXXXX";
    const int fd = mkstemp(path);
    struct ferry_dma_segment segment;
    uint8_t data[16] = { 0 };

    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ftruncate(fd, 4 * (off_t)PAGE), 0);
    assert_int_equal(toy_map(toy, 0, 4 * PAGE, 0, fd, RW), FERRY_OK);
    /* The author's own accesses to it would end the process. */
    assert_int_equal(ferry_dma_get(toy->device, 0, 16, 0, &segment), FERRY_E_UNSUPPORTED);
    assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
    assert_int_equal(sigaction(SIGBUS, &guard, NULL), 0);
    assert_int_equal(ferry_dma_write(toy->device, 0, data, 16), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 2 * PAGE, data, 16), FERRY_E_IO);
    assert_int_equal(ferry_dma_read(toy->device, 3 * PAGE, data, 16), FERRY_E_IO);
    close(fd);
}

static void an_unmap_waits_for_the_segment(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(4 * PAGE);
    struct ferry_dma_segment segment;
    struct ferry_request unmap = { .kind = FERRY_RQ_DMA_UNMAP }, again = unmap;
    uint8_t byte = 0;

    assert_int_equal(toy_map(toy, 0, 2 * PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, 8 * PAGE, 2 * PAGE, 2 * PAGE, fd, RW), FERRY_OK);
    assert_int_equal(ferry_dma_get(toy->device, PAGE, 4 * PAGE, 1, &segment), FERRY_OK);
    assert_int_equal(segment.size, PAGE);
    unmap.u.unmap.size = 16 * PAGE;
    again.u.unmap.size = 2 * PAGE;
    assert_int_equal(toy_start(toy, &unmap), FERRY_PENDING);
    toy_work(toy);
    assert_false(toy_over(&unmap));
    memset(segment.address, 1, segment.size); /* still there */
    assert_int_equal(toy_start(toy, &again), FERRY_E_BUSY);
    assert_int_equal(ferry_dma_read(toy->device, 0, &byte, 1), FERRY_E_RANGE);
    assert_int_equal(toy_map(toy, 0, PAGE, 0, fd, RW), FERRY_E_OVERLAP);
    ferry_dma_put(toy->device, &segment, 0);
    assert_false(toy_over(&unmap)); /* never from within the author's call */
    toy_work(toy);
    assert_true(toy_over(&unmap));
    assert_int_equal(unmap.status, FERRY_OK);
    assert_int_equal(toy_map(toy, 0, 16 * PAGE, 0, -1, RW), FERRY_OK);
    close(fd);
}

static void an_author_may_delay_an_unmap(void **state)
{
    struct toy *toy = *state;

    assert_int_equal(toy_map(toy, 0, PAGE, 0, -1, RW), FERRY_OK);
    toy->unmaps_pending = 1;
    assert_int_equal(toy_unmap(toy, 0, PAGE), FERRY_OK);
    assert_int_equal(toy->unmaps_pending, 0);
    assert_int_equal(toy_unmap(toy, 0, PAGE), FERRY_E_NOT_FOUND);
}

struct putter {
    struct toy *toy;
    struct ferry_dma_segment segment;
};

static void *put_later(void *user)
{
    struct putter *putter = user;

    memset(putter->segment.address, 0x55, 16);
    ferry_dma_put(putter->toy->device, &putter->segment, 16);
    return NULL;
}

static void a_put_of_another_thread_wakes_the_loop(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(PAGE), wake = toy->endpoint->ops->wake_fd(toy->endpoint);
    struct putter putter = { .toy = toy };
    struct ferry_request stop = { .kind = FERRY_RQ_SET_STATE };
    pthread_t thread;
    fd_set set;

    assert_int_equal(toy_map(toy, 0, PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(ferry_dma_get(toy->device, 0, PAGE, 1, &putter.segment), FERRY_OK);
    stop.u.state = FERRY_STATE_RUNNING_P2P;
    assert_int_equal(toy_start(toy, &stop), FERRY_PENDING);
    toy_work(toy);
    assert_false(toy_over(&stop));
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_RUNNING);
    assert_int_equal(pthread_create(&thread, NULL, put_later, &putter), 0);
    FD_ZERO(&set);
    FD_SET(wake, &set);
    assert_int_equal(
        select(wake + 1, &set, NULL, NULL, &(struct timeval){ .tv_sec = 10 }), 1);
    toy_work(toy);
    assert_true(toy_over(&stop));
    assert_int_equal(stop.status, FERRY_OK);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_RUNNING_P2P);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(fd);
}

/* Mappings of files with this name that the process has. */
static uint32_t mappings_of(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    uint32_t count = 0;
    char line[512];

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        count += strstr(line, name) != NULL;
    }
    (void)fclose(maps);
    return count;
}

static uint64_t place_of(uint64_t i, uint64_t count)
{
    return (i * 40503 + 9999) % count;
}

/* vm.max_map_count is 65530. */
static void a_file_in_65536_pieces_is_one_mapping(void **state)
{
    const uint64_t count = 65536;
    struct toy *toy = *state;
    uint32_t value;
    int fd = -1;

    assert_int_equal(ferry_os_memfd_create("pieces", count * PAGE, &fd), FERRY_OK);
    /* Neighbours in the address space are apart in the file. Some maps come and go in no
     * order; all would move the table often, which takes long with checked memory. */
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t at = i < 2048 ? i * 31 % 2048 : i;

        assert_int_equal(
            toy_map(toy, 2 * at * PAGE, PAGE, place_of(at, count) * PAGE, fd, RW),
            FERRY_OK);
    }
    assert_int_equal(mappings_of("memfd:pieces"), 1);
    for (uint32_t i = 0; i < count; i += 4099) {
        assert_int_equal(ferry_dma_write(toy->device, 2 * i * PAGE + 8, &i, 4), FERRY_OK);
        assert_int_equal(pread(fd, &value, 4, (off_t)(place_of(i, count) * PAGE + 8)), 4);
        assert_int_equal(value, i);
    }
    for (uint64_t i = count; i > 2048; i--) {
        assert_int_equal(toy_unmap(toy, 2 * (i - 1) * PAGE, PAGE), FERRY_OK);
    }
    for (uint64_t i = 0; i < 2048; i++) {
        if (i % 256 == 255) {
            assert_int_equal(mappings_of("memfd:pieces"), 1);
        }
        assert_int_equal(toy_unmap(toy, 2 * (i * 45 % 2048) * PAGE, PAGE), FERRY_OK);
    }
    assert_int_equal(mappings_of("memfd:pieces"), 0);
    close(fd);
}

static void files_and_kinds_of_access_are_not_mixed_up(void **state)
{
    struct toy *toy = *state;
    const int one = toy_memfd(4 * PAGE), two = toy_memfd(4 * PAGE);
    char path[64], byte = 0;
    int weak;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", one);
    weak = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(weak >= 0);
    assert_int_equal(toy_map(toy, 0, PAGE, 0, one, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, PAGE, PAGE, 0, two, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, 2 * PAGE, PAGE, PAGE, weak, FERRY_DMA_READ), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 0, "1", 1), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, PAGE, "2", 1), FERRY_OK);
    assert_true(pread(one, &byte, 1, 0) == 1 && byte == '1');
    assert_true(pread(two, &byte, 1, 0) == 1 && byte == '2');
    assert_int_equal(ferry_dma_write(toy->device, 2 * PAGE, "3", 1), FERRY_E_RANGE);
    assert_int_equal(pwrite(one, "4", 1, (off_t)PAGE), 1);
    assert_int_equal(ferry_dma_read(toy->device, 2 * PAGE, &byte, 1), FERRY_OK);
    assert_int_equal(byte, '4');
    close(weak);
    close(one);
    close(two);
}

/* More files than the table of windows has places. */
/* The window that a better descriptor opened is no way in for a worse one. */
static void a_descriptor_gives_no_more_than_it_may(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(4 * PAGE);
    char path[64];
    int worse[2];
    uint8_t byte = 7;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    worse[0] = open(path, O_RDONLY | O_CLOEXEC);
    worse[1] = open(path, O_PATH | O_CLOEXEC);
    assert_true(worse[0] >= 0 && worse[1] >= 0);
    assert_int_equal(toy_map(toy, 0, 4 * PAGE, 0, worse[0], RW), FERRY_E_PERMISSION);
    assert_int_equal(toy_map(toy, 0, 4 * PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, 8 * PAGE, PAGE, 0, fd, FERRY_DMA_READ), FERRY_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_not_equal(toy_map(toy, 16 * PAGE, PAGE, 0, worse[i], RW), FERRY_OK);
    }
    assert_int_not_equal(toy_map(toy, 16 * PAGE, PAGE, 0, worse[1], FERRY_DMA_READ),
                         FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 16 * PAGE, &byte, 1), FERRY_E_RANGE);
    assert_int_equal(toy_map(toy, 16 * PAGE, PAGE, 0, worse[0], FERRY_DMA_READ),
                     FERRY_OK);
    close(worse[0]);
    worse[0] = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(worse[0] >= 0);
    assert_int_equal(toy_map(toy, 24 * PAGE, PAGE, 0, worse[0], FERRY_DMA_READ),
                     FERRY_E_PERMISSION);
    assert_int_equal(toy_map(toy, 24 * PAGE, PAGE, 0, worse[0], RW), FERRY_E_PERMISSION);
    close(worse[0]);
    close(worse[1]);
    close(fd);
}

static void many_files_are_told_apart(void **state)
{
    enum { FILES = 600 };
    struct toy *toy = *state;
    static int fd[FILES];
    uint32_t value;

    for (uint32_t i = 0; i < FILES; i++) {
        fd[i] = toy_memfd(PAGE);
        assert_int_equal(toy_map(toy, i * PAGE, PAGE, 0, fd[i], RW), FERRY_OK);
    }
    for (uint32_t i = 0; i < FILES; i++) {
        assert_int_equal(ferry_dma_write(toy->device, i * PAGE, &i, 4), FERRY_OK);
    }
    for (uint32_t i = 0; i < FILES; i++) {
        assert_int_equal(pread(fd[i], &value, 4, 0), 4);
        assert_int_equal(value, i);
        close(fd[i]);
    }
    for (uint32_t i = 0; i < FILES; i += 2) {
        assert_int_equal(toy_unmap(toy, i * PAGE, PAGE), FERRY_OK);
    }
    for (uint32_t i = 1; i < FILES; i += 2) {
        assert_int_equal(ferry_dma_read(toy->device, i * PAGE, &value, 4), FERRY_OK);
        assert_int_equal(value, i);
    }
}

/* One window, and the file below it changes its length from map to map. */
static void each_map_looks_at_the_files_length_anew(void **state)
{
    struct toy *toy = *state;
    const int fd = memfd_create("length", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct ferry_dma_segment segment;
    char byte = 0;

    assert_int_equal(ftruncate(fd, 4 * (off_t)PAGE), 0);
    assert_int_equal(toy_map(toy, 0, PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, PAGE, PAGE, 4 * PAGE, fd, RW), FERRY_E_RANGE);
    assert_int_equal(ftruncate(fd, 2 * (off_t)PAGE), 0);
    /* Inside the window, but not of the file any more. */
    assert_int_equal(toy_map(toy, PAGE, PAGE, 2 * PAGE, fd, RW), FERRY_E_RANGE);
    assert_int_equal(toy_map(toy, PAGE, PAGE, PAGE, fd, RW), FERRY_OK);
    assert_int_equal(ferry_dma_get(toy->device, PAGE, 1, 1, &segment),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
    assert_int_equal(sigaction(SIGBUS, &guard, NULL), 0);
    assert_int_equal(ferry_dma_write(toy->device, PAGE, "x", 1), FERRY_E_IO);
    assert_int_equal(ftruncate(fd, 8 * (off_t)PAGE), 0);
    assert_int_equal(ferry_dma_write(toy->device, PAGE, "x", 1), FERRY_OK);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    /* Past the first window, and sealed by now. */
    assert_int_equal(toy_map(toy, 2 * PAGE, 2 * PAGE, 3 * PAGE, fd, RW), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 3 * PAGE, "y", 1), FERRY_OK);
    assert_true(pread(fd, &byte, 1, 4 * (off_t)PAGE) == 1 && byte == 'y');
    assert_int_equal(ferry_dma_get(toy->device, 2 * PAGE, 1, 1, &segment), FERRY_OK);
    ferry_dma_put(toy->device, &segment, 0);
    assert_int_equal(toy_map(toy, 4 * PAGE, PAGE, 7 * PAGE, fd, RW), FERRY_OK);
    assert_int_equal(ferry_dma_get(toy->device, 4 * PAGE, 1, 1, &segment), FERRY_OK);
    ferry_dma_put(toy->device, &segment, 0);
    assert_int_equal(toy_map(toy, 5 * PAGE, PAGE, 8 * PAGE, fd, RW), FERRY_E_RANGE);
    close(fd);
}

static void the_table_has_a_named_end(void **state)
{
    struct toy *toy = *state;
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };
    uint64_t i;

    for (i = 0; i < 131072; i++) {
        assert_int_equal(toy_map(toy, i * 2 * PAGE, PAGE, 0, -1, RW), FERRY_OK);
    }
    assert_int_equal(toy_map(toy, i * 2 * PAGE, PAGE, 0, -1, RW), FERRY_E_LIMIT);
    assert_int_equal(toy_unmap(toy, 1000 * 2 * PAGE, PAGE), FERRY_OK);
    assert_int_equal(toy_map(toy, i * 2 * PAGE, PAGE, 0, -1, RW), FERRY_OK);
    request.u.unmap.flags = FERRY_UNMAP_ALL;
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(toy_unmap(toy, 0, PAGE), FERRY_E_NOT_FOUND);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(malformed_maps_are_refused),
        TEST(overlaps_are_told_from_the_same_map),
        TEST(unmaps_take_whole_maps_only),
        TEST(transfers_cross_maps_but_no_hole),
        TEST(permissions_and_bus_master_hold),
        TEST(memory_without_a_descriptor_goes_by_message),
        TEST(a_file_that_shrinks_is_an_error_and_no_crash),
        TEST(an_unmap_waits_for_the_segment),
        TEST(an_author_may_delay_an_unmap),
        TEST(a_put_of_another_thread_wakes_the_loop),
        TEST(a_file_in_65536_pieces_is_one_mapping),
        TEST(files_and_kinds_of_access_are_not_mixed_up),
        TEST(a_descriptor_gives_no_more_than_it_may),
        TEST(many_files_are_told_apart),
        TEST(each_map_looks_at_the_files_length_anew),
        TEST(the_table_has_a_named_end),
    };

    if (ferry_os_guard_install() != FERRY_OK || sigaction(SIGBUS, NULL, &guard) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
