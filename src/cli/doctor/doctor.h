/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_DOCTOR_DOCTOR_H
#define FERRY_CLI_DOCTOR_DOCTOR_H

#include <stddef.h>

#define DOCTOR_VALUE_BYTES 160
#define DOCTOR_FINDINGS_MAX 40

enum doctor_level {
    DOCTOR_GOOD = 0, /* there, or high enough */
    DOCTOR_LESS,     /* Ferry works without it, with less */
    DOCTOR_BAD       /* Ferry needs it */
};

/* What one check found; texts other than value are constants. */
struct doctor_finding {
    const char *name;
    enum doctor_level level;
    char value[DOCTOR_VALUE_BYTES];
    const char *means; /* what it means for Ferry */
    const char *todo;  /* what to do about it; NULL when good, or when nothing is to do */
};

struct doctor {
    const char *root; /* before every path: "" for this machine, a folder in tests */
    const char *qemu; /* as given, or NULL: looked for in PATH */
    struct doctor_finding finding[DOCTOR_FINDINGS_MAX];
    size_t count;
};

/* Notes a finding. todo is dropped when level is DOCTOR_GOOD. */
void doctor_note(struct doctor *doctor, const char *name, enum doctor_level level,
                 const char *means, const char *todo, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* The checks, each into doctor's findings. */
void doctor_machine(struct doctor *doctor);
void doctor_limits(struct doctor *doctor);
void doctor_qemu(struct doctor *doctor);

/* What a QEMU is asked by QMP. */
enum doctor_query {
    DOCTOR_QUERY_USER = 0, /* properties of vfio-user-pci */
    DOCTOR_QUERY_KERNEL,   /* of vfio-pci */
    DOCTOR_QUERY_MEMFD,    /* of memory-backend-memfd */
    DOCTOR_QUERY_CAPABILITIES,
    DOCTOR_QUERY_COUNT
};

struct json_object;

struct doctor_qmp {
    char version[40];
    int answers;                                  /* queries that were answered */
    struct json_object *list[DOCTOR_QUERY_COUNT]; /* NULL: refused, such as unknown */
};

/*
 * Starts a QEMU without a machine and asks all queries.
 * Return: 1 when it answered all of them; doctor_qmp_free() is due in any case.
 */
int doctor_qmp_ask(struct doctor_qmp *qmp, const char *qemu);
/* Return: 1 when the answer to a query lists this name. */
int doctor_qmp_lists(const struct doctor_qmp *qmp, enum doctor_query query,
                     const char *name);
void doctor_qmp_free(struct doctor_qmp *qmp);

#define DOCTOR_ARGS_MAX 15

/*
 * Runs a program to its end, for 5 seconds at most. input: at most 4096 bytes for its
 * standard input, which stays open. ret_text: the first size-1 bytes of what it says.
 * Return: its exit status; -1: it could not be started or had to be killed.
 */
int doctor_run(const char *const *argv, const char *input, char *ret_text, size_t size);

/* Return: 1 when root/path exists. */
int doctor_exists(const struct doctor *doctor, const char *path);
/* The first size-1 bytes of root/path, without the last newline. Return: 1 when read. */
int doctor_read(const struct doctor *doctor, const char *path, char *ret_text,
                size_t size);
/* The number that root/path begins with. Return: 1 when there is one. */
int doctor_number(const struct doctor *doctor, const char *path,
                  unsigned long long *ret_value);
/* How many entries root/path has, but those that begin with '.'. */
size_t doctor_entries(const struct doctor *doctor, const char *path);

#endif
