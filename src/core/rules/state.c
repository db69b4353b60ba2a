/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* Changes of state: arcs, data sessions, cancellation, reset. */
const struct ferry_rule ferry_rules_state[] = {
    {
        .id = "MIG-ARC-1",
        .text = "A change of state takes the shortest way over the basic arcs; among "
                "equals the one with the fewest saving states inside.",
        .why = "Both sides and the device must walk the same way.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-ARC-2",
        .text = "A change to ERROR, to a number that is no state, or to a state that the "
                "features lack is refused at once and changes nothing.",
        .why = "A user may probe; a device that stops on a bad request takes the guest "
               "with it.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-ARC-3",
        .text = "A change from STOP_COPY to PRE_COPY or PRE_COPY_P2P is refused.",
        .why = "It would look as if the session went on, and the device cannot unsend "
               "what it gave as final.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-ARC-4",
        .text = "A change to the state that the device is in succeeds, does nothing and "
                "begins no session.",
        .why = "Users that are not sure where a device is ask again; Linux does the "
               "same.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-ARC-5",
        .text = "After a change that failed the device is in the state that it came "
                "from, in one on the way, or in ERROR, and GET says which.",
        .why = "The user decides how to go on, and must not have to guess.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-ARC-6",
        .text = "The state changes by a request of the user or a reset, and by nothing "
                "else.",
        .why = "Whoever moves several devices counts on where they are.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-ARC-7",
        .text = "An arc ends by itself, well or badly, and what it waits for does not "
                "depend on its user's next request.",
        .why = "The user waits for the arc before it makes one; both would wait for "
               "ever.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-ARC-8",
        .text = "A change that is asked for while another one is under way is refused or "
                "waits, and the first one ends as if it had been alone.",
        .why = "Two walks at once would take arcs that do not exist.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-ARC-9",
        .text = "An arc that fails without ERROR has no effect that a user can see: the "
                "device still works in the state that it stays in.",
        .why = "A stop that failed is answered by going on.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-ARC-10",
        .text = "A change that cannot be is refused with EINVAL.",
        .why =
            "Users tell a wish that cannot be from a device that failed by the number. "
            "The kernel answers so; the text names no number.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-FEAT-1",
        .text = "The features are STOP_COPY, alone or with P2P, PRE_COPY or both, and do "
                "not change while the device is open.",
        .why = "Every path depends on them.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-FEAT-2",
        .text = "PROBE works for the operations that a feature has, and gives EINVAL for "
                "others.",
        .why = "It is how a user learns what a device can do without doing it.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-FEAT-3",
        .text = "A feature that the device lacks gives ENOTTY.",
        .why = "EINVAL would say that it was asked for in a wrong way. Linux answers so, "
               "and "
               "QEMU tells the two apart; the text of the uAPI names no errno.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-FEAT-4",
        .text = "PROBE touches no data and changes nothing.",
        .why = "Users probe at any time, in the middle of a migration too.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-FEAT-5",
        .text = "A feature request with too small a size, unknown flags, GET and SET "
                "without PROBE, or none of them is refused with EINVAL.",
        .why = "Whatever such bits come to mean must not be done by accident.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-OPEN-1",
        .text = "A device that has just been opened is in RUNNING.",
        .why = "Users do not ask; QEMU never does.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-OPEN-2",
        .text = "Nothing of an earlier user is left: no session, log, latched write, "
                "pending interrupt, map or state.",
        .why = "The next user may be another guest.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-SES-1",
        .text = "A data session begins on RUNNING to PRE_COPY, RUNNING_P2P to "
                "PRE_COPY_P2P, STOP to STOP_COPY and STOP to RESUMING, and on no other "
                "arc.",
        .why = "A descriptor that comes when none is expected, or the other way round, "
               "is lost.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-SES-2",
        .text = "A data session ends with the arc that leaves the saving states or "
                "RESUMING, with a reset and with the device; after that it gives and "
                "takes nothing.",
        .why = "What comes later belongs to another session.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-SES-3",
        .text = "PRE_COPY, PRE_COPY_P2P and STOP_COPY of one session give one stream, "
                "and moves among them keep the session.",
        .why = "The target reads it as one.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-SES-4",
        .text = "A saving session takes no data and a loading session gives none; who "
                "tries is refused, and the session goes on.",
        .why = "A descriptor has one direction.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-CAN-1",
        .text = "A saving session can be left at any time, read to its end or not, and "
                "the device goes on as if it had never begun.",
        .why = "Most migrations that are cancelled are cancelled in the middle.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-CAN-2",
        .text = "The session after a cancelled one gives the whole state.",
        .why = "A device that remembers what it sent to nobody loses it.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    {
        .id = "MIG-RUN-2",
        .text = "A device that runs again goes on with the work that it had: nothing "
                "that was begun is lost, or done with other memory.",
        .why = "Its guest waits for what it asked for and does not ask again.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    {
        .id = "MIG-RST-3",
        .text = "A reset ends the data session and a change that is under way.",
        .why = "The state that they are about is gone.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 1,
    },
    {
        .id = "MIG-RST-4",
        .text = "A reset puts the device into its first state: nothing that was latched, "
                "pending or half loaded is left.",
        .why = "A reset is how an aborted load is made harmless.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 1,
    },
    {
        .id = "MIG-RST-5",
        .text = "A reset stops no dirty log and takes no DMA map away.",
        .why = "What was written before it is still to be sent, and maps are the user's.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 1,
    },
    {
        .id = "MIG-RST-6",
        .text = "A load that was refused or aborted leaves a device that works after a "
                "reset, and judges the next load as if there had been none.",
        .why = "Drivers have kept a flag of the first load and let the second pass "
               "unchecked.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 1,
    },
    {
        .id = "MIG-ERR-4",
        .text = "ERROR is entered by an arc that failed and could leave no valid state, "
                "and only a reset leaves it.",
        .why = "A user must be able to tell a refusal from a loss.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 1,
    },
    { 0 },
};
