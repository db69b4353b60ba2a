/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/file/fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- collecting --- */

/* Takes a formatted text into the arena. NULL: no room. */
static const char *keep(struct ferry_fields *fields, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static const char *keep(struct ferry_fields *fields, const char *format, va_list args)
{
    size_t room = sizeof(fields->text) - fields->used;
    char *at = fields->text + fields->used;
    int length = vsnprintf(at, room, format, args);

    if (length < 0 || (size_t)length >= room) {
        return NULL;
    }
    fields->used += (size_t)length + 1;
    return at;
}

static struct ferry_show_field *add(struct ferry_fields *fields, const char *name,
                                    uint32_t kind, uint64_t value)
{
    struct ferry_show_field *field;

    if (fields->count == FERRY_FIELDS_MAX || name == NULL) {
        return NULL;
    }
    field = &fields->field[fields->count++];
    field->name = name;
    field->text = NULL;
    field->number = value;
    field->kind = kind;
    field->pad = 0;
    return field;
}

void ferry_fields_number(struct ferry_fields *fields, const char *name, uint32_t kind,
                         uint64_t value)
{
    (void)add(fields, name, kind, value);
}

void ferry_fields_named(struct ferry_fields *fields, uint32_t kind, uint64_t value,
                        const char *format, ...)
{
    const char *name;
    va_list args;

    va_start(args, format);
    name = keep(fields, format, args);
    va_end(args);
    (void)add(fields, name, kind, value);
}

void ferry_fields_text(struct ferry_fields *fields, const char *name, const char *format,
                       ...)
{
    struct ferry_show_field *field;
    const char *text;
    va_list args;

    va_start(args, format);
    text = keep(fields, format, args);
    va_end(args);
    field = text ? add(fields, name, FERRY_SHOW_TEXT, 0) : NULL;
    if (field) {
        field->text = text;
    }
}

/* --- records --- */

static void id(struct ferry_fields *fields, const uint8_t *session_id, uint32_t epoch)
{
    char text[2 * FERRY_STREAM_ID_BYTES + 1];

    for (size_t i = 0; i < FERRY_STREAM_ID_BYTES; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", session_id[i]);
    }
    ferry_fields_text(fields, "session_id", "%s", text);
    ferry_fields_number(fields, "epoch", FERRY_SHOW_NUMBER, epoch);
}

static void features(struct ferry_fields *fields, const char *name, uint32_t flags)
{
    ferry_fields_text(fields, name, "%s%s%s",
                      flags & FERRY_MIG_STOP_COPY ? "STOP_COPY" : "none",
                      flags & FERRY_MIG_P2P ? "|P2P" : "",
                      flags & FERRY_MIG_PRE_COPY ? "|PRE_COPY" : "");
}

static void identity(struct ferry_fields *fields, const struct ferry_identity *identity)
{
    static const char *const relation[] = { "?", "equal", "at least", "superset" };

    ferry_fields_text(fields, "model", "%s", identity->model);
    ferry_fields_text(fields, "pci", "%04x:%04x", identity->pci_vendor,
                      identity->pci_device);
    ferry_fields_text(fields, "subsystem", "%04x:%04x", identity->pci_subvendor,
                      identity->pci_subdevice);
    ferry_fields_number(fields, "class", FERRY_SHOW_HEX, identity->pci_class);
    ferry_fields_number(fields, "state_version", FERRY_SHOW_NUMBER,
                        identity->state_version);
    ferry_fields_number(fields, "state_version_min", FERRY_SHOW_NUMBER,
                        identity->state_version_min);
    features(fields, "migration_flags", identity->migration_flags);
    ferry_fields_number(fields, "doorbell_latch", FERRY_SHOW_NUMBER,
                        identity->doorbell_latch);
    ferry_fields_number(fields, "quiet", FERRY_SHOW_NS, identity->quiet_ns);
    ferry_fields_number(fields, "stop", FERRY_SHOW_NS, identity->stop_ns);
    ferry_fields_number(fields, "load", FERRY_SHOW_NS, identity->load_ns);
    ferry_fields_number(fields, "run", FERRY_SHOW_NS, identity->run_ns);
    for (uint32_t i = 0; i < identity->key_count && i < FERRY_KEYS_MAX; i++) {
        const struct ferry_compat_key *key = &identity->key[i];

        ferry_fields_text(fields, "key", "%s %s 0x%llx", key->name,
                          relation[key->relation <= 3 ? key->relation : 0],
                          (unsigned long long)key->value);
    }
}

static int hello(struct ferry_fields *fields, uint32_t tag, const uint8_t *payload,
                 size_t bytes, struct ferry_error *reterr)
{
    struct ferry_stream_preamble preamble;
    struct ferry_stream_hello_device device;
    struct ferry_stream_hello_v1 v1;
    struct ferry_stream_hello_memory memory;
    struct ferry_stream_hello hello;
    int rc;

    if (tag == FERRY_REC_PREAMBLE) {
        rc = ferry_stream_get_preamble(payload, bytes, &preamble, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_number(fields, "version", FERRY_SHOW_NUMBER, preamble.version);
            ferry_fields_number(fields, "version_min", FERRY_SHOW_NUMBER,
                                preamble.version_min);
            id(fields, preamble.session_id, preamble.epoch);
        }
        return rc;
    }
    if (tag == FERRY_REC_HELLO_DEVICE) {
        rc = ferry_stream_get_hello_device(payload, bytes, &device, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_text(fields, "name", "%s", device.name);
            features(fields, "features", device.features);
            ferry_fields_number(fields, "can_log", FERRY_SHOW_NUMBER, device.can_log);
            if (device.reaches_peer) {
                ferry_fields_number(fields, "peer", FERRY_SHOW_NUMBER, device.peer);
            }
            identity(fields, &device.identity);
        }
        return rc;
    }
    if (tag == FERRY_REC_HELLO_V1) {
        rc = ferry_stream_get_hello_v1(payload, bytes, &v1, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_number(fields, "implicit_quiesce", FERRY_SHOW_NUMBER,
                                v1.implicit_quiesce);
            ferry_fields_number(fields, "any_chunks", FERRY_SHOW_NUMBER, v1.any_chunks);
        }
        return rc;
    }
    if (tag == FERRY_REC_HELLO_MEMORY) {
        rc = ferry_stream_get_hello_memory(payload, bytes, &memory, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_number(fields, "region", FERRY_SHOW_NUMBER, memory.index);
            ferry_fields_number(fields, "iova", FERRY_SHOW_HEX, memory.iova);
            ferry_fields_number(fields, "size", FERRY_SHOW_BYTES, memory.size);
            ferry_fields_number(fields, "writable", FERRY_SHOW_NUMBER, memory.writable);
        }
        return rc;
    }
    rc = ferry_stream_get_hello(payload, bytes, &hello, reterr);
    if (rc == FERRY_OK) {
        ferry_fields_number(fields, "devices", FERRY_SHOW_NUMBER, hello.device_count);
        ferry_fields_number(fields, "memory_regions", FERRY_SHOW_NUMBER,
                            hello.memory_count);
        ferry_fields_number(fields, "page", FERRY_SHOW_BYTES, hello.page_bytes);
        ferry_fields_text(fields, "arbiter", "%s", hello.arbiter ? "shared" : "none");
        ferry_fields_number(fields, "max_downtime", FERRY_SHOW_NS, hello.max_downtime_ns);
        ferry_fields_number(fields, "stop_deadline", FERRY_SHOW_NS,
                            hello.stop_deadline_ns);
        ferry_fields_number(fields, "arc_limit", FERRY_SHOW_NS, hello.arc_limit_ns);
        ferry_fields_number(fields, "peer_limit", FERRY_SHOW_NS, hello.peer_limit_ns);
    }
    return rc;
}

static void range(struct ferry_fields *fields, const struct ferry_file_check *check,
                  uint32_t region, uint64_t off, uint64_t bytes)
{
    ferry_fields_number(fields, "region", FERRY_SHOW_NUMBER, region);
    ferry_fields_number(fields, "offset", FERRY_SHOW_HEX, off);
    if (region < check->order.memory_count) {
        ferry_fields_number(fields, "iova", FERRY_SHOW_HEX,
                            check->memory[region].iova + off);
    }
    ferry_fields_number(fields, "length", FERRY_SHOW_BYTES, bytes);
}

static int memory_record(struct ferry_fields *fields,
                         const struct ferry_file_check *check, uint32_t tag,
                         const uint8_t *payload, size_t bytes, struct ferry_error *reterr)
{
    struct ferry_stream_memory_end end;
    struct ferry_stream_pages pages;
    struct ferry_stream_zero zero;
    struct ferry_stream_vmm vmm;
    int rc;

    if (tag == FERRY_REC_MEMORY_PAGES) {
        rc = ferry_stream_get_pages(payload, bytes, &pages, reterr);
        if (rc == FERRY_OK) {
            range(fields, check, pages.memory, pages.off, pages.bytes);
        }
    } else if (tag == FERRY_REC_MEMORY_ZERO) {
        rc = ferry_stream_get_zero(payload, bytes, &zero, reterr);
        if (rc == FERRY_OK) {
            range(fields, check, zero.memory, zero.off, zero.bytes);
        }
    } else if (tag == FERRY_REC_VMM_STATE) {
        rc = ferry_stream_get_vmm(payload, bytes, &vmm, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_number(fields, "total", FERRY_SHOW_BYTES, vmm.total);
            ferry_fields_number(fields, "offset", FERRY_SHOW_HEX, vmm.off);
            ferry_fields_number(fields, "length", FERRY_SHOW_BYTES, vmm.bytes);
        }
    } else {
        rc = ferry_stream_get_memory_end(payload, bytes, &end, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_number(fields, "pages", FERRY_SHOW_NUMBER, end.pages);
            ferry_fields_number(fields, "carried", FERRY_SHOW_BYTES, end.bytes);
        }
    }
    return rc;
}

static void hash(struct ferry_fields *fields, uint64_t low, uint64_t high)
{
    ferry_fields_text(fields, "hash", "%016llx%016llx", (unsigned long long)high,
                      (unsigned long long)low);
}

static int device_record(struct ferry_fields *fields, uint32_t tag,
                         const uint8_t *payload, size_t bytes, struct ferry_error *reterr)
{
    struct ferry_stream_device_end end;
    struct ferry_stream_config config;
    struct ferry_stream_irqs irqs;
    int rc;

    if (tag == FERRY_REC_DEVICE_END) {
        rc = ferry_stream_get_device_end(payload, bytes, &end, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_number(fields, "length", FERRY_SHOW_BYTES, end.bytes);
            hash(fields, end.hash_low, end.hash_high);
        }
        return rc;
    }
    if (tag == FERRY_REC_DEVICE_CONFIG) {
        rc = ferry_stream_get_config(payload, bytes, &config, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_config(fields, &config);
        }
        return rc;
    }
    rc = ferry_stream_get_irqs(payload, bytes, &irqs, reterr);
    if (rc == FERRY_OK) {
        ferry_fields_number(fields, "pending", FERRY_SHOW_NUMBER, irqs.count);
        for (uint32_t i = 0; i < irqs.count; i++) {
            ferry_fields_number(fields, "vector", FERRY_SHOW_NUMBER, irqs.vector[i]);
        }
    }
    return rc;
}

static void times(struct ferry_fields *fields, const struct ferry_stream_times *device,
                  uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ferry_fields_named(fields, FERRY_SHOW_NS, device[i].load_ns, "device%u_load", i);
        ferry_fields_named(fields, FERRY_SHOW_NS, device[i].run_ns, "device%u_run", i);
    }
}

static int answer(struct ferry_fields *fields, uint32_t tag, const uint8_t *payload,
                  size_t bytes, struct ferry_error *reterr)
{
    struct ferry_stream_accept accept;
    struct ferry_stream_running running;
    struct ferry_stream_reason reason;
    struct ferry_stream_token token;
    int rc;

    if (tag == FERRY_REC_ACCEPT) {
        rc = ferry_stream_get_accept(payload, bytes, &accept, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_number(fields, "load_rate", FERRY_SHOW_BYTES,
                                accept.load_rate_bytes_per_s);
            times(fields, accept.device, accept.device_count);
        }
    } else if (tag == FERRY_REC_RUNNING) {
        rc = ferry_stream_get_running(payload, bytes, &running, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_number(fields, "prepare", FERRY_SHOW_NS, running.prepare_ns);
            ferry_fields_number(fields, "run", FERRY_SHOW_NS, running.run_ns);
            ferry_fields_number(fields, "lost", FERRY_SHOW_HEX, running.lost);
            times(fields, running.device, running.device_count);
        }
    } else if (tag == FERRY_REC_REFUSE || tag == FERRY_REC_ABORT) {
        rc = ferry_stream_get_reason(payload, bytes, &reason, reterr);
        if (rc == FERRY_OK) {
            ferry_fields_text(fields, "code", "%s", ferry_status_name(reason.code));
            ferry_fields_text(fields, "rule", "%s", reason.rule);
            ferry_fields_text(fields, "text", "%s", reason.text);
        }
    } else {
        rc = ferry_stream_get_token(payload, bytes, &token, reterr);
        if (rc == FERRY_OK) {
            id(fields, token.session_id, token.epoch);
        }
    }
    return rc;
}

static int file_end(struct ferry_fields *fields, const uint8_t *payload, size_t bytes,
                    struct ferry_error *reterr)
{
    struct ferry_stream_file_end end;
    int rc = ferry_stream_get_file_end(payload, bytes, &end, reterr);

    if (rc == FERRY_OK) {
        ferry_fields_number(fields, "records", FERRY_SHOW_NUMBER, end.records);
        ferry_fields_number(fields, "length", FERRY_SHOW_BYTES, end.bytes);
        hash(fields, end.hash_low, end.hash_high);
    }
    return rc;
}

int ferry_fields_decode(struct ferry_fields *fields, const struct ferry_file_check *check,
                        const struct ferry_record *record, const uint8_t *payload,
                        const uint8_t **ret_data, size_t *ret_bytes,
                        struct ferry_error *reterr)
{
    size_t bytes = (size_t)record->payload_bytes;

    switch ((enum ferry_record_tag)record->tag) {
    case FERRY_REC_PREAMBLE:
    case FERRY_REC_HELLO_DEVICE:
    case FERRY_REC_HELLO_V1:
    case FERRY_REC_HELLO_MEMORY:
    case FERRY_REC_HELLO:
        return hello(fields, record->tag, payload, bytes, reterr);
    case FERRY_REC_MEMORY_PAGES:
    case FERRY_REC_VMM_STATE:
        *ret_data = payload + FERRY_STREAM_PREFIX_BYTES;
        *ret_bytes = bytes - FERRY_STREAM_PREFIX_BYTES;
        return memory_record(fields, check, record->tag, payload, bytes, reterr);
    case FERRY_REC_MEMORY_ZERO:
    case FERRY_REC_MEMORY_END:
        return memory_record(fields, check, record->tag, payload, bytes, reterr);
    case FERRY_REC_DEVICE_DATA:
        *ret_data = payload;
        *ret_bytes = bytes;
        return FERRY_OK;
    case FERRY_REC_DEVICE_END:
    case FERRY_REC_DEVICE_CONFIG:
    case FERRY_REC_DEVICE_IRQS:
        return device_record(fields, record->tag, payload, bytes, reterr);
    case FERRY_REC_ACCEPT:
    case FERRY_REC_REFUSE:
    case FERRY_REC_PREPARED:
    case FERRY_REC_COMMIT:
    case FERRY_REC_RUNNING:
    case FERRY_REC_RETURN:
    case FERRY_REC_ABORT:
        return answer(fields, record->tag, payload, bytes, reterr);
    case FERRY_REC_DEVICE_INITIAL:
    case FERRY_REC_ALL_SENT:
    case FERRY_REC_INITIAL_DONE:
        return ferry_stream_get_empty(record->tag, bytes, reterr);
    case FERRY_REC_FILE_END:
        return file_end(fields, payload, bytes, reterr);
    case FERRY_REC_PACKED:
    case FERRY_REC_CONNECTIONS: /* no file holds these three */
    case FERRY_REC_ATTACH:
    case FERRY_REC_BARRIER:
    case FERRY_REC_TAG_END:
        break;
    }
    return FERRY_OK;
}
