/* SPDX-License-Identifier: BSD-3-Clause */
#include "v1_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int on_dma(void *user, uint64_t iova, void *data, size_t size)
{
    (void)user;
    (void)iova;
    (void)data;
    (void)size;
    return FERRY_E_RANGE;
}

static int on_dma_write(void *user, uint64_t iova, const void *data, size_t size)
{
    (void)user;
    (void)iova;
    (void)data;
    (void)size;
    return FERRY_E_RANGE;
}

int v1_rig_connect(struct v1_rig *rig)
{
    const struct ferry_backend_options options = { .struct_size = sizeof(options),
                                                   .timeout_ms = 50,
                                                   .memory = { on_dma, on_dma_write,
                                                               NULL } };
    struct ferry_backend *below;
    int rc;

    assert_int_equal(
        ferry_backend_from_endpoint(&rig->fake.endpoint, &options, &below, NULL),
        FERRY_OK);
    rig->error.text[0] = '\0';
    rc = ferry_backend_v1_find(below, rig->fake.hurry ? 0 : 1000, &rig->backend,
                               &rig->error);
    if (rc != FERRY_OK) {
        below->ops->close(below);
        rig->backend = NULL;
    }
    return rc;
}

void v1_rig_open_form(struct v1_rig *rig, uint32_t form)
{
    fake_v1_open(&rig->fake, form);
    assert_int_equal(v1_rig_connect(rig), FERRY_OK);
}

void v1_rig_open(struct v1_rig *rig)
{
    v1_rig_open_form(rig, FAKE_TRAPPED);
}

void v1_rig_close(struct v1_rig *rig)
{
    if (rig->backend) {
        rig->backend->ops->close(rig->backend);
    }
    fake_v1_close(&rig->fake);
}

int v1_rig_call(struct v1_rig *rig, struct ferry_request *request)
{
    rig->error.text[0] = '\0';
    request->reterr = &rig->error;
    return rig->backend->ops->call(rig->backend, request);
}

int v1_rig_get_state(struct v1_rig *rig, uint32_t *ret_state)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };
    const int rc = v1_rig_call(rig, &request);

    *ret_state = request.u.state;
    return rc;
}

int v1_rig_set_state(struct v1_rig *rig, uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .u.state = state };

    return v1_rig_call(rig, &request);
}

int v1_rig_read(struct v1_rig *rig, void *data, uint64_t size, uint64_t *ret_got)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    int rc;

    request.u.data = (struct ferry_data_io){ .data = data, .size = size };
    rc = v1_rig_call(rig, &request);
    *ret_got = request.u.data.got;
    return rc;
}

int v1_rig_write(struct v1_rig *rig, void *data, uint64_t size)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };

    request.u.data = (struct ferry_data_io){ .data = data, .size = size };
    return v1_rig_call(rig, &request);
}

void v1_rig_assert_text(const struct v1_rig *rig, const char *part)
{
    if (strstr(rig->error.text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, rig->error.text);
    }
}

void v1_rig_assert_trace(struct v1_rig *rig, const char *trace)
{
    assert_string_equal(rig->fake.trace, trace);
    fake_v1_forget(&rig->fake);
}
