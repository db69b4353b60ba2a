/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* A device's data: validity, estimates, pre-copy. */
const struct ferry_rule ferry_rules_data[] = {
    {
        .id = "MIG-DATA-5",
        .text = "In STOP_COPY a read that finds nothing more returns 0, and so does "
                "every read after it.",
        .why = "It is the only end that the user sees.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-6",
        .text = "How reads and writes cut the stream changes neither what comes out nor "
                "what is loaded.",
        .why = "Source, network and target cut it each in their own way.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-7",
        .text = "RESUMING to STOP fails when the data is short or missing.",
        .why = "A device that runs with half a state corrupts the guest without a word.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-8",
        .text = "Data of a device of another kind is refused, by the write or by "
                "RESUMING to STOP.",
        .why = "Its bytes mean something else here.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-9",
        .text = "Data behind the end of the stream is refused, by the write or by "
                "RESUMING to STOP.",
        .why = "It belongs to another session, or the writer has lost its place.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-10",
        .text = "Data that was damaged or put into another order on the way is refused, "
                "by the write or by RESUMING to STOP.",
        .why = "Not every user has a checksum of its own.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-11",
        .text = "After a write that was refused RESUMING to STOP fails, whatever is "
                "written afterwards.",
        .why = "A user that overlooks an error must not get a device that runs.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-12",
        .text = "Two saves of a device that stays stopped give the same bytes.",
        .why = "What differs is uninitialised memory of the host, or state that changes "
               "while it must not.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-13",
        .text = "A device that was saved, loaded and saved again gives the same bytes.",
        .why = "What differs was not carried.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-14",
        .text = "The reads of a session give each byte once and in order, whatever comes "
                "between them.",
        .why = "A lost or doubled piece is a damaged state.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-16",
        .text = "A read or a write of 0 bytes changes nothing, whether it is refused or "
                "not.",
        .why = "A user whose buffer is full must not lose its place.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-17",
        .text = "A stream that does not end is refused while it is written, before it "
                "has cost the target more than a state could.",
        .why = "Memory of the host is what a hostile or broken source would take.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-18",
        .text = "Bytes that are no state at all are refused, by the write or by "
                "RESUMING to STOP.",
        .why = "A device that takes zeros for a state runs with one that nobody saved.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-19",
        .text = "A session takes over nothing from an earlier one, whether that ended "
                "well, was refused or was given up.",
        .why = "Drivers have judged a second stream by the first one's header.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-20",
        .text = "A device that was reset or opened again gives the bytes that it gave "
                "when it had just been opened.",
        .why = "What differs belonged to the user before, or to the host.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-21",
        .text = "A state loads into another device of the same kind.",
        .why = "That is what it was saved for.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-DATA-22",
        .text = "A device that has loaded a state goes on where the saved one stood.",
        .why = "The guest's driver knows nothing of the move.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-FD-1",
        .text = "A data descriptor is given for a session of a device's data only, in "
                "the direction of the session.",
        .why = "Without a session nothing could be read from it or written to it.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-FD-2",
        .text = "While there is a data descriptor, data goes no other way, and a change "
                "of state that could overtake it is refused.",
        .why = "Two ways mix up the order of the bytes.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-FD-3",
        .text = "A data descriptor gives what reads would give; closing it changes "
                "nothing of the session.",
        .why = "The user that closes it may go on by another way.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-FD-4",
        .text = "What is written to a data descriptor is judged like any other data "
                "before the device leaves RESUMING.",
        .why = "The shorter way must not be the one that nobody watches.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-FD-5",
        .text = "A data descriptor comes to its end, or to an error, when its session "
                "is over.",
        .why = "Who reads on it would wait for ever.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-FD-6",
        .text = "A data descriptor of a saving session is readable when there is data, "
                "or its end, and not before.",
        .why = "Main loops rest on it.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DATA,
        .enforced = 1,
    },
    {
        .id = "MIG-SIZE-1",
        .text = "The size of the data is a plausible number in every state in which it "
                "is given.",
        .why = "QEMU allocates a buffer of that size; drivers have returned an error "
               "code as a size.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-SIZE-2",
        .text = "The size of the data is not below what a stop-copy that begins then "
                "gives.",
        .why = "The stop is decided on it; what was not announced is downtime that "
               "nobody predicted.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-SIZE-3",
        .text = "A device that is stopped gives the same size of its data until some of "
                "it is read.",
        .why = "A number that moves by itself predicts nothing.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-PRE-3",
        .text = "In PRE_COPY and PRE_COPY_P2P a read that finds nothing fails with "
                "ENOMSG, and later reads may find more.",
        .why = "0 is the end of the stream, and there is none in pre-copy.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-PRE-4",
        .text = "initial_bytes is not 0 when pre-copy begins, goes down as they are "
                "read, and does not rise again in a session without the opt-in to "
                "re-initialisation.",
        .why = "The user stops when it is 0; a number that rises by itself never lets "
               "it.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-PRE-5",
        .text = "Pre-copy information fills in each of its fields, whatever the caller "
                "left there.",
        .why = "Drivers have given callers their own garbage back as a size.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-PRE-6",
        .text = "Pre-copy can be left for STOP_COPY at any time; what was not read by "
                "then comes afterwards.",
        .why = "The user stops by its own clock.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-PRE-7",
        .text = "What changes after it was given in pre-copy is given again before the "
                "end of the stream.",
        .why = "The target loads the last word of each part.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-PRE-8",
        .text = "A PRE_COPY device gives a few bytes first by which a target can refuse "
                "early.",
        .why = "A refusal in pre-copy costs the guest nothing; at RESUMING to STOP it "
               "costs the downtime.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-PRE-9",
        .text = "initial_bytes and dirty_bytes are not below what pre-copy then gives "
                "while nothing changes.",
        .why = "The rest of the stop is predicted from them.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-PRE-10",
        .text = "dirty_bytes is 0 when pre-copy begins; it rises as the device changes "
                "what it has given, and falls as that is read.",
        .why = "It counts what was given and is out of date, and nothing was given "
               "yet.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    {
        .id = "MIG-PRE-11",
        .text = "initial_bytes and dirty_bytes are both 0 exactly when a read of a "
                "device that does nothing finds nothing.",
        .why = "A user that waits for 0 waits for ever, and one that stops at 0 leaves "
               "data for the stop.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_PRE_COPY,
        .enforced = 1,
    },
    { 0 },
};
