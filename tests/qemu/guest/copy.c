/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The work of the module ferry_copy, one worker in the kernel for each device. It is told
 * and asked by files in the device's folder in sysfs: ferry/work, stats, error, dirty.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define DRIVER "/sys/bus/pci/drivers/ferry_copy"
#define DEVICES_MAX 8
#define ADDRESS_MAX 32

/* The devices that the module has, in the order of their addresses. Return: how many. */
static int find_devices(char (*ret_address)[ADDRESS_MAX])
{
    DIR *folder = opendir(DRIVER);
    struct dirent *entry;
    int count = 0;

    while (folder != NULL && count < DEVICES_MAX && (entry = readdir(folder)) != NULL) {
        if (strchr(entry->d_name, ':') != NULL) {
            snprintf(ret_address[count++], ADDRESS_MAX, "%.31s", entry->d_name);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    qsort(ret_address, (size_t)count, ADDRESS_MAX,
          (int (*)(const void *, const void *))strcmp);
    return count;
}

static ssize_t ask(const char *address, const char *name, char *ret_text, size_t cap)
{
    char path[512];
    ssize_t count;

    snprintf(path, sizeof(path), PCI "/%s/ferry/%s", address, name);
    count = slurp(path, ret_text, cap);
    if (count >= 0) {
        ret_text[strcspn(ret_text, "\n")] = '\0';
    }
    return count;
}

static int tell(const char *address, const char *name, const char *text)
{
    char path[512];

    snprintf(path, sizeof(path), PCI "/%s/ferry/%s", address, name);
    return put(path, text);
}

/* Says on ttyS1 what the kernel's workers have done. */
static void watch(struct work *work, const void *arg)
{
    const struct timespec pause = { .tv_nsec = 500000 };
    const struct timespec rest = { .tv_nsec = 20000000 };
    char address[DEVICES_MAX][ADDRESS_MAX];
    char text[64];
    uint64_t before[DEVICES_MAX] = { 0 };
    int count = find_devices(address);

    (void)arg;
    while (!atomic_load(&work->stop)) {
        uint64_t more = 0;

        for (int i = 0; i < count && beat_is_on(); i++) {
            uint64_t works;

            if (ask(address[i], "works", text, sizeof(text)) <= 0) {
                continue;
            }
            works = strtoull(text, NULL, 10);
            /* Fewer: it was started anew. */
            more += works > before[i] ? works - before[i] : 0;
            before[i] = works;
        }
        if (more > 0) {
            work_done(work, more);
        }
        (void)nanosleep(beat_is_on() ? &pause : &rest, NULL);
    }
}

static struct worker watcher = { .name = "copy's watcher", .letter = 'p', .body = watch };

static int say_status(const char *address)
{
    char text[512];

    if (ask(address, "stats", text, sizeof(text)) < 0) {
        return fail("%s: %s", address, strerror(errno));
    }
    printf("= copy:%s %s\n", address, text);
    if (ask(address, "error", text, sizeof(text)) > 0 && text[0] != '\0') {
        printf("= copy:%s error %s\n", address, text);
    }
    return 0;
}

/* The device that uses another one's memory: the next, and the first for the last. */
static int start(char (*address)[ADDRESS_MAX], int index, int count, const char *mode)
{
    char text[64];

    if (strcmp(mode, "pair") != 0) {
        snprintf(text, sizeof(text), "start %s", mode[0] != '\0' ? mode : "host");
    } else if (count < 2) {
        return fail("pair needs two devices");
    } else {
        snprintf(text, sizeof(text), "start pair %s", address[(index + 1) % count]);
    }
    return tell(address[index], "work", text);
}

int command_copy(const char *const words[WORDS_MAX])
{
    char address[DEVICES_MAX][ADDRESS_MAX];
    const int count = find_devices(address);
    const int starts = strcmp(words[1], "start") == 0;
    const int stops = strcmp(words[1], "stop") == 0;
    int result = count > 0 ? 0 : fail("no `copy` device with the module ferry_copy");

    if (!starts && !stops && strcmp(words[1], "status") != 0) {
        return fail("start, status or stop, not '%s'", words[1]);
    }
    for (int i = 0; i < count && result == 0; i++) {
        if (starts && words[3][0] != '\0' && strcmp(words[3], address[i]) != 0) {
            continue;
        }
        result = starts  ? start(address, i, count, words[2])
                 : stops ? tell(address[i], "work", "stop")
                         : 0;
        if (!starts && result == 0) {
            result = say_status(address[i]);
        }
    }
    if (starts && result == 0 && watcher.pid == 0) {
        return worker_start(&watcher, NULL);
    }
    if (stops && result == 0) {
        return worker_stop(&watcher);
    }
    return result;
}

int command_dirty(const char *const words[WORDS_MAX])
{
    char address[DEVICES_MAX][ADDRESS_MAX];
    const int count = find_devices(address);
    int result = count > 0 ? 0 : fail("no `copy` device with the module ferry_copy");
    int found = 0;

    if (result == 0 && words[2][0] == '\0') {
        return fail("fill or check, and a seed");
    }
    for (int i = 0; i < count && result == 0; i++) {
        char text[160];

        if (words[3][0] != '\0' && strcmp(words[3], address[i]) != 0) {
            continue;
        }
        found++;
        snprintf(text, sizeof(text), "%s %s", words[1], words[2]);
        result = tell(address[i], "dirty", text);
        if (result == 0 && ask(address[i], "dirty", text, sizeof(text)) > 0) {
            printf("= dirty:%s %s\n", address[i], text);
        }
    }
    return result == 0 && found == 0 && count > 0 ? fail("no device %s", words[3])
                                                  : result;
}
