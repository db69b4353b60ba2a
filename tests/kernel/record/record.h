/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_RECORD_H
#define FERRY_TESTS_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/uapi/vfio.h"

/*
 * The file of the recorder. One line a request, in a form that is the same for two
 * devices that behave alike: numbers that are a device's or a machine's own stand behind
 * a "#". What a VMM asks again and again until the time has come is one line between two
 * changes, with what was answered; how often stands behind the "#" as well.
 */

/* What was asked by VFIO_DEVICE_FEATURE, since the answer takes its place. */
struct record_feature {
    uint32_t flags;
    uint32_t argsz;
    uint32_t state;     /* with MIG_DEVICE_STATE */
    uint32_t ranges;    /* with DMA_LOGGING_START */
    uint64_t page_size; /* with DMA_LOGGING_START */
};

/* path: of the file, which is created with the first request; NULL: nothing is recorded.
 */
void record_begin(const char *path);

/* Writes what is not written yet. */
void record_end(void);

/* Something that the recorder cannot write down: whoever reads the file is to know. */
void record_fault(const char *what);

/* Before the request. asked: flags and argsz are set. */
void record_ask(struct record_feature *asked, const struct uapi_feature *call);

/*
 * After it. error: errno, or 0 for success.
 * Return: the data descriptor that was given, or -1.
 */
int record_answer(int device, const struct record_feature *asked,
                  const struct uapi_feature *call, int error);

/* What was asked of a data descriptor. Results as those of the calls. */
void record_data_ioctl(int device, unsigned long request, const void *arg, int error);
void record_read(int device, ssize_t result, int error);
void record_write(int device, size_t count, ssize_t result, int error);
void record_close(int device);

#endif
