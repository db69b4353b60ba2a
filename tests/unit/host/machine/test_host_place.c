/* SPDX-License-Identifier: BSD-3-Clause */
/* Which device a place means, and whether it can be opened, over made-up sysfs trees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_kernel.h"

#define UUID "6f7e2c1a-0b7a-4f0e-9d0c-2f6d5a3b8c10"

static int find(const struct tree *tree, const char *place,
                struct ferry_machine_place *ret_place, struct ferry_error *error)
{
    memset(error, 0, sizeof(*error));
    return ferry_machine_find(place, tree->sysfs, tree->dev, ret_place, error);
}

static void pci_addresses_are_written_as_sysfs_writes_them(void **state)
{
    static const char *const good[][2] = {
        { "0000:01:00.0", "0000:01:00.0" },   { "01:00.0", "0000:01:00.0" },
        { "1:2.3", "0000:01:02.3" },          { "0000:AF:1f.7", "0000:af:1f.7" },
        { "10000:e1:00.0", "10000:e1:00.0" },
    };
    static const char *const bad[] = {
        "",
        ":",
        "01:00",
        "01:00.8",
        "01:20.0",
        "100:00.0",
        "01:00.0x",
        "01:00.",
        "0:0:0:0.0",
        "0000:01:000.0",
        "-1:00.0",
        " 01:00.0",
        "01:00.00",
        "01.0",
        "0000:100:00.0",
        "g1:00.0",
        "01::00.0",
        "0000:01:00.0/",
        "123456789:01:00.0",
    };
    char name[FERRY_MACHINE_NAME_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(machine_pci_address(good[i][0], name), FERRY_OK);
        assert_string_equal(name, good[i][1]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(machine_pci_address(bad[i], name), FERRY_E_ARGUMENT);
    }
}

static void a_device_is_found_by_address_node_and_folder(void **state)
{
    char node[TREE_PATH_BYTES], folder[TREE_PATH_BYTES];
    struct tree tree;
    struct ferry_error error;

    (void)state;
    tree_make(&tree);
    tree_driver(&tree, "edu-vfio-pci", "edu_vfio_pci");
    tree_pci(&tree, EDU, "edu-vfio-pci", 5);
    tree_vfio(&tree, EDU, "vfio3", 1);
    tree_path(&tree, node, "dev/vfio/devices/vfio3");
    tree_path(&tree, folder, "sys/bus/pci/devices/" EDU);
    for (unsigned i = 0; i < 4; i++) {
        const char *const place[] = { EDU, "1:0.0", node, folder };
        struct ferry_machine_place found;

        assert_int_equal(find(&tree, place[i], &found, &error), FERRY_OK);
        assert_string_equal(found.name, EDU);
        assert_string_equal(found.driver, "edu-vfio-pci");
        assert_string_equal(found.cdev, node);
        assert_int_equal(found.group, 5);
        assert_int_equal(found.is_noiommu, 0);
        assert_int_equal(ferry_machine_usable(&found, 1, &error), FERRY_OK);
        assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_OK);
    }
    tree_remove(&tree);
}

static void a_folder_made_by_hand_is_a_device(void **state)
{
    char folder[TREE_PATH_BYTES], node[TREE_PATH_BYTES];
    struct ferry_machine_place found;
    struct tree tree;
    struct ferry_error error;

    (void)state;
    tree_make(&tree);
    tree_folder(&tree, "made/acc/vfio-dev/vfio1000000007");
    tree_link(&tree, "made/acc/iommu_group", "/sys/kernel/iommu_groups/1000000007");
    assert_int_equal(find(&tree, tree_path(&tree, folder, "made/acc"), &found, &error),
                     FERRY_OK);
    assert_string_equal(found.name, "acc");
    assert_int_equal(found.group, 1000000007);
    assert_string_equal(found.cdev,
                        tree_path(&tree, node, "dev/vfio/devices/vfio1000000007"));
    assert_int_equal(ferry_machine_usable(&found, 1, &error), FERRY_OK);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_OK);
    tree_remove(&tree);
}

static void a_mediated_device_is_found_by_its_uuid(void **state)
{
    struct ferry_machine_place found;
    struct tree tree;
    struct ferry_error error;

    (void)state;
    tree_make(&tree);
    tree_driver(&tree, "mtty", "mtty");
    tree_module(&tree, "mdev", "mtty");
    tree_link(&tree, "sys/devices/mtty/" UUID "/iommu_group",
              "../../../kernel/iommu_groups/0");
    tree_link(&tree, "sys/devices/mtty/" UUID "/subsystem", "../../../bus/mdev");
    tree_link(&tree, "sys/devices/mtty/" UUID "/driver", "../../../bus/pci/drivers/mtty");
    tree_link(&tree, "sys/bus/mdev/devices/" UUID, "../../../devices/mtty/" UUID);
    assert_int_equal(find(&tree, UUID, &found, &error), FERRY_OK);
    assert_string_equal(found.name, UUID);
    assert_int_equal(found.group, 0);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_OK);
    /* What the kernel calls the group of a device that does no DMA. */
    tree_file(&tree, "sys/kernel/iommu_groups/0/name", "vfio-noiommu\n");
    assert_int_equal(find(&tree, UUID, &found, &error), FERRY_OK);
    assert_int_equal(found.is_noiommu, 0);
    tree_remove(&tree);
}

static void what_is_not_there_is_named(void **state)
{
    struct ferry_machine_place found = { .group = 77 };
    char path[TREE_PATH_BYTES];
    struct tree tree;
    struct ferry_error error;

    (void)state;
    tree_make(&tree);
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_E_NOT_FOUND);
    assert_says(&error, EDU);
    assert_says(&error, "`ferry list'");
    assert_int_equal(find(&tree, UUID, &found, &error), FERRY_E_NOT_FOUND);
    tree_path(&tree, path, "dev/vfio/devices/vfio9");
    assert_int_equal(find(&tree, path, &found, &error), FERRY_E_NOT_FOUND);
    assert_says(&error, "vfio9");
    tree_path(&tree, path, "dev/vfio/devices/");
    assert_int_equal(find(&tree, path, &found, &error), FERRY_E_ARGUMENT);
    assert_int_equal(find(&tree, "/not/there", &found, &error), FERRY_E_NOT_FOUND);
    assert_int_equal(find(&tree, tree.run, &found, &error), FERRY_E_ARGUMENT);
    assert_says(&error, "vfio-dev");
    assert_int_equal(find(&tree, "/", &found, &error), FERRY_E_ARGUMENT);
    assert_int_equal(find(&tree, "", &found, &error), FERRY_E_ARGUMENT);
    assert_int_equal(find(&tree, "eth0", &found, &error), FERRY_E_ARGUMENT);
    assert_says(&error, "eth0");
    /* Written on success only. */
    assert_int_equal(found.group, 77);
    tree_remove(&tree);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct ferry_machine_place found;
    char path[TREE_PATH_BYTES], name[300];
    struct tree tree;
    struct ferry_error error;

    (void)state;
    tree_make(&tree);
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    tree_path(&tree, path, "made/%.100s/%.100s/%.100s", name, name, name);
    tree_folder(&tree, path + strlen(tree.root) + 1);
    assert_int_equal(find(&tree, path, &found, &error), FERRY_E_LIMIT);
    /* The last part of a path is a name, of 63 bytes. */
    tree_path(&tree, path, "made/%.100s", name);
    strcat(path, "/iommu_group");
    tree_link(&tree, path + strlen(tree.root) + 1, "../x/4");
    *strrchr(path, '/') = '\0';
    assert_int_equal(find(&tree, path, &found, &error), FERRY_E_LIMIT);
    tree_pci(&tree, EDU, NULL, 5);
    tree_set_driver(&tree, EDU, name + sizeof(name) - 1 - 64);
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_E_LIMIT);
    assert_says(&error, "driver");
    tree_set_driver(&tree, EDU, name + sizeof(name) - 1 - 63);
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
    assert_int_equal(strlen(found.driver), 63);
    assert_int_equal(ferry_machine_find(EDU, name, tree.dev, &found, &error),
                     FERRY_E_LIMIT);
    tree_remove(&tree);
}

static void a_group_whose_name_is_no_number_is_none(void **state)
{
    static const char *const target[] = { "x/", "x/4a", "x/4294967295", "x/-1",
                                          "x/18446744073709551617" };
    struct ferry_machine_place found;
    struct tree tree;
    struct ferry_error error;

    (void)state;
    tree_make(&tree);
    tree_pci(&tree, EDU, NULL, TREE_NO_GROUP);
    for (size_t i = 0; i < sizeof(target) / sizeof(target[0]); i++) {
        tree_link(&tree, "sys/devices/pci0000:00/" EDU "/iommu_group", target[i]);
        assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
        assert_int_equal(found.group, FERRY_MACHINE_NO_GROUP);
        assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_E_UNSUPPORTED);
        assert_says(&error, "intel_iommu=on");
    }
    tree_link(&tree, "sys/devices/pci0000:00/" EDU "/iommu_group", "x/4294967294");
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
    assert_int_equal(found.group, 4294967294);
    tree_remove(&tree);
}

static void each_reason_names_what_would_help(void **state)
{
    struct ferry_machine_place found;
    struct tree tree;
    struct ferry_error error;

    (void)state;
    tree_make(&tree);
    tree_driver(&tree, "e1000e", "e1000e");
    tree_driver(&tree, "vfio-pci", "vfio_pci");
    tree_pci(&tree, EDU, NULL, 5);
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, EDU " has no driver: `ferry bind " EDU "'");
    tree_set_driver(&tree, EDU, "e1000e");
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "the driver e1000e");
    assert_says(&error, "`ferry bind " EDU "'");
    /* Linux before 6.1 makes no vfio-dev. */
    tree_set_driver(&tree, EDU, "vfio-pci");
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_OK);
    assert_int_equal(ferry_machine_usable(&found, 1, &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "use vfio-group:" EDU);
    /* Debian's kernels make it without a character device. */
    tree_vfio(&tree, EDU, "vfio0", 0);
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
    assert_string_equal(found.cdev, "");
    assert_int_equal(ferry_machine_usable(&found, 1, &error), FERRY_E_UNSUPPORTED);
    tree_file(&tree, "sys/kernel/iommu_groups/5/name", "vfio-noiommu\n");
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
    assert_int_equal(found.is_noiommu, 1);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "no-IOMMU");
    tree_remove(&tree);
}

static void a_driver_whose_module_uses_vfio_is_one_of_vfio(void **state)
{
    struct ferry_machine_place found;
    struct tree tree;
    struct ferry_error error;

    (void)state;
    tree_make(&tree);
    tree_driver(&tree, "exotic", "exotic");
    tree_pci(&tree, EDU, "exotic", 5);
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_E_UNSUPPORTED);
    tree_module(&tree, "vfio_pci_core", "exotic");
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_OK);
    tree_remove(&tree);
}

static void others_of_the_group_are_named(void **state)
{
    struct ferry_machine_place found;
    struct tree tree;
    struct ferry_error error;

    (void)state;
    tree_make(&tree);
    tree_driver(&tree, "vfio-pci", "vfio_pci");
    tree_driver(&tree, "snd_hda_intel", "snd_hda_intel");
    tree_driver(&tree, "pcieport", NULL);
    tree_pci(&tree, EDU, "vfio-pci", 5);
    tree_pci(&tree, "0000:00:1c.0", "pcieport", 5);
    tree_pci(&tree, "0000:01:00.3", NULL, 5);
    assert_int_equal(find(&tree, EDU, &found, &error), FERRY_OK);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_OK);
    tree_pci(&tree, "0000:01:00.2", "snd_hda_intel", 5);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "0000:01:00.2, of the same IOMMU group 5");
    tree_pci(&tree, "0000:01:00.1", "snd_hda_intel", 5);
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_E_UNSUPPORTED);
    assert_says(&error, "0000:01:00.1 and 1 more");
    assert_says(&error, "snd_hda_intel");
    assert_says(&error, "`ferry bind 0000:01:00.1'");
    tree_set_driver(&tree, "0000:01:00.1", "vfio-pci");
    tree_set_driver(&tree, "0000:01:00.2", "vfio-pci");
    assert_int_equal(ferry_machine_usable(&found, 0, &error), FERRY_OK);
    tree_remove(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pci_addresses_are_written_as_sysfs_writes_them),
        cmocka_unit_test(a_device_is_found_by_address_node_and_folder),
        cmocka_unit_test(a_folder_made_by_hand_is_a_device),
        cmocka_unit_test(a_mediated_device_is_found_by_its_uuid),
        cmocka_unit_test(what_is_not_there_is_named),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_group_whose_name_is_no_number_is_none),
        cmocka_unit_test(each_reason_names_what_would_help),
        cmocka_unit_test(a_driver_whose_module_uses_vfio_is_one_of_vfio),
        cmocka_unit_test(others_of_the_group_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
