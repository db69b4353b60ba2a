/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define MAC_BYTES 6u
#define HEADER_BYTES 14u
#define FRAME_MAX (65536u + HEADER_BYTES + 4u)
#define LENGTH_BYTES 4u
#define QUEUE_BYTES (1u << 20) /* towards one port; a switch that is full drops */
#define INPUT_BYTES (1u << 18)
#define ADDRESSES_MAX 64u
#define TAP_BATCH 64u /* frames that the host sends before the ports are served */
#define TYPE_ARP 0x0806u
#define TYPE_RARP 0x8035u
#define HOST HUB_PORTS_MAX /* the port with the TAP */

struct port {
    int fd; /* -1: free */
    size_t in_bytes, out_begin, out_bytes;
    uint8_t in[INPUT_BYTES];
    uint8_t out[QUEUE_BYTES];
};

struct address {
    uint8_t mac[MAC_BYTES];
    unsigned port;
};

struct hub {
    int listener, tap;
    struct hub_count *count;
    struct port *port;
    struct address address[ADDRESSES_MAX];
    size_t addresses;
};

static struct address *find(struct hub *hub, const uint8_t *mac)
{
    for (size_t i = 0; i < hub->addresses; i++) {
        if (memcmp(hub->address[i].mac, mac, MAC_BYTES) == 0) {
            return &hub->address[i];
        }
    }
    return NULL;
}

static void learn(struct hub *hub, unsigned from, const uint8_t *mac)
{
    struct address *known = find(hub, mac);

    if ((mac[0] & 1) != 0) {
        return;
    }
    if (known == NULL && hub->addresses < ADDRESSES_MAX) {
        known = &hub->address[hub->addresses++];
        memcpy(known->mac, mac, MAC_BYTES);
        known->port = from;
    }
    if (known != NULL && known->port != from) {
        known->port = from;
        atomic_fetch_add(&hub->count->moves, 1);
    }
}

static int is_announce(const uint8_t *frame, size_t bytes)
{
    const unsigned type = (unsigned)frame[12] << 8 | frame[13];

    /* In ARP for Ethernet and IPv4 the sender's address is at 14, the target's at 24. */
    return type == TYPE_RARP || (type == TYPE_ARP && bytes >= HEADER_BYTES + 28 &&
                                 memcmp(frame + 28, frame + 38, 4) == 0);
}

/* What the port takes now. */
static void flush(struct port *port)
{
    while (port->out_bytes > 0) {
        const ssize_t count = send(port->fd, port->out + port->out_begin, port->out_bytes,
                                   MSG_DONTWAIT | MSG_NOSIGNAL);

        if (count <= 0) {
            return; /* full; or gone, which its input tells */
        }
        port->out_begin += (size_t)count;
        port->out_bytes -= (size_t)count;
    }
    port->out_begin = 0;
}

static void queue(struct hub *hub, struct port *port, const uint8_t *frame, size_t bytes)
{
    const uint32_t length = htonl((uint32_t)bytes);

    if (port->out_begin > 0 &&
        port->out_begin + port->out_bytes + LENGTH_BYTES + bytes > QUEUE_BYTES) {
        memmove(port->out, port->out + port->out_begin, port->out_bytes);
        port->out_begin = 0;
    }
    if (port->out_bytes + LENGTH_BYTES + bytes > QUEUE_BYTES) {
        atomic_fetch_add(&hub->count->dropped, 1);
        return;
    }
    memcpy(port->out + port->out_begin + port->out_bytes, &length, LENGTH_BYTES);
    memcpy(port->out + port->out_begin + port->out_bytes + LENGTH_BYTES, frame, bytes);
    port->out_bytes += LENGTH_BYTES + bytes;
}

static void give(struct hub *hub, unsigned to, const uint8_t *frame, size_t bytes)
{
    if (to == HOST) {
        if (write(hub->tap, frame, bytes) < 0) {
            atomic_fetch_add(&hub->count->dropped, 1);
        }
    } else if (hub->port[to].fd >= 0) {
        queue(hub, &hub->port[to], frame, bytes);
    } else {
        atomic_fetch_add(&hub->count->dropped, 1);
    }
}

static void forward(struct hub *hub, unsigned from, const uint8_t *frame, size_t bytes)
{
    const struct address *known;

    learn(hub, from, frame + MAC_BYTES);
    if (is_announce(frame, bytes)) {
        atomic_fetch_add(&hub->count->announces, 1);
    }
    known = (frame[0] & 1) != 0 ? NULL : find(hub, frame);
    if (known != NULL) {
        if (known->port != from) {
            give(hub, known->port, frame, bytes);
        }
        return;
    }
    for (unsigned to = 0; to <= HOST; to++) {
        if (to != from && (to == HOST || hub->port[to].fd >= 0)) {
            give(hub, to, frame, bytes);
        }
    }
}

static void close_port(struct hub *hub, struct port *port)
{
    /* Whoever sees the end of the connection finds it counted. */
    atomic_fetch_sub(&hub->count->ports, 1);
    close(port->fd);
    port->fd = -1;
    port->in_bytes = port->out_begin = port->out_bytes = 0;
}

static void take_from_port(struct hub *hub, unsigned number)
{
    struct port *port = &hub->port[number];
    const ssize_t count = recv(port->fd, port->in + port->in_bytes,
                               INPUT_BYTES - port->in_bytes, MSG_DONTWAIT);
    size_t off = 0;

    if (count <= 0) {
        if (count == 0 || errno != EAGAIN) {
            close_port(hub, port);
        }
        return;
    }
    port->in_bytes += (size_t)count;
    while (port->in_bytes - off >= LENGTH_BYTES) {
        uint32_t length;

        memcpy(&length, port->in + off, LENGTH_BYTES);
        length = ntohl(length);
        if (length < HEADER_BYTES || length > FRAME_MAX) {
            atomic_fetch_add(&hub->count->malformed, 1);
            close_port(hub, port);
            return;
        }
        if (port->in_bytes - off - LENGTH_BYTES < length) {
            break;
        }
        atomic_fetch_add(&hub->count->frames_in, 1);
        forward(hub, number, port->in + off + LENGTH_BYTES, length);
        off += LENGTH_BYTES + length;
    }
    memmove(port->in, port->in + off, port->in_bytes - off);
    port->in_bytes -= off;
}

static void take_from_host(struct hub *hub)
{
    static uint8_t frame[FRAME_MAX];

    for (unsigned i = 0; i < TAP_BATCH; i++) {
        const ssize_t count = read(hub->tap, frame, sizeof(frame));

        if (count < (ssize_t)HEADER_BYTES) {
            return;
        }
        atomic_fetch_add(&hub->count->frames_out, 1);
        forward(hub, HOST, frame, (size_t)count);
    }
}

static void accept_port(struct hub *hub)
{
    const int fd = accept4(hub->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    for (unsigned i = 0; fd >= 0 && i < HUB_PORTS_MAX; i++) {
        if (hub->port[i].fd < 0) {
            hub->port[i].fd = fd;
            atomic_fetch_add(&hub->count->ports, 1);
            return;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

void hub_run(int listener, int tap, struct hub_count *count)
{
    struct hub hub = { .listener = listener, .tap = tap, .count = count };
    struct pollfd ready[HUB_PORTS_MAX + 2] = { { .fd = listener, .events = POLLIN },
                                               { .fd = tap, .events = POLLIN } };

    hub.port = calloc(HUB_PORTS_MAX, sizeof(*hub.port));
    for (unsigned i = 0; hub.port != NULL && i < HUB_PORTS_MAX; i++) {
        hub.port[i].fd = -1;
    }
    while (hub.port != NULL) {
        for (unsigned i = 0; i < HUB_PORTS_MAX; i++) {
            ready[i + 2].fd = hub.port[i].fd;
            ready[i + 2].events =
                (short)(POLLIN | (hub.port[i].out_bytes > 0 ? POLLOUT : 0));
        }
        if (poll(ready, HUB_PORTS_MAX + 2, -1) < 0) {
            continue;
        }
        for (unsigned i = 0; i < HUB_PORTS_MAX; i++) {
            if (ready[i + 2].fd >= 0 && (ready[i + 2].revents & ~POLLOUT) != 0) {
                take_from_port(&hub, i);
            }
        }
        if (ready[1].revents != 0) {
            take_from_host(&hub);
        }
        for (unsigned i = 0; i < HUB_PORTS_MAX; i++) {
            if (hub.port[i].fd >= 0) {
                flush(&hub.port[i]);
            }
        }
        if (ready[0].revents != 0) {
            accept_port(&hub);
        }
    }
    _exit(1);
}
