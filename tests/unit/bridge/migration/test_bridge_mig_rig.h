/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_BRIDGE_MIG_RIG_H
#define TEST_BRIDGE_MIG_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/migration/inside.h"
#include "os/uapi/precopy.h"
#include "test_bridge_vault.h"

/*
 * A device's migration as the VMM reaches it, over a real connection to a server; what is
 * around it (the table of descriptors, the device's alarm) is the rig's.
 */
struct end {
    struct bridge_device device;
    char path[96];                  /* of the server's socket */
    char log[96];                   /* where the bridge speaks */
    int fd;                         /* the last data descriptor, or -1 */
    uint32_t waiting[2], raised[2]; /* MSI, MSI-X: vectors signalled and not taken */
    atomic_uint alarms, losses;
    atomic_uint moves; /* it was told what it had refused while it stood still */
};

/* What a server's DMA message comes to; NULL: nothing is mapped. */
extern int (*end_dma)(uint64_t iova, void *data, size_t size, int is_write);
/* A name for a server's socket. */
void end_path(struct end *end, const char *name);
/* Connects to the server at end->path, as BIND does. identity: the server's. */
void end_bind(struct end *end, const struct ferry_identity *identity);
void end_unbind(struct end *end);

/* Changes the state; keeps the data descriptor if one is given. Return: 0 or -errno. */
int end_set(struct end *end, uint32_t state);
uint32_t end_get(struct end *end);

/* read, write and close of a data descriptor, as from the VMM. */
ssize_t vmm_read(int fd, void *ret_data, size_t bytes);
ssize_t vmm_write(int fd, const void *data, size_t bytes);
long vmm_ioctl(int fd, unsigned long request, void *arg);
void vmm_close(int *fd);
/* 1 when poll() finds it readable. */
int vmm_readable(int fd);

/* A growing piece of memory. */
struct bytes {
    uint8_t *data;
    size_t size, cap;
};
void bytes_add(struct bytes *bytes, const void *data, size_t count);
void bytes_free(struct bytes *bytes);

/* Reads until ENOMSG or the end. Return: 0 or -ENOMSG. */
int end_read_all(struct end *end, struct bytes *bytes, size_t piece);
/* Writes in pieces. Return: 0 or the first failure. */
int end_write_all(struct end *end, const struct bytes *bytes, size_t piece);
/* From RUNNING: all of a stopped device's data. The device is left in STOP. */
void end_save(struct end *end, struct bytes *bytes, size_t piece);

/* Fails unless the bridge said something that has this in it. */
void end_said(const struct end *end, const char *text);

#endif
