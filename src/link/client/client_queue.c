/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "link/client/client_inside.h"
#include "os/clock.h"
#include "os/eventfd.h"

#define SLOT_BITS 8

static_assert(FERRY_CLIENT_REQUESTS_MAX == 1u << SLOT_BITS, "an id names its slot");

/*
 * A message id is the slot's number and how often it was used: a slot is free again
 * only when its reply has come, so no id is used twice at a time.
 */
static struct ferry_slot *take_slot(struct ferry_client *client)
{
    struct ferry_slot *slot = client->free_slots;
    uint32_t number;

    if (slot) {
        client->free_slots = slot->next;
    } else if (client->slots_used < FERRY_CLIENT_REQUESTS_MAX) {
        slot = &client->slot[client->slots_used++];
    } else {
        return NULL;
    }
    number = (uint32_t)(slot - client->slot);
    slot->generation++;
    slot->id = (uint16_t)((uint32_t)slot->generation << SLOT_BITS | number);
    slot->next = slot->before = NULL;
    return slot;
}

static void free_slot(struct ferry_client *client, struct ferry_slot *slot)
{
    slot->state = FERRY_SLOT_FREE;
    slot->request = NULL;
    slot->waiter = NULL;
    slot->next = client->free_slots;
    client->free_slots = slot;
}

static void due_add(struct ferry_client *client, struct ferry_slot *slot)
{
    slot->next = NULL;
    slot->before = client->due_last;
    if (client->due_last) {
        client->due_last->next = slot;
    } else {
        client->due_first = slot;
    }
    client->due_last = slot;
}

static void due_remove(struct ferry_client *client, struct ferry_slot *slot)
{
    if (!slot->before && client->due_first != slot) {
        return;
    }
    if (slot->before) {
        slot->before->next = slot->next;
    } else {
        client->due_first = slot->next;
    }
    if (slot->next) {
        slot->next->before = slot->before;
    } else {
        client->due_last = slot->before;
    }
    slot->next = slot->before = NULL;
}

void ferry_client_wake(struct ferry_client *client)
{
    (void)ferry_os_eventfd_signal(client->wake_watch.fd);
}

void ferry_client_deliver(struct ferry_client *client, struct ferry_slot *slot,
                          int status)
{
    struct ferry_request *request = slot->request;
    struct ferry_waiter *waiter = slot->waiter;

    due_remove(client, slot);
    slot->request = NULL;
    slot->waiter = NULL;
    if (!request) {
        return;
    }
    request->status = status;
    if (waiter) {
        ferry_client_rouse(waiter);
        return;
    }
    request->next = NULL;
    if (client->done_last) {
        client->done_last->next = request;
    } else {
        client->done_first = request;
    }
    client->done_last = request;
    if (!client->collecting) {
        ferry_client_wake(client);
    }
}

void ferry_client_end(struct ferry_client *client, struct ferry_slot *slot, int status)
{
    ferry_client_deliver(client, slot, status);
    free_slot(client, slot);
}

int ferry_client_owns(const struct ferry_client *client, const struct ferry_tx_node *node)
{
    return (uintptr_t)node >= (uintptr_t)client->slot &&
           (uintptr_t)node < (uintptr_t)(client->slot + FERRY_CLIENT_REQUESTS_MAX);
}

/* A message has left wholly. */
static void left(struct ferry_client *client, struct ferry_tx_node *node)
{
    struct ferry_slot *slot = (struct ferry_slot *)node;

    if (!ferry_client_owns(client, node)) {
        free(node); /* a reply to a DMA message */
        client->return_count--;
        return;
    }
    if (slot->asked.posted) {
        ferry_client_end(client, slot, FERRY_OK);
    } else {
        slot->state = FERRY_SLOT_SENT;
    }
}

void ferry_client_watch(struct ferry_client *client)
{
    const int leaves_twin = ferry_client_leaves_twin(client);
    /* The server's end is told in any case. */
    const int reads = !client->parked && (!leaves_twin || client->due_first);
    const int reads_twin = leaves_twin || !client->parked;
    const uint32_t events =
        (reads ? FERRY_LOOP_READ : 0) | (client->tx.first ? FERRY_LOOP_WRITE : 0);
    const uint32_t twin_events = (reads_twin ? FERRY_LOOP_READ : 0) |
                                 (client->twin.tx.first ? FERRY_LOOP_WRITE : 0);

    if (!client->dead) {
        ferry_loop_change(client->loop, &client->socket_watch, events);
        ferry_loop_change(client->loop, &client->twin.watch, twin_events);
    }
    if (client->due_first && client->timer.deadline_ns == 0) {
        ferry_loop_timer_set(client->loop, &client->timer,
                             client->due_first->deadline_ns);
    }
}

void ferry_client_flush(struct ferry_client *client)
{
    struct ferry_tx_node *node;
    struct ferry_tx_node *next;
    int rc;

    if (client->dead || !client->tx.first) {
        return;
    }
    rc = ferry_tx_flush(&client->tx, client->fd, &node);
    for (; node; node = next) {
        next = node->next;
        left(client, node);
    }
    if (rc < 0 && rc != FERRY_E_AGAIN) {
        ferry_client_kill_text(client, rc, "sending failed");
        return;
    }
    ferry_client_watch(client);
}

void ferry_client_kill(struct ferry_client *client, const struct ferry_error *error)
{
    struct ferry_tx_node *node;
    struct ferry_tx_node *next;
    uint32_t i;

    if (client->dead) {
        return;
    }
    client->error = *error;
    client->dead = error->code == FERRY_E_CLOSED || error->code == FERRY_E_IO ||
                           error->code == FERRY_E_TIMEOUT || error->code == FERRY_E_MEMORY
                       ? FERRY_E_CLOSED
                       : FERRY_E_PROTOCOL;
    for (node = ferry_tx_clear(&client->tx); node; node = next) {
        next = node->next;
        if (!ferry_client_owns(client, node)) {
            free(node);
        }
    }
    for (i = 0; i < client->slots_used; i++) {
        if (client->slot[i].state != FERRY_SLOT_FREE) {
            ferry_client_end(client, &client->slot[i], client->dead);
        }
    }
    client->intake.active = 0;
    client->intake.slot = NULL;
    ferry_loop_remove(client->loop, &client->socket_watch);
    ferry_os_shutdown(client->fd);
    ferry_client_twin_end(client);
    ferry_client_wake(client);
}

void ferry_client_kill_text(struct ferry_client *client, int code, const char *text)
{
    struct ferry_error error = { .code = FERRY_OK };

    ferry_error_set(&error, code, "link", NULL, 0, "%s", text);
    ferry_client_kill(client, &error);
}

void ferry_client_give_up(struct ferry_client *client, struct ferry_slot *slot)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc = FERRY_E_NOT_FOUND;

    ferry_error_set(&error, FERRY_E_TIMEOUT, "link", NULL, 0, "%s: no reply within %u ms",
                    ferry_request_name(slot->request->kind), client->timeout_ms);
    if (slot->request->reterr) {
        *slot->request->reterr = error;
    }
    if (slot->state == FERRY_SLOT_QUEUED) {
        rc = ferry_tx_remove(&client->tx, &slot->node);
    }
    ferry_client_deliver(client, slot, FERRY_E_TIMEOUT);
    if (client->late_is_dead) {
        ferry_client_kill(client, &error);
        return;
    }
    if (rc == FERRY_OK) {
        free_slot(client, slot);
        return;
    }
    slot->state = FERRY_SLOT_LATE;
    if (client->intake.slot == slot) {
        client->intake.sink.mode = FERRY_CODEC_DROP;
    }
    if (rc == FERRY_E_BUSY) {
        ferry_client_kill_text(client, FERRY_E_TIMEOUT,
                               "the server does not read: a message was left half sent");
    }
}

void ferry_client_expire(struct ferry_client *client)
{
    uint64_t now;

    if (!client->due_first) {
        return;
    }
    now = ferry_os_now_ns();
    while (client->due_first && client->due_first->deadline_ns <= now) {
        ferry_client_give_up(client, client->due_first);
    }
}

struct ferry_slot *ferry_client_find(struct ferry_client *client,
                                     const struct ferry_wire_header *header)
{
    struct ferry_slot *slot = &client->slot[header->id & ((1u << SLOT_BITS) - 1)];

    if (slot->id != header->id || slot->asked.command != header->command ||
        (slot->state != FERRY_SLOT_SENT && slot->state != FERRY_SLOT_LATE)) {
        return NULL;
    }
    return slot;
}

/* What needs no message. Return: FERRY_PENDING when it does. */
static int answer_here(struct ferry_client *client, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_IDENTITY) {
        *request->u.identity = client->identity;
        return FERRY_OK;
    }
    if (request->kind == FERRY_RQ_PRECOPY_INFO && !client->agreed.precopy_info) {
        return FERRY_E_UNSUPPORTED;
    }
    if (request->kind == FERRY_RQ_LOG_RUNS && !client->agreed.dirty_runs) {
        return FERRY_E_UNSUPPORTED;
    }
    if (request->kind == FERRY_RQ_COUNTERS && !client->agreed.counters) {
        return FERRY_E_UNSUPPORTED;
    }
    if ((request->kind == FERRY_RQ_DATA_FD || request->kind == FERRY_RQ_LEAVE_STATE) &&
        !client->agreed.data_fd) {
        return FERRY_E_UNSUPPORTED;
    }
    if (request->kind == FERRY_RQ_DATA_READ && client->stream_over) {
        request->u.data.got = 0;
        return FERRY_OK;
    }
    return FERRY_PENDING;
}

static int prepare(struct ferry_client *client, struct ferry_slot *slot,
                   const struct ferry_request *request)
{
    int rc;

    if (request->kind == FERRY_RQ_RAW) {
        return ferry_client_raw_prepare(slot, &request->u.raw);
    }
    rc = ferry_codec_ask(request, &client->limits, &slot->asked);
    if (rc != FERRY_OK) {
        return rc;
    }
    if (slot->asked.fd_count > client->agreed.max_msg_fds) {
        return FERRY_E_LIMIT;
    }
    slot->asked.id = slot->id;
    rc = ferry_wire_encode(&slot->asked, slot->node.head, sizeof(slot->node.head));
    if (rc < 0) {
        return rc;
    }
    slot->node.head_bytes = (uint32_t)rc;
    slot->node.data = slot->asked.data;
    slot->node.data_bytes = slot->asked.data_bytes;
    slot->node.fds = ferry_codec_fds(request, &slot->node.fd_count);
    return FERRY_OK;
}

int ferry_client_start(struct ferry_client *client, struct ferry_request *request,
                       struct ferry_waiter *waiter, struct ferry_slot **ret_slot)
{
    struct ferry_slot *slot;
    int waits;
    int rc;

    if (client->dead) {
        return client->dead;
    }
    rc = answer_here(client, request);
    if (rc != FERRY_PENDING) {
        return rc;
    }
    if (client->tx.first && ferry_client_join(client, request)) {
        return FERRY_OK;
    }
    slot = take_slot(client);
    if (!slot) {
        return ferry_error_set(request->reterr, FERRY_E_LIMIT, "link", NULL, 0,
                               "%s: %u requests are under way",
                               ferry_request_name(request->kind),
                               FERRY_CLIENT_REQUESTS_MAX);
    }
    rc = prepare(client, slot, request);
    if (rc != FERRY_OK) {
        free_slot(client, slot);
        return ferry_error_set(request->reterr, rc, "link", NULL, 0,
                               "%s: the request cannot be sent",
                               ferry_request_name(request->kind));
    }
    slot->request = request;
    slot->waiter = waiter;
    slot->state = FERRY_SLOT_QUEUED;
    slot->deadline_ns =
        ferry_os_now_ns() + (uint64_t)client->timeout_ms * FERRY_NS_PER_MS;
    waits = client->tx.first != NULL;
    ferry_tx_push(&client->tx, &slot->node);
    if (!waits) {
        ferry_client_flush(client);
    }
    *ret_slot = slot;
    return FERRY_PENDING;
}

void ferry_client_leave(struct ferry_client *client, struct ferry_slot *slot)
{
    slot->waiter = NULL;
    due_add(client, slot);
    if (!client->reading) {
        client->parked = 0; /* its reply is the dispatcher's */
    }
    ferry_client_watch(client);
}
