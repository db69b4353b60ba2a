/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_UNIT_HOST_MACHINE_TREE_H
#define FERRY_TESTS_UNIT_HOST_MACHINE_TREE_H

/*
 * A made-up machine: folders "sys", "dev", "modules", "run" and "proc" below one of its
 * own. Paths below are from that folder on. What cannot be made fails the test.
 */
struct tree {
    char root[64];
    char sysfs[80], dev[80], modules[80], run[80], proc[80];
};

#define TREE_NO_GROUP (-1)
#define TREE_PATH_BYTES 512

void tree_make(struct tree *tree);
void tree_remove(struct tree *tree);

/* The caller's buffer of TREE_PATH_BYTES with the whole path, which is returned. */
const char *tree_path(const struct tree *tree, char *ret_path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A folder with all that are above it. */
void tree_folder(const struct tree *tree, const char *path);
void tree_file(const struct tree *tree, const char *path, const char *text);
void tree_link(const struct tree *tree, const char *path, const char *target);
/* Nobody but root may write to it, everybody reach it. */
void tree_protect(const struct tree *tree, const char *path);
/* Removes a file, a link or an empty folder. */
void tree_drop(const struct tree *tree, const char *path);

/* A driver of PCI devices with its files `bind' and `unbind'; its module, or NULL: it is
 * built in. */
void tree_driver(const struct tree *tree, const char *name, const char *module);
/* A loaded module, and one that uses it. */
void tree_module(const struct tree *tree, const char *name, const char *holder);

/* A PCI device 1234:11e8 (1af4:1100) of class 0x00ff00, with its group. driver: NULL for
 * none. */
void tree_pci(const struct tree *tree, const char *address, const char *driver,
              int group);
/* Binds and unbinds, as the links show it. */
void tree_set_driver(const struct tree *tree, const char *address, const char *driver);
/* The VFIO device of a bound one; has_cdev: with a character device. */
void tree_vfio(const struct tree *tree, const char *address, const char *vfio,
               int has_cdev);

#endif
