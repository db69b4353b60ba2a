/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/eventfd.h"
#include "test_host_mig_rig.h"

/* A context saved in a file and restored in another one, and what must not be lost. */

static char folder[] = "/tmp/ferry-file-XXXXXX";
static char path[sizeof(folder) + 16];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/ferry-file-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/state", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)remove(path);
    return rmdir(folder); /* fails when anything else is left in it */
}

static uint32_t files(void)
{
    DIR *dir = opendir(folder);
    uint32_t count = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(dir);
    return count;
}

static int save(struct rig *rig, const struct ferry_save_options *options)
{
    struct ferry_context *context = rig->side[0].context;
    int rc = ferry_context_save(context, path, options, NULL);

    return rc < 0 ? rc : ferry_context_wait(context, NULL);
}

static int restore(struct rig *rig, struct ferry_error *reterr)
{
    struct ferry_context *context = rig->side[1].context;
    int rc = ferry_context_restore(context, path, NULL, reterr);

    return rc < 0 ? rc : ferry_context_wait(context, reterr);
}

static void open_filled(struct rig *rig, uint32_t seed)
{
    rig_open(rig, NULL);
    rig_fill(rig, seed);
}

static void check_round_trip(const struct ferry_save_options *options, uint32_t outcome)
{
    struct ferry_error error = { .code = FERRY_OK };
    struct rig rig;
    struct stat st;
    uint64_t count = 0;

    open_filled(&rig, 7);
    assert_int_equal(ferry_os_eventfd_signal(rig.side[0].irq_fd[1][2]), FERRY_OK);
    assert_int_equal(save(&rig, options), FERRY_OK);
    assert_int_equal(rig_outcome(&rig, 0), outcome);
    assert_int_equal(rig.side[0].running, outcome == FERRY_OUTCOME_SAVED);
    assert_int_equal(rig_runs(&rig, 0), outcome == FERRY_OUTCOME_SAVED);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(files(), 1);
    if (restore(&rig, &error) != FERRY_OK) {
        fail_msg("%s %s", error.rule, error.text);
    }
    assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(&rig));
    assert_true(rig_state_equal(&rig));
    assert_true(rig_runs(&rig, 1));
    /* What was pending is in the file; a source that goes on has it again, too. */
    assert_int_equal(ferry_os_eventfd_drain(rig.side[1].irq_fd[1][2], &count), FERRY_OK);
    assert_int_equal(count, 1);
    assert_int_equal(ferry_os_eventfd_drain(rig.side[0].irq_fd[1][2], &count), FERRY_OK);
    assert_int_equal(count, outcome == FERRY_OUTCOME_SAVED);
    rig_close(&rig);
}

static void a_saved_context_runs_on_and_is_restored_elsewhere(void **state)
{
    (void)state;
    check_round_trip(NULL, FERRY_OUTCOME_SAVED);
}

static void a_context_may_be_left_to_the_file(void **state)
{
    struct ferry_save_options options = { .struct_size = sizeof(options),
                                          .then = FERRY_SAVE_STOP };

    (void)state;
    check_round_trip(&options, FERRY_OUTCOME_MOVED);
}

static void a_packed_file_is_smaller_and_restored_the_same(void **state)
{
    struct ferry_save_options options = { .struct_size = sizeof(options), .compress = 3 };
    struct rig rig;
    struct stat plain, packed;

    (void)state;
    open_filled(&rig, 7);
    memset(rig.side[0].memory, 0x11, RIG_MEMORY_BYTES / 2); /* the rest is noise */
    assert_int_equal(save(&rig, NULL), FERRY_OK);
    assert_int_equal(stat(path, &plain), 0);
    assert_int_equal(save(&rig, &options), FERRY_OK); /* over the other one */
    assert_int_equal(stat(path, &packed), 0);
    assert_true(packed.st_size < plain.st_size * 3 / 4);
    rig_close(&rig);
    check_round_trip(&options, FERRY_OUTCOME_SAVED);
}

static void a_full_disk_lets_the_devices_run_on(void **state)
{
    struct ferry_save_options options = { .struct_size = sizeof(options) };
    struct rig rig;

    (void)state;
    for (uint32_t then = FERRY_SAVE_RUN; then <= FERRY_SAVE_STOP; then++) {
        for (uint32_t level = 0; level < 2; level++) {
            options.then = then;
            options.compress = level;
            open_filled(&rig, 8);
            assert_int_equal(
                ferry_context_save(rig.side[0].context, "/dev/full", &options, NULL),
                FERRY_OK);
            assert_int_equal(ferry_context_wait(rig.side[0].context, NULL), FERRY_E_IO);
            assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
            assert_non_null(strstr(rig.side[0].report.error.text, "/dev/full"));
            assert_true(rig_runs(&rig, 0));
            rig_close(&rig);
        }
    }
}

static void a_cancelled_save_leaves_no_file(void **state)
{
    struct rig rig;

    (void)state;
    open_filled(&rig, 9);
    assert_int_equal(ferry_context_save(rig.side[0].context, path, NULL, NULL), FERRY_OK);
    assert_int_equal(access(path, F_OK), -1); /* without a name, or another one */
    assert_int_equal(ferry_context_cancel(rig.side[0].context), FERRY_OK);
    assert_int_equal(ferry_context_wait(rig.side[0].context, NULL), FERRY_E_CANCELLED);
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_true(rig_runs(&rig, 0));
    assert_int_equal(files(), 0);
    rig_close(&rig);
}

static void a_context_that_goes_in_the_middle_leaves_no_file(void **state)
{
    struct rig rig;

    (void)state;
    open_filled(&rig, 9);
    assert_int_equal(ferry_context_save(rig.side[0].context, path, NULL, NULL), FERRY_OK);
    rig_close(&rig);
    assert_int_equal(files(), 0);
}

static void a_device_that_fails_to_stop_leaves_the_old_file(void **state)
{
    struct rig rig;
    struct stat before, after;

    (void)state;
    open_filled(&rig, 10);
    assert_int_equal(save(&rig, NULL), FERRY_OK);
    assert_int_equal(stat(path, &before), 0);
    rig.side[0].device[1].fail_to = FERRY_STATE_STOP_COPY;
    rig.side[0].device[1].fail_status = FERRY_E_DEVICE;
    assert_int_equal(save(&rig, NULL), FERRY_E_DEVICE);
    assert_true(rig_runs(&rig, 0));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(files(), 1);
    rig_close(&rig);
}

static void a_file_whose_name_cannot_be_given_gives_the_devices_back(void **state)
{
    struct ferry_save_options options = { .struct_size = sizeof(options) };
    struct rig rig;

    (void)state;
    for (uint32_t then = FERRY_SAVE_RUN; then <= FERRY_SAVE_STOP; then++) {
        options.then = then;
        open_filled(&rig, 11);
        assert_int_equal(ferry_context_save(rig.side[0].context, path, &options, NULL),
                         FERRY_OK);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(ferry_context_wait(rig.side[0].context, NULL), FERRY_E_IO);
        assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
        assert_true(rig_runs(&rig, 0));
        assert_int_equal(files(), 1);
        assert_int_equal(rmdir(path), 0);
        rig_close(&rig);
    }
}

static void what_cannot_be_begun_changes_nothing(void **state)
{
    struct ferry_save_options options = { .struct_size = sizeof(options),
                                          .compress = 100 };
    struct ferry_context *context;
    struct ferry_error error = { .code = FERRY_OK };
    struct rig rig;
    int pipes[2];

    (void)state;
    open_filled(&rig, 12);
    context = rig.side[0].context;
    assert_int_equal(ferry_context_save(context, path, &options, &error),
                     FERRY_E_ARGUMENT);
    options.compress = 0;
    options.then = 2;
    assert_int_equal(ferry_context_save(context, path, &options, &error),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_context_save(context, "/no/such/folder/x", NULL, &error),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_context_save(context, folder, NULL, &error), FERRY_E_IO);
    assert_int_equal(ferry_context_restore(context, path, NULL, &error),
                     FERRY_E_NOT_FOUND);
    /* A pipe with nobody at its other end stops neither. */
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(ferry_context_save(context, path, NULL, &error) < 0);
    assert_int_equal(ferry_context_restore(context, path, NULL, &error),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(ferry_context_restore_fd(context, pipes[0], NULL, &error),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(close(pipes[1]), 0);
    assert_int_equal(fcntl(pipes[0], F_GETFD), -1); /* it was given away */
    assert_int_equal(ferry_context_save(context, path, NULL, &error), FERRY_OK);
    assert_int_equal(ferry_context_save(context, path, NULL, &error), FERRY_E_BUSY);
    assert_int_equal(ferry_context_restore(context, "/dev/null", NULL, &error),
                     FERRY_E_BUSY);
    assert_int_equal(ferry_context_wait(context, NULL), FERRY_OK);
    assert_true(rig_runs(&rig, 0));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_saved_context_runs_on_and_is_restored_elsewhere,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_context_may_be_left_to_the_file, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_packed_file_is_smaller_and_restored_the_same,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_full_disk_lets_the_devices_run_on, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_cancelled_save_leaves_no_file, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_context_that_goes_in_the_middle_leaves_no_file,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_device_that_fails_to_stop_leaves_the_old_file,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(
            a_file_whose_name_cannot_be_given_gives_the_devices_back, make_folder,
            remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_begun_changes_nothing, make_folder,
                                        remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
