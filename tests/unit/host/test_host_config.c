/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/reader.h"
#include "base/writer.h"
#include "core/stream/payload.h"
#include "host/context/context.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "test_host_fake.h"

/* What is controlled from outside a device, carried from one to another. */

#define COMMAND 0x04u
#define BAR0 0x10u
#define BAR2 0x18u
#define MSIX_CONTROL (FAKE_CAP_MSIX + 2u)
#define PM_CONTROL (FAKE_CAP_PM + 4u)
#define VENDOR_BAR (FAKE_CAP_VENDOR + 4u)
#define VENDOR_WINDOW (FAKE_CAP_VENDOR + 16u)
#define TABLE(vector, word) (FAKE_TABLE_OFF + (vector)*16u + (word)*4u)

struct two {
    struct ferry_context *context;
    struct fake_device from, to;
    uint8_t *blob;
    size_t bytes;
};

/* A guest's driver has set up `from`. */
static void set_up_by_guest(struct fake_device *fake)
{
    ferry_store_le16(fake->config + COMMAND, 0x0406);
    ferry_store_le32(fake->config + BAR0, 0xfebf0000);
    ferry_store_le32(fake->config + BAR2, 0xfe000008);
    ferry_store_le16(fake->config + MSIX_CONTROL, 0x8000 | (FAKE_VECTORS - 1));
    ferry_store_le16(fake->config + PM_CONTROL,
                     0x8000); /* PME status: not to be written */
    fake->config[0x3c] = 11;
    fake->config[VENDOR_BAR] = 4;
    ferry_store_le32(fake->config + VENDOR_WINDOW, 0xdeadbeef);
    for (uint32_t i = 0; i < FAKE_VECTORS; i++) {
        ferry_store_le32(fake->bar0 + TABLE(i, 0), 0xfee00000 + i);
        ferry_store_le32(fake->bar0 + TABLE(i, 2), 0x4000 + i);
        ferry_store_le32(fake->bar0 + TABLE(i, 3), i == 2 ? 1 : 0);
    }
}

static void setup(struct two *two)
{
    fake_init(&two->from);
    fake_init(&two->to);
    two->blob = malloc(FERRY_HOST_BLOB_MAX);
    assert_non_null(two->blob);
    assert_int_equal(ferry_context_create(NULL, &two->context, NULL), FERRY_OK);
    assert_int_equal(
        ferry_context_add_endpoint(two->context, "from", &two->from.endpoint, NULL), 0);
    assert_int_equal(
        ferry_context_add_endpoint(two->context, "to", &two->to.endpoint, NULL), 1);
    set_up_by_guest(&two->from);
    assert_int_equal(ferry_host_config_save(two->context, 0, two->blob,
                                            FERRY_HOST_BLOB_MAX, &two->bytes, NULL),
                     FERRY_OK);
}

static void teardown(struct two *two)
{
    ferry_context_destroy(two->context);
    free(two->blob);
    fake_free(&two->from);
    fake_free(&two->to);
}

/* MIG-EXT-1 */
static void what_the_guest_set_up_arrives(void **state)
{
    struct two two;
    int fds[4];

    (void)state;
    setup(&two);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(ferry_os_eventfd_create(&fds[i]), FERRY_OK);
    }
    assert_int_equal(ferry_context_set_irqs(two.context, 1, fds, 4, NULL), FERRY_OK);
    assert_int_equal(ferry_host_config_check(two.context, 1, two.blob, two.bytes, NULL),
                     FERRY_OK);
    assert_int_equal(two.to.order_count, 0);
    assert_int_equal(ferry_host_config_restore(two.context, 1, two.blob, two.bytes, NULL),
                     FERRY_OK);
    assert_int_equal(ferry_load_le16(two.to.config + COMMAND), 0x0406);
    assert_int_equal(ferry_load_le32(two.to.config + BAR0), 0xfebf0000);
    assert_int_equal(ferry_load_le32(two.to.config + BAR2), 0xfe000008);
    assert_int_equal(ferry_load_le16(two.to.config + MSIX_CONTROL), 0x8007);
    assert_int_equal(two.to.config[0x3c], 11);
    assert_int_equal(two.to.config[VENDOR_BAR], 4);
    /* The masked vector is masked although it got an eventfd. */
    assert_memory_equal(two.to.bar0 + FAKE_TABLE_OFF, two.from.bar0 + FAKE_TABLE_OFF,
                        FAKE_VECTORS * 16u);
    assert_int_equal(two.to.bar0[TABLE(2, 3)], 1);
    assert_true(two.to.irq_fd[3] >= 0);
    teardown(&two);
    for (uint32_t i = 0; i < 4; i++) {
        ferry_os_close(&fds[i]);
    }
}

static uint32_t place(const struct fake_device *fake, uint8_t off)
{
    for (uint32_t i = 0; i < fake->order_count; i++) {
        if (fake->order[i] == off) {
            return i;
        }
    }
    return 999;
}

/* MIG-EXT-2 */
static void the_command_register_is_written_last_and_msix_after_the_bars(void **state)
{
    struct two two;

    (void)state;
    setup(&two);
    assert_int_equal(ferry_host_config_restore(two.context, 1, two.blob, two.bytes, NULL),
                     FERRY_OK);
    assert_int_equal(place(&two.to, COMMAND), two.to.order_count - 1);
    assert_true(place(&two.to, BAR0) < place(&two.to, MSIX_CONTROL));
    assert_true(place(&two.to, MSIX_CONTROL) < place(&two.to, COMMAND));
    teardown(&two);
}

static void the_device_decodes_nothing_while_its_addresses_move(void **state)
{
    struct two two;

    (void)state;
    setup(&two);
    ferry_store_le16(two.to.config + COMMAND, 0x0007);
    assert_int_equal(ferry_host_config_restore(two.context, 1, two.blob, two.bytes, NULL),
                     FERRY_OK);
    assert_int_equal(two.to.order[0], COMMAND);
    assert_int_equal(two.to.order[two.to.order_count - 1], COMMAND);
    assert_int_equal(ferry_load_le16(two.to.config + COMMAND), 0x0406);
    teardown(&two);
}

static void the_window_into_the_bars_is_never_touched(void **state)
{
    struct two two;

    (void)state;
    setup(&two);
    assert_int_equal(ferry_host_config_restore(two.context, 1, two.blob, two.bytes, NULL),
                     FERRY_OK);
    assert_int_equal(two.from.window_accesses, 0);
    assert_int_equal(two.to.window_accesses, 0);
    assert_int_equal(ferry_load_le32(two.to.config + VENDOR_WINDOW), 0);
    teardown(&two);
}

static void status_bits_that_clear_when_written_are_left_alone(void **state)
{
    struct two two;

    (void)state;
    setup(&two);
    assert_int_equal(ferry_host_config_restore(two.context, 1, two.blob, two.bytes, NULL),
                     FERRY_OK);
    assert_int_equal(ferry_load_le16(two.to.config + PM_CONTROL), 0);
    teardown(&two);
}

static void a_device_that_ignores_a_write_is_found_out(void **state)
{
    struct ferry_error error = { 0 };
    struct two two;

    (void)state;
    setup(&two);
    two.to.ignore_off = BAR2;
    assert_int_equal(
        ferry_host_config_restore(two.context, 1, two.blob, two.bytes, &error),
        FERRY_E_DEVICE);
    assert_non_null(strstr(error.text, "0x18"));
    teardown(&two);
}

static void a_save_that_does_not_fit_says_so(void **state)
{
    size_t bytes = 77;
    struct two two;

    (void)state;
    setup(&two);
    assert_int_equal(ferry_host_config_save(two.context, 0, two.blob, 100, &bytes, NULL),
                     FERRY_E_CAPACITY);
    assert_int_equal(bytes, 77);
    two.from.fail_kind = FERRY_RQ_REGION_READ;
    two.from.fail_status = FERRY_E_CLOSED;
    assert_int_equal(ferry_host_config_save(two.context, 0, two.blob, FERRY_HOST_BLOB_MAX,
                                            &bytes, NULL),
                     FERRY_E_CLOSED);
    teardown(&two);
}

/* --- a peer's blob
 * ----------------------------------------------------------------------- */

static void every_shortened_blob_is_refused_and_writes_nothing(void **state)
{
    struct two two;

    (void)state;
    setup(&two);
    for (size_t bytes = 0; bytes < two.bytes; bytes++) {
        uint8_t *cut = malloc(bytes + 1);

        assert_non_null(cut);
        memcpy(cut, two.blob, bytes);
        /* In memory of just that size, so that a read past it is seen. */
        cut = realloc(cut, bytes != 0 ? bytes : 1);
        assert_true(ferry_host_config_restore(two.context, 1, cut, bytes, NULL) < 0);
        free(cut);
    }
    assert_true(ferry_host_config_restore(two.context, 1, two.blob, two.bytes + 1, NULL) <
                0);
    assert_int_equal(two.to.order_count, 0);
    teardown(&two);
}

static void a_blob_of_another_device_is_refused_by_name(void **state)
{
    static const struct {
        uint8_t off, value;
        int status;
        const char *where;
    } change_table[] = {
        { 0x02, 0x55, FERRY_E_INCOMPATIBLE, "device number" },
        { 0x2e, 0x55, FERRY_E_INCOMPATIBLE, "subsystem" },
        { 0x08, 0x55, FERRY_E_INCOMPATIBLE, "revision" },
        { 0x06, 0x00, FERRY_E_INCOMPATIBLE, "capabilities" },
        { FAKE_CAP_PM, 0x05, FERRY_E_INCOMPATIBLE, "capability" },
        { FAKE_CAP_VENDOR + 2, 16, FERRY_E_INCOMPATIBLE, "vendor capability" },
        { FAKE_CAP_VENDOR + 3, 1, FERRY_E_INCOMPATIBLE, "vendor capability" },
        { FAKE_CAP_MSIX + 2, 6, FERRY_E_INCOMPATIBLE, "MSI-X" },
        { FAKE_CAP_MSIX + 4, 4, FERRY_E_INCOMPATIBLE, "MSI-X" },
        { FAKE_CAP_VENDOR + 1, FAKE_CAP_VENDOR, FERRY_E_PROTOCOL, "does not end" },
        { FAKE_CAP_MSIX + 1, 0xff, FERRY_E_PROTOCOL, "past the end" },
        { 0x0e, 1, FERRY_E_PROTOCOL, "ordinary" },
    };
    struct ferry_stream_config whole;
    struct two two;
    uint8_t *config;

    (void)state;
    setup(&two);
    assert_int_equal(ferry_stream_get_config(two.blob, two.bytes, &whole, NULL),
                     FERRY_OK);
    config = two.blob + (whole.config - two.blob);
    for (size_t i = 0; i < sizeof(change_table) / sizeof(change_table[0]); i++) {
        const uint8_t before = config[change_table[i].off];
        struct ferry_error error = { 0 };

        config[0xfc] = 0x11;
        config[change_table[i].off] = change_table[i].value;
        assert_int_equal(
            ferry_host_config_check(two.context, 1, two.blob, two.bytes, &error),
            change_table[i].status);
        assert_non_null(strstr(error.text, change_table[i].where));
        assert_int_equal(
            ferry_host_config_restore(two.context, 1, two.blob, two.bytes, NULL),
            change_table[i].status);
        config[change_table[i].off] = before;
    }
    assert_int_equal(two.to.order_count, 0);
    teardown(&two);
}

static void a_blob_with_another_number_of_entries_is_refused(void **state)
{
    struct ferry_stream_config whole;
    struct ferry_writer writer;
    struct two two;
    uint8_t *other;

    (void)state;
    setup(&two);
    other = malloc(FERRY_HOST_BLOB_MAX);
    assert_non_null(other);
    assert_int_equal(ferry_stream_get_config(two.blob, two.bytes, &whole, NULL),
                     FERRY_OK);
    whole.msix_entries--;
    ferry_writer_init(&writer, other, FERRY_HOST_BLOB_MAX);
    ferry_stream_put_config(&writer, &whole);
    assert_int_equal(ferry_host_config_check(two.context, 1, other, writer.pos, NULL),
                     FERRY_E_INCOMPATIBLE);
    whole.msix_entries++;
    whole.config_bytes -= 64;
    ferry_writer_init(&writer, other, FERRY_HOST_BLOB_MAX);
    ferry_stream_put_config(&writer, &whole);
    assert_int_equal(ferry_host_config_check(two.context, 1, other, writer.pos, NULL),
                     FERRY_E_INCOMPATIBLE);
    /* Shorter than a header as well. */
    whole.config_bytes = 16;
    ferry_writer_init(&writer, other, FERRY_HOST_BLOB_MAX);
    ferry_stream_put_config(&writer, &whole);
    assert_true(ferry_host_config_check(two.context, 1, other, writer.pos, NULL) < 0);
    free(other);
    teardown(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_guest_set_up_arrives),
        cmocka_unit_test(the_command_register_is_written_last_and_msix_after_the_bars),
        cmocka_unit_test(the_device_decodes_nothing_while_its_addresses_move),
        cmocka_unit_test(the_window_into_the_bars_is_never_touched),
        cmocka_unit_test(status_bits_that_clear_when_written_are_left_alone),
        cmocka_unit_test(a_device_that_ignores_a_write_is_found_out),
        cmocka_unit_test(a_save_that_does_not_fit_says_so),
        cmocka_unit_test(every_shortened_blob_is_refused_and_writes_nothing),
        cmocka_unit_test(a_blob_of_another_device_is_refused_by_name),
        cmocka_unit_test(a_blob_with_another_number_of_entries_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
