/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_MIGRATION_PRIVATE_H
#define FERRY_MODELS_NIC_MIGRATION_PRIVATE_H

#include <xxhash.h>

#include "models/nic/migration/buffers.h"
#include "models/nic/migration/image.h"

/* A session of saving, or none (buffers not there). */
struct nic_save {
    struct nic_buffers buffers;
    XXH3_state_t *hash;  /* of the stream so far */
    uint64_t bytes;      /* of the stream so far */
    uint8_t *backlog;    /* the final image's, as one payload */
    const uint8_t *more; /* what of a payload did not fit into a buffer */
    uint64_t more_bytes;
    uint64_t backlog_bytes;
    uint64_t begun_ns;   /* when the last increment began */
    uint32_t tag;        /* the next record: enum nic_tag; NIC_TAGS: all is written */
    uint32_t final;      /* 1: stopped, what is sent now is the last word */
    uint32_t image_open; /* the hardware is to write what is left of an image */
    uint32_t initial;    /* 1: of the first image something was not read yet */
    uint32_t promised;   /* the user was told that there is more */
    uint32_t pad;
};

/* A session of loading, or none (hash not there). */
struct nic_load {
    XXH3_state_t *hash;
    uint64_t bytes;
    uint8_t *large; /* a payload that is taken whole: the backlog's */
    uint64_t large_bytes;
    uint64_t left;    /* of the payload that goes to *at or nowhere */
    uint8_t *at;      /* where its next byte goes; NULL: it is skipped */
    uint64_t page;    /* a record of pages: the first, */
    uint64_t max_age; /* of all entries so far */
    uint64_t record_bytes;
    uint32_t page_count; /* and how many; 0: it is none */
    uint32_t tag;        /* of the present record */
    uint32_t last;       /* the last one before it whose tag is known */
    uint32_t need, have; /* bytes of `buffer` wanted and there */
    uint32_t phase;      /* enum nic_load_phase */
    int32_t status;      /* the first thing that was wrong, or FERRY_OK */
    uint8_t buffer[NIC_SMALL_MAX];
    struct nic_image image;
};

struct nic_migration {
    struct nic *nic; /* borrowed */
    struct nic_save save;
    struct nic_load load;
    uint32_t announce; /* loaded, and did not run since */
    uint32_t pad;
};

/* --- save.c --- */

/* precopy: 1 when the device goes on running. Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_save_begin(struct nic_migration *migration, int precopy);
/* It has stopped: the rest is the final image. Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_save_freeze(struct nic_migration *migration);
void nic_save_end(struct nic_migration *migration);
/* The hardware writes the next piece of an image. Return: 1: there is more to write and
 * a buffer for it. */
int nic_save_hardware(struct nic_migration *migration);

/* --- load.c --- */

/* Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_load_begin(struct nic_migration *migration);
/* Brings what was loaded into force. Return: FERRY_OK or what is wrong with it. */
int nic_load_finish(struct nic_migration *migration);
void nic_load_end(struct nic_migration *migration);
int nic_load_write(struct nic_migration *migration, const void *data, size_t count);

#endif
