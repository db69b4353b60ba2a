/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "core/stream/payload.h"
#include "host/context/config_inside.h"

/* Does a peer's blob fit the device here? Before the first byte is written. */

static int read_bytes(void *user, uint32_t off, void *ret_data, uint32_t count)
{
    const struct ferry_stream_config *blob = user;

    memcpy(ret_data, blob->config + off, count);
    return FERRY_OK;
}

static int differs(const struct ferry_host_device *device, const char *what,
                   uint64_t theirs, uint64_t ours, struct ferry_error *reterr)
{
    return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0,
                           "device '%s': %s: 0x%llx at the source, 0x%llx here",
                           device->name, what, (unsigned long long)theirs,
                           (unsigned long long)ours);
}

static int compare_caps(const struct ferry_host_device *device,
                        const struct ferry_host_pci *theirs,
                        const struct ferry_host_pci *ours, struct ferry_error *reterr)
{
    if (theirs->cap_count != ours->cap_count) {
        return differs(device, "number of PCI capabilities", theirs->cap_count,
                       ours->cap_count, reterr);
    }
    for (uint32_t i = 0; i < ours->cap_count; i++) {
        const struct ferry_host_pci_cap *a = &theirs->cap[i];
        const struct ferry_host_pci_cap *b = &ours->cap[i];

        if (a->id != b->id) {
            return differs(device, "PCI capability", a->id, b->id, reterr);
        }
        if (a->off != b->off) {
            return differs(device, "place of a PCI capability", a->off, b->off, reterr);
        }
        if (a->bytes != b->bytes || a->window != b->window) {
            return differs(device, "kind of vendor capability", a->bytes, b->bytes,
                           reterr);
        }
    }
    if (theirs->ext_count != ours->ext_count) {
        return differs(device, "number of extended capabilities", theirs->ext_count,
                       ours->ext_count, reterr);
    }
    for (uint32_t i = 0; i < ours->ext_count; i++) {
        if (memcmp(&theirs->ext[i], &ours->ext[i], sizeof(ours->ext[i])) != 0) {
            return differs(device, "kind or place of an extended capability",
                           theirs->ext[i].id, ours->ext[i].id, reterr);
        }
    }
    if (theirs->msix_off != 0 && (theirs->msix_vectors != ours->msix_vectors ||
                                  theirs->msix_bar != ours->msix_bar ||
                                  theirs->msix_table_off != ours->msix_table_off)) {
        return differs(device, "MSI-X vectors or place of their table",
                       theirs->msix_vectors, ours->msix_vectors, reterr);
    }
    return FERRY_OK;
}

static int compare(const struct ferry_host_device *device,
                   const struct ferry_stream_config *blob,
                   const struct ferry_host_pci *theirs, const struct ferry_host_pci *ours,
                   struct ferry_error *reterr)
{
    if (theirs->vendor != ours->vendor || theirs->device != ours->device) {
        return differs(device, "PCI device number", theirs->device, ours->device, reterr);
    }
    if (theirs->subvendor != ours->subvendor || theirs->subdevice != ours->subdevice) {
        return differs(device, "PCI subsystem number", theirs->subdevice, ours->subdevice,
                       reterr);
    }
    if (theirs->class_revision != ours->class_revision) {
        return differs(device, "PCI class and revision", theirs->class_revision,
                       ours->class_revision, reterr);
    }
    if (blob->msix_entries != device->msix_vectors) {
        return differs(device, "MSI-X table entries", blob->msix_entries,
                       device->msix_vectors, reterr);
    }
    return compare_caps(device, theirs, ours, reterr);
}

int ferry_host_config_match(struct ferry_host_device *device, const void *blob,
                            size_t bytes, struct ferry_stream_config *ret_blob,
                            struct ferry_host_config *ret_now, struct ferry_error *reterr)
{
    struct ferry_host_pci_reader reader = { .read = read_bytes, .user = ret_blob };
    struct ferry_host_pci theirs;
    int rc = ferry_stream_get_config(blob, bytes, ret_blob, reterr);

    if (rc == FERRY_OK) {
        rc = ferry_host_config_read(device, ret_now, reterr);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    if (ret_blob->config_bytes != ret_now->bytes) {
        return differs(device, "bytes of config space", ret_blob->config_bytes,
                       ret_now->bytes, reterr);
    }
    reader.config_bytes = ret_blob->config_bytes;
    rc = ferry_host_pci_scan(&reader, &theirs);
    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': the source's config space: %s", device->name,
                               theirs.problem);
    }
    return compare(device, ret_blob, &theirs, &ret_now->pci, reterr);
}

int ferry_host_config_check(struct ferry_context *context, uint32_t device,
                            const void *blob, size_t bytes, struct ferry_error *reterr)
{
    struct ferry_host_device *of = ferry_host_device(context, device);
    struct ferry_host_config *now;
    struct ferry_stream_config theirs;
    int rc;

    if (of == NULL) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                               "no device %u", device);
    }
    now = malloc(sizeof(*now));
    if (now == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': out of memory", of->name);
    }
    rc = ferry_host_config_match(of, blob, bytes, &theirs, now, reterr);
    free(now);
    return rc;
}
