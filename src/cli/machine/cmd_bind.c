/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/machine/machine.h"
#include "cli/output.h"

enum bind_key { KEY_DRIVER = 'd', KEY_FORCE = 'f' };

#define NAME_BYTES 64

struct bind_args {
    const char *root, *address, *driver;
    uint32_t force;
};

static const struct argp_option bind_options[] = {
    { "driver", KEY_DRIVER, "NAME", 0,
      "a driver of VFIO's, or auto: the one that the kernel knows for it (auto)", 0 },
    { "force", KEY_FORCE, NULL, 0,
      "also when the machine needs the device: a disk that is mounted, a network "
      "interface that is up",
      0 },
    MACHINE_ROOT_OPTION,
    { NULL, 0, NULL, 0, NULL, 0 },
};

static const struct argp_option unbind_options[] = {
    { "force", KEY_FORCE, NULL, 0,
      "also with virtual functions; and when it is not known what it had before, let the "
      "kernel choose",
      0 },
    MACHINE_ROOT_OPTION,
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_bind(int key, char *text, struct argp_state *state)
{
    struct bind_args *args = state->input;

    switch (key) {
    case KEY_DRIVER:
        args->driver = text;
        return 0;
    case KEY_FORCE:
        args->force = 1;
        return 0;
    case MACHINE_KEY_ROOT:
        args->root = text;
        return 0;
    case ARGP_KEY_ARG:
        args->address = parse_one(state, args->address, text, "address");
        return 0;
    case ARGP_KEY_END:
        if (args->address == NULL) {
            argp_error(state, "the PCI address of a device is needed, such as "
                              "0000:01:00.0; `ferry list' shows them");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp bind_argp = {
    .options = bind_options,
    .parser = parse_bind,
    .args_doc = "ADDRESS",
    .doc =
        "Takes a PCI device away from its driver and gives it to one of VFIO's, which is "
        "loaded when it is not there. When that fails the device is given back.",
};

static const struct argp unbind_argp = {
    .options = unbind_options,
    .parser = parse_bind,
    .args_doc = "ADDRESS",
    .doc = "Gives a PCI device back to the driver that it had before `ferry bind'.",
};

/* Return: the exit status of what went wrong; it has been printed. */
static int fail(const char *command, int status, const struct ferry_error *error)
{
    print_error(command, NULL, "%s",
                error->text[0] != '\0' ? error->text : ferry_status_text(status));
    switch (status) {
    case FERRY_E_ARGUMENT:
        return EXIT_USAGE;
    case FERRY_E_BUSY:
    case FERRY_E_NOT_FOUND:
    case FERRY_E_PERMISSION:
    case FERRY_E_UNSUPPORTED:
        return EXIT_REFUSED;
    default:
        return EXIT_FAILED;
    }
}

int command_bind(int argc, char **argv)
{
    struct bind_args args = { .force = 0 };
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_machine_options options;
    struct ferry_machine_device device;
    struct machine_root root;
    char driver[NAME_BYTES] = "", uri[MACHINE_URI_BYTES];
    int status;

    argp_parse(&bind_argp, argc, argv, 0, NULL, &args);
    machine_options(args.root, &root, &options);
    options.force = args.force;
    status = ferry_machine_bind(&options, args.address, args.driver, driver, &error);
    if (status < 0) {
        return fail("bind", status, &error);
    }
    status = ferry_machine_get(&options, args.address, &device, &error);
    if (status < 0) {
        return fail("bind", status, &error);
    }
    printf("%s has the driver %s\n", device.name, driver);
    machine_uri(&device, uri);
    if (device.why[0] == '\0') {
        printf("its URI is %s\n", uri);
    } else {
        printf("it cannot be opened yet: %s\n", device.why);
    }
    return EXIT_OK;
}

int command_unbind(int argc, char **argv)
{
    struct bind_args args = { .force = 0 };
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_machine_options options;
    struct machine_root root;
    char driver[NAME_BYTES] = "";
    int status;

    argp_parse(&unbind_argp, argc, argv, 0, NULL, &args);
    machine_options(args.root, &root, &options);
    options.force = args.force;
    status = ferry_machine_unbind(&options, args.address, driver, &error);
    if (status < 0) {
        return fail("unbind", status, &error);
    }
    if (driver[0] != '\0') {
        printf("%s has the driver %s\n", args.address, driver);
    } else {
        printf("%s has no driver\n", args.address);
    }
    return EXIT_OK;
}
