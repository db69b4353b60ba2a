/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/qemu/check/check.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"

static const char *const level_name[] = { "good", "note", "blocks" };
static const char *const level_mark[] = { "ok      ", "note    ", "BLOCKS  " };

void qemu_find(struct qemu_report *report, enum qemu_level level, const char *about,
               const char *todo, const char *format, ...)
{
    struct qemu_finding *finding = &report->finding[report->count];
    va_list list;

    if (report->count == QEMU_FINDINGS_MAX) {
        return;
    }
    report->count++;
    finding->level = level;
    finding->todo = todo;
    snprintf(finding->about, sizeof(finding->about), "%s", about);
    va_start(list, format);
    vsnprintf(finding->text, sizeof(finding->text), format, list);
    va_end(list);
}

static int is_blocked(const struct qemu_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        if (report->finding[i].level == QEMU_BLOCKS) {
            return 1;
        }
    }
    return 0;
}

static void print_as_json(const struct qemu_report *report)
{
    struct json_object *root = json_object_new_object();
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < report->count; i++) {
        const struct qemu_finding *finding = &report->finding[i];
        struct json_object *one = json_object_new_object();

        json_object_object_add(one, "about", json_object_new_string(finding->about));
        json_object_object_add(one, "level",
                               json_object_new_string(level_name[finding->level]));
        json_object_object_add(one, "text", json_object_new_string(finding->text));
        if (finding->todo != NULL) {
            json_object_object_add(one, "todo", json_object_new_string(finding->todo));
        }
        json_object_array_add(list, one);
    }
    json_object_object_add(root, "ok", json_object_new_boolean(!is_blocked(report)));
    json_object_object_add(root, "version", json_object_new_string(report->version));
    json_object_object_add(root, "started", json_object_new_boolean(report->started));
    json_object_object_add(root, "findings", list);
    print_json(root, 1);
    json_object_put(root);
}

static void print_text(const struct qemu_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct qemu_finding *finding = &report->finding[i];

        printf("%s%-10s %s\n", level_mark[finding->level], finding->about, finding->text);
        if (finding->todo != NULL) {
            printf("                   to do: %s\n", finding->todo);
        }
    }
    puts(is_blocked(report) ? "\nThis QEMU does not migrate, or not all of it."
                            : "\nNothing keeps this QEMU from migrating.");
}

/* With the command as it would be run. Return: enum exit_code. */
static int check_plan(struct qemu_report *report, struct qemu_args *args,
                      const struct qemu_line *line, struct qemu_keeper *keeper)
{
    struct qemu_plan plan;
    int result = qemu_plan_make(&plan, args, line, report->number);

    result = result == EXIT_OK && args->groups ? qemu_groups_make(args) : result;
    result = result == EXIT_OK ? qemu_keeper_start(keeper) : result;
    if (result == EXIT_OK) {
        qemu_check_line(report, args, line);
        /* A server has one user at a time, and QEMU does not try again. */
        qemu_check_qemu(report, &plan, args, keeper);
        if (!report->started && plan.note[0] != '\0') {
            qemu_find(report, QEMU_NOTE, "memory", NULL, "%s", plan.note);
        }
        qemu_check_devices(report, args);
    }
    qemu_plan_free(&plan);
    return result;
}

int qemu_check(struct qemu_args *args, const struct qemu_line *line)
{
    struct qemu_report *report = calloc(1, sizeof(*report));
    struct qemu_keeper keeper;
    char path[QEMU_PATH_BYTES];
    const char *name = NULL;
    enum qemu_binary_fault fault = qemu_line_fault(line, &name, path);
    int result;

    if (report == NULL) {
        print_error("qemu", NULL, "out of memory");
        return EXIT_FAILED;
    }
    if (fault == QEMU_BINARY_GOOD) {
        report->number = qemu_version(line, report->version, sizeof(report->version));
        qemu_choose_groups(args, report->number);
    }
    result = qemu_keeper_prepare(&keeper, args, line->daemonize);
    if (result == EXIT_OK) {
        if (fault != QEMU_BINARY_GOOD) {
            qemu_find(report, QEMU_BLOCKS, "QEMU", NULL, "%s: %s", name,
                      qemu_binary_text(fault));
        } else {
            result = check_plan(report, args, line, &keeper);
        }
    }
    qemu_keeper_drop(&keeper);
    if (result == EXIT_OK) {
        if (args->json) {
            print_as_json(report);
        } else {
            print_text(report);
        }
        result = is_blocked(report) ? EXIT_REFUSED : EXIT_OK;
    }
    free(report);
    return result;
}
