/* SPDX-License-Identifier: BSD-3-Clause */
#include "faces/v1/face.h"

/*
 * Memory of the device that users and peers reach without the device seeing it. A hash of
 * it, taken when the device is frozen, is compared at the end of its data.
 */

/* Hashes a slice. Return: as a step. */
static int hash_on(struct face *face, int status)
{
    struct face_watch *watch = &face->watch;
    uint64_t left = FACE_HASH_BYTES;

    (void)status;
    while (watch->at < watch->map_count && left > 0) {
        const struct ferry_os_map *map = &watch->map[watch->at];
        const uint64_t rest = map->size - watch->at_off;
        const uint64_t bytes = rest < left ? rest : left;

        ferry_stream_hash_update(&watch->hash, (const uint8_t *)map->data + watch->at_off,
                                 (size_t)bytes);
        left -= bytes;
        watch->at_off += bytes;
        if (watch->at_off == map->size) {
            watch->at++;
            watch->at_off = 0;
        }
    }
    if (watch->at < watch->map_count) {
        face->step = hash_on;
        return FACE_LATER;
    }
    return watch->hashed(face, FERRY_OK);
}

static int hash_all(struct face *face, face_step *hashed)
{
    face->watch.at = 0;
    face->watch.at_off = 0;
    face->watch.hashed = hashed;
    ferry_stream_hash_init(&face->watch.hash);
    return hash_on(face, FERRY_OK);
}

static int noted(struct face *face, int status)
{
    face->watch.first = ferry_stream_hash_digest(&face->watch.hash);
    face->watch.has_hash = 1;
    return face->watch.next(face, status);
}

static int map_area(struct face_watch *watch, const struct ferry_region_info *info,
                    uint64_t off, uint64_t bytes)
{
    if (watch->map_count == FACE_MAPS_MAX) {
        return FERRY_E_LIMIT;
    }
    return ferry_os_map_shared(info->fd, info->offset + off, bytes, FERRY_OS_MAP_READ,
                               &watch->map[watch->map_count++], NULL);
}

static int map_region(struct face *face, int status);

static int ask_region(struct face *face)
{
    while (face->watch.region < FACE_REGIONS_MAX &&
           (face->watched >> face->watch.region & 1) == 0) {
        face->watch.region++;
    }
    if (face->watch.region == FACE_REGIONS_MAX) {
        return hash_all(face, noted);
    }
    (void)face_ask(face, FERRY_RQ_GET_REGION_INFO, map_region);
    face->sub.u.region.index = face->watch.region;
    return FACE_ASK;
}

static int map_region(struct face *face, int status)
{
    const struct ferry_region_info *info = &face->sub.u.region;
    struct face_watch *watch = &face->watch;

    if (status == FERRY_OK && (info->flags & FERRY_REGION_MMAP) != 0 && info->fd >= 0) {
        if (info->area_count == 0) {
            status = map_area(watch, info, 0, info->size);
        }
        for (uint32_t i = 0; i < info->area_count && status == FERRY_OK; i++) {
            status = map_area(watch, info, info->area[i].off, info->area[i].size);
        }
    }
    if (status != FERRY_OK) {
        face_watch_forget(face);
        return watch->next(face, face_fail(face, status, "MIG-QUI-2",
                                           "the device's memory cannot be watched"));
    }
    watch->region++;
    return ask_region(face);
}

int face_watch_note(struct face *face, face_step *next)
{
    if (face->watch.has_hash) {
        return next(face, FERRY_OK);
    }
    face_watch_forget(face);
    face->watch.next = next;
    return ask_region(face);
}

static int compare(struct face *face, int status)
{
    const struct ferry_stream_digest now = ferry_stream_hash_digest(&face->watch.hash);
    const struct ferry_stream_digest *first = &face->watch.first;

    (void)status;
    return face->watch.next(face, now.low == first->low && now.high == first->high
                                      ? FERRY_OK
                                      : FERRY_E_CORRUPT);
}

int face_watch_compare(struct face *face, face_step *next)
{
    face->watch.next = next;
    return hash_all(face, compare);
}

void face_watch_forget(struct face *face)
{
    struct face_watch *watch = &face->watch;

    while (watch->map_count > 0) {
        ferry_os_unmap(&watch->map[--watch->map_count]);
    }
    watch->has_hash = 0;
    watch->region = 0;
}
