/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "peer.h"

#define WHY_BYTES 160

static void write_file(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!write(fd, text, strlen(text));
        close(fd);
    }
}

/* Root needs no user namespace, and a container may forbid one. Return: 0 or -1. */
static int leave_network(void)
{
    const unsigned user = geteuid();
    const unsigned group = getegid();
    char map[64];

    if (unshare(CLONE_NEWNET) == 0) {
        return 0;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        return -1;
    }
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof(map), "0 %u 1", user);
    write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof(map), "0 %u 1", group);
    write_file("/proc/self/gid_map", map);
    return 0;
}

int tap_open(char ret_why[WHY_BYTES])
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int fd;

    if (leave_network() != 0) {
        snprintf(ret_why, WHY_BYTES, "no network namespace: %s", strerror(errno));
        return -1;
    }
    /* Its own words on the wire would only be in the way of what is counted. */
    write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        snprintf(ret_why, WHY_BYTES, "/dev/net/tun: %s", strerror(errno));
        return -1;
    }
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", PEER_INTERFACE);
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        snprintf(ret_why, WHY_BYTES, "no TAP: %s", strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}
