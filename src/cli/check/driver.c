/* SPDX-License-Identifier: BSD-3-Clause */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "cli/check/checker.h"
#include "drivers/check/check_drivers.h"

#define SYMBOL "ferry_check_driver"
/* What the first version of the struct had. */
#define DRIVER_LEAST offsetof(struct ferry_check_driver, works)

typedef const struct ferry_check_driver *entry_fn(void);

static const struct ferry_check_driver *const built_in[] = {
    &check_driver_copy, &check_driver_acc, &check_driver_nic, &check_driver_edu,
    &check_driver_edu_buffer
};
#define BUILT_IN_COUNT (sizeof(built_in) / sizeof(built_in[0]))

/* The functions that an older plug-in does not know are absent, and those that this
 * Ferry does not know are left out. */
static int take(struct checker *checker, const struct ferry_check_driver *driver,
                const char *from)
{
    const size_t most = sizeof(checker->driver);

    if (driver == NULL || driver->struct_size < DRIVER_LEAST) {
        print_error("check", NULL,
                    "--driver %s: " SYMBOL "() returned %s; is struct_size set to "
                    "sizeof(struct ferry_check_driver)?",
                    from, driver == NULL ? "NULL" : "a struct that is too small");
        return EXIT_USAGE;
    }
    memcpy(&checker->driver, driver,
           driver->struct_size < most ? driver->struct_size : most);
    checker->driver.struct_size = most;
    if (checker->driver.name == NULL || checker->driver.start == NULL) {
        print_error("check", NULL,
                    "--driver %s: a driver has at least a name and start()", from);
        checker->driver.struct_size = 0;
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

static int load(struct checker *checker, const char *path)
{
    char here[4096];
    entry_fn *entry = NULL;
    void *symbol;

    /* Without a slash the linker would look everywhere but here. */
    snprintf(here, sizeof(here), "%s%s", strchr(path, '/') == NULL ? "./" : "", path);
    checker->plugin = dlopen(here, RTLD_NOW | RTLD_LOCAL);
    if (checker->plugin == NULL) {
        print_error("check", NULL, "--driver: %s", dlerror());
        return EXIT_USAGE;
    }
    symbol = dlsym(checker->plugin, SYMBOL);
    if (symbol == NULL) {
        print_error("check", NULL,
                    "--driver %s: it has no function " SYMBOL "(), so it is no driver of "
                    "Ferry's checker",
                    path);
        return EXIT_USAGE;
    }
    memcpy(&entry, &symbol, sizeof(entry));
    return take(checker, entry(), path);
}

static const struct ferry_check_driver *built_in_of_name(const char *name)
{
    for (size_t i = 0; i < BUILT_IN_COUNT; i++) {
        if (strcmp(built_in[i]->name, name) == 0) {
            return built_in[i];
        }
    }
    return NULL;
}

/* A driver that was named must be one for this device, as far as that is known. */
static int check_fit(struct checker *checker)
{
    const struct checker_identity *identity = &checker->identity;
    const uint8_t *config = identity->config;

    if (!identity->known || checker->driver.matches == NULL ||
        checker->driver.matches(config) == 1) {
        return EXIT_OK;
    }
    print_error("check", NULL,
                "--driver %s is not for this device, PCI %02x%02x:%02x%02x; without "
                "--driver Ferry looks for one of its own",
                checker->args->driver, config[1], config[0], config[3], config[2]);
    checker->driver.struct_size = 0;
    return EXIT_USAGE;
}

static void look_for_one(struct checker *checker)
{
    const struct ferry_check_driver *driver =
        checker->identity.known ? check_driver_find(checker->identity.config) : NULL;

    if (driver != NULL) {
        (void)take(checker, driver, driver->name);
    }
}

int checker_find_driver(struct checker *checker)
{
    const char *name = checker->args->driver;
    const struct ferry_check_driver *known;
    int result;

    if (name == NULL) {
        look_for_one(checker);
        return EXIT_OK;
    }
    if (strcmp(name, "none") == 0) {
        return EXIT_OK;
    }
    known = built_in_of_name(name);
    result = known != NULL ? take(checker, known, name) : load(checker, name);
    return result == EXIT_OK ? check_fit(checker) : result;
}

void checker_close_driver(struct checker *checker)
{
    if (checker->plugin != NULL) {
        dlclose(checker->plugin);
    }
}
