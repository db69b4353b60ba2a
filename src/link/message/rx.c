/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "link/message/rx.h"

int ferry_rx_init(struct ferry_rx *rx)
{
    memset(rx, 0, sizeof(*rx));
    rx->buf = malloc(FERRY_RX_START_BYTES);
    if (!rx->buf) {
        return FERRY_E_MEMORY;
    }
    rx->cap = FERRY_RX_START_BYTES;
    return FERRY_OK;
}

void ferry_rx_free(struct ferry_rx *rx)
{
    ferry_os_fds_close(&rx->fds);
    free(rx->buf);
    rx->buf = NULL;
    rx->cap = rx->start = rx->end = 0;
}

size_t ferry_rx_size(const struct ferry_rx *rx)
{
    return rx->end - rx->start;
}

uint8_t *ferry_rx_data(const struct ferry_rx *rx)
{
    return rx->buf + rx->start;
}

int ferry_rx_reserve(struct ferry_rx *rx, size_t bytes)
{
    uint8_t *buf;

    if (bytes <= rx->cap - rx->start) {
        return FERRY_OK;
    }
    if (bytes > rx->cap) {
        buf = malloc(bytes);
        if (!buf) {
            return FERRY_E_MEMORY;
        }
        memcpy(buf, ferry_rx_data(rx), ferry_rx_size(rx));
        free(rx->buf);
        rx->buf = buf;
        rx->cap = bytes;
    } else {
        memmove(rx->buf, ferry_rx_data(rx), ferry_rx_size(rx));
    }
    rx->end -= rx->start;
    rx->start = 0;
    return FERRY_OK;
}

int ferry_rx_receive(struct ferry_rx *rx, int fd, void *direct, size_t direct_bytes,
                     uint32_t flags, size_t *ret_direct)
{
    struct iovec iov[2];
    size_t count = 0;
    size_t got;
    uint32_t i;
    int rc;

    if (rx->start == rx->end) {
        rx->start = rx->end = 0;
    }
    assert(direct_bytes == 0 || rx->end == 0);
    if (direct_bytes > 0) {
        iov[count].iov_base = direct;
        iov[count++].iov_len = direct_bytes;
    }
    if (rx->end < rx->cap) {
        iov[count].iov_base = rx->buf + rx->end;
        iov[count++].iov_len = rx->cap - rx->end;
    }
    *ret_direct = 0;
    if (count == 0) {
        /* Full of messages that wait for a reply to leave: they come first. */
        return FERRY_E_AGAIN;
    }
    i = rx->fds.count;
    rc = ferry_os_receive(fd, iov, count, &rx->fds, flags);
    if (rc <= 0) {
        return rc;
    }
    got = (size_t)rc;
    *ret_direct = got < direct_bytes ? got : direct_bytes;
    rx->pos += *ret_direct;
    rx->end += got - *ret_direct;
    for (; i < rx->fds.count; i++) {
        rx->fd_end[i] = rx->pos + ferry_rx_size(rx);
    }
    return rc;
}

void ferry_rx_consume(struct ferry_rx *rx, size_t bytes)
{
    assert(bytes <= ferry_rx_size(rx));
    rx->start += bytes;
    rx->pos += bytes;
}

void ferry_rx_take_fds(struct ferry_rx *rx, size_t bytes, struct ferry_os_fds *ret_fds)
{
    uint32_t taken = 0;
    uint32_t left;

    while (taken < rx->fds.count && rx->fd_end[taken] <= rx->pos + bytes) {
        ret_fds->fd[taken] = rx->fds.fd[taken];
        taken++;
    }
    ret_fds->count = taken;
    if (taken == 0) {
        return;
    }
    left = rx->fds.count - taken;
    memmove(rx->fds.fd, rx->fds.fd + taken, left * sizeof(rx->fds.fd[0]));
    memmove(rx->fd_end, rx->fd_end + taken, left * sizeof(rx->fd_end[0]));
    rx->fds.count = left;
}

int ferry_rx_detach(struct ferry_rx *rx, size_t bytes, uint8_t **ret_buf)
{
    size_t left = ferry_rx_size(rx) - bytes;
    size_t cap = left > FERRY_RX_START_BYTES ? left : FERRY_RX_START_BYTES;
    uint8_t *buf = malloc(cap);

    if (!buf) {
        return FERRY_E_MEMORY;
    }
    memcpy(buf, ferry_rx_data(rx) + bytes, left);
    *ret_buf = rx->buf;
    rx->buf = buf;
    rx->cap = cap;
    rx->start = 0;
    rx->end = left;
    rx->pos += bytes;
    return FERRY_OK;
}
