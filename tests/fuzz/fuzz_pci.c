/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the host's look at a peer's config space. Two bytes say how large it is and at
 * which read it fails, the rest is its content. The walk never reads outside, ends, and
 * what it returns lies inside.
 */
#include <string.h>

#include "ferry/error.h"
#include "host/context/context_pci.h"
#include "must.h"

struct space {
    uint8_t bytes[4096];
    uint32_t count, reads, fails_at;
};

static int read_space(void *user, uint32_t off, void *ret_data, uint32_t count)
{
    struct space *space = user;

    must(count > 0 && off <= space->count && count <= space->count - off);
    must(++space->reads < 1000);
    if (space->reads == space->fails_at) {
        return FERRY_E_IO;
    }
    memcpy(ret_data, space->bytes + off, count);
    return FERRY_OK;
}

static void check(const struct ferry_host_pci *pci, uint32_t count)
{
    const uint32_t end = count < 256 ? count : 256;
    uint32_t msix = 0;

    must(pci->cap_count <= FERRY_HOST_PCI_CAPS_MAX);
    must(pci->ext_count <= FERRY_HOST_PCI_EXT_MAX);
    for (uint32_t i = 0; i < pci->cap_count; i++) {
        must(pci->cap[i].off >= 64 && pci->cap[i].off % 4 == 0);
        must((uint32_t)pci->cap[i].off + pci->cap[i].bytes <= end);
        must(pci->cap[i].window == 0 || pci->cap[i].window + 4u <= pci->cap[i].bytes);
        msix += pci->cap[i].id == FERRY_PCI_CAP_MSIX;
    }
    for (uint32_t i = 0; i < pci->ext_count; i++) {
        must(pci->ext[i].off >= 256);
        must((uint32_t)pci->ext[i].off + pci->ext[i].bytes <= count);
    }
    must(msix == (pci->msix_off != 0) && pci->msix_vectors <= 2048);
    must((pci->msix_off != 0) == (pci->msix_vectors != 0) && pci->msix_bar < 8);
    must(pci->msix_table_off % 8 == 0 && pci->problem == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t counts[] = { 64, 66, 100, 255, 256, 260, 1024, 4096 };
    static struct space space;
    struct ferry_host_pci_reader reader = { .read = read_space, .user = &space };
    static struct ferry_host_pci pci;
    int rc;

    if (size < 2) {
        return 0;
    }
    memset(&space, 0, sizeof(space));
    space.count = reader.config_bytes = counts[data[0] % 8];
    space.fails_at = data[1];
    size = size - 2 < space.count ? size - 2 : space.count;
    memcpy(space.bytes, data + 2, size);
    rc = ferry_host_pci_scan(&reader, &pci);
    must(rc == FERRY_OK || rc == FERRY_E_IO || rc == FERRY_E_PROTOCOL);
    must((rc == FERRY_E_IO) == (space.fails_at != 0 && space.reads >= space.fails_at));
    if (rc == FERRY_OK) {
        check(&pci, space.count);
    } else if (rc == FERRY_E_PROTOCOL) {
        must(pci.problem != NULL);
    }
    return 0;
}
