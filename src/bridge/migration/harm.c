/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "bridge/migration/inside.h"
#include "bridge/say.h"
#include "os/clock.h"
#include "os/socket.h"

/*
 * QEMU recovers from a failed migration with its guest standing still, ignores an alarm
 * meanwhile, and starts the guest without a word to a device that it believes to be in
 * RUNNING. So the alarm is repeated: at first often, then for as long as the guest stands
 * still, since whoever has stopped it may start it at any time.
 */
#define ALARM_STEP_MS 250u
#define ALARM_STEPS 40u
#define ALARM_LATE_STEP_MS 5000u

int bridge_harm_shows(struct bridge_migration *migration, uint32_t reached)
{
    if (migration->harm == BRIDGE_HARM_NONE) {
        return 0;
    }
    if (reached == FERRY_STATE_RUNNING) {
        migration->harm = BRIDGE_HARM_TOLD;
        return 1;
    }
    if (migration->harm == BRIDGE_HARM_TOLD &&
        (reached == FERRY_STATE_STOP || reached == FERRY_STATE_STOP_COPY)) {
        migration->harm = BRIDGE_HARM_NONE;
    }
    return 0;
}

static void *repeat(void *arg)
{
    struct bridge_migration *migration = arg;
    uint32_t step;
    int over = 0;

    for (step = 0; !over; step++) {
        (void)ferry_os_poll(-1, FERRY_OS_POLL_READ,
                            step < ALARM_STEPS ? ALARM_STEP_MS : ALARM_LATE_STEP_MS);
        pthread_mutex_lock(&migration->lock);
        over = !migration->device || migration->harm == BRIDGE_HARM_NONE;
        if (over) {
            migration->alarming = 0;
        } else {
            bridge_device_alarm(migration->device);
        }
        pthread_mutex_unlock(&migration->lock);
    }
    bridge_migration_put(migration);
    return NULL;
}

void bridge_harm_begin(struct bridge_migration *migration)
{
    sigset_t all, before;
    pthread_t thread;

    migration->harm = BRIDGE_HARM_RESET;
    if (migration->alarming) {
        return; /* the one that is there goes on */
    }
    migration->alarming = 1;
    __atomic_add_fetch(&migration->references, 1, __ATOMIC_RELAXED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, repeat, migration) == 0) {
        pthread_detach(thread);
    } else {
        bridge_say(migration->device, "no thread for its alarm: look after the guest");
        __atomic_sub_fetch(&migration->references, 1, __ATOMIC_RELAXED);
        migration->alarming = 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
