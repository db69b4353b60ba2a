/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "host/backend/kernel/inside.h"
#include "host/backend/kernel/kernel.h"
#include "host/machine/machine.h"

/* From an address to a device: "PLACE[,OPTION...]". */

#define TOKEN_BYTES 16u
#define TOKEN_TEXT_BYTES 36u

struct address {
    char place[FERRY_MACHINE_PATH_BYTES];
    enum kernel_dirty dirty;
    uint32_t has_token;
    uint32_t send_all_arcs;
    uint8_t token[TOKEN_BYTES];
};

static int bad_option(struct ferry_error *reterr, const char *option, size_t length)
{
    return ferry_error_set(reterr, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                           "option '%.*s' of a kernel device: known are "
                           "dirty=device|iommu|none, token=UUID, arcs=all",
                           (int)(length < 80 ? length : 80), option);
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char low = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    const char *at = low != '\0' ? strchr(digits, low) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* 8-4-4-4-12 digits. Return: 1, or 0 when it is none. */
static int read_uuid(const char *text, size_t length, uint8_t *ret_uuid)
{
    size_t at = 0;

    if (length != TOKEN_TEXT_BYTES) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        const int dash = i == 8 || i == 13 || i == 18 || i == 23;
        const int digit = hex_digit(text[i]);

        if (dash != (text[i] == '-') || (!dash && digit < 0)) {
            return 0;
        }
        if (!dash) {
            ret_uuid[at / 2] =
                (uint8_t)(at % 2 == 0 ? digit << 4 : ret_uuid[at / 2] | digit);
            at++;
        }
    }
    return 1;
}

static int is(const char *option, size_t length, const char *text)
{
    return strlen(text) == length && memcmp(option, text, length) == 0;
}

static int read_option(const char *option, size_t length, struct address *address,
                       struct ferry_error *reterr)
{
    if (is(option, length, "dirty=device")) {
        address->dirty = KERNEL_DIRTY_DEVICE;
    } else if (is(option, length, "dirty=iommu")) {
        address->dirty = KERNEL_DIRTY_IOMMU;
    } else if (is(option, length, "dirty=none")) {
        address->dirty = KERNEL_DIRTY_NONE;
    } else if (is(option, length, "arcs=all")) {
        address->send_all_arcs = 1;
    } else if (length > 6 && memcmp(option, "token=", 6) == 0) {
        if (!read_uuid(option + 6, length - 6, address->token)) {
            return ferry_error_set(reterr, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                                   "token= wants a UUID of 36 characters");
        }
        address->has_token = 1;
    } else {
        return bad_option(reterr, option, length);
    }
    return FERRY_OK;
}

static int read_address(const char *text, struct address *address,
                        struct ferry_error *reterr)
{
    size_t length = strcspn(text, ",");
    int rc = FERRY_OK;

    memset(address, 0, sizeof(*address));
    if (length == 0 || length >= sizeof(address->place)) {
        return ferry_error_set(
            reterr, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
            "vfio: wants a PCI address, an mdev's UUID, /dev/vfio/devices/vfioN or a "
            "device's folder in sysfs (`ferry list` shows them)");
    }
    memcpy(address->place, text, length);
    text += length;
    while (*text == ',' && rc == FERRY_OK) {
        text++;
        length = strcspn(text, ",");
        rc = read_option(text, length, address, reterr);
        text += length;
    }
    return rc;
}

/* Opens what sysfs says can be opened. */
static int reach(const struct address *address, int by_group, struct kernel_parts *parts,
                 struct ferry_error *reterr)
{
    const uint8_t *token = address->has_token ? address->token : NULL;
    struct ferry_machine_place place;
    int rc = ferry_machine_find(address->place, NULL, NULL, &place, reterr);

    if (rc == FERRY_OK) {
        rc = ferry_machine_usable(&place, !by_group, reterr);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    return by_group ? kernel_type1_open(parts->calls, &place, token, &parts->iommu,
                                        &parts->fd, reterr)
                    : kernel_iommufd_open(parts->calls, &place, token, &parts->iommu,
                                          &parts->fd, reterr);
}

static int open_place(const char *rest, int by_group,
                      const struct ferry_backend_options *options,
                      struct ferry_backend **ret_backend, struct ferry_error *reterr)
{
    struct kernel_parts parts = { .calls = kernel_calls_real(),
                                  .fd = -1,
                                  .timeout_ms = options->timeout_ms,
                                  .as_is = options->as_is };
    struct address address;
    int rc = read_address(rest, &address, reterr);

    if (rc == FERRY_OK) {
        rc = reach(&address, by_group, &parts, reterr);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    parts.dirty = address.dirty;
    parts.send_all_arcs = address.send_all_arcs || options->all_arcs;
    return kernel_backend_new(&parts, ret_backend, reterr);
}

int ferry_backend_kernel_open(const char *rest,
                              const struct ferry_backend_options *options,
                              struct ferry_backend **ret_backend,
                              struct ferry_error *reterr)
{
    return open_place(rest, 0, options, ret_backend, reterr);
}

int ferry_backend_kernel_open_group(const char *rest,
                                    const struct ferry_backend_options *options,
                                    struct ferry_backend **ret_backend,
                                    struct ferry_error *reterr)
{
    return open_place(rest, 1, options, ret_backend, reterr);
}
