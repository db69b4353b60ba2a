/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>

#include "faces/v1/face.h"

static const struct ferry_endpoint_ops *below_ops(const struct face *face)
{
    return face->endpoint.below->ops;
}

int face_fail(struct face *face, int status, const char *rule, const char *what)
{
    return ferry_error_set(face->job->reterr, status, FACE_LAYER, rule,
                           face->job->u.io.off, "migration region: %s", what);
}

static void sub_done(struct ferry_request *sub);

int face_ask(struct face *face, uint32_t kind, face_step *next)
{
    face->sub = (struct ferry_request){
        .kind = kind, .done = sub_done, .user = face, .reterr = face->job->reterr
    };
    face->step = next;
    return FACE_ASK;
}

/* Return: FERRY_PENDING, or the status with which the job is over. */
static int run(struct face *face, int rc)
{
    while (rc == FACE_ASK) {
        const int status = below_ops(face)->submit(face->endpoint.below, &face->sub);

        if (status == FERRY_PENDING) {
            face->asked = 1;
            return FERRY_PENDING;
        }
        rc = face->step(face, status);
    }
    if (rc == FACE_LATER) {
        face->later = 1;
        return FERRY_PENDING;
    }
    assert(rc <= FERRY_OK);
    return rc;
}

/* Return: the user's request, which the caller tells of its end. */
static struct ferry_request *finish(struct face *face, int status)
{
    struct ferry_request *job = face->job;

    face->job = NULL;
    face->later = 0;
    face->parked = 0;
    face->void_job = 0;
    job->status = status;
    job->next = NULL;
    return job;
}

static int start(struct face *face, struct ferry_request *request)
{
    int rc;

    face->job = request;
    rc = run(face, face_access(face, FERRY_OK));
    if (rc != FERRY_PENDING) {
        (void)finish(face, rc);
    }
    return rc;
}

static void tell(struct ferry_request *request)
{
    if (request->done != NULL) {
        request->done(request);
    }
}

/* Goes on with a job that was pending. */
static void go_on(struct face *face, int status)
{
    int rc;

    if (!face->attached) {
        rc = FERRY_E_CLOSED;
    } else if (face->void_job) {
        rc = FERRY_E_CANCELLED;
    } else {
        rc = run(face, face->step(face, status));
    }
    if (rc != FERRY_PENDING) {
        tell(finish(face, rc));
    }
}

static void sub_done(struct ferry_request *sub)
{
    struct face *face = sub->user;

    face->asked = 0;
    if (face->resetting != NULL && face->attached) {
        face->parked = 1; /* what it asks next would come behind the reset */
    } else {
        go_on(face, sub->status);
    }
}

static int enqueue(struct face *face, struct ferry_request *request)
{
    if (face->waiting == FACE_QUEUE_MAX) {
        request->status = ferry_error_set(
            request->reterr, FERRY_E_LIMIT, FACE_LAYER, NULL, request->u.io.off,
            "migration region: %u accesses wait already", FACE_QUEUE_MAX);
        return FERRY_E_LIMIT;
    }
    request->next = NULL;
    *face->last = request;
    face->last = &request->next;
    face->waiting++;
    return FERRY_PENDING;
}

static struct ferry_request *dequeue(struct face *face)
{
    struct ferry_request *request = face->first;

    if (request != NULL) {
        face->first = request->next;
        face->last = face->first != NULL ? face->last : &face->first;
        request->next = NULL;
        face->waiting--;
    }
    return request;
}

int face_job_submit(struct face *face, struct ferry_request *request)
{
    if (face->job != NULL || face->first != NULL || face->resetting != NULL) {
        return enqueue(face, request);
    }
    return start(face, request);
}

int face_job_work(struct face *face)
{
    if (face->resetting != NULL) {
        return 0;
    }
    if (face->parked || face->later) {
        const int status = face->parked ? face->sub.status : FERRY_OK;

        face->parked = 0;
        face->later = 0;
        go_on(face, status);
    }
    while (face->attached && face->job == NULL && face->resetting == NULL &&
           face->first != NULL) {
        struct ferry_request *request = dequeue(face);

        if (face->stale > 0) {
            face->stale--;
            request->status = FERRY_E_CANCELLED;
            tell(request);
        } else if (start(face, request) != FERRY_PENDING) {
            tell(request);
        }
    }
    return face->later != 0;
}

void face_job_void(struct face *face, uint32_t waiting)
{
    face->void_job = face->job != NULL;
    face->stale = waiting;
}

void face_job_close(struct face *face)
{
    struct ferry_request *request;

    if (face->job != NULL) {
        assert(!face->asked); /* the device has let go of everything */
        tell(finish(face, FERRY_E_CLOSED));
    }
    face->stale = 0;
    while ((request = dequeue(face)) != NULL) {
        request->status = FERRY_E_CLOSED;
        tell(request);
    }
}
