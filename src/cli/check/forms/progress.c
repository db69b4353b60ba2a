/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/check/checker.h"

#define BAR_CELLS 24
#define COLUMNS 79 /* of a terminal that does not say */
#define LINE_BYTES 256

/* On a terminal one line that is redrawn; in a pipe a line for each check. */

static size_t count_checks(const struct checker_args *args)
{
    const struct ferry_check_info *info;
    size_t count = 0;

    for (size_t i = 0; (info = ferry_check_get(i)) != NULL; i++) {
        count += checker_wants(args, info) != 0;
    }
    return count;
}

void progress_begin(struct checker *checker)
{
    const struct checker_args *args = checker->args;

    progress_init(&checker->progress, "check", args->quiet || args->tap || args->json);
    checker->check_count = count_checks(args);
}

static void end_check(struct checker *checker)
{
    struct checker_tally tally;

    if (checker->at == NULL || checker->progress.tty) {
        return;
    }
    tally = checker_count(checker, checker->at, 0);
    printf("checked %s: %u passed", checker->at->id, tally.passed);
    if (tally.failed > 0) {
        printf(", %u FAILED", tally.failed);
    }
    if (tally.broken > 0) {
        printf(", %u not tried", tally.broken);
    }
    if (tally.waived > 0) {
        printf(", %u waived", tally.waived);
    }
    if (tally.skipped > 0) {
        printf(", %u skipped", tally.skipped);
    }
    putchar('\n');
    fflush(stdout);
}

/* A line that is longer than the terminal is wide could not be drawn over. */
static int columns(void)
{
    struct winsize size = { 0 };

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1
               ? size.ws_col - 1
               : COLUMNS;
}

static void draw(struct checker *checker, const struct ferry_check_info *info,
                 const char *name)
{
    const size_t all = checker->check_count > 0 ? checker->check_count : 1;
    const size_t done = checker->check_done <= all ? checker->check_done : all;
    const struct checker_tally tally = checker_count(checker, NULL, 0);
    char bar[BAR_CELLS + 1], line[LINE_BYTES];

    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', done * BAR_CELLS / all);
    bar[BAR_CELLS] = '\0';
    snprintf(line, sizeof(line), "[%s] %u passed, %u failed  %s%s%s%s", bar, tally.passed,
             tally.failed + tally.broken, info->id, name[0] != '\0' ? "[" : "", name,
             name[0] != '\0' ? "]" : "");
    printf("\r%.*s\033[K", columns(), line);
    fflush(stdout);
    checker->progress.drawn = 1;
}

void progress_check(struct checker *checker, const struct ferry_check_info *info,
                    const char *name)
{
    if (checker->progress.quiet) {
        return;
    }
    if (info != checker->at) {
        end_check(checker);
        checker->check_done += checker->at != NULL;
        checker->at = info;
    }
    if (checker->progress.tty) {
        draw(checker, info, name);
    }
}

void progress_close(struct checker *checker)
{
    if (!checker->progress.quiet) {
        end_check(checker);
        progress_end(&checker->progress);
    }
}
