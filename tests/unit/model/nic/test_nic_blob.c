/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_nic_blob.h"

#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "models/le.h"

struct blob_world world;

struct nic *nic_of(struct rig *rig)
{
    return rig->state;
}

int blob_set_up(void **state)
{
    static const char *const options[] = { "pairs=2", NULL };

    *state = &world;
    memset(&world, 0, sizeof(world));
    rig_ram_open(&world.ram);
    rig_open(&world.a, "nic", options, &world.ram);
    rig_open(&world.b, "nic", options, &world.ram);
    nic_start(&world.guest, &world.a, &world.ram, NIC_MOST);
    return 0;
}

int blob_tear_down(void **state)
{
    (void)state;
    rig_close(&world.a);
    rig_close(&world.b);
    rig_ram_close(&world.ram);
    return 0;
}

void touch(struct rig *rig, uint64_t page)
{
    nic_flows_count_hash(nic_of(rig)->flows, page * 8 << 32 | 1, 64, 0);
}

void wait_frame(struct rig *rig, uint32_t pair, uint32_t bytes)
{
    uint8_t data[2048] = { 0 };
    struct iovec part = { .iov_base = data, .iov_len = bytes };
    const struct nic_frame frame = { .part = &part, .part_count = 1, .bytes = bytes };

    assert_int_equal(nic_backlog_put(nic_of(rig)->backlog, pair, &frame), FERRY_OK);
}

int take(struct rig *rig, size_t piece, struct rig_blob *blob)
{
    int got;

    do {
        if (blob->cap - blob->count < piece) {
            blob->cap = blob->cap * 2 + piece;
            blob->bytes = realloc(blob->bytes, blob->cap);
            assert_non_null(blob->bytes);
        }
        got =
            nic_migration_save(nic_of(rig)->migration, blob->bytes + blob->count, piece);
        blob->count += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    return got;
}

void save_stopped(struct rig *rig, size_t piece, struct rig_blob *blob)
{
    assert_int_equal(rig_state(rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(take(rig, piece, blob), 0);
    assert_int_equal(rig_state(rig, FERRY_STATE_STOP), FERRY_OK);
}

int give(const uint8_t *bytes, size_t count, size_t piece)
{
    struct nic_migration *migration = nic_of(&world.b)->migration;
    int status = FERRY_OK;

    assert_int_equal(rig_reset(&world.b), FERRY_OK);
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RESUMING), FERRY_OK);
    for (size_t at = 0; at < count && status == FERRY_OK; at += piece) {
        status = nic_migration_load(migration, bytes + at,
                                    count - at < piece ? count - at : piece);
    }
    return status != FERRY_OK
               ? status
               : nic_migration_arc(migration, FERRY_STATE_RESUMING, FERRY_STATE_STOP);
}

int give_blob(const struct rig_blob *blob)
{
    return give(blob->bytes, blob->count, 1 << 20);
}

uint8_t *record(const struct rig_blob *blob, uint32_t tag, uint32_t n)
{
    for (size_t at = 0; at < blob->count;
         at += NIC_RECORD_BYTES + le_get64(blob->bytes + at)) {
        if (le_get32(blob->bytes + at + 12) == tag && n-- == 0) {
            return blob->bytes + at;
        }
    }
    return NULL;
}

void seal(struct rig_blob *blob)
{
    uint8_t *end = record(blob, NIC_TAG_END, 0);
    uint8_t *match = record(blob, NIC_TAG_MATCH, 0) + NIC_RECORD_BYTES;

    le_put64(match + 56, XXH3_64bits(match, 56));
    le_put64(end + NIC_RECORD_BYTES, (uint64_t)(end - blob->bytes));
    le_put64(end + NIC_RECORD_BYTES + 8,
             XXH3_64bits(blob->bytes, (size_t)(end - blob->bytes) + 24));
}

void fill(struct rig *rig)
{
    for (uint64_t page = 0; page < 200; page += page % 3 + 1) {
        touch(rig, page);
    }
    wait_frame(rig, 0, 60);
    wait_frame(rig, 1, 1514);
    wait_frame(rig, 0, 61);
    nic_of(rig)->filter.promiscuous = 1;
    nic_of(rig)->filter.unicast_count = 1;
    memcpy(nic_of(rig)->filter.unicast[0], "\x02\1\2\3\4\5", 6);
    nic_of(rig)->filter.vlan[3] = 0x10;
    nic_of(rig)->receive[1].filtered = 77;
    nic_of(rig)->transmit[0].bytes = 88;
    nic_of(rig)->offloads_off = 1ull << VIRTIO_NET_F_GUEST_CSUM;
}
