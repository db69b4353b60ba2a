/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "core/stream/payload.h"
#include "host/context/config_inside.h"

/* Reading what is controlled from outside: config space and the MSI-X table. */

static int read_piece(void *user, uint32_t off, void *ret_data, uint32_t count)
{
    const struct ferry_host_device *device = user;

    return ferry_context_region_read(device->context, device->index,
                                     FERRY_HOST_CONFIG_REGION, off, ret_data, count);
}

/* The first access window at or after an offset; end when there is none. */
static uint32_t next_window(const struct ferry_host_pci *pci, uint32_t off, uint32_t end)
{
    uint32_t first = end;

    for (uint32_t i = 0; i < pci->cap_count; i++) {
        const uint32_t window = (uint32_t)pci->cap[i].off + pci->cap[i].window;

        if (pci->cap[i].window != 0 && window >= off && window < first) {
            first = window;
        }
    }
    return first;
}

int ferry_host_config_read(struct ferry_host_device *device,
                           struct ferry_host_config *ret_config,
                           struct ferry_error *reterr)
{
    const uint32_t bytes = (uint32_t)device->region[FERRY_HOST_CONFIG_REGION].size;
    const struct ferry_host_pci_reader reader = { .read = read_piece,
                                                  .user = device,
                                                  .config_bytes = bytes };
    uint32_t off = 0;
    int rc;

    memset(ret_config, 0, sizeof(*ret_config));
    ret_config->bytes = bytes;
    rc = ferry_host_pci_scan(&reader, &ret_config->pci);
    if (rc == FERRY_E_PROTOCOL && ret_config->pci.problem != NULL) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': config space: %s", device->name,
                               ret_config->pci.problem);
    }
    /* Reading a virtio access window reads a BAR, which may have an effect: leave it out.
     */
    while (rc == FERRY_OK && off < bytes) {
        const uint32_t end = next_window(&ret_config->pci, off, bytes);

        if (end > off) {
            rc = read_piece(device, off, ret_config->data + off, end - off);
        }
        off = end + 4u;
    }
    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': config space cannot be read: %s",
                               device->name, ferry_status_text(rc));
    }
    return FERRY_OK;
}

static int save(struct ferry_host_device *device, struct ferry_host_config *config,
                uint8_t *table, struct ferry_writer *writer, struct ferry_error *reterr)
{
    const uint32_t table_bytes = device->msix_vectors * FERRY_MSIX_ENTRY_BYTES;
    struct ferry_stream_config blob = { 0 };
    int rc = ferry_host_config_read(device, config, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    blob.config = config->data;
    blob.config_bytes = config->bytes;
    blob.vectors = device->irq_count;
    if (device->msix_vectors != 0) {
        rc = ferry_context_region_read(device->context, device->index, device->msix_bar,
                                       device->msix_table_off, table, table_bytes);
        if (rc != FERRY_OK) {
            return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                                   "device '%s': the MSI-X table cannot be read: %s",
                                   device->name, ferry_status_text(rc));
        }
        blob.msix = table;
        blob.msix_entries = device->msix_vectors;
    }
    ferry_stream_put_config(writer, &blob);
    if (writer->overflow) {
        return ferry_error_set(reterr, FERRY_E_CAPACITY, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': its config does not fit into %zu bytes",
                               device->name, writer->cap);
    }
    return FERRY_OK;
}

int ferry_host_config_save(struct ferry_context *context, uint32_t device, void *ret_blob,
                           size_t cap, size_t *ret_bytes, struct ferry_error *reterr)
{
    struct ferry_host_device *of = ferry_host_device(context, device);
    struct ferry_host_config *config = malloc(sizeof(*config));
    uint8_t *table = malloc(FERRY_HOST_MSIX_MAX * FERRY_MSIX_ENTRY_BYTES);
    struct ferry_writer writer;
    int rc;

    ferry_writer_init(&writer, ret_blob, cap);
    if (of == NULL) {
        rc = ferry_error_set(reterr, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                             "no device %u", device);
    } else if (config == NULL || table == NULL) {
        rc = ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                             "device '%s': out of memory", of->name);
    } else {
        rc = save(of, config, table, &writer, reterr);
    }
    if (rc == FERRY_OK) {
        *ret_bytes = writer.pos;
    }
    free(table);
    free(config);
    return rc;
}
