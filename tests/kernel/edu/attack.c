/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a user who means no good does to the reference driver: the kernel has to be whole
 * afterwards.
 *
 * usage: edu_attack ATTACK /dev/vfio/devices/vfioN
 *   head         a record's head that was refused, and then a megabyte (defect `sticky`)
 *   page-tables  takes the page tables away while the buffer is saved (scratch_iova)
 *   threads      states, resets, reads, writes, page tables and transfers to memory at
 * once threads-in   the same with transfers to the device's buffer (scratch_iova) Exit:
 * 0; 1 with what did not hold on standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "os/uapi/iommufd.h"
#include "os/uapi/precopy.h"
#include "os/uapi/vfio.h"

#define CONFIG_REGION 7u
#define COMMAND_OFF 4
#define COMMAND_MEMORY_MASTER 6u
#define DMA_FROM_OFF 0x80
#define DMA_TO_OFF 0x88
#define DMA_BYTES_OFF 0x90
#define DMA_COMMAND_OFF 0x98
#define DMA_GO 1u
#define DMA_OUT 2u /* from the device to memory */
#define BUFFER 0x40000u

#define IOVA 0x100000u
#define PAGES 16u
#define PAGE 4096u
#define MANY_BYTES (1u << 20)
#define SECONDS 6

enum { STOP = 1, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P };

struct user {
    int fd, iommu;
    uint32_t ioas;
    uint64_t bar, config;
    int out;          /* transfers go to memory */
    atomic_int data;  /* the last data descriptor; -1: none */
    atomic_int ended; /* the time is over */
    atomic_uint works[8];
};

static struct user user = { .data = -1 };

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

static void check(int holds, const char *what, int line)
{
    if (!holds) {
        fprintf(stderr, "attack.c:%d: does not hold: %s (%s)\n", line, what,
                strerror(errno));
        exit(1);
    }
}

static uint64_t region(uint32_t index)
{
    struct uapi_region info = { .argsz = sizeof(info), .index = index };

    CHECK(ioctl(user.fd, UAPI_GET_REGION_INFO, &info) == 0);
    return info.offset;
}

static int attach(void)
{
    /* What Linux before 6.14 has ends before the PASID. */
    struct uapi_attach wanted = { .argsz = 12, .pt_id = user.ioas };

    return ioctl(user.fd, UAPI_ATTACH, &wanted);
}

static int detach(void)
{
    struct uapi_detach wanted = { .argsz = 8 };

    return ioctl(user.fd, UAPI_DETACH, &wanted);
}

static void open_device(const char *path)
{
    struct uapi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
    struct uapi_bind bind = { .argsz = 16 };
    struct uapi_iommu_ioas_map map = { .size = sizeof(map), .flags = 7, .iova = IOVA };
    uint16_t command = COMMAND_MEMORY_MASTER;
    void *ram = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(ram != MAP_FAILED);
    memset(ram, 0x77, PAGES * PAGE);
    CHECK((user.iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC)) >= 0);
    CHECK((user.fd = open(path, O_RDWR | O_CLOEXEC)) >= 0);
    bind.iommufd = user.iommu;
    CHECK(ioctl(user.fd, UAPI_BIND, &bind) == 0);
    CHECK(ioctl(user.iommu, UAPI_IOMMU_IOAS_ALLOC, &alloc) == 0);
    user.ioas = alloc.out_ioas_id;
    map.ioas_id = user.ioas;
    map.user_va = (uintptr_t)ram;
    map.length = (uint64_t)PAGES * PAGE;
    CHECK(ioctl(user.iommu, UAPI_IOMMU_IOAS_MAP, &map) == 0);
    CHECK(attach() == 0);
    user.bar = region(0);
    user.config = region(CONFIG_REGION);
    CHECK(pwrite(user.fd, &command, sizeof(command), (off_t)user.config + COMMAND_OFF) ==
          sizeof(command));
}

/* Return: 0 or an errno; a data descriptor takes the place of the one before. */
static int set_state(uint32_t state)
{
    struct {
        struct uapi_feature head;
        struct uapi_mig_state state;
    } call = { .head = { .argsz = sizeof(call),
                         .flags = UAPI_MIG_STATE | UAPI_FEATURE_SET },
               .state = { .state = state, .data_fd = -1 } };
    int old;

    if (ioctl(user.fd, UAPI_FEATURE, &call) != 0) {
        return errno;
    }
    if (call.state.data_fd >= 0) {
        old = atomic_exchange(&user.data, call.state.data_fd);
        if (old >= 0) {
            (void)close(old);
        }
    }
    return 0;
}

static int put(uint64_t off, uint64_t value)
{
    return pwrite(user.fd, &value, sizeof(value), (off_t)(user.bar + off)) ==
           sizeof(value);
}

static void start_dma(int out)
{
    (void)(put(DMA_FROM_OFF, out ? BUFFER : IOVA) &&
           put(DMA_TO_OFF, out ? IOVA : BUFFER) && put(DMA_BYTES_OFF, 256) &&
           put(DMA_COMMAND_OFF, out ? DMA_GO | DMA_OUT : DMA_GO));
}

static void *in_thread(void *(*work)(void *), pthread_t *ret_thread, void *with)
{
    CHECK(pthread_create(ret_thread, NULL, work, with) == 0);
    return NULL;
}

/* --- head --- */

static void attack_head(void)
{
    const uint32_t head[4] = { 2, 0, UINT32_MAX - 64, 0 };
    char *many = malloc(MANY_BYTES);
    ssize_t done;

    CHECK(many != NULL);
    memset(many, 0xee, MANY_BYTES);
    CHECK(set_state(RESUMING) == 0);
    done = write(user.data, head, sizeof(head));
    CHECK(done < 0 && errno == EINVAL);
    for (int i = 0; i < 4; i++) {
        done = write(user.data, many, MANY_BYTES);
        CHECK(done < 0);
    }
    CHECK(set_state(STOP) != 0);
    CHECK(ioctl(user.fd, UAPI_RESET, 0) == 0);
    free(many);
}

/* --- page-tables --- */

static void *take_tables(void *unused)
{
    (void)unused;
    while (!user.ended) {
        CHECK(detach() == 0);
        CHECK(attach() == 0);
        user.works[0]++;
    }
    return NULL;
}

static void attack_tables(void)
{
    const struct timespec transfer = { .tv_nsec = 300000000 };
    const time_t until = time(NULL) + SECONDS;
    unsigned saved = 0;
    pthread_t thread;

    start_dma(0);
    (void)nanosleep(&transfer, NULL);
    in_thread(take_tables, &thread, NULL);
    while (time(NULL) < until) {
        const int rc = set_state(STOP_COPY);

        saved += rc == 0;
        (void)set_state(RUNNING);
    }
    user.ended = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    printf("page tables: %u times taken, %u states saved\n", user.works[0], saved);
    CHECK(user.works[0] > 0 && saved > 0);
}

/* --- threads --- */

static void *work_states(void *unused)
{
    static const uint32_t states[] = { PRE_COPY,     STOP_COPY, RUNNING, RESUMING,
                                       PRE_COPY_P2P, STOP,      RUNNING, RUNNING_P2P,
                                       RESUMING,     RUNNING,   PRE_COPY };

    (void)unused;
    for (unsigned i = 0; !user.ended; i++) {
        (void)set_state(states[i % (sizeof(states) / sizeof(*states))]);
        user.works[0]++;
    }
    return NULL;
}

static void *work_resets(void *unused)
{
    const struct timespec pause = { .tv_nsec = 100000000 };

    (void)unused;
    while (!user.ended) {
        user.works[1] += ioctl(user.fd, UAPI_RESET, 0) == 0;
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void *work_data(void *unused)
{
    struct uapi_precopy_info info = { .argsz = sizeof(info) };
    char bytes[600];

    (void)unused;
    while (!user.ended) {
        struct pollfd wait = { .fd = user.data, .events = POLLIN | POLLOUT };

        (void)poll(&wait, 1, 1);
        user.works[2] += read(user.data, bytes, sizeof(bytes)) > 0;
        user.works[3] += write(user.data, bytes, 64) > 0;
        user.works[4] += ioctl(user.data, UAPI_MIG_GET_PRECOPY_INFO, &info) == 0;
    }
    return NULL;
}

static void *work_device(void *unused)
{
    (void)unused;
    while (!user.ended) {
        start_dma(user.out);
        user.works[5]++;
    }
    return NULL;
}

static void attack_all(int out)
{
    void *(*const works[])(void *) = { work_states, work_resets, work_data, work_data,
                                       work_device };
    enum { COUNT = sizeof(works) / sizeof(*works) };
    pthread_t threads[COUNT];

    user.out = out;
    for (unsigned i = 0; i < COUNT; i++) {
        in_thread(works[i], &threads[i], NULL);
    }
    (void)sleep(SECONDS);
    user.ended = 1;
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    printf("threads: %u states, %u resets, %u reads, %u writes, %u infos, %u transfers\n",
           user.works[0], user.works[1], user.works[2], user.works[3], user.works[4],
           user.works[5]);
    CHECK(user.works[0] > 0 && user.works[1] > 0 && user.works[2] > 0 &&
          user.works[5] > 0);
    CHECK(ioctl(user.fd, UAPI_RESET, 0) == 0);
    CHECK(set_state(STOP_COPY) == 0);
    CHECK(read(user.data, &(char){ 0 }, 1) == 1);
}

static void attack_threads(void)
{
    attack_all(1);
}

static void attack_threads_in(void)
{
    attack_all(0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } attacks[] = {
        { "head", attack_head },
        { "page-tables", attack_tables },
        { "threads", attack_threads },
        { "threads-in", attack_threads_in },
    };

    for (unsigned i = 0; argc == 3 && i < sizeof(attacks) / sizeof(*attacks); i++) {
        if (strcmp(argv[1], attacks[i].name) == 0) {
            open_device(argv[2]);
            attacks[i].run();
            return 0;
        }
    }
    fprintf(stderr, "usage: edu_attack head|page-tables|threads|threads-in DEVICE\n");
    return 2;
}
