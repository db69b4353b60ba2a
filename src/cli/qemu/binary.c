/* SPDX-License-Identifier: BSD-3-Clause */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/doctor/doctor.h"
#include "cli/qemu/qemu.h"

#define SEGMENTS_MAX 64
#define VERSION_BYTES 4096

static int is_program(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

/* As a shell finds it. */
static int find(const char *name, char *ret_path)
{
    const char *path = getenv("PATH");

    if (strchr(name, '/') != NULL) {
        snprintf(ret_path, QEMU_PATH_BYTES, "%s", name);
        return is_program(ret_path);
    }
    for (const char *at = path != NULL ? path : "/usr/bin:/bin"; at != NULL;) {
        const char *end = strchr(at, ':');
        size_t n = end != NULL ? (size_t)(end - at) : strlen(at);

        snprintf(ret_path, QEMU_PATH_BYTES, "%.*s/%s", n > 0 ? (int)n : 1,
                 n > 0 ? at : ".", name);
        if (is_program(ret_path)) {
            return 1;
        }
        at = end != NULL ? end + 1 : NULL;
    }
    return 0;
}

/* What of a program's headers says whether a library can be loaded into it. */
struct shape {
    unsigned char word; /* ELFCLASS32 or 64 */
    uint16_t machine;
    int has_loader;
};

static int read_shape64(int fd, const Elf64_Ehdr *head, struct shape *ret_shape)
{
    ret_shape->machine = head->e_machine;
    for (uint16_t i = 0; i < head->e_phnum && i < SEGMENTS_MAX; i++) {
        off_t off = (off_t)head->e_phoff + (off_t)i * head->e_phentsize;
        Elf64_Phdr segment;

        if (pread(fd, &segment, sizeof(segment), off) != (ssize_t)sizeof(segment)) {
            return 0;
        }
        ret_shape->has_loader |= segment.p_type == PT_INTERP;
    }
    return 1;
}

/* Return: 1 for a program that could be read; 0 for a script or what else it may be. */
static int read_shape(const char *path, struct shape *ret_shape)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    Elf64_Ehdr head;
    int good = 0;

    memset(ret_shape, 0, sizeof(*ret_shape));
    if (fd >= 0 && pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
        memcmp(head.e_ident, ELFMAG, SELFMAG) == 0) {
        ret_shape->word = head.e_ident[EI_CLASS];
        /* One of 32 bits is refused for that alone. */
        good = ret_shape->word != ELFCLASS64 || read_shape64(fd, &head, ret_shape);
    }
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

/* Would the loader think that it must not listen to the user (AT_SECURE)? */
static int changes_user(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 &&
           (((info.st_mode & S_ISUID) != 0 && info.st_uid != getuid()) ||
            ((info.st_mode & S_ISGID) != 0 && info.st_gid != getgid()));
}

enum qemu_binary_fault qemu_binary_look(const char *name, char *ret_path)
{
    struct shape own, other;

    if (!find(name, ret_path)) {
        return QEMU_BINARY_MISSING;
    }
    if (changes_user(ret_path)) {
        return QEMU_BINARY_SETUID;
    }
    if (getuid() != 0 && getxattr(ret_path, "security.capability", NULL, 0) > 0) {
        return QEMU_BINARY_CAPABLE;
    }
    if (!read_shape(ret_path, &other) || !read_shape("/proc/self/exe", &own)) {
        return QEMU_BINARY_GOOD;
    }
    if (other.word != own.word || other.machine != own.machine) {
        return QEMU_BINARY_OTHER_ARCH;
    }
    return other.has_loader ? QEMU_BINARY_GOOD : QEMU_BINARY_STATIC;
}

enum qemu_binary_fault qemu_line_fault(const struct qemu_line *line,
                                       const char **ret_name, char *ret_path)
{
    static const char loader[] = "ld-linux";
    const char *slash = strrchr(line->word[0], '/');
    const char *first = slash != NULL ? slash + 1 : line->word[0];
    enum qemu_binary_fault fault = qemu_binary_look(line->word[0], ret_path);

    *ret_name = line->word[0];
    /* A wrapper only hands the bridge on. */
    if ((!line->known || line->binary > 0) &&
        (fault == QEMU_BINARY_STATIC || fault == QEMU_BINARY_OTHER_ARCH)) {
        fault = QEMU_BINARY_GOOD;
    }
    /* A program that is started by a loader named with it has no privileges. */
    if (fault == QEMU_BINARY_GOOD && line->binary > 0 &&
        strncmp(first, loader, strlen(loader)) != 0) {
        *ret_name = line->word[line->binary];
        fault = qemu_binary_look(*ret_name, ret_path);
    }
    return fault;
}

const char *qemu_binary_text(enum qemu_binary_fault fault)
{
    switch (fault) {
    case QEMU_BINARY_MISSING:
        return "it is not there, or may not be executed";
    case QEMU_BINARY_SETUID:
        return "it runs as another user (setuid or setgid), so it ignores LD_PRELOAD; "
               "take a copy without these bits";
    case QEMU_BINARY_CAPABLE:
        return "the file has capabilities, so it ignores LD_PRELOAD; take a copy without "
               "them, or start it as root with -run-with user=";
    case QEMU_BINARY_STATIC:
        return "it is statically linked: no library can be loaded before it";
    case QEMU_BINARY_OTHER_ARCH:
        return "it is for another machine or word size than the bridge; build Ferry for "
               "it";
    case QEMU_BINARY_GOOD:
        break;
    }
    return "it can have the bridge";
}

unsigned qemu_version(const struct qemu_line *line, char *ret_text, size_t size)
{
    const char *argv[DOCTOR_ARGS_MAX + 1] = { NULL };
    char path[QEMU_PATH_BYTES], text[VERSION_BYTES];
    unsigned major = 0, minor = 0;
    const char *at;

    ret_text[0] = '\0';
    if (line->binary + 2 > DOCTOR_ARGS_MAX ||
        qemu_binary_look(line->word[0], path) == QEMU_BINARY_MISSING) {
        return 0;
    }
    argv[0] = path;
    for (size_t i = 1; i <= line->binary; i++) {
        argv[i] = line->word[i];
    }
    argv[line->binary + 1] = "-version";
    if (doctor_run(argv, "", text, sizeof(text)) != 0) {
        return 0;
    }
    text[strcspn(text, "\n")] = '\0';
    snprintf(ret_text, size, "%s", text);
    at = strstr(text, "version ");
    if (at == NULL || sscanf(at + 8, "%3u.%3u", &major, &minor) != 2 || minor > 99) {
        return 0;
    }
    return 100 * major + minor;
}
