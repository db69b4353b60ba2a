/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_kernel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDER "sys/devices/pci0000:00/" EDU

static void read_override(const struct fake_kernel *fake, char *ret_text, size_t size)
{
    char path[TREE_PATH_BYTES];

    tree_path(&fake->tree, path, FOLDER "/driver_override");
    assert_int_equal(ferry_os_attr_read(path, ret_text, size), FERRY_OK);
    if (strcmp(ret_text, "(null)") == 0) {
        ret_text[0] = '\0';
    }
}

static void read_driver(const struct fake_kernel *fake, char *ret_text, size_t size)
{
    char path[TREE_PATH_BYTES];

    (void)ferry_os_link_name(tree_path(&fake->tree, path, FOLDER "/driver"), ret_text,
                             size);
}

static int take(struct fake_kernel *fake, const char *driver)
{
    char override[64], now[64];

    read_override(fake, override, sizeof(override));
    read_driver(fake, now, sizeof(now));
    if (now[0] != '\0') {
        return EBUSY;
    }
    if (override[0] != '\0' && strcmp(override, driver) != 0) {
        return ENODEV;
    }
    tree_set_driver(&fake->tree, EDU, driver);
    return 0;
}

/* What a write does. path: below the machine's folder. */
static int perform(struct fake_kernel *fake, const char *path, const char *text)
{
    static const char drivers[] = "/sys/bus/pci/drivers/";
    char driver[64] = "", file[64] = "", now[64];

    if (strstr(path, "/driver_override") != NULL) {
        tree_file(&fake->tree, FOLDER "/driver_override",
                  text[0] == '\n' ? "(null)\n" : text);
        return 0;
    }
    assert_string_equal(text, EDU);
    if (strcmp(path, "/sys/bus/pci/drivers_probe") == 0) {
        return fake->chosen != NULL ? take(fake, fake->chosen) : 0;
    }
    assert_int_equal(strncmp(path, drivers, strlen(drivers)), 0);
    assert_int_equal(sscanf(path + strlen(drivers), "%63[^/]/%63s", driver, file), 2);
    if (strcmp(file, "bind") == 0) {
        return take(fake, driver);
    }
    assert_string_equal(file, "unbind");
    read_driver(fake, now, sizeof(now));
    if (strcmp(now, driver) != 0) {
        return ENODEV;
    }
    tree_set_driver(&fake->tree, EDU, NULL);
    return 0;
}

static int fake_write(void *user, const char *path, const char *text, int *ret_errno)
{
    struct fake_kernel *fake = user;
    const size_t length = strlen(fake->tree.root);
    int err;

    assert_int_equal(strncmp(path, fake->tree.root, length), 0);
    fake->writes++;
    if (!ferry_os_exists(path)) {
        /* Only what was pulled out. */
        assert_true(fake->pull_at != 0 && fake->writes > fake->pull_at);
        err = ENOENT;
    } else if (fake->writes == fake->pull_at) {
        tree_drop(&fake->tree, "sys/bus/pci/devices/" EDU);
        err = ENODEV;
    } else if ((fake->fail >> fake->writes & 1u) != 0) {
        err = fake->err;
    } else {
        err = perform(fake, path + length, text);
    }
    if (ret_errno != NULL) {
        *ret_errno = err;
    }
    return err == 0 ? FERRY_OK : FERRY_E_IO;
}

static int fake_load(void *user, const char *module, char *ret_text, size_t size)
{
    struct fake_kernel *fake = user;

    fake->loads++;
    snprintf(fake->asked, sizeof(fake->asked), "%s", module);
    if (fake->module != NULL && machine_same_name(fake->module, module)) {
        tree_driver(&fake->tree, fake->brings, fake->module);
        return FERRY_OK;
    }
    snprintf(ret_text, size, "%s", fake->says != NULL ? fake->says : "");
    return fake->says != NULL ? FERRY_E_IO : FERRY_E_NOT_FOUND;
}

static int fake_try_disk(void *user, const char *path)
{
    struct fake_kernel *fake = user;
    const size_t length = strlen(fake->tree.dev);

    assert_int_equal(strncmp(path, fake->tree.dev, length), 0);
    return fake->held != NULL && strcmp(path + length + 1, fake->held) == 0 ? EBUSY
                                                                            : ENOENT;
}

void fake_make(struct fake_kernel *fake)
{
    memset(fake, 0, sizeof(*fake));
    tree_make(&fake->tree);
    tree_driver(&fake->tree, "vfio-pci", "vfio_pci");
    tree_driver(&fake->tree, "e1000e", "e1000e");
    tree_pci(&fake->tree, EDU, "e1000e", 5);
    fake->env = (struct machine_env){
        .sysfs = fake->tree.sysfs,
        .dev = fake->tree.dev,
        .modules = fake->tree.modules,
        .run = fake->tree.run,
        .proc = fake->tree.proc,
        .modprobe = "modprobe",
        .write = fake_write,
        .load = fake_load,
        .try_disk = fake_try_disk,
        .user = fake,
    };
}

void fake_remove(struct fake_kernel *fake)
{
    tree_remove(&fake->tree);
}

int fake_bind(struct fake_kernel *fake, const char *driver, struct ferry_error *error)
{
    char now[FERRY_MACHINE_NAME_BYTES] = "", there[64];
    int status;

    memset(error, 0, sizeof(*error));
    status = machine_bind(&fake->env, EDU, driver, now, error);
    if (status == FERRY_OK) {
        read_driver(fake, there, sizeof(there));
        assert_string_equal(now, there);
    } else {
        /* Written on success only. */
        assert_string_equal(now, "");
        assert_int_equal(error->code, status);
        assert_int_not_equal(error->text[0], '\0');
    }
    return status;
}

int fake_unbind(struct fake_kernel *fake, struct ferry_error *error)
{
    memset(error, 0, sizeof(*error));
    return machine_unbind(&fake->env, EDU, NULL, error);
}

void fake_expect(const struct fake_kernel *fake, const char *driver, const char *override,
                 int has_record)
{
    char text[64], path[TREE_PATH_BYTES];

    read_driver(fake, text, sizeof(text));
    assert_string_equal(text, driver);
    read_override(fake, text, sizeof(text));
    assert_string_equal(text, override);
    assert_int_equal(ferry_os_exists(tree_path(&fake->tree, path, "run/" EDU)),
                     has_record);
}

void assert_says(const struct ferry_error *error, const char *words)
{
    if (strstr(error->text, words) == NULL) {
        fail_msg("'%s' does not say '%s'", error->text, words);
    }
}
