/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "models/le.h"
#include "models/nic/net/pcap/pcap_file.h"

#define FILE_HEAD 24u
#define RECORD_HEAD 16u

static_assert(RECORD_HEAD + NIC_FRAME_MAX <= NIC_PCAP_WRITE_BYTES, "a record fits");

int nic_pcap_open_out(const char *path, struct nic_pcap_writer *ret_writer,
                      struct ferry_error *reterr)
{
    struct nic_pcap_writer writer = { .fd = -1 };

    writer.buffer = malloc(NIC_PCAP_WRITE_BYTES);
    if (writer.buffer == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    }
    writer.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (writer.fd < 0) {
        const int err = errno;

        free(writer.buffer);
        return err == EEXIST
                   ? ferry_error_set(reterr, FERRY_E_EXISTS, "nic", NULL, 0,
                                     "%.150s: it is there already; a capture goes into "
                                     "a new file",
                                     path)
                   : nic_net_errno(reterr, err, path);
    }
    le_put32(writer.buffer, 0xa1b23c4d); /* times in ns */
    le_put16(writer.buffer + 4, 2);
    le_put16(writer.buffer + 6, 4);
    le_put64(writer.buffer + 8, 0);
    le_put32(writer.buffer + 16, 1u << 18);
    le_put32(writer.buffer + 20, 1);
    writer.end = FILE_HEAD;
    *ret_writer = writer;
    return nic_pcap_flush(ret_writer);
}

int nic_pcap_flush(struct nic_pcap_writer *writer)
{
    uint32_t start = 0;

    while (start < writer->end) {
        const ssize_t put =
            write(writer->fd, writer->buffer + start, writer->end - start);

        if (put < 0 && errno != EINTR) {
            writer->end = 0;
            return FERRY_E_IO;
        }
        start += put > 0 ? (uint32_t)put : 0;
    }
    writer->off += writer->end;
    writer->end = 0;
    return FERRY_OK;
}

int nic_pcap_put(struct nic_pcap_writer *writer, const struct nic_frame *frame)
{
    const uint32_t bytes = RECORD_HEAD + frame->bytes;
    struct timespec now = { 0 };
    uint8_t *at = NULL;

    if (bytes > NIC_PCAP_OUT_BYTES_MAX - writer->off - writer->end) {
        return FERRY_E_LIMIT;
    }
    if (bytes > NIC_PCAP_WRITE_BYTES - writer->end && nic_pcap_flush(writer) < 0) {
        return FERRY_E_IO;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    at = writer->buffer + writer->end;
    le_put32(at, (uint32_t)now.tv_sec);
    le_put32(at + 4, (uint32_t)now.tv_nsec);
    le_put32(at + 8, frame->bytes);
    le_put32(at + 12, frame->bytes);
    nic_frame_gather(frame, at + RECORD_HEAD);
    writer->end += bytes;
    return FERRY_OK;
}

void nic_pcap_close_out(struct nic_pcap_writer *writer)
{
    nic_net_close_fd(&writer->fd);
    free(writer->buffer);
    writer->buffer = NULL;
}
