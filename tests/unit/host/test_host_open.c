/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/writer.h"
#include "ferry/host.h"
#include "test_host_fake.h"

/* Opening a device in this process: what it says about itself is not believed. */

#define TIMEOUT_MS 60u

static struct ferry_context *new_context(void)
{
    const struct ferry_context_options options = { .struct_size = sizeof(options),
                                                   .device_timeout_ms = TIMEOUT_MS };
    struct ferry_context *context = NULL;

    assert_int_equal(ferry_context_create(&options, &context, NULL), FERRY_OK);
    return context;
}

static void an_honest_device_shows_what_it_is(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_device_view view;
    struct fake_device fake;

    (void)state;
    fake_init(&fake);
    assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, NULL), 0);
    assert_int_equal(ferry_context_device(context, 0, &view, NULL), FERRY_OK);
    assert_string_equal(view.name, "d");
    assert_string_equal(view.identity.model, "fake");
    assert_int_equal(view.identity.pci_vendor, 0x1af4);
    assert_int_equal(view.identity.pci_device, 0x1054);
    assert_int_equal(view.identity.pci_class, 0x10800001);
    assert_int_equal(view.migration_flags, 7);
    assert_int_equal(view.state, FERRY_STATE_RUNNING);
    assert_int_equal(view.can_log, 1);
    assert_int_equal(view.has_data_size, 1);
    assert_int_equal(view.has_precopy_info, 0);
    assert_int_equal(view.data_size, 4711);
    assert_int_equal(view.region[2].flags, 7);
    assert_int_equal(view.region[2].area_count, 1);
    assert_int_equal(view.region[2].area_off[0], 0x1000);
    assert_int_equal(view.region[7].size, FAKE_CONFIG_BYTES);
    assert_int_equal(view.irq[2], FAKE_VECTORS);
    ferry_context_destroy(context);
    assert_int_equal(fake.detaches, 1);
    fake_free(&fake);
}

static void
a_device_without_the_extension_gets_its_numbers_from_config_space(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_device_view view;
    struct fake_device fake;

    (void)state;
    fake_init(&fake);
    fake.tell_identity = 0;
    fake.mig_flags = 0;
    assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, NULL), 0);
    assert_int_equal(ferry_context_device(context, 0, &view, NULL), FERRY_OK);
    assert_string_equal(view.identity.model, "");
    assert_int_equal(view.identity.pci_subdevice, 0x1100);
    assert_int_equal(view.migration_flags, 0);
    assert_int_equal(view.can_log, 0);
    ferry_context_destroy(context);
    fake_free(&fake);
}

static void a_device_that_was_left_in_another_state_is_brought_to_running(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_device_view view;
    struct fake_device fake;

    (void)state;
    fake_init(&fake);
    fake.state = FERRY_STATE_STOP_COPY;
    assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, NULL), 0);
    assert_int_equal(ferry_context_device(context, 0, &view, NULL), FERRY_OK);
    assert_int_equal(view.state, FERRY_STATE_RUNNING);
    assert_int_equal(fake.resets, 1);
    ferry_context_destroy(context);
    fake_free(&fake);
}

static void names_are_unique_and_plain(void **state)
{
    struct ferry_context *context = new_context();
    struct fake_device a, b;
    struct ferry_error error = { 0 };

    (void)state;
    fake_init(&a);
    fake_init(&b);
    assert_int_equal(ferry_context_add_endpoint(context, "", &a.endpoint, NULL),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_context_add_endpoint(context, "a b", &a.endpoint, NULL),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_context_add_endpoint(context,
                                                "a-name-that-has-more-than-31-letters",
                                                &a.endpoint, NULL),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_context_add_endpoint(context, "a", &a.endpoint, NULL), 0);
    assert_int_equal(ferry_context_add_endpoint(context, "a", &b.endpoint, &error),
                     FERRY_E_EXISTS);
    assert_non_null(strstr(error.text, "'a'"));
    assert_int_equal(ferry_context_add_endpoint(context, "b", &a.endpoint, NULL),
                     FERRY_E_BUSY);
    assert_int_equal(ferry_context_device_count(context), 1);
    assert_int_equal(ferry_context_add_device(context, "c", "smoke:signal", &error),
                     FERRY_E_ARGUMENT);
    assert_non_null(strstr(error.text, "vfio-user:"));
    ferry_context_destroy(context);
    fake_free(&a);
    fake_free(&b);
}

/* --- lies ----------------------------------------------------------------------------
 */

static void lie_info_regions(struct fake_device *fake, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_GET_INFO) {
        request->u.info.region_count = (uint32_t)fake->lie_value;
    }
}

static void lie_info_irqs(struct fake_device *fake, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_GET_INFO) {
        request->u.info.irq_count = (uint32_t)fake->lie_value;
    }
}

static void lie_no_pci(struct fake_device *fake, struct ferry_request *request)
{
    (void)fake;
    if (request->kind == FERRY_RQ_GET_INFO) {
        request->u.info.flags = FERRY_DEVICE_FLAG_RESET;
    }
}

static struct ferry_region_info *bar2(struct ferry_request *request)
{
    return request->kind == FERRY_RQ_GET_REGION_INFO && request->u.region.index == 2
               ? &request->u.region
               : NULL;
}

static void lie_region_size(struct fake_device *fake, struct ferry_request *request)
{
    if (bar2(request) != NULL) {
        bar2(request)->size = fake->lie_value;
    }
}

static void lie_region_offset(struct fake_device *fake, struct ferry_request *request)
{
    if (bar2(request) != NULL) {
        bar2(request)->offset = fake->lie_value;
    }
}

static void lie_area_off(struct fake_device *fake, struct ferry_request *request)
{
    if (bar2(request) != NULL) {
        bar2(request)->area[0].off = fake->lie_value;
    }
}

static void lie_area_size(struct fake_device *fake, struct ferry_request *request)
{
    if (bar2(request) != NULL) {
        bar2(request)->area[0].size = fake->lie_value;
    }
}

static void lie_area_count(struct fake_device *fake, struct ferry_request *request)
{
    if (bar2(request) != NULL) {
        bar2(request)->area_count = (uint32_t)fake->lie_value;
    }
}

static void lie_areas_overlap(struct fake_device *fake, struct ferry_request *request)
{
    if (bar2(request) != NULL) {
        bar2(request)->area_count = 2;
        bar2(request)->area[1] = (struct ferry_range){ fake->lie_value, 0x2000 };
    }
}

static void lie_config_size(struct fake_device *fake, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_GET_REGION_INFO && request->u.region.index == 7) {
        request->u.region.size = fake->lie_value;
    }
}

static void lie_irq_count(struct fake_device *fake, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_GET_IRQ_INFO && request->u.irq.index == 2) {
        request->u.irq.count = (uint32_t)fake->lie_value;
    }
}

static void lie_state(struct fake_device *fake, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_GET_STATE) {
        request->u.state = (uint32_t)fake->lie_value;
    }
}

static void lie_keys(struct fake_device *fake, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_IDENTITY) {
        request->u.identity->key_count = (uint32_t)fake->lie_value;
    }
}

static void lie_model(struct fake_device *fake, struct ferry_request *request)
{
    (void)fake;
    if (request->kind == FERRY_RQ_IDENTITY) {
        memset(request->u.identity->model, 'x', sizeof(request->u.identity->model));
    }
}

/* Opens a lying device: refused, said where, and nothing is left open. */
static void expect_refused(struct fake_device *fake, int status, const char *where)
{
    struct ferry_context *context = new_context();
    const unsigned before = fake_open_fds();
    struct ferry_error error = { 0 };
    const int rc = ferry_context_add_endpoint(context, "liar", &fake->endpoint, &error);

    assert_int_equal(rc, status);
    assert_int_equal(error.code, status);
    assert_non_null(strstr(error.text, "'liar'"));
    assert_non_null(strstr(error.text, where));
    assert_int_equal(ferry_context_device_count(context), 0);
    assert_int_equal(fake->attaches, fake->detaches);
    assert_int_equal(fake_open_fds(), before);
    ferry_context_destroy(context);
}

static void every_lie_is_refused_by_name(void **state)
{
    static const struct {
        void (*lie)(struct fake_device *, struct ferry_request *);
        uint64_t value;
        int status;
        const char *where;
    } lie_table[] = {
        { lie_info_regions, 0xffffffff, FERRY_E_PROTOCOL, "number of regions" },
        { lie_info_regions, 0, FERRY_E_PROTOCOL, "number of regions" },
        { lie_info_irqs, 0xffffffff, FERRY_E_PROTOCOL, "number of indexes" },
        { lie_no_pci, 0, FERRY_E_UNSUPPORTED, "PCI" },
        { lie_region_size, UINT64_MAX, FERRY_E_PROTOCOL, "region 2" },
        { lie_region_size, 0x2000, FERRY_E_PROTOCOL, "region 2" },
        { lie_region_offset, UINT64_MAX - 1, FERRY_E_PROTOCOL, "region 2" },
        { lie_area_off, 0x2000, FERRY_E_PROTOCOL, "region 2" },
        { lie_area_off, UINT64_MAX - 0xfff, FERRY_E_PROTOCOL, "region 2" },
        { lie_area_off, 0x1800, FERRY_E_PROTOCOL, "region 2" },
        { lie_area_size, 0, FERRY_E_PROTOCOL, "region 2" },
        { lie_area_size, UINT64_MAX, FERRY_E_PROTOCOL, "region 2" },
        { lie_area_count, 17, FERRY_E_PROTOCOL, "too many" },
        { lie_areas_overlap, 0x4000, FERRY_E_PROTOCOL, "region 2" },
        { lie_config_size, 0, FERRY_E_PROTOCOL, "config space" },
        { lie_config_size, 63, FERRY_E_PROTOCOL, "config space" },
        { lie_config_size, 1u << 20, FERRY_E_PROTOCOL, "config space" },
        { lie_irq_count, 0xffffffff, FERRY_E_PROTOCOL, "interrupt 2" },
        { lie_irq_count, 2049, FERRY_E_PROTOCOL, "interrupt 2" },
        { lie_state, 8, FERRY_E_PROTOCOL, "GET_STATE" },
        { lie_state, FERRY_STATE_ERROR, FERRY_E_STATE, "RUNNING" },
        { lie_keys, 17, FERRY_E_PROTOCOL, "IDENTITY" },
        { lie_model, 0, FERRY_E_PROTOCOL, "IDENTITY" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lie_table) / sizeof(lie_table[0]); i++) {
        struct fake_device fake;

        fake_init(&fake);
        fake.lie = lie_table[i].lie;
        fake.lie_value = lie_table[i].value;
        expect_refused(&fake, lie_table[i].status, lie_table[i].where);
        fake_free(&fake);
    }
}

static void a_damaged_config_space_is_refused(void **state)
{
    static const struct {
        uint8_t off, value;
        const char *where;
    } damage_table[] = {
        { 0x0e, 1, "ordinary device" }, /* a bridge */
        { 0x34, 0x3c, "header" },       /* list begins in the header */
        { FAKE_CAP_VENDOR + 1, FAKE_CAP_VENDOR, "does not end" },
        { FAKE_CAP_PM + 1, 0xfc, "past the end" }, /* an MSI-X capability at the end */
        { FAKE_CAP_VENDOR + 2, 2, "length" },
        { FAKE_CAP_VENDOR + 2, 0xff, "length" },
        { FAKE_CAP_MSIX + 4, 7, "MSI-X" },    /* a BAR that is none */
        { FAKE_CAP_MSIX + 5, 0xf0, "MSI-X" }, /* table past the BAR's end */
        { FAKE_CAP_VENDOR, 0x11, "two MSI-X" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(damage_table) / sizeof(damage_table[0]); i++) {
        struct fake_device fake;

        fake_init(&fake);
        fake.config[0xfc] = 0x11;
        fake.config[damage_table[i].off] = damage_table[i].value;
        expect_refused(&fake, FERRY_E_PROTOCOL, damage_table[i].where);
        fake_free(&fake);
    }
}

static void lie_no_fd(struct fake_device *fake, struct ferry_request *request)
{
    (void)fake;
    if (bar2(request) != NULL) {
        bar2(request)->fd = FERRY_NO_REGION_FD;
    }
}

static void a_mappable_region_without_a_descriptor_is_reached_by_messages(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_device_view view;
    struct fake_device fake;
    void *address;

    (void)state;
    fake_init(&fake);
    fake.lie = lie_no_fd;
    assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, NULL), 0);
    assert_int_equal(ferry_context_device(context, 0, &view, NULL), FERRY_OK);
    assert_int_equal(view.region[2].flags, 3);
    assert_int_equal(view.region[2].area_count, 0);
    assert_int_equal(
        ferry_context_region_map(context, 0, 2, 0x1000, 0x1000, &address, NULL),
        FERRY_E_UNSUPPORTED);
    ferry_context_destroy(context);
    fake_free(&fake);
}

/* The kinds that opening needs an answer to, refused or not. */
static const uint32_t asked_table[] = {
    FERRY_RQ_MIG_FLAGS, FERRY_RQ_GET_STATE,       FERRY_RQ_PROBE,
    FERRY_RQ_GET_INFO,  FERRY_RQ_GET_REGION_INFO, FERRY_RQ_GET_IRQ_INFO,
    FERRY_RQ_IDENTITY,  FERRY_RQ_REGION_READ,     FERRY_RQ_DMA_MAP,
};

static void add_a_page(struct ferry_context *context)
{
    static _Alignas(4096) uint8_t page[4096];
    const struct ferry_memory memory = {
        .iova = 0x100000, .size = sizeof(page), .address = page, .fd = -1, .writable = 1
    };

    assert_int_equal(ferry_context_add_memory(context, &memory, NULL), 0);
}

static void a_device_that_dies_at_any_question_leaves_nothing_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(asked_table) / sizeof(asked_table[0]); i++) {
        struct ferry_context *context = new_context();
        struct ferry_error error = { 0 };
        struct fake_device fake;
        unsigned before;

        fake_init(&fake);
        add_a_page(context);
        fake.fail_kind = asked_table[i];
        fake.fail_status = FERRY_E_CLOSED;
        before = fake_open_fds();
        assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, &error),
                         FERRY_E_CLOSED);
        assert_non_null(strstr(error.text, "'d'"));
        assert_int_equal(fake.detaches, 1);
        assert_int_equal(fake_open_fds(), before);
        ferry_context_destroy(context);
        fake_free(&fake);
    }
}

static void a_device_that_keeps_silent_is_given_up_within_the_limit(void **state)
{
    static const uint32_t silent_table[] = { FERRY_RQ_MIG_FLAGS, FERRY_RQ_REGION_READ };

    (void)state;
    for (size_t i = 0; i < sizeof(silent_table) / sizeof(silent_table[0]); i++) {
        struct ferry_context *context = new_context();
        const unsigned before = fake_open_fds();
        struct ferry_error error = { 0 };
        struct fake_device fake;
        int rc;

        fake_init(&fake);
        fake.silent_kind = silent_table[i];
        rc = ferry_context_add_endpoint(context, "d", &fake.endpoint, &error);
        /* The second one borrows memory: the device is let go of at once. */
        assert_true(rc == FERRY_E_TIMEOUT || rc == FERRY_E_CLOSED);
        assert_non_null(strstr(error.text, "'d'"));
        assert_int_equal(fake.detaches, 1);
        assert_int_equal(fake.pending_count, 0);
        fake_free(&fake);
        assert_int_equal(fake_open_fds(), before);
        ferry_context_destroy(context);
    }
}

static void a_device_may_refuse_what_it_does_not_have(void **state)
{
    static const uint32_t refused_table[] = { FERRY_RQ_MIG_FLAGS, FERRY_RQ_PROBE,
                                              FERRY_RQ_GET_IRQ_INFO, FERRY_RQ_IDENTITY };

    (void)state;
    for (size_t i = 0; i < sizeof(refused_table) / sizeof(refused_table[0]); i++) {
        struct ferry_context *context = new_context();
        struct fake_device fake;

        fake_init(&fake);
        fake.fail_kind = refused_table[i];
        fake.fail_status = FERRY_E_ARGUMENT;
        assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, NULL),
                         0);
        ferry_context_destroy(context);
        fake_free(&fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_device_shows_what_it_is),
        cmocka_unit_test(
            a_device_without_the_extension_gets_its_numbers_from_config_space),
        cmocka_unit_test(a_device_that_was_left_in_another_state_is_brought_to_running),
        cmocka_unit_test(names_are_unique_and_plain),
        cmocka_unit_test(every_lie_is_refused_by_name),
        cmocka_unit_test(a_damaged_config_space_is_refused),
        cmocka_unit_test(a_mappable_region_without_a_descriptor_is_reached_by_messages),
        cmocka_unit_test(a_device_that_dies_at_any_question_leaves_nothing_open),
        cmocka_unit_test(a_device_that_keeps_silent_is_given_up_within_the_limit),
        cmocka_unit_test(a_device_may_refuse_what_it_does_not_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
