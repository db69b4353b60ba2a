/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/le.h"
#include "models/nic/net/pcap/pcap_file.h"

#define MAGIC_MICRO 0xa1b2c3d4u
#define MAGIC_NANO 0xa1b23c4du
#define MAGIC_NEW 0x0a0d0d0au /* pcapng, in either byte order */
#define FILE_HEAD 24u
#define RECORD_HEAD 16u
#define LINK_ETHERNET 1u
#define LINK_MASK 0x0fffffffu /* above it: whether there is an FCS */
#define NS_PER_S 1000000000ull

static_assert(RECORD_HEAD + NIC_FRAME_MAX <= NIC_PCAP_READ_BYTES, "a record fits");

static int fail(const struct nic_pcap_reader *reader, struct ferry_error *reterr,
                int status, const char *what)
{
    const uint64_t at = reader->off - (reader->end - reader->start);

    return ferry_error_set(reterr, status, "nic", NULL, at, "capture: at byte %llu: %s",
                           (unsigned long long)at, what);
}

static uint32_t get32(const struct nic_pcap_reader *reader, uint32_t off)
{
    const uint32_t value = le_get32(reader->buffer + reader->start + off);

    return reader->swapped != 0 ? __builtin_bswap32(value) : value;
}

/* Has `bytes` in the buffer. Return: 1; 0: the file ends before; FERRY_E_IO. */
static int need(struct nic_pcap_reader *reader, uint32_t bytes)
{
    uint32_t left = reader->end - reader->start;

    if (left >= bytes) {
        return 1;
    }
    memmove(reader->buffer, reader->buffer + reader->start, left);
    reader->start = 0;
    reader->end = left;
    while (reader->end < bytes) {
        const ssize_t got = pread(reader->fd, reader->buffer + reader->end,
                                  NIC_PCAP_READ_BYTES - reader->end, (off_t)reader->off);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? FERRY_E_IO : 0;
        }
        reader->end += (uint32_t)got;
        reader->off += (uint64_t)got;
    }
    return 1;
}

static int read_head(struct nic_pcap_reader *reader, struct ferry_error *reterr)
{
    const int whole = need(reader, FILE_HEAD);
    uint32_t magic;

    if (whole <= 0) {
        return fail(reader, reterr, whole < 0 ? FERRY_E_IO : FERRY_E_SHORT,
                    "the file ends in its header");
    }
    magic = get32(reader, 0);
    if (magic == MAGIC_NEW) {
        return fail(reader, reterr, FERRY_E_UNSUPPORTED,
                    "this is pcapng; `editcap -F pcap` makes what is read here of it");
    }
    if (magic != MAGIC_MICRO && magic != MAGIC_NANO) {
        reader->swapped = 1;
        magic = get32(reader, 0);
    }
    if (magic != MAGIC_MICRO && magic != MAGIC_NANO) {
        return fail(reader, reterr, FERRY_E_UNSUPPORTED, "this is no pcap file");
    }
    reader->nano = magic == MAGIC_NANO;
    if ((get32(reader, 20) & LINK_MASK) != LINK_ETHERNET) {
        return fail(reader, reterr, FERRY_E_UNSUPPORTED,
                    "these are no Ethernet frames (link type 1)");
    }
    reader->start += FILE_HEAD;
    return FERRY_OK;
}

int nic_pcap_next(struct nic_pcap_reader *reader, struct nic_pcap_record *ret_record,
                  struct ferry_error *reterr)
{
    const int whole = need(reader, RECORD_HEAD);
    uint32_t bytes;
    uint64_t fraction;

    if (whole == 0 && reader->end == reader->start) {
        return 0;
    }
    if (whole <= 0) {
        return fail(reader, reterr, whole < 0 ? FERRY_E_IO : FERRY_E_SHORT,
                    "the file ends in the header of a record");
    }
    bytes = get32(reader, 8);
    if (bytes > NIC_FRAME_MAX) {
        return fail(reader, reterr, FERRY_E_LIMIT, "no frame is as long as this one");
    }
    fraction = (uint64_t)get32(reader, 4) * (reader->nano != 0 ? 1u : 1000u);
    if (fraction >= NS_PER_S) {
        return fail(reader, reterr, FERRY_E_CORRUPT,
                    "the time has more than a second behind its point");
    }
    if (need(reader, RECORD_HEAD + bytes) <= 0) {
        return fail(reader, reterr, FERRY_E_SHORT, "the file ends in a frame");
    }
    ret_record->time_ns = get32(reader, 0) * NS_PER_S + fraction;
    ret_record->data = reader->buffer + reader->start + RECORD_HEAD;
    ret_record->bytes = bytes;
    reader->start += RECORD_HEAD + bytes;
    return 1;
}

static void rewind_all(struct nic_pcap_reader *reader)
{
    reader->start = 0;
    reader->end = 0;
    reader->off = FILE_HEAD;
}

/* All of it is read once, so that what is wrong with it is said before a guest runs. */
static int look_through(struct nic_pcap_reader *reader, struct ferry_error *reterr)
{
    struct nic_pcap_record record;
    int status = read_head(reader, reterr);

    if (status < 0) {
        return status;
    }
    do {
        status = nic_pcap_next(reader, &record, reterr);
    } while (status > 0);
    rewind_all(reader);
    return status;
}

int nic_pcap_open_in(const char *path, struct nic_pcap_reader *ret_reader,
                     struct ferry_error *reterr)
{
    struct nic_pcap_reader reader = { .fd = -1 };
    struct stat st;
    int status = FERRY_OK;

    /* Not a FIFO or a terminal, which would keep the device waiting. */
    reader.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (reader.fd < 0 || fstat(reader.fd, &st) < 0) {
        status = nic_net_errno(reterr, errno, path);
    } else if (!S_ISREG(st.st_mode)) {
        status = ferry_error_set(reterr, FERRY_E_ARGUMENT, "nic", NULL, 0,
                                 "%.150s: not a plain file", path);
    } else if ((uint64_t)st.st_size > NIC_PCAP_IN_BYTES_MAX) {
        status = ferry_error_set(reterr, FERRY_E_LIMIT, "nic", NULL, 0,
                                 "%.150s: more than %llu bytes", path,
                                 (unsigned long long)NIC_PCAP_IN_BYTES_MAX);
    } else if ((reader.buffer = malloc(NIC_PCAP_READ_BYTES)) == NULL) {
        status = ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    } else {
        status = look_through(&reader, reterr);
    }
    if (status < 0) {
        nic_pcap_close_in(&reader);
        return status;
    }
    *ret_reader = reader;
    return FERRY_OK;
}

void nic_pcap_close_in(struct nic_pcap_reader *reader)
{
    nic_net_close_fd(&reader->fd);
    free(reader->buffer);
    reader->buffer = NULL;
}
