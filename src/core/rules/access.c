/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* The rules of the access table, in the order of enum ferry_access_rule. */
const struct ferry_rule ferry_rules_access[] = {
    [FERRY_RULE_RUN_1] = {
        .id = "MIG-RUN-1",
        .text = "In RUNNING everything works.",
        .why = "The device is in normal use.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_PRE_1] = {
        .id = "MIG-PRE-1",
        .text = "In PRE_COPY everything works as in RUNNING.",
        .why = "Pre-copy only adds a stream and the tracking of changes.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_PRE_2] = {
        .id = "MIG-PRE-2",
        .text = "In PRE_COPY an mmapped region may be read and written; what was "
                "written is found by comparison after the freeze.",
        .why = "The device does not see such writes, so its own tracking cannot "
               "cover them.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_P2P_1] = {
        .id = "MIG-P2P-1",
        .text = "In a P2P state the device starts no DMA to a peer, and none at all when "
                "it cannot tell peers from memory.",
        .why = "A peer may be the next to stop, and must not be written to by then.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    [FERRY_RULE_P2P_2] = {
        .id = "MIG-P2P-2",
        .text = "In a P2P state a write to a region or a doorbell is latched by a "
                "device that announces it, and refused by any other.",
        .why = "CPUs may still run while a P2P arc is pending; a lost doorbell is a "
               "request that never ends.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    [FERRY_RULE_P2P_3] = {
        .id = "MIG-P2P-3",
        .text = "In a P2P state regions, config space and MSI-X can be read, and "
                "config space and MSI-X written.",
        .why = "CPUs may still run; reads change nothing and the user owns config "
               "space.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    [FERRY_RULE_P2P_4] = {
        .id = "MIG-P2P-4",
        .text = "In a P2P state the device accepts DMA from its peers.",
        .why = "That is what the state is for: peers are not quiet yet.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    [FERRY_RULE_P2P_5] = {
        .id = "MIG-P2P-5",
        .text = "In a P2P state an access to an mmapped region cannot be refused; "
                "what it changed is found by comparison.",
        .why = "There is no trap on mmapped memory.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    [FERRY_RULE_P2P_6] = {
        .id = "MIG-P2P-6",
        .text = "In a P2P state the device raises no interrupt; what it has to say stays "
                "pending.",
        .why = "An interrupt makes CPUs give it work that it must not do.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PEERS,
        .enforced = 1,
    },
    [FERRY_RULE_STOP_1] = {
        .id = "MIG-STOP-1",
        .text = "In STOP and STOP_COPY the device starts no DMA, raises no interrupt "
                "and asks for no page.",
        .why = "Its state is being read, or belongs to the other side.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_STOP_2] = {
        .id = "MIG-STOP-2",
        .text = "In STOP and STOP_COPY an access to a region is refused; a read "
                "gives ones.",
        .why = "It would change a state that may have been read already.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_STOP_3] = {
        .id = "MIG-STOP-3",
        .text = "In STOP and STOP_COPY config space and MSI-X work.",
        .why = "The user saves and restores them in these states.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_STOP_4] = {
        .id = "MIG-STOP-4",
        .text = "In STOP and STOP_COPY an access to an mmapped region cannot be "
                "refused; what it changed is found by comparison.",
        .why = "There is no trap on mmapped memory.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_STOP_5] = {
        .id = "MIG-STOP-5",
        .text = "A device that is stopped or loading gets no DMA from peers; what "
                "one sends all the same is found by comparison.",
        .why = "Peers are quiet before the first device stops; a late write makes "
               "data that was read already worthless.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_STOP_6] = {
        .id = "MIG-STOP-6",
        .text = "A device that is stopped or loading takes no doorbell from an eventfd.",
        .why = "CPUs are paused; taking it would be work on a frozen state.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_RES_1] = {
        .id = "MIG-RES-1",
        .text = "In RESUMING an access to a region is refused; a read gives ones.",
        .why = "There is no consistent state to work on.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_RES_2] = {
        .id = "MIG-RES-2",
        .text = "In RESUMING config space and MSI-X work.",
        .why = "VMMs restore them before the load ends.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_RES_3] = {
        .id = "MIG-RES-3",
        .text = "In RESUMING the device starts no DMA, reads no guest memory and "
                "raises no interrupt.",
        .why = "Memory is loaded at the same time and may not be there yet.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_RES_4] = {
        .id = "MIG-RES-4",
        .text = "In RESUMING an access to an mmapped region cannot be refused; the "
                "load may overwrite it.",
        .why = "There is no trap on mmapped memory.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_DATA_1] = {
        .id = "MIG-DATA-1",
        .text = "Data is read in PRE_COPY, PRE_COPY_P2P and STOP_COPY only.",
        .why = "Only these states have a saving session.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    [FERRY_RULE_DATA_2] = {
        .id = "MIG-DATA-2",
        .text = "Data is written in RESUMING only.",
        .why = "Only this state has a loading session.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    [FERRY_RULE_DATA_3] = {
        .id = "MIG-DATA-3",
        .text = "Pre-copy information is given in PRE_COPY and PRE_COPY_P2P only.",
        .why = "It counts what could be read now.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    [FERRY_RULE_DATA_4] = {
        .id = "MIG-DATA-4",
        .text = "The size of the data is given in every state but ERROR.",
        .why = "A prediction needs it before the device stops.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    [FERRY_RULE_ERR_1] = {
        .id = "MIG-ERR-1",
        .text = "In ERROR all but what another rule allows is refused.",
        .why = "Nothing is known about the device.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 1,
    },
    [FERRY_RULE_ERR_2] = {
        .id = "MIG-ERR-2",
        .text = "In ERROR config space can be read.",
        .why = "Whoever repairs it has to know what it is.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 1,
    },
    [FERRY_RULE_ERR_3] = {
        .id = "MIG-ERR-3",
        .text = "In ERROR mmapped memory, doorbells and DMA from peers have no effect.",
        .why = "The reset that must follow drops what they did.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 1,
    },
    [FERRY_RULE_INFO_1] = {
        .id = "MIG-INFO-1",
        .text = "Information about device, regions and interrupts is given in every "
                "state.",
        .why = "It does not depend on the state.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_IRQ_1] = {
        .id = "MIG-IRQ-1",
        .text = "SET_IRQS works in every state.",
        .why = "Interrupts are set up at the target before the device runs, and "
               "taken down after an error.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_INTERRUPTS,
        .enforced = 1,
    },
    [FERRY_RULE_MAP_1] = {
        .id = "MIG-MAP-1",
        .text = "DMA is mapped, unmapped, attached and detached in every state.",
        .why = "Memory belongs to the user, and clean-up must always be possible.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_LOG_1] = {
        .id = "MIG-LOG-1",
        .text = "Dirty tracking is started, stopped and reported in every state.",
        .why = "The last report comes after the stop, and no log may be left on "
               "after an error.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    [FERRY_RULE_RST_1] = {
        .id = "MIG-RST-1",
        .text = "A reset works in every state and ends in RUNNING.",
        .why = "It is the only way out of ERROR and out of an aborted load.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 1,
    },
    [FERRY_RULE_RST_2] = {
        .id = "MIG-RST-2",
        .text = "A hot reset, which reaches several devices, works in RUNNING and "
                "ERROR only.",
        .why = "It would destroy the state of a neighbour that is being moved.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_RESET,
        .enforced = 0,
    },
    [FERRY_RULE_PM_1] = {
        .id = "MIG-PM-1",
        .text = "A power state that is written while the device does not run takes "
                "effect when it runs.",
        .why = "A change of power may reset what was just loaded.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 1,
    },
    [FERRY_RULE_BUF_1] = {
        .id = "MIG-BUF-1",
        .text = "A region is exported as a dma-buf in every state but ERROR.",
        .why = "Peer maps are restored before the device runs.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_ACCESS,
        .enforced = 0,
    },
    [FERRY_RULE_PRI_1] = {
        .id = "MIG-PRI-1",
        .text = "In a P2P state no page request is open and none is made.",
        .why = "Requests are answered while the arc into the state is pending.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PAGES,
        .enforced = 0,
    },
    {
        .id = "MIG-RACE-1",
        .text = "Reads of data that come at once give each byte once, and together the "
                "stream.",
        .why = "A byte that two readers share, or that none gets, is not missed before "
               "the load.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-RACE-2",
        .text = "Whatever a user asks for at the same time, every request is answered "
                "once, GET tells the state, and a reset brings the device back.",
        .why = "A user can have threads; what they do must not reach the host.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    { 0 },
};
