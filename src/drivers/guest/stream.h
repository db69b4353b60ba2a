/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_GUEST_STREAM_H
#define FERRY_DRIVERS_GUEST_STREAM_H

#include <stdint.h>

#include "drivers/nic_driver.h"

/*
 * The guest's network program: numbered frames that somebody at the other end of the wire
 * sends back. Length and every byte of a frame follow from its number, so that one that
 * was changed shows, and each may come once. Networks lose frames: those that do not come
 * are given up after a while and counted.
 *
 * Thread: the CPU thread.
 */
#define STREAM_IN_FLIGHT 32u /* frames that are not back and not given up, at most */
#define STREAM_SEEN 4096u    /* so many numbers back a second copy is noticed */
#define STREAM_PACE_MS 1     /* stream_feed() is worth a call that often */
#define STREAM_GIVE_UP_MS 2000u

/* What the program remembers, in guest memory. */
struct guest_stream {
    uint64_t sent, received;
    uint64_t given_up;       /* not back in time, and not since */
    uint64_t late;           /* came after they had been given up */
    uint64_t given_up_below; /* numbers below were given up when they were not back */
    uint64_t wrong, twice;
    uint64_t strangers; /* frames of others */
    uint64_t interrupts, changes;
    uint64_t seen[STREAM_SEEN / 64]; /* bit: number % STREAM_SEEN came back */
    struct nic_driver nic;
};

struct stream {
    struct guest_ram ram;
    struct pci_function pci;
    struct guest_stream *state;     /* in the memory; NULL: the guest has no nic */
    uint64_t last_ns, last_feed_ns; /* of this process's clock: a frame came; fed */
    uint32_t answer_changes;        /* 1: an announcement is still to be made */
    char error[128];                /* what went wrong; "": nothing */
};

/* Bytes of guest memory. */
uint64_t stream_need(void);
/* Where its memory is; the stream is used from then on. iova: page aligned. */
void stream_place(struct stream *stream, uint64_t iova);
/* Starts device and program anew. Return: as nic_driver_init(). */
int stream_boot(struct stream *stream, struct ferry_error *reterr);
/* 1 when the memory holds a program as stream_boot() lays it out. */
int stream_check(const struct stream *stream);
/* The CPU goes on, after a pause or on another host. */
void stream_continue(struct stream *stream, uint64_t now_ns);

/* The device's interrupts. Return: FERRY_OK; negative: the stream has failed (error). */
int stream_received(struct stream *stream, uint64_t now_ns);
int stream_changed(struct stream *stream);

/* Sends what is due (send 0: nothing more), gives up what is overdue. Return: as above.
 */
int stream_feed(struct stream *stream, uint64_t now_ns, int send);

struct stream_figures {
    uint64_t sent, received;
    uint64_t lost; /* not back and not waited for any longer */
    uint64_t late; /* back after that */
    uint64_t wrong, twice, strangers;
    uint64_t announced; /* announcements that the nic asked for */
};
void stream_figures(const struct stream *stream, struct stream_figures *ret_figures);

/* 1 when nothing is in flight. */
int stream_idle(const struct stream *stream);

#endif
