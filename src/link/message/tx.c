/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "link/message/tx.h"
#include "os/socket.h"

#define JOIN_BYTES 64u

void ferry_tx_push(struct ferry_tx *tx, struct ferry_tx_node *node)
{
    /* Little data is cheaper copied than sent as a piece of its own. */
    if (node->data_bytes > 0 && node->data_bytes <= JOIN_BYTES &&
        node->data_bytes <= sizeof(node->head) - node->head_bytes) {
        memcpy(node->head + node->head_bytes, node->data, node->data_bytes);
        node->head_bytes += (uint32_t)node->data_bytes;
        node->data_bytes = 0;
    }
    node->next = NULL;
    node->sent = 0;
    if (tx->last) {
        tx->last->next = node;
    } else {
        tx->first = node;
    }
    tx->last = node;
}

/* The next bytes of a node as at most two pieces. */
static size_t pieces(struct ferry_tx_node *node, struct iovec iov[2])
{
    union {
        const uint8_t *in;
        void *out;
    } cast = { .in = node->data };
    size_t off = node->sent;
    size_t count = 0;

    if (off < node->head_bytes) {
        iov[count].iov_base = node->head + off;
        iov[count++].iov_len = node->head_bytes - off;
        off = 0;
    } else {
        off -= node->head_bytes;
    }
    if (off < node->data_bytes) {
        iov[count].iov_base = (char *)cast.out + off;
        iov[count++].iov_len = node->data_bytes - off;
    }
    return count;
}

/*
 * The first messages of the queue, as many as one call takes. One with descriptors is
 * a call of its own: they would belong to whatever message the receiver's last byte is
 * of.
 */
static size_t gather(const struct ferry_tx *tx, struct iovec iov[FERRY_OS_PIECES_MAX])
{
    struct ferry_tx_node *node = tx->first;
    size_t count = pieces(node, iov);

    if (node->fd_count > 0) {
        return count;
    }
    for (node = node->next; node && count + 2 <= FERRY_OS_PIECES_MAX; node = node->next) {
        if (node->fd_count > 0) {
            break;
        }
        count += pieces(node, iov + count);
    }
    return count;
}

/* Takes off what has left wholly. Return: where the next list entry goes. */
static struct ferry_tx_node **take_sent(struct ferry_tx *tx, size_t bytes,
                                        struct ferry_tx_node **tail)
{
    struct ferry_tx_node *node;
    size_t left;

    tx->total += bytes;
    while (bytes > 0) {
        node = tx->first;
        left = node->head_bytes + node->data_bytes - node->sent;
        if (bytes < left) {
            node->sent += bytes;
            break;
        }
        bytes -= left;
        node->sent += left;
        tx->first = node->next;
        if (!tx->first) {
            tx->last = NULL;
        }
        node->next = NULL;
        *tail = node;
        tail = &node->next;
    }
    return tail;
}

int ferry_tx_flush(struct ferry_tx *tx, int fd, struct ferry_tx_node **ret_left)
{
    struct ferry_tx_node **tail = ret_left;
    struct ferry_tx_node *node;
    struct iovec iov[FERRY_OS_PIECES_MAX];
    size_t count;
    int rc;

    *ret_left = NULL;
    while (tx->first) {
        node = tx->first;
        count = gather(tx, iov);
        rc = ferry_os_send(fd, iov, count, node->sent == 0 ? node->fds : NULL,
                           node->sent == 0 ? node->fd_count : 0, FERRY_OS_NOWAIT);
        if (rc <= 0) {
            return rc;
        }
        tail = take_sent(tx, (size_t)rc, tail);
        if (tx->first && tx->first->sent > 0) {
            return FERRY_E_AGAIN; /* it took a part: it is full, no need to ask */
        }
    }
    return FERRY_OK;
}

int ferry_tx_has(const struct ferry_tx *tx, const struct ferry_tx_node *node)
{
    const struct ferry_tx_node *one = tx->first;

    while (one && one != node) {
        one = one->next;
    }
    return one != NULL;
}

int ferry_tx_remove(struct ferry_tx *tx, struct ferry_tx_node *node)
{
    struct ferry_tx_node **link = &tx->first;
    struct ferry_tx_node *before = NULL;

    while (*link && *link != node) {
        before = *link;
        link = &(*link)->next;
    }
    if (!*link) {
        return FERRY_E_NOT_FOUND;
    }
    if (node->sent > 0) {
        return FERRY_E_BUSY;
    }
    *link = node->next;
    if (tx->last == node) {
        tx->last = before;
    }
    node->next = NULL;
    return FERRY_OK;
}

struct ferry_tx_node *ferry_tx_clear(struct ferry_tx *tx)
{
    struct ferry_tx_node *first = tx->first;

    tx->first = tx->last = NULL;
    return first;
}
