/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_CHECK_RIG_WIRE_H
#define FERRY_TESTS_CHECK_RIG_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "wire/command.h"
#include "wire/header.h"

/*
 * A relay between a vfio-user client and a server, through which each message goes under
 * a mutant's eyes (check_mutant.wire). It has a thread of its own, on which the hook
 * runs.
 */

#define WIRE_FDS_MAX 64
#define WIRE_VARS 16u
#define WIRE_MESSAGE_MAX (64u << 20)
#define WIRE_ROOM 65536u /* by which a message may grow */

/* One message; the hook changes it in place. */
struct wire_message {
    uint32_t from_client;            /* 1: on its way to the device */
    struct ferry_wire_header header; /* changed fields go into the message, but for the
                                        size: that is what `size` says */
    uint8_t *payload;                /* behind the header */
    uint32_t size;                   /* of the payload; may grow by WIRE_ROOM */
    int fd[WIRE_FDS_MAX];            /* -1 takes one away (it is closed) */
    uint32_t fd_count;
    uint32_t drop; /* 1: it does not go on */
};

struct mutant_wire {
    uint64_t var[WIRE_VARS]; /* the hook's own; kept over connections */
    void (*hook)(struct mutant_wire *wire, struct wire_message *message);
    /* wire.c's own */
    struct mutant_relay *relay;
};

/* An answer to that command: of a reply's message. */
int wire_is_reply_to(const struct wire_message *message, uint32_t command);
/* A command on its way to the device. */
int wire_is_command(const struct wire_message *message, uint32_t command);
/* The reply becomes an Error reply with that errno number. */
void wire_fail(struct wire_message *message, uint32_t number);
/* Sends another message, before the one that the hook was called for goes on.
 * to_client: 0 to the device. The header's size is set. */
void wire_send(struct mutant_wire *wire, int to_client,
               const struct ferry_wire_header *header, const void *payload,
               uint32_t size);
/* Closes the connection when the hook returns. */
void wire_close(struct mutant_wire *wire);
/* Fields of a payload, little endian. The field lies in it (asserted). */
uint32_t wire_get32(const struct wire_message *message, uint32_t off);
uint64_t wire_get64(const struct wire_message *message, uint32_t off);
void wire_put32(struct wire_message *message, uint32_t off, uint32_t value);
void wire_put64(struct wire_message *message, uint32_t off, uint64_t value);

/* -- For the rig -- */

/* Relays what connects at path to the server at to. Both are copied. */
struct mutant_relay *relay_start(const char *path, const char *to,
                                 void (*hook)(struct mutant_wire *wire,
                                              struct wire_message *message));
void relay_stop(struct mutant_relay *relay);

#endif
