/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "os/clock.h"
#include "test_bridge_vault.h"

static atomic_uint arc_clock;

uint8_t vault_byte(uint8_t seed, uint64_t off)
{
    return (uint8_t)(seed + off + (off >> 8) * 7 + (off >> 20) * 13);
}

static void on_reset(void *state, struct ferry_device *device,
                     enum ferry_reset_reason reason)
{
    struct vault *vault = state;

    (void)device;
    if (reason == FERRY_RESET_REQUEST) {
        atomic_fetch_add(&vault->resets, 1);
    }
    atomic_store(&vault->saved, 0);
    atomic_store(&vault->loaded, 0);
    if (reason != FERRY_RESET_RESUMING) {
        atomic_store(&vault->state, FERRY_STATE_RUNNING);
    }
}

static int on_arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct vault *vault = state;
    int answer = atomic_load(&vault->refuse_with);

    (void)device;
    if (answer != 0 && from == atomic_load(&vault->refuse_from) &&
        to == atomic_load(&vault->refuse_to)) {
        return answer;
    }
    if (from == FERRY_STATE_RESUMING) {
        if (atomic_load(&vault->loaded) != vault->state_bytes) {
            return FERRY_E_SHORT;
        }
        if (!atomic_load(&vault->is_sound)) {
            return FERRY_E_CORRUPT;
        }
    }
    if (to == FERRY_STATE_RESUMING) {
        atomic_store(&vault->loaded, 0);
        atomic_store(&vault->is_sound, 1);
    }
    if ((to == FERRY_STATE_PRE_COPY || to == FERRY_STATE_STOP_COPY) &&
        (from == FERRY_STATE_RUNNING || from == FERRY_STATE_STOP)) {
        atomic_store(&vault->saved, 0);
    }
    if (to == FERRY_STATE_PRE_COPY_P2P && from == FERRY_STATE_RUNNING_P2P) {
        atomic_store(&vault->saved, 0);
    }
    atomic_store(&vault->state, to);
    atomic_store(&vault->when[to], atomic_fetch_add(&arc_clock, 1) + 1);
    atomic_fetch_add(&vault->arcs, 1);
    return FERRY_OK;
}

/* A device that does not come to an end. */
static void be_stuck(struct vault *vault)
{
    while (atomic_load(&vault->stuck)) {
        ferry_os_sleep_ns(FERRY_NS_PER_MS);
    }
}

static int on_save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct vault *vault = state;
    int stopped = ferry_device_state(device) == FERRY_STATE_STOP_COPY;
    uint64_t end = stopped ? vault->state_bytes : vault->precopy_bytes;
    uint64_t at = atomic_load(&vault->saved);
    uint8_t *out = ret_data;
    size_t i;

    be_stuck(vault);
    for (i = 0; i < cap && at < end; i++, at++) {
        out[i] = vault_byte(vault->seed, at);
    }
    atomic_store(&vault->saved, at);
    return i > 0 || stopped ? (int)i : FERRY_E_DRY;
}

static int on_load(void *state, struct ferry_device *device, const void *data,
                   size_t count)
{
    struct vault *vault = state;
    uint64_t at = atomic_load(&vault->loaded);
    const uint8_t *in = data;
    size_t i;

    (void)device;
    be_stuck(vault);
    if (atomic_load(&vault->refuse_load) != 0) {
        return atomic_load(&vault->refuse_load);
    }
    atomic_fetch_add(&vault->loads, 1);
    for (i = 0; i < count; i++) {
        if (in[i] != vault_byte(vault->seed, at + i)) {
            atomic_store(&vault->is_sound, 0);
        }
    }
    atomic_store(&vault->loaded, at + count);
    return FERRY_OK;
}

static int on_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    struct vault *vault = state;

    (void)device;
    atomic_fetch_add(&vault->asks, 1);
    *ret_bytes = vault->state_bytes - atomic_load(&vault->saved) + 1;
    return FERRY_OK;
}

static int on_precopy(void *state, struct ferry_device *device,
                      struct ferry_device_precopy *ret_info)
{
    struct vault *vault = state;
    uint64_t saved = atomic_load(&vault->saved);

    (void)device;
    atomic_fetch_add(&vault->asks, 1);
    ret_info->initial_bytes =
        vault->precopy_bytes > saved ? vault->precopy_bytes - saved : 0;
    ret_info->dirty_bytes = 0;
    return FERRY_OK;
}

static int on_counters(void *state, struct ferry_device *device,
                       struct ferry_counter *ret_counter, uint32_t cap)
{
    static const char *const name[] = { "lost", "carried", "frames" };
    struct vault *vault = state;
    uint32_t i;

    (void)device;
    atomic_fetch_add(&vault->counted, 1);
    for (i = 0; i < vault->counters * 3 && i < cap; i++) {
        strcpy(ret_counter[i].name, name[i % 3]);
        ret_counter[i].queue = i / 3;
        ret_counter[i].value = i % 3 == 1 && i / 3 == 0 ? 0 : i + 1000;
    }
    return atomic_load(&vault->count_answer) < 0 ? atomic_load(&vault->count_answer)
                                                 : (int)i;
}

static const struct ferry_device_ops vault_ops = {
    .struct_size = sizeof(struct ferry_device_ops),
    .reset = on_reset,
    .arc = on_arc,
    .save = on_save,
    .load = on_load,
    .precopy_info = on_precopy,
    .data_size = on_size,
    .counters = on_counters,
};

static const struct ferry_device_ops unmovable_ops = {
    .struct_size = sizeof(struct ferry_device_ops),
    .reset = on_reset,
};

void vault_init(struct vault *vault, uint32_t flags, uint64_t state_bytes,
                uint64_t precopy_bytes)
{
    memset(vault, 0, sizeof(*vault));
    strcpy(vault->identity.model, "vault");
    vault->identity.state_version = vault->identity.state_version_min = 1;
    vault->identity.pci_vendor = 0x1af4;
    vault->identity.pci_device = 0x10ff;
    vault->identity.pci_class = 0x0b400001;
    vault->identity.migration_flags = flags;
    vault->identity.key_count = 1;
    strcpy(vault->identity.key[0].name, "bytes");
    vault->identity.key[0].relation = FERRY_KEY_EQUAL;
    vault->identity.key[0].value = state_bytes;
    vault->state_bytes = state_bytes;
    vault->precopy_bytes = precopy_bytes;
    vault->seed = 5;
    atomic_store(&vault->is_sound, 1);
    atomic_store(&vault->state, FERRY_STATE_RUNNING);
}

static void *serve(void *user)
{
    struct vault *vault = user;

    (void)ferry_server_run(vault->server);
    return NULL;
}

void vault_serve(struct vault *vault, const char *path)
{
    struct ferry_device_desc desc = { .struct_size = sizeof(desc),
                                      .ops = &vault_ops,
                                      .state = vault };
    struct ferry_server_options options = { .struct_size = sizeof(options),
                                            .path = vault->path };
    struct ferry_error error = { .code = FERRY_OK };

    (void)snprintf(vault->path, sizeof(vault->path), "%s", path);
    if (vault->identity.migration_flags == 0) {
        desc.ops = &unmovable_ops;
    }
    desc.identity = vault->identity;
    desc.region[0].size_bytes = 4096;
    if (ferry_device_create(&desc, &vault->device, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    if (ferry_server_create(vault->device, &options, &vault->server, &error) !=
        FERRY_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(pthread_create(&vault->thread, NULL, serve, vault), 0);
}

void vault_stop(struct vault *vault)
{
    if (!vault->server) {
        return;
    }
    ferry_server_stop(vault->server);
    assert_int_equal(pthread_join(vault->thread, NULL), 0);
    ferry_server_destroy(vault->server);
    ferry_device_destroy(vault->device);
    vault->server = NULL;
}
