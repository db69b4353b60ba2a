/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * usage: net_peer SOCKET ADDRESS         takes commands, a line each, as the guest does
 *        net_peer SOCKET ADDRESS GUEST   pings that guest, and says how it goes
 *
 * Listens at SOCKET; each connection is a port of a switch, at which a host has ADDRESS
 * (a /24). Says "ready", and answers as init.c tells. The commands net, stream, datagram
 * and time are the guest's; the interface is peer0. And
 *
 *   ping start ADDRESS [MS [wait]]|status|stop
 *                     a ping every 10 ms or so often; wait: what is sent before the first
 *                     answer does not count. More keys: sent=N received=N
 *                     open=N (no answer yet, or never) twice=N rtt_us=N rtt_us_max=N;
 *                     gap_us is the longest time without an answer. stop waits two
 *                     seconds for the last ones
 *   scatter start MAC RATE|status|stop
 *                     so many frames a second to a MAC (twelve hex digits), each of
 *                     another flow. One more key: sent=N
 *   hub               "= hub ports=N ...": connections, frames, what was dropped, how
 *                     often an address went to another port, how often a device
 *                     announced itself
 *
 * With a GUEST it says once a second how the pings go. Exits with 77 when there can be no
 * network namespace with a TAP here.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "peer.h"

#define SKIPPED 77
#define LINE_BYTES 256
#define SHOW_MS 1000

static struct hub_count *hub;

static int command_hub(const char *const words[WORDS_MAX])
{
    (void)words;
    printf("= hub ports=%llu frames_in=%llu frames_out=%llu dropped=%llu moves=%llu "
           "announces=%llu malformed=%llu\n",
           (unsigned long long)atomic_load(&hub->ports),
           (unsigned long long)atomic_load(&hub->frames_in),
           (unsigned long long)atomic_load(&hub->frames_out),
           (unsigned long long)atomic_load(&hub->dropped),
           (unsigned long long)atomic_load(&hub->moves),
           (unsigned long long)atomic_load(&hub->announces),
           (unsigned long long)atomic_load(&hub->malformed));
    return 0;
}

static const struct command_row commands[] = {
    { "hub", command_hub },           { "net", command_net },
    { "scatter", command_scatter },   { "ping", command_ping },
    { "stream", command_stream },     { "time", command_time },
    { "datagram", command_datagram },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int listen_at(const char *path)
{
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(where.sun_path)) {
        return fail("%s: too long", path);
    }
    strcpy(where.sun_path, path);
    (void)unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof(where)) != 0 ||
        listen(fd, HUB_PORTS_MAX) != 0) {
        return fail("%s: %s", path, strerror(errno));
    }
    return fd;
}

/* Pings a guest and says how that goes, until somebody ends it. */
static void show(const char *guest)
{
    if (run_words(commands, COMMANDS, "ping start %s 10 wait", guest) != 0) {
        return;
    }
    for (;;) {
        (void)poll(NULL, 0, SHOW_MS);
        ping_show();
        printf(", moved %llu times\n", (unsigned long long)atomic_load(&hub->moves));
    }
}

int main(int argc, char **argv)
{
    char line[LINE_BYTES];
    char why[160];
    int listener;
    int tap;

    if (argc < 3 || argc > 4) {
        fputs("usage: net_peer SOCKET ADDRESS [GUEST]\n", stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    listener = listen_at(argv[1]);
    hub = shared_memory(sizeof(*hub));
    if (listener < 0 || hub == NULL || work_init(NULL) != 0) {
        return 1;
    }
    tap = tap_open(why);
    if (tap < 0 || net_up("lo", "127.0.0.1") != 0) {
        printf("error %s\n", tap < 0 ? why : strerror(errno));
        return SKIPPED;
    }
    if (net_up(PEER_INTERFACE, argv[2]) != 0) {
        fail("%s: %s", argv[2], strerror(errno));
        return 1;
    }
    if (fork() == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        hub_run(listener, tap, hub);
    }
    close(listener);
    close(tap);
    puts("ready");
    if (argc == 4) {
        show(argv[3]);
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (run_line(commands, COMMANDS, line) == 0) {
            puts("ok");
        }
    }
    return 0;
}
