/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "models/nic/net/stream/stream.h"

/*
 * user[:tcp=PORTS]: user networking without root by passt, which translates between
 * frames and the host's own sockets. It is a process of its own, which confines itself,
 * and speaks a stream's framing over a socket that it is given. It ends when that socket
 * is closed, also when this process is killed.
 */
#define USER_PROGRAM "passt"
#define CHILD_FD 3 /* the socket, as the child sees it */
#define PORTS_MAX 64u
#define USER_PACE_MS 2000u /* a passt that cannot run is not started all the time */

extern char **environ;

struct user {
    pid_t child;
    char ports[PORTS_MAX]; /* "": none */
};

/* SIGPIPE and others as a program finds them, and nothing of ours but the socket. */
static int spawn(const struct user *user, int fd, pid_t *ret_child)
{
    char *argument[] = { (char[]){ USER_PROGRAM },
                         (char[]){ "--foreground" },
                         (char[]){ "--quiet" },
                         (char[]){ "--fd" },
                         (char[]){ "3" },
                         NULL,
                         NULL,
                         NULL };
    char flag[] = "--tcp-ports";
    char ports[PORTS_MAX];
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int err;

    (void)snprintf(ports, sizeof(ports), "%s", user->ports);
    argument[5] = ports[0] != '\0' ? flag : NULL;
    argument[6] = ports[0] != '\0' ? ports : NULL;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawn_file_actions_init(&files);
    err = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    if (err == 0) {
        err = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
    }
    if (err == 0) {
        err = posix_spawn_file_actions_adddup2(&files, 0, 1);
    }
    if (err == 0) {
        err = posix_spawn_file_actions_adddup2(&files, fd, CHILD_FD);
    }
    if (err == 0) {
        err =
            posix_spawnp(ret_child, USER_PROGRAM, &files, &attributes, argument, environ);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    return err;
}

/* Takes note of a child that has ended. wait: after it was killed. */
static void reap(struct user *user, int wait)
{
    if (user->child > 0 && waitpid(user->child, NULL, wait ? 0 : WNOHANG) != 0) {
        user->child = 0;
    }
}

/* Returns an errno value. */
static int start(struct user *user, int *ret_fd)
{
    int pair[2] = { -1, -1 };
    int err = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return errno;
    }
    if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) {
        err = errno;
    } else {
        err = spawn(user, pair[1], &user->child);
    }
    nic_net_close_fd(&pair[1]);
    if (err != 0) {
        nic_net_close_fd(&pair[0]);
        user->child = 0;
        return err;
    }
    *ret_fd = pair[0];
    return 0;
}

static int user_connect(void *way, int *ret_fd)
{
    struct user *user = way;

    reap(user, 0);
    return user->child == 0 && start(user, ret_fd) == 0 ? FERRY_OK : FERRY_E_IO;
}

static void user_ended(void *way)
{
    struct user *user = way;

    if (user->child > 0) {
        (void)kill(user->child, SIGKILL);
    }
    reap(user, 0);
}

static void user_destroy(void *way)
{
    struct user *user = way;

    if (user->child > 0) {
        (void)kill(user->child, SIGKILL);
        reap(user, 1);
    }
    free(user);
}

static const struct nic_stream_way user_way = {
    .name = "user",
    .pace_ms = USER_PACE_MS,
    .connect = user_connect,
    .ended = user_ended,
    .destroy = user_destroy,
};

static int read_options(const char *rest, struct user *user, struct ferry_error *reterr)
{
    static const char key[] = "tcp=";
    const char *ports = rest + sizeof(key) - 1;

    if (*rest == '\0') {
        return FERRY_OK;
    }
    if (strncmp(rest, key, sizeof(key) - 1) != 0 || *ports == '\0' ||
        ports[strspn(ports, "0123456789:-")] != '\0' || strlen(ports) >= PORTS_MAX) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "nic", NULL, 0,
                               "user:%.100s: after the colon comes tcp=PORT or "
                               "tcp=HOST-PORT:GUEST-PORT",
                               rest);
    }
    memcpy(user->ports, ports, strlen(ports));
    return FERRY_OK;
}

/* posix_spawnp() says whether the program is there; only PATH knows before. */
static int can_start(struct ferry_error *reterr)
{
    const char *path = getenv("PATH");
    char file[512];

    while (path != NULL && *path != '\0') {
        const size_t bytes = strcspn(path, ":");

        (void)snprintf(file, sizeof(file), "%.*s/%s", (int)(bytes < 400 ? bytes : 400),
                       path, USER_PROGRAM);
        if (access(file, X_OK) == 0) {
            return FERRY_OK;
        }
        path += bytes + (path[bytes] == ':');
    }
    return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "nic", NULL, 0,
                           "user: the program " USER_PROGRAM
                           " is not in PATH; install the package passt");
}

int nic_user_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr)
{
    struct user *user = calloc(1, sizeof(*user));
    int status;

    if (user == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    }
    status = read_options(rest, user, reterr);
    if (status == FERRY_OK) {
        status = can_start(reterr);
    }
    if (status < 0) {
        free(user);
        return status;
    }
    return nic_stream_create(&user_way, user, ret_net, reterr);
}
