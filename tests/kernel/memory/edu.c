/* SPDX-License-Identifier: BSD-3-Clause */
#include "edu.h"

#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

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

#define TURN_NS 5000000
#define TURNS 2000

static uint64_t region_off(int fd, uint32_t index)
{
    struct uapi_region region = { .argsz = sizeof(region), .index = index };

    return ioctl(fd, UAPI_GET_REGION_INFO, &region) == 0 ? region.offset : UINT64_MAX;
}

uint64_t edu_bar0(int fd)
{
    return region_off(fd, 0);
}

int edu_start(int fd)
{
    const uint16_t command = COMMAND_MEMORY_MASTER;

    return pwrite(fd, &command, sizeof(command),
                  (off_t)region_off(fd, CONFIG_REGION) + COMMAND_OFF) == sizeof(command)
               ? 0
               : -1;
}

static int put(int fd, off_t off, uint64_t value)
{
    return pwrite(fd, &value, sizeof(value), (off_t)edu_bar0(fd) + off) == sizeof(value)
               ? 0
               : -1;
}

static int transfer(int fd, uint64_t from, uint64_t to, uint32_t bytes, uint64_t command)
{
    const struct timespec turn = { .tv_nsec = TURN_NS };

    if (put(fd, DMA_FROM_OFF, from) < 0 || put(fd, DMA_TO_OFF, to) < 0 ||
        put(fd, DMA_BYTES_OFF, bytes) < 0 || put(fd, DMA_COMMAND_OFF, command) < 0) {
        return -1;
    }
    for (int i = 0; i < TURNS; i++) {
        uint64_t now;

        if (pread(fd, &now, sizeof(now), (off_t)edu_bar0(fd) + DMA_COMMAND_OFF) !=
            sizeof(now)) {
            return -1;
        }
        if ((now & DMA_GO) == 0) {
            return 0;
        }
        (void)nanosleep(&turn, NULL);
    }
    return -1;
}

int edu_copy(int fd, uint64_t from_iova, uint64_t to_iova, uint32_t bytes)
{
    if (transfer(fd, from_iova, BUFFER, bytes, DMA_GO) < 0) {
        return -1;
    }
    return transfer(fd, BUFFER, to_iova, bytes, DMA_GO | DMA_OUT);
}
