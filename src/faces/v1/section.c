/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "faces/v1/face.h"

#define PAGE 4096u

_Static_assert(FERRY_V1_PIECE_MAX / 2 % PAGE == 0, "a piece may begin in the middle");

/* How the forms lie in the region: both ends of the section, and of what is mapped. */
static const struct {
    uint64_t begin, end, mapped;
} forms[] = {
    [FERRY_FACE_V1_TRAPPED] = { FERRY_V1_HEADER_BYTES,
                                FERRY_V1_HEADER_BYTES + FERRY_V1_PIECE_MAX, 0 },
    [FERRY_FACE_V1_MMAP] = { PAGE, PAGE + FERRY_V1_PIECE_MAX, PAGE + FERRY_V1_PIECE_MAX },
    [FERRY_FACE_V1_PARTITIONED] = { PAGE, PAGE + 2 * FERRY_V1_PIECE_MAX,
                                    PAGE + FERRY_V1_PIECE_MAX },
};

static int map_shared(struct face_section *section)
{
    const int status =
        ferry_os_memfd_create("ferry-v1-data", section->mapped, &section->fd);

    if (status != FERRY_OK) {
        return status;
    }
    return ferry_os_map_shared(section->fd, 0, section->mapped,
                               FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE, &section->map,
                               NULL);
}

int face_section_open(struct face *face)
{
    struct face_section *section = &face->section;
    int status = FERRY_OK;

    section->fd = -1;
    section->begin = forms[face->form].begin;
    section->end = forms[face->form].end;
    section->mapped = forms[face->form].mapped;
    if (section->mapped > 0) {
        status = map_shared(section);
    }
    if (status == FERRY_OK && section->end > section->mapped) {
        status = ferry_os_map_anonymous(
            (section->end - section->mapped + PAGE - 1) / PAGE * PAGE, &section->own);
    }
    if (status == FERRY_OK) {
        status = ferry_os_map_anonymous(FERRY_V1_PIECE_MAX, &section->work);
    }
    if (status != FERRY_OK) {
        face_section_close(face);
    }
    return status;
}

void face_section_close(struct face *face)
{
    face_section_wipe(face); /* who mapped it may keep it */
    ferry_os_unmap(&face->section.map);
    ferry_os_unmap(&face->section.own);
    ferry_os_unmap(&face->section.work);
    ferry_os_close(&face->section.fd);
}

void face_section_info(const struct face *face, struct ferry_region_info *info)
{
    const struct face_section *section = &face->section;

    *info = (struct ferry_region_info){ .index = info->index,
                                        .flags = FERRY_REGION_READ | FERRY_REGION_WRITE,
                                        .size = section->end,
                                        .type = FERRY_V1_REGION_TYPE,
                                        .subtype = FERRY_V1_REGION_SUBTYPE,
                                        .fd = FERRY_NO_REGION_FD };
    if (section->mapped > 0) {
        info->flags |= FERRY_REGION_MMAP;
        info->fd = section->fd;
        info->area_count = 1;
        info->area[0].off = section->begin;
        info->area[0].size = section->mapped - section->begin;
    }
}

/*
 * Partitioned: a piece lies in the mapped part, half in it and half behind it, or behind
 * it, in turn. Each place holds the longest piece.
 */
uint64_t face_section_offset(const struct face *face)
{
    uint64_t off = face->section.begin;

    if (face->form == FERRY_FACE_V1_PARTITIONED) {
        off += (uint64_t)(face->turn % 3) * (FERRY_V1_PIECE_MAX / 2);
    }
    return off;
}

/* The memory at an offset of the region; at most *bytes of it follow. */
static uint8_t *place(const struct face_section *section, uint64_t off, uint64_t *bytes)
{
    if (off >= section->mapped) {
        return (uint8_t *)section->own.data + (off - section->mapped);
    }
    if (*bytes > section->mapped - off) {
        *bytes = section->mapped - off;
    }
    return (uint8_t *)section->map.data + off;
}

/* Data may lie in the section up to this offset of the region, and in work as far. */
static void note_use(struct face_section *section, uint64_t end)
{
    section->used_end = end > section->used_end ? end : section->used_end;
}

void face_section_read(struct face *face, uint64_t off, void *ret_data, uint64_t bytes)
{
    uint8_t *to = ret_data;

    note_use(&face->section, off + bytes);
    while (bytes > 0) {
        uint64_t part = bytes;
        const uint8_t *from = place(&face->section, off, &part);

        memcpy(to, from, (size_t)part);
        to += part;
        off += part;
        bytes -= part;
    }
}

void face_section_write(struct face *face, uint64_t off, const void *data, uint64_t bytes)
{
    const uint8_t *from = data;

    note_use(&face->section, off + bytes);
    while (bytes > 0) {
        uint64_t part = bytes;
        uint8_t *to = place(&face->section, off, &part);

        memcpy(to, from, (size_t)part);
        from += part;
        off += part;
        bytes -= part;
    }
}

static void wipe(const struct ferry_os_map *map, uint64_t bytes)
{
    if (map->data != NULL) {
        memset(map->data, 0, bytes < map->size ? (size_t)bytes : map->size);
    }
}

void face_section_wipe(struct face *face)
{
    struct face_section *section = &face->section;

    wipe(&section->map, section->used_end);
    wipe(&section->work, section->used_end);
    if (section->used_end > section->mapped) {
        wipe(&section->own, section->used_end - section->mapped);
    }
    section->used_end = 0;
}
