/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/iommu/iommu_private.h"
#include "os/uapi/iommufd.h"

/* /dev/iommu for the VMM: the requests, and the objects that they name by number. */

/* Structures beyond that are nonsense; the kernel's own are below 100 bytes. */
#define STRUCT_BYTES_MAX 4096u

static long destroy_entry(struct iommu *iommu, void *arg);

static long not_served(struct iommu *iommu, void *arg)
{
    (void)iommu;
    (void)arg;
    return -EOPNOTSUPP;
}

/* min: through the last member that every caller must have. */
struct request {
    unsigned long number;
    uint32_t size, min;
    long (*perform)(struct iommu *iommu, void *arg);
};

static const struct request requests[] = {
    { UAPI_IOMMU_DESTROY, sizeof(struct uapi_iommu_destroy), 8, destroy_entry },
    { UAPI_IOMMU_IOAS_ALLOC, sizeof(struct uapi_iommu_ioas_alloc), 12,
      iommu_request_ioas_alloc },
    { UAPI_IOMMU_IOAS_ALLOW_IOVAS, 24, 24, not_served },
    { UAPI_IOMMU_IOAS_COPY, sizeof(struct uapi_iommu_ioas_copy), 40, iommu_request_copy },
    { UAPI_IOMMU_IOAS_IOVA_RANGES, sizeof(struct uapi_iommu_ioas_iova_ranges), 32,
      iommu_request_ranges },
    { UAPI_IOMMU_IOAS_MAP, sizeof(struct uapi_iommu_ioas_map), 40, iommu_request_map },
    { UAPI_IOMMU_IOAS_UNMAP, sizeof(struct uapi_iommu_ioas_unmap), 24,
      iommu_request_unmap },
    { UAPI_IOMMU_OPTION, sizeof(struct uapi_iommu_option), 24, iommu_request_option },
    { UAPI_IOMMU_VFIO_IOAS, sizeof(struct uapi_iommu_vfio_ioas), 12,
      iommu_request_vfio_ioas },
    { UAPI_IOMMU_HWPT_ALLOC, sizeof(struct uapi_iommu_hwpt_alloc), 24,
      iommu_request_hwpt_alloc },
    { UAPI_IOMMU_GET_HW_INFO, sizeof(struct uapi_iommu_hw_info), 32,
      iommu_request_hw_info },
    { UAPI_IOMMU_HWPT_SET_DIRTY_TRACKING, sizeof(struct uapi_iommu_hwpt_set_dirty), 16,
      iommu_request_set_dirty },
    { UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP, sizeof(struct uapi_iommu_hwpt_get_dirty), 48,
      iommu_request_get_dirty },
    { UAPI_IOMMU_IOAS_MAP_FILE, sizeof(struct uapi_iommu_ioas_map_file), 40,
      iommu_request_map_file },
};

#define REQUESTS (sizeof(requests) / sizeof(requests[0]))
#define REQUEST_BYTES_MAX 48u

static_assert(sizeof(struct uapi_iommu_hwpt_get_dirty) <= REQUEST_BYTES_MAX &&
                  sizeof(struct uapi_iommu_hwpt_alloc) <= REQUEST_BYTES_MAX,
              "a request fits");

/* What a longer structure has behind the known one says something that is not known. */
static int zeros(const uint8_t *from, const uint8_t *end)
{
    for (; from < end; from++) {
        if (*from != 0) {
            return 0;
        }
    }
    return 1;
}

static long iommu_ioctl(struct bridge_object *object, unsigned long number, void *arg)
{
    struct iommu *iommu = (struct iommu *)(void *)object;
    const struct request *request = NULL;
    uint64_t copy[REQUEST_BYTES_MAX / 8] = { 0 };
    uint32_t size;
    uint32_t known;
    long rc;

    for (size_t i = 0; i < REQUESTS; i++) {
        if (requests[i].number == number) {
            request = &requests[i];
        }
    }
    /* IOAS_CHANGE_PROCESS too: the VMM cannot be replaced by another one, and says so. */
    if (request == NULL) {
        return -ENOTTY;
    }
    if (arg == NULL) {
        return -EFAULT;
    }
    memcpy(&size, arg, sizeof(size));
    if (size < request->min) {
        return -EINVAL;
    }
    known = size < request->size ? size : request->size;
    if (size > STRUCT_BYTES_MAX ||
        !zeros((uint8_t *)arg + known, (uint8_t *)arg + size)) {
        return -E2BIG;
    }
    memcpy(copy, arg, known);
    rc = request->perform(iommu, copy);
    if (rc >= 0 || rc == -EMSGSIZE) {
        memcpy(arg, copy, known);
    }
    return rc;
}

static void iommu_destroy(struct bridge_object *object);

const struct bridge_object_ops iommu_ops = {
    .kind = "iommu",
    .ioctl = iommu_ioctl,
    .destroy = iommu_destroy,
};

static int init_locks(struct iommu *iommu)
{
    pthread_rwlockattr_t attr;
    int rc = pthread_rwlockattr_init(&attr);

    if (rc != 0) {
        return -rc;
    }
    /* Servers that keep sending DMA messages must not keep an unmap waiting. */
    (void)pthread_rwlockattr_setkind_np(&attr,
                                        PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    rc = pthread_rwlock_init(&iommu->view, &attr);
    (void)pthread_rwlockattr_destroy(&attr);
    if (rc != 0) {
        return -rc;
    }
    (void)pthread_mutex_init(&iommu->change, NULL);
    (void)pthread_mutex_init(&iommu->window, NULL);
    return 0;
}

int bridge_iommu_create(const struct bridge_token *token,
                        struct bridge_object **ret_object)
{
    struct iommu *iommu = calloc(1, sizeof(*iommu));
    int rc;

    (void)token;
    if (iommu == NULL) {
        return -ENOMEM;
    }
    rc = init_locks(iommu);
    if (rc < 0) {
        free(iommu);
        return rc;
    }
    bridge_object_init(&iommu->object, &iommu_ops);
    *ret_object = &iommu->object;
    return 0;
}

/* Bound devices hold references: none is left, and nobody is attached. */
static void iommu_destroy(struct bridge_object *object)
{
    struct iommu *iommu = (struct iommu *)(void *)object;

    for (uint32_t i = 0; i < IOMMU_OBJECTS_MAX; i++) {
        if (iommu->entry[i].kind == IOMMU_HWPT) {
            iommu_hwpt_free(iommu, iommu->entry[i].what);
        }
    }
    for (uint32_t i = 0; i < IOMMU_OBJECTS_MAX; i++) {
        if (iommu->entry[i].kind == IOMMU_IOAS) {
            iommu_ioas_free(iommu, iommu->entry[i].what);
        }
    }
    (void)pthread_mutex_destroy(&iommu->change);
    (void)pthread_mutex_destroy(&iommu->window);
    (void)pthread_rwlock_destroy(&iommu->view);
    free(iommu);
}

int iommu_id_take(struct iommu *iommu, enum iommu_kind kind, void *what, uint32_t *ret_id)
{
    for (uint32_t i = 0; i < IOMMU_OBJECTS_MAX; i++) {
        if (iommu->entry[i].kind == IOMMU_NONE) {
            iommu->entry[i] = (struct iommu_entry){ .kind = kind, .what = what };
            *ret_id = i + 1;
            return 0;
        }
    }
    return -ENOSPC;
}

void iommu_id_drop(struct iommu *iommu, uint32_t id)
{
    iommu->entry[id - 1] = (struct iommu_entry){ .kind = IOMMU_NONE };
}

void *iommu_id_find(const struct iommu *iommu, uint32_t id, enum iommu_kind kind)
{
    if (id == 0 || id > IOMMU_OBJECTS_MAX || iommu->entry[id - 1].kind != kind) {
        return NULL;
    }
    return iommu->entry[id - 1].what;
}

/* What others use stays; a device goes with its descriptor only. */
static long destroy_entry(struct iommu *iommu, void *arg)
{
    const struct uapi_iommu_destroy *want = arg;
    struct iommu_ioas *ioas;
    struct iommu_hwpt *hwpt;
    long rc = 0;

    (void)pthread_mutex_lock(&iommu->change);
    ioas = iommu_id_find(iommu, want->id, IOMMU_IOAS);
    hwpt = iommu_id_find(iommu, want->id, IOMMU_HWPT);
    if (ioas != NULL && ioas->tables == 0) {
        iommu_ioas_free(iommu, ioas);
    } else if (hwpt != NULL && hwpt->attached == 0) {
        iommu_hwpt_free(iommu, hwpt);
    } else if (ioas != NULL || hwpt != NULL ||
               iommu_id_find(iommu, want->id, IOMMU_DEVICE) != NULL) {
        rc = -EBUSY;
    } else {
        rc = -ENOENT;
    }
    (void)pthread_mutex_unlock(&iommu->change);
    return rc;
}
