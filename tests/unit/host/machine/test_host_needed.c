/* SPDX-License-Identifier: BSD-3-Clause */
/* What the machine needs, and what a process has, is not taken away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fake_kernel.h"

#define FOLDER "sys/devices/pci0000:00/" EDU
/* Lies beside it, with a name that begins alike. */
#define OTHER "sys/devices/pci0000:00/" EDU "0"

static void refused(struct fake_kernel *fake, const char *words)
{
    struct ferry_error error;

    assert_int_equal(fake_bind(fake, "auto", &error), FERRY_E_BUSY);
    assert_says(&error, EDU);
    assert_says(&error, words);
    assert_int_equal(fake->writes, 0);
    assert_int_equal(fake->loads, 0);
    fake_expect(fake, "e1000e", "", 0);
}

static void taken(struct fake_kernel *fake)
{
    struct ferry_error error;

    assert_int_equal(fake_bind(fake, "auto", &error), FERRY_OK);
    assert_int_equal(fake_unbind(fake, &error), FERRY_OK);
    fake->writes = 0;
}

/* An interface or a disk, as a link of its class to below a device's folder. */
static void hang(struct fake_kernel *fake, const char *class_name, const char *folder,
                 const char *name)
{
    char path[256], target[300];

    snprintf(path, sizeof(path), "%s/%s/%s", folder, class_name, name);
    tree_folder(&fake->tree, path);
    snprintf(target, sizeof(target), "../../../%s", path);
    snprintf(path, sizeof(path), "sys/class/%s/%s", class_name, name);
    tree_link(&fake->tree, path, target);
}

static void a_network_interface_that_is_up_keeps_its_device(void **state)
{
    struct fake_kernel fake;

    (void)state;
    fake_make(&fake);
    hang(&fake, "net", FOLDER "/virtio1", "eth7");
    hang(&fake, "net", OTHER, "eth8");
    tree_file(&fake.tree, FOLDER "/virtio1/net/eth7/flags", "0x1002\n");
    tree_file(&fake.tree, OTHER "/net/eth8/flags", "0x1003\n");
    taken(&fake);
    tree_file(&fake.tree, FOLDER "/virtio1/net/eth7/flags", "0x1003\n");
    refused(&fake, "`ip link set eth7 down'");
    fake.env.force = 1;
    taken(&fake);
    fake_remove(&fake);
}

static void a_disk_in_use_keeps_its_controller(void **state)
{
    static const struct {
        const char *file, *text, *words;
    } row[] = {
        { "proc/self/mountinfo", "30 1 8:2 / /mnt rw shared:1 - ext4 /dev/root rw\n",
          "sda2 is mounted on /mnt" },
        { "proc/self/mountinfo", "30 1 0:44 / /data rw - btrfs /dev/sda2 rw\n",
          "sda2 is mounted on /data" },
        { "proc/swaps", "Filename Type Size Used Priority\n/dev/sda2  partition 9 0 -2\n",
          "sda2 has swap" },
        { FOLDER "/ata1/block/sda2/holders/dm-3", "", "sda2 is part of dm-3" },
    };
    static const struct {
        const char *file, *text;
    } other[] = {
        { "proc/self/mountinfo", "30 1 8:20 / / rw - ext4 /dev/sda22 rw\n1 2\n\n31 1 8:3 "
                                 "/ /x rw - ext4 sda2\n" },
        { "proc/swaps",
          "/dev/sda22 partition 9 0 -2\n/dev/sda\n/swap/dev/sda2 file 1\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct fake_kernel fake;

        fake_make(&fake);
        hang(&fake, "block", FOLDER "/ata1", "sda2");
        tree_file(&fake.tree, FOLDER "/ata1/block/sda2/dev", "8:2\n");
        tree_folder(&fake.tree, FOLDER "/ata1/block/sda2/holders");
        taken(&fake);
        for (size_t j = 0; j < sizeof(other) / sizeof(other[0]); j++) {
            tree_file(&fake.tree, other[j].file, other[j].text);
        }
        taken(&fake);
        tree_file(&fake.tree, row[i].file, row[i].text);
        refused(&fake, row[i].words);
        fake.env.force = 1;
        taken(&fake);
        fake_remove(&fake);
    }
}

static void a_disk_that_something_else_holds_keeps_its_controller(void **state)
{
    struct fake_kernel fake;

    (void)state;
    fake_make(&fake);
    hang(&fake, "block", FOLDER "/ata1", "sda2");
    fake.held = "sda";
    taken(&fake);
    fake.held = "sda2";
    refused(&fake, "its disk sda2 is in use");
    fake.env.force = 1;
    taken(&fake);
    fake_remove(&fake);
}

static void a_disk_with_several_paths_keeps_all_of_its_controllers(void **state)
{
    struct fake_kernel fake;

    (void)state;
    fake_make(&fake);
    hang(&fake, "block", "sys/devices/virtual/nvme-subsys0", "nvme0n1");
    tree_file(&fake.tree, "sys/devices/virtual/nvme-subsys0/block/nvme0n1/dev", "259:0");
    tree_file(&fake.tree, "proc/self/mountinfo",
              "30 1 259:0 / /mnt rw - ext4 /dev/x rw\n");
    tree_link(&fake.tree, "sys/class/nvme-subsystem/nvme-subsys0",
              "../../devices/virtual/nvme-subsys0");
    tree_folder(&fake.tree, OTHER "/nvme/nvme0");
    tree_link(&fake.tree, "sys/devices/virtual/nvme-subsys0/nvme0",
              "../../../../" OTHER "/nvme/nvme0");
    taken(&fake);
    tree_folder(&fake.tree, FOLDER "/nvme/nvme1");
    tree_link(&fake.tree, "sys/devices/virtual/nvme-subsys0/nvme1",
              "../../../../" FOLDER "/nvme/nvme1");
    refused(&fake, "nvme0n1 is mounted on /mnt");
    fake_remove(&fake);
}

static void a_device_with_virtual_functions_is_kept(void **state)
{
    struct fake_kernel fake;
    struct ferry_error error;

    (void)state;
    fake_make(&fake);
    tree_file(&fake.tree, FOLDER "/sriov_numvfs", "0\n");
    taken(&fake);
    tree_file(&fake.tree, FOLDER "/sriov_numvfs", "4\n");
    refused(&fake, "its virtual functions (4)");
    fake.env.force = 1;
    taken(&fake);
    /* One of VFIO's may have them too. */
    assert_int_equal(fake_bind(&fake, "auto", &error), FERRY_OK);
    fake.env.force = 0;
    assert_int_equal(fake_unbind(&fake, &error), FERRY_E_BUSY);
    assert_says(&error, "its virtual functions (4)");
    fake_expect(&fake, "vfio-pci", "vfio-pci", 1);
    fake_remove(&fake);
}

static void what_a_process_has_open_is_never_taken(void **state)
{
    static const char *const node[] = { "dev/vfio/5", "dev/vfio/devices/vfio0" };

    (void)state;
    for (size_t i = 0; i < sizeof(node) / sizeof(node[0]); i++) {
        struct fake_kernel fake;
        struct ferry_error error;
        char path[TREE_PATH_BYTES];

        fake_make(&fake);
        fake.env.force = 1;
        assert_int_equal(fake_bind(&fake, "vfio-pci", &error), FERRY_OK);
        tree_vfio(&fake.tree, EDU, "vfio0", 1);
        tree_driver(&fake.tree, "x-vfio", NULL);
        /* Not a process, and one that has something else. */
        tree_link(&fake.tree, "proc/self/fd/3",
                  tree_path(&fake.tree, path, "%s", node[i]));
        tree_link(&fake.tree, "proc/41/fd/3", tree_path(&fake.tree, path, "dev/vfio/55"));
        fake.writes = 0;
        tree_file(&fake.tree, "proc/42/comm", "qemu-system-x86\n");
        tree_link(&fake.tree, "proc/42/fd/17",
                  tree_path(&fake.tree, path, "%s", node[i]));
        assert_int_equal(fake_bind(&fake, "x-vfio", &error), FERRY_E_BUSY);
        assert_says(&error, "process 42 (qemu-system-x86)");
        assert_int_equal(fake_unbind(&fake, &error), FERRY_E_BUSY);
        assert_says(&error, "process 42 (qemu-system-x86)");
        assert_int_equal(fake.writes, 0);
        tree_drop(&fake.tree, "proc/42/fd/17");
        assert_int_equal(fake_bind(&fake, "x-vfio", &error), FERRY_OK);
        fake_remove(&fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_interface_that_is_up_keeps_its_device),
        cmocka_unit_test(a_disk_in_use_keeps_its_controller),
        cmocka_unit_test(a_disk_that_something_else_holds_keeps_its_controller),
        cmocka_unit_test(a_disk_with_several_paths_keeps_all_of_its_controllers),
        cmocka_unit_test(a_device_with_virtual_functions_is_kept),
        cmocka_unit_test(what_a_process_has_open_is_never_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
