/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/identity.h"

#include <assert.h>
#include <string.h>

void identity_add_key(struct ferry_identity *identity, const char *name,
                      uint32_t relation, uint64_t value)
{
    struct ferry_compat_key *key;

    assert(identity->key_count < sizeof(identity->key) / sizeof(identity->key[0]) &&
           strlen(name) < sizeof(key->name));
    key = &identity->key[identity->key_count++];
    strncpy(key->name, name, sizeof(key->name) - 1);
    key->relation = relation;
    key->value = value;
}
