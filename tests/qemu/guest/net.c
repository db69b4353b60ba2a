/* SPDX-License-Identifier: BSD-3-Clause */
/* A network interface of the kernel's: its address, and what its kernel counted. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

#define MASK "255.255.255.0"
#define MTU_MAX 65535ul

static void set_address(struct ifreq *request, struct in_addr address)
{
    struct sockaddr_in where = { .sin_family = AF_INET, .sin_addr = address };

    memcpy(&request->ifr_addr, &where, sizeof(where));
}

int net_up(const char *interface, const char *text)
{
    struct ifreq request = { 0 };
    struct in_addr address;
    struct in_addr mask;
    int result = -1;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, text, &address) != 1 ||
        inet_pton(AF_INET, MASK, &mask) != 1) {
        errno = EINVAL;
        goto out;
    }
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    set_address(&request, address);
    if (ioctl(fd, SIOCSIFADDR, &request) != 0) {
        goto out;
    }
    set_address(&request, mask);
    if (ioctl(fd, SIOCSIFNETMASK, &request) != 0 ||
        ioctl(fd, SIOCGIFFLAGS, &request) != 0) {
        goto out;
    }
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    result = ioctl(fd, SIOCSIFFLAGS, &request);

out:
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

static int set_mtu(const char *interface, const char *text)
{
    char path[128];
    const unsigned long mtu = strtoul(text, NULL, 10);

    if (mtu == 0 || mtu > MTU_MAX) {
        return fail("an MTU is 1 to %lu", MTU_MAX);
    }
    snprintf(path, sizeof(path), "/sys/class/net/%s/mtu", interface);
    return put(path, text);
}

/* The value of a column in /proc/net/snmp, which names the columns in a line before. */
static unsigned long long snmp(const char *text, const char *protocol, const char *name)
{
    const char *names = strstr(text, protocol);
    const char *values = names == NULL ? NULL : strstr(names + 1, protocol);
    const size_t length = strlen(name);

    while (names != NULL && values != NULL) {
        names = strpbrk(names, " \n");
        values = strpbrk(values, " \n");
        if (names == NULL || values == NULL || *names == '\n') {
            return 0;
        }
        names++;
        values++;
        if (strncmp(names, name, length) == 0 && strchr(" \n", names[length]) != NULL) {
            return strtoull(values, NULL, 10);
        }
    }
    return 0;
}

static unsigned long long counter(const char *interface, const char *name)
{
    char path[160];
    char text[32];

    snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s", interface, name);
    return slurp(path, text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : 0;
}

static int say_counters(const char *interface)
{
    static const char *const names[] = { "rx_packets", "rx_bytes",   "rx_errors",
                                         "rx_dropped", "tx_packets", "tx_bytes",
                                         "tx_errors",  "tx_dropped" };
    char text[8192];

    if (if_nametoindex(interface) == 0) {
        return fail("%s: %s", interface, strerror(errno));
    }
    if (slurp("/proc/net/snmp", text, sizeof(text)) < 0) {
        return fail("/proc/net/snmp: %s", strerror(errno));
    }
    printf("= %s", interface);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        printf(" %s=%llu", names[i], counter(interface, names[i]));
    }
    printf(" tcp_retransmits=%llu tcp_errors=%llu tcp_checksums=%llu udp_checksums=%llu "
           "icmp_checksums=%llu\n",
           snmp(text, "Tcp:", "RetransSegs"), snmp(text, "Tcp:", "InErrs"),
           snmp(text, "Tcp:", "InCsumErrors"), snmp(text, "Udp:", "InCsumErrors"),
           snmp(text, "Icmp:", "InCsumErrors"));
    return 0;
}

static int say_link(const char *interface)
{
    char path[128];
    char address[32] = "";
    char carrier[8] = "0";

    snprintf(path, sizeof(path), "/sys/class/net/%s/address", interface);
    if (slurp(path, address, sizeof(address)) < 0) {
        return fail("%s: %s", interface, strerror(errno));
    }
    snprintf(path, sizeof(path), "/sys/class/net/%s/carrier", interface);
    (void)slurp(path, carrier, sizeof(carrier));
    address[strcspn(address, "\n")] = '\0';
    printf("= %s mac=%s carrier=%c\n", interface, address, carrier[0]);
    return 0;
}

int command_net(const char *const words[WORDS_MAX])
{
    const char *interface = words[2];

    if (interface[0] == '\0' || strlen(interface) >= IFNAMSIZ) {
        return fail("net up|mtu|link|counters INTERFACE ...");
    }
    if (strcmp(words[1], "up") == 0) {
        return net_up(interface, words[3]) == 0
                   ? 0
                   : fail("%s: %s", interface, strerror(errno));
    }
    if (strcmp(words[1], "mtu") == 0) {
        return set_mtu(interface, words[3]);
    }
    if (strcmp(words[1], "link") == 0) {
        return say_link(interface);
    }
    if (strcmp(words[1], "counters") == 0) {
        return say_counters(interface);
    }
    return fail("up, mtu, link or counters, not '%s'", words[1]);
}
