/* SPDX-License-Identifier: BSD-3-Clause */
/* What is listed of a made-up machine, and which driver the aliases name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_kernel.h"

#define UUID "6f7e2c1a-0b7a-4f0e-9d0c-2f6d5a3b8c10"
#define SECOND "0000:02:00.0"

static struct ferry_machine_options options_of(const struct tree *tree)
{
    return (struct ferry_machine_options){
        .struct_size = sizeof(struct ferry_machine_options),
        .sysfs = tree->sysfs,
        .dev = tree->dev,
        .modules = tree->modules,
        .run = tree->run,
        .proc = tree->proc,
        .modprobe = "modprobe",
    };
}

static void devices_are_listed_by_name_with_what_is_in_the_way(void **state)
{
    struct ferry_machine_device device[8];
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_machine_options options;
    struct tree tree;
    char node[TREE_PATH_BYTES];
    size_t count = 0;

    (void)state;
    tree_make(&tree);
    options = options_of(&tree);
    tree_driver(&tree, "vfio-pci", "vfio_pci");
    tree_driver(&tree, "pcieport", NULL);
    tree_driver(&tree, "mtty", "mtty");
    tree_module(&tree, "mdev", "mtty");
    tree_pci(&tree, SECOND, NULL, 6);
    tree_pci(&tree, EDU, "vfio-pci", 5);
    tree_vfio(&tree, EDU, "vfio2", 1);
    tree_file(&tree, "sys/devices/pci0000:00/" EDU "/driver_override", "vfio-pci\n");
    tree_folder(&tree, "sys/devices/pci0000:00/" SECOND "/physfn");
    tree_drop(&tree, "sys/devices/pci0000:00/" SECOND "/reset");
    /* A bridge, one without a group, and what is no device's name. */
    tree_pci(&tree, "0000:00:1c.0", "pcieport", 5);
    tree_file(&tree, "sys/devices/pci0000:00/0000:00:1c.0/class", "0x060400\n");
    tree_pci(&tree, "0000:00:1d.0", NULL, TREE_NO_GROUP);
    tree_folder(&tree, "sys/bus/pci/devices/notes");
    tree_link(&tree, "sys/devices/mtty/" UUID "/iommu_group",
              "../../../kernel/iommu_groups/0");
    tree_link(&tree, "sys/devices/mtty/" UUID "/subsystem", "../../../bus/mdev");
    tree_link(&tree, "sys/devices/mtty/" UUID "/driver", "../../../bus/pci/drivers/mtty");
    tree_link(&tree, "sys/bus/mdev/devices/" UUID, "../../../devices/mtty/" UUID);
    memset(device, 0x5a, sizeof(device));
    assert_int_equal(ferry_machine_list(&options, device, 8, &count, &error), FERRY_OK);
    assert_int_equal(count, 3);
    assert_string_equal(device[0].name, EDU);
    assert_string_equal(device[0].driver, "vfio-pci");
    assert_string_equal(device[0].cdev, tree_path(&tree, node, "dev/vfio/devices/vfio2"));
    assert_string_equal(device[0].why, "");
    assert_int_equal(device[0].group, 5);
    assert_int_equal(device[0].flags, FERRY_MACHINE_VFIO | FERRY_MACHINE_CDEV |
                                          FERRY_MACHINE_MULTIFUNCTION_GROUP |
                                          FERRY_MACHINE_OVERRIDE);
    assert_int_equal(device[0].vendor, 0x1234);
    assert_int_equal(device[0].device, 0x11e8);
    assert_int_equal(device[0].subvendor, 0x1af4);
    assert_int_equal(device[0].subdevice, 0x1100);
    assert_int_equal(device[0].class_code, 0x00ff00);
    assert_string_equal(device[1].name, SECOND);
    assert_string_equal(device[1].driver, "");
    assert_int_equal(device[1].flags, FERRY_MACHINE_VIRTUAL | FERRY_MACHINE_NO_RESET);
    assert_non_null(strstr(device[1].why, "`ferry bind " SECOND "'"));
    assert_string_equal(device[2].name, UUID);
    assert_string_equal(device[2].driver, "mtty");
    assert_int_equal(device[2].flags, FERRY_MACHINE_VFIO | FERRY_MACHINE_MEDIATED);
    assert_string_equal(device[2].why, "");
    tree_remove(&tree);
}

static void a_list_that_does_not_fit_tells_how_long_it_is(void **state)
{
    struct ferry_machine_device device[2];
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_machine_options options;
    struct tree tree;
    size_t count = 0;

    (void)state;
    tree_make(&tree);
    options = options_of(&tree);
    tree_pci(&tree, "0000:03:00.0", NULL, 7);
    tree_pci(&tree, SECOND, NULL, 6);
    tree_pci(&tree, EDU, NULL, 5);
    memset(device, 0, sizeof(device));
    assert_int_equal(ferry_machine_list(&options, device, 1, &count, &error), FERRY_OK);
    assert_int_equal(count, 3);
    assert_string_equal(device[0].name, EDU);
    assert_string_equal(device[1].name, "");
    assert_int_equal(ferry_machine_list(&options, NULL, 0, &count, &error), FERRY_OK);
    assert_int_equal(count, 3);
    tree_remove(&tree);
}

static void a_machine_without_sysfs_is_an_error(void **state)
{
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_machine_options options;
    struct ferry_machine_device device;
    struct tree tree;
    size_t count = 77;

    (void)state;
    tree_make(&tree);
    options = options_of(&tree);
    options.sysfs = tree.proc;
    assert_int_equal(ferry_machine_list(&options, &device, 1, &count, &error),
                     FERRY_E_IO);
    assert_says(&error, "no sysfs");
    assert_int_equal(count, 77);
    options.struct_size = 0;
    assert_int_equal(ferry_machine_list(&options, &device, 1, &count, &error),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_machine_get(&options, EDU, &device, &error), FERRY_E_ARGUMENT);
    assert_int_equal(ferry_machine_bind(&options, EDU, NULL, NULL, &error),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_machine_unbind(&options, EDU, NULL, &error), FERRY_E_ARGUMENT);
    tree_remove(&tree);
}

static void options_of_an_older_program_end_earlier(void **state)
{
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_machine_options options;
    struct tree tree;

    (void)state;
    tree_make(&tree);
    tree_pci(&tree, EDU, NULL, 5);
    options = options_of(&tree);
    options.force = 1;
    options.struct_size = offsetof(struct ferry_machine_options, force);
    assert_int_equal(ferry_machine_unbind(&options, EDU, NULL, &error),
                     FERRY_E_NOT_FOUND);
    options.struct_size = sizeof(options) + 8;
    assert_int_equal(ferry_machine_unbind(&options, EDU, NULL, &error), FERRY_OK);
    tree_remove(&tree);
}

/* The variant that is found for EDU. */
static void expect_variant(const struct tree *tree, const char *variant)
{
    struct ferry_machine_options options = options_of(tree);
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_machine_device device;

    assert_int_equal(ferry_machine_get(&options, EDU, &device, &error), FERRY_OK);
    assert_string_equal(device.variant, variant);
}

static void the_most_specific_alias_names_the_driver(void **state)
{
    static const struct {
        const char *aliases, *variant;
    } row[] = {
        { "", "" },
        { "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n", "vfio_pci" },
        { "alias vfio_pci:v00001234d000011E8sv*sd*bc*sc*i* a_vfio\n"
          "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n",
          "a_vfio" },
        { "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
          "alias vfio_pci:v00001234d*sv*sd*bc*sc*i* a_vfio\n"
          "alias vfio_pci:v00001234d000011E8sv00001AF4sd00001100bc*sc*i* c_vfio\n"
          "alias vfio_pci:v00001234d000011E8sv*sd*bc*sc*i* b_vfio\n",
          "c_vfio" },
        /* Another device, another prefix, nothing, too long a module. */
        { "alias vfio_pci:v00001234d000011E9sv*sd*bc*sc*i* a_vfio\n"
          "alias pci:v00001234d000011E8sv*sd*bc*sc*i* e1000e\n"
          "alias vfio_pci:v00001234d000011E8sv*sd*bc*sc*i*\n"
          "alias vfio_pci:v00001234d000011E8sv*sd*bc*sc*i* \n"
          "alias vfio_pci:\n\nalias\n"
          "alias vfio_pci:v* "
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
          "" },
        /* A line without its end. */
        { "# comment\nalias vfio_pci:v00001234* a_vfio", "a_vfio" },
    };
    struct tree tree;

    (void)state;
    tree_make(&tree);
    tree_pci(&tree, EDU, NULL, 5);
    expect_variant(&tree, "");
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        tree_file(&tree, "modules/modules.alias", row[i].aliases);
        expect_variant(&tree, row[i].variant);
    }
    tree_remove(&tree);
}

static void a_driver_that_is_built_in_is_found_as_well(void **state)
{
    static const char text[] = "e1000e.alias=pci:v00001234d*sv*sd*bc*sc*i*\0"
                               "x_vfio.license=GPL\0"
                               "x_vfio.alias=vfio_pci:v00001234d*sv*sd*bc*sc*i*\0"
                               ".alias=vfio_pci:v00001234d000011E8sv*sd*bc*sc*i*\0";
    char path[TREE_PATH_BYTES];
    struct tree tree;
    FILE *file;

    (void)state;
    tree_make(&tree);
    tree_pci(&tree, EDU, NULL, 5);
    tree_file(&tree, "modules/modules.alias",
              "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n");
    file = fopen(tree_path(&tree, path, "modules/modules.builtin.modinfo"), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, sizeof(text), file), sizeof(text));
    assert_int_equal(fclose(file), 0);
    expect_variant(&tree, "x_vfio");
    tree_remove(&tree);
}

static void a_loaded_module_is_shown_by_its_drivers_name(void **state)
{
    struct tree tree;

    (void)state;
    tree_make(&tree);
    tree_pci(&tree, EDU, NULL, 5);
    tree_file(&tree, "modules/modules.alias", "alias vfio_pci:v00001234* edu_vfio_pci\n");
    expect_variant(&tree, "edu_vfio_pci");
    tree_driver(&tree, "edu-vfio-pci", "edu_vfio_pci");
    expect_variant(&tree, "edu-vfio-pci");
    tree_remove(&tree);
}

static void aliases_without_end_are_read_up_to_a_limit(void **state)
{
    struct tree tree;
    char path[TREE_PATH_BYTES];
    FILE *file;

    (void)state;
    tree_make(&tree);
    tree_pci(&tree, EDU, NULL, 5);
    tree_file(&tree, "modules/modules.alias", "");
    file = fopen(tree_path(&tree, path, "modules/modules.alias"), "w");
    assert_non_null(file);
    for (unsigned i = 0; i < MACHINE_ALIASES_MAX; i++) {
        fprintf(file, "alias vfio_pci:v0000ABCDd%08Xsv*sd*bc*sc*i* other\n", i);
    }
    fputs("alias vfio_pci:v00001234d000011E8sv*sd*bc*sc*i* late\n", file);
    assert_int_equal(fclose(file), 0);
    expect_variant(&tree, "");
    tree_remove(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_listed_by_name_with_what_is_in_the_way),
        cmocka_unit_test(a_list_that_does_not_fit_tells_how_long_it_is),
        cmocka_unit_test(a_machine_without_sysfs_is_an_error),
        cmocka_unit_test(options_of_an_older_program_end_earlier),
        cmocka_unit_test(the_most_specific_alias_names_the_driver),
        cmocka_unit_test(a_driver_that_is_built_in_is_found_as_well),
        cmocka_unit_test(a_loaded_module_is_shown_by_its_drivers_name),
        cmocka_unit_test(aliases_without_end_are_read_up_to_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
