/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check/checker.h"

enum check_key {
    KEY_CHECK = 'c',
    KEY_FILTER = 'f',
    KEY_JSON = 'j',
    KEY_LIST = 'l',
    KEY_PROFILE = 'p',
    KEY_QUIET = 'q',
    KEY_RULE = 'r',
    KEY_TAP = 't',
    KEY_VERBOSE = 'v',
    KEY_WAIVE = 'w',
    KEY_DESTRUCTIVE = 0x100,
    KEY_DRIVER,
    KEY_FORCE,
    KEY_FOREIGN,
    KEY_JUNIT,
    KEY_LOOK,
    KEY_PARTNER,
    KEY_TIMEOUT,
    KEY_UAPI
};

static const struct argp_option check_options[] = {
    { NULL, 0, NULL, 0, "What is checked:", 1 },
    { "check", KEY_CHECK, "PATTERN", 0,
      "only checks, or cases, of this name, such as 'arc.legal[RUNNING>STOP]'; * and ? "
      "stand for any; can be repeated",
      1 },
    { "rule", KEY_RULE, "PREFIX", 0,
      "only checks of rules whose identifiers begin so, such as MIG-ARC", 1 },
    { "profile", KEY_PROFILE, "NAME", 0,
      "required (by the uAPI), expected (by QEMU, too), or recommended (all; the "
      "default)",
      1 },
    { "destructive", KEY_DESTRUCTIVE, NULL, 0,
      "also what may wedge a device or its driver", 1 },
    { "force", KEY_FORCE, NULL, 0, "also what hangs kernels that are not fixed", 1 },
    { "list", KEY_LIST, NULL, 0, "list the checks, and check nothing", 1 },
    { NULL, 0, NULL, 0, "With what:", 2 },
    { "partner", KEY_PARTNER, "URI", 0,
      "a second device of the same kind, to load what was saved", 2 },
    { "foreign", KEY_FOREIGN, "URI", 0, "a device of another kind, whose data is refused",
      2 },
    { "driver", KEY_DRIVER, "DRIVER", 0,
      "who has the device work: copy, acc, nic, edu, edu-buffer, FILE.so, or none (the "
      "one that fits)",
      2 },
    { "filter", KEY_FILTER, "SPEC", 0,
      "a filter over a model, as in ferry serve, to see what is found", 2 },
    { "uapi", KEY_UAPI, "VERSION", 0,
      "show a model by v2 (default), v1, v1:mmap or v1:partitioned, as in ferry serve",
      2 },
    { "timeout", KEY_TIMEOUT, "TIME", 0, "limit of each request (5s)", 2 },
    { "look", KEY_LOOK, "TIME", 0, "how long to look for what must not happen (20ms)",
      2 },
    { NULL, 0, NULL, 0, "What is told:", 3 },
    { "waive", KEY_WAIVE, "FILE", 0,
      "findings that are known: lines of a check, case or rule and the reason", 3 },
    { "tap", KEY_TAP, NULL, 0, "print TAP, as results come", 3 },
    { "json", KEY_JSON, NULL, 0, "print JSON", 3 },
    { "junit", KEY_JUNIT, "FILE", 0, "also write JUnit XML to FILE", 3 },
    { "quiet", KEY_QUIET, NULL, 0, "print findings and the summary only", 3 },
    { "verbose", KEY_VERBOSE, NULL, 0, "print each case", 3 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static uint32_t parse_profile(const struct argp_state *state, const char *text)
{
    for (uint32_t i = FERRY_CHECK_REQUIRED; i <= FERRY_CHECK_RECOMMENDED; i++) {
        if (strcmp(checker_profile_name(i), text) == 0) {
            return i;
        }
    }
    argp_error(state, "--profile takes required, expected or recommended, not '%s'",
               text);
    return 0;
}

static void add_pattern(struct checker_args *args, const char *text,
                        const struct argp_state *state)
{
    const struct ferry_check_info *info;
    int found = 0;

    if (args->pattern_count == CHECKER_PATTERNS_MAX) {
        argp_error(state, "more than %d --check", CHECKER_PATTERNS_MAX);
    }
    if (text[0] == '\0' || strlen(text) >= CHECKER_PATTERN_BYTES ||
        strpbrk(text, " \t\n") != NULL) {
        argp_error(state, "--check takes a name without blanks, not '%s'", text);
    }
    for (size_t i = 0; (info = ferry_check_get(i)) != NULL && !found; i++) {
        found = ferry_check_matches(text, info, NULL);
    }
    if (!found) {
        argp_error(
            state,
            "--check: there is no check like '%s'; see ferry check --list, and --rule "
            "for rules",
            text);
    }
    args->pattern[args->pattern_count++] = text;
}

static void add_filter(struct checker_args *args, const char *text,
                       const struct argp_state *state)
{
    if (args->filter_count == SERVE_FILTERS_MAX) {
        argp_error(state, "more than %d --filter", SERVE_FILTERS_MAX);
    }
    args->filter[args->filter_count++] = text;
}

int checker_wants(const struct checker_args *args, const struct ferry_check_info *info)
{
    const struct ferry_check_options options = { .struct_size = sizeof(options),
                                                 .profile = args->profile,
                                                 .rule = args->rule };
    int meant = args->pattern_count == 0;

    for (size_t i = 0; i < args->pattern_count && !meant; i++) {
        meant = ferry_check_matches(args->pattern[i], info, NULL);
    }
    return meant && ferry_check_wanted(&options, info);
}

static void check_args(const struct checker_args *args, const struct argp_state *state)
{
    const struct ferry_check_info *info;
    int wanted = 0;

    if (args->tap + args->json > 1) {
        argp_error(state, "one of --tap and --json: both go to standard output");
    }
    if (args->quiet && args->verbose) {
        argp_error(state, "one of --quiet and --verbose");
    }
    if (args->list && (args->tap || args->junit != NULL || args->uri != NULL)) {
        argp_error(state, "--list takes no URI, no --tap and no --junit");
    }
    if (!args->list && args->uri == NULL) {
        argp_error(state, "the URI of a device is needed, such as "
                          "vfio-user:/run/acc.sock or model:copy");
    }
    if ((args->filter_count > 0 || args->uapi != NULL) &&
        (args->uri == NULL || strncmp(args->uri, "model:", 6) != 0)) {
        argp_error(state, "--filter and --uapi go with model:NAME; a device of another "
                          "process has them from ferry serve");
    }
    for (size_t i = 0; (info = ferry_check_get(i)) != NULL; i++) {
        wanted += checker_wants(args, info);
    }
    if (wanted == 0) {
        argp_error(state, "no check is left by --check, --rule and --profile; see "
                          "ferry check --list");
    }
}

/* The options that are a word or a number of their own. */
static error_t parse_flag(int key, char *text, struct argp_state *state)
{
    struct checker_args *args = state->input;

    switch (key) {
    case KEY_DESTRUCTIVE:
        args->allowed |= FERRY_CHECK_DESTRUCTIVE;
        return 0;
    case KEY_FORCE:
        args->allowed |= FERRY_CHECK_MAY_HANG;
        return 0;
    case KEY_TIMEOUT:
        args->timeout_ms = parse_duration(state, "--timeout", text);
        return 0;
    case KEY_LOOK:
        args->look_ms = parse_duration(state, "--look", text);
        return 0;
    case KEY_LIST:
        args->list = 1;
        return 0;
    case KEY_TAP:
        args->tap = 1;
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case KEY_QUIET:
        args->quiet = 1;
        return 0;
    case KEY_VERBOSE:
        args->verbose = 1;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_check(int key, char *text, struct argp_state *state)
{
    struct checker_args *args = state->input;

    switch (key) {
    case KEY_CHECK:
        add_pattern(args, text, state);
        return 0;
    case KEY_RULE:
        args->rule = parse_one(state, args->rule, text, "--rule");
        return 0;
    case KEY_PROFILE:
        args->profile = parse_profile(state, text);
        return 0;
    case KEY_PARTNER:
        args->partner = parse_one(state, args->partner, text, "--partner");
        return 0;
    case KEY_FOREIGN:
        args->foreign = parse_one(state, args->foreign, text, "--foreign");
        return 0;
    case KEY_DRIVER:
        args->driver = parse_one(state, args->driver, text, "--driver");
        return 0;
    case KEY_FILTER:
        add_filter(args, text, state);
        return 0;
    case KEY_UAPI:
        args->uapi = parse_one(state, args->uapi, text, "--uapi");
        return 0;
    case KEY_WAIVE:
        args->waive = parse_one(state, args->waive, text, "--waive");
        return 0;
    case KEY_JUNIT:
        args->junit = parse_one(state, args->junit, text, "--junit");
        return 0;
    case ARGP_KEY_ARG:
        args->uri = parse_one(state, args->uri, text, "URI");
        return 0;
    case ARGP_KEY_END:
        check_args(args, state);
        return 0;
    default:
        return parse_flag(key, text, state);
    }
}

/* After the options: what can be named in this build. argp frees the text. */
static char *list_models(int key, const char *text, void *input)
{
    const struct ferry_model *model;
    char *list = NULL;
    size_t bytes = 0;
    FILE *out = key == ARGP_KEY_HELP_POST_DOC ? open_memstream(&list, &bytes) : NULL;

    (void)input;
    if (out == NULL) {
        return (char *)(uintptr_t)text;
    }
    fputs("URI: vfio-user:PATH, PATH (begins with / or .), vfio-user-fd:N (a connected "
          "socket), or a model in this process: ",
          out);
    for (size_t i = 0; (model = ferry_model_get(i)) != NULL; i++) {
        fprintf(out, "%smodel:%s[,KEY=VALUE...]", i > 0 ? " or " : "", model->name);
    }
    fputs(" with options as in ferry serve; partner and foreign device are made for it."
          "\n\nExit status: 0 nothing is broken, 8 only what Ferry recommends, 9 "
          "something that QEMU expects, 10 something that the uAPI requires, 1 not all "
          "could be checked, 3 the device does not migrate, 6 ended by the user.",
          out);
    fclose(out);
    return list;
}

static const struct argp check_argp = {
    .options = check_options,
    .parser = parse_check,
    .args_doc = "URI",
    .doc = "Checks how a device migrates, rule by rule, and shows what is broken and how "
           "to see it again. The device is reset and reopened many times: it must have "
           "no other user and hold nothing that matters.\v ",
    .help_filter = list_models,
};

static void tell_stale(const struct checker *checker)
{
    for (size_t i = 0; i < checker->waiver_count; i++) {
        const struct checker_waiver *waiver = &checker->waiver[i];

        if (checker_waiver_is_stale(waiver)) {
            print_error("check", NULL, "%s:%u: stale: '%s' %s", checker->args->waive,
                        waiver->line, waiver->pattern,
                        waiver->unknown ? "is the name of no check and no checked rule"
                                        : "is broken no more; the line can go");
        }
    }
}

/* What the device said when it was asked who it is; the checker may get further. */
static void tell_no_driver(const struct checker *checker)
{
    if (!checker->identity.known && checker->args->driver == NULL &&
        checker->end != CHECKER_ERROR) {
        print_error("check", &checker->identity.error,
                    "no driver was looked for, since the device's configuration space "
                    "was not read; see --driver");
    }
}

/* What was printed may have gone nowhere, as on a full disk. */
static int told(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        print_error("check", NULL, "standard output: %s", strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

/* Who lets recommendations pass must not take a report that is not there for one. */
static int outcome(int result, int written)
{
    return written != EXIT_OK && (result == EXIT_OK || result == EXIT_RECOMMENDED)
               ? written
               : result;
}

static int check(struct checker *checker)
{
    int result = checker_read_waivers(checker), written;

    if (result == EXIT_OK) {
        result = checker_open_targets(checker);
    }
    if (result == EXIT_OK) {
        result = checker_find_driver(checker);
    }
    if (result == EXIT_OK) {
        result = junit_open(checker);
    }
    if (result != EXIT_OK) {
        return result;
    }
    result = checker_run(checker);
    if (checker->args->json) {
        json_print(checker);
    } else if (!checker->args->tap) {
        table_print(checker);
    }
    written = junit_write(checker);
    tell_no_driver(checker);
    tell_stale(checker);
    return outcome(outcome(result, written), told());
}

int command_check(int argc, char **argv)
{
    struct checker_args args = { .list = 0 };
    struct checker *checker;
    int result;

    argp_parse(&check_argp, argc, argv, 0, NULL, &args);
    if (args.list) {
        list_print(&args);
        return told();
    }
    checker = calloc(1, sizeof(*checker));
    if (checker == NULL) {
        print_error("check", NULL, "out of memory");
        return EXIT_FAILED;
    }
    checker->args = &args;
    checker->coloured = table_may_colour();
    result = check(checker);
    checker_close_targets(checker);
    checker_close_driver(checker);
    checker_free_waivers(checker);
    free(checker->result);
    free(checker);
    return result;
}
