/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_BRIDGE_IOMMU_RIG_H
#define FERRY_TEST_BRIDGE_IOMMU_RIG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge/device/device.h"
#include "bridge/iommu/iommu.h"
#include "bridge/iommu/log/log.h"
#include "os/uapi/iommufd.h"
#include "link/hello/version.h"

/*
 * An iommufd with devices whose servers are a table of maps and a set of written pages:
 * they stand in for the connection. What is asked of them is counted and can be refused.
 */

#define PAGE 4096ull
#define RIG_DEVICES 3u
#define RIG_MAPS_MAX 4096u
#define RIG_PAGES (1u << 19) /* addresses below 2 GiB can be written */

struct rig_map {
    uint64_t iova, size, offset;
    uint64_t inode; /* 0: no file */
    uint32_t flags, pad;
};

struct rig {
    struct bridge_device device; /* first */
    struct ferry_link_version agreed;
    pthread_mutex_t lock;
    struct rig_map map[RIG_MAPS_MAX];
    uint32_t maps;
    uint32_t generation;
    atomic_int dead;
    uint32_t max_data;
    /* The log. */
    int log_on;
    uint32_t range_count;
    struct ferry_range range[FERRY_LOG_RANGES_MAX];
    uint8_t *written; /* a byte a page */
    /* What it refuses. */
    int map_status;           /* FERRY_OK, or all maps end with it */
    uint64_t refused_iova;    /* not 0: a map there ends with FERRY_E_LIMIT */
    uint32_t maps_before_end; /* it dies at the map after so many; 0: never */
    int unmap_status;
    uint32_t still; /* 1: it is in STOP and takes no change of maps */
    int no_log, no_runs, no_whole, no_unmap_all, log_status;
    int busy_status;    /* of a START when the log is on; 0: FERRY_E_BUSY */
    int exact_reports;  /* a report must lie in one map */
    uint32_t runs_cap;  /* runs that one answer has; 0: as asked */
    uint64_t runs_span; /* bytes that one answer is about at most; 0: as asked */
    /* What was asked. */
    uint32_t map_calls, unmap_calls, unmap_alls, told_unmaps, runs_calls, report_calls,
        start_calls, stop_calls, probe_calls;
    /* Runs inside DMA_UNMAP, before the map goes. */
    void (*on_unmap)(struct rig *rig, uint64_t iova, uint64_t size);
    /* Runs inside LOG_RUNS and LOG_REPORT, after the log was read. */
    void (*on_report)(struct rig *rig);
};

extern struct bridge_object *iommu;
extern struct rig *rigs[RIG_DEVICES];
/* What bridge_mappings_find() says of every address: -1 is "no file". */
extern int mappings_fd;
extern uint64_t mappings_off;
extern int mappings_region;
extern uint32_t said; /* lines */
extern char said_last[512];

/* Fixture: an iommufd and devices that are bound to it, ids 1 to RIG_DEVICES. */
int rig_start(void **state);
int rig_stop(void **state);

/* The device writes a page: it must be mapped writable there. */
void rig_write(struct rig *rig, uint64_t iova);
/* Return: 0 when it is not mapped. Thread: any. */
int rig_try_write(struct rig *rig, uint64_t iova);
/* The connection dies / there is a new one, which knows nothing. */
void rig_die(struct rig *rig);
void rig_return(struct rig *rig);
/* The server's map of that range, or NULL. */
const struct rig_map *rig_find(const struct rig *rig, uint64_t iova, uint64_t size);

/* Requests of the VMM. Return: as the kernel. */
long ask(unsigned long request, void *arg);
uint32_t make_ioas(void);
uint32_t make_hwpt(uint32_t device, uint32_t ioas, uint32_t flags);
void attach(uint32_t device, uint32_t pt);
long map_va(uint32_t ioas, uint64_t iova, uint64_t length, void *address);
long map_fd(uint32_t ioas, uint64_t iova, uint64_t length, int fd, uint64_t start);
long unmap(uint32_t ioas, uint64_t iova, uint64_t length);
long set_dirty(uint32_t hwpt, uint32_t flags);
long get_dirty(uint32_t hwpt, uint64_t iova, uint64_t length, uint64_t page_size,
               uint32_t flags, void *ret_bitmap);

/* A memfd of so many pages. */
int make_file(uint64_t pages);
uint64_t inode_of(int fd);

#endif
