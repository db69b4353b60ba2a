/* SPDX-License-Identifier: BSD-3-Clause */
/* Payloads of what is carried: MEMORY_*, DEVICE_*, VMM_STATE. */
#include "core/stream/payload.h"

#include <assert.h>
#include <string.h>

#include "base/range.h"
#include "core/stream/decoder.h"

/* Parts of DEVICE_CONFIG, ascending. */
enum config_part {
    PART_CONFIG = 1, /* bytes of config space */
    PART_MSIX = 2,   /* entries of the MSI-X table */
    PART_VECTORS = 3 /* u32: enabled vectors */
};
#define MSIX_ENTRY_BYTES 16u

void ferry_stream_put_pages(struct ferry_writer *writer,
                            const struct ferry_stream_pages *pages)
{
    ferry_writer_u32(writer, pages->memory);
    ferry_writer_u32(writer, 0);
    ferry_writer_u64(writer, pages->off);
}

int ferry_stream_get_pages(const void *payload, size_t bytes,
                           struct ferry_stream_pages *ret_pages,
                           struct ferry_error *reterr)
{
    struct ferry_stream_pages pages;
    struct ferry_decoder d;
    size_t prefix = bytes < FERRY_STREAM_PREFIX_BYTES ? bytes : FERRY_STREAM_PREFIX_BYTES;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_MEMORY_PAGES, payload, prefix, reterr);
    pages.memory = ferry_decoder_u32_max(&d, FERRY_STREAM_MEMORIES_MAX - 1, FERRY_E_LIMIT,
                                         "STR-PAY-3", "no such memory region");
    pages.pad = 0;
    ferry_decoder_reserved(&d);
    pages.off = ferry_reader_u64(&d.reader);
    pages.bytes = bytes - prefix;
    ferry_decoder_check_pages(&d, 8, pages.off, pages.bytes);
    if (pages.bytes > FERRY_RECORD_DATA_MAX) {
        ferry_decoder_fail(&d, FERRY_E_LIMIT, "STR-PAY-3", FERRY_STREAM_PREFIX_BYTES,
                           "too many pages in one record", pages.bytes);
    }
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_pages = pages;
    }
    return rc;
}

void ferry_stream_put_zero(struct ferry_writer *writer,
                           const struct ferry_stream_zero *zero)
{
    ferry_writer_u32(writer, zero->memory);
    ferry_writer_u32(writer, 0);
    ferry_writer_u64(writer, zero->off);
    ferry_writer_u64(writer, zero->bytes);
}

int ferry_stream_get_zero(const void *payload, size_t bytes,
                          struct ferry_stream_zero *ret_zero, struct ferry_error *reterr)
{
    struct ferry_stream_zero zero;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_MEMORY_ZERO, payload, bytes, reterr);
    zero.memory = ferry_decoder_u32_max(&d, FERRY_STREAM_MEMORIES_MAX - 1, FERRY_E_LIMIT,
                                        "STR-PAY-3", "no such memory region");
    zero.pad = 0;
    ferry_decoder_reserved(&d);
    zero.off = ferry_reader_u64(&d.reader);
    zero.bytes = ferry_reader_u64(&d.reader);
    ferry_decoder_check_pages(&d, 8, zero.off, zero.bytes);
    if (zero.bytes > FERRY_STREAM_ZERO_MAX) {
        ferry_decoder_fail(&d, FERRY_E_LIMIT, "STR-PAY-3", 16, "more than one record may",
                           zero.bytes);
    }
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_zero = zero;
    }
    return rc;
}

void ferry_stream_put_memory_end(struct ferry_writer *writer,
                                 const struct ferry_stream_memory_end *end)
{
    ferry_writer_u64(writer, end->pages);
    ferry_writer_u64(writer, end->bytes);
}

int ferry_stream_get_memory_end(const void *payload, size_t bytes,
                                struct ferry_stream_memory_end *ret_end,
                                struct ferry_error *reterr)
{
    struct ferry_stream_memory_end end;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_MEMORY_END, payload, bytes, reterr);
    end.pages = ferry_reader_u64(&d.reader);
    end.bytes = ferry_reader_u64(&d.reader);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_end = end;
    }
    return rc;
}

void ferry_stream_put_device_end(struct ferry_writer *writer,
                                 const struct ferry_stream_device_end *end)
{
    ferry_writer_u64(writer, end->bytes);
    ferry_writer_u64(writer, end->hash_low);
    ferry_writer_u64(writer, end->hash_high);
}

int ferry_stream_get_device_end(const void *payload, size_t bytes,
                                struct ferry_stream_device_end *ret_end,
                                struct ferry_error *reterr)
{
    struct ferry_stream_device_end end;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_DEVICE_END, payload, bytes, reterr);
    end.bytes = ferry_reader_u64(&d.reader);
    end.hash_low = ferry_reader_u64(&d.reader);
    end.hash_high = ferry_reader_u64(&d.reader);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_end = end;
    }
    return rc;
}

int ferry_stream_check_device_end(const struct ferry_stream_device_end *end,
                                  uint32_t device, uint64_t bytes,
                                  const struct ferry_stream_hash *hash,
                                  struct ferry_error *reterr)
{
    struct ferry_stream_digest digest;

    if (bytes != end->bytes) {
        return ferry_error_set(
            reterr, bytes < end->bytes ? FERRY_E_SHORT : FERRY_E_LONG, "stream",
            "STR-END-1", 0, "DEVICE_END of device %u: %llu bytes came, %llu were sent",
            device, (unsigned long long)bytes, (unsigned long long)end->bytes);
    }
    digest = ferry_stream_hash_digest(hash);
    if (digest.low != end->hash_low || digest.high != end->hash_high) {
        return ferry_error_set(reterr, FERRY_E_CORRUPT, "stream", "STR-END-1", 8,
                               "DEVICE_END of device %u: the hash of %llu bytes differs",
                               device, (unsigned long long)bytes);
    }
    return FERRY_OK;
}

static void put_part(struct ferry_writer *writer, uint16_t kind, const void *data,
                     uint32_t bytes)
{
    ferry_writer_u16(writer, kind);
    ferry_writer_u16(writer, 0);
    ferry_writer_u32(writer, bytes);
    ferry_writer_bytes(writer, data, bytes);
}

void ferry_stream_put_config(struct ferry_writer *writer,
                             const struct ferry_stream_config *config)
{
    assert(config->config_bytes <= FERRY_STREAM_CONFIG_MAX);
    assert(config->msix_entries <= FERRY_STREAM_VECTORS_MAX);
    assert(config->vectors <= FERRY_STREAM_VECTORS_MAX);
    if (config->config_bytes > 0) {
        put_part(writer, PART_CONFIG, config->config, config->config_bytes);
    }
    if (config->msix_entries > 0) {
        put_part(writer, PART_MSIX, config->msix,
                 config->msix_entries * MSIX_ENTRY_BYTES);
    }
    if (config->vectors > 0) {
        uint8_t count[4];

        ferry_store_le32(count, config->vectors);
        put_part(writer, PART_VECTORS, count, sizeof(count));
    }
}

static void get_part(struct ferry_decoder *d, uint32_t kind, size_t off,
                     const uint8_t *data, uint32_t length,
                     struct ferry_stream_config *config)
{
    if (kind == PART_CONFIG) {
        if (length > FERRY_STREAM_CONFIG_MAX) {
            ferry_decoder_fail(d, FERRY_E_LIMIT, "STR-PAY-3", off,
                               "config space too long", length);
        }
        config->config = data;
        config->config_bytes = length;
    } else if (kind == PART_MSIX) {
        if (length % MSIX_ENTRY_BYTES != 0) {
            ferry_decoder_fail(d, FERRY_E_PROTOCOL, "STR-PAY-3", off,
                               "a part of an MSI-X entry", length);
        } else if (length / MSIX_ENTRY_BYTES > FERRY_STREAM_VECTORS_MAX) {
            ferry_decoder_fail(d, FERRY_E_LIMIT, "STR-PAY-3", off,
                               "too many MSI-X entries", length / MSIX_ENTRY_BYTES);
        }
        config->msix = data;
        config->msix_entries = length / MSIX_ENTRY_BYTES;
    } else if (kind == PART_VECTORS && length == 4) {
        config->vectors = ferry_load_le32(data);
        if (config->vectors > FERRY_STREAM_VECTORS_MAX) {
            ferry_decoder_fail(d, FERRY_E_LIMIT, "STR-PAY-3", off, "too many vectors",
                               config->vectors);
        }
    } else {
        ferry_decoder_fail(d, FERRY_E_PROTOCOL, "STR-PAY-6", off,
                           "an unknown part, or one of a wrong length", kind);
    }
}

int ferry_stream_get_config(const void *payload, size_t bytes,
                            struct ferry_stream_config *ret_config,
                            struct ferry_error *reterr)
{
    struct ferry_stream_config config = { 0 };
    struct ferry_decoder d;
    uint32_t last = 0;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_DEVICE_CONFIG, payload, bytes, reterr);
    while (d.status == FERRY_OK && ferry_reader_remaining(&d.reader) > 0) {
        size_t off = d.reader.pos;
        uint32_t kind = ferry_reader_u16(&d.reader);
        uint32_t reserved = ferry_reader_u16(&d.reader);
        uint32_t length = ferry_reader_u32(&d.reader);
        const uint8_t *data = ferry_reader_take(&d.reader, length);

        if (!data) {
            break;
        }
        if (reserved != 0 || length == 0) {
            ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-PAY-2", off,
                               "a part is empty or uses reserved bits", reserved);
        } else if (kind <= last) {
            ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-PAY-6", off,
                               "parts twice or not in order", kind);
        } else {
            get_part(&d, kind, off, data, length, &config);
        }
        last = kind;
    }
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_config = config;
    }
    return rc;
}

void ferry_stream_put_irqs(struct ferry_writer *writer,
                           const struct ferry_stream_irqs *irqs)
{
    uint32_t i;

    assert(irqs->count <= FERRY_STREAM_VECTORS_MAX);
    ferry_writer_u32(writer, irqs->count);
    ferry_writer_u32(writer, 0);
    for (i = 0; i < irqs->count; i++) {
        ferry_writer_u16(writer, irqs->vector[i]);
    }
}

int ferry_stream_get_irqs(const void *payload, size_t bytes,
                          struct ferry_stream_irqs *ret_irqs, struct ferry_error *reterr)
{
    struct ferry_stream_irqs irqs;
    struct ferry_decoder d;
    uint32_t i;
    int rc;

    memset(&irqs, 0, sizeof(irqs));
    ferry_decoder_init(&d, FERRY_REC_DEVICE_IRQS, payload, bytes, reterr);
    irqs.count = ferry_decoder_u32_max(&d, FERRY_STREAM_VECTORS_MAX, FERRY_E_LIMIT,
                                       "STR-PAY-3", "too many vectors");
    ferry_decoder_reserved(&d);
    for (i = 0; i < irqs.count; i++) {
        size_t off = d.reader.pos;
        uint16_t vector = ferry_reader_u16(&d.reader);

        if (vector >= FERRY_STREAM_VECTORS_MAX) {
            ferry_decoder_fail(&d, FERRY_E_LIMIT, "STR-PAY-3", off, "no such vector",
                               vector);
        } else if (i > 0 && vector <= irqs.vector[i - 1]) {
            ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-PAY-6", off,
                               "vectors twice or not in order", vector);
        }
        irqs.vector[i] = vector;
    }
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_irqs = irqs;
    }
    return rc;
}

void ferry_stream_put_vmm(struct ferry_writer *writer, const struct ferry_stream_vmm *vmm)
{
    ferry_writer_u64(writer, vmm->total);
    ferry_writer_u64(writer, vmm->off);
}

int ferry_stream_get_vmm(const void *payload, size_t bytes,
                         struct ferry_stream_vmm *ret_vmm, struct ferry_error *reterr)
{
    struct ferry_stream_vmm vmm;
    struct ferry_decoder d;
    size_t prefix = bytes < FERRY_STREAM_PREFIX_BYTES ? bytes : FERRY_STREAM_PREFIX_BYTES;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_VMM_STATE, payload, prefix, reterr);
    vmm.total = ferry_reader_u64(&d.reader);
    vmm.off = ferry_reader_u64(&d.reader);
    vmm.bytes = bytes - prefix;
    if (vmm.total > FERRY_STREAM_VMM_MAX || vmm.bytes > FERRY_RECORD_DATA_MAX) {
        ferry_decoder_fail(&d, FERRY_E_LIMIT, "STR-PAY-3", 0, "too long", vmm.total);
    } else if (!ferry_range_inside(vmm.off, vmm.bytes, vmm.total)) {
        ferry_decoder_fail(&d, FERRY_E_RANGE, "STR-PAY-5", 8, "past the end", vmm.off);
    } else if (vmm.bytes == 0 && vmm.total > 0) {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-PAY-2", 0, "an empty piece",
                           vmm.off);
    }
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_vmm = vmm;
    }
    return rc;
}
