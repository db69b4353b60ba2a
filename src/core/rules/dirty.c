/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* Logging of what a device writes. */
const struct ferry_rule ferry_rules_dirty[] = {
    {
        .id = "MIG-LOG-2",
        .text = "START refuses a range that is empty, overflows or is not aligned to "
                "the page size, and ranges that overlap, and starts nothing then.",
        .why = "A log that covers something else than the user believes loses pages.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-3",
        .text = "START is refused while logging is on, and the log goes on.",
        .why = "A second start would forget what is marked.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-4",
        .text = "REPORT is refused while logging is off.",
        .why = "An empty report would say that nothing was written.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-5",
        .text = "The page size of START is a wish, START answers what the device took, "
                "and REPORT takes every power of two from 4096 on.",
        .why = "Devices track in units of their own.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-6",
        .text = "REPORT tells the pages of its range, sets bits and clears none of the "
                "caller's, and takes what it told out of the log and nothing else.",
        .why = "Callers collect several reports in one bitmap, and report one range at a "
               "time.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-7",
        .text = "Every page that the device wrote before REPORT was asked for is in that "
                "report or an earlier one.",
        .why = "A page that is missing is corrupt memory at the target.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-8",
        .text = "Changes of state neither stop the log nor lose what is in it.",
        .why = "The last report comes after the stop.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-9",
        .text = "A page that was not written is not reported, but for the rest of a unit "
                "of the page size.",
        .why = "Each page too many is sent in the downtime.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-10",
        .text = "A page is marked after it was written and before the completion is "
                "told.",
        .why = "Marked earlier, it may be sent with its old content; later, the guest "
               "goes on without it.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-11",
        .text = "STOP works whether logging is on or off, and a START after it begins "
                "with an empty log.",
        .why = "Clean-up paths stop twice.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-12",
        .text = "After a REPORT that failed the user takes every page of the range for "
                "written, or gives the migration up.",
        .why = "Nobody knows what the device has cleared.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-13",
        .text = "The log of a range is read before the range is unmapped.",
        .why = "Nobody can say afterwards what was written there.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-14",
        .text = "START refuses more ranges than the device can take with an error, and "
                "never by tracking fewer.",
        .why = "The user can merge ranges; it cannot see what is left out.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-15",
        .text = "REPORT refuses a range that is empty, not aligned or overflows.",
        .why = "The bitmap would be read in another way than it was written.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-16",
        .text = "START without ranges is refused by a device of the kernel; over "
                "vfio-user it means the whole address space.",
        .why = "The two texts differ, and a user of both must know.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-LOG-17",
        .text = "A report of runs, where the device offers one, tells and clears the "
                "same pages as a bitmap would.",
        .why = "It is another form of the same answer.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-CMP-1",
        .text = "Device memory that others write without the device seeing it is "
                "compared after the freeze.",
        .why = "No log of the device has these writes.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 1,
    },
    {
        .id = "MIG-VIO-1",
        .text = "Behind a vIOMMU an IOVA is translated to a guest address when the page "
                "is marked, or when the log is read before the unmap.",
        .why = "Later the same IOVA may stand for another page.",
        .source = "Ferry",
        .chapter = FERRY_CHAPTER_DIRTY,
        .enforced = 0,
    },
    { 0 },
};
