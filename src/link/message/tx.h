/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_MESSAGE_TX_H
#define FERRY_LINK_MESSAGE_TX_H

#include <stddef.h>
#include <stdint.h>

#include "wire/message.h"

/*
 * The sending half of a stream of messages. Messages leave in the order in which they
 * were pushed, each out of memory of its owner, as far as the socket takes them.
 * Thread: not thread safe.
 */

struct ferry_tx_node {
    struct ferry_tx_node *next; /* the queue's own */
    size_t sent;                /* bytes that have left; the queue's own */
    const uint8_t *data;        /* behind the head; borrowed until it has left */
    size_t data_bytes;
    const int *fds; /* borrowed until the first byte has left */
    uint32_t fd_count;
    uint32_t head_bytes;
    uint8_t head[FERRY_WIRE_HEAD_MAX];
};

struct ferry_tx {
    struct ferry_tx_node *first, *last;
    uint64_t total; /* bytes that ever left: shows progress */
};

/* Appends; nothing is sent yet. node: borrowed until ferry_tx_flush() returns it. */
void ferry_tx_push(struct ferry_tx *tx, struct ferry_tx_node *node);

/*
 * Sends what the socket takes without waiting.
 * ret_left: list of the nodes that have left wholly, oldest first; NULL when none.
 * Return: FERRY_OK (the queue is empty), FERRY_E_AGAIN (some is left), or the code of
 *   the failed send (then *ret_left is still valid and the rest stays queued).
 */
int ferry_tx_flush(struct ferry_tx *tx, int fd, struct ferry_tx_node **ret_left);

/* Return: 1 when a node is queued: its bytes have not all left. */
int ferry_tx_has(const struct ferry_tx *tx, const struct ferry_tx_node *node);

/*
 * Takes a node back out of the queue.
 * Return: FERRY_OK; FERRY_E_BUSY (a part has left: the stream would break);
 *   FERRY_E_NOT_FOUND (it is not queued).
 */
int ferry_tx_remove(struct ferry_tx *tx, struct ferry_tx_node *node);

/* Empties the queue. Return: its nodes, oldest first. */
struct ferry_tx_node *ferry_tx_clear(struct ferry_tx *tx);

#endif
