/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_DEMO_DEMO_H
#define FERRY_CLI_DEMO_DEMO_H

#include <stdint.h>
#include <sys/types.h>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/move/move.h"
#include "cli/trace/trace.h"
#include "drivers/acc_driver.h"

#define DEMO_PATH_BYTES 256
#define DEMO_DEVICES 4 /* of each side */
#define DEMO_CHILDREN_MAX (2 * (DEMO_DEVICES + 1))
#define DEMO_MIGRATIONS_MAX 60
/* With less, passes are so short that verifying them takes minutes: one openssl process
 * for each lane of each pass. */
#define DEMO_INPUT_LEAST (16ull << 20)
#define DEMO_KEY_TEXT_BYTES (2 * ACC_KEY_BYTES + 1)

struct demo_args {
    const char *input; /* NULL: files of this machine */
    const char *trace; /* NULL: none is written */
    const char *keep;  /* NULL: a temporary folder, removed at the end */
    struct work_options work;
    uint32_t migrations, min_in_flight;
    int packed, json;
};

struct demo_child {
    char name[16]; /* "acc-A", "host-B" */
    pid_t pid;     /* 0: none */
};

/* One migration, as both sides saw it. */
struct demo_move {
    struct json_object *report; /* the source's, with the target's times filled in */
    uint64_t in_flight, unfinished;
};

struct demo {
    struct demo_args args;
    char folder[DEMO_PATH_BYTES], input[DEMO_PATH_BYTES];
    char key[DEMO_KEY_TEXT_BYTES];
    struct demo_child child[DEMO_CHILDREN_MAX];
    struct control_lines control[2]; /* of host A and host B */
    struct demo_move move[DEMO_MIGRATIONS_MAX];
    struct json_object *trace; /* of every migration so far, or NULL */
    struct json_object *work;  /* the last status of the work */
    uint32_t moves;
    uint64_t input_bytes, lanes_verified, start_ns;
    int stop_fd; /* readable: interrupted */
    int identical;
};

uint64_t demo_now_ns(void);
/* 1 when the user has interrupted. */
int demo_interrupted(const struct demo *demo);
/* Says what is going on, except with --json. */
void demo_say(const struct demo *demo, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Files of this machine, one after the other, in a new file; or FILE as often as makes
 * DEMO_INPUT_LEAST. Return: FERRY_OK or an error. */
int demo_make_input(struct demo *demo, struct ferry_error *reterr);

/* Starts the devices' servers and both hosts. Return: FERRY_OK or an error. */
int demo_start(struct demo *demo, struct ferry_error *reterr);
/* Return: FERRY_OK; FERRY_E_CLOSED when a process has died (reterr names it). */
int demo_check_children(struct demo *demo, struct ferry_error *reterr);
/* Ends every process that was started, on every way out. */
void demo_kill(struct demo *demo);
/* Prints the ends of the processes' logs. */
void demo_print_logs(const struct demo *demo);
/* Removes the temporary folder. */
void demo_remove(const struct demo *demo);

/* Decrypts every lane of every pass with openssl(1) and compares it with the input. */
int demo_verify(struct demo *demo, uint32_t passes, struct ferry_error *reterr);

/* The table, or JSON. ok: everything was right. */
void demo_report(struct demo *demo, int ok);

#endif
