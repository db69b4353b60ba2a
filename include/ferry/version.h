/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VERSION_H
#define FERRY_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the library and of its headers. */
#define FERRY_VERSION_MAJOR 0
#define FERRY_VERSION_MINOR 1
#define FERRY_VERSION_PATCH 0

/* Marks a symbol that the shared library exports; everything else is hidden. */
#define FERRY_PUBLIC __attribute__((visibility("default")))

/*
 * A device as its user reaches it: the device SDK makes one (ferry_device_endpoint),
 * the host library uses it (ferry_context_add_endpoint). Opaque to both callers.
 */
struct ferry_endpoint;

/*
 * The version of the library that is running.
 *
 * Return: a static string such as "0.1.0".
 * Thread: any.
 */
FERRY_PUBLIC const char *ferry_version(void);

#ifdef __cplusplus
}
#endif

#endif
