/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/doctor/doctor.h"
#include "cli/output.h"

enum doctor_key { KEY_JSON = 'j', KEY_QEMU = 'q', KEY_ROOT = 0x100 };

struct doctor_args {
    const char *qemu, *root;
    int json;
};

static const char *const level_name[] = { "good", "less", "bad" };
static const char *const level_mark[] = { "ok  ", "-   ", "BAD " };

static const struct argp_option doctor_options[] = {
    { "qemu", KEY_QEMU, "PATH", 0, "the QEMU to look at (one in PATH)", 0 },
    { "json", KEY_JSON, NULL, 0, "print JSON", 0 },
    /* For tests: the machine as files below a folder. */
    { "root", KEY_ROOT, "FOLDER", OPTION_HIDDEN, NULL, 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_doctor(int key, char *text, struct argp_state *state)
{
    struct doctor_args *args = state->input;

    switch (key) {
    case KEY_QEMU:
        args->qemu = text;
        return 0;
    case KEY_ROOT:
        args->root = text;
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "it takes no argument such as '%s'", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp doctor_argp = {
    .options = doctor_options,
    .parser = parse_doctor,
    .doc =
        "Shows what this machine and its QEMU can do for Ferry, and what is in the way. "
        "Exit status 0: everything that Ferry needs is there.",
};

static void print_text(const struct doctor *doctor, int ok)
{
    for (size_t i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->finding[i];

        printf("%s%-20s %s\n", level_mark[finding->level], finding->name, finding->value);
        if (finding->level != DOCTOR_GOOD) {
            printf("      %s\n", finding->means);
        }
        if (finding->todo != NULL) {
            printf("      to have it: %s\n", finding->todo);
        }
    }
    puts(ok ? "\nEverything that Ferry needs is there."
            : "\nFerry cannot work here before what is marked BAD is put right.");
}

static void print_findings(const struct doctor *doctor, int ok)
{
    struct json_object *root = json_object_new_object();
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < doctor->count; i++) {
        const struct doctor_finding *finding = &doctor->finding[i];
        struct json_object *one = json_object_new_object();

        json_object_object_add(one, "name", json_object_new_string(finding->name));
        json_object_object_add(one, "level",
                               json_object_new_string(level_name[finding->level]));
        json_object_object_add(one, "value", json_object_new_string(finding->value));
        json_object_object_add(one, "means", json_object_new_string(finding->means));
        if (finding->todo != NULL) {
            json_object_object_add(one, "todo", json_object_new_string(finding->todo));
        }
        json_object_array_add(list, one);
    }
    json_object_object_add(root, "ok", json_object_new_boolean(ok));
    json_object_object_add(root, "findings", list);
    print_json(root, 1);
    json_object_put(root);
}

int command_doctor(int argc, char **argv)
{
    struct doctor doctor = { .count = 0 };
    struct doctor_args args = { .root = "" };
    int ok = 1;

    argp_parse(&doctor_argp, argc, argv, 0, NULL, &args);
    doctor.root = args.root;
    doctor.qemu = args.qemu;
    doctor_machine(&doctor);
    doctor_limits(&doctor);
    doctor_qemu(&doctor);
    for (size_t i = 0; i < doctor.count; i++) {
        ok &= doctor.finding[i].level != DOCTOR_BAD;
    }
    if (args.json) {
        print_findings(&doctor, ok);
    } else {
        print_text(&doctor, ok);
    }
    return ok ? EXIT_OK : EXIT_FAILED;
}
