/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/guest/guest.h"

#include <assert.h>
#include <string.h>

void *guest_at(const struct guest_ram *ram, uint64_t iova, uint64_t size)
{
    assert(iova >= ram->iova && size <= ram->size);
    assert(iova - ram->iova <= ram->size - size);
    return ram->address + (iova - ram->iova);
}

uint64_t guest_iova(const struct guest_ram *ram, const void *address)
{
    const uint8_t *byte = address;

    assert(byte >= ram->address && byte < ram->address + ram->size);
    return ram->iova + (uint64_t)(byte - ram->address);
}

void guest_wrote(const struct guest_ram *ram, const void *address, uint64_t size)
{
    if (size > 0 && ram->context != NULL) {
        ferry_context_mark_dirty(ram->context, guest_iova(ram, address), size);
    }
}

void guest_copy(const struct guest_ram *ram, void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    guest_wrote(ram, to, size);
}
