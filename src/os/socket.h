/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_SOCKET_H
#define FERRY_OS_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ferry/error.h"

/*
 * Stream sockets. Every socket that is made here is close-on-exec and in blocking mode:
 * a call that must not wait says FERRY_OS_NOWAIT, so that one socket serves a
 * synchronous caller and a loop with one system call a message.
 */

#define FERRY_OS_FDS_MAX 64u
#define FERRY_OS_PIECES_MAX 64u /* of one send or receive */
#define FERRY_OS_HOST_BYTES 256
#define FERRY_OS_UNIX_PATH_BYTES 108

#define FERRY_OS_WAIT 0u /* as long as the socket's limit says */
#define FERRY_OS_NOWAIT 1u

enum ferry_os_family { FERRY_OS_UNIX = 1, FERRY_OS_TCP = 2 };

struct ferry_os_address {
    uint32_t family; /* enum ferry_os_family */
    uint16_t port;   /* TCP; 0: the system chooses (listen) */
    uint16_t pad;
    char host[FERRY_OS_HOST_BYTES];      /* TCP: name or number, without brackets */
    char path[FERRY_OS_UNIX_PATH_BYTES]; /* UNIX, NUL-terminated */
};

/* Descriptors that came with a message; the receiver owns them. */
struct ferry_os_fds {
    uint32_t count;
    int fd[FERRY_OS_FDS_MAX];
};

/*
 * Reads "tcp:HOST:PORT" ("tcp:[::1]:4000" for IPv6) or "unix:PATH".
 * Return: FERRY_OK; FERRY_E_ARGUMENT (reterr says what is wrong); FERRY_E_LIMIT (too
 *   long).
 */
int ferry_os_address_parse(const char *text, struct ferry_os_address *ret_address,
                           struct ferry_error *reterr);

/* Where an address is, for messages: "PATH", "HOST:PORT" or "[HOST]:PORT". */
#define FERRY_OS_ADDRESS_BYTES (FERRY_OS_HOST_BYTES + FERRY_OS_UNIX_PATH_BYTES)
void ferry_os_address_text(const struct ferry_os_address *address,
                           char ret_text[FERRY_OS_ADDRESS_BYTES]);

/*
 * Listens. UNIX: a socket file that nobody listens on is replaced; any other file is
 * left alone. TCP: loopback addresses only, since nothing protects the connection.
 * ret_fd: the listener; the caller closes it (and removes the file of a UNIX one).
 * Return: FERRY_OK; FERRY_E_EXISTS (somebody listens, or a file that is no socket is
 *   there), FERRY_E_PERMISSION (also: not a loopback address), FERRY_E_NOT_FOUND,
 *   FERRY_E_LIMIT, FERRY_E_MEMORY, FERRY_E_IO.
 */
int ferry_os_listen(const struct ferry_os_address *address, int backlog, int *ret_fd,
                    struct ferry_error *reterr);

/* The port that a TCP listener has. Return: FERRY_OK, FERRY_E_IO. */
int ferry_os_listen_port(int fd, uint16_t *ret_port);

/*
 * Accepts one connection without waiting (TCP: with TCP_NODELAY).
 * Return: FERRY_OK; FERRY_E_AGAIN (none there), FERRY_E_LIMIT (out of descriptors),
 *   FERRY_E_MEMORY, FERRY_E_IO.
 */
int ferry_os_accept(int listener, int *ret_fd);

/*
 * Connects, waiting at most limit_ms (0: for ever). TCP: any address, every address of
 * a name is tried in turn, TCP_NODELAY is set. (A name is looked up by the system's
 * resolver, whose own limits hold.)
 * Return: FERRY_OK; FERRY_E_NOT_FOUND (no such file, name or listener),
 *   FERRY_E_TIMEOUT, FERRY_E_PERMISSION, FERRY_E_LIMIT, FERRY_E_IO.
 */
int ferry_os_connect(const struct ferry_os_address *address, uint32_t limit_ms,
                     int *ret_fd, struct ferry_error *reterr);

/*
 * Return: 1 when a stream socket listens, 0 when it does not; FERRY_E_ARGUMENT when fd
 *   is not a stream socket.
 */
int ferry_os_listens(int fd);

/* A connected pair of UNIX stream sockets. */
int ferry_os_socketpair(int *ret_a, int *ret_b);

/*
 * Limit of one waiting receive / send. limit_ms 0: no limit.
 * Return: FERRY_OK, FERRY_E_IO.
 */
int ferry_os_receive_limit(int fd, uint32_t limit_ms);
int ferry_os_send_limit(int fd, uint32_t limit_ms);

/* Bytes that may wait in the socket on their way out, as far as the system permits. */
void ferry_os_room(int fd, uint32_t bytes);

/* Ends both directions; the peer and whoever waits on it see the end. */
void ferry_os_shutdown(int fd);

/*
 * Sends bytes, and descriptors with the first of them, in one call.
 * iov: at most FERRY_OS_PIECES_MAX, not all empty. fds: fd_count descriptors, borrowed,
 * sent whenever at least one byte is: a caller that goes on after a partial send gives
 *   none.
 * Return: bytes sent, > 0, perhaps fewer than given; FERRY_E_AGAIN (FERRY_OS_NOWAIT: no
 *   room), FERRY_E_TIMEOUT (the send limit ran out and nothing was sent),
 *   FERRY_E_CLOSED, FERRY_E_FDS (more than FERRY_OS_FDS_MAX, or a descriptor that is
 *   not open), FERRY_E_ARGUMENT, FERRY_E_IO. Never raises SIGPIPE.
 */
int ferry_os_send(int fd, const struct iovec *iov, size_t iov_count, const int *fds,
                  uint32_t fd_count, uint32_t flags);

/*
 * Receives what is there, at least one byte, with descriptors.
 * ret_fds: descriptors are added behind those it holds; NULL: none are expected.
 * Return: bytes received, > 0; FERRY_E_AGAIN (FERRY_OS_NOWAIT: nothing there),
 *   FERRY_E_TIMEOUT (the receive limit ran out), FERRY_E_CLOSED (the peer closed),
 *   FERRY_E_FDS (more descriptors than fit: all that came with this call are closed and
 *   its bytes are lost, so the connection is of no more use), FERRY_E_ARGUMENT,
 *   FERRY_E_IO.
 */
int ferry_os_receive(int fd, const struct iovec *iov, size_t iov_count,
                     struct ferry_os_fds *ret_fds, uint32_t flags);

/* Closes all descriptors that *fds holds and empties it. */
void ferry_os_fds_close(struct ferry_os_fds *fds);

/*
 * Waits until a descriptor is readable (FERRY_OS_POLL_READ) or writable, at most
 * limit_ms (0: does not wait).
 * Return: FERRY_OK, FERRY_E_TIMEOUT, FERRY_E_IO. A closed peer counts as readable.
 */
#define FERRY_OS_POLL_READ 1u
#define FERRY_OS_POLL_WRITE 2u
int ferry_os_poll(int fd, uint32_t what, uint32_t limit_ms);
/* The same for whichever of two is ready first. other: -1 for none. */
int ferry_os_poll_two(int fd, uint32_t what, int other, uint32_t other_what,
                      uint32_t limit_ms);

#endif
