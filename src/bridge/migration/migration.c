/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/migration/inside.h"
#include "bridge/say.h"
#include "os/clock.h"

int bridge_migration_call(struct bridge_migration *migration,
                          struct ferry_request *request)
{
    return bridge_link_call(migration->device->link, request);
}

int bridge_migration_loses(const struct bridge_migration *migration)
{
    return atomic_load(&migration->lost) != 0 ||
           (migration->device && bridge_link_dead(migration->device->link));
}

void bridge_migration_ask(struct bridge_migration *migration, int status)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    if (status == FERRY_E_CLOSED && migration->device &&
        !bridge_migration_loses(migration)) {
        (void)bridge_migration_call(migration, &request);
    }
}

void bridge_migration_put(struct bridge_migration *migration)
{
    if (__atomic_sub_fetch(&migration->references, 1, __ATOMIC_ACQ_REL) == 0) {
        bridge_pipe_destroy(&migration->pipe);
        pthread_mutex_destroy(&migration->lock);
        free(migration);
    }
}

/* Return: FERRY_OK, and 0 flags when it cannot migrate; a status when it is gone. */
static int ask_flags(struct bridge_device *device, uint32_t *ret_flags)
{
    struct ferry_request request = { .kind = FERRY_RQ_MIG_FLAGS };
    int rc = bridge_link_call(device->link, &request);

    *ret_flags = 0;
    if (rc != FERRY_OK) {
        return bridge_link_dead(device->link) ? rc : FERRY_OK;
    }
    *ret_flags = (uint32_t)request.u.mig_flags &
                 (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY);
    if (!(*ret_flags & FERRY_MIG_STOP_COPY)) {
        bridge_say(device, "its migration features 0x%x lack STOP_COPY: it cannot move",
                   *ret_flags);
        *ret_flags = 0;
    }
    return FERRY_OK;
}

/*
 * The VMM takes a device for RUNNING from its opening and from each reset on. Servers
 * that keep their state over these have to be taken there: no other call would.
 */
static void be_running(struct bridge_migration *migration, const char *since)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };
    struct ferry_error error = { .code = FERRY_OK };

    migration->server = migration->vmm = FERRY_STATE_RUNNING;
    if (bridge_migration_call(migration, &request) != FERRY_OK ||
        request.u.state >= FERRY_STATE_COUNT || request.u.state == FERRY_STATE_RUNNING) {
        return;
    }
    bridge_say(migration->device, "the server %s in %s instead of RUNNING", since,
               ferry_state_name(request.u.state));
    migration->server = request.u.state;
    /* Half a state in RESUMING is not to run: the next reset may drop it. */
    if (migration->server != FERRY_STATE_RESUMING &&
        bridge_state_walk(migration, FERRY_STATE_RUNNING, &error) != FERRY_OK) {
        bridge_say(migration->device, "and does not leave it: %s", error.text);
    }
}

/* What holds for a connection. */
static void meet(struct bridge_migration *migration, uint32_t flags)
{
    struct bridge_device *device = migration->device;

    migration->features = flags;
    migration->generation = bridge_link_generation(device->link);
    migration->max_data = bridge_link_max_data(device->link);
    migration->estimate = (struct bridge_estimate){ .size_ns = 0 };
    be_running(migration, "begins");
}

int bridge_migration_create(struct bridge_device *device)
{
    struct bridge_migration *migration;
    uint32_t flags;

    device->migration = NULL;
    if (ask_flags(device, &flags) != FERRY_OK) {
        return -EIO;
    }
    if (flags == 0) {
        return 0;
    }
    migration = calloc(1, sizeof(*migration));
    if (!migration) {
        return -ENOMEM;
    }
    migration->references = 1;
    migration->device = device;
    migration->timeout_ms = device->token.timeout_ms;
    pthread_mutex_init(&migration->lock, NULL);
    bridge_pipe_init(&migration->pipe);
    meet(migration, flags);
    migration->shown = flags | (device->token.no_peer_maps ? FERRY_MIG_P2P : 0);
    /* A server that dies now is told of on the service thread. */
    __atomic_store_n(&device->migration, migration, __ATOMIC_RELEASE);
    return 0;
}

void bridge_migration_destroy(struct bridge_device *device)
{
    struct bridge_migration *migration = device->migration;

    if (!migration) {
        return;
    }
    pthread_mutex_lock(&migration->lock);
    bridge_data_end(migration, -ENODEV);
    migration->device = NULL;
    pthread_mutex_unlock(&migration->lock);
    device->migration = NULL;
    bridge_migration_put(migration);
}

uint32_t bridge_migration_flags(const struct bridge_migration *migration)
{
    return migration->shown;
}

int bridge_migration_get_state(struct bridge_migration *migration, uint32_t *ret_state)
{
    int rc = 0;

    pthread_mutex_lock(&migration->lock);
    if (bridge_migration_loses(migration)) {
        rc = -EIO;
    } else {
        *ret_state = migration->vmm;
    }
    pthread_mutex_unlock(&migration->lock);
    return rc;
}

static int has_session(const struct bridge_migration *migration)
{
    return migration->data &&
           (migration->data->load ? migration->server == FERRY_STATE_RESUMING
                                  : ferry_state_is_saving(migration->server));
}

/* Locked. The VMM is not at fault: what comes next may be QEMU's recovery. */
static void note_refusal(struct bridge_migration *migration)
{
    migration->refused_tid = gettid();
    migration->refused_ns = ferry_os_now_ns();
}

/* An arc failed: the state may be any on the way, and the session is gone with its own.
 */
static int failed(struct bridge_migration *migration, int status,
                  const struct ferry_error *error)
{
    bridge_say(migration->device, "the state does not change: %s", error->text);
    bridge_state_find(migration);
    if (!has_session(migration)) {
        bridge_data_end(migration, -ENODEV);
        migration->loaded = 0;
    }
    note_refusal(migration);
    return bridge_migration_loses(migration) ? -EIO : bridge_errno(status);
}

static void drop_irqs(struct bridge_migration *migration)
{
    migration->carried[0].count = migration->carried[1].count = 0;
}

/* The VMM has set its interrupts up, and its processors do not run yet. */
static void raise_irqs(struct bridge_migration *migration)
{
    uint32_t i;

    for (i = 0; i < 2; i++) {
        bridge_device_raise_irqs(migration->device, i + 1, migration->carried[i].vector,
                                 migration->carried[i].count);
    }
    drop_irqs(migration);
}

/* With QEMU nobody else can ask its server. The VMM's call does not wait for the answer.
 */
static void count(struct bridge_migration *migration, uint32_t before)
{
    if (before == FERRY_STATE_STOP_COPY && migration->vmm == FERRY_STATE_STOP) {
        bridge_counters_ask(migration, "was saved");
    } else if (migration->came && migration->vmm == FERRY_STATE_RUNNING) {
        migration->came = 0;
        bridge_counters_ask(migration, "began to run");
    }
}

/* The walk is done. fresh: the session that it began, or NULL. */
static void arrive(struct bridge_migration *migration, uint32_t wanted, int effect,
                   struct bridge_data *fresh)
{
    const uint32_t before = migration->vmm;

    if (effect == FERRY_DATA_ENDS || effect == FERRY_DATA_ENDS_BEGINS) {
        bridge_data_end(migration, -ENODEV);
        migration->came = migration->loaded;
        migration->loaded = 0;
    }
    migration->vmm = wanted;
    bridge_estimate_void(migration);
    if (fresh) {
        bridge_data_end(migration, -ENODEV); /* left over by a failure */
        migration->data = fresh;
        bridge_pipe_watch(&migration->pipe, fresh->save ? fresh->poll_fd : -1);
        migration->loaded = 0;
        drop_irqs(migration);
        bridge_pipe_open(migration, fresh->load != NULL);
    }
    if (wanted == FERRY_STATE_RUNNING || wanted == FERRY_STATE_RUNNING_P2P) {
        raise_irqs(migration);
    }
    if (wanted == FERRY_STATE_STOP_COPY && migration->data && migration->data->save) {
        bridge_data_ready(migration->data, 1);
        bridge_save_stopped(migration, migration->data->save);
    }
    count(migration, before);
}

/* Locked. ret_fresh: its reference is the caller's, also on failure; or NULL. */
static int change(struct bridge_migration *migration, uint32_t wanted,
                  struct bridge_data **ret_fresh, int *ret_fd)
{
    struct ferry_error error = { .code = FERRY_OK };
    int effect = ferry_state_data(migration->vmm, wanted, migration->shown);
    int rc;

    if (effect < 0 || !(migration->features & FERRY_MIG_STOP_COPY)) {
        return -EINVAL;
    }
    if (effect == FERRY_DATA_BEGINS || effect == FERRY_DATA_ENDS_BEGINS) {
        /* First, so that the state stays as it is when there is no descriptor. */
        rc = bridge_data_create(migration, wanted == FERRY_STATE_RESUMING, ret_fresh,
                                ret_fd);
        if (rc < 0) {
            return rc;
        }
    }
    if (migration->data && migration->data->save) {
        bridge_save_settle(migration, migration->data->save);
    }
    rc = bridge_state_walk(migration, wanted, &error);
    if (rc != FERRY_OK) {
        return failed(migration, rc, &error);
    }
    arrive(migration, wanted, effect, *ret_fresh);
    migration->refused_tid = 0;
    return 0;
}

/* A state in which no data is under way. */
static int rests(uint32_t state)
{
    return state == FERRY_STATE_RUNNING || state == FERRY_STATE_RUNNING_P2P ||
           state == FERRY_STATE_STOP;
}

/* Does the VMM get what a kernel would not do for it? */
static int helps(const struct bridge_migration *migration)
{
    return migration->device->token.uapi == BRIDGE_UAPI_ANY;
}

/* Locked. As change(); *ret_alarm: 1 when the guest must not go on. */
static int leave(struct bridge_migration *migration, uint32_t wanted,
                 struct bridge_data **ret_fresh, int *ret_fd, int *ret_alarm)
{
    int resuming = migration->vmm == FERRY_STATE_RESUMING, rc;
    int resting = rests(migration->vmm) && rests(wanted);

    if (bridge_migration_loses(migration)) {
        note_refusal(migration);
        rc = -EIO;
    } else if (wanted == migration->vmm && wanted != FERRY_STATE_ERROR) {
        migration->refused_tid = 0;
        return 0;
    } else if (resuming && !migration->loaded) {
        rc = -EINVAL;
    } else {
        rc = change(migration, wanted, ret_fresh, ret_fd);
    }
    if (rc < 0 && resting && helps(migration) && bridge_migration_loses(migration)) {
        /* It neither runs nor has to be stopped; a QEMU that quits takes no refusal. */
        migration->vmm = wanted;
        migration->refused_tid = 0;
        return 0;
    }
    if (resuming && rc < 0 && helps(migration)) {
        bridge_say(migration->device,
                   "the VMM leaves RESUMING for %s, but the device has not its state: "
                   "refused, and the guest is told to stop, since QEMU would run it with "
                   "a reset device",
                   ferry_state_name(wanted));
        *ret_alarm = 1;
    }
    return rc;
}

int bridge_migration_set_state(struct bridge_migration *migration, uint32_t wanted,
                               int *ret_data_fd)
{
    struct bridge_device *device = migration->device;
    struct bridge_data *fresh = NULL;
    int fd = -1, alarm = 0, rc;

    *ret_data_fd = -1;
    pthread_mutex_lock(&migration->lock);
    rc = leave(migration, wanted, &fresh, &fd, &alarm);
    if (rc == 0) {
        alarm |= bridge_harm_shows(migration, wanted);
    }
    pthread_mutex_unlock(&migration->lock);
    if (rc < 0 && fd >= 0) {
        bridge_data_withdraw(fd);
        fd = -1;
    }
    if (fresh) {
        bridge_object_put(&fresh->object);
    }
    if (alarm) {
        bridge_device_alarm(device);
    }
    *ret_data_fd = fd;
    return rc;
}

int bridge_migration_go(struct bridge_migration *migration, uint32_t wanted,
                        struct bridge_data **ret_data)
{
    struct bridge_device *device = migration->device;
    struct bridge_data *fresh = NULL;
    int alarm = 0, rc;

    pthread_mutex_lock(&migration->lock);
    rc = leave(migration, wanted, &fresh, NULL, &alarm);
    migration->refused_tid = 0;
    if (rc < 0 && wanted == FERRY_STATE_RUNNING && !bridge_migration_loses(migration)) {
        alarm = 1;
    }
    pthread_mutex_unlock(&migration->lock);
    if (rc < 0 && fresh) {
        bridge_object_put(&fresh->object);
        fresh = NULL;
    }
    if (alarm) {
        bridge_device_alarm(device);
    }
    *ret_data = fresh;
    return rc;
}

/* Locked; a change that begins no session. */
static int pass(struct bridge_migration *migration, uint32_t wanted)
{
    struct bridge_data *fresh = NULL;
    int rc = change(migration, wanted, &fresh, NULL);

    migration->refused_tid = 0;
    return rc;
}

/* Locked. */
static int has_p2p(const struct bridge_migration *migration)
{
    return migration->device && (migration->features & FERRY_MIG_P2P) &&
           !bridge_migration_loses(migration);
}

int bridge_migration_quiet(struct bridge_migration *migration)
{
    int rc = 0;

    pthread_mutex_lock(&migration->lock);
    if (has_p2p(migration) && migration->vmm == FERRY_STATE_RUNNING) {
        rc = pass(migration, FERRY_STATE_RUNNING_P2P);
    } else if (has_p2p(migration) && migration->vmm == FERRY_STATE_PRE_COPY) {
        rc = pass(migration, FERRY_STATE_PRE_COPY_P2P);
    }
    pthread_mutex_unlock(&migration->lock);
    return rc;
}

void bridge_migration_wake(struct bridge_migration *migration)
{
    pthread_mutex_lock(&migration->lock);
    if (has_p2p(migration) &&
        (migration->vmm == FERRY_STATE_STOP || migration->vmm == FERRY_STATE_STOP_COPY ||
         (migration->vmm == FERRY_STATE_RESUMING && migration->loaded))) {
        (void)pass(migration, FERRY_STATE_RUNNING_P2P); /* it is asked for again */
    }
    pthread_mutex_unlock(&migration->lock);
}

/* A server that is there again would pass for the old one with the guest. */
static int stay_lost(struct bridge_migration *migration)
{
    bridge_say(migration->device, "the VMM resets it after a failed migration: it stays "
                                  "lost until the guest or a user resets it");
    bridge_data_end(migration, -EIO);
    migration->vmm = FERRY_STATE_RUNNING; /* as the VMM sees it now */
    migration->loaded = 0;
    return 1;
}

/* Locked. Return: 1 when the device runs with the state that it had, or is lost still. */
static int walk_back(struct bridge_migration *migration)
{
    struct ferry_error error = { .code = FERRY_OK };
    uint32_t refused_in = migration->server;
    int rc;

    if (bridge_migration_loses(migration)) {
        return stay_lost(migration);
    }
    if (migration->data && migration->data->save) {
        bridge_save_settle(migration, migration->data->save);
    }
    rc = bridge_state_walk(migration, FERRY_STATE_RUNNING, &error);
    if (rc != FERRY_OK && bridge_migration_loses(migration)) {
        return stay_lost(migration);
    }
    if (rc != FERRY_OK) {
        bridge_say(migration->device,
                   "the VMM resets it after a refused state, and there is no other way "
                   "back (%s): its state is lost, the guest is told to stop",
                   error.text);
        return 0;
    }
    bridge_data_end(migration, -ENODEV);
    raise_irqs(migration);
    migration->vmm = FERRY_STATE_RUNNING;
    migration->loaded = 0;
    bridge_estimate_void(migration);
    bridge_say(
        migration->device,
        "the VMM resets it after a refused state: taken from %s to RUNNING instead, "
        "so that the guest's device keeps its state",
        ferry_state_name(refused_in));
    return 1;
}

int bridge_migration_recover(struct bridge_migration *migration)
{
    struct bridge_device *device = migration->device;
    int recovery, done = 0;

    pthread_mutex_lock(&migration->lock);
    recovery = helps(migration) && migration->refused_tid == gettid() &&
               ferry_os_now_ns() - migration->refused_ns < BRIDGE_RECOVERY_NS &&
               migration->vmm != FERRY_STATE_RESUMING;
    migration->refused_tid = 0;
    if (migration->harm == BRIDGE_HARM_RESET) {
        migration->harm = BRIDGE_HARM_OPEN; /* the recovery's reset found no server */
    }
    if (recovery) {
        done = walk_back(migration);
        if (!done) {
            bridge_harm_begin(migration);
        }
    }
    pthread_mutex_unlock(&migration->lock);
    if (recovery && !done) {
        bridge_device_alarm(device);
    }
    return done;
}

int bridge_migration_data_size(struct bridge_migration *migration, uint64_t *ret_bytes)
{
    int rc = -EIO;

    pthread_mutex_lock(&migration->lock);
    if (!bridge_migration_loses(migration)) {
        rc = bridge_estimate_size(migration, ret_bytes);
    }
    pthread_mutex_unlock(&migration->lock);
    return rc;
}

int bridge_migration_precopy_v2(struct bridge_migration *migration)
{
    /* No device of vfio-user begins its initial data anew: understood, and never used. */
    return migration->shown & FERRY_MIG_PRE_COPY ? 0 : -ENOTTY;
}

/* Locked. It is reset, perhaps by being another one. */
static void after_reset(struct bridge_migration *migration)
{
    struct bridge_device *device = migration->device;
    uint32_t flags;

    if (bridge_link_generation(device->link) == migration->generation) {
        be_running(migration, "is after a reset");
        /* It may have stood still before, and QEMU does not start what runs already. */
        bridge_device_moves(device);
        return;
    }
    if (ask_flags(device, &flags) != FERRY_OK) {
        return;
    }
    meet(migration, flags);
    if ((flags | FERRY_MIG_P2P) != (migration->shown | FERRY_MIG_P2P)) {
        bridge_say(device,
                   "the server that is here now has migration features 0x%x, the VMM "
                   "was told 0x%x",
                   flags, migration->shown);
    }
}

void bridge_migration_reset(struct bridge_migration *migration)
{
    struct bridge_device *device = migration->device;

    pthread_mutex_lock(&migration->lock);
    bridge_data_end(migration, -ENODEV);
    migration->loaded = migration->came = 0;
    migration->refused_tid = 0;
    drop_irqs(migration);
    migration->harm =
        migration->harm == BRIDGE_HARM_RESET ? BRIDGE_HARM_OPEN : BRIDGE_HARM_NONE;
    migration->server = migration->vmm = FERRY_STATE_RUNNING;
    bridge_estimate_void(migration);
    atomic_store(&migration->lost, bridge_link_dead(device->link) ? 1u : 0u);
    if (!bridge_migration_loses(migration)) {
        after_reset(migration);
    }
    pthread_mutex_unlock(&migration->lock);
}

void bridge_migration_lost(struct bridge_migration *migration)
{
    atomic_store(&migration->lost, 1u);
    bridge_pipe_wake(&migration->pipe);
}
