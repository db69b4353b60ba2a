/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"

#define BENCHES_MAX 64
#define PATH_BYTES 512
#define PREFIX "bench_"

#define DEVICE_BENCH "device"

enum bench_key { KEY_DEVICE = 'd', KEY_JSON = 'j', KEY_LIST = 'l', KEY_QUICK = 'q' };

struct bench_args {
    const char *name[BENCHES_MAX];
    size_t name_count;
    const char *device;
    int json, list, quick;
};

/* The benchmarks that are there: bench_NAME programs of one folder. */
struct bench_set {
    char folder[PATH_BYTES];
    char *name[BENCHES_MAX]; /* sorted */
    size_t count;
};

static const struct argp_option bench_options[] = {
    { "device", KEY_DEVICE, "URI", 0,
      "measure this device: its registers, its stop, its state", 0 },
    { "list", KEY_LIST, NULL, 0, "list the benchmarks and end", 0 },
    { "quick", KEY_QUICK, NULL, 0, "short runs, whose figures are not steady", 0 },
    { "json", KEY_JSON, NULL, 0, "print JSON", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_bench(int key, char *text, struct argp_state *state)
{
    struct bench_args *args = state->input;

    switch (key) {
    case KEY_DEVICE:
        args->device = text;
        return 0;
    case KEY_LIST:
        args->list = 1;
        return 0;
    case KEY_QUICK:
        args->quick = 1;
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        if (args->name_count == BENCHES_MAX) {
            argp_error(state, "at most %d names", BENCHES_MAX);
        }
        args->name[args->name_count++] = text;
        return 0;
    case ARGP_KEY_END:
        if (args->device != NULL && args->name_count > 0) {
            argp_error(state, "either --device or names");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp bench_argp = {
    .options = bench_options,
    .parser = parse_bench,
    .args_doc = "[NAME...]",
    .doc =
        "Runs the benchmarks NAME, or all. Each tells its figure beside a floor that is "
        "measured in the same run; their ratio is what counts.",
};

static int is_bench(const struct dirent *entry)
{
    /* No "bench_x.p", the folder of its objects. */
    return strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1) == 0 &&
           strchr(entry->d_name, '.') == NULL;
}

/* Return: 1 when folder has benchmarks; they are in ret_set. */
static int read_folder(const char *folder, struct bench_set *ret_set)
{
    struct dirent **entry = NULL;
    int count = scandir(folder, &entry, is_bench, alphasort);

    snprintf(ret_set->folder, sizeof(ret_set->folder), "%s", folder);
    for (int i = 0; i < count; i++) {
        if (ret_set->count < BENCHES_MAX) {
            ret_set->name[ret_set->count] = strdup(entry[i]->d_name + sizeof(PREFIX) - 1);
            ret_set->count += ret_set->name[ret_set->count] != NULL;
        }
        free(entry[i]);
    }
    free(entry);
    return ret_set->count > 0;
}

/*
 * Where they are: as the environment says; beside this program, when it was installed as
 * a whole elsewhere or was not installed; where they are installed.
 */
static int find_benches(struct bench_set *ret_set)
{
    static const char *const beside[] = { "../libexec/ferry/bench", "../../bench" };
    const char *told = getenv("FERRY_BENCH_FOLDER");
    char self[PATH_BYTES / 2], path[PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    memset(ret_set, 0, sizeof(*ret_set));
    if (told != NULL) {
        return read_folder(told, ret_set);
    }
    self[n > 0 ? n : 0] = '\0';
    setenv("FERRY", self, 1); /* for a benchmark that starts this program */
    slash = strrchr(self, '/');
    for (size_t i = 0; slash != NULL && i < 2; i++) {
        snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - self), self, beside[i]);
        if (read_folder(path, ret_set)) {
            return 1;
        }
    }
    return read_folder(FERRY_BENCH_FOLDER, ret_set);
}

/* Starts a benchmark; output: -1 or what its output goes to. Return: its process or -1.
 */
static pid_t start(const struct bench_set *set, const char *name, char *const argv[],
                   int output)
{
    char path[PATH_BYTES + 64];
    pid_t pid;

    snprintf(path, sizeof(path), "%s/" PREFIX "%s", set->folder, name);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        if (output >= 0) {
            dup2(output, STDOUT_FILENO);
        }
        execv(path, argv);
        _exit(127);
    }
    return pid;
}

/* Return: 1 when the benchmark has ended well; else it has been said that it did not. */
static int end(const char *name, pid_t pid)
{
    int status = -1;

    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0) {
        return 1;
    }
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        print_error("bench", NULL, "%s cannot be started", name);
    } else {
        print_error("bench", NULL, "%s failed", name);
    }
    return 0;
}

/* Runs a benchmark to its end and keeps what it prints. Return: 1 on success. */
static int capture(const struct bench_set *set, const char *name, char *const argv[],
                   char **ret_text)
{
    char chunk[4096];
    size_t bytes = 0, n;
    FILE *in, *out;
    int ends[2];
    pid_t pid;

    if (pipe(ends) < 0) {
        print_error("bench", NULL, "pipe: %s", strerror(errno));
        return 0;
    }
    pid = start(set, name, argv, ends[1]);
    close(ends[1]);
    in = fdopen(ends[0], "r");
    out = open_memstream(ret_text, &bytes);
    while (in != NULL && out != NULL && (n = fread(chunk, 1, sizeof(chunk), in)) > 0) {
        fwrite(chunk, 1, n, out);
    }
    if (in != NULL) {
        fclose(in);
    }
    if (out != NULL) {
        fclose(out);
    }
    return end(name, pid) && out != NULL;
}

static int run_json(const struct bench_set *set, const char *name, int quick,
                    struct json_object *list)
{
    char *argv[] = { (char *)(uintptr_t)name, (char *)(uintptr_t) "--json",
                     quick ? (char *)(uintptr_t) "--quick" : NULL, NULL };
    struct json_object *result = NULL;
    char *text = NULL;
    int ok = capture(set, name, argv, &text);

    if (ok) {
        result = json_tokener_parse(text);
        ok = json_object_is_type(result, json_type_object);
        if (!ok) {
            print_error("bench", NULL, "%s did not print a JSON object", name);
        }
    }
    free(text);
    if (!ok) {
        json_object_put(result);
        result = json_object_new_object();
        json_object_object_add(result, "bench", json_object_new_string(name));
        json_object_object_add(result, "failed", json_object_new_boolean(1));
    }
    json_object_array_add(list, result);
    return ok;
}

static int run_text(const struct bench_set *set, const char *name, int quick)
{
    char *argv[] = { (char *)(uintptr_t)name,
                     quick ? (char *)(uintptr_t) "--quick" : NULL, NULL };

    printf("== %s\n", name);
    return end(name, start(set, name, argv, -1));
}

static int list_benches(const struct bench_set *set, int json)
{
    struct json_object *list = json_object_new_array();
    int ok = 1;

    for (size_t i = 0; i < set->count; i++) {
        char *argv[] = { set->name[i], (char *)(uintptr_t) "--about", NULL };
        struct json_object *one = json_object_new_object();
        char *about = NULL;

        ok &= capture(set, set->name[i], argv, &about);
        if (about != NULL) {
            about[strcspn(about, "\n")] = '\0';
        }
        json_object_object_add(one, "bench", json_object_new_string(set->name[i]));
        json_object_object_add(one, "about",
                               json_object_new_string(about != NULL ? about : ""));
        json_object_array_add(list, one);
        if (!json) {
            printf("%-16s %s\n", set->name[i], about != NULL ? about : "");
        }
        free(about);
    }
    if (json) {
        print_json(list, 1);
    }
    json_object_put(list);
    return ok;
}

static int has(const struct bench_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->name[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

static int run_all(const struct bench_set *set, const struct bench_args *args)
{
    struct json_object *list = json_object_new_array();
    size_t count = args->name_count > 0 ? args->name_count : set->count;
    int ok = 1;

    for (size_t i = 0; i < count; i++) {
        const char *name = args->name_count > 0 ? args->name[i] : set->name[i];

        ok &= args->json ? run_json(set, name, args->quick, list)
                         : run_text(set, name, args->quick);
    }
    if (args->json) {
        print_json(list, 1);
    }
    json_object_put(list);
    return ok;
}

int command_bench(int argc, char **argv)
{
    struct bench_args args = { .name_count = 0 };
    struct bench_set set;
    int result = EXIT_USAGE, known = 1;

    argp_parse(&bench_argp, argc, argv, 0, NULL, &args);
    if (args.device != NULL) {
        setenv("FERRY_BENCH_DEVICE", args.device, 1);
        args.name[args.name_count++] = DEVICE_BENCH;
    }
    if (!find_benches(&set)) {
        print_error("bench", NULL,
                    "there are no benchmarks in %s; FERRY_BENCH_FOLDER names another "
                    "folder",
                    set.folder);
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < args.name_count; i++) {
        if (!has(&set, args.name[i])) {
            print_error("bench", NULL,
                        "there is no benchmark '%s'; see ferry bench --list",
                        args.name[i]);
            known = 0;
        }
    }
    if (known) {
        int ok = args.list ? list_benches(&set, args.json) : run_all(&set, &args);

        result = ok ? EXIT_OK : EXIT_FAILED;
    }
    for (size_t i = 0; i < set.count; i++) {
        free(set.name[i]);
    }
    return result;
}
