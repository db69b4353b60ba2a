/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_bridge_device_rig.h"
#include "bridge/migration/v1/v1.h"
#include "core/v1/region.h"

/* A device's calls but for interrupts and the server's death, with a server in another
 * process. */

static struct rig rig;

static int up(void **state)
{
    (void)state;
    rig_up(&rig, RIG_PLAIN);
    return 0;
}

static int up_moving(void **state)
{
    (void)state;
    rig_up(&rig, RIG_MOVING);
    return 0;
}

static int down(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

static void nothing_but_bind_is_answered_before_bind(void **state)
{
    struct uapi_info info = { .argsz = sizeof(info) };
    uint32_t value;
    int fd;
    uint64_t off;

    (void)state;
    memset(&rig, 0, sizeof(rig));
    strcpy(rig.path, "/tmp/ferry-bridge-nobody.sock");
    rig_create(&rig, 1000);
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_INFO, &info), -EINVAL);
    assert_int_equal(rig_ioctl(rig.object, UAPI_RESET, NULL), -EINVAL);
    assert_int_equal(rig_ioctl(rig.object, UAPI_VFIO_CALL(99), NULL), -ENOTTY);
    assert_int_equal(rig_pread(&rig, 0, 0, &value, 4), -EINVAL);
    assert_int_equal(rig_pwrite(&rig, 0, 0, &value, 4), -EINVAL);
    assert_int_equal(rig.object->ops->map(rig.object, 0, 4096, &fd, &off), -EINVAL);
    rig_down(&rig);
}

static void a_bind_without_a_server_fails_and_can_be_repeated(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    snprintf(rig.path, sizeof(rig.path), "/tmp/ferry-bridge-late-%d.sock", getpid());
    rig_create(&rig, 1000);
    assert_int_equal(rig_bind(&rig), -ENOENT);
    assert_int_equal(rig_bind(&rig), -ENOENT);
    rig_start_server(&rig, RIG_PLAIN);
    assert_int_equal(rig_bind(&rig), 0);
    assert_int_equal(rig_read32(&rig, RIG_PID), (uint32_t)rig.server);
    rig_down(&rig);
}

static void a_server_with_another_client_is_busy(void **state)
{
    struct rig other = { .server = 0 };

    (void)state;
    memcpy(other.path, rig.path, sizeof(other.path));
    rig_create(&other, 1000);
    assert_int_equal(rig_bind(&other), -EBUSY);
    assert_int_equal(rig_read32(&rig, RIG_PID), (uint32_t)rig.server);
    bridge_object_put(other.object);
    bridge_object_put(other.iommu);
    (void)close(other.iommu_fd);
}

static void bind_wants_an_iommufd_of_the_bridge_and_only_once(void **state)
{
    struct uapi_bind call = { .argsz = 24 };
    int plain = memfd_create("plain", MFD_CLOEXEC);

    (void)state;
    memset(&rig, 0, sizeof(rig));
    snprintf(rig.path, sizeof(rig.path), "/tmp/ferry-bridge-once-%d.sock", getpid());
    rig_create(&rig, 1000);
    rig_start_server(&rig, RIG_PLAIN);
    call.iommufd = -1;
    assert_int_equal(rig_ioctl(rig.object, UAPI_BIND, &call), -EBADF);
    call.iommufd = plain;
    assert_int_equal(rig_ioctl(rig.object, UAPI_BIND, &call), -EINVAL);
    call.iommufd = rig.iommu_fd;
    call.argsz = 15;
    assert_int_equal(rig_ioctl(rig.object, UAPI_BIND, &call), -EINVAL);
    call.argsz = 24;
    call.flags = 1;
    assert_int_equal(rig_ioctl(rig.object, UAPI_BIND, &call), -EINVAL);
    call.flags = 0;
    assert_int_equal(rig_ioctl(rig.object, UAPI_BIND, NULL), -EFAULT);
    assert_int_equal(rig_ioctl(rig.object, UAPI_BIND, &call), 0);
    assert_int_equal(rig_ioctl(rig.object, UAPI_BIND, &call), -EINVAL);
    (void)close(plain);
    rig_down(&rig);
}

static void the_last_reference_lets_the_next_one_in(void **state)
{
    struct rig other = { .server = 0 };

    (void)state;
    memcpy(other.path, rig.path, sizeof(other.path));
    rig_write32(&rig, 0, 77);
    bridge_object_put(rig.object);
    rig_create(&other, 1000);
    assert_int_equal(rig_bind(&other), 0);
    assert_int_equal(rig_read32(&other, RIG_PID), (uint32_t)rig.server);
    bridge_object_put(other.object);
    bridge_object_put(other.iommu);
    (void)close(other.iommu_fd);
    rig.object = other.object = NULL;
    rig_create(&rig, 1000); /* for rig_down() */
}

static void a_device_is_attached_and_detached(void **state)
{
    struct uapi_attach attach = { .argsz = 16 };
    struct uapi_detach detach = { .argsz = 8 };

    (void)state;
    attach.pt_id = 4711;
    assert_true(rig_ioctl(rig.object, UAPI_ATTACH, &attach) < 0);
    rig_attach(&rig);
    attach.pt_id = rig.ioas;
    attach.flags = 1;
    assert_int_equal(rig_ioctl(rig.object, UAPI_ATTACH, &attach), -EINVAL);
    attach.argsz = 8;
    attach.flags = 0;
    assert_int_equal(rig_ioctl(rig.object, UAPI_ATTACH, &attach), -EINVAL);
    detach.argsz = 4;
    assert_int_equal(rig_ioctl(rig.object, UAPI_DETACH, &detach), -EINVAL);
    detach.argsz = 12;
    detach.flags = 1;
    assert_int_equal(rig_ioctl(rig.object, UAPI_DETACH, &detach), -EINVAL);
    detach.flags = 0;
    assert_int_equal(rig_ioctl(rig.object, UAPI_DETACH, &detach), 0);
}

static void the_info_names_regions_and_interrupts(void **state)
{
    struct uapi_info info = { .argsz = 16, .cap_offset = 99, .pad = 98 };

    (void)state;
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_INFO, &info), 0);
    assert_int_equal(info.flags, UAPI_INFO_PCI | UAPI_INFO_RESET);
    assert_int_equal(info.regions, 10);
    assert_int_equal(info.irqs, 5);
    assert_int_equal(info.cap_offset, 99); /* behind the caller's struct */
    info.argsz = sizeof(info);
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_INFO, &info), 0);
    assert_int_equal(info.cap_offset, 0);
    assert_int_equal(info.pad, 0);
    info.argsz = 12;
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_INFO, &info), -EINVAL);
}

/* An info and room for its capabilities. */
union info {
    struct uapi_region region;
    uint8_t bytes[1024];
};

static void ask_region(uint32_t index, uint32_t argsz, union info *ret_info)
{
    memset(ret_info, 0xee, sizeof(*ret_info));
    ret_info->region.argsz = argsz;
    ret_info->region.index = index;
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_REGION_INFO, ret_info), 0);
    assert_int_equal(ret_info->region.offset, (uint64_t)index << BRIDGE_REGION_SHIFT);
}

static void regions_are_told_with_size_and_rights(void **state)
{
    const uint32_t both = UAPI_REGION_READ | UAPI_REGION_WRITE;
    union info info;

    (void)state;
    ask_region(0, 32, &info);
    assert_int_equal(info.region.size, RIG_BYTES);
    assert_int_equal(info.region.flags, both);
    assert_int_equal(info.region.cap_offset, 0);
    ask_region(1, 32, &info);
    assert_int_equal(info.region.size, 0);
    assert_int_equal(info.region.flags, 0);
    ask_region(BRIDGE_ROM_REGION, 32, &info);
    assert_int_equal(info.region.size, RIG_ROM_BYTES);
    assert_int_equal(info.region.flags, UAPI_REGION_READ);
    ask_region(BRIDGE_CONFIG_REGION, 32, &info);
    assert_int_equal(info.region.size, 4096);
    assert_int_equal(info.region.flags, both);
    info.region.index = 10;
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_REGION_INFO, &info), -EINVAL);
    info.region.index = UINT32_MAX;
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_REGION_INFO, &info), -EINVAL);
    info.region.argsz = 31;
    info.region.index = 0;
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_REGION_INFO, &info), -EINVAL);
}

static void capabilities_come_when_there_is_room_for_them(void **state)
{
    const uint32_t need =
        sizeof(struct uapi_region) + sizeof(struct uapi_cap_sparse) + 2 * 16;
    const struct uapi_cap_sparse *cap;
    const struct uapi_area *area;
    union info info;

    (void)state;
    for (uint32_t argsz = 32; argsz < need; argsz += 8) {
        ask_region(2, argsz, &info);
        assert_int_equal(info.region.argsz, need);
        assert_int_equal(info.region.cap_offset, 0);
        assert_true(info.region.flags & UAPI_REGION_CAPS);
        assert_int_equal(info.bytes[32], 0xee); /* nothing behind the struct */
    }
    ask_region(2, need, &info);
    assert_int_equal(info.region.cap_offset, 32);
    assert_int_equal(info.region.flags, UAPI_REGION_READ | UAPI_REGION_WRITE |
                                            UAPI_REGION_MMAP | UAPI_REGION_CAPS);
    cap = (const void *)(info.bytes + 32);
    assert_int_equal(cap->head.id, UAPI_CAP_SPARSE);
    assert_int_equal(cap->head.version, 1);
    assert_int_equal(cap->head.next, 0);
    assert_int_equal(cap->areas, 2);
    area = (const void *)(cap + 1);
    assert_int_equal(area[0].offset, RIG_AREA_OFF);
    assert_int_equal(area[0].size, RIG_AREA_BYTES);
    assert_int_equal(area[1].offset, RIG_AREA2_OFF);
    assert_int_equal(area[1].size, 0x1000);
    assert_int_equal(info.bytes[need], 0xee);
}

static void a_region_of_the_device_itself_tells_its_type(void **state)
{
    const struct uapi_cap_type *cap;
    union info info;

    (void)state;
    ask_region(BRIDGE_PCI_REGIONS, sizeof(info), &info);
    assert_int_equal(info.region.size, 0x1000);
    cap = (const void *)(info.bytes + info.region.cap_offset);
    assert_int_equal(cap->head.id, UAPI_CAP_TYPE);
    assert_int_equal(cap->type, RIG_EXTRA_TYPE);
    assert_int_equal(cap->subtype, 7);
}

static void a_region_of_uapi_v1_is_the_bridges_own(void **state)
{
    const uint32_t index = BRIDGE_PCI_REGIONS + 1;
    struct ferry_region_info *extra = &rig.device->region[BRIDGE_PCI_REGIONS];
    struct uapi_info all = { .argsz = sizeof(all) };
    const struct uapi_cap_sparse *sparse;
    const struct uapi_cap_type *type;
    uint32_t device_state = 0;
    union info info;
    uint64_t off;
    int fd;

    (void)state;
    assert_int_equal(bridge_v1_create(rig.device), 0);
    assert_non_null(rig.device->v1);
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_INFO, &all), 0);
    assert_int_equal(all.regions, index + 1);
    ask_region(index, sizeof(info), &info);
    assert_int_equal(info.region.size, 4096 + FERRY_V1_PIECE_MAX);
    assert_true(info.region.flags & UAPI_REGION_MMAP);
    sparse = (const void *)(info.bytes + info.region.cap_offset);
    assert_int_equal(sparse->head.id, UAPI_CAP_SPARSE);
    assert_int_equal(sparse->areas, 1); /* the registers are none of it */
    type = (const void *)(info.bytes + sparse->head.next);
    assert_int_equal(type->head.id, UAPI_CAP_TYPE);
    assert_int_equal(type->type, FERRY_V1_REGION_TYPE);
    assert_int_equal(type->subtype, FERRY_V1_REGION_SUBTYPE);

    assert_int_equal(rig_pread(&rig, index, 0, &device_state, 4), 4);
    assert_int_equal(device_state, FERRY_V1_RUNNING);
    device_state = 5;
    assert_int_equal(rig_pwrite(&rig, index, 0, &device_state, 4), -EINVAL);
    off = (uint64_t)index << BRIDGE_REGION_SHIFT;
    assert_int_equal(rig.object->ops->map(rig.object, off, 4096, &fd, &off), -EINVAL);
    off = ((uint64_t)index << BRIDGE_REGION_SHIFT) + 4096;
    assert_int_equal(rig.object->ops->map(rig.object, off, FERRY_V1_PIECE_MAX, &fd, &off),
                     0);
    assert_int_equal(off, 4096);

    /* One of the server's is nobody's: it has no end mark. */
    extra->type = FERRY_V1_REGION_TYPE;
    extra->subtype = FERRY_V1_REGION_SUBTYPE;
    ask_region(BRIDGE_PCI_REGIONS, sizeof(info), &info);
    assert_int_equal(info.region.cap_offset, 0);
}

static void a_mapped_msix_table_is_told(void **state)
{
    struct ferry_region_info *region = &rig.device->region[2];
    const struct bridge_msix msix = rig.device->msix;
    const struct uapi_cap *cap;
    union info info;

    (void)state;
    assert_int_equal(msix.region, RIG_TABLE_REGION);
    assert_int_equal(msix.bytes, RIG_MSIX * 16);
    rig.device->msix = (struct bridge_msix){ .region = 2, .bytes = 16, .off = 0x2ff0 };
    ask_region(2, sizeof(info), &info);
    cap = (const void *)(info.bytes + 32);
    cap = (const void *)(info.bytes + cap->next);
    assert_int_equal(cap->id, UAPI_CAP_MSIX_MAPPABLE);
    assert_int_equal(cap->next, 0);
    rig.device->msix.off = 0x3000; /* the page behind the area */
    ask_region(2, sizeof(info), &info);
    cap = (const void *)(info.bytes + 32);
    assert_int_equal(cap->next, 0);
    rig.device->msix = msix;
    /* An area that is no whole pages cannot be mapped. */
    region->area[0].off += 8;
    region->area[1].size = RIG_MEMORY_BYTES;
    ask_region(2, sizeof(info), &info);
    assert_int_equal(info.region.flags, UAPI_REGION_READ | UAPI_REGION_WRITE);
    region->area[0].off -= 8;
    region->area[1].size = 0x1000;
}

static void registers_are_read_and_written_in_order(void **state)
{
    uint8_t bytes[256];
    uint8_t same[256];
    uint64_t wide = 0x1122334455667788u;

    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        rig_write32(&rig, 16, i); /* posted: the read behind it sees it */
        assert_int_equal(rig_read32(&rig, 16), i);
    }
    assert_int_equal(rig_pwrite(&rig, 0, 8, &wide, 8), 8);
    wide = 0;
    assert_int_equal(rig_pread(&rig, 0, 8, &wide, 8), 8);
    assert_int_equal(wide, 0x1122334455667788u);
    assert_int_equal(rig_pread(&rig, 0, 9, bytes, 1), 1);
    assert_int_equal(bytes[0], 0x77);
    assert_int_equal(rig_pread(&rig, 0, 10, bytes, 2), 2);
    memset(same, 0x17, sizeof(same));
    assert_int_equal(rig_pwrite(&rig, 0, 0x100, same, sizeof(same)), sizeof(same));
    assert_int_equal(rig_pread(&rig, 0, 0x100, bytes, sizeof(bytes)), sizeof(bytes));
    assert_memory_equal(bytes, same, sizeof(bytes));
}

static void accesses_end_where_the_region_ends(void **state)
{
    uint8_t bytes[64];

    (void)state;
    assert_int_equal(rig_pread(&rig, 0, RIG_BYTES - 4, bytes, 64), 4);
    assert_int_equal(rig_pwrite(&rig, 0, RIG_BYTES - 4, bytes, 64), 4);
    assert_int_equal(rig_pread(&rig, 0, RIG_BYTES, bytes, 1), -EINVAL);
    assert_int_equal(rig_pwrite(&rig, 0, RIG_BYTES, bytes, 1), -EINVAL);
    assert_int_equal(rig_pread(&rig, 1, 0, bytes, 4), -EINVAL); /* it has none */
    assert_int_equal(rig_pwrite(&rig, BRIDGE_ROM_REGION, 0, bytes, 4), -EINVAL);
    assert_int_equal(rig_pread(&rig, BRIDGE_REGIONS_MAX, 0, bytes, 4), -EINVAL);
    assert_int_equal(rig_pread(&rig, 0xffffff, 0, bytes, 4), -EINVAL);
    assert_int_equal(rig_pread(&rig, 0, 0, bytes, 0), 0);
    assert_int_equal(rig_pread(&rig, 0, RIG_REFUSE, bytes, 4), -EIO);
    assert_int_equal(rig_pread(&rig, 0, 0, bytes, 4), 4); /* and the device lives */
}

static void config_space_and_rom_are_read_whole(void **state)
{
    uint8_t config[4096];
    uint8_t rom[RIG_ROM_BYTES];
    uint16_t command = 2;

    (void)state;
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 0, config, 4096), 4096);
    assert_int_equal(config[0] | config[1] << 8, 0x1af4);
    assert_int_equal(config[2] | config[3] << 8, 0x10f0);
    assert_int_equal(rig.device->identity.pci_device, 0x10f0);
    assert_string_equal(rig.device->identity.model, "rig");
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 0, config, 256), 256);
    assert_int_equal(rig_pwrite(&rig, BRIDGE_CONFIG_REGION, 4, &command, 2), 2);
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 4, config, 4), 4);
    assert_int_equal(config[0], 2);
    assert_int_equal(rig_pread(&rig, BRIDGE_ROM_REGION, 0, rom, sizeof(rom) + 100),
                     sizeof(rom));
    assert_int_equal(rom[0], 0x5c);
    assert_int_equal(rom[sizeof(rom) - 1], 0x5c);
}

static void a_conventional_device_has_little_config_space(void **state)
{
    struct uapi_irq irq = { .argsz = sizeof(irq), .index = BRIDGE_IRQ_ERR };
    uint8_t config[4096];

    (void)state;
    rig_up(&rig, RIG_CONVENTIONAL);
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 0, config, 4096), 256);
    /* The error interrupt is there all the same, the bridge's own. */
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_IRQ_INFO, &irq), 0);
    assert_int_equal(irq.count, 1);
    rig_down(&rig);
}

static void what_can_be_mapped_is_the_servers_memory(void **state)
{
    const struct bridge_object_ops *ops = rig.object->ops;
    const uint64_t base = UINT64_C(2) << BRIDGE_REGION_SHIFT;
    uint32_t *memory;
    uint64_t off;
    int fd;

    (void)state;
    assert_int_equal(ops->map(rig.object, base + RIG_AREA_OFF, RIG_AREA_BYTES, &fd, &off),
                     0);
    memory =
        mmap(NULL, RIG_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)off);
    assert_ptr_not_equal(memory, MAP_FAILED);
    memory[3] = 0x12345678;
    assert_int_equal(rig_pread(&rig, 2, RIG_AREA_OFF + 12, &fd, 4), 4);
    assert_int_equal(fd, 0x12345678);
    (void)munmap(memory, RIG_AREA_BYTES);
    assert_int_equal(
        ops->map(rig.object, base + RIG_AREA_OFF + 0x1000, 0x1000, &fd, &off), 0);
    assert_int_equal(
        ops->map(rig.object, base + RIG_AREA_OFF, RIG_AREA_BYTES + 1, &fd, &off),
        -EINVAL);
    assert_int_equal(ops->map(rig.object, base, 0x1000, &fd, &off), -EINVAL);
    assert_int_equal(ops->map(rig.object, base + RIG_AREA_OFF, UINT64_MAX, &fd, &off),
                     -EINVAL);
    assert_int_equal(ops->map(rig.object, 0, 0x1000, &fd, &off), -EINVAL);
}

static void a_reset_reaches_the_device(void **state)
{
    struct uapi_hot_reset reset = { .argsz = sizeof(reset) };
    struct {
        struct uapi_hot_reset_info head;
        struct uapi_hot_reset_device device[1];
    } info = { .head = { .argsz = sizeof(info.head) } };

    (void)state;
    assert_int_equal(rig_read32(&rig, RIG_RESETS), 0);
    assert_int_equal(rig_ioctl(rig.object, UAPI_RESET, NULL), 0);
    assert_int_equal(rig_read32(&rig, RIG_RESETS), 1);
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_HOT_RESET_INFO, &info), -ENOSPC);
    assert_int_equal(info.head.count, 1);
    info.head.argsz = sizeof(info);
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_HOT_RESET_INFO, &info), 0);
    assert_int_equal(info.device[0].id, rig.device->iommu_id);
    assert_int_equal(info.head.flags, UAPI_HOT_RESET_IDS | UAPI_HOT_RESET_OWNED);
    assert_int_equal(rig_ioctl(rig.object, UAPI_HOT_RESET, &reset), 0);
    assert_int_equal(rig_read32(&rig, RIG_RESETS), 2);
    reset.count = 1;
    assert_int_equal(rig_ioctl(rig.object, UAPI_HOT_RESET, &reset), -EINVAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_bind_is_answered_before_bind),
        cmocka_unit_test(a_bind_without_a_server_fails_and_can_be_repeated),
        cmocka_unit_test_setup_teardown(a_server_with_another_client_is_busy, up, down),
        cmocka_unit_test(bind_wants_an_iommufd_of_the_bridge_and_only_once),
        cmocka_unit_test_setup_teardown(the_last_reference_lets_the_next_one_in, up,
                                        down),
        cmocka_unit_test_setup_teardown(a_device_is_attached_and_detached, up, down),
        cmocka_unit_test_setup_teardown(the_info_names_regions_and_interrupts, up, down),
        cmocka_unit_test_setup_teardown(regions_are_told_with_size_and_rights, up, down),
        cmocka_unit_test_setup_teardown(capabilities_come_when_there_is_room_for_them, up,
                                        down),
        cmocka_unit_test_setup_teardown(a_region_of_the_device_itself_tells_its_type, up,
                                        down),
        cmocka_unit_test_setup_teardown(a_region_of_uapi_v1_is_the_bridges_own, up_moving,
                                        down),
        cmocka_unit_test_setup_teardown(a_mapped_msix_table_is_told, up, down),
        cmocka_unit_test_setup_teardown(registers_are_read_and_written_in_order, up,
                                        down),
        cmocka_unit_test_setup_teardown(accesses_end_where_the_region_ends, up, down),
        cmocka_unit_test_setup_teardown(config_space_and_rom_are_read_whole, up, down),
        cmocka_unit_test(a_conventional_device_has_little_config_space),
        cmocka_unit_test_setup_teardown(what_can_be_mapped_is_the_servers_memory, up,
                                        down),
        cmocka_unit_test_setup_teardown(a_reset_reaches_the_device, up, down),
    };

    rig_be_server(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
