/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_FUZZ_MUST_H
#define FERRY_TESTS_FUZZ_MUST_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds for every input; never compiled out. */
static inline void must(int holds)
{
    if (!holds) {
        abort();
    }
}

#endif
