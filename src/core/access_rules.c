/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/access_rules.h"

/*
 * {id, text, why, source, enforced, padding}. The rules of the access table come first,
 * in the order of enum ferry_rule_index. The manual prints this table.
 */
const struct ferry_rule ferry_rules[] = {
    [FERRY_RULE_RUN_1] = {
        .id = "MIG-RUN-1",
        .text = "In RUNNING everything works.",
        .why = "The device is in normal use.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_PRE_1] = {
        .id = "MIG-PRE-1",
        .text = "In PRE_COPY everything works as in RUNNING.",
        .why = "Pre-copy only adds a stream and the tracking of changes.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_PRE_2] = {
        .id = "MIG-PRE-2",
        .text = "In PRE_COPY an mmapped region may be read and written; what was "
                "written is found by comparison after the freeze.",
        .why = "The device does not see such writes, so its own tracking cannot "
               "cover them.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_P2P_1] = {
        .id = "MIG-P2P-1",
        .text = "In a P2P state the device starts no DMA and raises no interrupt.",
        .why = "A device that cannot tell peers from memory has to stop all DMA; an "
               "interrupt would announce work that must not be done.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_P2P_2] = {
        .id = "MIG-P2P-2",
        .text = "In a P2P state a write to a region or a doorbell is latched by a "
                "device that announces it, and refused by any other.",
        .why = "CPUs may still run while a P2P arc is pending; a lost doorbell is a "
               "request that never ends.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_P2P_3] = {
        .id = "MIG-P2P-3",
        .text = "In a P2P state regions, config space and MSI-X can be read, and "
                "config space and MSI-X written.",
        .why = "CPUs may still run; reads change nothing and the user owns config "
               "space.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_P2P_4] = {
        .id = "MIG-P2P-4",
        .text = "In a P2P state the device accepts DMA from its peers.",
        .why = "That is what the state is for: peers are not quiet yet.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_P2P_5] = {
        .id = "MIG-P2P-5",
        .text = "In a P2P state an access to an mmapped region cannot be refused; "
                "what it changed is found by comparison.",
        .why = "There is no trap on mmapped memory.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_STOP_1] = {
        .id = "MIG-STOP-1",
        .text = "In STOP and STOP_COPY the device starts no DMA, raises no interrupt "
                "and asks for no page.",
        .why = "Its state is being read, or belongs to the other side.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_STOP_2] = {
        .id = "MIG-STOP-2",
        .text = "In STOP and STOP_COPY an access to a region is refused; a read "
                "gives ones.",
        .why = "It would change a state that may have been read already.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_STOP_3] = {
        .id = "MIG-STOP-3",
        .text = "In STOP and STOP_COPY config space and MSI-X work.",
        .why = "The user saves and restores them in these states.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_STOP_4] = {
        .id = "MIG-STOP-4",
        .text = "In STOP and STOP_COPY an access to an mmapped region cannot be "
                "refused; what it changed is found by comparison.",
        .why = "There is no trap on mmapped memory.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_STOP_5] = {
        .id = "MIG-STOP-5",
        .text = "A device that is stopped or loading gets no DMA from peers; what "
                "one sends all the same is found by comparison.",
        .why = "Peers are quiet before the first device stops; a late write makes "
               "data that was read already worthless.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_STOP_6] = {
        .id = "MIG-STOP-6",
        .text = "A device that is stopped or loading takes no doorbell from an eventfd.",
        .why = "CPUs are paused; taking it would be work on a frozen state.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_RES_1] = {
        .id = "MIG-RES-1",
        .text = "In RESUMING an access to a region is refused; a read gives ones.",
        .why = "There is no consistent state to work on.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_RES_2] = {
        .id = "MIG-RES-2",
        .text = "In RESUMING config space and MSI-X work.",
        .why = "VMMs restore them before the load ends.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_RES_3] = {
        .id = "MIG-RES-3",
        .text = "In RESUMING the device starts no DMA, reads no guest memory and "
                "raises no interrupt.",
        .why = "Memory is loaded at the same time and may not be there yet.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_RES_4] = {
        .id = "MIG-RES-4",
        .text = "In RESUMING an access to an mmapped region cannot be refused; the "
                "load may overwrite it.",
        .why = "There is no trap on mmapped memory.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_DATA_1] = {
        .id = "MIG-DATA-1",
        .text = "Data is read in PRE_COPY, PRE_COPY_P2P and STOP_COPY only.",
        .why = "Only these states have a saving session.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_DATA_2] = {
        .id = "MIG-DATA-2",
        .text = "Data is written in RESUMING only.",
        .why = "Only this state has a loading session.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_DATA_3] = {
        .id = "MIG-DATA-3",
        .text = "Pre-copy information is given in PRE_COPY and PRE_COPY_P2P only.",
        .why = "It counts what could be read now.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_DATA_4] = {
        .id = "MIG-DATA-4",
        .text = "The size of the data is given in every state but ERROR.",
        .why = "A prediction needs it before the device stops.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_ERR_1] = {
        .id = "MIG-ERR-1",
        .text = "In ERROR all but what another rule allows is refused.",
        .why = "Nothing is known about the device.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_ERR_2] = {
        .id = "MIG-ERR-2",
        .text = "In ERROR config space can be read.",
        .why = "Whoever repairs it has to know what it is.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_ERR_3] = {
        .id = "MIG-ERR-3",
        .text = "In ERROR mmapped memory, doorbells and DMA from peers have no effect.",
        .why = "The reset that must follow drops what they did.",
        .source = "Ferry",
        .enforced = 0,
    },
    [FERRY_RULE_INFO_1] = {
        .id = "MIG-INFO-1",
        .text = "Information about device, regions and interrupts is given in every "
                "state.",
        .why = "It does not depend on the state.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_IRQ_1] = {
        .id = "MIG-IRQ-1",
        .text = "SET_IRQS works in every state.",
        .why = "Interrupts are set up at the target before the device runs, and "
               "taken down after an error.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_MAP_1] = {
        .id = "MIG-MAP-1",
        .text = "DMA is mapped, unmapped, attached and detached in every state.",
        .why = "Memory belongs to the user, and clean-up must always be possible.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_LOG_1] = {
        .id = "MIG-LOG-1",
        .text = "Dirty tracking is started, stopped and reported in every state.",
        .why = "The last report comes after the stop, and no log may be left on "
               "after an error.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_RST_1] = {
        .id = "MIG-RST-1",
        .text = "A reset works in every state and ends in RUNNING.",
        .why = "It is the only way out of ERROR and out of an aborted load.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    [FERRY_RULE_RST_2] = {
        .id = "MIG-RST-2",
        .text = "A hot reset, which reaches several devices, works in RUNNING and "
                "ERROR only.",
        .why = "It would destroy the state of a neighbour that is being moved.",
        .source = "Ferry",
        .enforced = 0,
    },
    [FERRY_RULE_PM_1] = {
        .id = "MIG-PM-1",
        .text = "A power state that is written while the device does not run takes "
                "effect when it runs.",
        .why = "A change of power may reset what was just loaded.",
        .source = "Ferry",
        .enforced = 1,
    },
    [FERRY_RULE_BUF_1] = {
        .id = "MIG-BUF-1",
        .text = "A region is exported as a dma-buf in every state but ERROR.",
        .why = "Peer maps are restored before the device runs.",
        .source = "Ferry",
        .enforced = 0,
    },
    [FERRY_RULE_PRI_1] = {
        .id = "MIG-PRI-1",
        .text = "In a P2P state no page request is open and none is made.",
        .why = "Requests are answered while the arc into the state is pending.",
        .source = "Ferry",
        .enforced = 0,
    },
    {
        .id = "MIG-ARC-1",
        .text = "A change of state takes the shortest way over the basic arcs; among "
                "equals the one with the fewest saving states inside.",
        .why = "Both sides and the device must walk the same way.",
        .source = "uAPI v2",
        .enforced = 1,
    },
    {
        .id = "MIG-COMPAT-1",
        .text = "Source and target are of the same model.",
        .why = "A state means something to its own model only.",
        .source = "Ferry",
        .enforced = 1,
    },
    {
        .id = "MIG-COMPAT-2",
        .text = "The PCI identity of source and target is the same.",
        .why = "The guest's driver has looked at it.",
        .source = "Ferry",
        .enforced = 1,
    },
    {
        .id = "MIG-COMPAT-3",
        .text = "The target reads the state version that the source writes.",
        .why = "An older device cannot know a newer state.",
        .source = "Ferry",
        .enforced = 1,
    },
    {
        .id = "MIG-COMPAT-4",
        .text = "Every key of the source is known to the target, with the same "
                "relation, and the relation holds.",
        .why = "Limits and features that the guest uses must be there.",
        .source = "Ferry",
        .enforced = 1,
    },
    {
        .id = "MIG-COMPAT-5",
        .text = "Both identities are well-formed.",
        .why = "They may come from a peer.",
        .source = "Ferry",
        .enforced = 1,
    },
    {
        .id = "MIG-PEER-1",
        .text = "A device without P2P support that reaches a peer does not leave.",
        .why = "It cannot be quieted, and would write into a peer whose state was read "
               "already.",
        .source = "Ferry",
        .enforced = 1,
    },
    {
        .id = "STR-HDR-1",
        .text = "A record begins with the magic number.",
        .why = "A reader that lost its place must not go on.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-HDR-2",
        .text = "A record has only flags that its tag may have.",
        .why = "Other flags may one day mean something that matters.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-HDR-3",
        .text = "An unknown record is skipped when it is optional, and refused when "
                "not.",
        .why = "A newer writer says which of its records can be missed.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-HDR-4",
        .text = "The channel is 0.",
        .why = "Other channels are not defined yet.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-HDR-5",
        .text = "A record names a device exactly when its tag is about one.",
        .why = "A record of no device would change all, or none.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-HDR-6",
        .text = "A payload is not longer than its tag allows.",
        .why = "Memory for it is set aside before it is read.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-HDR-7",
        .text = "A payload is at least as long as the fixed part of its tag.",
        .why = "The header is judged before the payload is waited for.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-SUM-1",
        .text = "The payload matches the checksum.",
        .why = "TCP's own checksum misses errors.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-PAY-1",
        .text = "A payload ends where its content ends.",
        .why = "Bytes behind it would be a message to nobody.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-PAY-2",
        .text = "Reserved values are 0, flags are 0 or 1, pieces are not empty.",
        .why = "Reserved values may one day mean something.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-PAY-3",
        .text = "Counts, indices and times are within their limits.",
        .why = "They size memory and sums.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-PAY-4",
        .text = "Text is printable, terminated and followed by 0 only.",
        .why = "Names are shown to people, in terminals.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-PAY-5",
        .text = "Ranges are aligned to pages, not empty, and do not overflow.",
        .why = "They become copies into memory.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-PAY-6",
        .text = "Enumerations hold a known value, lists are ascending without "
                "duplicates.",
        .why = "Anything else has no meaning.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-VER-1",
        .text = "Both sides know a common version.",
        .why = "Records of another version mean something else.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ID-1",
        .text = "PREPARED, COMMIT and RETURN are about this session and epoch.",
        .why = "An old COMMIT must never start a second owner.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ORD-1",
        .text = "A record comes in its phase only.",
        .why = "Data before ACCEPT would reach devices that nobody checked.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ORD-2",
        .text = "A record that answers comes after what it answers.",
        .why = "A PREPARED without ALL_SENT is no promise.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ORD-3",
        .text = "What may come once comes once; nothing of a device's data comes "
                "after its end.",
        .why = "A second copy could differ from the first.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ORD-4",
        .text = "Devices and memory regions are introduced in order, before they are "
                "used.",
        .why = "An index without an owner is an access out of bounds.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ORD-5",
        .text = "ALL_SENT comes after every end record.",
        .why = "It is the promise that everything is there.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ORD-6",
        .text = "HELLO counts what came before it.",
        .why = "A device that got lost must not stay behind unnoticed.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ORD-7",
        .text = "Memory regions do not overlap, and pages lie inside their region.",
        .why = "Pages of a peer must not reach other memory.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ORD-8",
        .text = "MEMORY_END counts the pages that came.",
        .why = "Missing pages are silent corruption.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-ORD-9",
        .text = "Pieces of the VMM's state come in order, without gaps, of one total.",
        .why = "They are put together where they belong.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-CON-1",
        .text = "A further connection names session, epoch, its own number and the "
                "target's secret.",
        .why = "Whoever reaches the address must not get a part of the migration.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-CON-2",
        .text = "What comes behind a barrier is not taken before all that stands before "
                "it on the other connections.",
        .why = "An older copy of a page must not overwrite a newer one.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-END-1",
        .text = "Length and hash of a device's data match its end record before "
                "RESUMING ends.",
        .why = "Known drivers accept truncated data.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-END-2",
        .text = "A stream ends after its last record only.",
        .why = "A connection that breaks between two records looks like an end.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-END-3",
        .text = "Records, bytes and hash of a file match its FILE_END.",
        .why = "A record may be missing, or come from another file, with a right checksum.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-PACK-1",
        .text = "A PACKED record names a known method and no more bytes than one may "
                "stand for.",
        .why = "A short record must not unpack to more than the reader has set aside.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-PACK-2",
        .text = "A PACKED record unpacks to as many bytes as it says.",
        .why = "What follows would be read from the wrong place.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    {
        .id = "STR-PACK-3",
        .text = "Neither PREAMBLE, FILE_END nor another PACKED is packed.",
        .why = "Layers of layers would multiply what a short file unpacks to.",
        .source = "Ferry stream",
        .enforced = 1,
    },
    { 0 },
};
