/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/migration/v1/inside.h"
#include "bridge/say.h"

/*
 * v1 has no P2P states: its VMM stops one device after the other, and the last may write
 * into the memory of the first, which has stopped. What the states lack the bridge does
 * by itself, since it sees all devices of the VMM, which stops or starts all of them when
 * it stops or starts one.
 */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bridge_v1 *list;

void bridge_v1_join(struct bridge_v1 *v1)
{
    pthread_mutex_lock(&list_lock);
    v1->next = list;
    list = v1;
    pthread_mutex_unlock(&list_lock);
}

void bridge_v1_leave(struct bridge_v1 *v1)
{
    struct bridge_v1 **at;

    pthread_mutex_lock(&list_lock);
    for (at = &list; *at; at = &(*at)->next) {
        if (*at == v1) {
            *at = v1->next;
            break;
        }
    }
    pthread_mutex_unlock(&list_lock);
}

void bridge_v1_fork_child(void)
{
    const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    list_lock = fresh; /* who held it is the parent's */
    list = NULL;
}

static int shows_p2p(const struct bridge_v1 *v1)
{
    return (bridge_migration_flags(v1->migration) & FERRY_MIG_P2P) != 0;
}

int bridge_v1_reaches_others(struct bridge_v1 *v1)
{
    struct bridge_v1 *other;
    int several, reaches = 0;

    pthread_mutex_lock(&list_lock);
    several = list && list->next;
    for (other = list; other && several; other = other->next) {
        if (!shows_p2p(other)) {
            bridge_say(v1->migration->device,
                       "several devices move only if all have P2P states, and \"%s\" has "
                       "none: one that still runs could write into one that has stopped "
                       "(--no-peer-maps keeps them apart)",
                       other->migration->device->token.name);
            reaches = 1;
            break;
        }
    }
    pthread_mutex_unlock(&list_lock);
    return reaches;
}

int bridge_v1_quiet_others(struct bridge_v1 *v1)
{
    struct bridge_v1 *other;
    int rc = 0;

    pthread_mutex_lock(&list_lock);
    for (other = list; other; other = other->next) {
        const int one = other == v1 ? 0 : bridge_migration_quiet(other->migration);

        rc = rc == 0 ? one : rc;
    }
    pthread_mutex_unlock(&list_lock);
    return rc;
}

void bridge_v1_wake_others(struct bridge_v1 *v1)
{
    struct bridge_v1 *other;

    pthread_mutex_lock(&list_lock);
    for (other = list; other; other = other->next) {
        if (other != v1) {
            bridge_migration_wake(other->migration);
        }
    }
    pthread_mutex_unlock(&list_lock);
}
