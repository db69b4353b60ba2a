/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/check/mutants/mutants.h"

/* What breaks the rules of the data descriptor, over vfio-user. */

#define FEATURE_DATA_FD 0xfe03u
#define FEATURE_LEAVE 0xfe04u

static int is_about(const struct wire_message *message, uint32_t feature)
{
    return message->size >= 8 && (wire_get32(message, 4) & 0xffffu) == feature;
}

static int gives(const struct wire_message *message)
{
    return wire_is_reply_to(message, FERRY_WIRE_FEATURE) && message->fd_count == 1 &&
           message->size >= 24 && is_about(message, FEATURE_DATA_FD);
}

static void turn_direction(struct mutant_wire *wire, struct wire_message *message)
{
    (void)wire;
    if (gives(message)) {
        wire_put32(message, 16, 3 - wire_get32(message, 16));
    }
}

/* The client's end is one of a pair that nobody serves. */
static void give_dead_end(struct mutant_wire *wire, struct wire_message *message)
{
    int pair[2];

    if (gives(message) && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        if (wire->var[0] > 0) {
            (void)close((int)wire->var[0]);
        }
        wire->var[0] = (uint64_t)pair[1];
        (void)dup2(pair[0], message->fd[0]);
        (void)close(pair[0]);
    }
}

/* The same, with something to read in it. */
static void give_loud_end(struct mutant_wire *wire, struct wire_message *message)
{
    give_dead_end(wire, message);
    if (gives(message)) {
        (void)!write((int)wire->var[0], "x", 1);
    }
}

/* Somebody else holds the client's end as well, so that it never closes. */
static void keep_it_open(struct mutant_wire *wire, struct wire_message *message)
{
    if (gives(message)) {
        if (wire->var[0] > 0) {
            (void)close((int)wire->var[0]);
        }
        wire->var[0] = (uint64_t)dup(message->fd[0]);
    }
}

/* A refusal becomes an answer. */
static void succeed(struct wire_message *message, const void *payload, uint32_t size)
{
    message->header.flags &= ~(uint32_t)FERRY_WIRE_FLAG_ERROR;
    message->header.error = 0;
    memcpy(message->payload, payload, size);
    message->size = size;
}

static void read_beside(struct mutant_wire *wire, struct wire_message *message)
{
    const uint32_t empty[2] = { 8, 0 }; /* argsz, size */

    (void)wire;
    if (wire_is_reply_to(message, FERRY_WIRE_DATA_READ) &&
        (message->header.flags & FERRY_WIRE_FLAG_ERROR) != 0 &&
        message->header.error == 16) {
        succeed(message, empty, sizeof(empty));
    }
}

/* Whatever the device says to the state that came. */
static void leave_anyway(struct mutant_wire *wire, struct wire_message *message)
{
    if (wire_is_command(message, FERRY_WIRE_FEATURE) &&
        is_about(message, FEATURE_LEAVE) && message->size == 32) {
        wire->var[0] = message->header.id + 1u;
        memcpy(&wire->var[1], message->payload, 32);
    } else if (wire->var[0] == message->header.id + 1u &&
               wire_is_reply_to(message, FERRY_WIRE_FEATURE)) {
        wire->var[0] = 0;
        if ((message->header.flags & FERRY_WIRE_FLAG_ERROR) != 0) {
            succeed(message, &wire->var[1], 32);
        }
    }
}

const struct check_mutant mutants_socket[] = {
    { .name = "says the wrong direction of a data descriptor",
      .breaks = "the descriptor is the session's",
      .wire = turn_direction,
      .only = "datafd.given",
      .caught_by = "datafd.given" },
    { .name = "gives a data descriptor that leads nowhere",
      .breaks = "the session's data comes over it, and it ends with the session",
      .wire = give_dead_end,
      .timeout_ms = 100,
      .caught_by = "datafd.save datafd.load datafd.over datafd.wait",
      .also = "datafd.one" }, /* once the server has seen that its end is closed */
    { .name = "gives a data descriptor with something in it",
      .breaks = "nothing comes before it was asked for",
      .wire = give_loud_end,
      .only = "datafd.wait",
      .caught_by = "datafd.wait" },
    { .name = "keeps a data descriptor open that its user has closed",
      .breaks = "a session goes on when its descriptor is closed",
      .wire = keep_it_open,
      .timeout_ms = 200,
      .caught_by = "datafd.save" },
    { .name = "answers DATA_READ beside a data descriptor",
      .breaks = "there is one way for the data",
      .wire = read_beside,
      .caught_by = "datafd.one",
      .also = "datafd.save" },
    { .name = "leaves RESUMING by a data descriptor whatever came",
      .breaks = "a state that is not whole is refused",
      .wire = leave_anyway,
      .caught_by = "datafd.load" },
    { .name = NULL },
};
