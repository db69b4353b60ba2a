/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/qemu/check/check.h"

/* QEMU opens images and devices in this time, and answers. */
#define ANSWER_MS 30000
#define END_MS 10000
/* The longest answer that is read: the properties of vfio-pci. */
#define LINE_BYTES (256u << 10)
#define SAID_BYTES 2000
/* QEMU before 8.0 loses writes of emulated processors in blocks of a multiple of it. */
#define FORGETS_BYTES (256 << 10)

/* A QEMU with stopped CPUs and its monitor. */
struct asked {
    pid_t pid;
    int monitor, output; /* output: a file with what it said */
    char *line;          /* LINE_BYTES */
    size_t used, next;
};

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The next line of the monitor; NULL at its end, or when it does not come in time. */
static const char *next_line(struct asked *asked, long until)
{
    struct pollfd wait = { .fd = asked->monitor, .events = POLLIN };

    memmove(asked->line, asked->line + asked->next, asked->used - asked->next);
    asked->used -= asked->next;
    asked->next = 0;
    for (;;) {
        char *end = memchr(asked->line, '\n', asked->used);
        long left = until - now_ms();
        ssize_t n;

        if (end != NULL) {
            *end = '\0';
            asked->next = (size_t)(end - asked->line) + 1;
            return asked->line;
        }
        if (left <= 0 || asked->used == LINE_BYTES || poll(&wait, 1, (int)left) <= 0) {
            return NULL;
        }
        n = recv(asked->monitor, asked->line + asked->used, LINE_BYTES - asked->used, 0);
        if (n <= 0) {
            return NULL;
        }
        asked->used += (size_t)n;
    }
}

/* The next object that has this member: events and other answers are passed over.
 * Return: the member, the caller's; NULL when QEMU is gone or silent. */
static struct json_object *wait_member(struct asked *asked, const char *name)
{
    long until = now_ms() + ANSWER_MS;
    const char *line;

    while ((line = next_line(asked, until)) != NULL) {
        struct json_object *object = json_tokener_parse(line), *member = NULL;
        int error = 0;

        if (json_object_is_type(object, json_type_object)) {
            error = json_object_object_get_ex(object, "error", NULL);
            if (json_object_object_get_ex(object, name, &member)) {
                json_object_get(member);
            }
        }
        json_object_put(object);
        if (member != NULL || error) {
            return member;
        }
    }
    return NULL;
}

/* One command. Return: its result, the caller's, or NULL. */
static struct json_object *ask(struct asked *asked, const char *command)
{
    char text[200];
    int n = snprintf(text, sizeof(text), "{\"execute\":%s}\n", command);

    if (send(asked->monitor, text, (size_t)n, MSG_NOSIGNAL) != n) {
        return NULL;
    }
    return wait_member(asked, "return");
}

/* In the new process. It leads a group, so that all that it starts can be ended too; what
 * ends its parent, such as Ctrl-C, does not reach that group. */
static void become(const struct qemu_plan *plan, const struct qemu_args *args,
                   const struct qemu_keeper *keeper, const struct asked *asked,
                   int monitor, pid_t parent)
{
    struct qemu_words words = { .count = 0 };
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    setpgid(0, 0);
    for (size_t i = 0; i < plan->command.count; i++) {
        qemu_words_add(&words, "%s", plan->command.word[i]);
    }
    qemu_words_add(&words, "-S");
    qemu_words_add(&words, "-chardev");
    qemu_words_add(&words, "socket,id=%s-check,fd=%d", plan->id, monitor);
    qemu_words_add(&words, "-mon");
    qemu_words_add(&words, "chardev=%s-check,mode=control", plan->id);
    dup2(null, STDIN_FILENO);
    dup2(asked->output, STDOUT_FILENO);
    dup2(asked->output, STDERR_FILENO);
    fcntl(monitor, F_SETFD, 0);
    fcntl(plan->iommu, F_SETFD, 0);
    for (size_t i = 0; i < args->devices; i++) {
        fcntl(args->device[i].token, F_SETFD, 0);
    }
    if (keeper->alive >= 0) {
        fcntl(keeper->alive, F_SETFD, 0);
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent) {
        _exit(127);
    }
    if (!words.failed && setenv("LD_PRELOAD", plan->preload, 1) == 0) {
        execvp(words.word[0], words.word);
    }
    _exit(127);
}

/* Return: 1 when it runs; the rest is due in any case. */
static int start(struct asked *asked, const struct qemu_plan *plan,
                 const struct qemu_args *args, const struct qemu_keeper *keeper)
{
    FILE *output = tmpfile();
    const pid_t parent = getpid();
    int pair[2];

    asked->line = malloc(LINE_BYTES);
    asked->output = output != NULL ? fcntl(fileno(output), F_DUPFD_CLOEXEC, 3) : -1;
    if (output != NULL) {
        fclose(output);
    }
    if (asked->line == NULL || asked->output < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return 0;
    }
    asked->monitor = pair[0];
    fflush(NULL);
    asked->pid = fork();
    if (asked->pid == 0) {
        become(plan, args, keeper, asked, pair[1], parent);
    }
    close(pair[1]);
    return asked->pid > 0;
}

static void end(struct asked *asked)
{
    if (asked->pid > 0) {
        long until = now_ms() + END_MS;
        pid_t gone;

        json_object_put(ask(asked, "\"quit\""));
        while ((gone = waitpid(asked->pid, NULL, WNOHANG)) == 0 && now_ms() < until) {
            poll(NULL, 0, 5);
        }
        if (gone == 0) {
            kill(-asked->pid, SIGKILL);
            kill(asked->pid, SIGKILL);
            waitpid(asked->pid, NULL, 0);
        }
    }
    if (asked->monitor >= 0) {
        close(asked->monitor);
    }
    if (asked->output >= 0) {
        close(asked->output);
    }
    free(asked->line);
}

/* Its last words, a finding each; what the loader or the bridge say as well. */
static void take_output(struct qemu_report *report, const struct asked *asked)
{
    char text[SAID_BYTES + 1], *save = NULL;
    off_t bytes = asked->output >= 0 ? lseek(asked->output, 0, SEEK_END) : 0;
    off_t from = bytes > SAID_BYTES ? bytes - SAID_BYTES : 0;
    ssize_t n = pread(asked->output, text, SAID_BYTES, from);

    text[n > 0 ? n : 0] = '\0';
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        /* Its advice about options is for whoever wrote them. */
        if (strstr(line, "warning: '") != NULL) {
            continue;
        }
        if (report->started) {
            qemu_find(report, QEMU_NOTE, "QEMU", NULL, "it says: %.500s", line);
        } else {
            qemu_explain(report, line);
        }
    }
}

static int has_property(struct json_object *list, const char *name)
{
    size_t count =
        json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(json_get_text(json_object_array_get_idx(list, i), "name"), name) ==
            0) {
            return 1;
        }
    }
    return 0;
}

static void check_properties(struct qemu_report *report, const struct qemu_args *args,
                             struct asked *asked)
{
    static const char *const by_iommufd[] = { "fd", "iommufd", "enable-migration" };
    static const char *const by_group[] = { "sysfsdev", "enable-migration" };
    static const char *const before_8_1[] = { "sysfsdev", "x-enable-migration" };
    const int is_old = report->number != 0 && report->number < QEMU_MIGRATES_SINCE;
    const char *const *needed = !args->groups ? by_iommufd
                                : is_old      ? before_8_1
                                              : by_group;
    const size_t count = args->groups ? 2 : 3;
    struct json_object *list = ask(asked, "\"device-list-properties\",\"arguments\":{"
                                          "\"typename\":\"vfio-pci\"}");

    for (size_t i = 0; list != NULL && i < count; i++) {
        if (!has_property(list, needed[i])) {
            qemu_find(report, QEMU_BLOCKS, "QEMU", "QEMU 10.0 or later, built with VFIO",
                      "its vfio-pci has no %s", needed[i]);
        }
    }
    if (list != NULL && !is_old && !has_property(list, "x-migration-multifd-transfer")) {
        qemu_find(report, QEMU_NOTE, "QEMU", "QEMU 10.0 or later",
                  "it sends no device state over multifd");
    }
    json_object_put(list);
}

/* What it would answer to `migrate', in its own words. */
static void check_blockers(struct qemu_report *report, struct asked *asked)
{
    struct json_object *status = ask(asked, "\"query-migrate\""), *list = NULL;
    size_t count = 0;

    if (status == NULL) {
        qemu_find(report, QEMU_BLOCKS, "QEMU", NULL, "it does not answer query-migrate");
        return;
    }
    if (json_object_object_get_ex(status, "blocked-reasons", &list) &&
        json_object_is_type(list, json_type_array)) {
        count = json_object_array_length(list);
    }
    for (size_t i = 0; i < count; i++) {
        qemu_explain(report, json_object_get_string(json_object_array_get_idx(list, i)));
    }
    if (count == 0) {
        qemu_find(report, QEMU_GOOD, "QEMU", NULL,
                  "it took all devices, and names nothing that blocks a migration");
    }
    json_object_put(status);
}

/* Return: 1 when it says so; the processors are emulated then. */
static int is_without_kvm(struct asked *asked)
{
    struct json_object *kvm = ask(asked, "\"query-kvm\""), *enabled = NULL;
    const int without = json_object_object_get_ex(kvm, "enabled", &enabled) &&
                        !json_object_get_boolean(enabled);

    json_object_put(kvm);
    return without;
}

/* QEMU before 8.0 alone: docs/qemu.md, section 10. */
static void check_sizes(struct qemu_report *report, struct json_object *list,
                        struct asked *asked)
{
    size_t count =
        json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    int found = 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *size = NULL;

        found |= json_object_object_get_ex(json_object_array_get_idx(list, i), "size",
                                           &size) &&
                 json_object_get_int64(size) % FORGETS_BYTES == 0;
    }
    if (found && is_without_kvm(asked)) {
        qemu_find(report, QEMU_NOTE, "memory",
                  "KVM, QEMU 10.0 or later, or a size that is no multiple of 256 KiB, as "
                  "-m 1048584K instead of -m 1G",
                  "without KVM this QEMU forgets pages that the guest writes while it is "
                  "migrated");
    }
}

/* Memory that is there and can be mapped by nobody: also what no option named. */
static void check_memory(struct qemu_report *report, struct asked *asked)
{
    struct json_object *list = ask(asked, "\"query-memdev\"");
    size_t count =
        json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(list, i), *share = NULL;

        if (json_object_object_get_ex(one, "share", &share) &&
            !json_object_get_boolean(share)) {
            qemu_find(report, QEMU_NOTE, "memory", "share=on",
                      "%s: no server can map it, each access of a device is a message "
                      "(slow)",
                      json_get_text(one, "id"));
        }
    }
    if (report->number != 0 && report->number < QEMU_V2_SINCE) {
        check_sizes(report, list, asked);
    }
    json_object_put(list);
}

/* Return: 1 when it takes commands: then all devices are there. */
static int greet(struct asked *asked)
{
    struct json_object *greeting = wait_member(asked, "QMP"), *done = NULL;

    /* It greets before it has tried the devices, and answers behind that. */
    if (greeting != NULL) {
        done = ask(asked, "\"qmp_capabilities\"");
    }
    json_object_put(greeting);
    json_object_put(done);
    return done != NULL;
}

void qemu_check_qemu(struct qemu_report *report, const struct qemu_plan *plan,
                     const struct qemu_args *args, const struct qemu_keeper *keeper)
{
    struct asked asked = { .pid = -1, .monitor = -1, .output = -1 };

    report->started = start(&asked, plan, args, keeper) && greet(&asked);
    if (report->started) {
        check_properties(report, args, &asked);
        check_blockers(report, &asked);
        check_memory(report, &asked);
    } else {
        qemu_find(report, QEMU_BLOCKS, "QEMU",
                  "start it by hand: what ferry qemu --print shows, with -S",
                  "it does not start with these devices");
    }
    take_output(report, &asked);
    end(&asked);
}
