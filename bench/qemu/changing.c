/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/qemu/changing.h"

#include <stdlib.h>
#include <string.h>

#include "bench/common.h"

#define REGISTERS_BYTES 4096u
#define PCI_VENDOR 0xfe44u
#define PCI_DEVICE 0x0b0cu
#define PCI_CLASS_OTHER 0xff000000u
#define STEP 101u /* units change in this order: nowhere near each other */

struct head {
    uint64_t unit, bytes;
};

/* One after the other in memory, each with its head in front: a record as it is given. */
struct changing {
    uint8_t *record;
    size_t unit_bytes, record_bytes, count;
    uint64_t percent_per_s, aged_ns;
    uint32_t flags;
    uint32_t writes; /* to registers */
    /* Saving. */
    uint8_t *dirty, *unsent; /* unsent: not once in this session */
    size_t dirty_count, unsent_count, next, changed;
    size_t at; /* of the record under way; 0: none */
    /* Loading. */
    struct head head;
    size_t got; /* of head and unit together */
    uint8_t *seen;
    size_t seen_count;
};

static struct head *head_of(const struct changing *changing, size_t unit)
{
    return (struct head *)(void *)(changing->record + unit * changing->record_bytes);
}

struct changing *changing_create(size_t bytes, uint32_t percent_per_s, uint32_t flags)
{
    struct changing *changing = calloc(1, sizeof(*changing));
    int whole = bytes < CHANGING_UNIT_BYTES || !(flags & FERRY_MIG_PRE_COPY);

    if (!changing) {
        bench_die("no memory");
    }
    changing->unit_bytes = whole ? bytes : CHANGING_UNIT_BYTES;
    changing->record_bytes = changing->unit_bytes + sizeof(struct head);
    changing->count = bytes / changing->unit_bytes;
    changing->percent_per_s = percent_per_s;
    changing->flags = flags;
    changing->record = bench_memory(changing->count * changing->record_bytes);
    changing->dirty = bench_memory(changing->count);
    changing->unsent = bench_memory(changing->count);
    changing->seen = bench_memory(changing->count);
    for (size_t i = 0; i < changing->count; i++) {
        *head_of(changing, i) = (struct head){ i, changing->unit_bytes };
    }
    return changing;
}

/* --- its registers --- */

static int region_read(void *user, struct ferry_device *device, uint32_t region,
                       uint64_t off, void *ret_data, size_t count)
{
    const struct changing *changing = user;
    uint64_t value = changing->writes;

    (void)device, (void)region, (void)off;
    memcpy(ret_data, &value, count < sizeof(value) ? count : sizeof(value));
    return FERRY_OK;
}

static int region_write(void *user, struct ferry_device *device, uint32_t region,
                        uint64_t off, const void *data, size_t count)
{
    struct changing *changing = user;

    (void)device, (void)region, (void)off, (void)data, (void)count;
    changing->writes++;
    return FERRY_OK;
}

/* --- saving --- */

/* What has changed since the last look. */
static void age(struct changing *changing)
{
    uint64_t now = bench_now_ns();
    uint64_t unit_ns = changing->percent_per_s > 0
                           ? 100000000000u / (changing->percent_per_s * changing->count)
                           : UINT64_MAX;

    while (now - changing->aged_ns >= unit_ns) {
        size_t unit = changing->changed;

        changing->aged_ns += unit_ns;
        changing->changed = (unit + STEP) % changing->count;
        ((uint8_t *)(head_of(changing, unit) + 1))[0]++;
        changing->dirty_count += !changing->dirty[unit];
        changing->dirty[unit] = 1;
    }
}

static int is_saving(uint32_t state)
{
    return state == FERRY_STATE_PRE_COPY || state == FERRY_STATE_PRE_COPY_P2P ||
           state == FERRY_STATE_STOP_COPY;
}

static void begin_save(struct changing *changing)
{
    memset(changing->dirty, 1, changing->count);
    memset(changing->unsent, 1, changing->count);
    changing->dirty_count = changing->unsent_count = changing->count;
    changing->next = changing->at = 0;
    changing->aged_ns = bench_now_ns();
}

/* Where the next bytes of the state are. Return: how many, 0: none. */
static size_t next_bytes(struct changing *changing, size_t cap, const uint8_t **ret_data)
{
    size_t count;

    if (changing->at == 0) {
        if (changing->dirty_count == 0) {
            return 0;
        }
        while (!changing->dirty[changing->next]) {
            changing->next = (changing->next + 1) % changing->count;
        }
        changing->dirty[changing->next] = 0;
        changing->dirty_count--;
        changing->unsent_count -= changing->unsent[changing->next];
        changing->unsent[changing->next] = 0;
    }
    count = changing->record_bytes - changing->at;
    count = count < cap ? count : cap;
    *ret_data = (const uint8_t *)head_of(changing, changing->next) + changing->at;
    changing->at = (changing->at + count) % changing->record_bytes;
    return count;
}

static int save_lend(void *user, struct ferry_device *device, void *buffer, size_t cap,
                     const void **ret_data)
{
    const uint8_t *data = NULL;
    size_t count = next_bytes(user, cap, &data);

    (void)device, (void)buffer;
    *ret_data = data;
    return (int)count;
}

static int save(void *user, struct ferry_device *device, void *ret_data, size_t cap)
{
    const int stopped = ferry_device_state(device) == FERRY_STATE_STOP_COPY;
    const uint8_t *data = NULL;
    size_t count;

    if (!stopped) {
        age(user);
    }
    count = next_bytes(user, cap, &data);
    if (count > 0) {
        memcpy(ret_data, data, count);
    }
    return count > 0 ? (int)count : stopped ? 0 : FERRY_E_DRY;
}

/* Bytes still to be given; of units that are marked, and of the record under way. */
static uint64_t left(const struct changing *changing, size_t units)
{
    return (uint64_t)units * changing->record_bytes +
           (changing->at > 0 ? changing->record_bytes - changing->at : 0);
}

static int precopy_info(void *user, struct ferry_device *device,
                        struct ferry_device_precopy *ret_info)
{
    struct changing *changing = user;

    (void)device;
    age(changing);
    ret_info->initial_bytes = changing->unsent_count * changing->record_bytes;
    ret_info->dirty_bytes =
        left(changing, changing->dirty_count) - ret_info->initial_bytes;
    return FERRY_OK;
}

static int data_size(void *user, struct ferry_device *device, uint64_t *ret_bytes)
{
    struct changing *changing = user;

    if (is_saving(ferry_device_state(device))) {
        *ret_bytes = left(changing, changing->dirty_count);
        *ret_bytes += *ret_bytes == 0; /* never 0 */
    } else {
        *ret_bytes = (uint64_t)changing->count * changing->record_bytes;
    }
    return FERRY_OK;
}

/* --- loading --- */

static size_t load_place(void *user, struct ferry_device *device, size_t most,
                         void **ret_place)
{
    struct changing *changing = user;
    size_t room;

    (void)device;
    if (changing->got < sizeof(struct head)) {
        *ret_place = (uint8_t *)&changing->head + changing->got;
        room = sizeof(struct head) - changing->got;
    } else {
        *ret_place = (uint8_t *)head_of(changing, changing->head.unit) + changing->got;
        room = changing->record_bytes - changing->got;
    }
    return most < room ? most : room;
}

static int load_done(void *user, struct ferry_device *device, size_t count)
{
    struct changing *changing = user;

    (void)device;
    changing->got += count;
    if (changing->got == sizeof(struct head) &&
        (changing->head.unit >= changing->count ||
         changing->head.bytes != changing->unit_bytes)) {
        return FERRY_E_RANGE;
    }
    if (changing->got == changing->record_bytes) {
        changing->seen_count += !changing->seen[changing->head.unit];
        changing->seen[changing->head.unit] = 1;
        changing->got = 0;
    }
    return FERRY_OK;
}

static int load(void *user, struct ferry_device *device, const void *data, size_t count)
{
    const uint8_t *at = data;
    int rc = FERRY_OK;

    while (rc == FERRY_OK && count > 0) {
        void *place;
        size_t piece = load_place(user, device, count, &place);

        memcpy(place, at, piece);
        rc = load_done(user, device, piece);
        at += piece;
        count -= piece;
    }
    return rc;
}

static int arc(void *user, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct changing *changing = user;

    (void)device;
    if (is_saving(to) && !is_saving(from)) {
        begin_save(changing);
    } else if (from == FERRY_STATE_PRE_COPY) {
        age(changing);
    }
    if (to == FERRY_STATE_RESUMING) {
        memset(changing->seen, 0, changing->count);
        changing->seen_count = changing->got = 0;
    }
    if (from == FERRY_STATE_RESUMING && to == FERRY_STATE_STOP &&
        (changing->got > 0 || changing->seen_count < changing->count)) {
        return FERRY_E_SHORT;
    }
    return FERRY_OK;
}

static const struct ferry_device_ops ops = { .struct_size = sizeof(ops),
                                             .region_read = region_read,
                                             .region_write = region_write,
                                             .arc = arc,
                                             .save = save,
                                             .load = load,
                                             .precopy_info = precopy_info,
                                             .data_size = data_size,
                                             .save_lend = save_lend,
                                             .load_place = load_place,
                                             .load_done = load_done };

void changing_describe(struct changing *changing, struct ferry_device_desc *ret_desc)
{
    *ret_desc = (struct ferry_device_desc){
        .struct_size = sizeof(*ret_desc),
        .ops = &ops,
        .state = changing,
        .identity = { .model = "changing",
                      .state_version = 1,
                      .state_version_min = 1,
                      .pci_vendor = PCI_VENDOR,
                      .pci_device = PCI_DEVICE,
                      .pci_class = PCI_CLASS_OTHER,
                      .migration_flags = changing->flags,
                      .key_count = 1,
                      .key = { { .name = "bytes",
                                 .relation = FERRY_KEY_EQUAL,
                                 .value = changing->count * changing->unit_bytes } } },
        .region = { { .size_bytes = REGISTERS_BYTES } },
    };
}
