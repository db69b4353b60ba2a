/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/check/mutants/mutants.h"

/* Each class with the checks that it is about; every check is in one class. */
const struct mutant_class mutant_classes[] = {
    { "state", "feature.* arc.* session.*", mutants_state },
    { "reset", "cancel.* reset.* reopen.*", mutants_reset },
    { "data",
      "data.end data.once data.zero data.read-cut data.write-cut data.cut-same "
      "data.same data.clean data.round data.round-partner data.goes-on",
      mutants_data },
    { "load",
      "data.short data.long data.endless data.noise data.order data.flip data.foreign "
      "data.early data.incompatible data.partner data.second data.sticky",
      mutants_load },
    { "socket", "datafd.*", mutants_socket },
    { "precopy", "size.* precopy.*", mutants_precopy },
    { "access", "access.*", mutants_access },
    { "quiet", "irq.* dma.*", mutants_quiet },
    { "peers", "p2p.* race.*", mutants_peers },
    { "dirty", "dirty.* log.*", mutants_dirty },
    { "v1", "v1.*", mutants_v1 },
    { "history", "", mutants_history },
    { "nic", "", mutants_nic },
    { NULL, NULL, NULL },
};
