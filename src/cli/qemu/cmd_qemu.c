/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/qemu/qemu.h"

enum qemu_key {
    KEY_DEVICE = 'd',
    KEY_JSON = 'j',
    KEY_QUIET = 'q',
    KEY_TIMEOUT = 't',
    KEY_NO_PEER_MAPS = 0x100,
    KEY_LOG,
    KEY_TRACE,
    KEY_BRIDGE,
    KEY_KEEP_MEMORY,
    KEY_PRINT,
    KEY_CHECK,
    KEY_EMULATOR,
    KEY_GROUPS
};

/* QEMU's option that is none of QEMU's: see --emulator. */
#define INSIDE "ferry"

static const struct argp_option qemu_options[] = {
    { "device", KEY_DEVICE, "SOCKET", 0,
      "a device: PATH or vfio-user:PATH of its server's socket, or "
      "model=NAME[,KEY=VALUE] "
      "for one of Ferry's models, which ends with QEMU; behind it id=, name=, bus=, "
      "addr=, "
      "dirty=any|device|iommu, qemu.KEY=VALUE (required)",
      0 },
    { "no-peer-maps", KEY_NO_PEER_MAPS, NULL, 0,
      "devices cannot reach each other's memory; then devices without P2P can migrate "
      "together",
      0 },
    { "timeout", KEY_TIMEOUT, "TIME", 0,
      "limit of each wait for a device's server, such as 500ms or 10s (10s)", 0 },
    { "groups", KEY_GROUPS, NULL, 0,
      "devices by VFIO's groups and container, not by iommufd; a QEMU before 9.0 gets "
      "them "
      "so by itself",
      0 },
    { "keep-memory", KEY_KEEP_MEMORY, NULL, 0,
      "add no memory backend, whatever the command says", 0 },
    { "log", KEY_LOG, "FILE", 0,
      "messages of the bridge and of models go to the end of FILE (standard error)", 0 },
    { "trace", KEY_TRACE, NULL, 0, "the bridge writes down each call of QEMU's", 0 },
    { "bridge", KEY_BRIDGE, "FILE", 0,
      "the bridge's library (FERRY_BRIDGE, or the one that came with ferry)", 0 },
    { "print", KEY_PRINT, NULL, 0, "show the complete command and do not run it", 0 },
    { "check", KEY_CHECK, NULL, 0,
      "say what would keep this QEMU with these devices from migrating, without running "
      "the guest",
      0 },
    { "emulator", KEY_EMULATOR, NULL, 0,
      "be a QEMU that knows one more option, -ferry OPTION, with OPTION as here without "
      "its dashes: for managers of guests such as libvirt",
      0 },
    { "quiet", KEY_QUIET, NULL, 0, "do not say what was added to the command", 0 },
    { "json", KEY_JSON, NULL, 0, "print JSON (with --print and --check)", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static void add_device(struct qemu_args *args, char *text, const struct argp_state *state)
{
    char why[QEMU_WHY_BYTES] = "";

    if (args->devices == QEMU_DEVICES_MAX) {
        argp_error(state, "more than %d devices", QEMU_DEVICES_MAX);
    }
    if (!qemu_device_parse(text, &args->device[args->devices], why)) {
        argp_error(state, "--device: %s", why);
    }
    args->devices++;
}

/* All that is left is QEMU's, with or without a "--" before it. */
static void take_command(struct qemu_args *args, struct argp_state *state)
{
    args->word = state->argv + state->next - 1;
    args->words = (size_t)(state->argc - state->next + 1);
    state->next = state->argc;
}

/* A manager's emulator has devices only where its guest has them. */
static void check_command(const struct qemu_args *args, const struct argp_state *state)
{
    if (!args->emulator && args->devices == 0) {
        argp_error(state, "a --device is needed");
    }
    if (args->emulator && !args->inside && args->devices > 0) {
        argp_error(state, "with --emulator a device stands in QEMU's command: -" INSIDE
                          " device=...");
    }
    if (args->words == 0) {
        argp_error(state,
                   "QEMU's command is needed, such as -- qemu-system-x86_64 -m 1G");
    }
}

static void check_args(const struct qemu_args *args, const struct argp_state *state)
{
    check_command(args, state);
    if (args->print && args->check) {
        argp_error(state, "--print or --check, not both");
    }
    if (args->json && !args->print && !args->check) {
        argp_error(state, "--json goes with --print or --check");
    }
    for (size_t i = 0; i < args->devices; i++) {
        for (size_t j = 0; j < i && args->device[i].model == NULL; j++) {
            if (strcmp(args->device[i].socket, args->device[j].socket) == 0) {
                argp_error(state, "%s twice: a device has one user at a time",
                           args->device[i].socket);
            }
        }
    }
}

static error_t parse_qemu(int key, char *text, struct argp_state *state)
{
    struct qemu_args *args = state->input;

    if (args->inside && (key == KEY_PRINT || key == KEY_CHECK || key == KEY_JSON ||
                         key == KEY_EMULATOR)) {
        argp_error(state, "not an option for -" INSIDE);
    }
    switch (key) {
    case KEY_DEVICE:
        add_device(args, text, state);
        return 0;
    case KEY_NO_PEER_MAPS:
        args->no_peer_maps = 1;
        return 0;
    case KEY_TIMEOUT:
        args->timeout_ms = parse_duration(state, "--timeout", text);
        return 0;
    case KEY_GROUPS:
        args->groups = 1;
        return 0;
    case KEY_KEEP_MEMORY:
        args->keep_memory = 1;
        return 0;
    case KEY_LOG:
        args->log = text;
        return 0;
    case KEY_TRACE:
        args->trace = 1;
        return 0;
    case KEY_BRIDGE:
        args->bridge = text;
        return 0;
    case KEY_PRINT:
        args->print = 1;
        return 0;
    case KEY_CHECK:
        args->check = 1;
        return 0;
    case KEY_EMULATOR:
        args->emulator = 1;
        return 0;
    case KEY_QUIET:
        args->quiet = 1;
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        take_command(args, state);
        return 0;
    case ARGP_KEY_END:
        check_args(args, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp qemu_argp = {
    .options = qemu_options,
    .parser = parse_qemu,
    .args_doc = "-- QEMU [ARGUMENT...]",
    .doc =
        "Runs QEMU with vfio-user devices that it migrates like the kernel's: adds what "
        "the command lacks, and the bridge, then becomes QEMU. QEMU's command may be a "
        "wrapper that hands its arguments on.",
};

/* A wrapper needs to hand LD_PRELOAD on, QEMU to take it. Return: enum exit_code. */
static int check_binary(const struct qemu_line *line)
{
    char path[QEMU_PATH_BYTES];
    const char *name = NULL;
    enum qemu_binary_fault fault = qemu_line_fault(line, &name, path);

    if (fault == QEMU_BINARY_GOOD) {
        return EXIT_OK;
    }
    print_error("qemu", NULL, "%s: %s", fault == QEMU_BINARY_MISSING ? name : path,
                qemu_binary_text(fault));
    return EXIT_REFUSED;
}

/* Nobody at a socket is better said here than by QEMU. Return: enum exit_code. */
static int check_sockets(const struct qemu_args *args)
{
    for (size_t i = 0; i < args->devices; i++) {
        const struct qemu_device *device = &args->device[i];
        struct stat info;

        if (device->model != NULL) {
            continue;
        }
        if (stat(device->socket, &info) != 0 || !S_ISSOCK(info.st_mode)) {
            print_error("qemu", NULL,
                        "there is no socket at %s; is its `ferry serve MODEL --socket "
                        "PATH' running?",
                        device->socket);
            return EXIT_REFUSED;
        }
    }
    return EXIT_OK;
}

static void say_added(const struct qemu_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct qemu_added *added = &plan->added[i];

        fprintf(stderr, "ferry qemu: added");
        for (size_t j = 0; j < added->count; j++) {
            fprintf(stderr, " %s", plan->command.word[added->first + j]);
        }
        fprintf(stderr, " (%s)\n", added->why);
    }
    if (plan->note[0] != '\0') {
        fprintf(stderr, "ferry qemu: about the guest's memory: %s\n", plan->note);
    }
}

/* This process becomes QEMU. Return: enum exit_code, if that fails. */
static int become(const struct qemu_plan *plan, const struct qemu_args *args,
                  const struct qemu_keeper *keeper)
{
    int open_fd[QEMU_DEVICES_MAX + 2] = { plan->iommu, keeper->alive };

    for (size_t i = 0; i < args->devices; i++) {
        open_fd[i + 2] = args->device[i].token;
    }
    for (size_t i = 0; i < args->devices + 2; i++) {
        if (open_fd[i] >= 0 && fcntl(open_fd[i], F_SETFD, 0) < 0) {
            print_error("qemu", NULL, "descriptor %d: %s", open_fd[i], strerror(errno));
            return EXIT_FAILED;
        }
    }
    if (setenv("LD_PRELOAD", plan->preload, 1) < 0) {
        print_error("qemu", NULL, "LD_PRELOAD: %s", strerror(errno));
        return EXIT_FAILED;
    }
    fflush(NULL);
    execvp(plan->command.word[0], plan->command.word);
    print_error("qemu", NULL, "cannot run %s: %s", plan->command.word[0],
                strerror(errno));
    return EXIT_FAILED;
}

/* Return: enum exit_code, unless it became QEMU. */
static int start(struct qemu_args *args, const struct qemu_line *line,
                 struct qemu_keeper *keeper, unsigned version)
{
    struct qemu_plan plan;
    int result = qemu_plan_make(&plan, args, line, version);

    if (result == EXIT_OK && args->print) {
        qemu_plan_print(&plan, args);
    } else if (result == EXIT_OK) {
        if (!args->quiet) {
            say_added(&plan);
        }
        result = args->groups ? qemu_groups_make(args) : EXIT_OK;
        result = result == EXIT_OK ? qemu_keeper_start(keeper) : result;
        result = result == EXIT_OK ? become(&plan, args, keeper) : result;
    }
    qemu_plan_free(&plan);
    return result;
}

static int run(struct qemu_args *args, const struct qemu_line *line)
{
    struct qemu_keeper keeper;
    char text[QEMU_WHY_BYTES];
    unsigned version;
    int result = args->print ? EXIT_OK : check_binary(line);

    result = result == EXIT_OK && !args->print ? check_sockets(args) : result;
    if (result != EXIT_OK) {
        return result;
    }
    version = qemu_version(line, text, sizeof(text));
    qemu_choose_groups(args, version);
    result = qemu_keeper_prepare(&keeper, args, line->daemonize);
    if (result == EXIT_OK) {
        result = start(args, line, &keeper, version);
    }
    qemu_keeper_drop(&keeper);
    return result;
}

/*
 * Reads what stands behind -ferry as options of ours; they are part of *ret_words, which
 * has to stay. Return: enum exit_code; a wrong option ends the program.
 */
static int read_inside(struct qemu_args *args, struct qemu_words *ret_words)
{
    char **value = calloc(args->words, sizeof(*value));
    size_t count;

    if (value == NULL) {
        print_error("qemu", NULL, "out of memory");
        return EXIT_FAILED;
    }
    count = qemu_line_take(args->word, &args->words, INSIDE, value);
    for (size_t i = 0; i < count; i++) {
        qemu_words_add(ret_words, "--%s", value[i]);
    }
    free(value);
    if (ret_words->failed) {
        print_error("qemu", NULL, "out of memory");
        return EXIT_FAILED;
    }
    args->inside = 1;
    for (size_t i = 0; i < count; i++) {
        char name[] = "ferry qemu";
        char *argv[] = { name, ret_words->word[i], NULL };

        /* One by one: none can take the next for its value. */
        argp_parse(&qemu_argp, 2, argv, ARGP_IN_ORDER, NULL, args);
    }
    if (args->devices == 0 && (count > 0 || args->print || args->check)) {
        print_error("qemu", NULL, "there is no -" INSIDE " device=...");
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

/* QEMU as it is: nothing was asked of Ferry. Return: enum exit_code, if that fails. */
static int become_plain(const struct qemu_args *args)
{
    fflush(NULL);
    execvp(args->word[0], args->word);
    print_error("qemu", NULL, "cannot run %s: %s", args->word[0], strerror(errno));
    return EXIT_FAILED;
}

static int serve_command(struct qemu_args *args, struct qemu_line *line)
{
    if (args->devices == 0) {
        return become_plain(args);
    }
    qemu_line_read(line, args->word, args->words);
    return args->check ? qemu_check(args, line) : run(args, line);
}

int command_qemu(int argc, char **argv)
{
    struct qemu_args *args = calloc(1, sizeof(*args));
    struct qemu_line *line = calloc(1, sizeof(*line));
    struct qemu_words inside = { .count = 0 };
    int result = EXIT_FAILED;

    if (args != NULL && line != NULL) {
        argp_parse(&qemu_argp, argc, argv, ARGP_IN_ORDER, NULL, args);
        result = args->emulator ? read_inside(args, &inside) : EXIT_OK;
        result = result == EXIT_OK ? serve_command(args, line) : result;
    } else {
        print_error("qemu", NULL, "out of memory");
    }
    qemu_words_free(&inside);
    free(line);
    free(args);
    return result;
}
