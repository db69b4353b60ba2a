/* SPDX-License-Identifier: BSD-3-Clause */
#define _XOPEN_SOURCE 700
#include "tree.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

const char *tree_path(const struct tree *tree, char *ret_path, const char *format, ...)
{
    va_list list;
    int length = snprintf(ret_path, TREE_PATH_BYTES, "%s/", tree->root);

    va_start(list, format);
    length +=
        vsnprintf(ret_path + length, (size_t)(TREE_PATH_BYTES - length), format, list);
    va_end(list);
    assert_true(length < TREE_PATH_BYTES);
    return ret_path;
}

void tree_folder(const struct tree *tree, const char *path)
{
    char whole[TREE_PATH_BYTES];

    tree_path(tree, whole, "%s", path);
    for (char *at = whole + strlen(tree->root) + 1; at != NULL;) {
        at = strchr(at, '/');
        if (at != NULL) {
            *at = '\0';
        }
        if (mkdir(whole, 0755) < 0) {
            assert_int_equal(access(whole, F_OK), 0);
        }
        if (at != NULL) {
            *at++ = '/';
        }
    }
}

static void make_parent(const struct tree *tree, const char *path)
{
    char parent[TREE_PATH_BYTES];

    snprintf(parent, sizeof(parent), "%s", path);
    *strrchr(parent, '/') = '\0';
    tree_folder(tree, parent);
}

void tree_file(const struct tree *tree, const char *path, const char *text)
{
    char whole[TREE_PATH_BYTES];
    FILE *file;

    make_parent(tree, path);
    file = fopen(tree_path(tree, whole, "%s", path), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void tree_link(const struct tree *tree, const char *path, const char *target)
{
    char whole[TREE_PATH_BYTES];

    make_parent(tree, path);
    tree_path(tree, whole, "%s", path);
    unlink(whole);
    assert_int_equal(symlink(target, whole), 0);
}

void tree_drop(const struct tree *tree, const char *path)
{
    char whole[TREE_PATH_BYTES];

    assert_int_equal(remove(tree_path(tree, whole, "%s", path)), 0);
}

void tree_protect(const struct tree *tree, const char *path)
{
    char whole[TREE_PATH_BYTES];

    tree_path(tree, whole, "%s", path);
    assert_int_equal(chmod(whole, 0444), 0);
    while (strlen(whole) > strlen(tree->root)) {
        *strrchr(whole, '/') = '\0';
        assert_int_equal(chmod(whole, 0755), 0);
    }
}

void tree_make(struct tree *tree)
{
    snprintf(tree->root, sizeof(tree->root), "/tmp/ferry-machine-XXXXXX");
    assert_non_null(mkdtemp(tree->root));
    snprintf(tree->sysfs, sizeof(tree->sysfs), "%s/sys", tree->root);
    snprintf(tree->dev, sizeof(tree->dev), "%s/dev", tree->root);
    snprintf(tree->modules, sizeof(tree->modules), "%s/modules", tree->root);
    snprintf(tree->run, sizeof(tree->run), "%s/run", tree->root);
    snprintf(tree->proc, sizeof(tree->proc), "%s/proc", tree->root);
    tree_folder(tree, "sys/bus/pci/devices");
    tree_file(tree, "sys/bus/pci/drivers_probe", "");
    tree_folder(tree, "dev/vfio/devices");
    tree_folder(tree, "modules");
    tree_folder(tree, "run");
    tree_folder(tree, "proc");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void tree_remove(struct tree *tree)
{
    nftw(tree->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void tree_module(const struct tree *tree, const char *name, const char *holder)
{
    char path[256];

    snprintf(path, sizeof(path), "sys/module/%s/holders", name);
    tree_folder(tree, path);
    if (holder != NULL) {
        snprintf(path, sizeof(path), "sys/module/%s/holders/%s", name, holder);
        tree_link(tree, path, "../..");
    }
}

void tree_driver(const struct tree *tree, const char *name, const char *module)
{
    char path[256], target[256];

    snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s/bind", name);
    tree_file(tree, path, "");
    snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s/unbind", name);
    tree_file(tree, path, "");
    if (module != NULL) {
        tree_module(tree, module, NULL);
        snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s/module", name);
        snprintf(target, sizeof(target), "../../../../module/%s", module);
        tree_link(tree, path, target);
        snprintf(path, sizeof(path), "sys/module/%s/drivers/pci:%s", module, name);
        snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", name);
        tree_link(tree, path, target);
    }
}

void tree_set_driver(const struct tree *tree, const char *address, const char *driver)
{
    char path[256], target[256], whole[TREE_PATH_BYTES];

    snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/driver", address);
    if (driver == NULL) {
        (void)unlink(tree_path(tree, whole, "%s", path));
        return;
    }
    snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver);
    tree_link(tree, path, target);
}

void tree_pci(const struct tree *tree, const char *address, const char *driver, int group)
{
    static const char *const file[][2] = {
        { "vendor", "0x1234\n" },
        { "device", "0x11e8\n" },
        { "subsystem_vendor", "0x1af4\n" },
        { "subsystem_device", "0x1100\n" },
        { "class", "0x00ff00\n" },
        { "modalias", "pci:v00001234d000011E8sv00001AF4sd00001100bc00scFFi00\n" },
        { "driver_override", "(null)\n" },
        { "reset", "" },
    };
    char path[256], target[256];

    for (size_t i = 0; i < sizeof(file) / sizeof(file[0]); i++) {
        snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/%s", address, file[i][0]);
        tree_file(tree, path, file[i][1]);
    }
    snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/subsystem", address);
    tree_link(tree, path, "../../../bus/pci");
    snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", address);
    snprintf(target, sizeof(target), "../../../devices/pci0000:00/%s", address);
    tree_link(tree, path, target);
    if (group != TREE_NO_GROUP) {
        snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/iommu_group", address);
        snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", group);
        tree_link(tree, path, target);
        snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/devices/%s", group,
                 address);
        snprintf(target, sizeof(target), "../../../../devices/pci0000:00/%s", address);
        tree_link(tree, path, target);
    }
    if (driver != NULL) {
        tree_set_driver(tree, address, driver);
    }
}

void tree_vfio(const struct tree *tree, const char *address, const char *vfio,
               int has_cdev)
{
    char path[256], target[256];

    snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/vfio-dev/%s", address, vfio);
    tree_folder(tree, path);
    if (has_cdev) {
        snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/vfio-dev/%s/dev", address,
                 vfio);
        tree_file(tree, path, "511:0\n");
    }
    snprintf(path, sizeof(path), "sys/devices/pci0000:00/%s/vfio-dev/%s/device", address,
             vfio);
    tree_link(tree, path, "../..");
    snprintf(path, sizeof(path), "sys/class/vfio-dev/%s", vfio);
    snprintf(target, sizeof(target), "../../devices/pci0000:00/%s/vfio-dev/%s", address,
             vfio);
    tree_link(tree, path, target);
}
