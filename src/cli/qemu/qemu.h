/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_QEMU_QEMU_H
#define FERRY_CLI_QEMU_QEMU_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"

/*
 * `ferry qemu': a QEMU with devices of servers, under the bridge. line.c reads what the
 * user's command says, plan.c adds to it, keep.c holds models that live as long as QEMU,
 * and then this process becomes QEMU: exit code and signals need no help.
 */
#define QEMU_DEVICES_MAX 32
#define QEMU_ID_BYTES 48
#define QEMU_PATH_BYTES 512
/* What a socket's name can be long, with its NUL. */
#define QEMU_SOCKET_BYTES 108
#define QEMU_BACKENDS_MAX 16
#define QEMU_PROPERTIES_MAX 16
#define QEMU_ADDED_MAX (QEMU_DEVICES_MAX + 4)
#define QEMU_WHY_BYTES 160
/* Descriptors for QEMU begin here: what the user hands to QEMU himself is below. */
#define QEMU_FD_FIRST 64

/* A growing list of words, NULL behind the last. */
struct qemu_words {
    char **word;
    size_t count, room;
    int failed; /* 1: out of memory; what was to be added is missing */
};

void qemu_words_add(struct qemu_words *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void qemu_words_free(struct qemu_words *words);

/*
 * One --device. The text is the user's, cut in place.
 */
struct qemu_device {
    char socket[QEMU_SOCKET_BYTES]; /* absolute; a model's: once the folder is there */
    char name[32];                  /* in the bridge's messages; "": the id */
    char id[QEMU_ID_BYTES];
    const char *model;                             /* NULL: somebody else serves it */
    const char *model_option[QEMU_PROPERTIES_MAX]; /* "key=value" */
    size_t model_options;
    const char *property[QEMU_PROPERTIES_MAX]; /* for -device: "addr=5" */
    size_t properties;
    uint32_t dirty; /* enum ferry_bridge_dirty */
    int token;      /* -1: none yet */
};

/*
 * Reads the text of a --device. ret_device: all of it.
 * Return: 1; 0 with what is wrong in ret_why.
 */
int qemu_device_parse(char *text, struct qemu_device *ret_device,
                      char ret_why[QEMU_WHY_BYTES]);

/* Where the guest's memory comes from. */
enum qemu_memory {
    QEMU_MEMORY_SIZE = 0, /* -m, or QEMU's default: a backend can be added */
    QEMU_MEMORY_OWN,      /* -machine memory-backend=, or -numa memdev= */
    QEMU_MEMORY_PATH,     /* -mem-path: no other backend is taken beside it */
    QEMU_MEMORY_NUMA,     /* -numa mem=: likewise */
    QEMU_MEMORY_CONFIG,   /* -readconfig: not known */
    QEMU_MEMORY_NONE      /* machine without memory */
};

struct qemu_backend {
    char id[QEMU_ID_BYTES];
    char kind[QEMU_ID_BYTES];
    int shared;
};

/* What the user's command says. Its words are borrowed. */
struct qemu_line {
    char **word;
    size_t count;
    size_t binary; /* the word that is QEMU, if known; else 0 */
    int known;     /* 1: the word has QEMU's name */
    enum qemu_memory memory;
    char size[64]; /* of -m, for memory-backend-*; "128M" without */
    int has_size;
    char main_backend[QEMU_ID_BYTES]; /* OWN: of -machine; "" with -numa */
    struct qemu_backend backend[QEMU_BACKENDS_MAX];
    size_t backends;
    int has_aux_share; /* -machine aux-ram-share= */
    int daemonize, has_user, has_iommu, has_vfio_user;
};

void qemu_line_read(struct qemu_line *ret_line, char **word, size_t count);
/*
 * Takes each "-NAME VALUE" out of a command; what is left stays in order, with a NULL
 * behind it. ret_value: count words' room; borrowed. Return: how many there were.
 */
size_t qemu_line_take(char **word, size_t *count, const char *name, char **ret_value);
/* Return: 1 when a word of the user's has an id that begins with this. */
int qemu_line_has_id(const struct qemu_line *line, const char *begin);

/* key's value in QEMU's "a,key=value,key2=x,,y". Return: 1 when it is there. */
int qemu_list_get(const char *list, const char *key, char *ret_value, size_t size);

struct qemu_args {
    struct qemu_device device[QEMU_DEVICES_MAX];
    size_t devices;
    const char *bridge, *log;
    uint32_t timeout_ms;
    int no_peer_maps, trace, print, check, json, quiet, keep_memory;
    int emulator;       /* options come in QEMU's command, behind -ferry */
    int inside;         /* 1: such an option is being read */
    int groups;         /* 1: devices by group and container, not by iommufd */
    const char *folder; /* of their sockets and groups, once there is one */
    char **word;        /* QEMU's command; NULL: none given */
    size_t words;
};

/* What was added, and why. */
struct qemu_added {
    size_t first, count; /* words of the command */
    char why[QEMU_WHY_BYTES];
};

/* The command as it is run. */
struct qemu_plan {
    const struct qemu_line *line;
    unsigned version; /* as qemu_plan_make() has it */
    struct qemu_words command;
    struct qemu_added added[QEMU_ADDED_MAX];
    size_t count;
    char note[QEMU_WHY_BYTES]; /* about memory that was left as it is; "": nothing */
    char id[QEMU_ID_BYTES];    /* with which Ferry's own ids begin */
    char bridge[QEMU_PATH_BYTES];
    char preload[2 * QEMU_PATH_BYTES]; /* LD_PRELOAD */
    char log[256];                     /* absolute; "": standard error */
    int iommu;                         /* its token; -1: by groups */
};

/*
 * Finds the bridge, makes tokens and puts the command together; says what is wrong.
 * Devices have their sockets. version: QEMU's, as 100 * major + minor; 0: not known.
 * Return: enum exit_code; qemu_plan_free() is due in any case.
 */
int qemu_plan_make(struct qemu_plan *ret_plan, struct qemu_args *args,
                   const struct qemu_line *line, unsigned version);
void qemu_plan_free(struct qemu_plan *plan);
/* The command for a shell, or as JSON. */
void qemu_plan_print(const struct qemu_plan *plan, const struct qemu_args *args);

/* Why the bridge cannot be preloaded into a program. */
enum qemu_binary_fault {
    QEMU_BINARY_GOOD = 0,
    QEMU_BINARY_MISSING,   /* not found, or not to be executed */
    QEMU_BINARY_SETUID,    /* runs as somebody else: the loader ignores LD_PRELOAD */
    QEMU_BINARY_CAPABLE,   /* has capabilities of its own: likewise */
    QEMU_BINARY_STATIC,    /* has no loader */
    QEMU_BINARY_OTHER_ARCH /* another machine's or another word size */
};

/* Looks a program up as a shell does. ret_path: QEMU_PATH_BYTES, where it was found. */
enum qemu_binary_fault qemu_binary_look(const char *name, char *ret_path);
/* The same for a command: QEMU, and what is started before it. *ret_name: the word that
 * it is about; ret_path: as above. */
enum qemu_binary_fault qemu_line_fault(const struct qemu_line *line,
                                       const char **ret_name, char *ret_path);
/* A sentence about it: what, and what to do. */
const char *qemu_binary_text(enum qemu_binary_fault fault);
/* "QEMU emulator version 11.1.3 ..." of a command; ret_text is a line. Return: as
 * qemu_plan_make() wants it, 0 when it does not say. */
unsigned qemu_version(const struct qemu_line *line, char *ret_text, size_t size);

/* QEMU before 8.2 knows neither iommufd= nor fd=; 9.0 is the first that was read. Before
 * 8.1 migration has another name and is off; before 8.0 it is uAPI v1. */
#define QEMU_IOMMUFD_SINCE 900u
#define QEMU_MIGRATES_SINCE 801u
#define QEMU_V2_SINCE 800u
#define QEMU_V1_TESTED 702u

/* A QEMU of this version gets groups, whatever was asked for. */
void qemu_choose_groups(struct qemu_args *args, unsigned version);
/* What QEMU takes for a device of a group: a folder with the link "iommu_group". Return:
 * 1; 0: it is longer than size. */
int qemu_group_folder(const struct qemu_args *args, const struct qemu_device *device,
                      char *ret_path, size_t size);
/* The number of its group: the bridge finds the token by it. */
unsigned qemu_group_number(const struct qemu_device *device);
/* Makes the folders of all devices. Return: enum exit_code. */
int qemu_groups_make(const struct qemu_args *args);
/* Takes out all that was made in the folder. */
void qemu_groups_remove(const char *folder);

/*
 * Models that live as long as QEMU: their servers, in a private folder, are children of a
 * process of their own, which ends them when nobody holds its pipe any more. So do the
 * folders of groups.
 */
#define QEMU_FOLDER_BYTES 128
struct qemu_keeper {
    char folder[QEMU_FOLDER_BYTES];
    int alive; /* QEMU's end of the pipe; -1: there is nothing to keep */
    int told;  /* what the keeper tells before QEMU runs */
};

/*
 * Makes the folder and gives models their sockets; with args->print only a name. Return:
 * enum exit_code; qemu_keeper_drop() is due in any case.
 */
int qemu_keeper_prepare(struct qemu_keeper *ret_keeper, struct qemu_args *args,
                        int daemonize);
/* Starts the servers and waits until they are ready. Return: enum exit_code. */
int qemu_keeper_start(struct qemu_keeper *keeper);
/* Ends the servers and waits until all of it is gone. */
void qemu_keeper_drop(struct qemu_keeper *keeper);

/* --check. Return: enum exit_code. */
int qemu_check(struct qemu_args *args, const struct qemu_line *line);

#endif
