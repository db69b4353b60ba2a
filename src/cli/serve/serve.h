/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_SERVE_SERVE_H
#define FERRY_CLI_SERVE_SERVE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "ferry/face.h"
#include "models/models.h"

/*
 * One device of `ferry serve`: what the command line says of it, and what is made of
 * that. Each device has a loop and a thread of its own, so that a client that does not
 * answer its device's DMA messages holds nobody else up.
 */
#define SERVE_DEVICES_MAX 64
#define SERVE_OPTIONS_MAX 16
#define SERVE_FILTERS_MAX 16

struct served_device {
    const char *command; /* for messages; NULL: "serve" */
    char *model;         /* "acc,sessions=8": cut into its parts in place */
    const char *option[SERVE_OPTIONS_MAX];
    size_t option_count;
    const char *socket; /* or fd, a connected or listening socket */
    const char *record; /* file for a transcript */
    int fd, has_fd;
    uint32_t spin_us, io_fd_layout, dma_layout;
    int uapi_v1;                           /* or the device's own, v2 */
    uint32_t form;                         /* enum ferry_face_v1_form */
    const char *filter[SERVE_FILTERS_MAX]; /* specifications, the user's side first */
    size_t filter_count;

    const struct ferry_model *kind;
    struct ferry_device *device;
    void *state;
    struct ferry_endpoint *face;                    /* v1's, or NULL */
    struct ferry_endpoint *top;                     /* device, face or last filter */
    struct ferry_endpoint *open[SERVE_FILTERS_MAX]; /* as they were opened */
    size_t open_count;
    struct ferry_server *server;
    pthread_t thread;
    int has_thread;
    int status; /* with which serving ended */
};

/* "v2", "v1", "v1:mmap", "v1:partitioned". Return: 0 when it is none of these. */
int served_set_uapi(struct served_device *served, const char *version);

/*
 * Makes device, filters and server; says what is wrong.
 * Return: enum exit_code; served_close() is due in any case.
 */
int served_open(struct served_device *served, uint32_t timeout_ms);
/* The same without the server. */
int served_open_device(struct served_device *served);
/* Where it is served, for messages. */
const char *served_name(const struct served_device *served);
void served_close(struct served_device *served);

/* Serves all until served_stop_all(), or until one fails. Return: enum exit_code. */
int served_run(struct served_device *served, size_t count);

/* Tells served_stop_all() what there is to stop; once all are open. */
void served_expose(const struct served_device *served, size_t count);

/* Makes served_run() return soon. Thread: any; also from a signal handler. */
void served_stop_all(void);

#endif
