/* SPDX-License-Identifier: BSD-3-Clause */
/* REGION_WRITE_MULTI: one message, several writes, in order. */
#include <string.h>

#include "link/server/connection.h"

/* All parts are over. */
static void end(struct ferry_job *job)
{
    int status = job->asked.u.multi.count == 0 || job->parts_done > 0 ? FERRY_OK
                                                                      : job->parts_status;

    job->request.kind = FERRY_RQ_REGION_WRITE;
    job->asked.data = NULL;
    job->asked.data_bytes = 0;
    job->asked.u.multi.count = job->parts_done;
    ferry_job_finish(job, status);
}

static void part_over(struct ferry_job *job, int status)
{
    if (status == FERRY_OK) {
        job->parts_done++;
    } else {
        job->parts_status = status;
    }
    if (--job->parts_left == 0) {
        end(job);
    }
}

void ferry_multi_part_done(struct ferry_job *part, int status)
{
    struct ferry_job *job = part->parent;

    part->parent = NULL;
    ferry_job_release(part);
    part_over(job, status);
}

static int start_part(struct ferry_job *job, const uint8_t *bytes)
{
    struct ferry_connection *connection = job->connection;
    struct ferry_wire_write write;
    struct ferry_job *part;

    if (connection->phase == FERRY_CONNECTION_DEAD) {
        return FERRY_E_CLOSED;
    }
    if (connection->pending_count >= FERRY_SERVER_PENDING_MAX) {
        return FERRY_E_LIMIT;
    }
    part = ferry_job_get(connection);
    if (!part) {
        return FERRY_E_MEMORY;
    }
    ferry_wire_write_decode(bytes, &write);
    memset(&part->asked, 0, sizeof(part->asked));
    memcpy(part->small, write.data, sizeof(write.data));
    part->asked.command = FERRY_WIRE_REGION_WRITE;
    part->asked.posted = 1;
    part->asked.data = part->small;
    part->asked.data_bytes = write.count;
    part->asked.u.io.off = write.off;
    part->asked.u.io.region = write.region;
    part->asked.u.io.count = write.count;
    part->parent = job;
    /* Its data is the job's own memory: nothing of the message has to be held. */
    ferry_job_run(part);
    return FERRY_PENDING;
}

void ferry_multi_start(struct ferry_job *job)
{
    const uint8_t *bytes = job->asked.data;
    uint32_t count = (uint32_t)job->asked.u.multi.count;

    job->parts_done = 0;
    job->parts_status = FERRY_OK;
    job->parts_left = count + 1; /* the parts, and this loop */
    for (uint32_t i = 0; i < count; i++) {
        int rc = start_part(job, bytes + (size_t)i * FERRY_WIRE_WRITE_BYTES);

        if (rc != FERRY_PENDING) {
            part_over(job, rc);
        }
    }
    if (--job->parts_left == 0) {
        end(job);
    }
}
