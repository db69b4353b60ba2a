/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "test_bridge_log_rig.h"

uint32_t ioas, hwpt;

int rig_log_start(void **state)
{
    rig_start(state);
    mappings_fd = make_file(RIG_PAGES);
    ioas = make_ioas();
    hwpt = make_hwpt(1, ioas, 2);
    attach(0, hwpt);
    attach(1, hwpt);
    assert_int_equal(map_va(ioas, 0, MEMORY_BYTES, RAM), 0);
    return 0;
}

int rig_log_stop(void **state)
{
    if (mappings_fd >= 0) {
        close(mappings_fd);
    }
    return rig_stop(state);
}

uint64_t rig_log_report(uint64_t iova, uint64_t length, uint32_t flags,
                        uint64_t *ret_first)
{
    const uint64_t pages = length / PAGE;
    uint8_t *bitmap = calloc(1, ferry_bitmap_bytes(pages) + 8);
    uint64_t count;

    assert_non_null(bitmap);
    memset(bitmap + ferry_bitmap_bytes(pages), 0xa5, 8);
    assert_int_equal(get_dirty(hwpt, iova, length, PAGE, flags, bitmap), 0);
    count = ferry_bitmap_count(bitmap, pages);
    if (ret_first != NULL) {
        *ret_first = ferry_bitmap_next(bitmap, pages, 0);
    }
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(bitmap[ferry_bitmap_bytes(pages) + i], 0xa5);
    }
    free(bitmap);
    return count;
}

void rig_write_inside(struct rig *rig, uint64_t iova, uint64_t size)
{
    (void)size;
    rig_write(rig, iova + PAGE);
}
