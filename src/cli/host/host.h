/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_HOST_HOST_H
#define FERRY_CLI_HOST_HOST_H

#include <stdint.h>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/trace/trace.h"
#include "drivers/guest/workload.h"
#include "ferry/host.h"

#define HOST_DEVICES_MAX 32
#define HOST_PEERS_MAX 16
#define HOST_CLIENTS_MAX 8
#define HOST_MEMORY_IOVA 0x40000000ull
/* Peer maps lie one after the other, far above any memory. */
#define HOST_PEER_IOVA 0x2000000000ull
#define HOST_PEER_STEP 0x100000000ull

/* What the command line says; all texts are borrowed from argv. */
struct host_args {
    struct {
        char *name; /* NAME of NAME=URI */
        const char *uri;
    } device[HOST_DEVICES_MAX];
    struct {
        char *initiator; /* of INITIATOR:TARGET */
        const char *target;
    } peer[HOST_PEERS_MAX];
    uint32_t device_count, peer_count;
    const char *listen, *control, *work, *result, *arbiter;
    struct work_options options; /* of the work */
    uint64_t memory_bytes;
    uint32_t watchdog_ms, device_timeout_ms;
    /* While it receives; 0: default. */
    uint32_t arc_limit_ms, peer_limit_ms, connections;
    int no_peer_maps, ready_fd, json;
};

struct host_client {
    struct control_lines lines;
    int migrates; /* it asked for the migration: gets its events until it has ended */
    int watches;  /* gets all events */
    int waits_for_boot; /* work-start is answered when the guest runs */
};

/*
 * A user context in a process of its own, with a control socket. Everything belongs to
 * the loop thread.
 */
struct host {
    const struct host_args *args;
    struct ferry_context *context;
    struct workload *workload; /* NULL without --work */
    void *memory;
    int memory_fd;
    uint64_t peer_bytes; /* of the first peer map */
    int control_fd, signal_fd;
    struct host_client client[HOST_CLIENTS_MAX];
    int quit;
    int listening;          /* 1: the context is empty and waits for another */
    int moved_away;         /* 1: released; reopen it and listen again */
    int listen_after;       /* 1: it listened before a save or restore: again then */
    int discards;           /* 1: the operator's last word was "not here" */
    struct trace_log trace; /* of the last migration */
    int waits;              /* 1: that has failed, and is tried again and again */
};

/* Opens devices, memory, peer maps, workload. Return: FERRY_OK or a printed error's code.
 */
int host_open(struct host *host, const struct host_args *args);
void host_close(struct host *host);

/* Waits for a context, when --listen was given. Return: FERRY_OK or a negative code. */
int host_listen(struct host *host, struct ferry_error *reterr);
/* Gives a context that has moved away its devices anew. */
int host_reopen(struct host *host, struct ferry_error *reterr);

/* One command line of a client. Return: FERRY_OK; FERRY_E_CLOSED (drop the client). */
int host_command(struct host *host, struct host_client *client,
                 struct json_object *request);
/* 1 while the context sends, receives, is saved or restored: nothing else may begin, and
 * who listens must not be disturbed. */
int host_migrates(const struct host *host);
/* host_file.c: the commands save and restore, and what is due when one has ended. */
int host_save(struct host *host, struct host_client *client, struct json_object *request);
int host_restore(struct host *host, struct host_client *client,
                 struct json_object *request);
void host_file_over(struct host *host);
/* Tells every client that wants events; last: the migration has ended. Given away. */
void host_tell(struct host *host, struct json_object *event, int last);
/* Answers work-start when the guest has booted or failed. */
void host_work_changed(struct host *host);

/* The callbacks of the context; user is the struct host. */
extern const struct ferry_context_ops host_ops;

#endif
