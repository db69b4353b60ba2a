/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_QEMU_GUEST_H
#define FERRY_TESTS_QEMU_GUEST_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Parts of the guest's program; what its commands do is told in init.c. */

#define PCI "/sys/bus/pci/devices"
#define BLOCK 16u
#define WORDS_MAX 8 /* of a command; what is missing is "" */

/* A command: words[0] is its name. Return: 0, or -1 when an error was said. */
typedef int command(const char *const words[WORDS_MAX]);

struct command_row {
    const char *name;
    command *run;
};

command command_pci, command_config, command_irqs, command_unbind, command_bind,
    command_reset, command_remove, command_rescan, command_mmio;
command command_encrypt, command_decrypt, command_bulk;
command command_crypto, command_tick, command_churn, command_beat, command_time;
command command_copy, command_dirty;
command command_net, command_stream, command_datagram;

/* text.c: says "error ...". Return: -1 */
__attribute__((format(printf, 1, 2))) int fail(const char *format, ...);
/* Reads at most cap - 1 bytes of a file. Return: the count or -1. */
ssize_t slurp(const char *path, char *ret_text, size_t cap);
/* Writes text to a file. Return: 0, or -1 when an error was said. */
int put(const char *path, const char *text);
/* Runs the command that a line names, which is cut into words. Return: 0, or -1 when an
 * error was said. */
int run_line(const struct command_row *rows, size_t count, char *line);
/* The same for a line of a program's own. */
int run_words(const struct command_row *rows, size_t count, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void say_hex(const uint8_t *bytes, size_t count);
/* Return: the count of bytes, or -1 for no hex or too long. */
int from_hex(const char *text, uint8_t *ret_bytes, size_t cap);
uint64_t monotonic_ns(void);

/* net.c: gives an interface an address of a /24 and takes it up. Return: 0, or -1 with
 * errno. */
int net_up(const char *interface, const char *text);

/* cipher.c: a socket for cbc(aes) by the driver of that name, with a key; -1 with errno.
 */
#define CIPHER_DEVICE "virtio_crypto_aes_cbc"
#define CIPHER_SOFTWARE "cbc(aes-generic)"
int open_cipher(const char *driver, const uint8_t *key, size_t key_bytes);
/* Runs count bytes through it (an ALG_OP_*). Return: 0 or -1 with errno. */
int run_cipher(int fd, uint32_t operation, const uint8_t *iv, const uint8_t *in,
               uint8_t *ret_out, size_t count);

/*
 * work.c: work in a process of its own. What both sides see lies in shared memory.
 */
struct work {
    _Atomic uint64_t works, errors, gap_ns, last_ns;
    _Atomic int stop, failed; /* failed: text is whole */
    char text[160];           /* the first error */
    char letter;              /* of its lines on ttyS1 */
    int beat_fd;
    uint64_t beat_ns; /* when it wrote the last one */
};

struct worker {
    const char *name;
    char letter;
    void (*body)(struct work *work, const void *arg); /* until work->stop */
    /* May be NULL: says more keys of its status, each with a space before it. */
    void (*more)(const void *arg);
    pid_t pid;
    struct work *shared;
};

/* start, status or stop of a worker. Return: 0, or -1 when an error was said. */
int worker_command(struct worker *worker, const char *verb, const void *arg);
int worker_start(struct worker *worker, const void *arg);
/* Return: 0, or -1 when it does not end and an error was said. */
int worker_stop(struct worker *worker);
/* Zeroed memory that workers share with who starts them; NULL: none left. */
void *shared_memory(size_t bytes);
/* Called by a body: so many works are done now. */
void work_done(struct work *work, uint64_t works);
__attribute__((format(printf, 2, 3))) void work_error(struct work *work,
                                                      const char *format, ...);
/* Prepares what workers share. tty: for their lines (beat); NULL: none. */
int work_init(const char *tty);
/* 1 while workers are to say their ends of work. */
int beat_is_on(void);

#endif
