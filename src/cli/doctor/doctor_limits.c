/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/doctor/doctor.h"

/* A context of 32 devices with all their eventfds and mapped memory. */
#define FILES_NEEDED 256u
#define FILES_GOOD 4096u
#define MAPS_NEEDED 1024u
#define MAPS_GOOD 65530u /* the kernel's own default */
#define MEMORY_NEEDED (64ull << 20)
#define MEMORY_GOOD (512ull << 20)

static enum doctor_level judge(unsigned long long value, unsigned long long needed,
                               unsigned long long good)
{
    return value >= good ? DOCTOR_GOOD : value >= needed ? DOCTOR_LESS : DOCTOR_BAD;
}

/* The soft limit of a line of /proc/self/limits; "unlimited" is the most. */
static int find_limit(const char *text, const char *name, unsigned long long *ret_value)
{
    const char *line = strstr(text, name);
    char value[32];

    if (line == NULL || sscanf(line + strlen(name), " %31s", value) != 1) {
        return 0;
    }
    *ret_value = ~0ull;
    return strcmp(value, "unlimited") == 0 || sscanf(value, "%llu", ret_value) == 1;
}

static void check_process_limits(struct doctor *doctor)
{
    unsigned long long files = 0, locked = 0;
    char text[4096] = "", amount[32] = "unlimited";

    doctor_read(doctor, "/proc/self/limits", text, sizeof(text));
    if (find_limit(text, "Max open files", &files)) {
        doctor_note(doctor, "open files", judge(files, FILES_NEEDED, FILES_GOOD),
                    "each interrupt and each mapped file of a device is a descriptor",
                    "ulimit -n, or LimitNOFILE= of the unit", "%llu", files);
    }
    if (find_limit(text, "Max locked memory", &locked)) {
        if (locked != ~0ull) {
            snprintf(amount, sizeof(amount), "%llu KiB", locked >> 10);
        }
        doctor_note(doctor, "locked memory", judge(locked, 0, MEMORY_NEEDED),
                    "kernel VFIO pins all memory of a guest; vfio-user pins none",
                    "only for kernel VFIO: ulimit -l, or LimitMEMLOCK=", "%s", amount);
    }
}

static void check_maps(struct doctor *doctor)
{
    unsigned long long maps = 0;

    if (doctor_number(doctor, "/proc/sys/vm/max_map_count", &maps)) {
        doctor_note(doctor, "max_map_count", judge(maps, MAPS_NEEDED, MAPS_GOOD),
                    "each piece of memory that a device maps is a map of its process",
                    "sysctl vm.max_map_count=65530 or more", "%llu", maps);
    }
}

static void check_io_uring(struct doctor *doctor)
{
    static const char *const text[] = { "allowed", "for a group only", "disabled" };
    unsigned long long value = 0;
    int known = doctor_number(doctor, "/proc/sys/kernel/io_uring_disabled", &value);

    doctor_note(doctor, "io_uring", known && value > 0 ? DOCTOR_LESS : DOCTOR_GOOD,
                "plain system calls are used where it is not allowed",
                "only for speed: sysctl kernel.io_uring_disabled=0", "%s",
                !known      ? "no switch, so not disabled"
                : value < 3 ? text[value]
                            : "unknown");
}

/* "max" means no limit. Return: 1 with a limit. */
static int cgroup_limit(const struct doctor *doctor, const char *file,
                        unsigned long long *ret_value)
{
    char own[256] = "", path[512];
    const char *at;

    doctor_read(doctor, "/proc/self/cgroup", own, sizeof(own));
    at = strstr(own, "0::");
    if (at == NULL) {
        return 0;
    }
    snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/%s", (int)strcspn(at + 3, "\n"),
             at + 3, file);
    return doctor_number(doctor, path, ret_value);
}

static void check_cgroup(struct doctor *doctor)
{
    static const char means[] = "a limit of the control group ends or slows processes";
    static const char todo[] = "raise it in the unit, container or slice";
    unsigned long long value = 0;

    if (cgroup_limit(doctor, "memory.max", &value)) {
        doctor_note(doctor, "cgroup memory", judge(value, MEMORY_NEEDED, MEMORY_GOOD),
                    means, todo, "%llu MiB", value >> 20);
    }
    if (cgroup_limit(doctor, "pids.max", &value)) {
        doctor_note(doctor, "cgroup processes", judge(value, 8, 64), means, todo, "%llu",
                    value);
    }
}

void doctor_limits(struct doctor *doctor)
{
    check_process_limits(doctor);
    check_maps(doctor);
    check_io_uring(doctor);
    check_cgroup(doctor);
}
