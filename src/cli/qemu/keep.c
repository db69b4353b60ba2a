/* SPDX-License-Identifier: BSD-3-Clause */
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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/qemu/qemu.h"
#include "models/models.h"

#define START_TIMEOUT_MS 20000
#define QUIT_TIMEOUT_MS 3000

/* The keeper's own view; it is a process of its own, which leaves no other way. */
struct keeper {
    const struct qemu_args *args;
    const char *folder;
    pid_t server[QEMU_DEVICES_MAX]; /* 0: none (any more) */
    int alive, told, children;      /* QEMU's pipe, the way to ferry qemu, signalfd */
    int owner;                      /* pidfd of the process that becomes QEMU; or -1 */
};

/* What a server would refuse is said here, where it is read. */
static int check_model(const struct qemu_device *device)
{
    const struct ferry_model_options options = { .struct_size = sizeof(options),
                                                 .count = device->model_options,
                                                 .option = device->model_option };
    const struct ferry_model *kind = ferry_model_find(device->model);
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_device *made = NULL;
    void *state = NULL;

    if (kind == NULL) {
        print_error("qemu", NULL, "there is no model '%s'; see ferry serve --help",
                    device->model);
        return EXIT_USAGE;
    }
    if (kind->create(&options, &made, &state, &error) < 0) {
        print_error("qemu", &error, "cannot make a device of model '%s'", device->model);
        return error.code == FERRY_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
    }
    kind->destroy(made, state);
    return EXIT_OK;
}

int qemu_keeper_prepare(struct qemu_keeper *ret_keeper, struct qemu_args *args)
{
    const char *tmp = getenv("TMPDIR");
    size_t models = 0;
    int n, result = EXIT_OK;

    ret_keeper->folder[0] = '\0';
    ret_keeper->alive = -1;
    for (size_t i = 0; i < args->devices && result == EXIT_OK; i++) {
        if (args->device[i].model != NULL) {
            models++;
            result = check_model(&args->device[i]);
        }
    }
    if (models == 0 || result != EXIT_OK) {
        return result;
    }
    n = snprintf(ret_keeper->folder, sizeof(ret_keeper->folder), "%s/ferry-qemu-XXXXXX",
                 tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    /* "/NN.sock" is to come. */
    if (n < 0 || n + 9 > QEMU_SOCKET_BYTES) {
        print_error("qemu", NULL, "TMPDIR is too long for sockets in it: %s", tmp);
        ret_keeper->folder[0] = '\0';
        return EXIT_FAILED;
    }
    if (!args->print && mkdtemp(ret_keeper->folder) == NULL) {
        print_error("qemu", NULL, "cannot make %s: %s", ret_keeper->folder,
                    strerror(errno));
        ret_keeper->folder[0] = '\0';
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < args->devices; i++) {
        if (args->device[i].model != NULL) {
            snprintf(args->device[i].socket, sizeof(args->device[i].socket),
                     "%.96s/%zu.sock", ret_keeper->folder, i);
        }
    }
    return EXIT_OK;
}

void qemu_keeper_drop(struct qemu_keeper *keeper)
{
    if (keeper->folder[0] != '\0') {
        rmdir(keeper->folder);
        keeper->folder[0] = '\0';
    }
}

/* In the new process: a server. It ends with the keeper in any case. */
static void become_server(const struct keeper *keeper, const struct qemu_device *device,
                          int ready, pid_t parent)
{
    struct qemu_words argv = { .count = 0 };
    char *model = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&model, &bytes);
    sigset_t none;

    if (out == NULL) {
        _exit(EXIT_FAILED);
    }
    fputs(device->model, out);
    for (size_t i = 0; i < device->model_options; i++) {
        fprintf(out, ",%s", device->model_option[i]);
    }
    fclose(out);
    qemu_words_add(&argv, "ferry");
    qemu_words_add(&argv, "serve");
    qemu_words_add(&argv, "%s", model);
    qemu_words_add(&argv, "--socket=%s", device->socket);
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
        become_server(keeper, device, ready[1], parent);
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
            unlink(keeper->args->device[i].socket);
        }
    }
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

    if (log[0] != '\0' || daemonize) {
        fd = open(log[0] != '\0' ? log : "/dev/null",
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    if (fd >= 0) {
        dup2(fd, STDERR_FILENO);
        close(fd);
    }
}

/* The keeper's whole life. */
static void keep(struct keeper *keeper, const char *log, int daemonize)
{
    sigset_t wanted;
    char result = EXIT_OK;

    setsid();
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGHUP);
    sigaddset(&wanted, SIGINT);
    sigprocmask(SIG_SETMASK, &wanted, NULL);
    signal(SIGCHLD, SIG_DFL);
    keeper->children = signalfd(-1, &wanted, SFD_CLOEXEC);
    close_others(keeper);
    set_messages(log, daemonize);
    for (size_t i = 0; i < keeper->args->devices && result == EXIT_OK; i++) {
        if (keeper->args->device[i].model != NULL) {
            result = (char)start_server(keeper, i);
        }
    }
    if (write(keeper->told, &result, 1) == 1 && result == EXIT_OK) {
        close(keeper->told);
        attend(keeper);
    }
    end_servers(keeper);
    _exit(0);
}

/* Return: enum exit_code that the keeper told. */
static int hear(int fd)
{
    char result = EXIT_FAILED;
    ssize_t n;

    do {
        n = read(fd, &result, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1 ? result : EXIT_FAILED;
}

int qemu_keeper_start(struct qemu_keeper *keeper, const struct qemu_args *args,
                      const char *log, int daemonize)
{
    struct keeper own = { .args = args, .folder = keeper->folder };
    int alive[2] = { -1, -1 }, told[2] = { -1, -1 }, result;
    pid_t pid;

    if (keeper->folder[0] == '\0') {
        return EXIT_OK;
    }
    if (pipe(alive) < 0 || pipe(told) < 0) {
        print_error("qemu", NULL, "pipe: %s", strerror(errno));
        return EXIT_FAILED;
    }
    fcntl(alive[0], F_SETFD, FD_CLOEXEC);
    fcntl(told[1], F_SETFD, FD_CLOEXEC);
    own.alive = alive[0];
    own.told = told[1];
    own.owner = (int)syscall(SYS_pidfd_open, getpid(), 0);
    /* Not QEMU's child: it knows nothing of it. */
    pid = fork();
    if (pid == 0) {
        close(alive[1]);
        close(told[0]);
        if (fork() == 0) {
            keep(&own, log, daemonize);
        }
        _exit(0);
    }
    close(alive[0]);
    close(told[1]);
    if (own.owner >= 0) {
        close(own.owner);
    }
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
    result = hear(told[0]);
    close(told[0]);
    keeper->alive = fcntl(alive[1], F_DUPFD, QEMU_FD_FIRST);
    if (keeper->alive >= 0) {
        close(alive[1]);
    } else {
        keeper->alive = alive[1];
    }
    keeper->folder[0] = '\0'; /* the keeper's from now on */
    return result;
}
