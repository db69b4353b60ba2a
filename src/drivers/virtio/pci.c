/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/virtio/pci.h"

#include <assert.h>

#include "ferry/check.h"

#define CONFIG_COMMAND 0x04u
#define CONFIG_STATUS 0x06u
#define CONFIG_CAP_POINTER 0x34u
#define COMMAND_MEMORY 0x2u
#define COMMAND_BUS_MASTER 0x4u
#define STATUS_CAP_LIST 0x10u
#define MSIX_CONTROL 2u
#define MSIX_ENABLE 0x8000u
#define MSIX_MASK_ALL 0x4000u
/* Capabilities are at least 4 bytes each in the upper 192 bytes of config space. */
#define CAPS_MAX 48

uint64_t pci_read(const struct pci_function *pci, uint32_t region, uint64_t off,
                  size_t bytes, int *failed)
{
    uint8_t raw[8] = { 0 };
    uint64_t value = 0;
    int status;

    assert(bytes <= sizeof(raw));
    if (*failed < 0) {
        return 0;
    }
    status = pci->check != NULL
                 ? ferry_check_region_read(pci->check, region, off, raw, bytes)
                 : ferry_context_region_read(pci->context, pci->device, region, off, raw,
                                             bytes);
    if (status < 0) {
        *failed = status;
        return 0;
    }
    for (size_t i = bytes; i > 0; i--) {
        value = value << 8 | raw[i - 1];
    }
    return value;
}

static int write_register(const struct pci_function *pci, uint32_t region, uint64_t off,
                          uint64_t value, size_t bytes, int posted)
{
    uint8_t raw[8];

    assert(bytes <= sizeof(raw));
    for (size_t i = 0; i < bytes; i++) {
        raw[i] = (uint8_t)(value >> (8 * i));
    }
    if (pci->check != NULL) {
        return ferry_check_region_write(pci->check, region, off, raw, bytes);
    }
    return ferry_context_region_write(pci->context, pci->device, region, off, raw, bytes,
                                      posted);
}

void pci_write(const struct pci_function *pci, uint32_t region, uint64_t off,
               uint64_t value, size_t bytes, int *failed)
{
    int status;

    if (*failed < 0) {
        return;
    }
    status = write_register(pci, region, off, value, bytes, 0);
    if (status < 0) {
        *failed = status;
    }
}

int pci_doorbell(const struct pci_function *pci, uint32_t region, uint64_t off,
                 uint64_t value, size_t bytes)
{
    return write_register(pci, region, off, value, bytes, 1);
}

int pci_next_cap(const struct pci_function *pci, uint8_t id, uint32_t after)
{
    int failed = FERRY_OK;
    uint64_t at;

    if (after == 0) {
        uint64_t status = pci_read(pci, PCI_REGION_CONFIG, CONFIG_STATUS, 2, &failed);

        if ((status & STATUS_CAP_LIST) == 0) {
            return failed < 0 ? failed : FERRY_E_NOT_FOUND;
        }
        at = pci_read(pci, PCI_REGION_CONFIG, CONFIG_CAP_POINTER, 1, &failed);
    } else {
        at = pci_read(pci, PCI_REGION_CONFIG, after + 1, 1, &failed);
    }
    for (unsigned i = 0; i < CAPS_MAX && failed >= 0; i++) {
        uint64_t head;

        at &= 0xfcu;
        if (at == 0) {
            return FERRY_E_NOT_FOUND;
        }
        if (at < 0x40) {
            return FERRY_E_PROTOCOL;
        }
        head = pci_read(pci, PCI_REGION_CONFIG, at, 2, &failed);
        if (failed >= 0 && (head & 0xff) == id) {
            return (int)at;
        }
        at = head >> 8;
    }
    return failed < 0 ? failed : FERRY_E_PROTOCOL;
}

int pci_enable_memory(const struct pci_function *pci)
{
    int failed = FERRY_OK;
    const uint64_t command = pci_read(pci, PCI_REGION_CONFIG, CONFIG_COMMAND, 2, &failed);

    pci_write(pci, PCI_REGION_CONFIG, CONFIG_COMMAND,
              command | COMMAND_MEMORY | COMMAND_BUS_MASTER, 2, &failed);
    return failed;
}

int pci_enable(const struct pci_function *pci)
{
    int msix = pci_next_cap(pci, PCI_CAP_ID_MSIX, 0);
    int failed = msix < 0 ? msix : pci_enable_memory(pci);
    const uint64_t control =
        pci_read(pci, PCI_REGION_CONFIG, (uint64_t)msix + MSIX_CONTROL, 2, &failed);

    pci_write(pci, PCI_REGION_CONFIG, (uint64_t)msix + MSIX_CONTROL,
              (control | MSIX_ENABLE) & ~(uint64_t)MSIX_MASK_ALL, 2, &failed);
    return failed;
}

int pci_memory_region(const struct pci_function *pci, uint64_t *ret_size)
{
    struct ferry_device_view view;
    int status;

    assert(pci->check == NULL);
    status = ferry_context_device(pci->context, pci->device, &view, NULL);

    if (status < 0) {
        return status;
    }
    for (int i = 0; i < 6; i++) {
        if (view.region[i].size > 0 && (view.region[i].flags & 4u) != 0) {
            *ret_size = view.region[i].size;
            return i;
        }
    }
    return FERRY_E_NOT_FOUND;
}
