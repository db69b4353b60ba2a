/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bridge/preload/tokens/token.h"
#include "os/errno.h"
#include "os/memory.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3 */
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define LAYER "bridge"
#define HEAD BRIDGE_TOKEN_MAGIC BRIDGE_TOKEN_VERSION "\n"

static const char *const dirties[] = { [FERRY_BRIDGE_DIRTY_ANY] = "any",
                                       [FERRY_BRIDGE_DIRTY_DEVICE] = "device",
                                       [FERRY_BRIDGE_DIRTY_IOMMU] = "iommu" };

static int make_memfd(const char *name)
{
    /* Hosts with vm.memfd_noexec=2 make no others; kernels before 6.3 do not know it. */
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    return fd;
}

/* Puts a text into a new memfd that nobody can change. */
static int make(const char *name, const char *text, size_t bytes, int *ret_fd,
                struct ferry_error *reterr)
{
    int fd = make_memfd(name);
    int err;

    if (fd < 0) {
        return ferry_os_error_as(reterr, FERRY_E_IO, errno, "memfd_create");
    }
    if (write(fd, text, bytes) != (ssize_t)bytes || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
        err = errno;
        ferry_os_close(&fd);
        return ferry_os_error_as(reterr, FERRY_E_IO, err, "write a token");
    }
    *ret_fd = fd;
    return FERRY_OK;
}

/* size: of the reader's array. */
static int check_text(const char *what, const char *text, size_t size, int is_path,
                      struct ferry_error *reterr)
{
    if (text == NULL) {
        return FERRY_OK;
    }
    if (strpbrk(text, "\n\r")) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "a newline in the device's %s", what);
    }
    if (is_path && text[0] != '/') {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "the device's %s must be absolute, since QEMU may change "
                               "its folder: '%.64s'",
                               what, text);
    }
    if (strlen(text) >= size) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, LAYER, NULL, 0,
                               "the device's %s is longer than %zu bytes", what,
                               size - 1);
    }
    return FERRY_OK;
}

static int check(const struct ferry_bridge_device *device, struct ferry_error *reterr)
{
    struct bridge_token *token = NULL; /* for sizes */
    int status;

    if (device->path == NULL) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "a device token needs the path of its server's socket");
    }
    if (device->dirty > FERRY_BRIDGE_DIRTY_IOMMU || device->no_peer_maps > 1 ||
        device->trace > 1 || device->timeout_ms > INT32_MAX) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "a value of the device token is out of its range");
    }
    status = check_text("path", device->path, sizeof(token->path), 1, reterr);
    if (status == FERRY_OK) {
        status = check_text("name", device->name, sizeof(token->name), 0, reterr);
    }
    if (status == FERRY_OK) {
        status = check_text("log", device->log, sizeof(token->log), 1, reterr);
    }
    return status;
}

int ferry_bridge_device_token(const struct ferry_bridge_device *device, int *ret_fd,
                              struct ferry_error *reterr)
{
    struct ferry_bridge_device full = { 0 };
    char text[BRIDGE_TOKEN_BYTES_MAX];
    int status;
    int bytes;

    /* A caller built against an older header has a shorter struct. */
    if (device->struct_size < sizeof(full.struct_size)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, LAYER, NULL, 0,
                               "struct_size is not set");
    }
    memcpy(&full, device,
           device->struct_size < sizeof(full) ? device->struct_size : sizeof(full));
    status = check(&full, reterr);
    if (status != FERRY_OK) {
        return status;
    }
    bytes = snprintf(text, sizeof(text),
                     HEAD "kind=device\npath=%s\nname=%s\nlog=%s\ntimeout_ms=%u\n"
                          "no_peer_maps=%u\ndirty=%s\ntrace=%u\n",
                     full.path, full.name ? full.name : "", full.log ? full.log : "",
                     full.timeout_ms, full.no_peer_maps, dirties[full.dirty], full.trace);
    return make("ferry-device", text, (size_t)bytes, ret_fd, reterr);
}

int ferry_bridge_iommu_token(int *ret_fd, struct ferry_error *reterr)
{
    static const char text[] = HEAD "kind=iommu\n";

    return make("ferry-iommu", text, sizeof(text) - 1, ret_fd, reterr);
}
