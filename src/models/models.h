/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_H
#define FERRY_MODELS_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"
#include "ferry/error.h"

/*
 * The device models that come with Ferry: "acc", a virtio-crypto device, "copy", a
 * DMA engine with memory of its own, and "nic", a virtio-net device. They are made over
 * the device SDK's public interface only.
 */

/* One option that a model takes, for checks and help texts. All strings are static. */
struct ferry_model_option {
    const char *name;     /* "sessions" */
    const char *value;    /* what the value is, for help: "N", "BYTES" */
    const char *fallback; /* the value taken when the option is absent: "64" */
    const char *help;     /* one sentence with the limits */
};

/* Options for a new device. */
struct ferry_model_options {
    size_t struct_size; /* sizeof(struct ferry_model_options) */
    size_t count;
    const char *const *option; /* count strings "name=value"; borrowed for the call */
};

struct ferry_model {
    const char *name;    /* "acc" */
    const char *summary; /* one line */
    const struct ferry_model_option *option;
    size_t option_count;
    /*
     * Makes a device, in RUNNING with nothing attached.
     * options: borrowed for the call; NULL takes every default.
     * ret_device, ret_state: the caller's until destroy().
     * Return: FERRY_OK; FERRY_E_ARGUMENT (reterr names the option), FERRY_E_MEMORY,
     *   FERRY_E_IO.
     */
    int (*create)(const struct ferry_model_options *options,
                  struct ferry_device **ret_device, void **ret_state,
                  struct ferry_error *reterr);
    /* Destroys both; no server and no in-process user may hold the device any more. */
    void (*destroy)(struct ferry_device *device, void *state);
};

/* The i-th model, or NULL past the last. Thread: any. */
const struct ferry_model *ferry_model_get(size_t i);

/* The model of that name, or NULL. name: borrowed for the call. Thread: any. */
const struct ferry_model *ferry_model_find(const char *name);

#endif
