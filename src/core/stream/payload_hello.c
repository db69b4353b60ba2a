/* SPDX-License-Identifier: BSD-3-Clause */
/* Payloads of the introduction: PREAMBLE, HELLO_*, ACCEPT. */
#include "core/stream/payload.h"

#include <assert.h>
#include <string.h>

#include "base/range.h"
#include "core/stream/decoder.h"
#include "ferry/state.h"

#define MIG_FLAGS (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)

void ferry_stream_put_preamble(struct ferry_writer *writer,
                               const struct ferry_stream_preamble *preamble)
{
    ferry_writer_u32(writer, preamble->version);
    ferry_writer_u32(writer, preamble->version_min);
    ferry_writer_bytes(writer, preamble->session_id, FERRY_STREAM_ID_BYTES);
    ferry_writer_u32(writer, preamble->epoch);
    ferry_writer_u32(writer, 0);
}

uint32_t ferry_stream_common_version(const struct ferry_stream_preamble *peer)
{
    uint32_t high =
        peer->version < FERRY_STREAM_VERSION ? peer->version : FERRY_STREAM_VERSION;
    uint32_t low = peer->version_min > FERRY_STREAM_VERSION_MIN
                       ? peer->version_min
                       : FERRY_STREAM_VERSION_MIN;

    return high >= low ? high : 0;
}

int ferry_stream_get_preamble(const void *payload, size_t bytes,
                              struct ferry_stream_preamble *ret_preamble,
                              struct ferry_error *reterr)
{
    struct ferry_stream_preamble preamble;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_PREAMBLE, payload, bytes, reterr);
    preamble.version = ferry_reader_u32(&d.reader);
    preamble.version_min = ferry_reader_u32(&d.reader);
    if (preamble.version_min == 0 || preamble.version_min > preamble.version) {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-VER-1", 4,
                           "the lowest version is 0 or over the highest",
                           preamble.version_min);
    } else if (ferry_stream_common_version(&preamble) == 0) {
        ferry_decoder_fail(&d, FERRY_E_VERSION, "STR-VER-1", 0,
                           "this build reads no version that the peer writes",
                           preamble.version);
    }
    ferry_reader_bytes(&d.reader, preamble.session_id, FERRY_STREAM_ID_BYTES);
    preamble.epoch = ferry_reader_u32(&d.reader);
    ferry_decoder_reserved(&d);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_preamble = preamble;
    }
    return rc;
}

static void put_identity(struct ferry_writer *writer,
                         const struct ferry_identity *identity)
{
    uint32_t i;

    assert(identity->key_count <= FERRY_KEYS_MAX);
    ferry_stream_put_text(writer, identity->model, FERRY_MODEL_BYTES);
    ferry_writer_u32(writer, identity->state_version);
    ferry_writer_u32(writer, identity->state_version_min);
    ferry_writer_u16(writer, identity->pci_vendor);
    ferry_writer_u16(writer, identity->pci_device);
    ferry_writer_u16(writer, identity->pci_subvendor);
    ferry_writer_u16(writer, identity->pci_subdevice);
    ferry_writer_u32(writer, identity->pci_class);
    ferry_writer_u32(writer, identity->migration_flags);
    ferry_writer_u32(writer, identity->key_count);
    ferry_writer_u32(writer, identity->doorbell_latch);
    ferry_writer_u64(writer, identity->quiet_ns);
    ferry_writer_u64(writer, identity->stop_ns);
    ferry_writer_u64(writer, identity->load_ns);
    ferry_writer_u64(writer, identity->run_ns);
    for (i = 0; i < identity->key_count; i++) {
        ferry_stream_put_text(writer, identity->key[i].name, FERRY_KEY_BYTES);
        ferry_writer_u32(writer, identity->key[i].relation);
        ferry_writer_u32(writer, 0);
        ferry_writer_u64(writer, identity->key[i].value);
    }
}

static void get_key(struct ferry_decoder *d, struct ferry_compat_key *key)
{
    size_t off = d->reader.pos;

    ferry_decoder_text(d, key->name, FERRY_KEY_BYTES);
    if (key->name[0] == '\0') {
        ferry_decoder_fail(d, FERRY_E_PROTOCOL, "STR-PAY-4", off, "a key has no name", 0);
    }
    key->relation = ferry_decoder_u32_max(d, FERRY_KEY_SUPERSET, FERRY_E_PROTOCOL,
                                          "STR-PAY-6", "an unknown relation");
    if (key->relation == 0) {
        ferry_decoder_fail(d, FERRY_E_PROTOCOL, "STR-PAY-6", off + FERRY_KEY_BYTES,
                           "no relation", 0);
    }
    ferry_decoder_reserved(d);
    key->value = ferry_reader_u64(&d->reader);
}

static void get_identity(struct ferry_decoder *d, struct ferry_identity *identity)
{
    struct ferry_reader *r = &d->reader;
    uint32_t i;

    ferry_decoder_text(d, identity->model, FERRY_MODEL_BYTES);
    identity->state_version = ferry_reader_u32(r);
    identity->state_version_min = ferry_reader_u32(r);
    identity->pci_vendor = ferry_reader_u16(r);
    identity->pci_device = ferry_reader_u16(r);
    identity->pci_subvendor = ferry_reader_u16(r);
    identity->pci_subdevice = ferry_reader_u16(r);
    identity->pci_class = ferry_reader_u32(r);
    identity->migration_flags = ferry_decoder_u32_max(
        d, MIG_FLAGS, FERRY_E_PROTOCOL, "STR-PAY-6", "unknown migration flags");
    identity->key_count = ferry_decoder_u32_max(d, FERRY_KEYS_MAX, FERRY_E_LIMIT,
                                                "STR-PAY-3", "too many keys");
    identity->doorbell_latch = ferry_decoder_bool(d);
    identity->quiet_ns = ferry_decoder_ns(d);
    identity->stop_ns = ferry_decoder_ns(d);
    identity->load_ns = ferry_decoder_ns(d);
    identity->run_ns = ferry_decoder_ns(d);
    for (i = 0; i < identity->key_count; i++) {
        get_key(d, &identity->key[i]);
    }
}

void ferry_stream_put_hello_device(struct ferry_writer *writer,
                                   const struct ferry_stream_hello_device *hello)
{
    ferry_stream_put_text(writer, hello->name, sizeof(hello->name));
    ferry_writer_u32(writer, hello->features);
    ferry_writer_u32(writer, hello->can_log);
    ferry_writer_u32(writer, hello->reaches_peer);
    ferry_writer_u32(writer, hello->peer);
    put_identity(writer, &hello->identity);
}

int ferry_stream_get_hello_device(const void *payload, size_t bytes,
                                  struct ferry_stream_hello_device *ret_hello,
                                  struct ferry_error *reterr)
{
    struct ferry_stream_hello_device hello;
    struct ferry_decoder d;
    int rc;

    /* Keys that are not there are 0 in the result, not what the stack held. */
    memset(&hello, 0, sizeof(hello));
    ferry_decoder_init(&d, FERRY_REC_HELLO_DEVICE, payload, bytes, reterr);
    ferry_decoder_text(&d, hello.name, sizeof(hello.name));
    if (hello.name[0] == '\0') {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-PAY-4", 0, "the device has no name",
                           0);
    }
    hello.features = ferry_decoder_u32_max(&d, MIG_FLAGS, FERRY_E_PROTOCOL, "STR-PAY-6",
                                           "unknown migration flags");
    hello.can_log = ferry_decoder_bool(&d);
    hello.reaches_peer = ferry_decoder_bool(&d);
    hello.peer =
        ferry_decoder_u32_max(&d, hello.reaches_peer ? FERRY_SESSION_DEVICES_MAX - 1 : 0,
                              FERRY_E_PROTOCOL, "STR-PAY-3", "no such peer");
    get_identity(&d, &hello.identity);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_hello = hello;
    }
    return rc;
}

void ferry_stream_put_hello_v1(struct ferry_writer *writer,
                               const struct ferry_stream_hello_v1 *hello)
{
    ferry_writer_u32(writer, hello->implicit_quiesce);
    ferry_writer_u32(writer, hello->any_chunks);
}

int ferry_stream_get_hello_v1(const void *payload, size_t bytes,
                              struct ferry_stream_hello_v1 *ret_hello,
                              struct ferry_error *reterr)
{
    struct ferry_stream_hello_v1 hello;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_HELLO_V1, payload, bytes, reterr);
    hello.implicit_quiesce = ferry_decoder_bool(&d);
    hello.any_chunks = ferry_decoder_bool(&d);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_hello = hello;
    }
    return rc;
}

void ferry_stream_put_hello_memory(struct ferry_writer *writer,
                                   const struct ferry_stream_hello_memory *hello)
{
    ferry_writer_u32(writer, hello->index);
    ferry_writer_u32(writer, hello->writable);
    ferry_writer_u64(writer, hello->iova);
    ferry_writer_u64(writer, hello->size);
}

int ferry_stream_get_hello_memory(const void *payload, size_t bytes,
                                  struct ferry_stream_hello_memory *ret_hello,
                                  struct ferry_error *reterr)
{
    struct ferry_stream_hello_memory hello;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_HELLO_MEMORY, payload, bytes, reterr);
    hello.index = ferry_decoder_u32_max(&d, FERRY_STREAM_MEMORIES_MAX - 1, FERRY_E_LIMIT,
                                        "STR-PAY-3", "too many memory regions");
    hello.writable = ferry_decoder_bool(&d);
    hello.iova = ferry_reader_u64(&d.reader);
    hello.size = ferry_reader_u64(&d.reader);
    ferry_decoder_check_pages(&d, 8, hello.iova, hello.size);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_hello = hello;
    }
    return rc;
}

void ferry_stream_put_hello(struct ferry_writer *writer,
                            const struct ferry_stream_hello *hello)
{
    ferry_writer_u32(writer, hello->device_count);
    ferry_writer_u32(writer, hello->memory_count);
    ferry_writer_u32(writer, hello->page_bytes);
    ferry_writer_u32(writer, hello->arbiter);
    ferry_writer_u64(writer, hello->max_downtime_ns);
    ferry_writer_u64(writer, hello->stop_deadline_ns);
    ferry_writer_u64(writer, hello->arc_limit_ns);
    ferry_writer_u64(writer, hello->peer_limit_ns);
}

int ferry_stream_get_hello(const void *payload, size_t bytes,
                           struct ferry_stream_hello *ret_hello,
                           struct ferry_error *reterr)
{
    struct ferry_stream_hello hello;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_HELLO, payload, bytes, reterr);
    hello.device_count = ferry_decoder_u32_max(
        &d, FERRY_SESSION_DEVICES_MAX, FERRY_E_LIMIT, "STR-PAY-3", "too many devices");
    if (hello.device_count == 0) {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-PAY-3", 0, "no device moves", 0);
    }
    hello.memory_count =
        ferry_decoder_u32_max(&d, FERRY_STREAM_MEMORIES_MAX, FERRY_E_LIMIT, "STR-PAY-3",
                              "too many memory regions");
    hello.page_bytes = ferry_reader_u32(&d.reader);
    if (!ferry_is_power_of_2(hello.page_bytes) ||
        hello.page_bytes < FERRY_STREAM_PAGE_BYTES) {
        ferry_decoder_fail(&d, FERRY_E_ALIGN, "STR-PAY-5", 8, "no page size",
                           hello.page_bytes);
    }
    hello.arbiter = ferry_decoder_u32_max(&d, FERRY_ARBITER_SHARED, FERRY_E_PROTOCOL,
                                          "STR-PAY-6", "an unknown kind of arbiter");
    hello.max_downtime_ns = ferry_decoder_ns(&d);
    hello.stop_deadline_ns = ferry_decoder_ns(&d);
    hello.arc_limit_ns = ferry_decoder_ns(&d);
    hello.peer_limit_ns = ferry_decoder_ns(&d);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_hello = hello;
    }
    return rc;
}
