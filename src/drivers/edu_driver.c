/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/edu_driver.h"

#define PCI_CAP_ID_MSI 0x05
#define MSI_CONTROL 2u
#define MSI_ENABLE 0x1u

static uint32_t reg_read(const struct pci_function *pci, uint64_t off, int *failed)
{
    return (uint32_t)pci_read(pci, EDU_BAR, off, 4, failed);
}

static void reg_write(const struct pci_function *pci, uint64_t off, uint32_t value,
                      int *failed)
{
    pci_write(pci, EDU_BAR, off, value, 4, failed);
}

static int enable(const struct pci_function *pci)
{
    const int msi = pci_next_cap(pci, PCI_CAP_ID_MSI, 0);
    int failed = pci_enable_memory(pci);
    uint64_t control;

    if (msi < 0) {
        return failed < 0 ? failed : msi;
    }
    control = pci_read(pci, PCI_REGION_CONFIG, (uint64_t)msi + MSI_CONTROL, 2, &failed);
    pci_write(pci, PCI_REGION_CONFIG, (uint64_t)msi + MSI_CONTROL, control | MSI_ENABLE,
              2, &failed);
    return failed;
}

int edu_driver_init(const struct pci_function *pci, struct ferry_error *reterr)
{
    const uint32_t probe = 0x5aa5c33cu;
    int failed = enable(pci);
    const uint32_t id = reg_read(pci, EDU_REG_ID, &failed);
    uint32_t live;

    if (failed == FERRY_OK && (id & EDU_ID_MASK) != EDU_ID) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "edu", NULL, EDU_REG_ID,
                               "not an edu device (it says 0x%08x)", id);
    }
    reg_write(pci, EDU_REG_LIVE, probe, &failed);
    live = reg_read(pci, EDU_REG_LIVE, &failed);
    if (failed == FERRY_OK && live != ~probe) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, "edu", NULL, EDU_REG_LIVE,
                               "its first register gives 0x%08x for 0x%08x", live, probe);
    }
    return failed == FERRY_OK ? FERRY_OK
                              : ferry_error_set(reterr, failed, "edu", NULL, 0,
                                                "cannot reach the device's registers: %s",
                                                ferry_status_text(failed));
}

int edu_driver_ack(const struct pci_function *pci, uint32_t *ret_cause)
{
    int failed = FERRY_OK;
    const uint32_t cause = reg_read(pci, EDU_REG_CAUSE, &failed);

    reg_write(pci, EDU_REG_ACK, cause, &failed);
    if (failed == FERRY_OK && ret_cause) {
        *ret_cause = cause;
    }
    return failed;
}

int edu_driver_compute(const struct pci_function *pci, uint32_t n, uint32_t flags)
{
    int failed = FERRY_OK;

    reg_write(pci, EDU_REG_STATUS, flags & EDU_STATUS_IRQ, &failed);
    reg_write(pci, EDU_REG_FACT, n, &failed);
    return failed;
}

int edu_driver_computed(const struct pci_function *pci, uint32_t *ret_result)
{
    int failed = FERRY_OK;
    const uint32_t status = reg_read(pci, EDU_REG_STATUS, &failed);
    const uint32_t result = reg_read(pci, EDU_REG_FACT, &failed);

    if (failed < 0 || (status & EDU_STATUS_BUSY) != 0) {
        return failed;
    }
    *ret_result = result;
    return 1;
}

uint32_t edu_driver_factorial(uint32_t n)
{
    uint32_t result = 1;

    for (uint32_t i = 2; i <= n && result != 0; i++) {
        result *= i;
    }
    return result;
}

int edu_driver_move(const struct pci_function *pci, const struct edu_move *move)
{
    const uint32_t to_ram = move->flags & EDU_DMA_TO_RAM;
    int failed = FERRY_OK;
    uint32_t inside, outside;

    if (move->bytes == 0 || move->off > EDU_MOVE_BYTES ||
        move->bytes > EDU_MOVE_BYTES - move->off || move->iova > EDU_DMA_MASK ||
        move->bytes - 1 > EDU_DMA_MASK - move->iova) {
        return FERRY_E_RANGE;
    }
    failed = edu_driver_idle(pci);
    if (failed != 1) {
        return failed < 0 ? failed : FERRY_E_STATE;
    }
    failed = FERRY_OK;
    inside = EDU_BUFFER + move->off;
    outside = (uint32_t)move->iova;
    reg_write(pci, EDU_REG_SRC, to_ram ? inside : outside, &failed);
    reg_write(pci, EDU_REG_DST, to_ram ? outside : inside, &failed);
    reg_write(pci, EDU_REG_COUNT, move->bytes, &failed);
    reg_write(pci, EDU_REG_COMMAND,
              EDU_DMA_RUN | (move->flags & (EDU_DMA_TO_RAM | EDU_DMA_IRQ)), &failed);
    return failed;
}

int edu_driver_idle(const struct pci_function *pci)
{
    int failed = FERRY_OK;
    const uint32_t command = reg_read(pci, EDU_REG_COMMAND, &failed);

    return failed < 0 ? failed : (command & EDU_DMA_RUN) == 0;
}
