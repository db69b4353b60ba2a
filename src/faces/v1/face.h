/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FACES_V1_FACE_H
#define FERRY_FACES_V1_FACE_H

#include <stdint.h>

#include "core/stream/record.h"
#include "core/v1/region.h"
#include "core/v1/walk.h"
#include "ferry/face.h"
#include "link/endpoint.h"
#include "os/memory.h"

/*
 *   open.c     making one; what the device is
 *   face.c     the endpoint: what passes, what is answered here; reset
 *   job.c      accesses that take requests to the device: one at a time
 *   access.c   which access is what
 *   walk.c     writes of device_state, and the freeze
 *   save.c     reads of pending_bytes: the next piece of data
 *   load.c     writes of data_size: a piece is taken
 *   section.c  the data section in its three forms
 *   watch.c    has a peer written to the frozen device's memory?
 *
 * A job is a chain of steps. A step asks one request below and names the next step, or
 * wants to be called again by work(), or ends the job with a status.
 */

#define FACE_LAYER "face"
/* Accesses that wait for the one under way. */
#define FACE_QUEUE_MAX 64u
/* Device memory that is watched: mappable regions, and their parts. */
#define FACE_MAPS_MAX 64u
#define FACE_REGIONS_MAX 64u
/* One slice of hashing. */
#define FACE_HASH_BYTES (1u << 20)
/* How long a device may take to say what it is. */
#define FACE_OPEN_TIMEOUT_MS 5000

/* Results of a step besides a status. */
#define FACE_ASK 2   /* face->sub is to be asked; face->step goes on with its status */
#define FACE_LATER 3 /* work() calls face->step, with FERRY_OK */

struct face;
typedef int face_step(struct face *face, int status);

/* Memory behind data_offset. */
struct face_section {
    struct ferry_os_map map;  /* what users can map: [0, mapped) of the region */
    struct ferry_os_map own;  /* what they cannot: the rest */
    struct ferry_os_map work; /* of the piece that is on its way, out of a user's reach */
    int fd;                   /* of map; -1 */
    uint64_t begin, end;      /* offsets of the section in the region */
    uint64_t mapped;          /* the region's bytes up to here are in map */
    uint64_t used_end;        /* there may be data of the session up to here */
};

struct face_watch {
    struct ferry_os_map map[FACE_MAPS_MAX];
    uint32_t map_count;
    uint32_t has_hash; /* first is known */
    struct ferry_stream_digest first;
    struct ferry_stream_hash hash; /* of the pass that is under way */
    uint32_t at;                   /* map of that pass */
    uint64_t at_off;
    uint32_t region;   /* looked at so far */
    face_step *hashed; /* what comes after the pass */
    face_step *next;   /* what comes after noting or comparing */
};

struct face {
    struct ferry_endpoint endpoint; /* first: an endpoint is its face */
    uint32_t form;                  /* enum ferry_face_v1_form */
    struct ferry_device_info info;  /* of the device below */
    struct ferry_identity identity; /* as shown */
    uint64_t watched;               /* bit i: region i can be mapped, by peers too */
    uint64_t memory_bytes;          /* of them */
    uint32_t attached;

    struct ferry_v1_device device; /* v1: what device_state reads, without ERROR */
    uint32_t failed;               /* device_state reads as ERROR */

    /* The session's data. */
    uint64_t piece_bytes; /* in the section; 0: none */
    uint32_t told;        /* its data_size was read: pending_bytes then means "taken" */
    uint32_t ended;       /* the device said that there is no more */
    int spoilt;           /* no data can be had in this session: why; FERRY_OK */
    uint32_t turn;        /* transactions of this session */
    uint64_t rest_bytes;  /* estimate of what comes behind the piece */
    struct face_section section;
    struct face_watch watch;

    /* The access under way. */
    struct ferry_request *job; /* the user's request */
    uint32_t asked;            /* the device has sub */
    uint32_t later;            /* work() goes on */
    uint32_t parked;           /* sub is over; the job waits for a reset's end */
    uint32_t void_job;         /* a reset came: nothing of it matters any more */
    face_step *step;
    struct ferry_request sub;
    struct ferry_request *first, **last; /* accesses that wait */
    uint32_t waiting;
    uint32_t stale; /* the first so many of them came before a reset */

    /* The walk under way. */
    uint32_t path[FERRY_STATE_COUNT];
    uint32_t path_count, path_at;
    uint32_t wanted;   /* v1, of the write */
    uint32_t start;    /* the device's state before it */
    uint32_t cut;      /* the walk has ended a session of start */
    int walk_status;   /* why an arc failed */
    int write_status;  /* why the write failed from which it walks back */
    face_step *walked; /* what comes after the walk; with the arc's status */
    face_step *frozen; /* what comes after the freeze */
    struct ferry_request *resetting; /* the user's request while the device has reset */
    struct ferry_request reset;
    uint32_t before_reset; /* accesses that waited when it was asked for */
};

/* --- face.c --- */
extern const struct ferry_endpoint_ops face_ops;

/* --- job.c --- */
/* Performs an access, or lets it wait. Return: as submit. */
int face_job_submit(struct face *face, struct ferry_request *request);
/* In work(): goes on with what can. Return: 1 when there is more to do now. */
int face_job_work(struct face *face);
/* A reset took place: what the job was about is gone, and so for the first so many of
 * those that wait. */
void face_job_void(struct face *face, uint32_t waiting);
/* The user is gone: ends all that waits with FERRY_E_CLOSED. */
void face_job_close(struct face *face);
/* Prepares face->sub. Return: FACE_ASK. */
int face_ask(struct face *face, uint32_t kind, face_step *next);
/* The details of the job's failure. Return: status. */
int face_fail(struct face *face, int status, const char *rule, const char *what);

/* --- access.c --- */
/* The first step of an access to the region. Return: as a step. */
int face_access(struct face *face, int status);
/* The value that the job's read of a register gives. Return: FERRY_OK. */
int face_put(struct face *face, uint64_t value);

/* --- walk.c --- */
int face_write_state(struct face *face, uint32_t value);
int face_read_state(struct face *face);
/* To the frozen state, then `next` with FERRY_OK or the failure. Return: as a step. */
int face_freeze(struct face *face, face_step *next);
/* After a reset, and for a new user. */
void face_renew(struct face *face);

/* --- save.c --- */
int face_read_pending(struct face *face);

/* --- load.c --- */
int face_take_piece(struct face *face, uint64_t bytes);

/* --- section.c --- */
/* Memory for a user, zeroed. Return: FERRY_OK, FERRY_E_MEMORY, FERRY_E_IO. */
int face_section_open(struct face *face);
void face_section_close(struct face *face);
/* Describes the region. info->index is kept. */
void face_section_info(const struct face *face, struct ferry_region_info *info);
/* data_offset of this transaction. */
uint64_t face_section_offset(const struct face *face);
/* Copies between the section at `off` of the region and memory. */
void face_section_read(struct face *face, uint64_t off, void *ret_data, uint64_t bytes);
void face_section_write(struct face *face, uint64_t off, const void *data,
                        uint64_t bytes);
/* What is left of the session's data is wiped: it may hold secrets. */
void face_section_wipe(struct face *face);

/* --- watch.c --- */
/* Notes what is in the memory, unless that is known. Then `next`. */
int face_watch_note(struct face *face, face_step *next);
/* Compares; next is told FERRY_OK or FERRY_E_CORRUPT. */
int face_watch_compare(struct face *face, face_step *next);
/* The device runs or loads, or is another user's: what was noted is void. */
void face_watch_forget(struct face *face);

#endif
