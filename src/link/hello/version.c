/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <json-c/json.h>

#include "base/reader.h"
#include "base/writer.h"
#include "link/hello/identity_json.h"
#include "link/hello/version.h"

#define HEAD_BYTES 4

static int add(struct json_object *object, const char *name, struct json_object *value)
{
    if (!value) {
        return FERRY_E_MEMORY;
    }
    if (json_object_object_add(object, name, value)) {
        json_object_put(value);
        return FERRY_E_MEMORY;
    }
    return FERRY_OK;
}

void ferry_link_version_default(struct ferry_link_version *version)
{
    memset(version, 0, sizeof(*version));
    version->major = FERRY_LINK_MAJOR;
    version->minor = FERRY_LINK_MINOR;
    version->max_msg_fds = FERRY_LINK_DEFAULT_FDS;
    version->max_data_xfer_bytes = FERRY_LINK_DEFAULT_DATA;
    version->max_dma_maps = FERRY_LINK_DEFAULT_DMA_MAPS;
    version->pgsizes = FERRY_LINK_DEFAULT_PGSIZES;
}

/* A limit of the peer; one larger than 32 bits is as good as the largest. */
static int read_limit(struct json_object *caps, const char *name, uint32_t key,
                      struct ferry_link_version *version, uint32_t *ret_limit,
                      struct ferry_error *reterr)
{
    uint64_t value;
    int rc = ferry_json_number(caps, name, UINT64_MAX, &value, reterr);

    if (rc == FERRY_E_NOT_FOUND) {
        return FERRY_OK;
    }
    if (rc == FERRY_OK) {
        *ret_limit = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
        version->keys |= key;
    }
    return rc;
}

static int read_limits(struct json_object *caps, struct ferry_link_version *version,
                       struct ferry_error *reterr)
{
    uint64_t pgsizes;
    int rc = read_limit(caps, "max_msg_fds", FERRY_LINK_KEY_FDS, version,
                        &version->max_msg_fds, reterr);

    if (rc == FERRY_OK) {
        rc = read_limit(caps, "max_data_xfer_size", FERRY_LINK_KEY_DATA, version,
                        &version->max_data_xfer_bytes, reterr);
    }
    if (rc == FERRY_OK) {
        rc = read_limit(caps, "max_dma_maps", FERRY_LINK_KEY_DMA_MAPS, version,
                        &version->max_dma_maps, reterr);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    if (version->max_data_xfer_bytes == 0) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"max_data_xfer_size\" is 0");
    }
    rc = ferry_json_number(caps, "pgsizes", UINT64_MAX, &pgsizes, reterr);
    if (rc == FERRY_OK) {
        version->pgsizes = pgsizes;
        version->keys |= FERRY_LINK_KEY_PGSIZES;
    }
    return rc == FERRY_E_NOT_FOUND ? FERRY_OK : rc;
}

static int read_flags(struct json_object *caps, struct ferry_link_version *version,
                      struct ferry_error *reterr)
{
    struct json_object *object;
    uint64_t index;
    int rc = ferry_json_flag(caps, "write_multiple", &version->write_multiple, reterr);

    if (rc == FERRY_OK) {
        version->keys |= FERRY_LINK_KEY_WRITE_MULTIPLE;
    } else if (rc != FERRY_E_NOT_FOUND) {
        return rc;
    }
    if (json_object_object_get_ex(caps, "migration", &object)) {
        /*
         * Gone from the specification; older peers still send it. Nothing in it
         * binds.
         */
        version->keys |= FERRY_LINK_KEY_MIGRATION;
    }
    if (!json_object_object_get_ex(caps, "twin_socket", &object)) {
        return FERRY_OK;
    }
    if (!json_object_is_type(object, json_type_object)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"twin_socket\" is not an object");
    }
    version->keys |= FERRY_LINK_KEY_TWIN;
    rc = ferry_json_flag(object, "supported", &version->twin_socket, reterr);
    if (rc == FERRY_OK || rc == FERRY_E_NOT_FOUND) {
        rc = ferry_json_number(object, "fd_index", UINT32_MAX, &index, reterr);
    }
    if (rc == FERRY_OK) {
        version->twin_index = (uint32_t)index;
        version->twin_fd = 1;
    }
    return rc == FERRY_E_NOT_FOUND ? FERRY_OK : rc;
}

static int read_extension(struct json_object *caps, struct ferry_link_version *version,
                          struct ferry_identity *identity, struct ferry_error *reterr)
{
    struct json_object *ferry;
    struct json_object *device;
    uint64_t number = 0;
    int rc;

    if (!json_object_object_get_ex(caps, "ferry", &ferry)) {
        return FERRY_OK;
    }
    if (!json_object_is_type(ferry, json_type_object)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"ferry\" is not an object");
    }
    rc = ferry_json_number(ferry, "version", UINT32_MAX, &number, reterr);
    if (rc == FERRY_E_NOT_FOUND || (rc == FERRY_OK && number == 0)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"ferry\" has no version");
    }
    if (rc == FERRY_OK) {
        version->extension = (uint32_t)number;
        version->keys |= FERRY_LINK_KEY_FERRY;
        rc = ferry_json_flag(ferry, "notices", &version->notices, reterr);
    }
    if (rc == FERRY_OK || rc == FERRY_E_NOT_FOUND) {
        rc = ferry_json_flag(ferry, "precopy_info", &version->precopy_info, reterr);
    }
    if (rc == FERRY_OK || rc == FERRY_E_NOT_FOUND) {
        rc = ferry_json_flag(ferry, "dirty_runs", &version->dirty_runs, reterr);
    }
    if (rc == FERRY_OK || rc == FERRY_E_NOT_FOUND) {
        rc = ferry_json_flag(ferry, "data_fd", &version->data_fd, reterr);
    }
    if (rc == FERRY_OK || rc == FERRY_E_NOT_FOUND) {
        rc = ferry_json_flag(ferry, "counters", &version->counters, reterr);
    }
    if (rc == FERRY_OK || rc == FERRY_E_NOT_FOUND) {
        rc = ferry_json_flag(ferry, "twin_socket", &version->twin_wanted, reterr);
    }
    if (rc != FERRY_OK && rc != FERRY_E_NOT_FOUND) {
        return rc;
    }
    if (!identity || !json_object_object_get_ex(ferry, "device", &device)) {
        return FERRY_OK;
    }
    rc = ferry_identity_from_json(device, identity, reterr);
    version->has_identity = rc == FERRY_OK;
    return rc;
}

static int read_json(struct json_object *root, struct ferry_link_version *version,
                     struct ferry_identity *identity, struct ferry_error *reterr)
{
    struct json_object *caps;
    int rc;

    if (!json_object_is_type(root, json_type_object)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, HEAD_BYTES,
                               "VERSION: the text is not a JSON object");
    }
    if (!json_object_object_get_ex(root, "capabilities", &caps)) {
        return FERRY_OK;
    }
    if (!json_object_is_type(caps, json_type_object)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, HEAD_BYTES,
                               "VERSION: \"capabilities\" is not an object");
    }
    rc = read_limits(caps, version, reterr);
    if (rc == FERRY_OK) {
        rc = read_flags(caps, version, reterr);
    }
    if (rc == FERRY_OK) {
        rc = read_extension(caps, version, identity, reterr);
    }
    return rc;
}

static int parse_text(const char *text, size_t length, struct json_object **ret_root,
                      struct ferry_error *reterr)
{
    struct json_tokener *tokener = json_tokener_new_ex(FERRY_LINK_JSON_DEPTH);
    enum json_tokener_error why;
    struct json_object *root;
    size_t end;
    int rc = FERRY_OK;

    if (!tokener) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "link", NULL, 0, "out of memory");
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* With its NUL, so that the parser sees the end of a bare number or word. */
    root = json_tokener_parse_ex(tokener, text, (int)length + 1);
    why = json_tokener_get_error(tokener);
    end = json_tokener_get_parse_end(tokener);
    if (why == json_tokener_error_depth) {
        rc = ferry_error_set(reterr, FERRY_E_LIMIT, "link", NULL, HEAD_BYTES + end,
                             "VERSION: JSON deeper than %d", FERRY_LINK_JSON_DEPTH);
    } else if (why != json_tokener_success) {
        rc = ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, HEAD_BYTES + end,
                             "VERSION: JSON: %s", json_tokener_error_desc(why));
    }
    json_tokener_free(tokener);
    if (rc != FERRY_OK) {
        json_object_put(root);
        return rc;
    }
    *ret_root = root;
    return FERRY_OK;
}

int ferry_link_version_parse(const void *payload, size_t size,
                             struct ferry_link_version *ret_version,
                             struct ferry_identity *ret_identity,
                             struct ferry_error *reterr)
{
    struct ferry_link_version version;
    struct ferry_reader reader;
    struct json_object *root = NULL;
    const char *text;
    size_t length;
    int rc;

    if (size > FERRY_LINK_VERSION_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "link", NULL, 0,
                               "VERSION: %zu bytes, the limit is %d", size,
                               FERRY_LINK_VERSION_MAX);
    }
    ferry_link_version_default(&version);
    ferry_reader_init(&reader, payload, size);
    version.major = ferry_reader_u16(&reader);
    version.minor = ferry_reader_u16(&reader);
    if (reader.failed) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: %zu bytes, at least 4 are needed", size);
    }
    if (version.major != FERRY_LINK_MAJOR) {
        return ferry_error_set(reterr, FERRY_E_VERSION, "link", NULL, 0,
                               "VERSION: the peer speaks major version %u, not %d",
                               version.major, FERRY_LINK_MAJOR);
    }
    length = ferry_reader_remaining(&reader);
    if (length > 0) {
        text = (const char *)payload + HEAD_BYTES;
        if (!memchr(text, 0, length)) {
            return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, size,
                                   "VERSION: the text does not end with a NUL");
        }
        rc = parse_text(text, strlen(text), &root, reterr);
        if (rc == FERRY_OK) {
            rc = read_json(root, &version, ret_identity, reterr);
        }
        json_object_put(root);
        if (rc != FERRY_OK) {
            return rc;
        }
    }
    *ret_version = version;
    return FERRY_OK;
}

static int add_extension(struct json_object *caps,
                         const struct ferry_link_version *version,
                         const struct ferry_identity *identity)
{
    struct json_object *ferry = json_object_new_object();
    int rc = add(caps, "ferry", ferry);

    if (rc == FERRY_OK) {
        rc = add(ferry, "version", json_object_new_uint64(version->extension));
    }
    if (rc == FERRY_OK && version->notices) {
        rc = add(ferry, "notices", json_object_new_boolean(1));
    }
    if (rc == FERRY_OK && version->precopy_info) {
        rc = add(ferry, "precopy_info", json_object_new_boolean(1));
    }
    if (rc == FERRY_OK && version->dirty_runs) {
        rc = add(ferry, "dirty_runs", json_object_new_boolean(1));
    }
    if (rc == FERRY_OK && version->data_fd) {
        rc = add(ferry, "data_fd", json_object_new_boolean(1));
    }
    if (rc == FERRY_OK && version->counters) {
        rc = add(ferry, "counters", json_object_new_boolean(1));
    }
    if (rc == FERRY_OK && version->twin_wanted) {
        rc = add(ferry, "twin_socket", json_object_new_boolean(1));
    }
    if (rc == FERRY_OK && identity) {
        rc = add(ferry, "device", ferry_identity_to_json(identity));
    }
    return rc;
}

static int add_caps(struct json_object *caps, const struct ferry_link_version *version,
                    const struct ferry_identity *identity)
{
    struct json_object *twin;
    int rc = FERRY_OK;

    if (version->keys & FERRY_LINK_KEY_FDS) {
        rc = add(caps, "max_msg_fds", json_object_new_uint64(version->max_msg_fds));
    }
    if (rc == FERRY_OK && version->keys & FERRY_LINK_KEY_DATA) {
        rc = add(caps, "max_data_xfer_size",
                 json_object_new_uint64(version->max_data_xfer_bytes));
    }
    if (rc == FERRY_OK && version->keys & FERRY_LINK_KEY_DMA_MAPS) {
        rc = add(caps, "max_dma_maps", json_object_new_uint64(version->max_dma_maps));
    }
    if (rc == FERRY_OK && version->keys & FERRY_LINK_KEY_PGSIZES) {
        rc = add(caps, "pgsizes", json_object_new_uint64(version->pgsizes));
    }
    if (rc == FERRY_OK && version->keys & FERRY_LINK_KEY_WRITE_MULTIPLE) {
        rc =
            add(caps, "write_multiple", json_object_new_boolean(version->write_multiple));
    }
    if (rc == FERRY_OK && version->keys & FERRY_LINK_KEY_TWIN) {
        twin = json_object_new_object();
        rc = add(caps, "twin_socket", twin);
        if (rc == FERRY_OK) {
            rc = add(twin, "supported", json_object_new_boolean(version->twin_socket));
        }
        if (rc == FERRY_OK && version->twin_fd) {
            rc = add(twin, "fd_index", json_object_new_uint64(version->twin_index));
        }
    }
    if (rc == FERRY_OK && version->keys & FERRY_LINK_KEY_FERRY) {
        rc = add_extension(caps, version, identity);
    }
    return rc;
}

int ferry_link_version_format(const struct ferry_link_version *version,
                              const struct ferry_identity *identity, void *ret_payload,
                              size_t cap, size_t *ret_size)
{
    struct json_object *root = json_object_new_object();
    struct json_object *caps = json_object_new_object();
    struct ferry_writer writer;
    const char *text = NULL;
    int rc = FERRY_E_MEMORY;

    if (!root || !caps) {
        json_object_put(caps);
        goto out;
    }
    rc = add(root, "capabilities", caps);
    if (rc == FERRY_OK) {
        rc = add_caps(caps, version, identity);
    }
    if (rc != FERRY_OK) {
        goto out;
    }
    text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);
    if (!text) {
        rc = FERRY_E_MEMORY;
        goto out;
    }
    ferry_writer_init(&writer, ret_payload, cap);
    ferry_writer_u16(&writer, version->major);
    ferry_writer_u16(&writer, version->minor);
    ferry_writer_bytes(&writer, text, strlen(text) + 1);
    if (writer.overflow) {
        rc = FERRY_E_CAPACITY;
        goto out;
    }
    *ret_size = writer.pos;
out:
    json_object_put(root);
    return rc;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

int ferry_link_version_agree(const struct ferry_link_version *mine,
                             const struct ferry_link_version *theirs,
                             struct ferry_link_version *ret_agreed,
                             struct ferry_error *reterr)
{
    struct ferry_link_version agreed = *mine;

    if (theirs->major != mine->major) {
        return ferry_error_set(reterr, FERRY_E_VERSION, "link", NULL, 0,
                               "VERSION: the peer speaks major version %u, not %u",
                               theirs->major, mine->major);
    }
    agreed.minor = theirs->minor < mine->minor ? theirs->minor : mine->minor;
    agreed.max_msg_fds = least(mine->max_msg_fds, theirs->max_msg_fds);
    agreed.max_data_xfer_bytes =
        least(mine->max_data_xfer_bytes, theirs->max_data_xfer_bytes);
    agreed.max_dma_maps = least(mine->max_dma_maps, theirs->max_dma_maps);
    agreed.pgsizes = mine->pgsizes & theirs->pgsizes;
    if (agreed.pgsizes == 0) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: no common page size (0x%llx and 0x%llx)",
                               (unsigned long long)mine->pgsizes,
                               (unsigned long long)theirs->pgsizes);
    }
    agreed.extension = least(mine->extension, theirs->extension);
    agreed.notices = agreed.extension && mine->notices && theirs->notices;
    agreed.precopy_info = agreed.extension && mine->precopy_info && theirs->precopy_info;
    agreed.dirty_runs = agreed.extension && mine->dirty_runs && theirs->dirty_runs;
    agreed.data_fd = agreed.extension && mine->data_fd && theirs->data_fd;
    agreed.counters = agreed.extension && mine->counters && theirs->counters;
    agreed.twin_socket = mine->twin_socket && theirs->twin_socket;
    agreed.write_multiple = mine->write_multiple && theirs->write_multiple;
    agreed.has_identity = theirs->has_identity;
    *ret_agreed = agreed;
    return FERRY_OK;
}
