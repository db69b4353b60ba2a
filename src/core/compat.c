/* SPDX-License-Identifier: BSD-3-Clause */
#include "ferry/compat.h"

#include <string.h>

/* How messages show a relation: target RELATION source. */
static const char *const relation_texts[] = {
    [FERRY_KEY_EQUAL] = "must equal",
    [FERRY_KEY_AT_LEAST] = "must be at least",
    [FERRY_KEY_SUPERSET] = "must have every bit of",
};

static int malformed(struct ferry_error *reterr, const char *whose, const char *what)
{
    return ferry_error_set(reterr, FERRY_E_ARGUMENT, "compat", "MIG-COMPAT-5", 0,
                           "the %s's identity is malformed: %s", whose, what);
}

static int key_name_is_sound(const char *name)
{
    size_t i;

    for (i = 0; i < FERRY_KEY_BYTES && name[i]; i++) {
        char c = name[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
              c == '-')) {
            return 0;
        }
    }
    return i > 0 && i < FERRY_KEY_BYTES;
}

static int check_form(const struct ferry_identity *identity, const char *whose,
                      struct ferry_error *reterr)
{
    uint32_t i;

    if (!memchr(identity->model, '\0', FERRY_MODEL_BYTES)) {
        return malformed(reterr, whose, "the model's name is not terminated");
    }
    if (identity->key_count > FERRY_KEYS_MAX) {
        return malformed(reterr, whose, "too many keys");
    }
    if (identity->state_version_min > identity->state_version) {
        return malformed(reterr, whose, "it cannot read the state that it writes");
    }
    for (i = 0; i < identity->key_count; i++) {
        if (!key_name_is_sound(identity->key[i].name)) {
            return malformed(reterr, whose, "a key's name");
        }
        if (identity->key[i].relation < FERRY_KEY_EQUAL ||
            identity->key[i].relation > FERRY_KEY_SUPERSET) {
            return malformed(reterr, whose, "a key with an unknown relation");
        }
    }
    return FERRY_OK;
}

static int check_kind(const struct ferry_identity *source,
                      const struct ferry_identity *target, struct ferry_error *reterr)
{
    struct {
        const char *what;
        uint32_t source, target;
    } ids[] = {
        { "PCI vendor", source->pci_vendor, target->pci_vendor },
        { "PCI device", source->pci_device, target->pci_device },
        { "PCI subsystem vendor", source->pci_subvendor, target->pci_subvendor },
        { "PCI subsystem", source->pci_subdevice, target->pci_subdevice },
        { "PCI class and revision", source->pci_class, target->pci_class },
    };
    size_t i;

    if (strcmp(source->model, target->model) != 0) {
        return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, "compat", "MIG-COMPAT-1", 0,
                               "model: source \"%s\", target \"%s\"", source->model,
                               target->model);
    }
    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        if (ids[i].source != ids[i].target) {
            return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, "compat", "MIG-COMPAT-2",
                                   0, "%s: source 0x%x, target 0x%x", ids[i].what,
                                   ids[i].source, ids[i].target);
        }
    }
    return FERRY_OK;
}

static int check_version(const struct ferry_identity *source,
                         const struct ferry_identity *target, struct ferry_error *reterr)
{
    if (source->state_version >= target->state_version_min &&
        source->state_version <= target->state_version) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, FERRY_E_VERSION, "compat", "MIG-COMPAT-3", 0,
                           "state version: source writes %u, target reads %u to %u",
                           source->state_version, target->state_version_min,
                           target->state_version);
}

static const struct ferry_compat_key *find_key(const struct ferry_identity *identity,
                                               const char *name)
{
    uint32_t i;

    for (i = 0; i < identity->key_count; i++) {
        if (strcmp(identity->key[i].name, name) == 0) {
            return &identity->key[i];
        }
    }
    return NULL;
}

static int key_holds(uint32_t relation, uint64_t source, uint64_t target)
{
    if (relation == FERRY_KEY_EQUAL) {
        return target == source;
    }
    if (relation == FERRY_KEY_AT_LEAST) {
        return target >= source;
    }
    return (target & source) == source;
}

static int check_keys(const struct ferry_identity *source,
                      const struct ferry_identity *target, struct ferry_error *reterr)
{
    uint32_t i;

    for (i = 0; i < source->key_count; i++) {
        const struct ferry_compat_key *key = &source->key[i];
        const struct ferry_compat_key *there = find_key(target, key->name);

        if (!there) {
            return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, "compat", "MIG-COMPAT-4",
                                   0, "%s: source has 0x%llx, target does not know it",
                                   key->name, (unsigned long long)key->value);
        }
        if (there->relation != key->relation ||
            !key_holds(key->relation, key->value, there->value)) {
            return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, "compat", "MIG-COMPAT-4",
                                   0, "%s: target's 0x%llx %s source's 0x%llx", key->name,
                                   (unsigned long long)there->value,
                                   relation_texts[key->relation],
                                   (unsigned long long)key->value);
        }
    }
    return FERRY_OK;
}

int ferry_compat_check(const struct ferry_identity *source,
                       const struct ferry_identity *target, struct ferry_error *reterr)
{
    int rc = check_form(source, "source", reterr);

    if (rc == FERRY_OK) {
        rc = check_form(target, "target", reterr);
    }
    if (rc == FERRY_OK) {
        rc = check_kind(source, target, reterr);
    }
    if (rc == FERRY_OK) {
        rc = check_version(source, target, reterr);
    }
    return rc == FERRY_OK ? check_keys(source, target, reterr) : rc;
}
