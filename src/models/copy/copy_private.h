/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_COPY_COPY_PRIVATE_H
#define FERRY_MODELS_COPY_COPY_PRIVATE_H

#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#include "ferry/device.h"
#include "models/copy/copy_regs.h"
#include "models/copy/copy_stream.h"

struct copy_channel {
    uint64_t ring, done_ring;
    uint32_t entries;
    uint32_t control;
    uint32_t vector;
    uint32_t error; /* enum copy_channel_error */
    uint32_t head, tail, done;
    uint32_t busy; /* current is in hand */
    struct copy_descriptor current;
    uint64_t progress;  /* bytes of it that are done */
    uint32_t interrupt; /* due at the end of the slice */
    uint32_t pad;
};

/* What is known about the pages of the device memory while they are being saved. */
struct copy_pages {
    XXH128_hash_t *hash; /* of the page as it was sent; pages below `known` */
    uint64_t *dirty;     /* bit: written by the engine since it was sent */
    uint64_t *unsure;    /* bit: not found equal since it was sent */
    XXH128_hash_t zero_hash;
    uint64_t known; /* pages of the first pass so far */
};

enum copy_save_phase {
    COPY_SAVE_NONE = 0,
    COPY_SAVE_MATCH,
    COPY_SAVE_INITIAL, /* the first pass over all pages */
    COPY_SAVE_DIRTY,   /* pages that the engine wrote */
    COPY_SAVE_HASH,    /* a slice of all pages, compared by their hashes */
    COPY_SAVE_FINAL,   /* stopped: the last pass begins */
    COPY_SAVE_PAGES,
    COPY_SAVE_STATE,
    COPY_SAVE_END,
    COPY_SAVE_DONE
};

struct copy_save {
    struct copy_pages pages;
    XXH3_state_t *hash; /* of the stream so far */
    uint8_t *chunk;     /* a record that did not fit into the caller's buffer */
    uint32_t chunk_bytes, chunk_off;
    const uint8_t *lent; /* pages of the device memory that come behind the chunk */
    uint64_t lent_bytes;
    uint32_t phase;       /* enum copy_save_phase */
    uint32_t final;       /* 1: stopped, what is sent now is the last word */
    uint32_t budget;      /* pages that this call may still look at */
    uint32_t lending;     /* 1: pages of the record that is made stay where they are */
    uint64_t rest_ns;     /* no new look for changes before that time */
    uint64_t cursor;      /* next page of the present pass */
    uint64_t hash_cursor; /* next page to compare */
    uint64_t bytes;       /* of the stream so far */
};

struct copy_load {
    XXH3_state_t *hash;
    uint64_t *touched;         /* bit: the page was written */
    uint32_t need, have;       /* bytes of `buffer` wanted and there */
    uint32_t phase;            /* enum copy_load_phase */
    int32_t status;            /* the first thing that was wrong, or FERRY_OK */
    struct copy_record record; /* the present record's header */
    uint64_t page_off;         /* of a data record: where the next byte goes */
    uint64_t page_left;        /* of a data record: bytes that are to come */
    uint64_t final_page;       /* the last pass: next page that must come */
    uint32_t final;
    uint32_t pad;
    uint64_t bytes;
    uint8_t buffer[COPY_BUFFER_BYTES];
    struct copy_channel channel[COPY_CHANNELS_MAX]; /* judged, not yet in force */
};

struct copy {
    struct ferry_device *device;
    uint8_t *memory;
    uint64_t memory_bytes;
    uint64_t page_count;
    uint32_t channel_count;
    uint32_t next_channel; /* whose turn it is */
    struct copy_channel channel[COPY_CHANNELS_MAX];
    struct copy_save save;
    struct copy_load load;
};

/* copy_engine.c */

/* A slice of work. Return: 1 when there is more. */
int copy_engine_work(struct copy *copy);

/* Brings a channel into the state after power-on. */
void copy_channel_reset(struct copy_channel *channel);

/* 1 when rings and entries are ones that can be enabled. */
int copy_channel_valid(const struct copy_channel *channel);

/* Judges a descriptor. Return: enum copy_status. */
uint32_t copy_descriptor_check(const struct copy *copy,
                               const struct copy_descriptor *descriptor);

/* copy_registers.c: accesses to BAR0. Widths that do not exist are ignored. */
void copy_registers_read(const struct copy *copy, uint64_t off, void *ret_data,
                         size_t count);
void copy_registers_write(struct copy *copy, uint64_t off, const void *data,
                          size_t count);

/* copy_save.c, copy_pages.c */

/* Return: FERRY_OK, FERRY_E_MEMORY. precopy: 1 when the device goes on running. */
int copy_save_begin(struct copy *copy, int precopy);
/* The device has stopped: what comes now is the last pass. */
void copy_save_freeze(struct copy *copy);
void copy_save_end(struct copy *copy);
int copy_save_read(struct copy *copy, void *ret_data, size_t cap);
/* The same when the device has stopped: pages are named where they lie. */
int copy_save_lend(struct copy *copy, void *buffer, size_t cap, const void **ret_data);
void copy_save_info(const struct copy *copy, struct ferry_device_precopy *ret_info);
uint64_t copy_save_size(const struct copy *copy);

int copy_pages_begin(struct copy *copy);
void copy_pages_end(struct copy_pages *pages);
/* The engine wrote there. Costs nothing when nothing is being saved. */
void copy_pages_mark(struct copy *copy, uint64_t off, uint64_t size);
/* What would be sent of a page now: a COPY_REC_DATA, _ZERO or _EQUAL. */
uint32_t copy_pages_peek(const struct copy *copy, uint64_t page);
/* The page goes into the stream as `kind`; data is copied to ret_page. NULL: it goes from
 * where it lies, and nobody writes to it any more. */
void copy_pages_take(struct copy *copy, uint64_t page, uint32_t kind, uint8_t *ret_page);
/* The first page at or after `page` that the engine wrote; page_count for none. */
uint64_t copy_pages_next_dirty(const struct copy *copy, uint64_t page);
/* Pages at or after `from` that may have to be sent again; of them those marked dirty. */
uint64_t copy_pages_unsure(const struct copy *copy, uint64_t from);
uint64_t copy_pages_dirty(const struct copy *copy);

/* copy_load.c */

/* Return: FERRY_OK, FERRY_E_MEMORY. */
int copy_load_begin(struct copy *copy);
int copy_load_write(struct copy *copy, const void *data, size_t count);
/* Where the next bytes belong. Return: how many, at most `most`; 0: nowhere. */
size_t copy_load_place(struct copy *copy, size_t most, uint8_t **ret_place);
/* Brings what was loaded into force. Return: FERRY_OK or what is wrong with it. */
int copy_load_finish(struct copy *copy);
void copy_load_end(struct copy *copy);

#endif
