/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic_peer.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "models/nic/net/net.h"
#include "must.h"

#define LENGTH 4u
#define FRAME_MAX 0x10000u

void nic_peer_send(struct nic_peer *peer, const uint8_t *bytes, size_t count)
{
    if (peer->fd >= 0 && peer->sent < NIC_PEER_BYTES_MAX) {
        const ssize_t sent = send(peer->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);

        peer->sent += sent > 0 ? (uint64_t)sent : 0;
    }
}

void nic_peer_frame(struct nic_peer *peer, uint32_t bytes, const uint8_t *given,
                    uint32_t count)
{
    static uint8_t frame[LENGTH + FRAME_MAX];
    const uint32_t length = htonl(bytes);

    must(bytes <= FRAME_MAX && count <= FRAME_MAX);
    memset(frame, 0, LENGTH + bytes);
    memcpy(frame + LENGTH, given, count < bytes ? count : bytes);
    memcpy(frame, &length, sizeof(length));
    nic_peer_send(peer, frame, LENGTH + bytes);
}

static void look_at(struct nic_peer *peer, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        size_t some = 1;

        if (peer->frame_left > 0) {
            some = count < peer->frame_left ? count : peer->frame_left;
            peer->frame_left -= (uint32_t)some;
        } else {
            peer->head[peer->head_bytes++] = *bytes;
        }
        bytes += some;
        count -= some;
        if (peer->head_bytes == LENGTH) {
            uint32_t length;

            memcpy(&length, peer->head, sizeof(length));
            peer->head_bytes = 0;
            peer->frame_left = ntohl(length);
            peer->frames++;
            must(peer->frame_left >= NIC_FRAME_MIN && peer->frame_left <= NIC_FRAME_MAX);
        }
    }
}

void nic_peer_receive(struct nic_peer *peer)
{
    static uint8_t bytes[1 << 16];
    ssize_t got = 1;

    while (peer->fd >= 0 && got > 0) {
        got = recv(peer->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        look_at(peer, bytes, got > 0 ? (size_t)got : 0);
    }
}

void nic_peer_hang_up(struct nic_peer *peer)
{
    if (peer->fd >= 0) {
        (void)close(peer->fd);
        peer->fd = -1;
    }
}
