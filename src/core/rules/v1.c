/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* The migration region of Linux 5.8 to 5.17 and its translation. */
const struct ferry_rule ferry_rules_v1[] = {
    {
        .id = "MIG-V1-1",
        .text = "The device_state bits 000, 001, 010, 011 and 100 are valid, 110 is the "
                "error state, and a write of any other value is refused.",
        .why = "Other combinations have no meaning.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-2",
        .text = "After a write of device_state that failed it reads as before, or as the "
                "error state.",
        .why = "The user reads it back to know.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-3",
        .text = "Only a reset leaves the error state.",
        .why = "Nothing is known about the device.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-4",
        .text = "Reserved bits of device_state are kept by the user and ignored or "
                "refused by the device; the reserved word reads 0.",
        .why = "They may mean something one day.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-5",
        .text = "Numbers of one version are never handed to the other: each is "
                "translated.",
        .why = "v1 STOP is v2 ERROR, v1 RUNNING is v2 STOP.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-6",
        .text = "010 to 011 begins a new session: the way goes over RUNNING.",
        .why = "It is legal in v1, and in v2 no session goes back from STOP_COPY.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-7",
        .text = "Every device takes 011; one without pre-copy has 0 pending bytes there.",
        .why = "v1 makes pre-copy mandatory and lets it be empty.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-8",
        .text = "Reading pending_bytes begins an iteration and tells that the piece "
                "before was taken; reading it again changes nothing.",
        .why = "It is the only word that the user has for it.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-9",
        .text = "data_offset lies behind the header of the region and inside of it, page "
                "aligned where the section is mapped, and data_size fits behind it.",
        .why = "The user reads there.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-10",
        .text = "In stop-and-copy the data ends when pending_bytes is 0, and not before.",
        .why = "It is the end of the stream.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-11",
        .text = "The resuming side gets the pieces in the order and in the sizes in "
                "which they were read.",
        .why = "The device may need its transactions whole.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-12",
        .text = "The region's fields are accessed whole, in their own width and aligned; "
                "other accesses fail.",
        .why = "Half of a 64-bit size is no size.",
        .source = "uAPI v1",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-13",
        .text = "The P2P states of v2 show as their plain twins.",
        .why = "v1 has no word for them.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    {
        .id = "MIG-V1-14",
        .text = "A device of one version takes what a device of the other and of the "
                "same model saved, or refuses with the reason.",
        .why = "The bytes are the model's, whatever carried them.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_V1,
        .enforced = 1,
    },
    { 0 },
};
