/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/guest/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_error(struct ferry_error *reterr, const char *what, const char *path)
{
    int code = errno == ENOENT || errno == ENOTDIR ? FERRY_E_NOT_FOUND
               : errno == EACCES                   ? FERRY_E_PERMISSION
                                                   : FERRY_E_IO;

    return ferry_error_set(reterr, code, "storage", NULL, 0, "%s %s: %s", what, path,
                           strerror(errno));
}

void storage_init(struct storage *storage)
{
    *storage = (struct storage){ .input = -1, .folder = -1 };
    for (int i = 0; i < STORAGE_OPEN_PASSES; i++) {
        storage->pass_fd[i] = -1;
    }
}

int storage_open(struct storage *storage, const char *input, const char *folder,
                 struct ferry_error *reterr)
{
    struct stat about;

    storage_init(storage);
    storage->input = open(input, O_RDONLY | O_CLOEXEC);
    if (storage->input < 0) {
        return open_error(reterr, "input", input);
    }
    if (fstat(storage->input, &about) < 0 || !S_ISREG(about.st_mode) ||
        about.st_size == 0) {
        storage_close(storage);
        return ferry_error_set(reterr, FERRY_E_IO, "storage", NULL, 0,
                               "input %s is empty or no regular file", input);
    }
    storage->input_bytes = (uint64_t)about.st_size;
    storage->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (storage->folder < 0) {
        int status = open_error(reterr, "result folder", folder);

        storage_close(storage);
        return status;
    }
    return FERRY_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

void storage_close(struct storage *storage)
{
    close_fd(&storage->input);
    close_fd(&storage->folder);
    for (int i = 0; i < STORAGE_OPEN_PASSES; i++) {
        close_fd(&storage->pass_fd[i]);
    }
}

int storage_read(struct storage *storage, uint64_t off, uint8_t *ret_data, uint64_t bytes)
{
    while (bytes > 0) {
        ssize_t got = pread(storage->input, ret_data, bytes, (off_t)off);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0 ? FERRY_E_SHORT : FERRY_E_IO;
        }
        ret_data += got;
        off += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return FERRY_OK;
}

/* Lanes are at most a pass or two apart, so a few open files serve all of them. */
static int pass_file(struct storage *storage, uint32_t pass)
{
    uint32_t i = pass % STORAGE_OPEN_PASSES;

    if (storage->pass_fd[i] < 0 || storage->pass[i] != pass) {
        char name[STORAGE_NAME_BYTES];

        close_fd(&storage->pass_fd[i]);
        storage_name(pass, name);
        storage->pass_fd[i] =
            openat(storage->folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        storage->pass[i] = pass;
    }
    return storage->pass_fd[i];
}

int storage_write(struct storage *storage, uint32_t pass, uint64_t off,
                  const uint8_t *data, uint64_t bytes)
{
    int fd = pass_file(storage, pass);

    while (bytes > 0) {
        ssize_t put = fd < 0 ? -1 : pwrite(fd, data, bytes, (off_t)off);

        if (put < 0 && fd >= 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return FERRY_E_IO;
        }
        data += put;
        off += (uint64_t)put;
        bytes -= (uint64_t)put;
    }
    return FERRY_OK;
}

uint64_t storage_lane_bytes(uint64_t input_bytes, uint32_t lanes)
{
    uint64_t bytes = (input_bytes + lanes - 1) / lanes;

    return (bytes + ACC_IV_BYTES - 1) / ACC_IV_BYTES * ACC_IV_BYTES;
}

void storage_lane(uint64_t input_bytes, uint32_t lanes, uint32_t lane,
                  struct storage_lane *ret_lane)
{
    uint64_t whole = storage_lane_bytes(input_bytes, lanes);
    uint64_t off = whole * lane;
    uint64_t left = off < input_bytes ? input_bytes - off : 0;
    uint64_t bytes = left < whole ? left : whole;

    ret_lane->off = off < input_bytes ? off : input_bytes;
    ret_lane->bytes = bytes;
    ret_lane->result_off = (whole + ACC_IV_BYTES) * lane;
    ret_lane->result_bytes = bytes + ACC_IV_BYTES - bytes % ACC_IV_BYTES;
}

void storage_iv(uint32_t pass, uint32_t lane, uint8_t ret_iv[ACC_IV_BYTES])
{
    uint64_t x = (uint64_t)pass << 32 | lane;

    for (int i = 0; i < ACC_IV_BYTES; i++) {
        if (i % 8 == 0) {
            /* A step of splitmix64: every bit of pass and lane reaches every byte. */
            x += 0x9e3779b97f4a7c15ull;
            x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
            x = (x ^ x >> 27) * 0x94d049bb133111ebull;
            x ^= x >> 31;
        }
        ret_iv[i] = (uint8_t)(x >> (8 * (i % 8)));
    }
}

void storage_name(uint32_t pass, char ret_name[STORAGE_NAME_BYTES])
{
    snprintf(ret_name, STORAGE_NAME_BYTES, "pass-%03u.bin", pass);
}
