/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "bridge/iommu/iommu_private.h"

/*
 * Files behind maps. A VMM with an IOMMU for its guest maps the same file in thousands of
 * pieces: one descriptor serves them all.
 */

/* Is it a region of one of the devices? Sets owner and closed. */
static void find_owner(const struct iommu *iommu, struct iommu_file *file)
{
    struct ferry_os_file look;

    for (uint32_t i = 0; i < IOMMU_OBJECTS_MAX; i++) {
        const struct bridge_attachment *attachment = iommu->entry[i].what;

        if (iommu->entry[i].kind != IOMMU_DEVICE) {
            continue;
        }
        for (uint32_t r = 0; r < BRIDGE_REGIONS_MAX; r++) {
            const struct ferry_region_info *region = &attachment->device->region[r];

            if ((region->flags & FERRY_REGION_MMAP) == 0 || region->fd < 0 ||
                ferry_os_file_look(region->fd, &look) != FERRY_OK) {
                continue;
            }
            if (look.device == file->look.device && look.inode == file->look.inode) {
                file->owner = attachment->device->id;
                file->region = r;
                file->closed = attachment->device->token.no_peer_maps != 0;
                return;
            }
        }
    }
}

int iommu_file_get(struct iommu *iommu, int fd, struct iommu_file **ret_file,
                   uint64_t *ret_size)
{
    const int flags = fcntl(fd, F_GETFL);
    struct ferry_os_file look;
    struct iommu_file *file;
    uint32_t writable;

    if (flags < 0) {
        return -EBADF;
    }
    if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY ||
        ferry_os_file_look(fd, &look) != FERRY_OK) {
        return -EINVAL;
    }
    writable = (flags & O_ACCMODE) == O_RDWR;
    for (file = iommu->files; file != NULL; file = file->next) {
        if (file->look.device == look.device && file->look.inode == look.inode &&
            file->writable == writable) {
            file->refs++;
            *ret_size = look.size;
            *ret_file = file;
            return 0;
        }
    }
    file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return -ENOMEM;
    }
    if (ferry_os_dup(fd, &file->fd) != FERRY_OK) {
        free(file);
        return -EMFILE;
    }
    file->look = look;
    file->writable = writable;
    file->refs = 1;
    find_owner(iommu, file);
    file->next = iommu->files;
    iommu->files = file;
    *ret_size = look.size;
    *ret_file = file;
    return 0;
}

void iommu_file_put(struct iommu *iommu, struct iommu_file *file)
{
    struct iommu_file **link = &iommu->files;

    if (--file->refs > 0) {
        return;
    }
    while (*link != file) {
        link = &(*link)->next;
    }
    *link = file->next;
    ferry_os_unmap(&file->window);
    ferry_os_close(&file->fd);
    free(file);
}

uint8_t *iommu_file_at(struct iommu *iommu, struct iommu_file *file, uint64_t off,
                       uint64_t size, int is_write)
{
    const uint32_t access =
        FERRY_OS_MAP_READ | (file->writable != 0 ? FERRY_OS_MAP_WRITE : 0);
    uint8_t *at = NULL;
    uint64_t whole;

    if (is_write && file->writable == 0) {
        return NULL;
    }
    (void)pthread_mutex_lock(&iommu->window);
    /* A failure leaves it all zero: the next message tries again. */
    if (file->window.data == NULL && ferry_os_file_size(file->fd, &whole) == FERRY_OK) {
        (void)ferry_os_map_shared(file->fd, 0, whole, access, &file->window, NULL);
    }
    /* What was added to the file since is out of reach: QEMU's memory does not grow. */
    if (file->window.data != NULL && off <= file->window.size &&
        size <= file->window.size - off) {
        at = (uint8_t *)file->window.data + off;
    }
    (void)pthread_mutex_unlock(&iommu->window);
    return at;
}
