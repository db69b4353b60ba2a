/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/qemu/qemu.h"

/* QEMU's default, where it is needed for a memory backend. */
#define DEFAULT_SIZE "128M"

/*
 * QEMU's options without a value (of 7.2 to 11.1). Of all others the next word is the
 * value, whatever it looks like.
 */
static const char *const flags[] = {
    "h",
    "help",
    "version",
    "mem-prealloc",
    "snapshot",
    "usb",
    "nographic",
    "full-screen",
    "win2k-hack",
    "no-fd-bootchk",
    "no-acpi",
    "no-hpet",
    "preconfig",
    "async-teardown",
    "S",
    "s",
    "enable-kvm",
    "xen-attach",
    "xen-domid-restrict",
    "no-reboot",
    "no-shutdown",
    "daemonize",
    "only-migratable",
    "nodefaults",
    "no-user-config",
    "enable-sync-profile",
    "perfmap",
    "jitdump",
    "sdl",
    "curses",
    "singlestep",
    "semihosting",
    "old-param",
    "enable-fips",
    "portrait",
};

/*
 * Copies the piece at *at of a list, without QEMU's doubled commas, and goes behind it.
 * Return: 0 at the end.
 */
static int next_piece(const char **at, char *ret_piece, size_t size)
{
    const char *from = *at;
    size_t n = 0;

    if (*from == '\0') {
        return 0;
    }
    while (*from != '\0') {
        if (from[0] == ',' && from[1] != ',') {
            from++;
            break;
        }
        from += from[0] == ',';
        if (n < size - 1) {
            ret_piece[n++] = *from;
        }
        from++;
    }
    ret_piece[n] = '\0';
    *at = from;
    return 1;
}

/* The same of '{"key":"value"}', which -object and -device take as well. */
static int get_json(const char *list, const char *key, char *ret_value, size_t size)
{
    struct json_object *object = json_tokener_parse(list), *value = NULL;
    int there = object != NULL && json_object_is_type(object, json_type_object) &&
                json_object_object_get_ex(object, key, &value);

    if (there) {
        snprintf(ret_value, size, "%s", json_object_get_string(value));
    }
    json_object_put(object);
    return there;
}

int qemu_list_get(const char *list, const char *key, char *ret_value, size_t size)
{
    size_t n = strlen(key);
    char piece[256];
    int there = 0;

    if (list[0] == '{') {
        return get_json(list, key, ret_value, size);
    }
    /* What is named last holds. */
    while (next_piece(&list, piece, sizeof(piece))) {
        if (strncmp(piece, key, n) == 0 && piece[n] == '=') {
            snprintf(ret_value, size, "%s", piece + n + 1);
            there = 1;
        }
    }
    return there;
}

/* The piece that stands for its key without naming it: "memory-backend-ram,id=x". */
static void first_piece(const char *list, const char *key, char *ret_value, size_t size)
{
    const char *at = list;

    ret_value[0] = '\0';
    if (qemu_list_get(list, key, ret_value, size) || list[0] == '{' ||
        !next_piece(&at, ret_value, size)) {
        return;
    }
    if (strchr(ret_value, '=') != NULL) {
        ret_value[0] = '\0';
    }
}

static int is_on(const char *value)
{
    return strcmp(value, "on") == 0 || strcmp(value, "yes") == 0 ||
           strcmp(value, "true") == 0 || strcmp(value, "y") == 0;
}

/* unit: of a bare number; that of a backend is in bytes. */
static void read_size(struct qemu_line *line, const char *value, const char *unit)
{
    char size[sizeof(line->size) - 1] = "";
    size_t n;

    first_piece(value, "size", size, sizeof(size));
    n = strlen(size);
    if (n > 0) {
        snprintf(line->size, sizeof(line->size), "%s%s", size,
                 isdigit((unsigned char)size[n - 1]) ? unit : "");
        line->has_size = 1;
    }
}

static void read_object(struct qemu_line *line, const char *value)
{
    struct qemu_backend *backend = &line->backend[line->backends];
    char kind[QEMU_ID_BYTES], shared[16] = "";

    first_piece(value, "qom-type", kind, sizeof(kind));
    if (strncmp(kind, "memory-backend-", 15) != 0 ||
        line->backends == QEMU_BACKENDS_MAX) {
        return;
    }
    memset(backend, 0, sizeof(*backend));
    memcpy(backend->kind, kind, sizeof(kind));
    qemu_list_get(value, "id", backend->id, sizeof(backend->id));
    if (qemu_list_get(value, "share", shared, sizeof(shared))) {
        backend->shared = is_on(shared);
    } else {
        backend->shared =
            strcmp(kind + 15, "memfd") == 0 || strcmp(kind + 15, "shm") == 0;
    }
    line->backends++;
}

/* The first reason to leave memory as it is stays. */
static void note_memory(struct qemu_line *line, enum qemu_memory memory)
{
    if (line->memory == QEMU_MEMORY_SIZE) {
        line->memory = memory;
    }
}

static void read_machine(struct qemu_line *line, const char *value)
{
    char text[QEMU_ID_BYTES];

    first_piece(value, "type", text, sizeof(text));
    if (strcmp(text, "none") == 0) {
        note_memory(line, QEMU_MEMORY_NONE);
    }
    if (qemu_list_get(value, "memory-backend", line->main_backend,
                      sizeof(line->main_backend))) {
        note_memory(line, QEMU_MEMORY_OWN);
    }
    if (qemu_list_get(value, "aux-ram-share", text, sizeof(text))) {
        line->has_aux_share = 1;
    }
    if (qemu_list_get(value, "memory.size", text, sizeof(text))) {
        read_size(line, text, "");
    }
    if (qemu_list_get(value, "iommu", text, sizeof(text))) {
        line->has_iommu |= strcmp(text, "none") != 0;
    }
}

static void read_device(struct qemu_line *line, const char *value)
{
    char driver[QEMU_ID_BYTES];

    first_piece(value, "driver", driver, sizeof(driver));
    line->has_vfio_user |= strcmp(driver, "vfio-user-pci") == 0;
    line->has_iommu |=
        strcmp(driver, "intel-iommu") == 0 || strcmp(driver, "amd-iommu") == 0 ||
        strcmp(driver, "arm-smmuv3") == 0 || strncmp(driver, "virtio-iommu", 12) == 0;
}

static void read_numa(struct qemu_line *line, const char *value)
{
    char text[QEMU_ID_BYTES];

    if (qemu_list_get(value, "memdev", text, sizeof(text))) {
        note_memory(line, QEMU_MEMORY_OWN);
    } else if (qemu_list_get(value, "mem", text, sizeof(text))) {
        note_memory(line, QEMU_MEMORY_NUMA);
    }
}

static void read_option(struct qemu_line *line, const char *name, const char *value)
{
    if (strcmp(name, "m") == 0) {
        read_size(line, value, "M");
    } else if (strcmp(name, "machine") == 0 || strcmp(name, "M") == 0) {
        read_machine(line, value);
    } else if (strcmp(name, "object") == 0) {
        read_object(line, value);
    } else if (strcmp(name, "device") == 0) {
        read_device(line, value);
    } else if (strcmp(name, "numa") == 0) {
        read_numa(line, value);
    } else if (strcmp(name, "mem-path") == 0) {
        note_memory(line, QEMU_MEMORY_PATH);
    } else if (strcmp(name, "readconfig") == 0) {
        note_memory(line, QEMU_MEMORY_CONFIG);
    } else if (strcmp(name, "runas") == 0 || strcmp(name, "chroot") == 0 ||
               strcmp(name, "run-with") == 0) {
        line->has_user = 1;
    }
}

static int is_flag(const char *name)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (strcmp(flags[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* A word that names a QEMU: it may stand behind a loader, nice, taskset or others. */
static int is_qemu(const char *word)
{
    const char *slash = strrchr(word, '/');
    const char *name = slash != NULL ? slash + 1 : word;

    return word[0] != '-' && (strncmp(name, "qemu-system-", 12) == 0 ||
                              strcmp(name, "qemu-kvm") == 0 || strcmp(name, "kvm") == 0);
}

/* A word's name as an option, without its dashes; NULL for what is none. */
static const char *option_name(const char *word)
{
    return word[0] != '-' ? NULL : word + 1 + (word[1] == '-');
}

/* The word that is QEMU. Return: 1 when it has its name. */
static int find_binary(char **word, size_t count, size_t *ret_at)
{
    for (size_t i = 0; i < count; i++) {
        const char *option = i > 0 ? option_name(word[i - 1]) : NULL;

        /* "-accel kvm" of a QEMU with a name of its own. */
        if (is_qemu(word[i]) && (option == NULL || strcmp(option, "accel") != 0)) {
            *ret_at = i;
            return 1;
        }
    }
    *ret_at = 0;
    return 0;
}

size_t qemu_line_take(char **word, size_t *count, const char *name, char **ret_value)
{
    size_t kept, taken = 0;

    find_binary(word, *count, &kept);
    kept++;
    for (size_t i = kept; i < *count; i++) {
        const char *option = option_name(word[i]);
        int with_value = option != NULL && !is_flag(option) && i + 1 < *count;

        if (with_value && strcmp(option, name) == 0) {
            ret_value[taken++] = word[++i];
            continue;
        }
        word[kept++] = word[i];
        if (with_value) {
            word[kept++] = word[++i];
        }
    }
    *count = kept < *count ? kept : *count;
    word[*count] = NULL;
    return taken;
}

void qemu_line_read(struct qemu_line *ret_line, char **word, size_t count)
{
    struct qemu_line *line = ret_line;

    memset(line, 0, sizeof(*line));
    line->word = word;
    line->count = count;
    snprintf(line->size, sizeof(line->size), "%s", DEFAULT_SIZE);
    line->known = find_binary(word, count, &line->binary);
    for (size_t i = line->binary + 1; i < count; i++) {
        const char *name = option_name(word[i]);

        if (name == NULL) {
            continue;
        }
        if (is_flag(name)) {
            line->daemonize |= strcmp(name, "daemonize") == 0;
        } else if (i + 1 < count) {
            i++;
            read_option(line, name, word[i]);
        }
    }
}

static int id_begins(const char *list, const char *begin)
{
    char id[QEMU_ID_BYTES] = "";

    return qemu_list_get(list, "id", id, sizeof(id)) &&
           strncmp(id, begin, strlen(begin)) == 0;
}

int qemu_line_has_id(const struct qemu_line *line, const char *begin)
{
    for (size_t i = line->binary + 1; i < line->count; i++) {
        if (id_begins(line->word[i], begin)) {
            return 1;
        }
    }
    return 0;
}
