/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_SERVER_CONNECTION_H
#define FERRY_LINK_SERVER_CONNECTION_H

#include "link/message/codec.h"
#include "link/message/rx.h"
#include "link/server/server.h"
#include "link/message/tx.h"
#include "link/hello/version.h"

/*
 * The inside of the server role, shared by its files:
 *   server.c      listener, admission, the device's own work, the end of connections
 *   connection.c  bytes to messages, time limits
 *   handshake.c   VERSION
 *   job.c         one request in the endpoint's hands and its reply
 *   multi.c       several writes in one message
 *   port.c        DMA messages to the client
 *   data_*.c      the data descriptor
 * Thread: the loop's thread only.
 */

#define FERRY_SERVER_PENDING_MAX 64u    /* requests that the endpoint holds */
#define FERRY_SERVER_CONNECTIONS_MAX 8u /* that have not shaken hands yet */
#define FERRY_SERVER_DEFERRED_MAX 1024u /* messages that came while a DMA waited */
#define FERRY_SERVER_DEFERRED_BYTES (32u << 20)
#define FERRY_SERVER_LATE_MAX 16u /* DMA messages whose limit ran out */
#define FERRY_JOB_SMALL_BYTES 64u
/*
 * Replies that wait for those of the messages behind them, to leave in one call: so many,
 * none with more data, and none for longer once another message has been handled.
 */
#define FERRY_SERVER_GATHER_MAX 32u
#define FERRY_SERVER_GATHER_BYTES 1024u
#define FERRY_SERVER_GATHER_NS 20000u
/* A job's reply memory above this is not kept for the next request. */
#define FERRY_JOB_KEEP_BYTES (1u << 20)

enum ferry_connection_phase {
    FERRY_CONNECTION_HANDSHAKE = 0,
    FERRY_CONNECTION_READY,
    FERRY_CONNECTION_DEAD /* waits for the loop's idle to be freed */
};

/* A message that is being handled. */
struct ferry_incoming {
    struct ferry_wire_header header;
    const uint8_t *payload;  /* header.size - 16 bytes */
    struct ferry_os_fds fds; /* owned */
    uint8_t *memory; /* what payload points into, to be freed; NULL: rx's buffer */
    int in_rx;       /* 1: its bytes are still to be consumed from rx */
};

/*
 * A message that waits until a DMA is over. One allocation; the payload lies behind
 * it.
 */
struct ferry_deferred {
    struct ferry_deferred *next;
    struct ferry_wire_header header;
    struct ferry_os_fds fds;
};

/* One request and its reply. */
struct ferry_job {
    struct ferry_tx_node node; /* first: a node that has left is its job */
    struct ferry_request request;
    struct ferry_job *next; /* list of free jobs */
    struct ferry_connection *connection;
    struct ferry_wire_message asked;
    struct ferry_os_fds fds;   /* owned until the request is over */
    struct ferry_range *range; /* FERRY_LOG_RANGES_MAX; NULL until needed */
    uint8_t *data;             /* memory of the reply's data; NULL: small */
    size_t data_cap;
    uint8_t *held; /* memory that the pending request points into */
    size_t filled; /* DATA_READ for a client that takes short for the end */
    /* Of a reply: the endpoint's descriptors; while it is queued, duplicates of them. */
    int reply_fd[FERRY_OS_FDS_MAX];
    uint32_t own_fds;   /* the first of reply_fd are this job's */
    uint32_t held_kind; /* what a data session made of the request; 0: as it came */
    int pending;
    /* REGION_WRITE_MULTI: its writes are jobs, which know it. */
    struct ferry_job *parent;
    uint32_t parts_left, parts_done;
    int parts_status;
    _Alignas(8) uint8_t small[FERRY_JOB_SMALL_BYTES];
};

/* A DMA message that waits for its reply. */
struct ferry_port_call {
    struct ferry_tx_node node;
    struct ferry_wire_message asked;
    uint8_t *ret_data; /* of a read */
    int active;
    int done;
    int status;
    uint32_t doubt; /* a read of so many bytes would prove the client's layout; 0: none */
};

struct ferry_data_pipe;

struct ferry_connection {
    struct ferry_link_server *server;
    struct ferry_connection *next;
    struct ferry_watch watch;
    struct ferry_loop_timer message_timer; /* handshake, then begun messages */
    struct ferry_loop_timer tx_timer;      /* the client reads its replies */
    struct ferry_rx rx;
    struct ferry_tx tx;
    struct ferry_link_version agreed;
    /* Asked in the handshake; an endpoint that does not answer at once keeps it. */
    struct ferry_request identity_request;
    struct ferry_identity identity;
    struct ferry_wire_limits limits;
    struct ferry_client_port port;
    struct ferry_port_call call;
    /* The twin socket for DMA messages; fd -1: there is none. */
    int twin_fd;
    struct ferry_rx twin_rx;
    struct ferry_tx twin_tx;
    struct ferry_incoming *current;
    struct ferry_deferred *deferred_first, *deferred_last;
    struct ferry_job *free_jobs;
    uint64_t begun_pos; /* where the message begins for which the timer runs */
    uint64_t tx_seen;   /* tx.total when tx_timer was set */
    size_t deferred_bytes;
    uint32_t deferred_count;
    uint32_t pending_count;
    uint32_t skip;  /* bytes of a refused message that are still to come */
    uint32_t phase; /* enum ferry_connection_phase */
    uint16_t next_id;
    uint16_t late_id[FERRY_SERVER_LATE_MAX];
    uint32_t late_count;
    struct ferry_data_pipe *data; /* the last one, open or closed; NULL: none */
    uint64_t data_sessions;       /* ever */
    uint32_t device_state;        /* as last told by the device */
    int fd;
    uint32_t number;    /* of the connections of this server */
    uint8_t dma_layout; /* FERRY_WIRE_DMA_*: what the client speaks */
    uint8_t dma_sure;   /* it has been proved, or said by the user */
    uint8_t dma_probes; /* reads that should have proved it */
    uint8_t attached;
    uint8_t handled; /* a request was submitted: work() is due */
    uint8_t pumping;
    uint8_t gathering; /* replies may wait for those of the messages behind them */
    uint32_t gathered;
    uint64_t gathered_ns; /* since when the first of them waits */
    uint8_t tell_end;     /* options.closed is to hear of its end */
    struct ferry_error error;
};

struct ferry_link_server {
    struct ferry_link_server_options options;
    struct ferry_endpoint *endpoint;
    struct ferry_loop *loop;
    struct ferry_connection *client;      /* the one that is served */
    struct ferry_connection *connections; /* all, newest first */
    struct ferry_watch listener;          /* fd -1: none */
    struct ferry_watch wake;              /* the endpoint's wake_fd, or fd -1 */
    struct ferry_loop_idle idle;
    int unlink_path;
    uint32_t connection_count; /* that ever were */
    uint64_t spin_until_ns;    /* 0: a message came, the time starts anew */
    char path[FERRY_OS_UNIX_PATH_BYTES];
};

/* server.c */

/* Runs the endpoint's work once and lets the idle go on while there is more. */
void ferry_server_work(struct ferry_link_server *server);
/* A message came: looks for further ones for a while without waiting. */
void ferry_server_spin_on(struct ferry_link_server *server);
/* The connection has shaken hands: it becomes the client. The endpoint is attached. */
int ferry_server_attach(struct ferry_connection *connection);

/* connection.c */

/*
 * fd: owned by the connection, also on failure. Return: FERRY_OK, FERRY_E_MEMORY,
 * _IO.
 */
int ferry_connection_create(struct ferry_link_server *server, int fd,
                            struct ferry_connection **ret_connection);
/* Detaches and frees; the caller has unlinked it from the server. */
void ferry_connection_free(struct ferry_connection *connection);
/* The connection is over; it is freed by the idle. A second call changes nothing. */
void ferry_connection_kill(struct ferry_connection *connection, int code,
                           const char *text);
void ferry_connection_kill_error(struct ferry_connection *connection,
                                 const struct ferry_error *error);
/* Sends, receives once, handles what came and lets the device work. */
void ferry_connection_step(struct ferry_connection *connection);
/* Handles what has been received, as long as replies leave. */
void ferry_connection_pump(struct ferry_connection *connection);
/*
 * Is a whole sound message there? Bytes of refused ones are passed over and answered.
 * Return: 1 and *ret_header; 0 when not (or when the connection died).
 */
int ferry_connection_peek(struct ferry_connection *connection,
                          struct ferry_wire_header *ret_header);
/* One receive without waiting. Return: bytes, FERRY_E_AGAIN, or a code (it is dead). */
int ferry_connection_receive(struct ferry_connection *connection);
/* Sends what the socket takes; what has left is released. */
void ferry_connection_flush(struct ferry_connection *connection);
/* Sends it, or while messages are being handled perhaps with the next. */
void ferry_connection_send(struct ferry_connection *connection,
                           struct ferry_tx_node *node);

/* A message that came or goes, for the transcript. cut: it was refused by its header. */
void ferry_connection_heard(struct ferry_connection *connection,
                            const struct ferry_wire_header *header,
                            const uint8_t *payload, uint32_t fd_count, int cut);
void ferry_connection_said(struct ferry_connection *connection,
                           const struct ferry_tx_node *node);

/* handshake.c */
void ferry_handshake_handle(struct ferry_connection *connection,
                            const struct ferry_incoming *incoming);

/* job.c */
void ferry_job_handle(struct ferry_connection *connection,
                      struct ferry_incoming *incoming);
/* NULL when memory is out. */
struct ferry_job *ferry_job_get(struct ferry_connection *connection);
void ferry_job_release(struct ferry_job *job);
void ferry_job_free_all(struct ferry_connection *connection);
/* Memory for reply data; NULL when there is none. */
uint8_t *ferry_job_data(struct ferry_job *job, size_t bytes);
/* Answers with an errno, unless no reply is wanted. */
void ferry_job_refuse(struct ferry_connection *connection,
                      const struct ferry_wire_header *asked, int status);

/*
 * Hands a job whose message is decoded to the endpoint. Return: FERRY_PENDING, or it is
 * over and answered.
 */
int ferry_job_run(struct ferry_job *job);
/* Answers a job and releases it. */
void ferry_job_finish(struct ferry_job *job, int status);

/* multi.c */
/* Hands the writes of a REGION_WRITE_MULTI to the endpoint, each as a job of its own. */
void ferry_multi_start(struct ferry_job *job);
/* One of them is over. */
void ferry_multi_part_done(struct ferry_job *part, int status);

/* port.c */
void ferry_port_init(struct ferry_connection *connection);
/* What is known of the client's DMA messages once it has shaken hands. */
void ferry_port_guess(struct ferry_connection *connection,
                      const struct ferry_link_version *theirs);
/* Makes the twin socket. ret_theirs: the client's end. Return: FERRY_OK, _LIMIT, ... */
int ferry_port_twin(struct ferry_connection *connection, int *ret_theirs);
void ferry_port_end(struct ferry_connection *connection);
/* A reply of the client. */
void ferry_port_reply(struct ferry_connection *connection,
                      const struct ferry_wire_header *header, const uint8_t *payload);
/* The oldest message that waited; NULL when there is none. To be freed. */
struct ferry_deferred *ferry_port_deferred(struct ferry_connection *connection);

#endif
