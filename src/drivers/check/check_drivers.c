/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/check/check_drivers.h"

#include <sched.h>
#include <stddef.h>
#include <time.h>

#define SPIN_MS 2u

const struct ferry_check_driver *check_driver_find(const uint8_t *config)
{
    static const struct ferry_check_driver *const drivers[] = {
        &check_driver_copy, &check_driver_acc, &check_driver_nic, &check_driver_edu
    };

    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (drivers[i]->matches(config)) {
            return drivers[i];
        }
    }
    return NULL;
}

int check_driver_is(const uint8_t *config, uint16_t vendor, uint16_t device)
{
    return (config[0] | config[1] << 8) == vendor &&
           (config[2] | config[3] << 8) == device;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

int check_driver_wait(struct ferry_check_device *device, int (*done)(void *user),
                      void *user)
{
    const uint64_t begun = now_ms(), until = begun + CHECK_DRIVER_TIMEOUT_MS;
    int rc;

    do {
        rc = done(user);
        if (rc != 0) {
            return rc > 0 ? FERRY_OK : rc;
        }
        (void)sched_yield(); /* to a device in another thread */
        rc = ferry_check_turn(device, now_ms() - begun < SPIN_MS ? 0 : 1);
    } while (rc == FERRY_OK && now_ms() < until);
    if (rc == FERRY_OK) {
        rc = done(user);
        return rc > 0 ? FERRY_OK : rc < 0 ? rc : FERRY_E_TIMEOUT;
    }
    return rc;
}
