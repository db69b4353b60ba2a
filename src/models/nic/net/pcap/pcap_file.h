/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_NET_PCAP_PCAP_FILE_H
#define FERRY_MODELS_NIC_NET_PCAP_PCAP_FILE_H

#include "models/nic/net/net_private.h"

/* Capture files: libpcap's classic format, Ethernet only. */
#define NIC_PCAP_READ_BYTES (256u << 10)
#define NIC_PCAP_WRITE_BYTES (128u << 10)
#define NIC_PCAP_IN_BYTES_MAX (4ull << 30)
#define NIC_PCAP_OUT_BYTES_MAX (4ull << 30) /* then nothing more is written */

struct nic_pcap_reader {
    uint8_t *buffer;     /* NIC_PCAP_READ_BYTES */
    uint64_t off;        /* in the file, of what is behind the buffer */
    uint32_t start, end; /* what was not looked at */
    int fd;
    uint32_t swapped, nano; /* byte order, and unit of the times */
    uint32_t pad;
};

/* One frame of a file; the bytes are valid until the next call. */
struct nic_pcap_record {
    const uint8_t *data;
    uint64_t time_ns;
    uint32_t bytes;
    uint32_t pad;
};

/*
 * Opens a file and looks through all of it.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND, FERRY_E_PERMISSION, FERRY_E_IO, FERRY_E_MEMORY,
 * FERRY_E_UNSUPPORTED (another format or link type), FERRY_E_SHORT, FERRY_E_LIMIT (a
 * frame longer than there are), FERRY_E_CORRUPT; reterr has the place.
 */
int nic_pcap_open_in(const char *path, struct nic_pcap_reader *ret_reader,
                     struct ferry_error *reterr);
/* Return: 1; 0: the end; as above, also for a file that changed meanwhile. */
int nic_pcap_next(struct nic_pcap_reader *reader, struct nic_pcap_record *ret_record,
                  struct ferry_error *reterr);
void nic_pcap_close_in(struct nic_pcap_reader *reader);

struct nic_pcap_writer {
    uint8_t *buffer; /* NIC_PCAP_WRITE_BYTES */
    uint64_t off;    /* bytes written */
    uint32_t end;
    int fd;
};

/* A new file of mode 0600. Return: FERRY_OK; FERRY_E_EXISTS, and as above. */
int nic_pcap_open_out(const char *path, struct nic_pcap_writer *ret_writer,
                      struct ferry_error *reterr);
/* Puts a frame down as of now. Return: FERRY_OK; FERRY_E_LIMIT, FERRY_E_IO. */
int nic_pcap_put(struct nic_pcap_writer *writer, const struct nic_frame *frame);
/* What was put is in the file. */
int nic_pcap_flush(struct nic_pcap_writer *writer);
void nic_pcap_close_out(struct nic_pcap_writer *writer);

#endif
