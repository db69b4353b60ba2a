/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/demo/demo.h"
#include "cli/output.h"

#define CALL_TIMEOUT_MS 15000
#define POLL_MS 5
#define FLOW_TIMEOUT_MS 20000
#define FINISH_TIMEOUT_MS 40000
/* Work between two migrations, so that each moves a context that is well under way. */
#define SETTLE_MS 250

enum demo_key {
    KEY_MIGRATIONS = 'n',
    KEY_JSON = 'j',
    KEY_KEEP = 'k',
    KEY_MIN_IN_FLIGHT = 0x100,
    KEY_TRACE,
    KEY_PACKED
};

static const struct argp_option demo_options[] = {
    { "migrations", KEY_MIGRATIONS, "N", 0, "move so many times (5)", 0 },
    { "packed", KEY_PACKED, NULL, 0,
      "the guest's rings of acc and nic are packed virtqueues", 0 },
    { "min-in-flight", KEY_MIN_IN_FLIGHT, "N", 0,
      "a stop with fewer requests in flight fails the demo (16)", 0 },
    { "trace", KEY_TRACE, "TRACE", 0,
      "write the timeline of every migration: for `ferry report', Perfetto", 0 },
    { "keep", KEY_KEEP, "FOLDER", 0, "work in FOLDER and leave the results there", 0 },
    { "json", KEY_JSON, NULL, 0, "print the figures as JSON", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_demo(int key, char *text, struct argp_state *state)
{
    struct demo_args *args = state->input;

    switch (key) {
    case KEY_MIGRATIONS:
        args->migrations =
            (uint32_t)parse_number(state, "--migrations", text, 1, DEMO_MIGRATIONS_MAX);
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &args->work;
        return 0;
    case KEY_PACKED:
        args->packed = 1;
        return 0;
    case KEY_MIN_IN_FLIGHT:
        args->min_in_flight =
            (uint32_t)parse_number(state, "--min-in-flight", text, 1, 1000);
        return 0;
    case KEY_TRACE:
        args->trace = text;
        return 0;
    case KEY_KEEP:
        args->keep = text;
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        args->input = parse_one(state, args->input, text, "FILE");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child demo_children[] = {
    { &work_argp, 0, NULL, 0 },
    { NULL, 0, NULL, 0 },
};

static const struct argp demo_argp = {
    .options = demo_options,
    .parser = parse_demo,
    .args_doc = "[FILE]",
    .doc =
        "Three devices encrypt FILE (default: files of this machine) for a guest, which "
        "sends frames over a fourth, while guest and devices move between two hosts, to "
        "and fro; then every result is decrypted with openssl(1) and compared with the "
        "input.",
    .children = demo_children,
};

uint64_t demo_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int demo_interrupted(const struct demo *demo)
{
    struct pollfd wait = { .fd = demo->stop_fd, .events = POLLIN };

    return poll(&wait, 1, 0) > 0;
}

void demo_say(const struct demo *demo, const char *format, ...)
{
    va_list list;

    if (demo->args.json) {
        return;
    }
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
    fflush(stdout);
}

/* Asks a host; *ret_reply is the caller's. */
static int call(struct demo *demo, int side, const char *command,
                struct json_object **ret_reply, struct ferry_error *reterr)
{
    return control_call(&demo->control[side], control_command(command), CALL_TIMEOUT_MS,
                        ret_reply, reterr);
}

/* The work's part of a host's status. Return: FERRY_OK; an error, also one of the guest.
 */
static int get_work(struct demo *demo, int side, struct json_object **ret_work,
                    struct ferry_error *reterr)
{
    struct json_object *reply = NULL, *work = NULL;
    int status = demo_check_children(demo, reterr);

    if (status == FERRY_OK) {
        status = call(demo, side, "status", &reply, reterr);
    }
    if (status < 0) {
        return status;
    }
    if (!json_object_object_get_ex(reply, "work", &work)) {
        status = ferry_error_set(reterr, FERRY_E_PROTOCOL, "demo", NULL, 0,
                                 "host %c says nothing of its work", 'A' + side);
    } else if (strcmp(json_get_text(work, "phase"), "failed") == 0) {
        status = ferry_error_set(reterr, FERRY_E_DEVICE, "demo", NULL, 0,
                                 "the guest failed: %s", json_get_text(work, "error"));
    } else {
        *ret_work = json_object_get(work);
    }
    json_object_put(reply);
    return status;
}

static int pause_a_little(const struct demo *demo, struct ferry_error *reterr)
{
    struct pollfd wait = { .fd = demo->stop_fd, .events = POLLIN };

    if (poll(&wait, 1, POLL_MS) > 0) {
        return ferry_error_set(reterr, FERRY_E_CANCELLED, "demo", NULL, 0, "interrupted");
    }
    return FERRY_OK;
}

/*
 * Waits until the work on `side` has gone on by `bytes` for SETTLE_MS and enough requests
 * are in flight.
 */
static int wait_flow(struct demo *demo, int side, struct ferry_error *reterr)
{
    uint64_t begin = demo_now_ns(), first = UINT64_MAX, waited_ms = 0;
    uint64_t turn = (uint64_t)demo->args.work.lanes * demo->args.work.block_bytes;
    int status = FERRY_OK;

    while (status == FERRY_OK && waited_ms < FLOW_TIMEOUT_MS) {
        struct json_object *work = NULL;
        uint64_t bytes, in_flight;

        status = get_work(demo, side, &work, reterr);
        if (status < 0) {
            break;
        }
        bytes = json_get_u64(work, "bytes");
        in_flight = json_get_u64(work, "in_flight");
        json_object_put(work);
        first = first == UINT64_MAX ? bytes : first;
        waited_ms = (demo_now_ns() - begin) / 1000000;
        if (waited_ms >= SETTLE_MS && bytes - first >= turn &&
            in_flight >= demo->args.min_in_flight) {
            return FERRY_OK;
        }
        status = pause_a_little(demo, reterr);
    }
    return status < 0
               ? status
               : ferry_error_set(reterr, FERRY_E_TIMEOUT, "demo", NULL, 0,
                                 "%u requests were never in flight in %d s of work on "
                                 "host %c",
                                 demo->args.min_in_flight, FLOW_TIMEOUT_MS / 1000,
                                 'A' + side);
}

/* Where the other host listens, as soon as it does. */
static int get_address(struct demo *demo, int side, char ret_address[DEMO_PATH_BYTES],
                       struct ferry_error *reterr)
{
    uint64_t begin = demo_now_ns();
    int status = FERRY_OK;

    while (status == FERRY_OK && demo_now_ns() - begin < 1000000ull * FLOW_TIMEOUT_MS) {
        struct json_object *reply = NULL;

        status = call(demo, side, "status", &reply, reterr);
        if (status < 0) {
            break;
        }
        snprintf(ret_address, DEMO_PATH_BYTES, "%s", json_get_text(reply, "address"));
        json_object_put(reply);
        if (ret_address[0] != '\0') {
            return FERRY_OK;
        }
        status = pause_a_little(demo, reterr);
    }
    return status < 0 ? status
                      : ferry_error_set(reterr, FERRY_E_TIMEOUT, "demo", NULL, 0,
                                        "host %c does not listen", 'A' + side);
}

/* The source does not see how long the target's devices took; the target does. */
static void add_target_times(struct json_object *report, struct json_object *target)
{
    static const char *const name[] = { "load_ns", "run_ns" };
    struct json_object *mine = NULL, *theirs = NULL;

    if (!json_object_object_get_ex(report, "devices", &mine) ||
        !json_object_object_get_ex(target, "devices", &theirs)) {
        return;
    }
    for (size_t i = 0; i < json_object_array_length(mine); i++) {
        struct json_object *to = json_object_array_get_idx(mine, i);
        struct json_object *from = json_object_array_get_idx(theirs, i);

        for (int j = 0; from != NULL && j < 2; j++) {
            if (json_get_u64(to, name[j]) == 0) {
                json_object_object_add(to, name[j],
                                       json_u64(json_get_u64(from, name[j])));
            }
        }
    }
}

/* What the other side noted: the guest's own count of the stop, and the devices' times.
 */
static int take_arrival(struct demo *demo, int to, struct demo_move *one,
                        struct ferry_error *reterr)
{
    struct json_object *reply = NULL, *report = NULL, *work = NULL, *stops = NULL;
    int status = call(demo, to, "status", &reply, reterr);

    if (status < 0) {
        return status;
    }
    if (json_object_object_get_ex(reply, "report", &report)) {
        add_target_times(one->report, report);
    }
    if (json_object_object_get_ex(reply, "work", &work) &&
        json_object_object_get_ex(work, "stops", &stops) &&
        json_object_array_length(stops) == demo->moves + 1) {
        struct json_object *stop = json_object_array_get_idx(stops, demo->moves);

        one->in_flight = json_get_u64(stop, "in_flight");
        one->unfinished = json_get_u64(stop, "unfinished");
    } else {
        status = ferry_error_set(reterr, FERRY_E_PROTOCOL, "demo", NULL, 0,
                                 "the guest did not count stop %u", demo->moves + 1);
    }
    json_object_put(reply);
    return status;
}

/* Adds the timelines of both sides to what --trace writes. */
static int take_timelines(struct demo *demo, struct ferry_error *reterr)
{
    int status = FERRY_OK;

    if (demo->args.trace == NULL) {
        return FERRY_OK;
    }
    if (demo->trace == NULL) {
        demo->trace = trace_file_new();
    }
    for (int side = 0; side < 2 && status == FERRY_OK; side++) {
        struct json_object *fetched = NULL;

        status = trace_fetch(&demo->control[side], &fetched, reterr);
        if (status == FERRY_OK) {
            trace_file_add(demo->trace, fetched);
            json_object_put(fetched);
        }
    }
    if (status == FERRY_OK) {
        trace_file_align(demo->trace);
        status = trace_file_write(demo->trace, demo->args.trace, reterr);
    }
    return status;
}

static int move_once(struct demo *demo, int from, struct ferry_error *reterr)
{
    struct demo_move *one = &demo->move[demo->moves];
    char address[DEMO_PATH_BYTES], title[48];
    struct move_options options = {
        .to = address,
        .min_in_flight = demo->args.min_in_flight,
        .stop_fd = demo->stop_fd,
        .reply_timeout_ms = CALL_TIMEOUT_MS,
    };
    struct progress_line progress;
    struct move_result result;
    int status = wait_flow(demo, from, reterr);

    if (status == FERRY_OK) {
        status = get_address(demo, !from, address, reterr);
    }
    if (status < 0) {
        return status;
    }
    snprintf(title, sizeof(title), "%u/%u %c -> %c", demo->moves + 1,
             demo->args.migrations, 'A' + from, 'B' - from);
    progress_init(&progress, title, demo->args.json);
    move(&demo->control[from], &options, &progress, &result);
    if (result.code != EXIT_OK) {
        move_result_free(&result);
        return ferry_error_set(
            reterr, result.error.code != FERRY_OK ? result.error.code : FERRY_E_REFUSED,
            "demo", NULL, 0, "migration %u: %.200s", demo->moves + 1, result.error.text);
    }
    one->report = result.report;
    status = take_arrival(demo, !from, one, reterr);
    if (status == FERRY_OK) {
        status = take_timelines(demo, reterr);
    }
    if (status == FERRY_OK && one->in_flight < demo->args.min_in_flight) {
        status = ferry_error_set(reterr, FERRY_E_STATE, "demo", NULL, 0,
                                 "stop %u had %llu requests in flight, %u are asked for",
                                 demo->moves + 1, (unsigned long long)one->in_flight,
                                 demo->args.min_in_flight);
    }
    demo->moves++;
    demo_say(demo, "%s moved with %llu requests in flight (%llu in the devices' hands)",
             title, (unsigned long long)one->in_flight,
             (unsigned long long)one->unfinished);
    if (!demo->args.json) {
        print_report(one->report);
    }
    return status;
}

static int start_work(struct demo *demo, struct ferry_error *reterr)
{
    struct json_object *request = control_command("work-start");
    uint8_t key[ACC_KEY_BYTES];

    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
        json_object_put(request);
        return ferry_error_set(reterr, FERRY_E_IO, "demo", NULL, 0, "no random key");
    }
    for (int i = 0; i < ACC_KEY_BYTES; i++) {
        snprintf(demo->key + 2 * i, 3, "%02x", key[i]);
    }
    json_object_object_add(request, "key", json_object_new_string(demo->key));
    return control_call(&demo->control[0], request, CALL_TIMEOUT_MS, NULL, reterr);
}

/* Lets the pass under way end. */
static int finish_work(struct demo *demo, int side, struct ferry_error *reterr)
{
    uint64_t begin = demo_now_ns();
    int status = call(demo, side, "work-finish", NULL, reterr);

    while (status == FERRY_OK) {
        status = get_work(demo, side, &demo->work, reterr);
        if (status < 0 || strcmp(json_get_text(demo->work, "phase"), "done") == 0) {
            return status;
        }
        json_object_put(demo->work);
        demo->work = NULL;
        if (demo_now_ns() - begin > 1000000ull * FINISH_TIMEOUT_MS) {
            return ferry_error_set(reterr, FERRY_E_TIMEOUT, "demo", NULL, 0,
                                   "the last pass does not end");
        }
        status = pause_a_little(demo, reterr);
    }
    return status;
}

/* What the guest counted has to add up. */
static int check_counts(const struct demo *demo, struct ferry_error *reterr)
{
    struct json_object *work = demo->work, *frames = NULL;
    uint64_t stops = json_get_u64(work, "stop_count");

    if (json_get_u64(work, "lost") != 0 || json_get_u64(work, "twice") != 0 ||
        json_get_u64(work, "interrupts_lost") != 0 ||
        json_get_u64(work, "submitted") != json_get_u64(work, "completed") ||
        json_get_u64(work, "completed") != 3 * json_get_u64(work, "requests")) {
        return ferry_error_set(
            reterr, FERRY_E_DEVICE, "demo", NULL, 0,
            "completions do not add up: %llu submitted, %llu completed",
            (unsigned long long)json_get_u64(work, "submitted"),
            (unsigned long long)json_get_u64(work, "completed"));
    }
    if (!json_object_object_get_ex(work, "frames", &frames) ||
        json_get_u64(frames, "received") == 0 || json_get_u64(frames, "lost") != 0 ||
        json_get_u64(frames, "sent") != json_get_u64(frames, "received")) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, "demo", NULL, 0,
                               "frames do not add up: %llu sent, %llu back",
                               (unsigned long long)json_get_u64(frames, "sent"),
                               (unsigned long long)json_get_u64(frames, "received"));
    }
    if (stops != demo->moves) {
        return ferry_error_set(reterr, FERRY_E_STATE, "demo", NULL, 0,
                               "%llu stops for %u migrations", (unsigned long long)stops,
                               demo->moves);
    }
    return FERRY_OK;
}

static int run(struct demo *demo, struct ferry_error *reterr)
{
    int side = 0, status = FERRY_OK;

    if (demo->args.input == NULL) {
        demo_say(demo, "collecting 256 MiB of this machine's files ...");
        status = demo_make_input(demo, reterr);
    } else if (demo->input_bytes < DEMO_INPUT_LEAST) {
        demo_say(demo, "repeating %s until there are %llu MiB ...", demo->args.input,
                 DEMO_INPUT_LEAST >> 20);
        status = demo_make_input(demo, reterr);
    }
    if (status == FERRY_OK) {
        demo_say(demo,
                 "starting acc, copy0, copy1 and nic for host A and for host B ...");
        status = demo_start(demo, reterr);
    }
    if (status == FERRY_OK) {
        status = start_work(demo, reterr);
    }
    while (status == FERRY_OK && demo->moves < demo->args.migrations) {
        status = move_once(demo, side, reterr);
        side = !side;
    }
    if (status == FERRY_OK) {
        demo_say(demo, "finishing the pass ...");
        status = finish_work(demo, side, reterr);
    }
    if (status == FERRY_OK) {
        status = demo_check_children(demo, reterr);
    }
    if (status == FERRY_OK) {
        status = check_counts(demo, reterr);
    }
    if (status == FERRY_OK) {
        demo_say(demo, "decrypting every lane of every pass with openssl ...");
        status = demo_verify(demo, (uint32_t)json_get_u64(demo->work, "passes"), reterr);
    }
    return status;
}

static int open_folder(struct demo *demo, struct ferry_error *reterr)
{
    const char *base = getenv("TMPDIR");

    if (demo->args.keep != NULL) {
        snprintf(demo->folder, sizeof(demo->folder), "%.200s", demo->args.keep);
        if (mkdir(demo->folder, 0700) == 0) {
            return FERRY_OK;
        }
    } else {
        snprintf(demo->folder, sizeof(demo->folder), "%.180s/ferry-demo-XXXXXX",
                 base != NULL && base[0] == '/' ? base : "/tmp");
        if (mkdtemp(demo->folder) != NULL) {
            return FERRY_OK;
        }
    }
    return ferry_error_set(reterr, FERRY_E_IO, "demo", NULL, 0,
                           "cannot make the folder %s: %s", demo->folder,
                           strerror(errno));
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Return: FERRY_OK with the input's absolute path, since the hosts get it too. */
static int find_input(struct demo *demo, struct ferry_error *reterr)
{
    char *path;
    struct stat about;

    if (demo->args.input == NULL) {
        return FERRY_OK;
    }
    path = realpath(demo->args.input, NULL);
    if (path == NULL || strlen(path) >= sizeof(demo->input) || stat(path, &about) < 0 ||
        !S_ISREG(about.st_mode) || about.st_size == 0) {
        free(path);
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "demo", NULL, 0,
                               "%s is no regular file with something in it",
                               demo->args.input);
    }
    if (access(path, R_OK) < 0) {
        free(path);
        return ferry_error_set(reterr, FERRY_E_PERMISSION, "demo", NULL, 0, "%s: %s",
                               demo->args.input, strerror(errno));
    }
    snprintf(demo->input, sizeof(demo->input), "%s", path);
    demo->input_bytes = (uint64_t)about.st_size;
    free(path);
    return FERRY_OK;
}

static void clean_up(struct demo *demo)
{
    demo_kill(demo);
    if (demo->args.keep == NULL && demo->folder[0] != '\0') {
        demo_remove(demo);
    }
    for (uint32_t i = 0; i < DEMO_MIGRATIONS_MAX; i++) {
        json_object_put(demo->move[i].report);
    }
    json_object_put(demo->work);
    json_object_put(demo->trace);
}

int command_demo(int argc, char **argv)
{
    struct demo *demo = calloc(1, sizeof(*demo));
    struct demo_args args = { .migrations = 5,
                              .min_in_flight = 16,
                              .work = {
                                  .lanes = 32, .block_bytes = 32u << 10, .depth = 2 } };
    struct ferry_error error = { .code = FERRY_OK };
    int status;

    argp_parse(&demo_argp, argc, argv, 0, NULL, &args);
    if (demo == NULL) {
        print_error("demo", NULL, "out of memory");
        return EXIT_FAILED;
    }
    demo->args = args;
    demo->start_ns = demo_now_ns();
    demo->stop_fd = open_signals();
    control_lines_init(&demo->control[0], -1);
    control_lines_init(&demo->control[1], -1);
    status = find_input(demo, &error);
    if (status == FERRY_OK) {
        status = open_folder(demo, &error);
    }
    if (status == FERRY_OK) {
        status = run(demo, &error);
        demo_report(demo, status == FERRY_OK);
    }
    if (status < 0) {
        print_error("demo", &error, status == FERRY_E_CANCELLED ? "ended" : "FAILED");
        if (demo->folder[0] != '\0' && status != FERRY_E_CANCELLED) {
            demo_print_logs(demo);
        }
    }
    clean_up(demo);
    free(demo);
    return status == FERRY_OK            ? EXIT_OK
           : status == FERRY_E_CANCELLED ? EXIT_CANCELLED
                                         : EXIT_FAILED;
}
