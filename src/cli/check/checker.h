/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_CHECK_CHECKER_H
#define FERRY_CLI_CHECK_CHECKER_H

#include <json-c/json.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/serve/serve.h"
#include "ferry/access.h"
#include "ferry/check.h"

/*
 * `ferry check': cmd_check.c reads the command line, target.c opens what is checked,
 * driver.c finds who has it work, run.c runs the checks and keeps what they found, and
 * forms/ has a file for each form in which it is told.
 */
#define CHECKER_PATTERNS_MAX 64
#define CHECKER_PATTERN_BYTES 128
#define CHECKER_RESULTS_MAX 200000 /* more cases than any device has */
#define CHECKER_WAIVERS_MAX 1000
#define CHECKER_WAIVER_BYTES 1024       /* a line of the file */
#define CHECKER_WAIVERS_BYTES (1 << 20) /* the file */
#define CHECKER_TIMEOUT_MS 5000u        /* of each request, as libferry's */
#define CHECKER_OVERDUE_MAX 32          /* all cases that a time limit ended */
#define CHECKER_HUNG_MAX 8 /* cases in a row that a time limit ended: a dead device */

struct checker_args {
    const char *uri, *partner, *foreign;
    const char *filter[SERVE_FILTERS_MAX];
    size_t filter_count;
    const char *pattern[CHECKER_PATTERNS_MAX];
    size_t pattern_count;
    const char *rule, *driver, *waive, *junit, *uapi;
    uint32_t profile; /* 0: all */
    uint32_t allowed, timeout_ms, look_ms;
    int list, tap, json, quiet, verbose;
};

/* A finding that is known, of the file of --waive. */
struct checker_waiver {
    char *pattern, *reason;
    uint32_t line;
    uint32_t tried;   /* cases that it matches and that were tried */
    uint32_t matched; /* of them: findings */
    int unknown;      /* no check and no rule is called that */
};

struct checker_result {
    struct ferry_check_result found;
    const struct checker_waiver *waived; /* NULL: it counts */
};

/* How a run ended. */
enum checker_end {
    CHECKER_DONE = 0,
    CHECKER_CANCELLED, /* by the user */
    CHECKER_HUNG,      /* the device answers nothing any more */
    CHECKER_FULL,      /* CHECKER_RESULTS_MAX, or out of memory */
    CHECKER_ERROR      /* there was nothing to check: error says why */
};

/* Results by verdict. A waived finding counts as waived only. */
struct checker_tally {
    uint32_t passed, failed, waived, skipped, broken;
};

/* A device to check, or one that takes part. */
struct checker_target {
    struct ferry_check_target target;
    char *model;                  /* of "model:...", cut in place by served */
    struct served_device *served; /* NULL: of another process */
};

/* What the device says of itself. */
struct checker_identity {
    int known;
    struct ferry_error error;
    uint8_t config[64];
    char model[32];
};

struct checker {
    const struct checker_args *args;
    struct checker_target device, partner, foreign;
    struct checker_identity identity;
    struct ferry_check_driver driver; /* struct_size 0: none */
    void *plugin;                     /* dlopen handle */
    struct checker_waiver *waiver;
    size_t waiver_count;
    struct checker_result *result;
    size_t count, cap;
    uint32_t pattern_uses[CHECKER_PATTERNS_MAX]; /* cases of --check */
    uint32_t hung, overdue; /* cases that a time limit ended: in a row, all */
    struct ferry_check_summary summary;
    enum checker_end end;
    struct ferry_error error;
    FILE *junit;
    uint64_t duration_ns;
    int coloured;
    /* Progress. */
    struct progress_line progress;
    const struct ferry_check_info *at; /* the check that runs */
    size_t check_count, check_done;    /* checks that are wanted */
};

/* -- cmd_check.c -- */
/* Is the check among those that the options name? */
int checker_wants(const struct checker_args *args, const struct ferry_check_info *info);

/* -- result.c: names and words of what was found -- */
/* Did it fail, or could it not be tried? Return: 1 or 0. */
int checker_is_finding(const struct ferry_check_result *found);
/* Does the pattern mean this case? A result without a case's name stands for all cases of
 * its check. Return: 1 or 0. */
int checker_means(const char *pattern, const struct ferry_check_result *found);
/* "arc.legal[RUNNING>STOP]"; Return: ret_text. */
const char *checker_case_name(const struct ferry_check_result *found,
                              char ret_text[CHECKER_PATTERN_BYTES]);
/* The command that repeats one case, quoted for a shell. Return: malloc; NULL. */
char *checker_again(const struct checker_args *args,
                    const struct ferry_check_result *found);
/* Whatever a device or a plug-in wrote: no byte of it may steer a terminal. */
void checker_clean(char *text);
const char *checker_profile_name(uint32_t profile);    /* "required" */
const char *checker_profile_text(uint32_t profile);    /* "required by the uAPI" */
const char *checker_verdict_name(uint32_t verdict);    /* "pass" */
const struct ferry_rule *checker_rule(const char *id); /* NULL: none */

/* -- target.c: what is wrong is printed; Return: enum exit_code -- */
int checker_open_targets(struct checker *checker);
void checker_close_targets(struct checker *checker);

/* -- driver.c: the same -- */
int checker_find_driver(struct checker *checker);
void checker_close_driver(struct checker *checker);

/* -- waivers.c: the same -- */
int checker_read_waivers(struct checker *checker);
void checker_free_waivers(struct checker *checker);
/* Return: the waiver of this result; NULL. */
const struct checker_waiver *checker_waive(struct checker *checker,
                                           const struct ferry_check_result *found);
/* It names nothing, or what it names was tried and there was no finding. */
int checker_waiver_is_stale(const struct checker_waiver *waiver);

/* -- run.c -- */
/* Runs the checks; everything is in checker then. Return: enum exit_code. */
int checker_run(struct checker *checker);
/* check: NULL counts all of a profile; profile: 0 counts all. */
struct checker_tally checker_count(const struct checker *checker,
                                   const struct ferry_check_info *check,
                                   uint32_t profile);
int checker_status(const struct checker *checker);
/* How it ended, for people; "" when it is done. */
const char *checker_end_text(const struct checker *checker);

/* -- forms/ -- */
void list_print(const struct checker_args *args);
void tap_begin(const struct checker *checker);
void tap_result(const struct checker *checker, const struct checker_result *result);
void tap_end(const struct checker *checker);
/* Is standard output a terminal whose user wants colours? */
int table_may_colour(void);
void table_print(const struct checker *checker);
void json_print(const struct checker *checker);
int junit_open(struct checker *checker); /* Return: enum exit_code */
int junit_write(struct checker *checker);
void progress_begin(struct checker *checker);
void progress_check(struct checker *checker, const struct ferry_check_info *info,
                    const char *name);
void progress_close(struct checker *checker);

#endif
