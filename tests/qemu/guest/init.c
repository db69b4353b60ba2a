/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only program of the QEMU tests' guest: the kernel starts it as init. It loads the
 * modules that /modules lists, then takes commands from the serial console (ttyS0), a
 * line each, and answers each with lines that start with "= " and one line "ok" or "error
 * ...".
 *
 *   pci               every PCI function: address, ids, class, driver, resources
 *   config ADDRESS    the first 64 bytes of a function's config space, in hex
 *   irqs NAME         the sum over the CPUs of each interrupt whose line holds NAME
 *   encrypt KEY IV TEXT, decrypt KEY IV TEXT
 *                     cbc(aes) by the kernel's virtio driver, all in hex
 *   bulk BYTES        encrypts and decrypts BYTES of a pattern and compares
 *   unbind ADDRESS, bind ADDRESS
 *                     takes the virtio-pci driver from a function, gives it back
 *   reset ADDRESS     resets a function by its own means
 *   remove ADDRESS    takes a function out of the guest, as before an unplug; rescan
 *   mmio read ADDRESS BAR OFFSET COUNT, mmio write ADDRESS BAR OFFSET COUNT VALUE
 *                     COUNT 32-bit accesses to a register, in ten rounds:
 *                     "= count=N min_ns=N median_ns=N value=N", ns of one access (the
 *                     fastest and the middle round), value as it was read last
 *   time              "= monotonic_ns=N realtime_ns=N"
 *   net up INTERFACE ADDRESS, net mtu INTERFACE BYTES, net link INTERFACE
 *                     "= eth0 mac=MAC carrier=0|1"
 *   net counters INTERFACE
 *                     "= eth0 rx_packets=N ..." and the kernel's counts of TCP segments
 *                     that were sent again and of checksums that were wrong
 *   reboot, off
 *
 * Work that goes on while commands are answered. Each has start, status and stop; status
 * and stop answer a line of KEY=VALUE for each worker, and after it "= NAME error TEXT"
 * with the first thing that went wrong, if anything did:
 *
 *   "= NAME running=0|1 works=N errors=N gap_us=N age_us=N ..."
 *     NAME      "crypto", "tick", "stream", "datagram", or "copy:ADDRESS" for each `copy`
 *               device
 *     works     units of work that were done and found right
 *     errors    units that were not; the work goes on after an error
 *     gap_us    the longest time between two ends of work since the last status
 *     age_us    the time since the last end of work (since the start when there was none)
 *
 *   crypto start|status|stop
 *                     AF_ALG requests to virtio_crypto_aes_cbc, each with other data, and
 *                     each compared with cbc(aes) in software
 *   copy start [MODE [ADDRESS]]|status|stop
 *                     jobs for one or all `copy` devices, by the module ferry_copy. MODE:
 *                     host   memory to device memory, within it, and back (the default)
 *                     storm  many small jobs with a doorbell and an interrupt each
 *                     pair   as host, and by the other device's memory, both ways; needs
 *                            two devices
 *                     More keys: submitted=N completed=N interrupts=N spurious=N bytes=N.
 *                     completed is what the MSI-X handler has counted
 *   tick start|status|stop
 *                     does nothing, every millisecond: the guest itself as a measure
 *   churn start|status|stop
 *                     writes to 8 MiB of memory again and again: a move does not end
 * before it is let stream start listen|ADDRESS PORT [both|send|receive
 * [plain]]|status|stop a TCP connection; each side compares each byte that comes, unless
 *                     it is plain. More keys: connected=0|1 sent=N received=N (bytes)
 *                     retransmits=N rtt_us=N
 *   datagram start receive PORT|status|stop, datagram start ADDRESS PORT BYTES
 *                     UDP packets of that size, as fast as the receiver takes them. More
 *                     keys: sent=N received=N lost=N stalls=N
 *   beat on|off       on: every worker says each end of work on ttyS1, at most one line
 * in a millisecond: "c N" for crypto, "p N" for a copy device, "t N" for tick, N the
 * number of works. The guest's clocks stand still with the VM, so an interruption shows
 * only to who reads these lines outside
 *
 *   dirty fill SEED [ADDRESS], dirty check SEED [ADDRESS]
 *                     fill: a `copy` device writes pages that nobody else touches. check:
 *                     are they as that fill left them? No use of the device, so a page
 *                     that a migration lost is found:
 *                     "= dirty:ADDRESS pages=N wrong=N first=N" (first wrong page or -1)
 *
 * With net=ADDRESS on the kernel's command line eth0 has that address. With work=NAME
 * that work starts by itself, and its status is said every second until the first command
 * comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "guest.h"

#define LINE_MAX_BYTES 4096 /* a terminal's line is no longer */

static int load_modules(void)
{
    char name[256];
    FILE *list = fopen("/modules", "r");

    if (list == NULL) {
        return fail("/modules: %s", strerror(errno));
    }
    while (fgets(name, sizeof(name), list) != NULL) {
        int fd;

        name[strcspn(name, "\n")] = '\0';
        fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) {
            return fail("%s: %s", name, strerror(errno));
        }
        close(fd);
    }
    fclose(list);
    return 0;
}

static int command_reboot(const char *const words[WORDS_MAX])
{
    (void)words;
    return reboot(RB_AUTOBOOT);
}

static int command_off(const char *const words[WORDS_MAX])
{
    (void)words;
    return reboot(RB_POWER_OFF);
}

static const struct command_row commands[] = {
    { "pci", command_pci },         { "config", command_config },
    { "irqs", command_irqs },       { "encrypt", command_encrypt },
    { "decrypt", command_decrypt }, { "bulk", command_bulk },
    { "unbind", command_unbind },   { "bind", command_bind },
    { "reset", command_reset },     { "remove", command_remove },
    { "rescan", command_rescan },   { "mmio", command_mmio },
    { "time", command_time },       { "crypto", command_crypto },
    { "copy", command_copy },       { "tick", command_tick },
    { "beat", command_beat },       { "dirty", command_dirty },
    { "net", command_net },         { "stream", command_stream },
    { "reboot", command_reboot },   { "datagram", command_datagram },
    { "off", command_off },         { "churn", command_churn },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* Starts a work and says how it goes until somebody types. */
static void show(const char *work)
{
    struct pollfd input = { .fd = 0, .events = POLLIN };

    if (run_words(commands, COMMANDS, "%s start", work) != 0) {
        return;
    }
    while (poll(&input, 1, 1000) == 0) {
        (void)run_words(commands, COMMANDS, "%s status", work);
    }
}

int main(void)
{
    static char line[LINE_MAX_BYTES];
    struct termios terminal;
    int console;

    mkdir("/dev", 0755);
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    (void)mount("dev", "/dev", "devtmpfs", 0, NULL);
    (void)mount("proc", "/proc", "proc", 0, NULL);
    (void)mount("sys", "/sys", "sysfs", 0, NULL);
    console = open("/dev/ttyS0", O_RDWR);
    if (console < 0) {
        return 1;
    }
    dup2(console, 0);
    dup2(console, 1);
    if (tcgetattr(0, &terminal) == 0) {
        terminal.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(0, TCSANOW, &terminal);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (work_init("/dev/ttyS1") == 0 && load_modules() == 0) {
        puts("ready");
        if (getenv("net") != NULL && access("/sys/class/net/eth0", F_OK) == 0) {
            (void)run_words(commands, COMMANDS, "net up eth0 %s", getenv("net"));
        }
        if (getenv("work") != NULL) {
            show(getenv("work"));
        }
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (run_line(commands, COMMANDS, line) == 0) {
            puts("ok");
        }
    }
    pause();
    return 0;
}
