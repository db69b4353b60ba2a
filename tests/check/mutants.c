/* SPDX-License-Identifier: BSD-3-Clause */
#include "mutants.h"

/* Each class with the checks that it is about; every check is in one class. */
const struct mutant_class mutant_classes[] = {
    { "state", "feature.* arc.* session.*", mutants_state },
    { "reset", "cancel.* reset.* reopen.*", mutants_reset },
    { "data", "data.*", mutants_data },
    { "precopy", "size.* precopy.*", mutants_precopy },
    { "access", "access.* irq.* dma.* p2p.* race.*", mutants_access },
    { "dirty", "dirty.* log.*", mutants_dirty },
    { "v1", "v1.*", mutants_v1 },
    { NULL, NULL, NULL },
};
