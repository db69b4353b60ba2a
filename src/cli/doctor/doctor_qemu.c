/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor/doctor.h"

#define PATH_BYTES 512
#define OUTPUT_BYTES 16384
#define QEMU_LIMIT_MS 5000

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads until the end, the time limit or a full buffer. Return: 1 when it came to the
 * end. */
static int read_all(int fd, char *ret_text, size_t size)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    long until = now_ms() + QEMU_LIMIT_MS;
    size_t at = 0;
    char rest[256];

    for (;;) {
        long left = until - now_ms();
        ssize_t n;

        if (left <= 0 || poll(&wait, 1, (int)left) <= 0) {
            break;
        }
        n = at < size - 1 ? read(fd, ret_text + at, size - 1 - at)
                          : read(fd, rest, sizeof(rest));
        if (n <= 0) {
            ret_text[at] = '\0';
            return n == 0;
        }
        at += at < size - 1 ? (size_t)n : 0;
    }
    ret_text[at] = '\0';
    return 0;
}

/* Runs QEMU with two arguments at most. Return: its exit status, -1 when it had to be
 * killed. */
static int run_qemu(const char *qemu, const char *option, const char *value,
                    char ret_text[OUTPUT_BYTES])
{
    int ends[2], status = -1, null, ended;
    pid_t pid;

    ret_text[0] = '\0';
    if (pipe(ends) < 0) {
        return -1;
    }
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        null = open("/dev/null", O_RDWR);
        dup2(null, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        if (value == NULL) {
            execl(qemu, qemu, option, (char *)NULL);
        } else {
            execl(qemu, qemu, "-machine", "none", "-nodefaults", "-display", "none",
                  option, value, (char *)NULL);
        }
        _exit(127);
    }
    close(ends[1]);
    ended = pid > 0 && read_all(ends[0], ret_text, OUTPUT_BYTES);
    close(ends[0]);
    if (pid > 0 && !ended) {
        kill(pid, SIGKILL);
    }
    if (pid > 0) {
        waitpid(pid, &status, 0);
    }
    return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Looks for this machine's QEMU in PATH. Return: 1 with its path. */
static int search_qemu(char ret_path[PATH_BYTES])
{
    const char *at = getenv("PATH");
    struct utsname machine = { .machine = "x86_64" };

    uname(&machine);
    while (at != NULL && *at != '\0') {
        int length = (int)strcspn(at, ":");

        snprintf(ret_path, PATH_BYTES, "%.*s/qemu-system-%s", length, at,
                 machine.machine);
        if (access(ret_path, X_OK) == 0) {
            return 1;
        }
        at += length;
        at += *at == ':';
    }
    return 0;
}

/* Does QEMU know a device or object, and a property of it? */
static int knows(const char *qemu, const char *option, const char *help,
                 const char *property, char text[OUTPUT_BYTES])
{
    return run_qemu(qemu, option, help, text) == 0 && strstr(text, property) != NULL;
}

static void check_parts(struct doctor *doctor, const char *qemu)
{
    char text[OUTPUT_BYTES];
    int user = knows(qemu, "-device", "vfio-user-pci,help", "socket", text);
    int kernel = knows(qemu, "-device", "vfio-pci,help", "enable-migration", text);
    int multifd = kernel && strstr(text, "x-migration-multifd-transfer") != NULL;
    int memfd = knows(qemu, "-object", "memory-backend-memfd,help", "share", text);

    doctor_note(doctor, "vfio-user-pci", user ? DOCTOR_GOOD : DOCTOR_LESS,
                "QEMU uses devices of `ferry serve` itself (it does not migrate them)",
                "QEMU 10.1 or later, built with vfio-user", "%s",
                user ? "there" : "not in this QEMU");
    doctor_note(doctor, "vfio-pci migration", kernel ? DOCTOR_GOOD : DOCTOR_LESS,
                "QEMU's own migration of VFIO devices",
                "QEMU 8.1 or later, built with VFIO", "%s",
                !kernel   ? "no enable-migration"
                : multifd ? "enable-migration, multifd"
                          : "enable-migration, no multifd");
    doctor_note(doctor, "memory-backend-memfd", memfd ? DOCTOR_GOOD : DOCTOR_LESS,
                "guest memory that a device in another process can map",
                "another QEMU; or memory-backend-file with share=on", "%s",
                memfd ? "there" : "not in this QEMU");
}

void doctor_qemu(struct doctor *doctor)
{
    static const char means[] = "Ferry works without it; a guest needs it";
    char text[OUTPUT_BYTES];
    char path[PATH_BYTES];
    int status;

    if (doctor->qemu != NULL) {
        snprintf(path, sizeof(path), "%s", doctor->qemu);
    } else if (!search_qemu(path)) {
        doctor_note(doctor, "QEMU", DOCTOR_LESS, means,
                    "apt-get install qemu-system-x86, or --qemu PATH", "not in PATH");
        return;
    }
    status = run_qemu(path, "--version", NULL, text);
    text[strcspn(text, "\n")] = '\0';
    if (status != 0 || strstr(text, "version") == NULL) {
        /* One that was asked for by name has to work. */
        doctor_note(doctor, "QEMU", doctor->qemu != NULL ? DOCTOR_BAD : DOCTOR_LESS,
                    means, "see whether it runs by hand", "%.100s: %s", path,
                    status < 0 ? "did not answer in time" : "did not tell its version");
        return;
    }
    doctor_note(doctor, "QEMU", DOCTOR_GOOD, means, NULL, "%.90s (%.60s)", text, path);
    check_parts(doctor, path);
}
