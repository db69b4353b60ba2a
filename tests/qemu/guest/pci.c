/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

/* One attribute of a function without its newline; "-" when there is none. */
static const char *attribute(const char *address, const char *name, char *ret_text,
                             size_t cap)
{
    char path[512];

    snprintf(path, sizeof(path), PCI "/%s/%s", address, name);
    if (slurp(path, ret_text, cap) < 0) {
        snprintf(ret_text, cap, "-");
    }
    ret_text[strcspn(ret_text, "\n")] = '\0';
    return ret_text;
}

static int say_function(const char *address)
{
    char vendor[32];
    char device[32];
    char class[32];
    char resource[4096];
    char path[512];
    char driver[512] = "-";
    ssize_t length;
    char *line;
    char *rest;

    snprintf(path, sizeof(path), PCI "/%s/driver", address);
    length = readlink(path, driver, sizeof(driver) - 1);
    if (length > 0) {
        driver[length] = '\0';
    }
    printf("= %s %s %s %s %s\n", address, attribute(address, "vendor", vendor, 32),
           attribute(address, "device", device, 32),
           attribute(address, "class", class, 32),
           strrchr(driver, '/') != NULL ? strrchr(driver, '/') + 1 : driver);
    snprintf(path, sizeof(path), PCI "/%s/resource", address);
    if (slurp(path, resource, sizeof(resource)) < 0) {
        return fail("%s: %s", path, strerror(errno));
    }
    for (line = strtok_r(resource, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strspn(line, "0x ") != strlen(line)) {
            printf("= %s resource %s\n", address, line);
        }
    }
    return 0;
}

int command_pci(const char *const words[WORDS_MAX])
{
    DIR *folder = opendir(PCI);
    struct dirent *entry;
    int result = 0;

    (void)words;
    if (folder == NULL) {
        return fail(PCI ": %s", strerror(errno));
    }
    while (result == 0 && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            result = say_function(entry->d_name);
        }
    }
    closedir(folder);
    return result;
}

int command_config(const char *const words[WORDS_MAX])
{
    char path[512];
    char bytes[65];
    ssize_t count;

    snprintf(path, sizeof(path), PCI "/%s/config", words[1]);
    count = slurp(path, bytes, sizeof(bytes));
    if (count < 0) {
        return fail("%s: %s", path, strerror(errno));
    }
    say_hex((const uint8_t *)bytes, (size_t)count);
    return 0;
}

int command_irqs(const char *const words[WORDS_MAX])
{
    char line[1024];
    FILE *file = fopen("/proc/interrupts", "r");

    if (file == NULL) {
        return fail("/proc/interrupts: %s", strerror(errno));
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned long sum = 0;
        char *at = strchr(line, ':');
        char *end;

        if (at == NULL || strstr(line, words[1]) == NULL) {
            continue;
        }
        for (at++;; at = end) {
            const unsigned long count = strtoul(at, &end, 10);

            if (end == at || (*end != ' ' && *end != '\n')) {
                break;
            }
            sum += count;
        }
        line[strcspn(line, "\n")] = '\0';
        printf("= %lu %s\n", sum, strrchr(line, ' ') + 1);
    }
    fclose(file);
    return 0;
}

static int write_attribute(const char *address, const char *name, const char *text)
{
    char path[512];

    snprintf(path, sizeof(path), PCI "/%s/%s", address, name);
    return put(path, text);
}

int command_unbind(const char *const words[WORDS_MAX])
{
    return write_attribute(words[1], "driver/unbind", words[1]);
}

int command_bind(const char *const words[WORDS_MAX])
{
    return put("/sys/bus/pci/drivers/virtio-pci/bind", words[1]);
}

int command_reset(const char *const words[WORDS_MAX])
{
    return write_attribute(words[1], "reset", "1");
}

int command_remove(const char *const words[WORDS_MAX])
{
    return write_attribute(words[1], "remove", "1");
}

int command_rescan(const char *const words[WORDS_MAX])
{
    (void)words;
    return put("/sys/bus/pci/rescan", "1");
}
