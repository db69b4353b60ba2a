/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_LINK_FAKE_H
#define FERRY_TEST_LINK_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "link/client/client.h"
#include "link/server/server.h"
#include "os/socket.h"

/* A device of few lines behind the endpoint interface, and a thread that serves it. */

#define FAKE_BAR_BYTES (2u << 20)
#define FAKE_REGION_MEMORY 0u /* plain storage */
#define FAKE_REGION_DMA 1u    /* a read fetches user memory at off, a write stores it */
#define FAKE_REGION_SLOW 2u   /* both end after fake->release; a write like MEMORY's */
#define FAKE_REGION_REFUSE 3u /* FERRY_E_STATE */
#define FAKE_REGION_TYPED 12u /* the device's own: type and subtype below */
#define FAKE_TYPE 0x80001af4u
#define FAKE_SUBTYPE 2u
#define FAKE_HELD_MAX 128u

struct fake {
    struct ferry_endpoint endpoint;
    const struct ferry_client_port *port;
    atomic_int attached, attaches, detaches;
    atomic_int release;   /* 1: work() ends what is held */
    atomic_int work_more; /* work() returns 1 that many times */
    atomic_int work_calls;
    atomic_int dma_status;   /* of the last DMA by message */
    atomic_int reads_inside; /* 1: registers may be read while a DMA waits */
    atomic_int closed_code;  /* of the last connection's end */
    atomic_int closed_count;
    int region_fd;
    int wake_fd;
    int io_fd[3];         /* of FAKE_REGION_MEMORY: 4 entries, the last two share one */
    uint32_t written[64]; /* offsets of posted writes to FAKE_REGION_MEMORY, in order */
    struct ferry_request *held[FAKE_HELD_MAX];
    uint32_t held_count;
    uint32_t state;
    /* What the last requests said; read by the test when they have been answered. */
    struct ferry_irq_set irq_set;
    uint8_t bools[64];
    uint32_t irq_fds;
    struct ferry_dma_map map;
    uint64_t map_file_bytes;
    struct ferry_dma_unmap unmap;
    struct ferry_log_start log_start;
    struct ferry_range range[FERRY_LOG_RANGES_MAX];
    struct ferry_log_report log_report;
    struct ferry_log_runs log_runs; /* it tells at most 3 runs of one page */
    atomic_int posted;              /* posted writes that came */
    uint64_t data_left;             /* bytes that DATA_READ still has; then end, or dry */
    uint32_t data_piece;            /* most bytes of one DATA_READ; 0: no limit */
    atomic_int data_slow;           /* 1: data requests end in work() */
    atomic_int identity_slow;       /* 1: so does what it is asked in the handshake */
    atomic_int data_held;           /* of both, that came */
    atomic_int data_status;         /* below 0: they end with it */
    atomic_uint_least64_t data_taken; /* bytes of DATA_WRITE */
    atomic_uint_least64_t data_sum;
    uint8_t *bar;
};

#define FAKE_COUNTERS 5u

void fake_init(struct fake *fake);
void fake_free(struct fake *fake);

/* A server with a thread of its own. */
struct served {
    struct fake fake;
    struct ferry_loop *loop;
    struct ferry_link_server *server;
    struct ferry_watch stop_watch;
    atomic_int stop;
    int stop_fd;
    pthread_t thread;
    char path[64];
};

/* options: may be NULL. Serves one socket and returns the other end, or listens (path).
 */
int served_start(struct served *served, const struct ferry_link_server_options *options);
void served_listen(struct served *served,
                   const struct ferry_link_server_options *options);
void served_stop(struct served *served);

/* A fixture: a server that listens and waits for nothing long. */
extern struct served listening;
int listening_start(void **state);
int listening_stop(void **state);

/* Waits until *value is `wanted`; fails the test after some seconds. */
void await_int(atomic_int *value, int wanted);

#endif
