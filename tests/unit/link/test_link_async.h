/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_LINK_ASYNC_H
#define FERRY_TEST_LINK_ASYNC_H

#include "test_link_fake.h"

/* A served device and its client, for tests of requests that are under way together. */

#define MIB (1u << 20)

extern struct served served;
extern struct ferry_client *client;
extern uint8_t *guest;       /* the user's memory, for DMA messages: 2 MIB */
extern atomic_int dma_calls; /* that served it */

/* The client's limit is 5 s; of the impatient one 300 ms. */
int async_start(void **state);
int async_start_impatient(void **state);
int async_stop(void **state);

#define TEST(name) cmocka_unit_test_setup_teardown(name, async_start, async_stop)
#define IMPATIENT(name)                                                                  \
    cmocka_unit_test_setup_teardown(name, async_start_impatient, async_stop)

/* A request that counts its completions. */
struct counted {
    struct ferry_request request;
    atomic_int done;
    uint32_t value; /* of all that were completed, the how manyth */
};

/* The done of a struct counted, its user. */
void count_done(struct ferry_request *request);
void prepare_io(struct counted *counted, uint32_t kind, uint32_t region, uint64_t off,
                void *data, uint32_t count);
/* Dispatches until *value is wanted. */
void dispatch_until(atomic_int *value, int wanted);
/* Ends what the device holds. */
void release_held(void);

#endif
