/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/socket.h"
#include "test_link_raw.h"
#include "test_link_script.h"

struct script script;
struct ferry_client *client;

static void *play(void *user)
{
    struct script *s = user;
    size_t size = raw_receive(s->fd, s->ask, sizeof(s->ask));

    if (size > 0) {
        size = raw_version(s->out, raw_u16(s->ask, 0), s->version);
        raw_put_u32(s->out + 8, RAW_REPLY);
        s->out[18] = (uint8_t)s->minor;
        raw_send(s->fd, s->out, size);
    }
    while ((size = raw_receive(s->fd, s->ask, sizeof(s->ask))) > 0) {
        atomic_fetch_add(&s->seen, 1);
        if (!s->answer(s, s->ask, size)) {
            break;
        }
    }
    close(s->fd);
    return NULL;
}

/* Only 16 bytes of the user's memory can be reached, and only to read. */
static int read_little(void *user, uint64_t iova, void *ret_data, size_t size)
{
    (void)user;
    if (iova != 0x1000 || size > 16) {
        return FERRY_E_RANGE;
    }
    memset(ret_data, 0x19, size);
    return FERRY_OK;
}

int script_connect(script_answer *answer, const char *version, uint16_t minor)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 200,
                                            .memory = { read_little, NULL, NULL } };
    int a;

    memset(&script, 0, sizeof(script));
    client = NULL;
    assert_int_equal(ferry_os_socketpair(&a, &script.fd), FERRY_OK);
    script.answer = answer;
    script.version = version;
    script.minor = minor;
    assert_int_equal(pthread_create(&script.thread, NULL, play, &script), 0);
    return ferry_client_from_fd(a, &options, &client, NULL);
}

void script_begin(script_answer *answer)
{
    assert_int_equal(script_connect(answer,
                                    "{\"capabilities\":{\"max_msg_fds\":8,\"ferry\":"
                                    "{\"version\":1,\"notices\":true}}}",
                                    1),
                     FERRY_OK);
}

void script_end(void)
{
    ferry_client_close(client);
    assert_int_equal(pthread_join(script.thread, NULL), 0);
}

/* Sends a reply to `ask`. */
void script_reply(struct script *s, const uint8_t *ask, uint32_t flags,
                  const void *payload, size_t bytes)
{
    raw_send(
        s->fd, s->out,
        raw_message(s->out, raw_u16(ask, 0), raw_u16(ask, 2), flags, payload, bytes));
}

/* A right reply to RAW_REGION_READ and RAW_GET_INFO: what shows that the connection
 * lives. */
int script_honest(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16 + 4096] = { 0 };
    uint32_t count = raw_u16(ask, 2) == RAW_REGION_READ ? raw_u32(ask, 28) : 0;

    memcpy(payload, ask + 16, size - 16 < 16 ? size - 16 : 16);
    memset(payload + 16, 0x42, count);
    script_reply(s, ask, RAW_REPLY, payload, 16 + count);
    return 1;
}

int script_read(void *data, uint32_t count)
{
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };

    r.u.io.count = count;
    r.u.io.data = data;
    return ferry_client_call(client, &r);
}
