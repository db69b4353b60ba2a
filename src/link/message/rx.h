/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_MESSAGE_RX_H
#define FERRY_LINK_MESSAGE_RX_H

#include <stddef.h>
#include <stdint.h>

#include "os/socket.h"

/*
 * The receiving half of a stream of messages: a buffer, and the descriptors that came
 * with the bytes. The kernel ends a receive behind the piece that carried descriptors,
 * so those of one receive belong to the message that holds its last byte.
 * Thread: not thread safe.
 */

#define FERRY_RX_START_BYTES 8192u

struct ferry_rx {
    uint8_t *buf;
    size_t cap;
    size_t start, end; /* bytes received and not yet consumed */
    uint64_t pos;      /* place in the stream of buf[start] */
    struct ferry_os_fds fds;
    /* Place behind the receive that brought fds.fd[i]. */
    uint64_t fd_end[FERRY_OS_FDS_MAX];
};

/* Return: FERRY_OK, FERRY_E_MEMORY. */
int ferry_rx_init(struct ferry_rx *rx);
/* Frees the buffer and closes the descriptors. */
void ferry_rx_free(struct ferry_rx *rx);

/* Bytes that are there, from ferry_rx_data() on. */
size_t ferry_rx_size(const struct ferry_rx *rx);
uint8_t *ferry_rx_data(const struct ferry_rx *rx);

/*
 * Makes room for a whole message of `bytes` bytes from ferry_rx_data() on; may move it.
 * Return: FERRY_OK, FERRY_E_MEMORY.
 */
int ferry_rx_reserve(struct ferry_rx *rx, size_t bytes);

/*
 * One receive from fd. With direct_bytes the buffer must be empty: the first bytes go
 * to `direct` and only what follows them into the buffer.
 * flags: FERRY_OS_WAIT or FERRY_OS_NOWAIT.
 * ret_direct: bytes that went to direct.
 * Return: bytes received, > 0, or ferry_os_receive()'s code.
 */
int ferry_rx_receive(struct ferry_rx *rx, int fd, void *direct, size_t direct_bytes,
                     uint32_t flags, size_t *ret_direct);

/* Drops the first `bytes` bytes (at most ferry_rx_size()). */
void ferry_rx_consume(struct ferry_rx *rx, size_t bytes);

/*
 * Takes the descriptors of the message in the first `bytes` bytes; the caller owns
 * them. To be called before these bytes are consumed.
 */
void ferry_rx_take_fds(struct ferry_rx *rx, size_t bytes, struct ferry_os_fds *ret_fds);

/*
 * Gives the buffer away so that pointers into its first `bytes` bytes stay good, and
 * goes on in a new one with the bytes behind them. The bytes are consumed.
 * ret_buf: to be freed by the caller.
 * Return: FERRY_OK, FERRY_E_MEMORY (nothing has changed).
 */
int ferry_rx_detach(struct ferry_rx *rx, size_t bytes, uint8_t **ret_buf);

#endif
