/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/qemu/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"

#define START_TIMEOUT_MS 20000
#define QUIT_TIMEOUT_MS 3000

/* In the new process: a server. It ends with the keeper in any case. */
static void become_server(const struct keeper *keeper, size_t i, int ready, pid_t parent)
{
    const struct qemu_device *device = &keeper->args->device[i];
    struct qemu_words argv = { .count = 0 };
    char *model = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&model, &bytes);
    sigset_t none;

    if (out == NULL) {
        _exit(EXIT_FAILED);
    }
    fputs(device->model, out);
    for (size_t j = 0; j < device->model_options; j++) {
        fprintf(out, ",%s", device->model_option[j]);
    }
    fclose(out);
    qemu_words_add(&argv, "ferry");
    qemu_words_add(&argv, "serve");
    qemu_words_add(&argv, "%s", model);
    qemu_words_add(&argv, "--socket=%.96s/%zu.sock", keeper->folder, i);
    qemu_words_add(&argv, "--ready-fd=%d", ready);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(keeper->alive);
    if (!argv.failed && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent) {
        fcntl(ready, F_SETFD, 0);
        execv("/proc/self/exe", argv.word);
    }
    _exit(EXIT_FAILED);
}

/* Return: 1 when the server has said that it is ready. */
static int wait_ready(int fd)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    char line[16];
    int ready;

    do {
        ready = poll(&wait, 1, START_TIMEOUT_MS);
    } while (ready < 0 && errno == EINTR);
    return ready > 0 && read(fd, line, sizeof(line)) > 0;
}

/* Return: enum exit_code, the server's when it ended. */
static int start_server(struct keeper *keeper, size_t i)
{
    const struct qemu_device *device = &keeper->args->device[i];
    pid_t parent = getpid();
    int ready[2], good, status = 0;
    pid_t pid;

    if (pipe(ready) < 0) {
        print_error("qemu", NULL, "pipe: %s", strerror(errno));
        return EXIT_FAILED;
    }
    fcntl(ready[0], F_SETFD, FD_CLOEXEC);
    fcntl(ready[1], F_SETFD, FD_CLOEXEC);
    pid = fork();
    if (pid == 0) {
        become_server(keeper, i, ready[1], parent);
    }
    close(ready[1]);
    good = pid > 0 && wait_ready(ready[0]);
    close(ready[0]);
    if (good) {
        keeper->server[i] = pid;
        return EXIT_OK;
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    print_error("qemu", NULL, "the server of model %s did not get ready", device->model);
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_USAGE ? EXIT_USAGE
                                                                  : EXIT_FAILED;
}

/* Notes servers that have ended. Return: how many still run. */
static size_t reap(struct keeper *keeper, int say)
{
    size_t running = 0;

    for (size_t i = 0; i < keeper->args->devices; i++) {
        int how = 0;

        if (keeper->server[i] > 0 && waitpid(keeper->server[i], &how, WNOHANG) != 0) {
            keeper->server[i] = 0;
            if (say) {
                print_error(
                    "qemu", NULL,
                    "the server of %s (model %s) died (%s %d): the guest's device "
                    "reports errors from now on, and its state is lost",
                    keeper->args->device[i].id, keeper->args->device[i].model,
                    WIFSIGNALED(how) ? "signal" : "exit status",
                    WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
            }
        }
        running += keeper->server[i] > 0;
    }
    return running;
}

static void signal_all(const struct keeper *keeper, int number)
{
    for (size_t i = 0; i < keeper->args->devices; i++) {
        if (keeper->server[i] > 0) {
            kill(keeper->server[i], number);
        }
    }
}

static void end_servers(struct keeper *keeper)
{
    signal_all(keeper, SIGTERM);
    for (int waited = 0; reap(keeper, 0) > 0 && waited < QUIT_TIMEOUT_MS; waited += 5) {
        poll(NULL, 0, 5);
    }
    signal_all(keeper, SIGKILL);
    while (reap(keeper, 0) > 0) {
        poll(NULL, 0, 5);
    }
    for (size_t i = 0; i < keeper->args->devices; i++) {
        if (keeper->args->device[i].model != NULL) {
            char path[QEMU_SOCKET_BYTES];

            snprintf(path, sizeof(path), "%.96s/%zu.sock", keeper->folder, i);
            unlink(path);
        }
    }
    qemu_groups_remove(keeper->folder);
    rmdir(keeper->folder);
}

/*
 * Until nobody holds QEMU's end of the pipe (a QEMU that became a daemon holds it as
 * well), and the process that became QEMU is gone (a wrapper may have closed it), or
 * until this one is told to end.
 */
static void attend(struct keeper *keeper)
{
    struct pollfd wait[2] = {
        { .fd = keeper->children, .events = POLLIN },
        { .fd = keeper->alive, .events = POLLIN },
    };
    struct signalfd_siginfo signal;

    for (;;) {
        if (poll(wait, 2, -1) < 0 && errno != EINTR) {
            return;
        }
        if (wait[0].revents != 0 &&
            read(keeper->children, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
            if (signal.ssi_signo != SIGCHLD) {
                return;
            }
            reap(keeper, 1);
        }
        if (wait[1].revents != 0) {
            if (wait[1].fd == keeper->owner || keeper->owner < 0) {
                return;
            }
            wait[1].fd = keeper->owner;
        }
    }
}

/* Nothing of what the user hands to QEMU stays open here; standard error does. */
static void close_others(const struct keeper *keeper)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        int fd = atoi(entry->d_name);

        if (fd > STDERR_FILENO && fd != dirfd(folder) && fd != null &&
            fd != keeper->alive && fd != keeper->told && fd != keeper->children &&
            fd != keeper->owner) {
            close(fd);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (null > STDERR_FILENO) {
        close(null);
    }
}

/* Messages of servers go where the bridge's go. A daemon's caller may wait for the end of
 * its standard error. */
static void set_messages(const char *log, int daemonize)
{
    int fd = -1;

    if (log != NULL || daemonize) {
        fd = open(log != NULL ? log : "/dev/null",
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    if (fd >= 0) {
        dup2(fd, STDERR_FILENO);
        close(fd);
    }
}

/* Return: 1 when it could be told; 0: nobody is there any more. */
static int tell(const struct keeper *keeper, char result)
{
    return write(keeper->told, &result, 1) == 1;
}

/* Waits for the word to start. Return: enum exit_code of the servers. */
static int start_all(struct keeper *keeper)
{
    int result = EXIT_OK;
    char word;

    if (read(keeper->alive, &word, 1) != 1) {
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < keeper->args->devices && result == EXIT_OK; i++) {
        if (keeper->args->device[i].model != NULL) {
            result = start_server(keeper, i);
        }
    }
    return tell(keeper, (char)result) ? result : EXIT_FAILED;
}

void keeper_live(struct keeper *keeper, const char *log, int daemonize)
{
    sigset_t wanted;

    setsid();
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGHUP);
    sigaddset(&wanted, SIGINT);
    sigprocmask(SIG_SETMASK, &wanted, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN); /* whoever it tells may be gone: then it has to clean up */
    keeper->children = signalfd(-1, &wanted, SFD_CLOEXEC);
    close_others(keeper);
    if (mkdtemp(keeper->folder) == NULL) {
        print_error("qemu", NULL, "cannot make %s: %s", keeper->folder, strerror(errno));
        tell(keeper, EXIT_FAILED);
        _exit(0);
    }
    set_messages(log, daemonize);
    if (tell(keeper, EXIT_OK) &&
        write(keeper->told, keeper->folder, QEMU_FOLDER_BYTES) == QEMU_FOLDER_BYTES &&
        start_all(keeper) == EXIT_OK) {
        close(keeper->told);
        keeper->told = -1;
        attend(keeper);
    }
    end_servers(keeper);
    _exit(0);
}
