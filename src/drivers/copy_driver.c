/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/copy_driver.h"

#include <assert.h>
#include <string.h>

#include "models/copy/copy_regs.h"

static uint64_t ring_bytes(uint32_t entries)
{
    uint64_t bytes = (uint64_t)entries * sizeof(struct copy_descriptor);

    return (bytes + FERRY_PAGE_BYTES - 1) / FERRY_PAGE_BYTES * FERRY_PAGE_BYTES;
}

uint64_t copy_driver_need(uint32_t entries)
{
    return 2 * ring_bytes(entries);
}

/* Is it the device that we know, and large enough? */
static int check_device(const struct pci_function *pci, uint32_t entries,
                        uint64_t local_bytes, struct ferry_error *reterr)
{
    int failed = FERRY_OK;
    uint64_t id = pci_read(pci, COPY_BAR_REGS, COPY_REG_ID, 4, &failed);
    uint64_t version = pci_read(pci, COPY_BAR_REGS, COPY_REG_VERSION, 4, &failed);
    uint64_t most = pci_read(pci, COPY_BAR_REGS, COPY_REG_ENTRIES_MAX, 4, &failed);
    uint64_t memory = pci_read(pci, COPY_BAR_REGS, COPY_REG_MEMORY, 8, &failed);

    if (failed < 0) {
        return ferry_error_set(reterr, failed, "copy", NULL, 0,
                               "cannot read the device's registers: %s",
                               ferry_status_text(failed));
    }
    if (id != COPY_ID || version != COPY_VERSION) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "copy", NULL, COPY_REG_ID,
                               "not a `copy` device of version %u", COPY_VERSION);
    }
    if (entries > most) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "copy", NULL, COPY_REG_ENTRIES_MAX,
                               "a ring of %u entries is needed, the device takes %u",
                               entries, (unsigned)most);
    }
    if (local_bytes > memory) {
        return ferry_error_set(
            reterr, FERRY_E_LIMIT, "copy", NULL, COPY_REG_MEMORY,
            "%llu KiB of device memory are needed, the device has %llu: "
            "use fewer lanes or smaller blocks",
            (unsigned long long)local_bytes >> 10, (unsigned long long)memory >> 10);
    }
    return FERRY_OK;
}

int copy_driver_init(const struct pci_function *pci, const struct guest_ram *ram,
                     struct copy_driver *copy, uint64_t iova, uint32_t entries,
                     uint64_t local_bytes, struct ferry_error *reterr)
{
    void *rings = guest_at(ram, iova, copy_driver_need(entries));
    int failed = pci_enable(pci);
    uint64_t status;

    if (failed == FERRY_OK) {
        failed = check_device(pci, entries, local_bytes, reterr);
        if (failed < 0) {
            return failed;
        }
    }
    memset(rings, 0, copy_driver_need(entries));
    guest_wrote(ram, rings, copy_driver_need(entries));
    memset(copy, 0, sizeof(*copy));
    copy->ring_iova = iova;
    copy->done_iova = iova + ring_bytes(entries);
    copy->entries = entries;
    guest_wrote(ram, copy, sizeof(*copy));
    pci_write(pci, COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_CONTROL, 0, 4, &failed);
    pci_write(pci, COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_RING, copy->ring_iova, 8,
              &failed);
    pci_write(pci, COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_DONE_RING, copy->done_iova,
              8, &failed);
    pci_write(pci, COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_ENTRIES, entries, 4,
              &failed);
    pci_write(pci, COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_VECTOR, 0, 4, &failed);
    pci_write(pci, COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_CONTROL, COPY_CONTROL_ENABLE,
              4, &failed);
    status = pci_read(pci, COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_STATUS, 4, &failed);
    if (failed < 0 || (status & COPY_STATUS_ENABLED) == 0) {
        return ferry_error_set(reterr, failed < 0 ? failed : FERRY_E_DEVICE, "copy", NULL,
                               COPY_CHANNEL_OFF, "channel 0 does not start (status 0x%x)",
                               (unsigned)status);
    }
    return FERRY_OK;
}

int copy_driver_check(const struct copy_driver *copy, uint64_t iova, uint32_t entries,
                      uint32_t jobs)
{
    return copy->entries == entries && copy->ring_iova == iova &&
           copy->done_iova == iova + ring_bytes(entries) &&
           copy->tail - copy->taken == jobs;
}

void copy_driver_submit(const struct guest_ram *ram, struct copy_driver *copy,
                        const struct copy_job *job)
{
    uint64_t at =
        copy->ring_iova + copy->tail % copy->entries * sizeof(struct copy_descriptor);
    struct copy_descriptor descriptor = {
        .op = COPY_OP_COPY | job->flags,
        .id = job->id,
        .src = job->from,
        .dst = job->to,
        .len = job->bytes,
    };

    assert(copy->tail - copy->taken < copy->entries);
    guest_copy(ram, guest_at(ram, at, sizeof(descriptor)), &descriptor,
               sizeof(descriptor));
    copy->tail++;
    guest_wrote(ram, copy, sizeof(*copy));
}

int copy_driver_kick(const struct pci_function *pci, const struct copy_driver *copy)
{
    /* Descriptors before the doorbell, for a device on another core. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return pci_doorbell(pci, COPY_BAR_REGS, COPY_DOORBELL_OFF, copy->tail, 4);
}

static struct copy_completion *completion_at(const struct guest_ram *ram,
                                             const struct copy_driver *copy,
                                             uint32_t number)
{
    uint64_t at =
        copy->done_iova + number % copy->entries * sizeof(struct copy_completion);

    return guest_at(ram, at, sizeof(struct copy_completion));
}

/* Completion `number` (free running) is there when its entry carries number + 1; the
 * entry of the last turn is `entries` behind. */
static int is_ready(const struct guest_ram *ram, const struct copy_driver *copy,
                    uint32_t number)
{
    const struct copy_completion *entry = completion_at(ram, copy, number);

    return (uint32_t)__atomic_load_n(&entry->sequence, __ATOMIC_ACQUIRE) == number + 1;
}

uint32_t copy_driver_ready(const struct guest_ram *ram, const struct copy_driver *copy)
{
    uint32_t count = 0;

    while (count < copy->entries && is_ready(ram, copy, copy->taken + count)) {
        count++;
    }
    return count;
}

int copy_driver_take(const struct guest_ram *ram, struct copy_driver *copy,
                     struct copy_result *ret_result)
{
    const struct copy_completion *next = completion_at(ram, copy, copy->taken);

    if (!is_ready(ram, copy, copy->taken)) {
        return 0;
    }
    ret_result->id = next->id;
    ret_result->status = next->status;
    ret_result->bytes = next->bytes;
    copy->taken++;
    guest_wrote(ram, copy, sizeof(*copy));
    return 1;
}
