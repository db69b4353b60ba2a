/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_BACKEND_USER_H
#define FERRY_HOST_BACKEND_BACKEND_USER_H

#include "host/backend/backend.h"

/* Connects to the vfio-user server at path. Return: as ferry_client_connect(), and
 * FERRY_E_ARGUMENT for an empty path. */
int ferry_backend_user_open(const char *path, const struct ferry_backend_options *options,
                            struct ferry_backend **ret_backend,
                            struct ferry_error *reterr);

/* "N": a connected socket that this process inherited; it is the backend's from then on.
 */
int ferry_backend_user_open_fd(const char *number,
                               const struct ferry_backend_options *options,
                               struct ferry_backend **ret_backend,
                               struct ferry_error *reterr);

#endif
