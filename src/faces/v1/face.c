/* SPDX-License-Identifier: BSD-3-Clause */
#include "faces/v1/face.h"

/* Device features that version 1 does not have, Ferry's extensions of them included. */
enum {
    FEATURE_MIGRATION = 1,
    FEATURE_DEVICE_STATE = 2,
    FEATURE_DATA_SIZE = 9,
    FEATURE_PRECOPY_INFO_V2 = 12,
    FEATURE_PRECOPY_INFO = 0xfe01
};

static struct face *face_of(struct ferry_endpoint *endpoint)
{
    return (struct face *)endpoint; /* its first member */
}

static const struct ferry_endpoint_ops *below_ops(const struct face *face)
{
    return face->endpoint.below->ops;
}

static int is_ours(const struct face *face, uint32_t region)
{
    return region == face->info.region_count;
}

/* --- reset --- */

static int reset_over(struct face *face, int status)
{
    face->resetting = NULL;
    if (status == FERRY_OK) {
        face_job_void(face, face->before_reset);
        face_renew(face);
    }
    return status;
}

static void reset_done(struct ferry_request *reset)
{
    struct face *face = reset->user;
    struct ferry_request *request = face->resetting;

    request->status = reset_over(face, reset->status);
    if (request->done != NULL) {
        request->done(request);
    }
}

static int submit_reset(struct face *face, struct ferry_request *request)
{
    int status;

    if (face->resetting != NULL) {
        return FERRY_E_BUSY;
    }
    face->resetting = request;
    face->before_reset = face->waiting;
    face->reset = (struct ferry_request){ .kind = FERRY_RQ_RESET,
                                          .done = reset_done,
                                          .user = face,
                                          .reterr = request->reterr };
    status = below_ops(face)->submit(face->endpoint.below, &face->reset);
    return status == FERRY_PENDING ? status : reset_over(face, status);
}

/* --- requests --- */

static int pass(struct face *face, struct ferry_request *request)
{
    return below_ops(face)->submit(face->endpoint.below, request);
}

static int refuse(struct ferry_request *request)
{
    return ferry_error_set(request->reterr, FERRY_E_UNSUPPORTED, FACE_LAYER, NULL, 0,
                           "%s: the device migrates by the region of uAPI v1",
                           ferry_request_name(request->kind));
}

static int submit_probe(struct face *face, struct ferry_request *request)
{
    switch (request->u.probe.index) {
    case FEATURE_MIGRATION:
    case FEATURE_DEVICE_STATE:
    case FEATURE_DATA_SIZE:
    case FEATURE_PRECOPY_INFO_V2:
    case FEATURE_PRECOPY_INFO:
        return refuse(request);
    default:
        return pass(face, request);
    }
}

static int submit_info(struct face *face, struct ferry_request *request)
{
    request->u.info = face->info;
    request->u.info.region_count++;
    return FERRY_OK;
}

static int submit_identity(struct face *face, struct ferry_request *request)
{
    *request->u.identity = face->identity;
    return FERRY_OK;
}

static int submit_region_info(struct face *face, struct ferry_request *request)
{
    if (!is_ours(face, request->u.region.index)) {
        return pass(face, request);
    }
    face_section_info(face, &request->u.region);
    return FERRY_OK;
}

static int submit_io_fds(struct face *face, struct ferry_request *request)
{
    if (!is_ours(face, request->u.io_fds.index)) {
        return pass(face, request);
    }
    request->u.io_fds.count = 0;
    return FERRY_OK;
}

static int submit_region_io(struct face *face, struct ferry_request *request)
{
    return is_ours(face, request->u.io.index) ? face_job_submit(face, request)
                                              : pass(face, request);
}

static int submit_none(struct face *face, struct ferry_request *request)
{
    (void)face;
    return refuse(request);
}

/* What does not pass. */
static int (*const answers[FERRY_RQ_COUNT])(struct face *, struct ferry_request *) = {
    [FERRY_RQ_GET_INFO] = submit_info,
    [FERRY_RQ_GET_REGION_INFO] = submit_region_info,
    [FERRY_RQ_REGION_READ] = submit_region_io,
    [FERRY_RQ_REGION_WRITE] = submit_region_io,
    [FERRY_RQ_REGION_IO_FDS] = submit_io_fds,
    [FERRY_RQ_RESET] = submit_reset,
    [FERRY_RQ_IDENTITY] = submit_identity,
    [FERRY_RQ_PROBE] = submit_probe,
    [FERRY_RQ_MIG_FLAGS] = submit_none,
    [FERRY_RQ_GET_STATE] = submit_none,
    [FERRY_RQ_SET_STATE] = submit_none,
    [FERRY_RQ_DATA_SIZE] = submit_none,
    [FERRY_RQ_PRECOPY_INFO] = submit_none,
    [FERRY_RQ_DATA_READ] = submit_none,
    [FERRY_RQ_DATA_WRITE] = submit_none,
    [FERRY_RQ_DATA_FD] = submit_none,
    [FERRY_RQ_LEAVE_STATE] = submit_none,
};

static int endpoint_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    struct face *face = face_of(endpoint);
    int status;

    if (!face->attached) {
        status = FERRY_E_CLOSED;
    } else if (request->kind >= FERRY_RQ_COUNT || answers[request->kind] == NULL) {
        return pass(face, request);
    } else {
        status = answers[request->kind](face, request);
    }
    if (status != FERRY_PENDING) {
        request->status = status;
    }
    return status;
}

/* --- the user --- */

static int endpoint_attach(struct ferry_endpoint *endpoint,
                           const struct ferry_client_port *port)
{
    struct face *face = face_of(endpoint);
    int status;

    if (face->attached) {
        return FERRY_E_BUSY;
    }
    status = face_section_open(face);
    if (status != FERRY_OK) {
        return status;
    }
    status = below_ops(face)->attach(endpoint->below, port);
    if (status != FERRY_OK) {
        face_section_close(face);
        return status;
    }
    face_renew(face);
    face->attached = 1;
    return FERRY_OK;
}

static void endpoint_detach(struct ferry_endpoint *endpoint)
{
    struct face *face = face_of(endpoint);

    if (!face->attached) {
        return;
    }
    /* Whoever hears that his request is closed may ask again: he is refused. */
    face->attached = 0;
    below_ops(face)->detach(endpoint->below);
    face_job_close(face);
    face_renew(face);
    face_section_close(face);
}

static int endpoint_work(struct ferry_endpoint *endpoint)
{
    struct face *face = face_of(endpoint);
    int more = 0;

    if (below_ops(face)->work != NULL) {
        more = below_ops(face)->work(endpoint->below) > 0;
    }
    return face_job_work(face) || more;
}

static int endpoint_wake_fd(struct ferry_endpoint *endpoint)
{
    return ferry_endpoint_wake_fd(endpoint->below);
}

static int endpoint_reads_inside(struct ferry_endpoint *endpoint)
{
    return ferry_endpoint_reads_inside(endpoint->below);
}

/* No place(): what is loaded comes through the region. */
const struct ferry_endpoint_ops face_ops = {
    .struct_size = sizeof(face_ops),
    .attach = endpoint_attach,
    .detach = endpoint_detach,
    .submit = endpoint_submit,
    .work = endpoint_work,
    .wake_fd = endpoint_wake_fd,
    .reads_inside = endpoint_reads_inside,
};
