/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream_sample.h"

#include <string.h>

static const uint8_t session_id[FERRY_STREAM_ID_BYTES] = "0123456789abcde";

void sample_record(struct ferry_writer *writer, uint16_t tag, uint16_t flags,
                   uint32_t device, const void *payload, size_t bytes)
{
    struct ferry_record record;
    uint8_t header[FERRY_RECORD_HEADER_BYTES];

    ferry_record_seal(&record, tag, flags, device, payload, bytes);
    ferry_record_encode(&record, header);
    ferry_writer_bytes(writer, header, sizeof(header));
    ferry_writer_bytes(writer, payload, bytes);
}

/* A record whose payload was just put into `payload`. */
static void append(struct ferry_writer *writer, uint16_t tag, uint32_t device,
                   struct ferry_writer *payload)
{
    sample_record(writer, tag, 0, device, payload->data, payload->pos);
    payload->pos = 0;
}

static void put_preamble(struct ferry_writer *writer, struct ferry_writer *p)
{
    struct ferry_stream_preamble preamble = { .version = 1,
                                              .version_min = 1,
                                              .epoch = 7 };

    memcpy(preamble.session_id, session_id, sizeof(session_id));
    ferry_stream_put_preamble(p, &preamble);
    append(writer, FERRY_REC_PREAMBLE, FERRY_NO_DEVICE, p);
}

static void put_token(struct ferry_writer *writer, uint16_t tag, struct ferry_writer *p)
{
    struct ferry_stream_token token = { .epoch = 7 };

    memcpy(token.session_id, session_id, sizeof(session_id));
    ferry_stream_put_token(p, &token);
    append(writer, tag, FERRY_NO_DEVICE, p);
}

static void put_introduction(struct ferry_writer *writer, struct ferry_writer *p)
{
    struct ferry_stream_hello_device device = {
        .name = "acc",
        .features = 5,
        .can_log = 1,
        .identity = { .model = "acc",
                      .state_version = 3,
                      .state_version_min = 1,
                      .pci_vendor = 0x1af4,
                      .pci_device = 0x1054,
                      .pci_class = 0x10800000,
                      .migration_flags = 5,
                      .key_count = 2,
                      .doorbell_latch = 1,
                      .load_ns = 1000,
                      .key = { { "sessions", FERRY_KEY_AT_LEAST, 0, 64 },
                               { "features", FERRY_KEY_SUPERSET, 0, 0x100000000 } } },
    };
    struct ferry_stream_hello_memory memory = { 0, 1, 0x100000, 0x10000 };
    struct ferry_stream_hello hello = {
        2, 2, 4096, FERRY_ARBITER_SHARED, 300000000, 10000000000, 5000000000, 10000000000
    };

    ferry_stream_put_hello_device(p, &device);
    append(writer, FERRY_REC_HELLO_DEVICE, 0, p);
    strcpy(device.name, "copy0");
    strcpy(device.identity.model, "copy");
    device.features = device.identity.migration_flags = 7;
    device.identity.key_count = 0;
    device.reaches_peer = 1;
    ferry_stream_put_hello_device(p, &device);
    append(writer, FERRY_REC_HELLO_DEVICE, 1, p);
    ferry_stream_put_hello_memory(p, &memory);
    append(writer, FERRY_REC_HELLO_MEMORY, FERRY_NO_DEVICE, p);
    memory.index = 1;
    memory.iova = 0x200000;
    ferry_stream_put_hello_memory(p, &memory);
    append(writer, FERRY_REC_HELLO_MEMORY, FERRY_NO_DEVICE, p);
    ferry_stream_put_hello(p, &hello);
    append(writer, FERRY_REC_HELLO, FERRY_NO_DEVICE, p);
}

static void put_memory(struct ferry_writer *writer, struct ferry_writer *p)
{
    struct ferry_stream_pages pages = { .memory = 1, .off = 0x3000 };
    struct ferry_stream_zero zero = { .memory = 0, .off = 0x1000, .bytes = 0xf000 };
    struct ferry_stream_memory_end end = { 16, 4096 };
    uint8_t page[4096];
    size_t i;

    for (i = 0; i < sizeof(page); i++) {
        page[i] = (uint8_t)(i * 7);
    }
    ferry_stream_put_pages(p, &pages);
    ferry_writer_bytes(p, page, sizeof(page));
    append(writer, FERRY_REC_MEMORY_PAGES, FERRY_NO_DEVICE, p);
    ferry_stream_put_zero(p, &zero);
    append(writer, FERRY_REC_MEMORY_ZERO, FERRY_NO_DEVICE, p);
    ferry_stream_put_memory_end(p, &end);
    append(writer, FERRY_REC_MEMORY_END, FERRY_NO_DEVICE, p);
}

static void put_device(struct ferry_writer *writer, uint32_t device,
                       struct ferry_writer *p)
{
    static const char first[] = "the initial bytes of a device",
                      second[] = "and the rest";
    uint8_t space[64] = { 0xf4, 0x1a, 0x54, 0x10 }, table[2 * 16] = { 0xfe };
    struct ferry_stream_config config = { .config = space,
                                          .config_bytes = sizeof(space),
                                          .msix = table,
                                          .msix_entries = 2,
                                          .vectors = 2 };
    struct ferry_stream_irqs irqs = { 2, { 0, 1 } };
    struct ferry_stream_hash hash;
    struct ferry_stream_digest digest;
    struct ferry_stream_device_end end;

    ferry_stream_hash_init(&hash);
    ferry_stream_hash_update(&hash, first, sizeof(first));
    ferry_stream_hash_update(&hash, second, sizeof(second));
    digest = ferry_stream_hash_digest(&hash);
    end.bytes = sizeof(first) + sizeof(second);
    end.hash_low = digest.low;
    end.hash_high = digest.high;
    sample_record(writer, FERRY_REC_DEVICE_DATA, 0, device, first, sizeof(first));
    append(writer, FERRY_REC_DEVICE_INITIAL, device, p);
    sample_record(writer, FERRY_REC_DEVICE_DATA, device ? FERRY_RECORD_CHUNK : 0, device,
                  second, sizeof(second));
    ferry_stream_put_device_end(p, &end);
    append(writer, FERRY_REC_DEVICE_END, device, p);
    ferry_stream_put_config(p, &config);
    append(writer, FERRY_REC_DEVICE_CONFIG, device, p);
    ferry_stream_put_irqs(p, &irqs);
    append(writer, FERRY_REC_DEVICE_IRQS, device, p);
}

void sample_source(struct ferry_writer *writer)
{
    static const char later[] = "a record of a later version";
    static const char blob[] = "state of a VMM";
    struct ferry_stream_vmm vmm = { .total = 2 * sizeof(blob) };
    uint8_t memory[8192];
    struct ferry_writer p;

    ferry_writer_init(&p, memory, sizeof(memory));
    put_preamble(writer, &p);
    put_introduction(writer, &p);
    put_device(writer, 0, &p);
    put_memory(writer, &p);
    sample_record(writer, 900, FERRY_RECORD_OPTIONAL, FERRY_NO_DEVICE, later,
                  sizeof(later));
    put_device(writer, 1, &p);
    ferry_stream_put_vmm(&p, &vmm);
    ferry_writer_bytes(&p, blob, sizeof(blob));
    append(writer, FERRY_REC_VMM_STATE, FERRY_NO_DEVICE, &p);
    vmm.off = sizeof(blob);
    ferry_stream_put_vmm(&p, &vmm);
    ferry_writer_bytes(&p, blob, sizeof(blob));
    append(writer, FERRY_REC_VMM_STATE, FERRY_NO_DEVICE, &p);
    append(writer, FERRY_REC_ALL_SENT, FERRY_NO_DEVICE, &p);
    put_token(writer, FERRY_REC_COMMIT, &p);
}

void sample_target(struct ferry_writer *writer)
{
    struct ferry_stream_accept accept = { 2000000000, 2, 0, { { 1, 2 }, { 3, 4 } } };
    struct ferry_stream_running running = { 5, 6, 2, 0, { { 7, 8 }, { 9, 10 } } };
    uint8_t memory[8192];
    struct ferry_writer p;

    ferry_writer_init(&p, memory, sizeof(memory));
    put_preamble(writer, &p);
    ferry_stream_put_accept(&p, &accept);
    append(writer, FERRY_REC_ACCEPT, FERRY_NO_DEVICE, &p);
    append(writer, FERRY_REC_INITIAL_DONE, 1, &p);
    append(writer, FERRY_REC_INITIAL_DONE, 0, &p);
    put_token(writer, FERRY_REC_PREPARED, &p);
    ferry_stream_put_running(&p, &running);
    append(writer, FERRY_REC_RUNNING, FERRY_NO_DEVICE, &p);
}

void sample_file_end(struct ferry_writer *writer, uint64_t records)
{
    struct ferry_stream_file_end end = { .records = records, .bytes = writer->pos };
    struct ferry_stream_hash hash;
    struct ferry_stream_digest digest;
    uint8_t memory[32];
    struct ferry_writer p;

    ferry_stream_hash_init(&hash);
    ferry_stream_hash_update(&hash, writer->data, writer->pos);
    digest = ferry_stream_hash_digest(&hash);
    end.hash_low = digest.low;
    end.hash_high = digest.high;
    ferry_writer_init(&p, memory, sizeof(memory));
    ferry_stream_put_file_end(&p, &end);
    append(writer, FERRY_REC_FILE_END, FERRY_NO_DEVICE, &p);
}

uint32_t sample_sent(uint32_t side)
{
    if (side == FERRY_STREAM_SOURCE) {
        return 1u << FERRY_REC_PREAMBLE | 1u << FERRY_REC_ACCEPT |
               1u << FERRY_REC_PREPARED;
    }
    return 1u << FERRY_REC_PREAMBLE | 1u << FERRY_REC_HELLO |
           1u << FERRY_REC_CONNECTIONS | 1u << FERRY_REC_DEVICE_INITIAL |
           1u << FERRY_REC_ALL_SENT | 1u << FERRY_REC_COMMIT;
}
