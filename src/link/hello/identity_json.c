/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "link/hello/identity_json.h"

static const struct {
    const char *word;
    uint32_t relation;
} relation_word[] = {
    { "equal", FERRY_KEY_EQUAL },
    { "at_least", FERRY_KEY_AT_LEAST },
    { "superset", FERRY_KEY_SUPERSET },
};

/* One whole number of the identity: its member, its size and place in the struct. */
struct number_member {
    const char *name;
    uint64_t max;
    size_t size;
    size_t place;
};

#define PLACE(member)                                                                    \
    sizeof(((struct ferry_identity *)0)->member), offsetof(struct ferry_identity, member)

static const struct number_member top_number[] = {
    { "state_version", UINT32_MAX, PLACE(state_version) },
    { "state_version_min", UINT32_MAX, PLACE(state_version_min) },
    { "migration_flags", UINT32_MAX, PLACE(migration_flags) },
    { "quiet_ns", UINT64_MAX, PLACE(quiet_ns) },
    { "stop_ns", UINT64_MAX, PLACE(stop_ns) },
    { "load_ns", UINT64_MAX, PLACE(load_ns) },
    { "run_ns", UINT64_MAX, PLACE(run_ns) },
};

static const struct number_member pci_number[] = {
    { "vendor", UINT16_MAX, PLACE(pci_vendor) },
    { "device", UINT16_MAX, PLACE(pci_device) },
    { "subvendor", UINT16_MAX, PLACE(pci_subvendor) },
    { "subdevice", UINT16_MAX, PLACE(pci_subdevice) },
    { "class", UINT32_MAX, PLACE(pci_class) },
};

/* True or false; written when it is true, but the first, which was there always. */
static const struct number_member flag_member[] = {
    { "doorbell_latch", 1, PLACE(doorbell_latch) },
    { "implicit_quiesce", 1, PLACE(implicit_quiesce) },
    { "any_chunks", 1, PLACE(any_chunks) },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t number_load(const struct ferry_identity *identity,
                            const struct number_member *member)
{
    const char *place = (const char *)identity + member->place;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    if (member->size == sizeof(u16)) {
        memcpy(&u16, place, sizeof(u16));
        return u16;
    }
    if (member->size == sizeof(u32)) {
        memcpy(&u32, place, sizeof(u32));
        return u32;
    }
    memcpy(&u64, place, sizeof(u64));
    return u64;
}

static void number_store(struct ferry_identity *identity,
                         const struct number_member *member, uint64_t value)
{
    char *place = (char *)identity + member->place;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;

    if (member->size == sizeof(u16)) {
        memcpy(place, &u16, sizeof(u16));
    } else if (member->size == sizeof(u32)) {
        memcpy(place, &u32, sizeof(u32));
    } else {
        memcpy(place, &value, sizeof(value));
    }
}

/* Gives value to the object, also when that fails. */
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

static int add_numbers(struct json_object *object, const struct ferry_identity *identity,
                       const struct number_member *member, size_t count)
{
    size_t i;
    int rc = FERRY_OK;

    for (i = 0; i < count && rc == FERRY_OK; i++) {
        rc = add(object, member[i].name,
                 json_object_new_uint64(number_load(identity, &member[i])));
    }
    return rc;
}

static int add_flags(struct json_object *object, const struct ferry_identity *identity)
{
    int rc = FERRY_OK;

    for (size_t i = 0; i < COUNT(flag_member) && rc == FERRY_OK; i++) {
        const int set = number_load(identity, &flag_member[i]) != 0;

        if (set || i == 0) {
            rc = add(object, flag_member[i].name, json_object_new_boolean(set));
        }
    }
    return rc;
}

static const char *relation_name(uint32_t relation)
{
    size_t i;

    for (i = 0; i < COUNT(relation_word); i++) {
        if (relation_word[i].relation == relation) {
            return relation_word[i].word;
        }
    }
    return "?";
}

static int add_keys(struct json_object *object, const struct ferry_identity *identity)
{
    struct json_object *keys = json_object_new_array();
    struct json_object *one;
    uint32_t i;
    int rc = add(object, "keys", keys);

    for (i = 0; i < identity->key_count && i < FERRY_KEYS_MAX && rc == FERRY_OK; i++) {
        one = json_object_new_object();
        if (!one) {
            return FERRY_E_MEMORY;
        }
        if (json_object_array_add(keys, one)) {
            json_object_put(one);
            return FERRY_E_MEMORY;
        }
        rc = add(one, "name", json_object_new_string(identity->key[i].name));
        if (rc == FERRY_OK) {
            rc = add(one, "relation",
                     json_object_new_string(relation_name(identity->key[i].relation)));
        }
        if (rc == FERRY_OK) {
            rc = add(one, "value", json_object_new_uint64(identity->key[i].value));
        }
    }
    return rc;
}

struct json_object *ferry_identity_to_json(const struct ferry_identity *identity)
{
    struct json_object *object = json_object_new_object();
    struct json_object *pci = json_object_new_object();
    int rc;

    if (!object || !pci) {
        json_object_put(object);
        json_object_put(pci);
        return NULL;
    }
    rc = add(object, "pci", pci);
    if (rc == FERRY_OK) {
        rc = add_numbers(pci, identity, pci_number, COUNT(pci_number));
    }
    if (rc == FERRY_OK) {
        rc = add(object, "model", json_object_new_string(identity->model));
    }
    if (rc == FERRY_OK) {
        rc = add_numbers(object, identity, top_number, COUNT(top_number));
    }
    if (rc == FERRY_OK) {
        rc = add_flags(object, identity);
    }
    if (rc == FERRY_OK) {
        rc = add_keys(object, identity);
    }
    if (rc != FERRY_OK) {
        json_object_put(object);
        return NULL;
    }
    return object;
}

int ferry_json_number(struct json_object *object, const char *name, uint64_t max,
                      uint64_t *ret_value, struct ferry_error *reterr)
{
    struct json_object *value;
    uint64_t number;

    if (!json_object_object_get_ex(object, name, &value)) {
        return FERRY_E_NOT_FOUND;
    }
    if (!json_object_is_type(value, json_type_int)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"%s\" is not a whole number", name);
    }
    /* json-c clamps: a negative number reads as 0 unless its sign is seen. */
    number = json_object_get_uint64(value);
    if (json_object_get_int64(value) < 0 || number > max) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"%s\" is out of range", name);
    }
    *ret_value = number;
    return FERRY_OK;
}

int ferry_json_flag(struct json_object *object, const char *name, uint8_t *ret_value,
                    struct ferry_error *reterr)
{
    struct json_object *value;

    if (!json_object_object_get_ex(object, name, &value)) {
        return FERRY_E_NOT_FOUND;
    }
    if (!json_object_is_type(value, json_type_boolean)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"%s\" is not true or false", name);
    }
    *ret_value = json_object_get_boolean(value) ? 1 : 0;
    return FERRY_OK;
}

/* Copies a text that fits into cap bytes with its NUL and holds no other NUL. */
static int take_text(struct json_object *object, const char *name, char *ret_text,
                     size_t cap, struct ferry_error *reterr)
{
    struct json_object *value;
    const char *text;
    size_t length;

    if (!json_object_object_get_ex(object, name, &value)) {
        return FERRY_E_NOT_FOUND;
    }
    if (!json_object_is_type(value, json_type_string)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"%s\" is not a text", name);
    }
    text = json_object_get_string(value);
    length = (size_t)json_object_get_string_len(value);
    if (length >= cap || strlen(text) != length) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"%s\" is longer than %zu bytes", name, cap - 1);
    }
    memset(ret_text, 0, cap);
    memcpy(ret_text, text, length);
    return FERRY_OK;
}

static int take_numbers(struct json_object *object, struct ferry_identity *identity,
                        const struct number_member *member, size_t count,
                        struct ferry_error *reterr)
{
    uint64_t value;
    size_t i;
    int rc;

    for (i = 0; i < count; i++) {
        rc = ferry_json_number(object, member[i].name, member[i].max, &value, reterr);
        if (rc == FERRY_OK) {
            number_store(identity, &member[i], value);
        } else if (rc != FERRY_E_NOT_FOUND) {
            return rc;
        }
    }
    return FERRY_OK;
}

static int take_flags(struct json_object *object, struct ferry_identity *identity,
                      struct ferry_error *reterr)
{
    for (size_t i = 0; i < COUNT(flag_member); i++) {
        uint8_t value = 0;
        const int rc = ferry_json_flag(object, flag_member[i].name, &value, reterr);

        if (rc != FERRY_OK && rc != FERRY_E_NOT_FOUND) {
            return rc;
        }
        number_store(identity, &flag_member[i], value);
    }
    return FERRY_OK;
}

static int take_key(struct json_object *object, struct ferry_compat_key *key,
                    struct ferry_error *reterr)
{
    char word[16];
    size_t i;
    int rc;

    if (!json_object_is_type(object, json_type_object)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: an entry of \"keys\" is not an object");
    }
    rc = take_text(object, "name", key->name, sizeof(key->name), reterr);
    if (rc == FERRY_OK) {
        rc = take_text(object, "relation", word, sizeof(word), reterr);
    }
    if (rc == FERRY_OK) {
        rc = ferry_json_number(object, "value", UINT64_MAX, &key->value, reterr);
    }
    if (rc == FERRY_E_NOT_FOUND) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: a key lacks name, relation or value");
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    for (i = 0; i < COUNT(relation_word); i++) {
        if (strcmp(relation_word[i].word, word) == 0) {
            key->relation = relation_word[i].relation;
            return FERRY_OK;
        }
    }
    return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                           "VERSION: key \"%s\" has an unknown relation", key->name);
}

static int take_keys(struct json_object *object, struct ferry_identity *identity,
                     struct ferry_error *reterr)
{
    struct json_object *keys;
    size_t count;
    size_t i;
    int rc = FERRY_OK;

    if (!json_object_object_get_ex(object, "keys", &keys)) {
        return FERRY_OK;
    }
    if (!json_object_is_type(keys, json_type_array)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"keys\" is not an array");
    }
    count = json_object_array_length(keys);
    if (count > FERRY_KEYS_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "link", NULL, 0,
                               "VERSION: %zu compatibility keys, the limit is %d", count,
                               FERRY_KEYS_MAX);
    }
    for (i = 0; i < count && rc == FERRY_OK; i++) {
        rc = take_key(json_object_array_get_idx(keys, i), &identity->key[i], reterr);
    }
    identity->key_count = (uint32_t)count;
    return rc;
}

int ferry_identity_from_json(struct json_object *object,
                             struct ferry_identity *ret_identity,
                             struct ferry_error *reterr)
{
    struct ferry_identity identity;
    struct json_object *pci;
    int rc;

    memset(&identity, 0, sizeof(identity));
    if (!json_object_is_type(object, json_type_object)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: \"device\" is not an object");
    }
    rc = take_text(object, "model", identity.model, sizeof(identity.model), reterr);
    if (rc == FERRY_OK || rc == FERRY_E_NOT_FOUND) {
        rc = take_numbers(object, &identity, top_number, COUNT(top_number), reterr);
    }
    if (rc == FERRY_OK && json_object_object_get_ex(object, "pci", &pci)) {
        if (!json_object_is_type(pci, json_type_object)) {
            return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                                   "VERSION: \"pci\" is not an object");
        }
        rc = take_numbers(pci, &identity, pci_number, COUNT(pci_number), reterr);
    }
    if (rc == FERRY_OK) {
        rc = take_flags(object, &identity, reterr);
    }
    if (rc == FERRY_OK) {
        rc = take_keys(object, &identity, reterr);
    }
    if (rc == FERRY_OK) {
        *ret_identity = identity;
    }
    return rc;
}
