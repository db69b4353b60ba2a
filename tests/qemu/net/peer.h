/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_QEMU_PEER_H
#define FERRY_TESTS_QEMU_PEER_H

#include <stdint.h>

#include "../guest/guest.h"

/*
 * The other end of the guests' wires: a switch with a UNIX stream socket for each device
 * (QEMU's framing of Ethernet), and a host behind it with Linux's own TCP/IP, in a
 * network namespace of this process.
 */
#define PEER_INTERFACE "peer0"

/* tap.c: goes into a network namespace of its own, as root or in a user namespace, and
 * makes a TAP there. Return: its descriptor; -1 with what is missing in ret_why. */
int tap_open(char ret_why[160]);

/* hub.c: what the switch has counted; shared with the process that runs it. */
#define HUB_PORTS_MAX 16u
struct hub_count {
    _Atomic uint64_t ports;      /* connected now, without the host's */
    _Atomic uint64_t frames_in;  /* from the ports */
    _Atomic uint64_t frames_out; /* from the host */
    _Atomic uint64_t dropped;    /* a port's queue was full, or nobody was there */
    _Atomic uint64_t moves;      /* an address was seen at another port than before */
    _Atomic uint64_t announces;  /* RARP, or ARP that asks for the sender's own address */
    _Atomic uint64_t malformed;  /* a length that cannot be: the port was closed */
};
/*
 * Serves the socket at path, which listens. Address to port is learned from what the
 * ports send. Does not return.
 */
void hub_run(int listener, int tap, struct hub_count *count);

/* ping.c, scatter.c */
command command_ping, command_scatter;
/* The same for people, without the end of the line; the gap is the longest of all. */
void ping_show(void);
/* The Internet checksum of an even count of bytes, as it stands in a header. */
uint16_t checksum(const void *data, size_t bytes);

#endif
