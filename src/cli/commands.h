/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_COMMANDS_H
#define FERRY_CLI_COMMANDS_H

#include <argp.h>
#include <stdint.h>

/* Exit codes of every command; ferry(1) has the same table. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,      /* it went wrong in another way than those below */
    EXIT_USAGE = 2,       /* wrong options or arguments */
    EXIT_REFUSED = 3,     /* refused before anything was touched */
    EXIT_ROLLED_BACK = 4, /* the source runs again */
    EXIT_UNDECIDED = 5,   /* the operator's word is needed: ferry resolve */
    EXIT_CANCELLED = 6,   /* cancelled by the user; the source runs again */
    EXIT_LOST = 7         /* a device could not be brought back */
};

/* Further ones of `ferry check': what is broken, by who demands it. */
enum check_exit_code {
    EXIT_RECOMMENDED = 8, /* Ferry recommends it, and nothing worse is broken */
    EXIT_EXPECTED = 9,    /* QEMU relies on it */
    EXIT_REQUIRED = 10    /* the text of the uAPI requires it */
};

/* One command; argv[0] is its full name ("ferry serve"). Return: enum exit_code. */
struct command {
    const char *name;
    const char *full_name;
    const char *summary;
    int (*run)(int argc, char **argv);
};

int command_serve(int argc, char **argv);
int command_check(int argc, char **argv);
int command_info(int argc, char **argv);
int command_host(int argc, char **argv);
int command_migrate(int argc, char **argv);
int command_report(int argc, char **argv);
int command_resolve(int argc, char **argv);
int command_save(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_show(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_qemu(int argc, char **argv);
int command_list(int argc, char **argv);
int command_bind(int argc, char **argv);
int command_unbind(int argc, char **argv);

/*
 * Option values. On a wrong value they end the process by argp_error() with EXIT_USAGE
 * and a text that names the option and what it takes.
 */
uint64_t parse_number(const struct argp_state *state, const char *option,
                      const char *text, uint64_t least, uint64_t most);
/* A limit in milliseconds, up to a day. */
uint32_t parse_ms(const struct argp_state *state, const char *option, const char *text);
/* The same with a unit: 500ms, 10s, 2min; a bare number is milliseconds. */
uint32_t parse_duration(const struct argp_state *state, const char *option,
                        const char *text);
/* A size in bytes with an optional K, M or G. */
uint64_t parse_size(const struct argp_state *state, const char *option, const char *text,
                    uint64_t least, uint64_t most);
/* A descriptor that is open. */
int parse_descriptor(const struct argp_state *state, const char *option,
                     const char *text);
/* An argument that is there once; have: what there was before. Returns text. */
const char *parse_one(const struct argp_state *state, const char *have, const char *text,
                      const char *what);
/* Who decides; returns text. */
const char *parse_arbiter(const struct argp_state *state, const char *text);

/* The guest's work: `ferry host' does it, `ferry demo' has it done. */
struct work_options {
    uint32_t lanes, block_bytes, depth;
    uint64_t rate; /* input bytes a second; 0: no limit */
};

/*
 * An argp child with the options of the work; its input is a struct work_options with
 * the defaults, which --help shows.
 */
extern const struct argp work_argp;

#endif
