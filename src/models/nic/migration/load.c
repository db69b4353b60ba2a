/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "models/le.h"
#include "models/nic/migration/migration_private.h"

enum nic_load_phase {
    LOAD_HEADER = 0,
    LOAD_PAYLOAD, /* into the buffer */
    LOAD_RUN,     /* what a record of pages says of them */
    LOAD_LONG,    /* into the table, into `large`, or nowhere */
    LOAD_DONE
};

int nic_load_begin(struct nic_migration *migration)
{
    struct nic_load *load = &migration->load;

    nic_load_end(migration);
    load->hash = XXH3_createState();
    if (load->hash == NULL) {
        return FERRY_E_MEMORY;
    }
    (void)XXH3_64bits_reset(load->hash);
    nic_image_init(&load->image, migration->nic);
    load->need = NIC_RECORD_BYTES;
    return FERRY_OK;
}

void nic_load_end(struct nic_migration *migration)
{
    struct nic_load *load = &migration->load;

    (void)XXH3_freeState(load->hash);
    free(load->large);
    memset(load, 0, sizeof(*load));
}

static int expect(struct nic_load *load, enum nic_load_phase phase, uint32_t need)
{
    load->phase = phase;
    load->need = need;
    load->have = 0;
    return FERRY_OK;
}

static int expect_long(struct nic_load *load, uint8_t *at, uint64_t bytes)
{
    load->phase = LOAD_LONG;
    load->at = at;
    load->left = bytes;
    return bytes != 0 ? FERRY_OK : expect(load, LOAD_HEADER, NIC_RECORD_BYTES);
}

/* 1 when a record may come here: each kind in its place, none left out. */
static int in_order(const struct nic_load *load, uint32_t tag)
{
    if (tag == NIC_TAG_FLOWS) {
        return load->last >= NIC_TAG_MATCH && load->last <= NIC_TAG_FLOWS;
    }
    if (tag == NIC_TAG_TRANSPORT) {
        return load->last >= NIC_TAG_MATCH && load->last <= NIC_TAG_FLOWS;
    }
    return load->last == tag - 1;
}

static int take_long_header(struct nic_load *load, uint64_t bytes)
{
    if (bytes > NIC_BACKLOG_IMAGE_BYTES_MAX) {
        return FERRY_E_LIMIT;
    }
    load->large = malloc(bytes != 0 ? (size_t)bytes : 1);
    if (load->large == NULL) {
        return FERRY_E_MEMORY;
    }
    load->large_bytes = bytes;
    return expect_long(load, load->large, bytes);
}

/* A record of a later version that this one may do without. */
static int skip(struct nic_load *load, uint64_t bytes, uint32_t flags)
{
    if (flags != NIC_RECORD_OPTIONAL) {
        return FERRY_E_VERSION;
    }
    if (bytes > NIC_SKIP_MAX) {
        return FERRY_E_LIMIT;
    }
    return expect_long(load, NULL, bytes);
}

/* A whole header is there: what follows it? */
static int take_header(struct nic_migration *migration)
{
    struct nic_load *load = &migration->load;
    const uint64_t bytes = le_get64(load->buffer);
    const uint32_t flags = le_get32(load->buffer + 8);
    const uint32_t tag = le_get32(load->buffer + 12);

    if (load->last == 0 &&
        (tag != NIC_TAG_MATCH || bytes != NIC_MATCH_BYTES || flags != 0)) {
        return FERRY_E_FOREIGN;
    }
    if (tag == 0 || tag >= NIC_TAGS) {
        return skip(load, bytes, flags);
    }
    if (!in_order(load, tag) ||
        flags != (tag == NIC_TAG_SIZE ? NIC_RECORD_OPTIONAL : 0)) {
        return FERRY_E_CORRUPT;
    }
    load->tag = tag;
    load->last = tag;
    load->record_bytes = bytes;
    if (tag == NIC_TAG_FLOWS) {
        return expect(load, LOAD_RUN, NIC_FLOWS_BYTES);
    }
    if (tag == NIC_TAG_BACKLOG) {
        return take_long_header(load, bytes);
    }
    if (bytes !=
        (tag == NIC_TAG_END ? NIC_END_BYTES : nic_image_bytes(migration->nic, tag))) {
        return FERRY_E_CORRUPT;
    }
    return expect(load, LOAD_PAYLOAD, (uint32_t)bytes);
}

/* Which pages come now. */
static int take_run(struct nic_migration *migration)
{
    struct nic_load *load = &migration->load;
    struct nic_flows *flows = migration->nic->flows;
    const uint64_t page = le_get64(load->buffer);
    const uint32_t count = le_get32(load->buffer + 8);
    const uint64_t bytes = (uint64_t)count * NIC_FLOWS_PAGE;

    if (count == 0 || count > NIC_FLOWS_RUN || page >= nic_flows_pages(flows) ||
        count > nic_flows_pages(flows) - page || le_get32(load->buffer + 12) != 0 ||
        load->record_bytes != NIC_FLOWS_BYTES + bytes) {
        return FERRY_E_CORRUPT;
    }
    load->page = page;
    load->page_count = count;
    return expect_long(load, nic_flows_place(flows, page, count), bytes);
}

static int take_payload(struct nic_load *load)
{
    int status;

    if (load->tag == NIC_TAG_END) {
        load->phase = LOAD_DONE;
        return le_get64(load->buffer) == load->bytes - NIC_RECORD_BYTES - NIC_END_BYTES &&
                       le_get64(load->buffer + 8) == XXH3_64bits_digest(load->hash)
                   ? FERRY_OK
                   : FERRY_E_CORRUPT;
    }
    status = nic_image_read(&load->image, load->tag, load->buffer);
    if (status == FERRY_OK && load->tag == NIC_TAG_TABLE &&
        load->image.flows.frames < load->max_age) {
        status = FERRY_E_CORRUPT; /* an entry from the future */
    }
    (void)expect(load, LOAD_HEADER, NIC_RECORD_BYTES);
    return status;
}

/* The pages of a record are in the table: can they be there? */
static int take_pages(struct nic_migration *migration)
{
    struct nic_load *load = &migration->load;
    int status = FERRY_OK;

    for (uint32_t i = 0; i < load->page_count; i++) {
        if (!nic_flows_page_valid(migration->nic->flows, load->page + i,
                                  &load->max_age)) {
            status = FERRY_E_CORRUPT;
        }
    }
    load->page_count = 0;
    return status;
}

static int take_whole(struct nic_migration *migration)
{
    struct nic_load *load = &migration->load;

    switch ((enum nic_load_phase)load->phase) {
    case LOAD_HEADER:
        return take_header(migration);
    case LOAD_RUN:
        return take_run(migration);
    case LOAD_PAYLOAD:
        return take_payload(load);
    case LOAD_LONG:
    case LOAD_DONE:
        break;
    }
    return FERRY_OK;
}

/* The stream's hash is not part of what is hashed. */
static size_t hashed(const struct nic_load *load, size_t part)
{
    const size_t before = NIC_END_BYTES - 8;

    if (load->phase != LOAD_PAYLOAD || load->tag != NIC_TAG_END) {
        return part;
    }
    if (load->have >= before) {
        return 0;
    }
    return load->have + part > before ? before - load->have : part;
}

/* Takes bytes into the buffer, then judges them. Return: bytes used, or negative. */
static int64_t take_small(struct nic_migration *migration, const uint8_t *from,
                          size_t count)
{
    struct nic_load *load = &migration->load;
    const uint32_t left = load->need - load->have;
    const size_t part = count < left ? count : left;
    int status = FERRY_OK;

    if (from != load->buffer + load->have) { /* else it was put there at once */
        memcpy(load->buffer + load->have, from, part);
    }
    (void)XXH3_64bits_update(load->hash, load->buffer + load->have, hashed(load, part));
    load->have += (uint32_t)part;
    load->bytes += part;
    if (load->have == load->need) {
        status = take_whole(migration);
    }
    return status == FERRY_OK ? (int64_t)part : status;
}

static int64_t take_long(struct nic_migration *migration, const uint8_t *from,
                         size_t count)
{
    struct nic_load *load = &migration->load;
    const size_t part = count < load->left ? count : (size_t)load->left;
    int status = FERRY_OK;

    if (load->at != NULL) {
        if (from != load->at) {
            memcpy(load->at, from, part);
        }
        load->at += part;
    }
    (void)XXH3_64bits_update(load->hash, from, part);
    load->bytes += part;
    load->left -= part;
    if (load->left == 0) {
        status = take_pages(migration);
        (void)expect(load, LOAD_HEADER, NIC_RECORD_BYTES);
    }
    return status == FERRY_OK ? (int64_t)part : status;
}

int nic_load_write(struct nic_migration *migration, const void *data, size_t count)
{
    struct nic_load *load = &migration->load;
    const uint8_t *from = data;

    if (load->hash == NULL) {
        return FERRY_E_STATE;
    }
    while (count != 0 && load->status == FERRY_OK) {
        int64_t used = FERRY_E_LONG;

        if (load->phase != LOAD_DONE) {
            used = load->phase == LOAD_LONG ? take_long(migration, from, count)
                                            : take_small(migration, from, count);
        }
        if (used < 0) {
            load->status = (int32_t)used;
            break;
        }
        from += used;
        count -= (size_t)used;
    }
    return load->status;
}

size_t nic_migration_load_place(struct nic_migration *migration, size_t most,
                                void **ret_place)
{
    struct nic_load *load = &migration->load;
    uint64_t room = 0;

    if (load->hash == NULL || load->status != FERRY_OK || load->phase == LOAD_DONE) {
        return 0; /* the write hears why */
    }
    if (load->phase == LOAD_LONG) {
        room = load->at != NULL ? load->left : 0;
        *ret_place = load->at;
    } else {
        room = load->need - load->have;
        *ret_place = load->buffer + load->have;
    }
    return most < room ? most : (size_t)room;
}

int nic_migration_load_done(struct nic_migration *migration, size_t count)
{
    void *place = NULL;

    count = nic_migration_load_place(migration, count, &place);
    return nic_load_write(migration, place, count);
}

int nic_load_finish(struct nic_migration *migration)
{
    struct nic_load *load = &migration->load;
    struct nic *nic = migration->nic;

    if (load->status == FERRY_OK && load->phase != LOAD_DONE) {
        load->status = FERRY_E_SHORT;
    }
    if (load->status == FERRY_OK) {
        load->status = nic_backlog_image_read(nic->backlog, load->large,
                                              load->large_bytes, nic->config.pairs);
    }
    if (load->status != FERRY_OK) {
        return load->status;
    }
    nic_image_apply(&load->image, nic);
    nic_load_end(migration);
    return FERRY_OK;
}
