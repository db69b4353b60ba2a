/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/if_alg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "guest.h"

#define BYTES_MAX (64u << 10)
#define ANSWER_S 20

int open_cipher(const char *driver, const uint8_t *key, size_t key_bytes)
{
    struct sockaddr_alg name = { .salg_family = AF_ALG, .salg_type = "skcipher" };
    const struct timeval limit = { .tv_sec = ANSWER_S };
    const int fd = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int request = -1;

    snprintf((char *)name.salg_name, sizeof(name.salg_name), "%s", driver);
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

int run_cipher(int fd, uint32_t operation, const uint8_t *iv, const uint8_t *in,
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

static int cipher(uint32_t operation, const char *key_text, const char *iv_text,
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
    fd = open_cipher(CIPHER_DEVICE, key, (size_t)key_bytes);
    if (fd < 0) {
        return fail("no " CIPHER_DEVICE ": %s", strerror(errno));
    }
    if (run_cipher(fd, operation, iv, in, out, (size_t)count) == 0) {
        say_hex(out, (size_t)count);
    } else {
        result = fail("request: %s", strerror(errno));
    }
    close(fd);
    return result;
}

int command_encrypt(const char *const words[WORDS_MAX])
{
    return cipher(ALG_OP_ENCRYPT, words[1], words[2], words[3]);
}

int command_decrypt(const char *const words[WORDS_MAX])
{
    return cipher(ALG_OP_DECRYPT, words[1], words[2], words[3]);
}

int command_bulk(const char *const words[WORDS_MAX])
{
    const size_t count = strtoul(words[1], NULL, 10);
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
    fd = open_cipher(CIPHER_DEVICE, key, sizeof(key));
    if (fd < 0) {
        return fail("no " CIPHER_DEVICE ": %s", strerror(errno));
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
