/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_LINK_SCRIPT_H
#define FERRY_TEST_LINK_SCRIPT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "link/client/client.h"

/* A server that is a script in a thread, and a client that is connected to it. */

struct script {
    int fd;
    const char *version; /* JSON of VERSION's reply */
    uint16_t minor;
    /* Answers one message. Return: 0 to close the connection. */
    int (*answer)(struct script *script, const uint8_t *ask, size_t size);
    uint8_t out[8192];
    uint8_t ask[8192];
    atomic_int seen; /* messages */
    uint32_t status; /* of the client's answer to a DMA message */
    pthread_t thread;
};

extern struct script script;
extern struct ferry_client *client;

typedef int script_answer(struct script *script, const uint8_t *ask, size_t size);

/* Return: what ferry_client_from_fd() returns. */
int script_connect(script_answer *answer, const char *version, uint16_t minor);
/* A server with the extension; the connection comes about. */
void script_begin(script_answer *answer);
/* Closes and waits for the script. */
void script_end(void);

/* Sends a reply to `ask`. */
void script_reply(struct script *s, const uint8_t *ask, uint32_t flags,
                  const void *payload, size_t bytes);
/* A right reply to REGION_READ and GET_INFO: what shows that the connection lives. */
script_answer script_honest;

/* A region read of the client. */
int script_read(void *data, uint32_t count);

#endif
