/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* Moves of whole devices: compatibility, peers, order. */
const struct ferry_rule ferry_rules_session[] = {
    {
        .id = "MIG-COMPAT-1",
        .text = "Source and target are of the same model.",
        .why = "A state means something to its own model only.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-COMPAT-2",
        .text = "The PCI identity of source and target is the same.",
        .why = "The guest's driver has looked at it.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-COMPAT-3",
        .text = "The target reads the state version that the source writes.",
        .why = "An older device cannot know a newer state.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-COMPAT-4",
        .text = "Every key of the source is known to the target, with the same "
                "relation, and the relation holds.",
        .why = "Limits and features that the guest uses must be there.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-COMPAT-5",
        .text = "Both identities are well-formed.",
        .why = "They may come from a peer.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-PEER-1",
        .text = "A device without P2P support that reaches a peer does not leave.",
        .why = "It cannot be quieted, and would write into a peer whose state was read "
               "already.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    { 0 },
};
