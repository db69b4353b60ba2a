/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_filters_rig.h"

#include <string.h>

/* Random users over random devices: whatever the filters do, each request ends once. */

#define REQUESTS 300u
#define BYTES 128u

static const char *const chains[] = {
    "delay=any:50us",
    "delay=any:20us%3,log=/dev/null",
    "log=/dev/null,delay=region_write:100us,corrupt=region_write%2",
    "short=read:3,delay=stop:200us,error=any:EIO%5",
    "delay=any:1us%2,delay=any:70us%3,error=set_state:EBUSY%4,delay=reset:40us",
};

struct asked {
    struct ferry_request request;
    uint32_t ends;    /* times that done ran */
    uint32_t pending; /* submit said so */
    uint8_t bytes[BYTES];
};

static struct asked asked[REQUESTS];
static uint64_t seed;

static uint32_t roll(uint32_t sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % sides;
}

static void done(struct ferry_request *request)
{
    struct asked *one = request->user;

    one->ends++;
    assert_true(one->pending != 0);
    assert_int_not_equal(request->status, FERRY_PENDING);
}

static void describe(struct asked *one)
{
    static const uint32_t kinds[] = {
        FERRY_RQ_REGION_WRITE, FERRY_RQ_REGION_READ, FERRY_RQ_SET_STATE,
        FERRY_RQ_GET_STATE,    FERRY_RQ_RESET,       FERRY_RQ_DATA_READ,
        FERRY_RQ_DATA_WRITE,   FERRY_RQ_DATA_SIZE,   FERRY_RQ_GET_INFO,
    };
    struct ferry_request *request = &one->request;

    memset(one, 0, sizeof(*one));
    request->kind = kinds[roll(sizeof(kinds) / sizeof(kinds[0]))];
    request->done = done;
    request->user = one;
    if (request->kind == FERRY_RQ_SET_STATE) {
        request->u.state = roll(8);
    } else if (request->kind == FERRY_RQ_DATA_READ ||
               request->kind == FERRY_RQ_DATA_WRITE) {
        request->u.data.data = one->bytes;
        request->u.data.size = 1 + roll(BYTES);
    } else if (request->kind == FERRY_RQ_REGION_WRITE ||
               request->kind == FERRY_RQ_REGION_READ) {
        request->u.io = (struct ferry_region_io){ .off = 4 * roll(4),
                                                  .count = 4,
                                                  .data = one->bytes };
    }
}

static void play(const struct ferry_endpoint_ops *ops, struct toy *toy)
{
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct asked *one = &asked[i];
        int status;

        describe(one);
        one->pending = 1; /* a reset may end others, never the one that is submitted */
        status = ops->submit(toy->endpoint, &one->request);
        assert_int_equal(one->ends, 0);
        one->pending = status == FERRY_PENDING;
        if (!one->pending) {
            assert_int_equal(one->request.status, status);
        }
        for (uint32_t turns = roll(4); turns > 0; turns--) {
            (void)ops->work(toy->endpoint);
        }
        if (roll(40) == 0) {
            ops->detach(toy->endpoint);
            for (uint32_t k = 0; k <= i; k++) {
                assert_int_equal(asked[k].ends, asked[k].pending);
            }
            assert_int_equal(ops->attach(toy->endpoint, &toy->port), FERRY_OK);
        }
    }
}

static void each_request_ends_once(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 100; round++) {
        struct toy *toy =
            filtered_new(chains[round % (sizeof(chains) / sizeof(*chains))]);

        seed = round;
        play(toy->endpoint->ops, toy);
        filtered_free(toy);
        for (uint32_t i = 0; i < REQUESTS; i++) {
            assert_int_equal(asked[i].ends, asked[i].pending);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_ends_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
