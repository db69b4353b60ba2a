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
        .text = "A device without P2P support or implicit quiescence that reaches a peer "
                "does not leave.",
        .why = "It cannot be quieted, and would write into a peer whose state was read "
               "already.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    {
        .id = "MIG-PEER-2",
        .text = "Who starts DMA and is no device of the context is quieted by its owner "
                "before the devices are.",
        .why = "It would write into devices that have been read.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    {
        .id = "MIG-PEER-3",
        .text = "The DMA map of a peer's memory does not change between the pause of the "
                "CPUs and their resumption at the source.",
        .why = "Nobody is left who could move a BAR, so it would be a mistake.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    {
        .id = "MIG-QUI-1",
        .text = "A device may announce implicit quiescence: when it does not run it "
                "starts no DMA and no interrupt, and still accepts DMA from peers until "
                "its data is asked for.",
        .why = "Devices of the uAPI's first version have no other way to stop together.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    {
        .id = "MIG-QUI-2",
        .text = "The first request for data of such a device freezes it; DMA that "
                "arrives later makes reading the data fail with an errno.",
        .why = "Data that was collected too early must not look whole.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    {
        .id = "MIG-EXT-1",
        .text =
            "Config space, the MSI-X table, the set-up of interrupts and the power state "
            "are the user's to carry; all else is in the data, what is pending "
            "included.",
        .why = "What both carry comes twice, what neither carries is lost.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_CONTENT,
        .enforced = 1,
    },
    {
        .id = "MIG-EXT-2",
        .text =
            "The user restores config space with the command register last, MSI-X with "
            "the function masked until table and eventfds are set, and maps of peers, "
            "all before the device runs.",
        .why = "A device that is half restored and decodes or fires reaches addresses of "
               "nobody.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_CONTENT,
        .enforced = 1,
    },
    {
        .id = "MIG-EXT-3",
        .text = "The load of a state changes nothing that the user controls.",
        .why = "The user may restore before, during or after it.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_CONTENT,
        .enforced = 1,
    },
    {
        .id = "MIG-ORD-1",
        .text = "Dirty tracking starts, over the whole of memory, before the first byte "
                "of memory is sent.",
        .why = "What is written in between is in nobody's report.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-ORD-2",
        .text = "Devices, memory and versions are compared before anything of the source "
                "is touched.",
        .why = "A refusal then costs nothing.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-ORD-3",
        .text = "No device stops before all that can be quieted are quiet.",
        .why = "A peer that still works would write into a state that is being read.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-ORD-4",
        .text = "CPUs are paused, and then who else starts DMA, before the devices are "
                "quieted.",
        .why = "CPUs give devices new work.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-ORD-5",
        .text = "The last report of written pages is taken when every device has "
                "stopped.",
        .why = "A device that still runs writes after it.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-ORD-6",
        .text = "The target says PREPARED when memory is complete, every device has left "
                "RESUMING, and what the user controls is restored.",
        .why = "It is the promise that it can run.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-ORD-7",
        .text = "At the target all devices with P2P are in RUNNING_P2P before any device "
                "reaches RUNNING, and all run before the CPUs do.",
        .why = "The first one that runs may write to its peers.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-ORD-8",
        .text = "The source keeps its devices stopped and whole until the target says "
                "that it runs.",
        .why = "They are the only way back.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-ORD-9",
        .text = "A target's device is asked to leave RESUMING when length and hash of "
                "its data have been compared.",
        .why = "Drivers exist that accept truncated data.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-END-1",
        .text = "No side runs the guest while the other one may.",
        .why = "Two owners of one disk destroy it.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-COMMIT-1",
        .text = "Ownership changes at one point: the target has it when COMMIT was "
                "given, the source before.",
        .why = "Every failure has one owner then.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-COMMIT-2",
        .text = "A source that has sent COMMIT goes back only when the target returns "
                "the guest, the arbiter says ABORT, or the operator says so.",
        .why = "The target may be running.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-COMMIT-3",
        .text = "With an arbiter both sides propose before they act, and the first "
                "writer decides.",
        .why = "A link that breaks at COMMIT tells neither side what the other knows.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-COMMIT-4",
        .text = "A COMMIT that comes after the target's limit is not obeyed.",
        .why = "The operator may have let the source go on.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-COMMIT-5",
        .text = "Without an arbiter a side that cannot know keeps its stopped state and "
                "says that it is undecided.",
        .why = "A wrong guess loses or doubles the guest.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-BACK-1",
        .text = "Every failure before COMMIT ends with the guest running at the source.",
        .why = "A migration that fails must cost no more than time.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-BACK-2",
        .text = "A device is reset only when it is in ERROR, while its peers and the "
                "CPUs are quiet, and its config is restored; a device that can go on is "
                "never reset.",
        .why = "A reset loses the guest's work, and a peer's DMA into a device that "
               "resets is an error of the bus.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-BACK-3",
        .text = "On the way back a device without P2P goes straight to RUNNING, after "
                "the others are quiet.",
        .why = "It reaches no peer, and as long as nothing runs a target can give "
               "everything back.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-BACK-4",
        .text = "On the way back no device reaches RUNNING before all that can be are "
                "out of STOP.",
        .why = "It is the same danger as on the way out.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-BACK-5",
        .text = "Dirty tracking is stopped on every path.",
        .why = "A log that stays on slows the guest down for ever.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-BACK-6",
        .text = "A device that does not end an arc in time is given up and named, not "
                "reset.",
        .why = "It may yet go on.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-BACK-7",
        .text = "A target that cannot run gives the guest back as long as no device of "
                "it can have run.",
        .why = "The source still has everything.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    {
        .id = "MIG-STOP-7",
        .text = "The stop has a deadline: what is not committed by then goes back.",
        .why = "A guest that stands still for minutes is dead to its users.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_MIGRATION,
        .enforced = 1,
    },
    { 0 },
};
