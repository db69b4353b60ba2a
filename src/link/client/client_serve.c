/* SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "link/client/client_inside.h"

/* Performs a DMA message without the lock: the memory's owner has locks of his own. */
static int perform(struct ferry_client *client, const struct ferry_wire_message *asked,
                   uint8_t *ret_data)
{
    const struct ferry_client_memory *memory = &client->memory;
    size_t size = (size_t)asked->u.dma.count;
    int rc = FERRY_E_UNSUPPORTED;

    pthread_mutex_unlock(&client->lock);
    if (asked->command == FERRY_WIRE_DMA_READ && memory->dma_read) {
        rc = memory->dma_read(memory->user, asked->u.dma.iova, ret_data, size);
    } else if (asked->command == FERRY_WIRE_DMA_WRITE && memory->dma_write) {
        rc = memory->dma_write(memory->user, asked->u.dma.iova, asked->data, size);
    }
    pthread_mutex_lock(&client->lock);
    return rc;
}

/* The whole answer; data: bytes that follow it in the same allocation. */
static struct ferry_return *new_return(size_t data)
{
    struct ferry_return *answer = malloc(sizeof(*answer) + data);

    if (answer) {
        memset(&answer->node, 0, offsetof(struct ferry_tx_node, head));
    }
    return answer;
}

static void refuse(struct ferry_return *answer, const struct ferry_wire_header *header,
                   int status)
{
    ferry_wire_error_encode(header, status, answer->node.head);
    answer->node.head_bytes = FERRY_WIRE_HEADER_BYTES;
    answer->node.data_bytes = 0;
}

static void encode_answer(struct ferry_return *answer,
                          const struct ferry_wire_header *header,
                          const struct ferry_wire_message *asked)
{
    struct ferry_wire_message reply = *asked;
    int rc;

    reply.reply = 1;
    reply.data = NULL;
    reply.data_bytes = 0;
    if (asked->command == FERRY_WIRE_DMA_READ) {
        reply.data = (const uint8_t *)(answer + 1);
        reply.data_bytes = (uint32_t)asked->u.dma.count;
    }
    rc = ferry_wire_encode(&reply, answer->node.head, sizeof(answer->node.head));
    if (rc < 0) {
        refuse(answer, header, rc);
        return;
    }
    answer->node.head_bytes = (uint32_t)rc;
    answer->node.data = reply.data;
    answer->node.data_bytes = reply.data_bytes;
}

static int send_answer(struct ferry_client *client, struct ferry_return *answer, int twin)
{
    if (client->dead) {
        free(answer);
        return 0;
    }
    if (client->return_count >= FERRY_CLIENT_RETURNS_MAX) {
        free(answer);
        ferry_client_kill_text(client, FERRY_E_LIMIT,
                               "the server sends DMA messages and reads no replies");
        return 0;
    }
    client->return_count++;
    if (twin) {
        ferry_tx_push(&client->twin.tx, &answer->node);
        ferry_client_twin_flush(client);
    } else {
        ferry_tx_push(&client->tx, &answer->node);
        ferry_client_flush(client);
    }
    return !client->dead;
}

/* Answers with an errno, if an answer is wanted. */
static int send_refusal(struct ferry_client *client,
                        const struct ferry_wire_header *header, int status, int twin)
{
    struct ferry_return *answer;

    if (!ferry_wire_wants_reply(header)) {
        return 1;
    }
    answer = new_return(0);
    if (!answer) {
        ferry_client_kill_text(client, FERRY_E_MEMORY, "out of memory for a reply");
        return 0;
    }
    refuse(answer, header, status);
    return send_answer(client, answer, twin);
}

int ferry_client_refuse(struct ferry_client *client,
                        const struct ferry_wire_header *header, int status)
{
    client->intake.active = 1;
    client->intake.slot = NULL;
    client->intake.sink.bytes = header->size;
    client->intake.sink.mode = FERRY_CODEC_DROP;
    return send_refusal(client, header, status, 0);
}

/* The message is wholly in rx. Return: 0 when the connection is dead. */
static int serve_whole(struct ferry_client *client, struct ferry_rx *rx,
                       const struct ferry_wire_header *header, int twin)
{
    struct ferry_return *answer = NULL;
    struct ferry_wire_message asked;
    struct ferry_wire_body body;
    struct ferry_os_fds fds;
    int rc;

    ferry_rx_take_fds(rx, header->size, &fds);
    body.bytes = ferry_rx_data(rx) + FERRY_WIRE_HEADER_BYTES;
    body.have = header->size - FERRY_WIRE_HEADER_BYTES;
    body.fd_count = fds.count;
    ferry_os_fds_close(&fds);
    rc = ferry_wire_request_decode(header, &body, &client->limits, &asked, NULL);
    if (rc == FERRY_OK) {
        answer = new_return(
            asked.command == FERRY_WIRE_DMA_READ ? (size_t)asked.u.dma.count : 0);
        rc = answer ? FERRY_OK : FERRY_E_MEMORY;
    }
    if (!answer) {
        ferry_rx_consume(rx, header->size);
        return send_refusal(client, header, rc, twin);
    }
    rc = perform(client, &asked, (uint8_t *)(answer + 1));
    if (rc == FERRY_OK) {
        encode_answer(answer, header, &asked);
    } else {
        refuse(answer, header, rc);
    }
    ferry_rx_consume(rx, header->size);
    return send_answer(client, answer, twin);
}

int ferry_client_serve(struct ferry_client *client,
                       const struct ferry_wire_header *header)
{
    if (client->twin.fd >= 0) {
        return ferry_client_refuse(client, header, FERRY_E_PROTOCOL);
    }
    if (ferry_rx_size(&client->rx) < header->size) {
        if (ferry_rx_reserve(&client->rx, header->size) != FERRY_OK) {
            ferry_client_kill_text(client, FERRY_E_MEMORY, "out of memory for a message");
        }
        return 0;
    }
    return serve_whole(client, &client->rx, header, 0);
}

void ferry_client_serve_twin(struct ferry_client *client,
                             const struct ferry_wire_header *header)
{
    (void)serve_whole(client, &client->twin.rx, header, 1);
}
