/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices go to VFIO's drivers and back, on a made-up machine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_kernel.h"

#define ALIASES                                                                          \
    "alias pci:v00001234d000011E8sv*sd*bc*sc*i* e1000e\n"                                \
    "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"                                       \
    "alias vfio_pci:v00001234d000011E8sv*sd*bc*sc*i* edu_vfio_pci\n"
#define NOBODY 65534u

static void a_device_goes_to_its_variant_driver_and_back(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    tree_file(&fake.tree, "modules/modules.alias", ALIASES);
    tree_driver(&fake.tree, "edu-vfio-pci", "edu_vfio_pci");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    fake_expect(&fake, "edu-vfio-pci", "edu-vfio-pci", 1);
    assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
    fake_expect(&fake, "e1000e", "", 0);
    assert_int_equal(fake.loads, 0);
    fake_remove(&fake);
}

static void a_device_without_a_variant_goes_to_vfio_pci(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    assert_int_equal(fake_bind(&fake, NULL, &error), FERRY_OK);
    fake_expect(&fake, "vfio-pci", "vfio-pci", 1);
    assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
    tree_file(&fake.tree, "modules/modules.alias",
              "alias vfio_pci:v00008086d*sv*sd*bc*sc*i* other_vfio_pci\n");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    fake_expect(&fake, "vfio-pci", "vfio-pci", 1);
    fake_remove(&fake);
}

static void a_device_without_driver_has_none_again_after_unbind(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    tree_set_driver(&fake.tree, EDU, NULL);
    tree_file(&fake.tree, "sys/devices/pci0000:00/" EDU "/driver_override", "pci-stub\n");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    fake_expect(&fake, "vfio-pci", "vfio-pci", 1);
    assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
    fake_expect(&fake, "", "pci-stub", 0);
    fake_remove(&fake);
}

static void a_driver_that_is_not_there_is_loaded(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    tree_file(&fake.tree, "modules/modules.alias", ALIASES);
    fake.module = "edu_vfio_pci";
    /* A driver may be called as it likes. */
    fake.brings = "vfio-of-edu";
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    assert_int_equal(fake.loads, 1);
    assert_string_equal(fake.asked, "edu_vfio_pci");
    fake_expect(&fake, "vfio-of-edu", "vfio-of-edu", 1);
    /* It is known by its module's name from now on. */
    assert_int_equal(fake_bind(&fake, "edu-vfio-pci", &error), FERRY_OK);
    assert_int_equal(fake.loads, 1);
    fake_remove(&fake);
}

static void a_driver_that_cannot_be_loaded_is_named_and_nothing_is_touched(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    fake.says = "modprobe: FATAL: Module mlx5_vfio_pci not found";
    assert_int_equal(fake_bind(&fake, "mlx5_vfio_pci", &error), FERRY_E_NOT_FOUND);
    assert_says(&error, "`modprobe mlx5_vfio_pci'");
    assert_says(&error, "FATAL: Module mlx5_vfio_pci not found");
    fake.says = NULL;
    assert_int_equal(fake_bind(&fake, "mlx5_vfio_pci", &error), FERRY_E_NOT_FOUND);
    assert_says(&error, "no program modprobe");
    assert_int_equal(fake.writes, 0);
    fake_expect(&fake, "e1000e", "", 0);
    fake_remove(&fake);
}

static void a_device_that_has_the_driver_is_left_alone(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    tree_set_driver(&fake.tree, EDU, "vfio-pci");
    /* Also when somebody uses it. */
    tree_vfio(&fake.tree, EDU, "vfio0", 1);
    tree_link(&fake.tree, "proc/42/fd/7", "/dev/vfio/5");
    assert_int_equal(fake_bind(&fake, "vfio_pci", &error), FERRY_OK);
    assert_int_equal(fake.writes, 0);
    fake_expect(&fake, "vfio-pci", "", 0);
    fake_remove(&fake);
}

/* Whatever of the kernel's answers is a no, or a yes that does nothing. */
static void every_step_that_fails_is_undone(void **state)
{
    static const int err[] = { EPERM, ENODEV, EBUSY, EINVAL, 0 };
    const unsigned steps = 3; /* override, unbind, bind */

    (void)state;
    for (size_t i = 0; i < sizeof(err) / sizeof(err[0]); i++) {
        for (unsigned step = 1; step <= steps; step++) {
            struct fake_kernel fake;
            struct ferry_error error;

            /* An override that is not there may let the driver take it all the same. */
            if (err[i] == 0 && step == 1) {
                continue;
            }
            fake_make(&fake);
            tree_file(&fake.tree, "sys/devices/pci0000:00/" EDU "/driver_override",
                      "e1000e\n");
            fake.fail = 1u << step;
            fake.err = err[i];
            assert_true(fake_bind(&fake, "auto", &error) < 0);
            assert_int_equal(error.os_errno, err[i]);
            fake_expect(&fake, "e1000e", "e1000e", 0);
            assert_says(&error, "it is back at e1000e");
            fake_remove(&fake);
        }
    }
}

static void a_device_that_does_not_come_back_can_be_unbound_later(void **state)
{
    /* The new driver does not take it, and then the old one does not, or its override
     * cannot be taken away. */
    static const struct {
        uint32_t fail;
        const char *override;
    } row[] = { { 1u << 3 | 1u << 5, "" }, { 1u << 3 | 1u << 4, "vfio-pci" } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fake_kernel fake;
        struct ferry_error error;

        fake_make(&fake);
        fake.fail = row[i].fail;
        fake.err = EINVAL;
        assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_E_DEVICE);
        assert_says(&error, "did not take " EDU);
        assert_says(&error, "`ferry unbind " EDU "'");
        fake_expect(&fake, "", row[i].override, 1);
        assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
        fake_expect(&fake, "e1000e", "", 0);
        fake_remove(&fake);
    }
}

static void an_unbind_that_fails_can_be_repeated(void **state)
{
    const unsigned steps = 3; /* override, unbind, bind */

    (void)state;
    for (unsigned step = 1; step <= steps; step++) {
        struct fake_kernel fake;
        struct ferry_error error;

        fake_make(&fake);
        assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
        fake.fail = 1u << (fake.writes + step);
        fake.err = EBUSY;
        assert_true(fake_unbind(&fake, &error) < 0);
        assert_int_equal(error.os_errno, EBUSY);
        assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
        fake_expect(&fake, "e1000e", "", 0);
        fake_remove(&fake);
    }
}

static void a_former_driver_is_loaded_again(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    tree_drop(&fake.tree, "sys/bus/pci/drivers/e1000e/bind");
    tree_drop(&fake.tree, "sys/bus/pci/drivers/e1000e/unbind");
    tree_drop(&fake.tree, "sys/bus/pci/drivers/e1000e/module");
    tree_drop(&fake.tree, "sys/bus/pci/drivers/e1000e");
    tree_drop(&fake.tree, "sys/module/e1000e/drivers/pci:e1000e");
    assert_int_equal(fake_unbind(&fake, &error), FERRY_E_NOT_FOUND);
    fake_expect(&fake, "vfio-pci", "vfio-pci", 1);
    fake.module = fake.brings = "e1000e";
    assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
    fake_expect(&fake, "e1000e", "", 0);
    fake_remove(&fake);
}

static void an_override_that_would_keep_the_driver_away_comes_back_too(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    tree_file(&fake.tree, "sys/devices/pci0000:00/" EDU "/driver_override", "igb\n");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
    fake_expect(&fake, "e1000e", "igb", 0);
    fake_remove(&fake);
}

static void the_first_driver_is_remembered_over_a_second_bind(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    tree_driver(&fake.tree, "edu-vfio-pci", "edu_vfio_pci");
    assert_int_equal(fake_bind(&fake, "vfio-pci", &error), FERRY_OK);
    assert_int_equal(fake_bind(&fake, "edu-vfio-pci", &error), FERRY_OK);
    fake_expect(&fake, "edu-vfio-pci", "edu-vfio-pci", 1);
    /* One that fails goes back to the second, and keeps what the first was. */
    tree_driver(&fake.tree, "x-vfio", NULL);
    fake.fail = 1u << (fake.writes + 3);
    fake.err = EIO;
    assert_int_equal(fake_bind(&fake, "x-vfio", &error), FERRY_E_DEVICE);
    fake_expect(&fake, "edu-vfio-pci", "edu-vfio-pci", 1);
    assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
    fake_expect(&fake, "e1000e", "", 0);
    fake_remove(&fake);
}

static void what_somebody_else_bound_meanwhile_is_what_was_before(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    tree_driver(&fake.tree, "igb", "igb");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    tree_set_driver(&fake.tree, EDU, "igb");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
    fake_expect(&fake, "igb", "vfio-pci", 0);
    fake_remove(&fake);
}

/* Killed before the driver let go, and after. */
static void a_bind_that_was_killed_is_begun_anew_and_undone(void **state)
{
    static const char *const left[] = { "e1000e", NULL };

    (void)state;
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        struct fake_kernel fake;
        struct ferry_error error;

        fake_make(&fake);
        assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
        fake_expect(&fake, "vfio-pci", "vfio-pci", 1);
        tree_set_driver(&fake.tree, EDU, left[i]);
        assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
        fake_expect(&fake, "vfio-pci", "vfio-pci", 1);
        assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
        fake_expect(&fake, "e1000e", "", 0);
        fake_remove(&fake);
    }
}

static void what_ferry_did_not_bind_is_unbound_by_force_only(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    tree_set_driver(&fake.tree, EDU, "vfio-pci");
    assert_int_equal(fake_unbind(&fake, &error), FERRY_E_NOT_FOUND);
    assert_says(&error, "`ferry unbind --force " EDU "'");
    assert_int_equal(fake.writes, 0);
    fake.env.force = 1;
    fake.chosen = "e1000e";
    assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
    fake_expect(&fake, "e1000e", "", 0);
    tree_set_driver(&fake.tree, EDU, "vfio-pci");
    fake.chosen = NULL;
    assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
    fake_expect(&fake, "", "", 0);
    fake_remove(&fake);
}

/* After a new start of the machine, say: nothing is known, and all is as it should be. */
static void what_vfio_does_not_have_is_not_taken_from_its_driver_by_force(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    for (int force = 0; force < 2; force++) {
        fake.env.force = force;
        assert_int_equal(fake_unbind(&fake, &error), FERRY_E_NOT_FOUND);
        assert_says(&error, "belongs to the driver e1000e");
        fake_expect(&fake, "e1000e", "", 0);
        assert_int_equal(fake.writes, 0);
    }
    fake_remove(&fake);
}

static void a_record_of_another_device_does_not_count(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    tree_file(&fake.tree, "sys/devices/pci0000:00/" EDU "/modalias",
              "pci:v00008086d00001533sv*sd*bc02sc00i00\n");
    assert_int_equal(fake_unbind(&fake, &error), FERRY_E_NOT_FOUND);
    fake_expect(&fake, "vfio-pci", "vfio-pci", 0);
    fake_remove(&fake);
}

static void a_damaged_record_is_not_used(void **state)
{
    static const char *const record[] = {
        "",
        "\n",
        "driver=e1000e\n",
        "driver=../../x\noverride=\nbound=vfio-pci\nmodalias=\n",
        "driver=e1000e\noverride=\nbound=vfio-pci\nmodalias=\nmore=1\n",
        "driver=e1000eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(record) / sizeof(record[0]); i++) {
        struct fake_kernel fake;
        struct ferry_error error;

        fake_make(&fake);
        tree_set_driver(&fake.tree, EDU, "vfio-pci");
        tree_file(&fake.tree, "run/" EDU, record[i]);
        assert_int_equal(fake_unbind(&fake, &error), FERRY_E_PROTOCOL);
        assert_says(&error, "run/" EDU);
        assert_int_equal(fake.writes, 0);
        /* A bind begins anew. */
        tree_set_driver(&fake.tree, EDU, "e1000e");
        assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
        assert_int_equal(fake_unbind(&fake, &error), FERRY_OK);
        fake_expect(&fake, "e1000e", "", 0);
        fake_remove(&fake);
    }
}

static void without_a_place_for_the_record_nothing_is_touched(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;
    char path[TREE_PATH_BYTES];

    (void)state;
    fake_make(&fake);
    tree_file(&fake.tree, "x/file", "");
    fake.env.run = tree_path(&fake.tree, path, "x/file/run");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_E_IO);
    assert_says(&error, "x/file/run");
    assert_int_equal(fake.writes, 0);
    fake_expect(&fake, "e1000e", "", 0);
    fake_remove(&fake);
}

static void a_device_that_is_pulled_out_is_gone(void **state)
{
    (void)state;
    for (unsigned at = 1; at <= 3; at++) {
        struct fake_kernel fake;
        struct ferry_error error;

        fake_make(&fake);
        fake.pull_at = at;
        assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_E_NOT_FOUND);
        assert_says(&error, "is gone");
        fake_remove(&fake);
    }
}

static void what_vfio_does_not_take_is_refused(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    assert_int_equal(machine_bind(&fake.env, "eth0", "auto", NULL, &error),
                     FERRY_E_ARGUMENT);
    assert_int_equal(machine_bind(&fake.env, "6f7e2c1a-0b7a-4f0e-9d0c-2f6d5a3b8c10",
                                  "auto", NULL, &error),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(machine_bind(&fake.env, "0000:07:00.0", "auto", NULL, &error),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(fake_bind(&fake, "e1000e", &error), FERRY_E_ARGUMENT);
    assert_says(&error, "none of VFIO's drivers");
    assert_int_equal(fake_bind(&fake, "../vfio-pci", &error), FERRY_E_ARGUMENT);
    assert_int_equal(fake_bind(&fake, "-r", &error), FERRY_E_ARGUMENT);
    assert_int_equal(fake_bind(&fake, "", &error), FERRY_E_ARGUMENT);
    tree_file(&fake.tree, "sys/devices/pci0000:00/" EDU "/class", "0x060400\n");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "bridge");
    tree_file(&fake.tree, "sys/devices/pci0000:00/" EDU "/class", "0x060000\n");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "bridge");
    tree_file(&fake.tree, "sys/devices/pci0000:00/" EDU "/class", "0x068000\n");
    tree_file(&fake.tree, "sys/kernel/iommu_groups/5/name", "vfio-noiommu\n");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "intel_iommu=on");
    tree_drop(&fake.tree, "sys/devices/pci0000:00/" EDU "/iommu_group");
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "intel_iommu=on");
    assert_int_equal(fake.writes, 0);
    assert_int_equal(fake.loads, 0);
    fake_expect(&fake, "e1000e", "", 0);
    fake_remove(&fake);
}

static void who_may_not_write_is_told_so_before_anything_is_touched(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;
    const uid_t me = geteuid();

    (void)state;
    fake_make(&fake);
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    fake.writes = 0;
    tree_driver(&fake.tree, "x-vfio", NULL);
    tree_protect(&fake.tree, "sys/devices/pci0000:00/" EDU "/driver_override");
    assert_true(me != 0 || seteuid(NOBODY) == 0);
    assert_int_equal(fake_bind(&fake, "x-vfio", &error), FERRY_E_PERMISSION);
    assert_says(&error, "`sudo ferry bind " EDU "'");
    assert_int_equal(seteuid(me), 0);
    assert_int_equal(fake.writes, 0);
    tree_drop(&fake.tree, "sys/devices/pci0000:00/" EDU "/driver_override");
    assert_int_equal(fake_bind(&fake, "x-vfio", &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "3.16");
    fake_remove(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_goes_to_its_variant_driver_and_back),
        cmocka_unit_test(a_device_without_a_variant_goes_to_vfio_pci),
        cmocka_unit_test(a_device_without_driver_has_none_again_after_unbind),
        cmocka_unit_test(a_driver_that_is_not_there_is_loaded),
        cmocka_unit_test(a_driver_that_cannot_be_loaded_is_named_and_nothing_is_touched),
        cmocka_unit_test(a_device_that_has_the_driver_is_left_alone),
        cmocka_unit_test(every_step_that_fails_is_undone),
        cmocka_unit_test(a_device_that_does_not_come_back_can_be_unbound_later),
        cmocka_unit_test(an_unbind_that_fails_can_be_repeated),
        cmocka_unit_test(a_former_driver_is_loaded_again),
        cmocka_unit_test(an_override_that_would_keep_the_driver_away_comes_back_too),
        cmocka_unit_test(the_first_driver_is_remembered_over_a_second_bind),
        cmocka_unit_test(what_somebody_else_bound_meanwhile_is_what_was_before),
        cmocka_unit_test(what_ferry_did_not_bind_is_unbound_by_force_only),
        cmocka_unit_test(what_vfio_does_not_have_is_not_taken_from_its_driver_by_force),
        cmocka_unit_test(a_bind_that_was_killed_is_begun_anew_and_undone),
        cmocka_unit_test(a_record_of_another_device_does_not_count),
        cmocka_unit_test(a_damaged_record_is_not_used),
        cmocka_unit_test(without_a_place_for_the_record_nothing_is_touched),
        cmocka_unit_test(a_device_that_is_pulled_out_is_gone),
        cmocka_unit_test(what_vfio_does_not_take_is_refused),
        cmocka_unit_test(who_may_not_write_is_told_so_before_anything_is_touched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
