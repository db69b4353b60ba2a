/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plug-in for `ferry check': it has the counter of examples/device/counter.c work, so
 * that the checker sees whether work goes on over a stop, a save and a load.
 *
 *   counter /run/counter.sock &
 *   ferry check --driver ./counter_driver.so /run/counter.sock
 */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* <endian.h> */
#endif
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "ferry/check.h"

#define CONFIG_REGION 7u
#define CONFIG_COMMAND 4u
#define COMMAND_MEMORY_AND_MASTER 6u

/* The device's registers, in BAR0. */
#define REG_COUNT 0x00u
#define REG_ADD 0x08u
#define REG_ADDRESS 0x10u

#define VECTORS 1u
#define LIMIT_MS 2000u /* of one piece of work */

struct driver {
    struct ferry_check_device *device;
    const uint64_t *memory; /* where the device writes its count */
    uint64_t iova;          /* the same place, as the device sees it */
};

/* Vendor 1234, device 0c07: the device of the example. */
static int matches(const uint8_t *config)
{
    return config[0] == 0x34 && config[1] == 0x12 && config[2] == 0x07 &&
           config[3] == 0x0c;
}

static int set_up(struct driver *driver)
{
    const uint16_t command = htole16(COMMAND_MEMORY_AND_MASTER);
    const uint64_t address = htole64(driver->iova);
    int rc = ferry_check_region_write(driver->device, CONFIG_REGION, CONFIG_COMMAND,
                                      &command, sizeof(command));

    if (rc == FERRY_OK) {
        rc = ferry_check_irqs(driver->device, VECTORS);
    }
    return rc == FERRY_OK ? ferry_check_region_write(driver->device, 0, REG_ADDRESS,
                                                     &address, sizeof(address))
                          : rc;
}

static int start(struct ferry_check_device *device, void **ret_state,
                 struct ferry_error *reterr)
{
    struct driver *driver = calloc(1, sizeof(*driver));
    uint64_t bytes;
    int rc;

    if (driver == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "counter", NULL, 0, "no memory");
    }
    driver->device = device;
    driver->memory = ferry_check_memory(device, &driver->iova, &bytes);
    rc = set_up(driver);
    if (rc != FERRY_OK) {
        free(driver);
        return ferry_error_set(reterr, rc, "counter", NULL, 0, "cannot set it up: %s",
                               ferry_status_text(rc));
    }
    *ret_state = driver;
    return FERRY_OK;
}

static void stop(void *state)
{
    free(state);
}

/*
 * Rings the doorbell and waits for the interrupt that says that the count is written. It
 * is counted from what the device says: the checker may have loaded an older state.
 */
static int add(struct driver *driver, uint32_t value, struct ferry_error *reterr)
{
    const uint32_t written = htole32(value);
    uint64_t count = 0;
    int rc = ferry_check_region_read(driver->device, 0, REG_COUNT, &count, sizeof(count));

    count = le64toh(count) + value;
    if (rc == FERRY_OK) {
        rc = ferry_check_region_write(driver->device, 0, REG_ADD, &written,
                                      sizeof(written));
    }
    /* An interrupt may be that of work before this. */
    while (rc == FERRY_OK && le64toh(*driver->memory) != count) {
        rc = ferry_check_irq_wait(driver->device, 0, LIMIT_MS);
    }
    return rc == FERRY_OK
               ? FERRY_OK
               : ferry_error_set(reterr, rc, "counter", NULL, 0,
                                 "the count in memory is %llu, not %llu: %s",
                                 (unsigned long long)le64toh(*driver->memory),
                                 (unsigned long long)count, ferry_status_text(rc));
}

static int works(void *state, struct ferry_error *reterr)
{
    return add(state, 3, reterr);
}

/* Its count is what it saves. */
static int change(void *state, struct ferry_error *reterr)
{
    return add(state, 1, reterr);
}

/*
 * Without write(), begin() and settle(): the device writes eight bytes at a time, of
 * which most stay as they are, so it cannot fill a range with other bytes. Without
 * scratch(): it has no memory.
 */
static const struct ferry_check_driver counter_driver = {
    .struct_size = sizeof(counter_driver),
    .name = "counter",
    .matches = matches,
    .start = start,
    .stop = stop,
    .works = works,
    .change = change,
};

/* What the checker looks for. */
FERRY_PUBLIC const struct ferry_check_driver *ferry_check_driver(void);

const struct ferry_check_driver *ferry_check_driver(void)
{
    return &counter_driver;
}
