/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_MIGRATE_TIMELINE_H
#define FERRY_HOST_MIGRATE_TIMELINE_H

#include "host/migrate/migration.h"

/*
 * The timeline of a migration for ferry_context_ops.trace: spans, points and figures,
 * made from the session's events and actions. Costs nothing when nobody traces.
 *
 * Thread: the loop's.
 */

/* An event is about to be taken, an action to be performed. */
void ferry_timeline_event(struct ferry_run *run, const struct ferry_event *event);
void ferry_timeline_action(struct ferry_run *run, const struct ferry_action *action);
/* The session is in another phase; ENDED ends the last one. */
void ferry_timeline_phase(struct ferry_run *run, const char *phase);
/* Figures of now. */
void ferry_timeline_progress(struct ferry_run *run,
                             const struct ferry_progress *progress);
/* One event that no session knows of, such as the first data of a device. */
void ferry_timeline_tell(struct ferry_run *run, uint32_t kind, uint32_t device,
                         const char *track, const char *name, uint64_t value);

#endif
