/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bridge/iommu/iommu_private.h"

/*
 * A device whose server came back has regions of new memory: who maps them as a peer must
 * not go on writing into what is left of the old ones.
 */

/* The file is another one from now on. Return: 0 when it cannot be. */
static int exchange(struct iommu *iommu, struct iommu_file *file, int fd)
{
    struct ferry_os_file look;
    int rc;

    if (fd < 0 || ferry_os_file_look(fd, &look) != FERRY_OK) {
        return 0;
    }
    /* No message is looking at its memory meanwhile. */
    (void)pthread_rwlock_wrlock(&iommu->view);
    rc = dup3(fd, file->fd, O_CLOEXEC);
    if (rc >= 0) {
        ferry_os_unmap(&file->window);
        file->look = look;
    }
    (void)pthread_rwlock_unlock(&iommu->view);
    return rc >= 0;
}

/* At every peer in the address space; one that refuses has said so. */
static void map_again(struct iommu_ioas *ioas, const struct iommu_file *file,
                      const struct bridge_device *owner)
{
    for (uint32_t i = 0; i < ioas->count; i++) {
        for (struct bridge_attachment *peer = ioas->attached;
             peer != NULL && ioas->map[i]->file == file; peer = peer->next) {
            if (peer->device != owner) {
                (void)iommu_server_unmap(peer, ioas->map[i]);
                (void)iommu_server_map(peer, ioas->map[i]);
            }
        }
    }
}

void iommu_peers_renew(struct iommu *iommu, const struct bridge_device *owner)
{
    for (struct iommu_file *file = iommu->files; file != NULL; file = file->next) {
        if (file->owner != owner->id ||
            !exchange(iommu, file, owner->region[file->region].fd)) {
            continue;
        }
        for (uint32_t i = 0; i < IOMMU_OBJECTS_MAX; i++) {
            if (iommu->entry[i].kind == IOMMU_IOAS) {
                map_again(iommu->entry[i].what, file, owner);
            }
        }
    }
}
