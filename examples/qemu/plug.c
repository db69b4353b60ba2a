/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugs a device of a vfio-user server into a QEMU that runs under the bridge:
 *
 *   plug MONITOR SERVER ID [BUS]
 *
 * MONITOR: a UNIX socket with QEMU's monitor (-qmp unix:...). A token for SERVER's socket
 * goes there by getfd, and device_add makes a device of it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ferry/bridge.h"

#define LINE_BYTES 65536

/* Return: a connected socket, or -1. */
static int open_monitor(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof(address.sun_path)) {
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        perror(path);
        close(fd);
        return -1;
    }
    return fd;
}

/* A line, and a descriptor with it unless it is negative. Return: 1 when it is sent. */
static int send_line(int monitor, const char *line, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = { .iov_len = strlen(line) };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

    memcpy(&part.iov_base, &line, sizeof(line)); /* sendmsg() does not write to it */
    if (fd >= 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
    }
    return sendmsg(monitor, &message, MSG_NOSIGNAL) == (ssize_t)part.iov_len;
}

/* Reads up to the answer: events are passed over. Return: 1 when it is no error. */
static int hear(FILE *monitor)
{
    static char line[LINE_BYTES];

    while (fgets(line, sizeof(line), monitor) != NULL) {
        if (strncmp(line, "{\"return\"", 9) == 0 || strncmp(line, "{\"QMP\"", 6) == 0) {
            return 1;
        }
        if (strncmp(line, "{\"error\"", 8) == 0) {
            fputs(line, stderr);
            return 0;
        }
    }
    fputs("the monitor has closed\n", stderr);
    return 0;
}

static int plug(int monitor, FILE *answers, int token, const char *id, const char *bus)
{
    char line[512];

    if (!hear(answers) ||
        !send_line(monitor, "{\"execute\":\"qmp_capabilities\"}\n", -1) ||
        !hear(answers)) {
        return 0;
    }
    snprintf(line, sizeof(line),
             "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"%.60s\"}}\n", id);
    if (!send_line(monitor, line, token) || !hear(answers)) {
        return 0;
    }
    snprintf(line, sizeof(line),
             "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vfio-pci\","
             "\"id\":\"%.60s\",\"fd\":\"%.60s\",\"iommufd\":\"ferry\"%s%.60s%s}}\n",
             id, id, bus != NULL ? ",\"bus\":\"" : "", bus != NULL ? bus : "",
             bus != NULL ? "\"" : "");
    return send_line(monitor, line, -1) && hear(answers);
}

int main(int argc, char **argv)
{
    struct ferry_bridge_device device = { .struct_size = sizeof(device) };
    struct ferry_error error = { .code = FERRY_OK };
    int token = -1, monitor, done = 0;
    FILE *answers;

    if (argc < 4 || argc > 5 || strpbrk(argv[3], "\"\\") != NULL) {
        fputs("usage: plug MONITOR SERVER ID [BUS]\n", stderr);
        return 2;
    }
    device.path = argv[2]; /* absolute */
    device.name = argv[3];
    if (ferry_bridge_device_token(&device, &token, &error) < 0) {
        fprintf(stderr, "%s: %s\n", argv[2], error.text);
        return 1;
    }
    monitor = open_monitor(argv[1]);
    answers = monitor >= 0 ? fdopen(monitor, "r") : NULL;
    if (answers != NULL) {
        done = plug(monitor, answers, token, argv[3], argc == 5 ? argv[4] : NULL);
        fclose(answers);
    }
    close(token);
    return done ? 0 : 1;
}
