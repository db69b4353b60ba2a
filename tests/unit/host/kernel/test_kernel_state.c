/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_vfio.h"

/* Changes of state that work, fail, and leave no descriptor behind. */

static struct fake_vfio fake;
static struct ferry_backend *backend;
static struct ferry_error error;

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    memset(&error, 0, sizeof(error));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    backend->ops->close(backend);
    fake_end(&fake);
    return 0;
}

static int set(uint32_t state)
{
    return fake_set_state(backend, state, &error);
}

static int simple(uint32_t kind)
{
    struct ferry_request request = { .kind = kind, .reterr = &error };

    return fake_call(backend, &request);
}

/* Descriptors of this device that are open now, the device's own apart. */
static uint32_t sessions_open(void)
{
    return fake.opened - fake.closed_fds - 1;
}

static int has_session(uint32_t of)
{
    return ferry_state_is_saving(of) || of == FERRY_STATE_RESUMING;
}

static int read_some(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ, .reterr = &error };
    uint8_t data[16];

    request.u.data = (struct ferry_data_io){ .data = data, .size = sizeof(data) };
    return fake_call(backend, &request);
}

static void a_session_is_open_exactly_while_its_state_lasts(void **state)
{
    static const struct {
        uint32_t to, sessions;
    } walk[] = {
        { FERRY_STATE_STOP, 0 },        { FERRY_STATE_STOP_COPY, 1 },
        { FERRY_STATE_STOP_COPY, 1 },   { FERRY_STATE_RESUMING, 1 },
        { FERRY_STATE_STOP_COPY, 1 },   { FERRY_STATE_RUNNING, 0 },
        { FERRY_STATE_PRE_COPY, 1 },    { FERRY_STATE_PRE_COPY_P2P, 1 },
        { FERRY_STATE_STOP_COPY, 1 },   { FERRY_STATE_STOP, 0 },
        { FERRY_STATE_RUNNING_P2P, 0 }, { FERRY_STATE_RUNNING, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(walk) / sizeof(walk[0]); i++) {
        assert_int_equal(set(walk[i].to), FERRY_OK);
        assert_int_equal(fake.state, walk[i].to);
        assert_int_equal(sessions_open(), walk[i].sessions);
    }
}

static void a_session_keeps_its_place_from_pre_copy_to_the_stop(void **state)
{
    (void)state;
    assert_int_equal(set(FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(read_some(), FERRY_OK);
    assert_int_equal(set(FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(read_some(), FERRY_OK);
    assert_int_equal(fake.stream_pos, 32);
    assert_int_equal(fake.opened, 2); /* device and one session */
}

static void where_a_device_is_is_asked_before_an_arc_that_may_hang(void **state)
{
    (void)state;
    /* It went there, said EIO, and could not be asked. */
    fake.set =
        (struct fake_fault){ .err = EIO, .times = 1, .state = FERRY_STATE_STOP_COPY };
    fake.get = (struct fake_fault){ .err = EIO };
    assert_true(set(FERRY_STATE_STOP_COPY) < 0);
    assert_true(set(FERRY_STATE_PRE_COPY) < 0); /* nor can it now */
    fake.get.err = 0;
    assert_int_equal(set(FERRY_STATE_PRE_COPY), FERRY_E_ARC);
    assert_int_equal(fake.sets, 1);
    /* A guest reset it. */
    fake.state = FERRY_STATE_RUNNING;
    assert_int_equal(set(FERRY_STATE_PRE_COPY), FERRY_OK);
}

static void an_error_without_a_name_has_its_number(void **state)
{
    static const struct {
        int err, status;
    } numbers[] = { { 524, FERRY_E_UNSUPPORTED }, { 512, FERRY_E_DEVICE } };

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        fake.reset = (struct fake_fault){ .err = numbers[i].err };
        assert_int_equal(simple(FERRY_RQ_RESET), numbers[i].status);
        assert_non_null(strstr(error.text, "without a name (errno 5"));
    }
}

/* Each arc that begins a session, with each errno that loses its descriptor. */
static void without_a_descriptor_the_device_goes_back(void **state)
{
    static const struct {
        uint32_t from, to, back, resets;
    } arcs[] = {
        { FERRY_STATE_RUNNING, FERRY_STATE_STOP_COPY, FERRY_STATE_STOP, 0 },
        { FERRY_STATE_STOP, FERRY_STATE_STOP_COPY, FERRY_STATE_STOP, 0 },
        { FERRY_STATE_RUNNING, FERRY_STATE_PRE_COPY, FERRY_STATE_RUNNING, 0 },
        { FERRY_STATE_RUNNING_P2P, FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_RUNNING_P2P, 0 },
        { FERRY_STATE_STOP, FERRY_STATE_RESUMING, FERRY_STATE_RUNNING, 1 },
        { FERRY_STATE_STOP_COPY, FERRY_STATE_RESUMING, FERRY_STATE_RUNNING, 1 },
    };
    static const struct {
        int err;
        const char *help;
    } errs[] = { { EMFILE, "ulimit -n" }, { ENFILE, "fs.file-max" } };

    (void)state;
    for (size_t i = 0; i < sizeof(arcs) / sizeof(arcs[0]) * 2; i++) {
        const size_t arc = i / 2, err = i % 2;

        assert_int_equal(set(arcs[arc].from), FERRY_OK);
        fake.emfile = (struct fake_fault){ .err = errs[err].err, .times = 1 };
        fake.resets = 0;
        assert_int_equal(set(arcs[arc].to), FERRY_E_LIMIT);
        assert_int_equal(error.os_errno, errs[err].err);
        assert_non_null(strstr(error.text, errs[err].help));
        assert_non_null(strstr(error.text, ferry_state_name(arcs[arc].back)));
        assert_int_equal(fake.state, arcs[arc].back);
        assert_int_equal(fake.resets, arcs[arc].resets);
        assert_int_equal(sessions_open(), 0);
        assert_int_equal(set(FERRY_STATE_RUNNING), FERRY_OK);
    }
    /* And it can migrate afterwards. */
    assert_int_equal(set(FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(read_some(), FERRY_OK);
}

static void a_lack_of_descriptors_before_the_change_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(set(FERRY_STATE_PRE_COPY), FERRY_OK);
    fake.set = (struct fake_fault){ .err = EMFILE, .times = 1 };
    assert_int_equal(set(FERRY_STATE_STOP_COPY), FERRY_E_LIMIT);
    assert_int_equal(fake.state, FERRY_STATE_PRE_COPY);
    assert_int_equal(sessions_open(), 1);
    assert_int_equal(read_some(), FERRY_OK);
}

static void a_signal_makes_a_change_go_on(void **state)
{
    (void)state;
    fake.signals = 5;
    assert_int_equal(set(FERRY_STATE_STOP_COPY), FERRY_OK);
    fake.set = (struct fake_fault){ .err = EINTR,
                                    .times = 3,
                                    .state = FERRY_STATE_STOP }; /* half of the way */
    assert_int_equal(set(FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(fake.state, FERRY_STATE_RUNNING);
}

static uint32_t asked_before(uint32_t to)
{
    return to == FERRY_STATE_PRE_COPY || to == FERRY_STATE_PRE_COPY_P2P;
}

/* Every legal pair, failing with the device left in each state of the way. */
static void after_a_failure_the_device_is_asked_where_it_is(void **state)
{
    uint32_t path[FERRY_STATE_COUNT];

    (void)state;
    for (uint32_t from = 1; from < FERRY_STATE_COUNT; from++) {
        for (uint32_t to = 1; to < FERRY_STATE_COUNT; to++) {
            const int steps = ferry_state_path(from, to, (uint32_t)fake.flags, path);

            for (int i = -1; i < steps - 1; i++) {
                assert_int_equal(set(FERRY_STATE_RUNNING), FERRY_OK);
                assert_int_equal(set(from), FERRY_OK);
                fake.gets = 0;
                fake.set = (struct fake_fault){ .err = EIO,
                                                .times = 1,
                                                .state = i < 0 ? from : path[i] };
                assert_int_equal(set(to), FERRY_E_DEVICE);
                assert_int_equal(error.os_errno, EIO);
                assert_int_equal(fake.gets, 1 + asked_before(to));
                assert_int_equal(sessions_open(),
                                 has_session(fake.state) && has_session(from));
            }
        }
    }
}

static void a_device_in_error_says_so_and_only_a_reset_helps(void **state)
{
    (void)state;
    assert_int_equal(set(FERRY_STATE_STOP_COPY), FERRY_OK);
    fake.set = (struct fake_fault){ .err = EIO };
    fake.state = FERRY_STATE_ERROR;
    assert_int_equal(set(FERRY_STATE_STOP), FERRY_E_DEVICE_ERROR);
    assert_int_equal(sessions_open(), 0);
    assert_int_equal(fake_get_state(backend), FERRY_STATE_ERROR);
    fake.set.err = 0;
    assert_int_equal(simple(FERRY_RQ_RESET), FERRY_OK);
    assert_int_equal(fake_get_state(backend), FERRY_STATE_RUNNING);
}

static void a_state_that_cannot_be_asked_for_is_no_state(void **state)
{
    (void)state;
    fake.get = (struct fake_fault){ .err = EIO };
    assert_int_equal(simple(FERRY_RQ_GET_STATE), FERRY_E_DEVICE);
    fake.set = (struct fake_fault){ .err = EIO, .times = 1 };
    assert_int_equal(set(FERRY_STATE_STOP), FERRY_E_DEVICE);
    assert_non_null(strstr(error.text, "does not tell"));
    fake.get.err = 0;
    fake.state = 8;
    assert_int_equal(simple(FERRY_RQ_GET_STATE), FERRY_E_DEVICE);
    fake.state = FERRY_STATE_RUNNING;
}

static void a_driver_that_forgets_the_descriptor_is_found_out(void **state)
{
    (void)state;
    fake.no_data_fd = 1;
    assert_int_equal(set(FERRY_STATE_STOP_COPY), FERRY_E_PROTOCOL);
    assert_non_null(strstr(error.text, "no data descriptor"));
    assert_int_equal(read_some(), FERRY_E_STATE);
}

static void a_descriptor_that_nobody_wants_is_closed(void **state)
{
    (void)state;
    fake.needless_fd = 1;
    assert_int_equal(set(FERRY_STATE_STOP), FERRY_OK);
    assert_int_equal(set(FERRY_STATE_RUNNING), FERRY_E_PROTOCOL);
    assert_int_equal(sessions_open(), 0);
}

static void what_hangs_kernels_is_not_asked_for(void **state)
{
    uint32_t before;

    (void)state;
    assert_int_equal(set(FERRY_STATE_STOP_COPY), FERRY_OK);
    before = fake.sets;
    assert_int_equal(set(FERRY_STATE_PRE_COPY), FERRY_E_ARC);
    assert_int_equal(set(FERRY_STATE_PRE_COPY_P2P), FERRY_E_ARC);
    assert_int_equal(fake.sets, before);
    /* Other nonsense is the kernel's to refuse. */
    assert_int_equal(set(77), FERRY_E_ARGUMENT);
    assert_int_equal(fake.sets, before + 1);
}

static void a_reset_ends_the_session(void **state)
{
    (void)state;
    assert_int_equal(set(FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(simple(FERRY_RQ_RESET), FERRY_OK);
    assert_int_equal(sessions_open(), 0);
    assert_int_equal(read_some(), FERRY_E_STATE);
}

static void a_reset_waits_for_a_busy_bus(void **state)
{
    (void)state;
    fake.reset = (struct fake_fault){ .err = EAGAIN, .times = 2 };
    assert_int_equal(simple(FERRY_RQ_RESET), FERRY_OK);
    assert_int_equal(fake.resets, 1);
}

static void a_reset_that_leaves_the_state_is_a_failure(void **state)
{
    (void)state;
    assert_int_equal(set(FERRY_STATE_STOP), FERRY_OK);
    fake.reset_state = FERRY_STATE_STOP;
    assert_int_equal(simple(FERRY_RQ_RESET), FERRY_E_DEVICE);
    assert_non_null(strstr(error.text, "STOP"));
    fake.reset = (struct fake_fault){ .err = EIO };
    assert_int_equal(simple(FERRY_RQ_RESET), FERRY_E_DEVICE);
}

static void a_device_without_reset_says_that(void **state)
{
    (void)state;
    backend->ops->close(backend);
    fake_end(&fake);
    fake_init(&fake);
    fake.info.flags = UAPI_INFO_PCI;
    fake.no_reset = 1;
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    assert_int_equal(simple(FERRY_RQ_RESET), FERRY_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "no reset"));
}

static void a_size_is_told_unless_it_is_an_errno(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_SIZE, .reterr = &error };

    (void)state;
    fake.stop_copy_bytes = 123456;
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(request.u.data_size, 123456);
    fake.stop_copy_bytes = (uint64_t)-EIO;
    assert_int_equal(fake_call(backend, &request), FERRY_E_DEVICE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_session_is_open_exactly_while_its_state_lasts),
        TEST(a_session_keeps_its_place_from_pre_copy_to_the_stop),
        TEST(without_a_descriptor_the_device_goes_back),
        TEST(a_lack_of_descriptors_before_the_change_changes_nothing),
        TEST(a_signal_makes_a_change_go_on),
        TEST(after_a_failure_the_device_is_asked_where_it_is),
        TEST(a_device_in_error_says_so_and_only_a_reset_helps),
        TEST(a_state_that_cannot_be_asked_for_is_no_state),
        TEST(a_driver_that_forgets_the_descriptor_is_found_out),
        TEST(a_descriptor_that_nobody_wants_is_closed),
        TEST(what_hangs_kernels_is_not_asked_for),
        TEST(a_reset_ends_the_session),
        TEST(a_reset_waits_for_a_busy_bus),
        TEST(a_reset_that_leaves_the_state_is_a_failure),
        TEST(a_device_without_reset_says_that),
        TEST(where_a_device_is_is_asked_before_an_arc_that_may_hang),
        TEST(an_error_without_a_name_has_its_number),
        TEST(a_size_is_told_unless_it_is_an_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
