/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only program of the QEMU tests' guest: the kernel starts it as init. It loads the
 * modules that /modules lists, then takes commands from the serial console (ttyS0), a line
 * each, and answers each with lines that start with "= " and one line "ok" or "error ...".
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
 *   reboot, off
 *
 * Work that goes on while commands are answered. Each has start, status and stop; status
 * and stop answer a line of KEY=VALUE for each worker, and after it "= NAME error TEXT"
 * with the first thing that went wrong, if anything did:
 *
 *   "= NAME running=0|1 works=N errors=N gap_us=N age_us=N ..."
 *     NAME      "crypto", "tick", or "copy:ADDRESS" for each `copy` device
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
 *   beat on|off       on: every worker says each end of work on ttyS1, at most one line in
 *                     a millisecond: "c N" for crypto, "p N" for a copy device, "t N" for
 *                     tick, N the number of works. The guest's clocks stand still with the
 *                     VM, so an interruption shows only to who reads these lines outside
 *
 *   dirty fill SEED [ADDRESS], dirty check SEED [ADDRESS]
 *                     fill: a `copy` device writes pages that nobody else touches. check:
 *                     are they as that fill left them? No use of the device, so a page
 *                     that a migration lost is found:
 *                     "= dirty:ADDRESS pages=N wrong=N first=N" (first wrong page or -1)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <termios.h>
#include <unistd.h>

#define PCI "/sys/bus/pci/devices"
#define DRIVER "virtio_crypto_aes_cbc"
#define LINE_MAX_BYTES 4096 /* a terminal's line is no longer */
#define BYTES_MAX (64u << 10)
#define BLOCK 16u
#define ANSWER_S 20

static int fail(const char *format, ...)
{
    va_list args;

    fputs("error ", stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    return -1;
}

/* Reads at most cap - 1 bytes of a file. Return: the count or -1. */
static ssize_t slurp(const char *path, char *ret_text, size_t cap)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count;

    if (fd < 0) {
        return -1;
    }
    count = read(fd, ret_text, cap - 1);
    close(fd);
    if (count >= 0) {
        ret_text[count] = '\0';
    }
    return count;
}

static int put(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    int result = 0;

    if (fd < 0) {
        return fail("%s: %s", path, strerror(errno));
    }
    if (write(fd, text, strlen(text)) < 0) {
        result = fail("%s: %s", path, strerror(errno));
    }
    close(fd);
    return result;
}

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

static int command_pci(void)
{
    DIR *folder = opendir(PCI);
    struct dirent *entry;
    int result = 0;

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

static void say_hex(const uint8_t *bytes, size_t count)
{
    fputs("= ", stdout);
    for (size_t i = 0; i < count; i++) {
        printf("%02x", bytes[i]);
    }
    putchar('\n');
}

static int command_config(const char *address)
{
    char path[512];
    char bytes[65];
    ssize_t count;

    snprintf(path, sizeof(path), PCI "/%s/config", address);
    count = slurp(path, bytes, sizeof(bytes));
    if (count < 0) {
        return fail("%s: %s", path, strerror(errno));
    }
    say_hex((const uint8_t *)bytes, (size_t)count);
    return 0;
}

static int command_irqs(const char *name)
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

        if (at == NULL || strstr(line, name) == NULL) {
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

/* Return: the count of bytes, or -1 for no hex or too long. */
static int from_hex(const char *text, uint8_t *ret_bytes, size_t cap)
{
    const size_t count = strlen(text) / 2;

    if (strlen(text) % 2 != 0 || count > cap) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        unsigned int byte;

        if (sscanf(text + 2 * i, "%2x", &byte) != 1) {
            return -1;
        }
        ret_bytes[i] = (uint8_t)byte;
    }
    return (int)count;
}

/* A socket on which requests with that key are made; -1 with errno. */
static int open_cipher(const uint8_t *key, size_t key_bytes)
{
    struct sockaddr_alg name = { .salg_family = AF_ALG, .salg_type = "skcipher" };
    const struct timeval limit = { .tv_sec = ANSWER_S };
    const int fd = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int request = -1;

    memcpy(name.salg_name, DRIVER, sizeof(DRIVER));
    if (fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 &&
        setsockopt(fd, SOL_ALG, ALG_SET_KEY, key, (socklen_t)key_bytes) == 0) {
        request = accept(fd, NULL, NULL);
    }
    if (request >= 0) {
        (void)setsockopt(request, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    }
    if (fd >= 0) {
        const int kept = errno;

        close(fd);
        errno = kept;
    }
    return request;
}

/* Runs count bytes through the cipher. Return: 0 or -1 with errno. */
static int run_cipher(int fd, uint32_t operation, const uint8_t *iv, const uint8_t *in,
                      uint8_t *ret_out, size_t count)
{
    union {
        struct cmsghdr first;
        uint8_t bytes[CMSG_SPACE(4) + CMSG_SPACE(4 + BLOCK)];
    } control;
    struct iovec part = { .iov_base = (void *)(uintptr_t)in, .iov_len = count };
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    struct cmsghdr *header;
    const uint32_t iv_bytes = BLOCK;
    size_t done = 0;

    memset(&control, 0, sizeof(control));
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_ALG;
    header->cmsg_type = ALG_SET_OP;
    header->cmsg_len = CMSG_LEN(4);
    memcpy(CMSG_DATA(header), &operation, 4);
    header = CMSG_NXTHDR(&message, header);
    header->cmsg_level = SOL_ALG;
    header->cmsg_type = ALG_SET_IV;
    header->cmsg_len = CMSG_LEN(4 + BLOCK);
    memcpy(CMSG_DATA(header), &iv_bytes, 4);
    memcpy(CMSG_DATA(header) + 4, iv, BLOCK);
    if (sendmsg(fd, &message, 0) != (ssize_t)count) {
        return -1;
    }
    while (done < count) {
        const ssize_t got = read(fd, ret_out + done, count - done);

        if (got <= 0) {
            return -1;
        }
        done += (size_t)got;
    }
    return 0;
}

static int command_cipher(uint32_t operation, const char *key_text, const char *iv_text,
                          const char *text)
{
    uint8_t key[32];
    uint8_t iv[BLOCK];
    uint8_t in[4096];
    uint8_t out[4096];
    const int key_bytes = from_hex(key_text, key, sizeof(key));
    const int count = from_hex(text, in, sizeof(in));
    int result = 0;
    int fd;

    if (key_bytes < 0 || count <= 0 || from_hex(iv_text, iv, sizeof(iv)) != BLOCK) {
        return fail("no hex, or too long");
    }
    fd = open_cipher(key, (size_t)key_bytes);
    if (fd < 0) {
        return fail("no " DRIVER ": %s", strerror(errno));
    }
    if (run_cipher(fd, operation, iv, in, out, (size_t)count) == 0) {
        say_hex(out, (size_t)count);
    } else {
        result = fail("request: %s", strerror(errno));
    }
    close(fd);
    return result;
}

static int command_bulk(size_t count)
{
    static const uint8_t key[BLOCK] = "sixteen bytes ke";
    static const uint8_t iv[BLOCK];
    static uint8_t plain[BYTES_MAX];
    static uint8_t coded[BYTES_MAX];
    static uint8_t back[BYTES_MAX];
    int result = 0;
    int fd;

    if (count == 0 || count > BYTES_MAX || count % BLOCK != 0) {
        return fail("1 to %u whole blocks", BYTES_MAX / BLOCK);
    }
    for (size_t i = 0; i < count; i++) {
        plain[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    memset(back, 0, count);
    fd = open_cipher(key, sizeof(key));
    if (fd < 0) {
        return fail("no " DRIVER ": %s", strerror(errno));
    }
    if (run_cipher(fd, ALG_OP_ENCRYPT, iv, plain, coded, count) != 0 ||
        run_cipher(fd, ALG_OP_DECRYPT, iv, coded, back, count) != 0) {
        result = fail("request: %s", strerror(errno));
    } else if (memcmp(plain, back, count) != 0 || memcmp(plain, coded, count) == 0) {
        result = fail("wrong data");
    } else {
        say_hex(coded + count - BLOCK, BLOCK);
    }
    close(fd);
    return result;
}

static int write_attribute(const char *address, const char *name, const char *text)
{
    char path[512];

    snprintf(path, sizeof(path), PCI "/%s/%s", address, name);
    return put(path, text);
}

static int run(char *line)
{
    char *rest;
    const char *word[4] = { "", "", "", "" };
    char *token = strtok_r(line, " \r\n", &rest);

    for (int i = 0; i < 4 && token != NULL; i++) {
        word[i] = token;
        token = strtok_r(NULL, " \r\n", &rest);
    }
    if (strcmp(word[0], "pci") == 0) {
        return command_pci();
    }
    if (strcmp(word[0], "config") == 0) {
        return command_config(word[1]);
    }
    if (strcmp(word[0], "irqs") == 0) {
        return command_irqs(word[1]);
    }
    if (strcmp(word[0], "encrypt") == 0) {
        return command_cipher(ALG_OP_ENCRYPT, word[1], word[2], word[3]);
    }
    if (strcmp(word[0], "decrypt") == 0) {
        return command_cipher(ALG_OP_DECRYPT, word[1], word[2], word[3]);
    }
    if (strcmp(word[0], "bulk") == 0) {
        return command_bulk(strtoul(word[1], NULL, 10));
    }
    if (strcmp(word[0], "unbind") == 0) {
        return write_attribute(word[1], "driver/unbind", word[1]);
    }
    if (strcmp(word[0], "bind") == 0) {
        return put("/sys/bus/pci/drivers/virtio-pci/bind", word[1]);
    }
    if (strcmp(word[0], "reset") == 0) {
        return write_attribute(word[1], "reset", "1");
    }
    if (strcmp(word[0], "reboot") == 0) {
        return reboot(RB_AUTOBOOT);
    }
    if (strcmp(word[0], "off") == 0) {
        return reboot(RB_POWER_OFF);
    }
    return fail("no command '%s'", word[0]);
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
    if (load_modules() == 0) {
        puts("ready");
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (run(line) == 0) {
            puts("ok");
        }
    }
    pause();
    return 0;
}
