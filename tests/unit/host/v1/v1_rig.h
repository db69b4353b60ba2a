/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_HOST_V1_RIG_H
#define TEST_HOST_V1_RIG_H

#include "fake_v1.h"
#include "host/backend/v1/v1.h"

/* The fake device behind the backend that makes it one of v2. */
struct v1_rig {
    struct fake_v1 fake;
    struct ferry_backend *backend;
    struct ferry_error error;
};

/* Looks for the region of a fake that was opened. Return: of ferry_backend_v1_find(). */
int v1_rig_connect(struct v1_rig *rig);
void v1_rig_open_form(struct v1_rig *rig, uint32_t form);
void v1_rig_open(struct v1_rig *rig);
void v1_rig_close(struct v1_rig *rig);
int v1_rig_call(struct v1_rig *rig, struct ferry_request *request);
int v1_rig_get_state(struct v1_rig *rig, uint32_t *ret_state);
int v1_rig_set_state(struct v1_rig *rig, uint32_t state);
int v1_rig_read(struct v1_rig *rig, void *data, uint64_t size, uint64_t *ret_got);
int v1_rig_write(struct v1_rig *rig, void *data, uint64_t size);
void v1_rig_assert_text(const struct v1_rig *rig, const char *part);
void v1_rig_assert_trace(struct v1_rig *rig, const char *trace);

#endif
