/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/check/rig/mutant.h"

#include <assert.h>
#include <stdlib.h>

/* What a model tells the SDK goes through here (the linker's --wrap). */

struct changed {
    struct ferry_device_ops ops;
    const struct ferry_device_ops *below;
    const void *state;
    const struct ferry_device *device;
    uint32_t fail; /* its next arc does */
    struct changed *next;
};

static struct changed *changes; /* set up before a device's thread begins */
static void (*present)(struct ferry_device_desc *desc);

static struct changed *find(const void *state)
{
    struct changed *changed = changes;

    while (changed != NULL && changed->state != state) {
        changed = changed->next;
    }
    return changed;
}

int __real_ferry_device_create(const struct ferry_device_desc *desc,
                               struct ferry_device **ret_device,
                               struct ferry_error *reterr);
int __wrap_ferry_device_create(const struct ferry_device_desc *desc,
                               struct ferry_device **ret_device,
                               struct ferry_error *reterr);

int __wrap_ferry_device_create(const struct ferry_device_desc *desc,
                               struct ferry_device **ret_device,
                               struct ferry_error *reterr)
{
    struct ferry_device_desc own = *desc;
    int rc;

    assert(desc->struct_size == sizeof(own));
    if (present != NULL) {
        present(&own);
    }
    rc = __real_ferry_device_create(&own, ret_device, reterr);
    if (rc == FERRY_OK && find(own.state) != NULL) {
        find(own.state)->device = *ret_device;
    }
    return rc;
}

void mutant_describe(void (*describe)(struct ferry_device_desc *desc))
{
    present = describe;
}

struct ferry_device_ops *mutant_ops(struct ferry_device_desc *desc)
{
    struct changed *changed = find(desc->state);

    if (changed == NULL) {
        changed = calloc(1, sizeof(*changed));
        assert(changed != NULL);
        changed->ops = *desc->ops;
        changed->below = desc->ops;
        changed->state = desc->state;
        changed->next = changes;
        changes = changed;
        desc->ops = &changed->ops;
    }
    return &changed->ops;
}

const struct ferry_device_ops *mutant_model_ops(const void *state)
{
    const struct changed *changed = find(state);

    assert(changed != NULL);
    return changed->below;
}

void mutant_ops_free(const void *state)
{
    struct changed **at = &changes;

    while (*at != NULL) {
        struct changed *changed = *at;

        if (changed->state == state) {
            *at = changed->next;
            free(changed);
        } else {
            at = &changed->next;
        }
    }
}

static int arc_that_fails(void *state, struct ferry_device *device, uint32_t from,
                          uint32_t to)
{
    struct changed *changed = find(state);

    if (changed->fail) {
        changed->fail = 0;
        return FERRY_E_DEVICE_ERROR;
    }
    return changed->below->arc(state, device, from, to);
}

void mutant_can_fail(struct ferry_device_desc *desc)
{
    mutant_ops(desc)->arc = arc_that_fails;
}

void mutant_fail(struct mutant *mutant)
{
    struct changed *changed = changes;

    while (changed != NULL && changed->device != mutant->device) {
        changed = changed->next;
    }
    assert(changed != NULL);
    (void)mutant_reset(mutant);
    changed->fail = 1;
    (void)mutant_set_state(mutant, FERRY_STATE_STOP);
    assert(mutant->state == FERRY_STATE_ERROR);
}

int mutant_loads_into_error(struct mutant *mutant, struct ferry_request *request,
                            int status)
{
    const int no_way = status == FERRY_E_ARC || status == FERRY_E_ARGUMENT ||
                       status == FERRY_E_UNSUPPORTED;

    if (request->kind == FERRY_RQ_SET_STATE && status < 0 && !no_way &&
        mutant->state == FERRY_STATE_RESUMING) {
        mutant_fail(mutant);
        return FERRY_E_DEVICE_ERROR;
    }
    return status;
}
