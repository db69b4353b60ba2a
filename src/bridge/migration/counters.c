/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/migration/inside.h"
#include "bridge/say.h"
#include "link/hello/version.h"

#define TEXT_BYTES 800u /* a line has room for it */

struct asked {
    struct bridge_device *device;
    const char *when;
    struct ferry_request request;
    struct ferry_counter counter[FERRY_COUNTERS_MAX];
};

/* What goes through is no loss. Devices name their counters themselves. */
static int matters(const struct ferry_counter *counter)
{
    static const char *const word[] = { "lost", "carried", "dropped", "waiting",
                                        "broken" };

    for (size_t i = 0; counter->value > 0 && i < sizeof(word) / sizeof(word[0]); i++) {
        if (strstr(counter->name, word[i])) {
            return 1;
        }
    }
    return 0;
}

/* Return: bytes of ret_text. */
static size_t write_one(char *ret_text, size_t cap, const struct ferry_counter *counter)
{
    char queue[16] = "";
    int bytes;

    if (counter->queue != FERRY_COUNTER_DEVICE) {
        (void)snprintf(queue, sizeof(queue), "[%u]", counter->queue);
    }
    bytes = snprintf(ret_text, cap, " %s%s=%llu", counter->name, queue,
                     (unsigned long long)counter->value);
    return bytes > 0 ? (size_t)bytes : 0;
}

static void say_counters(const struct asked *asked)
{
    const uint32_t told = asked->request.u.counters.count;
    char text[TEXT_BYTES] = "", more[32] = "";
    uint32_t left_out = 0;
    size_t at = 0;

    for (uint32_t i = 0; i < told && i < FERRY_COUNTERS_MAX; i++) {
        char one[FERRY_COUNTER_NAME_BYTES + 48];
        size_t bytes;

        if (!matters(&asked->counter[i])) {
            continue;
        }
        bytes = write_one(one, sizeof(one), &asked->counter[i]);
        if (left_out > 0 || at + bytes >= sizeof(text)) {
            left_out++;
        } else {
            memcpy(text + at, one, bytes + 1);
            at += bytes;
        }
    }
    if (at == 0) {
        return;
    }
    if (left_out > 0) {
        (void)snprintf(more, sizeof(more), " and %u more", left_out);
    }
    bridge_say(asked->device, "counted when it %s:%s%s", asked->when, text, more);
}

static void on_done(struct ferry_request *request)
{
    struct asked *asked = request->user;

    if (request->status == FERRY_OK) {
        say_counters(asked);
    }
    free(asked);
}

void bridge_counters_ask(struct bridge_migration *migration, const char *when)
{
    struct bridge_link *link = migration->device->link;
    struct asked *asked;

    if (!bridge_link_agreed(link)->counters) {
        return;
    }
    asked = calloc(1, sizeof(*asked));
    if (!asked) {
        return;
    }
    asked->device = migration->device;
    asked->when = when;
    asked->request.kind = FERRY_RQ_COUNTERS;
    asked->request.u.counters.counter = asked->counter;
    asked->request.u.counters.cap = FERRY_COUNTERS_MAX;
    asked->request.done = on_done;
    asked->request.user = asked;
    if (bridge_link_submit(link, &asked->request) != FERRY_PENDING) {
        free(asked);
    }
}
