/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_faces_rig.h"

#include <string.h>
#include <sys/mman.h>

static uint8_t stream[2 * TOY_STATE_MAX];

static void the_region_follows_the_others_with_its_type(void **state)
{
    static const uint64_t sizes[] = { 32 + FERRY_V1_PIECE_MAX, 4096 + FERRY_V1_PIECE_MAX,
                                      4096 + 2 * FERRY_V1_PIECE_MAX };

    (void)state;
    for (uint32_t form = 0; form < V1_FORMS; form++) {
        struct toy *toy = v1_new(V1_FLAGS_ALL, form);
        struct ferry_request info = { .kind = FERRY_RQ_GET_INFO };
        struct ferry_region_info region = v1_info(toy);

        assert_int_equal(toy_ask(toy, &info), FERRY_OK);
        assert_int_equal(info.u.info.region_count, V1_REGION + 1);
        assert_int_equal(region.type, 3);
        assert_int_equal(region.subtype, 1);
        assert_int_equal(region.index, V1_REGION);
        assert_int_equal(region.size, sizes[form]);
        assert_int_equal((region.flags & FERRY_REGION_MMAP) != 0,
                         form != FERRY_FACE_V1_TRAPPED);
        assert_int_equal(region.fd >= 0, form != FERRY_FACE_V1_TRAPPED);
        if (form != FERRY_FACE_V1_TRAPPED) {
            assert_int_equal(region.area_count, 1);
            assert_int_equal(region.area[0].off, 4096);
            assert_int_equal(region.area[0].size, FERRY_V1_PIECE_MAX);
        }
        v1_free(toy);
    }
}

static void nothing_of_version_2_is_left(void **state)
{
    static const uint32_t kinds[] = { FERRY_RQ_MIG_FLAGS,   FERRY_RQ_GET_STATE,
                                      FERRY_RQ_SET_STATE,   FERRY_RQ_DATA_SIZE,
                                      FERRY_RQ_DATA_READ,   FERRY_RQ_DATA_WRITE,
                                      FERRY_RQ_DATA_FD,     FERRY_RQ_LEAVE_STATE,
                                      FERRY_RQ_PRECOPY_INFO };
    static const uint32_t features[] = { 1, 2, 9, 12, 0xfe01 };
    struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct ferry_request request = { .kind = kinds[i] };

        assert_int_equal(toy_ask(toy, &request), FERRY_E_UNSUPPORTED);
    }
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        struct ferry_request probe = { .kind = FERRY_RQ_PROBE };

        probe.u.probe.index = features[i];
        probe.u.probe.operation = FERRY_FEATURE_GET;
        assert_int_equal(toy_ask(toy, &probe), FERRY_E_UNSUPPORTED);
    }
    v1_free(toy);
}

static void what_is_not_migration_passes(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
    struct ferry_request start = { .kind = FERRY_RQ_LOG_START };
    struct ferry_request probe = { .kind = FERRY_RQ_PROBE };
    struct ferry_request fds = { .kind = FERRY_RQ_REGION_IO_FDS };
    struct ferry_request stop = { .kind = FERRY_RQ_LOG_STOP };

    (void)state;
    assert_int_equal(toy_write32(toy, 0, 4, 7), FERRY_OK);
    assert_int_equal(toy_read32(toy, 0, 4), 1);
    probe.u.probe.index = 6;
    probe.u.probe.operation = FERRY_FEATURE_SET;
    assert_int_equal(toy_ask(toy, &probe), FERRY_OK);
    start.u.log_start.page_size = 4096;
    assert_int_equal(toy_ask(toy, &start), FERRY_OK);
    assert_int_equal(toy_ask(toy, &stop), FERRY_OK);
    fds.u.io_fds.index = V1_REGION;
    fds.u.io_fds.count = 7;
    assert_int_equal(toy_ask(toy, &fds), FERRY_OK);
    assert_int_equal(fds.u.io_fds.count, 0);
    v1_free(toy);
}

static void the_identity_tells_what_version_1_cannot(void **state)
{
    (void)state;
    for (uint32_t flags = V1_FLAGS_STOP; flags <= V1_FLAGS_ALL; flags += 2) {
        struct toy *toy = v1_new(flags, FERRY_FACE_V1_TRAPPED);
        struct ferry_identity identity;
        struct ferry_request request = { .kind = FERRY_RQ_IDENTITY,
                                         .u.identity = &identity };

        assert_int_equal(toy_ask(toy, &request), FERRY_OK);
        assert_string_equal(identity.model, "toy");
        assert_int_equal(identity.implicit_quiesce, (flags & FERRY_MIG_P2P) != 0);
        assert_int_equal(identity.any_chunks, 1);
        assert_int_equal(identity.migration_flags, V1_FLAGS_PRE);
        v1_free(toy);
    }
}

static void a_device_that_does_not_migrate_has_no_such_face(void **state)
{
    struct toy *toy = toy_new(0, 0);
    struct ferry_endpoint *endpoint = NULL;
    struct ferry_error error = { 0 };

    (void)state;
    assert_int_equal(ferry_face_v1_open(toy->endpoint, 0, &endpoint, &error),
                     FERRY_E_BUSY); /* somebody is attached */
    toy->endpoint->ops->detach(toy->endpoint);
    assert_int_equal(ferry_face_v1_open(toy->endpoint, 0, &endpoint, &error),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(ferry_face_v1_open(toy->endpoint, 3, &endpoint, &error),
                     FERRY_E_ARGUMENT);
    assert_null(endpoint);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    toy_free(toy);
}

/* 88 areas are too many, which is said at once and not at the freeze. */
static void make_many_areas(struct ferry_device_desc *desc)
{
    for (uint32_t bar = 0; bar < 6; bar += 2) {
        struct ferry_device_region *region = &desc->region[bar];

        region->size_bytes = 1u << 20;
        region->flags = FERRY_BAR_MEMORY;
        region->area_count = FERRY_DEVICE_AREAS_MAX;
        for (uint32_t i = 0; i < region->area_count; i++) {
            region->area[i].off = (i + 1) * 8192;
            region->area[i].size = 4096;
        }
    }
    desc->msix_vectors = 0;
    desc->extra_count = FERRY_DEVICE_EXTRA_MAX;
    for (uint32_t i = 0; i < desc->extra_count; i++) {
        desc->extra[i].region = desc->region[0];
        desc->extra[i].type = 0x80001234;
    }
}

static void memory_that_cannot_be_watched_is_no_quiet_device(void **state)
{
    struct toy *toy = toy_new_with(V1_FLAGS_ALL, 1, make_many_areas);
    struct ferry_endpoint *endpoint = NULL;
    struct ferry_error error = { 0 };

    (void)state;
    toy->endpoint->ops->detach(toy->endpoint);
    assert_int_equal(ferry_face_v1_open(toy->endpoint, 0, &endpoint, &error),
                     FERRY_E_LIMIT);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    toy_free(toy);
}

/* In which states what lies at an offset can be accessed in its width. */
static int expected(uint32_t bits, uint64_t off, uint32_t count, int write)
{
    const int saving = bits == 2 || bits == 3, loading = bits == 4;
    const uint32_t width = off < 8 ? 4 : 8;

    if (off >= 32) { /* the first bytes of the section, where the piece is */
        if (write ? !loading : !saving) {
            return FERRY_E_STATE;
        }
        return count == 0 ? FERRY_E_RANGE : FERRY_OK;
    }
    if (off % width != 0 || count != width) {
        return FERRY_E_ALIGN;
    }
    if (!write || off == 4) {
        return FERRY_OK;
    }
    if (off == 8 || off == 16) {
        return FERRY_E_ARGUMENT;
    }
    if (off == 0) {
        return FERRY_OK; /* the value is that of the state */
    }
    return loading ? FERRY_OK : FERRY_E_STATE;
}

/* Every offset from the first register into the data, every width, in every state.
 * MIG-V1-12 */
static void every_access_is_done_or_refused_as_the_protocol_says(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);

    (void)state;
    v1_fill(toy, 5000, 3);
    toy->precopy_bytes = 2000;
    for (uint32_t bits = 0; bits < 5; bits++) {
        assert_int_equal(v1_set(toy, 1), FERRY_OK);
        assert_int_equal(v1_set(toy, bits), FERRY_OK);
        if (bits == 2 || bits == 3) {
            assert_true(v1_get(toy, FERRY_V1_PENDING) > 0);
        }
        for (uint64_t off = 0; off < 36; off++) {
            for (uint32_t count = 0; count <= 8; count++) {
                uint64_t value = 77;

                assert_int_equal(v1_write(toy, off, count, off == 0 ? bits : 0),
                                 expected(bits, off, count, 1));
                assert_int_equal(v1_read(toy, off, count, &value),
                                 expected(bits, off, count, 0));
                if (bits == 4) {
                    assert_int_equal(v1_get(toy, FERRY_V1_STATE), 4);
                }
                if (off == 4 && count == 4) {
                    assert_int_equal(value, 0);
                }
                if (off == 24 && count == 8 && (bits == 2 || bits == 3)) {
                    /* Its data_size was read: the next read of pending_bytes takes it. */
                    assert_true(value > 0);
                    assert_int_equal(v1_set(toy, 1), FERRY_OK);
                    assert_int_equal(v1_set(toy, bits), FERRY_OK);
                    assert_true(v1_get(toy, FERRY_V1_PENDING) > 0);
                }
            }
        }
        if (bits == 4) {
            struct ferry_request reset = { .kind = FERRY_RQ_RESET };

            assert_int_equal(toy_ask(toy, &reset), FERRY_OK);
        }
    }
    v1_free(toy);
}

/* MIG-V1-9 */
static void the_data_is_reached_inside_of_its_piece_only(void **state)
{
    (void)state;
    for (uint32_t form = 0; form < V1_FORMS; form++) {
        struct toy *toy = v1_new(V1_FLAGS_PRE, form);
        const struct ferry_region_info info = v1_info(toy);
        uint64_t off, bytes;

        assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
        assert_true(v1_get(toy, FERRY_V1_PENDING) > 0);
        off = v1_get(toy, FERRY_V1_OFFSET);
        bytes = v1_get(toy, FERRY_V1_SIZE);
        assert_int_equal(toy_read(toy, V1_REGION, off, stream, (uint32_t)bytes),
                         FERRY_OK);
        assert_int_equal(toy_read(toy, V1_REGION, off, stream, (uint32_t)bytes + 1),
                         FERRY_E_RANGE);
        assert_int_equal(toy_read(toy, V1_REGION, off + bytes, stream, 1), FERRY_E_RANGE);
        assert_int_equal(toy_read(toy, V1_REGION, off + bytes - 1, stream, 1), FERRY_OK);
        assert_int_equal(toy_read(toy, V1_REGION, info.size - 1, stream, 2),
                         FERRY_E_RANGE);
        assert_int_equal(toy_read(toy, V1_REGION, UINT64_MAX, stream, 2), FERRY_E_RANGE);
        if (off > 32) {
            assert_int_equal(toy_read(toy, V1_REGION, off - 1, stream, 1), FERRY_E_RANGE);
        }
        assert_int_equal(toy_write(toy, V1_REGION, off, stream, 1), FERRY_E_STATE);
        assert_int_equal(toy_read(toy, V1_REGION + 1, 0, stream, 4), FERRY_E_ARGUMENT);
        v1_free(toy);
    }
}

/* Data of one user is not there for the next, even where he kept the mapping. */
static void a_section_is_wiped_and_renewed(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_MMAP);
    struct ferry_region_info info = v1_info(toy);
    uint8_t *kept = mmap(NULL, (size_t)info.size, PROT_READ | PROT_WRITE, MAP_SHARED,
                         info.fd, (off_t)info.offset);
    uint8_t *fresh;

    (void)state;
    assert_true(kept != MAP_FAILED);
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
    assert_true(v1_get(toy, FERRY_V1_PENDING) > 0);
    assert_int_not_equal(kept[4096], 0);
    assert_int_equal(v1_set(toy, 0), FERRY_OK); /* the session is over */
    assert_int_equal(kept[4096], 0);
    toy->endpoint->ops->detach(toy->endpoint);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    kept[4096] = 0x55;
    info = v1_info(toy);
    fresh = mmap(NULL, (size_t)info.size, PROT_READ | PROT_WRITE, MAP_SHARED, info.fd,
                 (off_t)info.offset);
    assert_true(fresh != MAP_FAILED);
    assert_int_equal(fresh[4096], 0);
    assert_int_equal(munmap(kept, (size_t)info.size), 0);
    assert_int_equal(munmap(fresh, (size_t)info.size), 0);
    v1_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_region_follows_the_others_with_its_type),
        cmocka_unit_test(nothing_of_version_2_is_left),
        cmocka_unit_test(what_is_not_migration_passes),
        cmocka_unit_test(the_identity_tells_what_version_1_cannot),
        cmocka_unit_test(a_device_that_does_not_migrate_has_no_such_face),
        cmocka_unit_test(memory_that_cannot_be_watched_is_no_quiet_device),
        cmocka_unit_test(every_access_is_done_or_refused_as_the_protocol_says),
        cmocka_unit_test(the_data_is_reached_inside_of_its_piece_only),
        cmocka_unit_test(a_section_is_wiped_and_renewed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
