/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_IOMMU_PRIVATE_H
#define FERRY_BRIDGE_IOMMU_PRIVATE_H

#include <pthread.h>

#include "bridge/device/device.h"
#include "bridge/iommu/iommu.h"
#include "bridge/iommu/log/log_private.h"
#include "os/memory.h"

/*
 * Locks of an iommufd, in their order:
 *   change  held by whoever maps, unmaps, attaches, detaches: also while a server is
 *           asked, so that all see the changes in one order. Nobody who serves a server's
 *           DMA message takes it: a server may want DMA before it lets go of a map.
 *   view    the arrays of maps and which address space a device is in, for DMA messages.
 *           Written only under `change`, and only between requests to servers.
 *   window  the addresses at which files are mapped here.
 * A log's lock comes behind `change`.
 */

/* Ids of one iommufd: devices, address spaces, page tables. */
#define IOMMU_OBJECTS_MAX 1024u
/* Maps of one address space: as many as a device of this library takes. */
#define IOMMU_MAPS_MAX FERRY_DMA_MAPS_MAX
#define IOMMU_PAGE_BYTES 4096u
/* One past the last address that can be mapped: IOVA + size must be a number. */
#define IOMMU_IOVA_END (UINT64_MAX - IOMMU_PAGE_BYTES + 1)

/* A file behind maps, kept open once, however many maps it has. */
struct iommu_file {
    struct iommu_file *next;
    struct ferry_os_file look; /* which one it is */
    int fd;
    uint32_t writable; /* the descriptor may write */
    uint32_t refs;     /* maps */
    uint32_t owner;    /* id of the device (bridge_device.id) whose region it is, or 0 */
    uint32_t region;   /* of the owner */
    uint32_t closed;   /* no_peer_maps of that device */
    struct ferry_os_map window; /* all of it, mapped when a message first needs it */
};

struct iommu_map {
    uint64_t iova, size;
    uint8_t *address;        /* the VMM's; NULL: only the file is known */
    struct iommu_file *file; /* NULL: reached by messages only */
    uint64_t off;            /* inside the file */
    uint32_t flags;          /* FERRY_DMA_* */
    uint32_t peer;           /* a device's region */
    struct iommu_map *gone;  /* while it is being freed */
};

struct iommu_ioas {
    uint32_t id;
    uint32_t count, cap;    /* maps */
    struct iommu_map **map; /* sorted by iova; they do not overlap */
    struct bridge_attachment *attached;
    uint32_t tables; /* page tables of it */
};

struct iommu_hwpt {
    uint32_t id;
    uint32_t dirty;     /* made for dirty tracking */
    uint32_t tracking;  /* and it is on */
    uint32_t automatic; /* made by an attach to the address space; goes with the last */
    uint32_t attached;  /* devices */
    uint32_t lenient;   /* takes devices without a log: all counts as written by them */
    uint32_t misled;    /* pages were told with an unmap since tracking began */
    struct iommu_ioas *ioas;
    struct log_pages left; /* written by devices that have left since */
};

/* Changes of maps that a server which stands still has not taken: 64 Ki at most. */
#define IOMMU_OWED_MAX (1u << 16)
struct iommu_owed {
    uint64_t iova, size;
    uint32_t is_map; /* 0: an unmap */
    uint32_t pad;
};

struct bridge_attachment {
    struct iommu *iommu;
    struct bridge_device *device;
    uint32_t id;
    /* The connection that has the maps: after another death and return it has none until
     * bridge_iommu_repeat(). */
    uint32_t generation;
    struct iommu_ioas *ioas; /* NULL: not attached */
    struct iommu_hwpt *hwpt;
    struct bridge_attachment *next; /* in the address space */
    struct iommu_owed *owed;        /* in the order in which they came */
    uint32_t owed_count, owed_cap;
};

enum iommu_kind { IOMMU_NONE = 0, IOMMU_DEVICE, IOMMU_IOAS, IOMMU_HWPT };

struct iommu_entry {
    enum iommu_kind kind;
    void *what; /* bridge_attachment, iommu_ioas, iommu_hwpt */
};

struct iommu {
    struct bridge_object object; /* first */
    pthread_mutex_t change;
    pthread_rwlock_t view;
    pthread_mutex_t window;
    struct iommu_entry entry[IOMMU_OBJECTS_MAX]; /* id - 1 */
    struct iommu_file *files;
    uint32_t vfio_ioas;     /* id, 0: none was set */
    uint32_t said_messages; /* memory without a file was announced */
};

/* How an iommufd is told from other objects. */
extern const struct bridge_object_ops iommu_ops;

/* --- ids (iommu.c) */

/* Return: 0 and the lowest free id; -ENOSPC. */
int iommu_id_take(struct iommu *iommu, enum iommu_kind kind, void *what,
                  uint32_t *ret_id);
void iommu_id_drop(struct iommu *iommu, uint32_t id);
/* NULL when id is no such object. */
void *iommu_id_find(const struct iommu *iommu, uint32_t id, enum iommu_kind kind);

/* --- maps of an address space (maps.c) */

/* A map that is in no address space, and its use of a file. */
void iommu_map_free(struct iommu *iommu, struct iommu_map *map);
/* Index of the first map that ends behind iova. */
uint32_t iommu_maps_index(const struct iommu_ioas *ioas, uint64_t iova);
/* Is [iova, iova + size) free? */
int iommu_maps_free(const struct iommu_ioas *ioas, uint64_t iova, uint64_t size);
/* The lowest free place for size bytes. Return: 0; -ENOSPC. */
int iommu_maps_place(const struct iommu_ioas *ioas, uint64_t size, uint64_t *ret_iova);
/* Takes `view`. The range must be free. Return: 0; -ENOSPC, -ENOMEM. */
int iommu_maps_insert(struct iommu *iommu, struct iommu_ioas *ioas,
                      struct iommu_map *map);
/* Takes [first, end) out, under `view`, and frees them. */
void iommu_maps_remove(struct iommu *iommu, struct iommu_ioas *ioas, uint32_t first,
                       uint32_t end);

/* --- files (file.c) */

/* fd: borrowed. ret_size: of the file now. Return: 0; -EBADF, -EINVAL (no regular file),
 * -EMFILE, -ENOMEM. */
int iommu_file_get(struct iommu *iommu, int fd, struct iommu_file **ret_file,
                   uint64_t *ret_size);
void iommu_file_put(struct iommu *iommu, struct iommu_file *file);
/* Where a byte of it is in this process; NULL when it cannot be mapped (or not written).
 * Takes `window`. */
uint8_t *iommu_file_at(struct iommu *iommu, struct iommu_file *file, uint64_t off,
                       uint64_t size, int is_write);

/* --- a device's server (server.c). All under `change`. */

/* A server that is dead, or came back and has no maps yet, is passed over: 0. */
int iommu_server_map(struct bridge_attachment *attachment, const struct iommu_map *map);
/* Harvests the log. 0 also when the server did not know the map. */
int iommu_server_unmap(struct bridge_attachment *attachment, const struct iommu_map *map);
/* Everything of the address space. */
int iommu_server_map_all(struct bridge_attachment *attachment);
void iommu_server_unmap_all(struct bridge_attachment *attachment);
int iommu_server_alive(const struct bridge_attachment *attachment);

/* --- what a server that stands still is told later (owed.c). All under `change`. */

/* It has refused. Return: 1 when it does because it stands still, and it is noted. */
int iommu_owed_add(struct bridge_attachment *attachment, const struct iommu_map *map,
                   uint32_t is_map);
/* Return: 1 when the map is one that it was never told of. */
int iommu_owed_take(struct bridge_attachment *attachment, const struct iommu_map *map);
void iommu_owed_clear(struct bridge_attachment *attachment);

/* The owner's server came back: its regions, which peers have mapped, are other files. */
void iommu_peers_renew(struct iommu *iommu, const struct bridge_device *owner);

/*
 * The same for all devices in it. The map is the address space's from then on: one that a
 * server refuses is taken back at the others and freed.
 */
int iommu_ioas_map(struct iommu *iommu, struct iommu_ioas *ioas, struct iommu_map *map);
int iommu_ioas_unmap(struct iommu *iommu, struct iommu_ioas *ioas, uint32_t first,
                     uint32_t end);

/* --- requests; each gets the structure in full and answers 0 or -errno (ioas.c,
 * map.c, hwpt.c). They take `change`. */
long iommu_request_ioas_alloc(struct iommu *iommu, void *arg);
long iommu_request_ranges(struct iommu *iommu, void *arg);
long iommu_request_map(struct iommu *iommu, void *arg);
long iommu_request_map_file(struct iommu *iommu, void *arg);
long iommu_request_copy(struct iommu *iommu, void *arg);
long iommu_request_unmap(struct iommu *iommu, void *arg);
long iommu_request_vfio_ioas(struct iommu *iommu, void *arg);
long iommu_request_option(struct iommu *iommu, void *arg);
long iommu_request_hwpt_alloc(struct iommu *iommu, void *arg);
long iommu_request_hw_info(struct iommu *iommu, void *arg);
long iommu_request_set_dirty(struct iommu *iommu, void *arg);
long iommu_request_get_dirty(struct iommu *iommu, void *arg);

/* Frees the page table or the address space; nobody may use it any more. */
void iommu_hwpt_free(struct iommu *iommu, struct iommu_hwpt *hwpt);
void iommu_ioas_free(struct iommu *iommu, struct iommu_ioas *ioas);
/* The device's log starts, for a page table that tracks. */
int iommu_hwpt_track(const struct iommu_hwpt *hwpt, struct bridge_device *device);
int iommu_hwpt_make(struct iommu *iommu, struct iommu_ioas *ioas, uint32_t dirty,
                    uint32_t automatic, struct iommu_hwpt **ret_hwpt);

#endif
