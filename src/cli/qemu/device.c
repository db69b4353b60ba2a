/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/qemu/qemu.h"
#include "ferry/bridge.h"

/* The values of dirty=, in the order of enum ferry_bridge_dirty. */
static const char *const dirty_names[] = { "any", "device", "iommu" };

/* QEMU's rule for ids. */
static int is_id(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "0123456789-._");

    return isalpha((unsigned char)text[0]) && text[n] == '\0' && n < QEMU_ID_BYTES;
}

static int take_socket(struct qemu_device *device, const char *text,
                       char ret_why[QEMU_WHY_BYTES])
{
    char here[QEMU_PATH_BYTES] = "";
    int n;

    if (strncmp(text, "vfio-user:", 10) == 0) {
        text += 10;
    }
    if (text[0] == '\0') {
        snprintf(ret_why, QEMU_WHY_BYTES, "the path of a socket is needed");
        return 0;
    }
    /* QEMU may be somewhere else when it connects (-daemonize). */
    if (text[0] != '/' && getcwd(here, sizeof(here) - 1) != NULL) {
        strcat(here, "/");
    }
    n = snprintf(device->socket, sizeof(device->socket), "%s%s", here, text);
    if (n < 0 || (size_t)n >= sizeof(device->socket)) {
        snprintf(ret_why, QEMU_WHY_BYTES,
                 "a socket's path has %d bytes at most: %.60s...", QEMU_SOCKET_BYTES - 1,
                 text);
        return 0;
    }
    return 1;
}

static int take_dirty(struct qemu_device *device, const char *value,
                      char ret_why[QEMU_WHY_BYTES])
{
    for (uint32_t i = 0; i < sizeof(dirty_names) / sizeof(dirty_names[0]); i++) {
        if (strcmp(dirty_names[i], value) == 0) {
            device->dirty = i;
            return 1;
        }
    }
    snprintf(ret_why, QEMU_WHY_BYTES, "dirty= takes any, device or iommu, not '%.40s'",
             value);
    return 0;
}

static int take_text(const char *key, const char *value, int good, char *ret_text,
                     size_t size, char ret_why[QEMU_WHY_BYTES])
{
    if (!good || strlen(value) >= size) {
        snprintf(ret_why, QEMU_WHY_BYTES,
                 "%s= takes a name of at most %zu bytes (letters first), not '%.50s'",
                 key, size - 1, value);
        return 0;
    }
    snprintf(ret_text, size, "%s", value);
    return 1;
}

/* Return: 1 when it is in the list; 0 with why when there is no room. */
static int keep(const char **list, size_t *count, const char *text,
                char ret_why[QEMU_WHY_BYTES])
{
    if (*count == QEMU_PROPERTIES_MAX) {
        snprintf(ret_why, QEMU_WHY_BYTES, "more than %d options", QEMU_PROPERTIES_MAX);
        return 0;
    }
    list[(*count)++] = text;
    return 1;
}

/* One "key=value" behind the socket or model. */
static int take_option(struct qemu_device *device, char *text,
                       char ret_why[QEMU_WHY_BYTES])
{
    char *equals = strchr(text, '=');
    const char *value = equals != NULL ? equals + 1 : "";
    size_t n = equals != NULL ? (size_t)(equals - text) : strlen(text);

    if (n == 2 && strncmp(text, "id", n) == 0) {
        return take_text("id", value, is_id(value), device->id, sizeof(device->id),
                         ret_why);
    }
    if (n == 4 && strncmp(text, "name", n) == 0) {
        return take_text("name", value, value[0] != '\0', device->name,
                         sizeof(device->name), ret_why);
    }
    if (n == 5 && strncmp(text, "dirty", n) == 0) {
        return take_dirty(device, value, ret_why);
    }
    if (n > 5 && strncmp(text, "qemu.", 5) == 0 && equals != NULL) {
        return keep(device->property, &device->properties, text + 5, ret_why);
    }
    if ((n == 3 && strncmp(text, "bus", n) == 0) ||
        (n == 4 && strncmp(text, "addr", n) == 0)) {
        return keep(device->property, &device->properties, text, ret_why);
    }
    if (device->model != NULL) {
        return keep(device->model_option, &device->model_options, text, ret_why);
    }
    snprintf(ret_why, QEMU_WHY_BYTES,
             "'%.40s' is none of id=, name=, bus=, addr=, dirty= and qemu.KEY=", text);
    return 0;
}

int qemu_device_parse(char *text, struct qemu_device *ret_device,
                      char ret_why[QEMU_WHY_BYTES])
{
    struct qemu_device *device = ret_device;
    char *comma = strchr(text, ',');

    memset(device, 0, sizeof(*device));
    device->token = -1;
    if (comma != NULL) {
        *comma = '\0';
    }
    if (strncmp(text, "model=", 6) == 0 && text[6] != '\0') {
        device->model = text + 6;
    } else if (!take_socket(device, text, ret_why)) {
        return 0;
    }
    while (comma != NULL) {
        text = comma + 1;
        comma = strchr(text, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        if (!take_option(device, text, ret_why)) {
            return 0;
        }
    }
    return 1;
}
