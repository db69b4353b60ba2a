/* SPDX-License-Identifier: BSD-3-Clause */
/* GET_REGION_IO_FDS in both roles: entries and the descriptors that they name. */
#include <string.h>

#include "link/message/codec.h"
#include "os/memory.h"

/* Only an ioeventfd can be used here; others name kernel objects that nobody knows. */
static int is_usable(const struct ferry_wire_io_fd *entry)
{
    return entry->type == FERRY_IO_FD_EVENT;
}

static void drop_entries(struct ferry_region_io_fds *out)
{
    for (uint32_t i = 0; i < out->count; i++) {
        ferry_os_close(&out->entry[i].fd);
    }
    out->count = 0;
}

int ferry_codec_take_io_fds(struct ferry_region_io_fds *out,
                            const struct ferry_wire_message *reply,
                            const struct ferry_os_fds *fds)
{
    const struct ferry_wire_io_fds *in = &reply->u.io_fds;
    uint32_t bytes = ferry_wire_io_fd_bytes(in->layout);

    out->count = 0;
    if (in->cut) {
        return FERRY_E_LIMIT;
    }
    for (uint32_t i = 0; i < in->count; i++) {
        struct ferry_wire_io_fd entry;
        struct ferry_io_fd *one = &out->entry[out->count];
        int rc;

        ferry_wire_io_fd_decode(reply->data + (size_t)i * bytes, in->layout, &entry);
        if (!is_usable(&entry)) {
            continue;
        }
        if (out->count == out->cap) {
            drop_entries(out);
            return FERRY_E_CAPACITY;
        }
        memset(one, 0, sizeof(*one));
        one->off = entry.off;
        one->size = entry.size;
        one->type = FERRY_IO_FD_EVENT;
        one->flags = entry.flags;
        one->datamatch = entry.datamatch;
        /* Entries may share a descriptor; each of the caller's is closed by itself. */
        rc = ferry_os_dup(fds->fd[entry.fd_index], &one->fd);
        if (rc != FERRY_OK) {
            drop_entries(out);
            return rc;
        }
        out->count++;
    }
    return FERRY_OK;
}

/* Return: the descriptor's place in ret_fds, max_fds when there is no room for it. */
static uint32_t place_of(int fd, int *ret_fds, uint32_t *count, uint32_t max_fds)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (ret_fds[i] == fd) {
            return i;
        }
    }
    if (*count < max_fds) {
        ret_fds[*count] = fd;
        return (*count)++;
    }
    return max_fds;
}

void ferry_codec_reply_io_fds(const struct ferry_region_io_fds *in, uint32_t layout,
                              uint32_t max_fds, uint8_t *ret_data, int *ret_fds,
                              struct ferry_wire_message *reply)
{
    struct ferry_wire_io_fds *out = &reply->u.io_fds;
    uint32_t bytes = ferry_wire_io_fd_bytes(layout);

    reply->reply = 1;
    reply->posted = 0;
    reply->fd_count = 0;
    out->layout = layout;
    out->count = 0;
    for (uint32_t i = 0; i < in->count && i < FERRY_WIRE_IO_FDS_MAX; i++) {
        const struct ferry_wire_io_fd entry = {
            .off = in->entry[i].off,
            .size = in->entry[i].size,
            .type = in->entry[i].type,
            .flags = in->entry[i].flags,
            .datamatch = in->entry[i].datamatch,
            .fd_index = place_of(in->entry[i].fd, ret_fds, &reply->fd_count, max_fds),
        };

        /* One whose descriptor cannot be sent is not told: its writes stay messages. */
        if (entry.fd_index < max_fds) {
            ferry_wire_io_fd_encode(&entry, layout,
                                    ret_data + (size_t)out->count++ * bytes);
        }
    }
    reply->data = ret_data;
    reply->data_bytes = out->count * bytes;
    if (out->argsz < 16 + reply->data_bytes) {
        out->cut = 1;
        out->argsz = 16 + reply->data_bytes;
        reply->data = NULL;
        reply->data_bytes = 0;
        reply->fd_count = 0;
    }
}
