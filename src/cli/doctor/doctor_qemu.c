/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/doctor/doctor.h"

#define PATH_BYTES 512
#define OUTPUT_BYTES 16384

/* One QEMU: what it says by QMP, or, when it does not, what its help says. */
struct qemu {
    const char *path;
    int has_qmp;
    struct doctor_qmp qmp;
};

/* The help that tells the same as a query. */
static const struct {
    const char *option, *value;
} help[DOCTOR_QUERY_CAPABILITIES] = {
    { "-device", "vfio-user-pci,help" },
    { "-device", "vfio-pci,help" },
    { "-object", "memory-backend-memfd,help" },
};

/* Looks for this machine's QEMU in PATH. Return: 1 with its path. */
static int search_qemu(char ret_path[PATH_BYTES])
{
    const char *at = getenv("PATH");
    struct utsname machine = { .machine = "x86_64" };

    uname(&machine);
    while (at != NULL && *at != '\0') {
        int length = (int)strcspn(at, ":");

        snprintf(ret_path, PATH_BYTES, "%.*s/qemu-system-%s", length, at,
                 machine.machine);
        if (access(ret_path, X_OK) == 0) {
            return 1;
        }
        at += length;
        at += *at == ':';
    }
    return 0;
}

/* Does it have this property (of a device or object) or capability? */
static int has(const struct qemu *qemu, enum doctor_query query, const char *name)
{
    const char *argv[] = { qemu->path, "-machine", "none", "-nodefaults", "-display",
                           "none",     NULL,       NULL,   NULL };
    char text[OUTPUT_BYTES];

    if (qemu->has_qmp) {
        return doctor_qmp_lists(&qemu->qmp, query, name);
    }
    if (query == DOCTOR_QUERY_CAPABILITIES) {
        return 0;
    }
    argv[6] = help[query].option;
    argv[7] = help[query].value;
    return doctor_run(argv, "", text, sizeof(text)) == 0 && strstr(text, name) != NULL;
}

/* Those of the names that it has, as "a, b". */
static void list_names(const struct qemu *qemu, enum doctor_query query,
                       const char *const *name, char *ret_text, size_t size)
{
    size_t at = 0;

    ret_text[0] = '\0';
    for (size_t i = 0; name[i] != NULL; i++) {
        if (at < size && has(qemu, query, name[i])) {
            at += (size_t)snprintf(ret_text + at, size - at, "%s%s", at > 0 ? ", " : "",
                                   name[i]);
        }
    }
}

static void check_user(struct doctor *doctor, const struct qemu *qemu)
{
    static const char *const property[] = { "x-msg-timeout", "x-no-posted-writes",
                                            "x-send-queued", NULL };
    int there = has(qemu, DOCTOR_QUERY_USER, "socket");
    int moves;
    char text[120];

    if (!there) {
        doctor_note(doctor, "vfio-user-pci", DOCTOR_LESS,
                    "QEMU cannot use devices of `ferry serve` itself",
                    "QEMU 10.1 or later, built with vfio-user", "not in this QEMU");
        return;
    }
    list_names(qemu, DOCTOR_QUERY_USER, property, text, sizeof(text));
    doctor_note(doctor, "vfio-user-pci", DOCTOR_GOOD,
                "QEMU uses devices of `ferry serve` itself", NULL, "socket%s%s",
                text[0] != '\0' ? ", " : "", text);
    moves = has(qemu, DOCTOR_QUERY_USER, "enable-migration");
    doctor_note(doctor, "vfio-user migration", moves ? DOCTOR_GOOD : DOCTOR_LESS,
                moves ? "QEMU moves the state of vfio-user devices"
                      : "this QEMU's vfio-user-pci has no migration: its `migrate' ends "
                        "well, and the state of such a device is lost silently",
                "run QEMU by `ferry qemu', which moves them (docs/qemu.md)", "%s",
                moves ? "enable-migration" : "none");
}

static void check_kernel(struct doctor *doctor, const struct qemu *qemu)
{
    int kernel = has(qemu, DOCTOR_QUERY_KERNEL, "enable-migration");
    int multifd =
        kernel && has(qemu, DOCTOR_QUERY_KERNEL, "x-migration-multifd-transfer");
    int old = !kernel && has(qemu, DOCTOR_QUERY_KERNEL, "x-enable-migration");

    doctor_note(doctor, "vfio-pci migration", kernel || old ? DOCTOR_GOOD : DOCTOR_LESS,
                "QEMU's own migration of VFIO devices",
                "QEMU 7.2, or 10.0 or later, built with VFIO", "%s",
                old       ? "x-enable-migration, with groups as before 8.1"
                : !kernel ? "no enable-migration"
                : multifd ? "enable-migration, multifd"
                          : "enable-migration, no multifd");
}

static void check_memfd(struct doctor *doctor, const struct qemu *qemu)
{
    int memfd = has(qemu, DOCTOR_QUERY_MEMFD, "share");

    doctor_note(doctor, "memory-backend-memfd", memfd ? DOCTOR_GOOD : DOCTOR_LESS,
                "guest memory that a device in another process can map; without it "
                "each access is a message",
                "another QEMU; or memory-backend-file with share=on", "%s",
                memfd ? "there" : "not in this QEMU");
}

/* Only QMP tells them. */
static void check_capabilities(struct doctor *doctor, const struct qemu *qemu)
{
    static const char *const name[] = { "return-path", "switchover-ack", "multifd",
                                        "mapped-ram",  "postcopy-ram",   NULL };
    int good = has(qemu, DOCTOR_QUERY_CAPABILITIES, "return-path") &&
               has(qemu, DOCTOR_QUERY_CAPABILITIES, "switchover-ack");
    char text[120];

    list_names(qemu, DOCTOR_QUERY_CAPABILITIES, name, text, sizeof(text));
    doctor_note(doctor, "QEMU migration", good ? DOCTOR_GOOD : DOCTOR_LESS,
                "with return-path and switchover-ack QEMU stops a machine only when the "
                "target has the initial data of its VFIO devices",
                "QEMU 8.1 or later", "%s", text[0] != '\0' ? text : "none of interest");
}

static void check_parts(struct doctor *doctor, const char *path)
{
    struct qemu qemu = { .path = path };

    qemu.has_qmp = doctor_qmp_ask(&qemu.qmp, path);
    doctor_note(doctor, "QMP", qemu.has_qmp ? DOCTOR_GOOD : DOCTOR_LESS,
                qemu.has_qmp ? "QEMU says itself what it can do"
                             : "what QEMU can do is read from its help texts only",
                "see what it answers by hand: -machine none -nodefaults -qmp stdio", "%s",
                qemu.has_qmp ? qemu.qmp.version : "does not answer as it should");
    check_user(doctor, &qemu);
    check_kernel(doctor, &qemu);
    check_memfd(doctor, &qemu);
    if (qemu.has_qmp) {
        check_capabilities(doctor, &qemu);
    }
    doctor_qmp_free(&qemu.qmp);
}

void doctor_qemu(struct doctor *doctor)
{
    static const char means[] = "Ferry works without it; a guest needs it";
    char text[OUTPUT_BYTES];
    char path[PATH_BYTES];
    const char *const argv[] = { path, "--version", NULL };
    int status;

    if (doctor->qemu != NULL) {
        snprintf(path, sizeof(path), "%s", doctor->qemu);
    } else if (!search_qemu(path)) {
        doctor_note(doctor, "QEMU", DOCTOR_LESS, means,
                    "apt-get install qemu-system-x86, or --qemu PATH", "not in PATH");
        return;
    }
    status = doctor_run(argv, "", text, sizeof(text));
    text[strcspn(text, "\n")] = '\0';
    if (status != 0 || strstr(text, "version") == NULL) {
        /* One that was asked for by name has to work. */
        doctor_note(doctor, "QEMU", doctor->qemu != NULL ? DOCTOR_BAD : DOCTOR_LESS,
                    means, "see whether it runs by hand", "%.100s: %s", path,
                    status < 0 ? "did not answer in time" : "did not tell its version");
        return;
    }
    doctor_note(doctor, "QEMU", DOCTOR_GOOD, means, NULL, "%.90s (%.60s)", text, path);
    check_parts(doctor, path);
}
