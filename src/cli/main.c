/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "ferry/version.h"

/* A row without a name is a heading of --help. */
static const struct command commands[] = {
    { NULL, NULL, "Devices and hosts:", NULL },
    { "serve", "ferry serve", "serve a device model over vfio-user", command_serve },
    { "info", "ferry info", "show a device and what would keep it from migrating",
      command_info },
    { "check", "ferry check", "check whether a device migrates as it must",
      command_check },
    { "host", "ferry host", "hold devices and memory that move together", command_host },
    { "qemu", "ferry qemu", "run QEMU with devices that it can migrate", command_qemu },
    { "replay", "ferry replay", "say to a server what a client said to it once",
      command_replay },
    { NULL, NULL, "Migration:", NULL },
    { "migrate", "ferry migrate", "move a host's context to another host",
      command_migrate },
    { "report", "ferry report", "show what happened when in a migration",
      command_report },
    { "resolve", "ferry resolve", "say which side goes on after an undecided migration",
      command_resolve },
    { "save", "ferry save", "save a host's context, or devices, in a file",
      command_save },
    { "restore", "ferry restore", "restore what was saved in a file", command_restore },
    { "show", "ferry show", "explain a saved file or a stream, record by record",
      command_show },
    { NULL, NULL, "This machine:", NULL },
    { "list", "ferry list", "show the devices that VFIO can give to a user",
      command_list },
    { "bind", "ferry bind", "give a device to one of VFIO's drivers", command_bind },
    { "unbind", "ferry unbind", "give a device back to the driver that it had",
      command_unbind },
    { "doctor", "ferry doctor", "show what this machine lacks, and what to do about it",
      command_doctor },
    { "demo", "ferry demo", "move working devices to and fro and check the work",
      command_demo },
    { "bench", "ferry bench", "measure Ferry on this machine", command_bench },
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *to)
{
    fputs("Usage: ferry COMMAND [OPTION...]\n"
          "Live migration of devices.\n",
          to);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].name == NULL) {
            fprintf(to, "\n%s\n", commands[i].summary);
        } else {
            fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
        }
    }
    fputs(
        "\nOptions:\n  --help     this text; also after a command\n"
        "  --version  the version\n\n"
        "Exit status: 0 done, 1 failed, 2 usage, 3 refused, 4 rolled back, 5 undecided,\n"
        "6 cancelled, 7 a device was lost, 8 to 10 a check failed. See ferry(1).\n",
        to);
}

/* What a caller closed is opened as nothing: a connection to a device would take the
 * number of standard output, and be sent what is printed. */
static int open_standard(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    return fd < 0 || close(fd) == 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (!open_standard()) {
        return EXIT_FAILED;
    }
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version = NULL;
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    if (strcmp(name, "--version") == 0) {
        printf("ferry %s\n", ferry_version());
        return EXIT_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].name != NULL && strcmp(name, commands[i].name) == 0) {
            char full_name[32];

            /* argp takes the name in its texts from argv[0]. */
            snprintf(full_name, sizeof(full_name), "%s", commands[i].full_name);
            argv[1] = full_name;
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    if (name[0] == '\0') {
        print_help(stderr);
    } else {
        fprintf(stderr, "ferry: there is no command '%s'; see ferry --help\n", name);
    }
    return EXIT_USAGE;
}
