/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FACE_H
#define FERRY_FACE_H

#include "ferry/filter.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A device with another face: an endpoint over a device's endpoint that shows it to users
 * of another version of the uAPI.
 */

/* How the data section of the migration region is reached. */
enum ferry_face_v1_form {
    FERRY_FACE_V1_TRAPPED = 0, /* by reads and writes of the region only */
    FERRY_FACE_V1_MMAP,        /* all of it can be mapped */
    FERRY_FACE_V1_PARTITIONED  /* a part can be mapped; pieces lie in either or in both */
};

/*
 * Shows a device by version 1 of the uAPI (Linux 5.8 to 5.17): a migration region behind
 * its other regions takes the place of version 2's device features. DMA logging stays.
 * docs/uapi-v1.md says what the region does where version 1 leaves it open.
 *
 * below: borrowed until the face is closed; nobody else uses it meanwhile, and nobody is
 *   attached now. It is asked what it is, and thereby reset.
 * form: enum ferry_face_v1_form.
 * ret_endpoint: as of ferry_filter_open(); the caller ends it with ferry_face_v1_close().
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED (the device does not migrate), FERRY_E_ARGUMENT
 *   (form), FERRY_E_LIMIT (a device with P2P and more than 64 mappable areas),
 *   FERRY_E_BUSY, FERRY_E_TIMEOUT, FERRY_E_MEMORY, or what the device answered.
 * Thread: the one that will run the device.
 */
FERRY_PUBLIC int ferry_face_v1_open(struct ferry_endpoint *below, uint32_t form,
                                    struct ferry_endpoint **ret_endpoint,
                                    struct ferry_error *reterr);

/* Ends it. No user is attached. NULL: nothing. */
FERRY_PUBLIC void ferry_face_v1_close(struct ferry_endpoint *endpoint);

#ifdef __cplusplus
}
#endif

#endif
