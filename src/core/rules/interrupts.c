/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* Interrupts that are carried, interrupt entries without a trap (IMS), page requests. */
const struct ferry_rule ferry_rules_interrupts[] = {
    {
        .id = "MIG-IRQ-2",
        .text = "An interrupt that was raised and not taken at the source is raised "
                "again at the target before its CPUs run.",
        .why = "A guest that waits for it would wait for ever.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_INTERRUPTS,
        .enforced = 1,
    },
    {
        .id = "MIG-IRQ-3",
        .text = "What was raised before the device became quiet is delivered, pending or "
                "carried when the arc ends.",
        .why = "An interrupt may come twice, never not at all.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_INTERRUPTS,
        .enforced = 1,
    },
    {
        .id = "MIG-IRQ-4",
        .text = "What SET_IRQS has set up stays over changes of state and over a load.",
        .why = "Users set vectors up once, often before the load, and do not come back.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_INTERRUPTS,
        .enforced = 1,
    },
    {
        .id = "MIG-IMS-1",
        .text = "Interrupt entries that the guest writes without a trap are carried as "
                "the guest wrote them: handles of the guest, never addresses or data of "
                "the host.",
        .why = "The target's host has others.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_INTERRUPTS,
        .enforced = 0,
    },
    {
        .id = "MIG-IMS-2",
        .text = "The user binds each carried entry to an interrupt of the target's host "
                "before the device leaves STOP.",
        .why = "A device that runs would write to an address of the source's host.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_INTERRUPTS,
        .enforced = 0,
    },
    {
        .id = "MIG-IMS-3",
        .text = "An entry that has no binding stays masked, and what is raised on it is "
                "pending until it has one.",
        .why = "A store that nobody trapped may come between save and bind.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_INTERRUPTS,
        .enforced = 0,
    },
    {
        .id = "MIG-IMS-4",
        .text = "A device with interrupt entries outside of MSI-X tells their number, "
                "and their place in its data, to the user.",
        .why = "The user can bind only what it can find.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_INTERRUPTS,
        .enforced = 0,
    },
    {
        .id = "MIG-PRI-2",
        .text = "Page requests of a device are answered while its arc into the P2P state "
                "is pending, and the CPUs run until that arc has ended.",
        .why = "The answer needs the guest, and the arc needs the answer.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PAGES,
        .enforced = 0,
    },
    {
        .id = "MIG-PRI-3",
        .text = "A device makes no page request of new work once that arc has begun.",
        .why = "The arc would never end.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PAGES,
        .enforced = 0,
    },
    {
        .id = "MIG-PRI-4",
        .text = "An arc that waits for page requests longer than the limit for arcs "
                "fails, and the device goes on in the state before.",
        .why = "A guest that does not answer must not hold the migration.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PAGES,
        .enforced = 0,
    },
    {
        .id = "MIG-PRI-5",
        .text = "No page request is part of a device's data.",
        .why = "It is a promise of the host's IOMMU, which stays behind.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PAGES,
        .enforced = 0,
    },
    {
        .id = "MIG-PRI-6",
        .text = "A device without P2P that makes page requests does not migrate while it "
                "can make one.",
        .why = "It has no state in which the CPUs run and it is quiet.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PAGES,
        .enforced = 0,
    },
    { 0 },
};
