/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to the device in a loop, each compared with the same in software. */
#include <errno.h>
#include <linux/if_alg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define REQUEST_MAX 16384u
#define PER_KEY 32u /* requests with one key */
#define RETRY_NS 20000000L

struct ciphers {
    int device, software;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void scatter(uint64_t *state, uint8_t *ret_bytes, size_t count)
{
    for (size_t i = 0; i < count; i += 8) {
        const uint64_t value = next_random(state);

        memcpy(ret_bytes + i, &value, 8);
    }
}

static void close_ciphers(struct ciphers *ciphers)
{
    if (ciphers->device >= 0) {
        close(ciphers->device);
    }
    if (ciphers->software >= 0) {
        close(ciphers->software);
    }
    ciphers->device = -1;
    ciphers->software = -1;
}

/* Both with one new key. Return: 0 or -1 when an error was noted. */
static int open_ciphers(struct work *work, uint64_t *random, struct ciphers *ret_ciphers)
{
    uint8_t key[32];
    const size_t key_bytes = next_random(random) % 2 != 0 ? 32 : 16;

    scatter(random, key, sizeof(key));
    ret_ciphers->device = open_cipher(CIPHER_DEVICE, key, key_bytes);
    if (ret_ciphers->device < 0) {
        work_error(work, "no " CIPHER_DEVICE ": %s", strerror(errno));
        return -1;
    }
    ret_ciphers->software = open_cipher(CIPHER_SOFTWARE, key, key_bytes);
    if (ret_ciphers->software < 0) {
        work_error(work, "no " CIPHER_SOFTWARE ": %s", strerror(errno));
        return -1;
    }
    return 0;
}

/* One unit of work: there by both, back by the device. Return: 0, or -1 when an error was
 * noted. */
static int one_request(struct work *work, uint64_t *random, const struct ciphers *ciphers)
{
    static uint8_t plain[REQUEST_MAX];
    static uint8_t coded[REQUEST_MAX];
    static uint8_t right[REQUEST_MAX];
    static uint8_t back[REQUEST_MAX];
    uint8_t iv[BLOCK];
    const size_t count = BLOCK * (1 + next_random(random) % (REQUEST_MAX / BLOCK));

    scatter(random, plain, count);
    scatter(random, iv, sizeof(iv));
    memset(coded, 0, count);
    memset(back, 0, count);
    if (run_cipher(ciphers->software, ALG_OP_ENCRYPT, iv, plain, right, count) != 0) {
        work_error(work, CIPHER_SOFTWARE ": %s", strerror(errno));
        return -1;
    }
    if (run_cipher(ciphers->device, ALG_OP_ENCRYPT, iv, plain, coded, count) != 0 ||
        run_cipher(ciphers->device, ALG_OP_DECRYPT, iv, right, back, count) != 0) {
        work_error(work, "request: %s", strerror(errno));
        return -1;
    }
    if (memcmp(coded, right, count) != 0) {
        work_error(work, "%zu bytes are encrypted wrong", count);
        return -1;
    }
    if (memcmp(back, plain, count) != 0) {
        work_error(work, "%zu bytes are decrypted wrong", count);
        return -1;
    }
    return 0;
}

static void crypto(struct work *work, const void *arg)
{
    /* Without a device requests fail at once: not as fast as they can. */
    const struct timespec pause = { .tv_nsec = RETRY_NS };
    struct ciphers ciphers = { .device = -1, .software = -1 };
    uint64_t random = 88172645463325252u;
    uint32_t requests = 0;

    (void)arg;
    while (!atomic_load(&work->stop)) {
        if (requests++ % PER_KEY == 0 || ciphers.device < 0) {
            close_ciphers(&ciphers);
            if (open_ciphers(work, &random, &ciphers) != 0) {
                close_ciphers(&ciphers);
                (void)nanosleep(&pause, NULL);
                continue;
            }
        }
        if (one_request(work, &random, &ciphers) == 0) {
            work_done(work, 1);
        } else {
            close_ciphers(&ciphers);
            (void)nanosleep(&pause, NULL);
        }
    }
    close_ciphers(&ciphers);
}

int command_crypto(const char *const words[WORDS_MAX])
{
    static struct worker worker = { .name = "crypto", .letter = 'c', .body = crypto };

    return worker_command(&worker, words[1], NULL);
}
