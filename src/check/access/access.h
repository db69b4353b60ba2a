/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_ACCESS_ACCESS_H
#define FERRY_CHECK_ACCESS_ACCESS_H

#include "check/check.h"
#include "ferry/device.h"

/* -- cases.c -- */

/*
 * The checks of the access table (cells/cells.c) take their cases from the table itself:
 * a case is a cell, named "CONFIG_READ@STOP". Each operation has one function that tries
 * it.
 */
struct access_case {
    uint32_t operation; /* enum ferry_operation */
    uint32_t state;     /* enum ferry_state */
    const struct ferry_access *cell;
};

typedef void access_try(struct check_run *run, const struct access_case *at);

/*
 * Does a status agree with the cell? Allowed: it works; refused: it fails at once, and
 * the device is still in that state; latched: it works on a device that says that it
 * latches. Return: 1 when it does; else the case has FAILED.
 */
int access_judge(struct check_run *run, const struct access_case *at, int status,
                 const char *what);

/*
 * check_go() to any state but ERROR. To ERROR no request leads: a load of nonsense is
 * tried, which lets some devices go there; else the case is skipped. Return: 1 when
 * there.
 */
int access_enter(struct check_run *run, uint32_t state);

/* The number of a check's case: the at-th (operation, state) of the operations whose cell
 * names the check's rule. Return: how many there are. */
uint32_t access_pick(const struct check_run *run, uint32_t operations, uint32_t at,
                     struct access_case *ret_case);
void access_name(const struct access_case *at, char ret_name[FERRY_CHECK_CASE_BYTES]);

/* Lets time go by in which something that must not happen could, and says so. */
void access_watch(struct check_run *run);

/* -- places.c -- */

/* What config space says. Offsets and counts are 0 where something is not there. */
struct access_pci {
    uint32_t pm_off;   /* power management capability */
    uint32_t msix_off; /* MSI-X capability */
    uint32_t msix_count;
    uint32_t table_bar, pba_bar;
    uint64_t table_off, pba_off;
};
/* Return: 1; 0 with the case BROKEN (config space cannot be read). */
int access_pci_read(struct check_run *run, struct access_pci *ret_pci);

/* A BAR that is trapped at least in part, and four bytes of it that are neither MSI-X
 * table nor pending bits. Return: 1; 0 with the case skipped. */
int access_region(struct check_run *run, uint32_t *ret_region, uint64_t *ret_off);
/* Is [off, off + 4) of that region in MSI-X table or pending bits? */
int access_is_msix(const struct access_pci *pci, uint32_t region, uint64_t off);

/* A byte of a region that keeps what is written while the device runs. */
struct access_place {
    uint32_t region;
    uint64_t off;
    uint8_t old, fresh; /* what it holds, and another value */
};
/* The message data of vector 0, in the MSI-X table. */
struct access_place access_msix_data(const struct access_pci *pci);
/* In config space, in the MSI-X table. Return: 1; 0 with the case skipped or BROKEN. */
int access_config_place(struct check_run *run, struct access_place *ret_place);
int access_msix_place(struct check_run *run, struct access_place *ret_place);
/* Does the byte keep what is written? It is as before afterwards; old and fresh are set.
 */
int access_keeps(struct check_run *run, struct access_place *place);
int access_put(struct check_run *run, const struct access_place *place, uint8_t value);
int access_look(struct check_run *run, const struct access_place *place,
                uint8_t *ret_value);

/* -- streams.c -- */

/* A stream of the device as it stands (in STOP), after which it is in STOP again.
 * Return: 1; else the case is BROKEN. */
int access_snapshot(struct check_run *run, struct check_stream *ret_stream);
/* 1 when they are the same; else the case has FAILED with `what` as the culprit. */
int access_same(struct check_run *run, const struct check_stream *before,
                const struct check_stream *after, const char *what);
/* 1 when two saves of the stopped device are equal at all; else the case is skipped.
 * ret_stream: the second one. The device is in STOP. */
int access_steady(struct check_run *run, struct check_stream *ret_stream);

/* The whole stream of a device in RUNNING, which is in RUNNING again. */
int access_own_stream(struct check_run *run, struct check_stream *ret_stream);
/* Its own state is saved and loaded, with the memory as it was left: it is in STOP.
 * Return: 1; else FAILED or BROKEN. */
int access_load_own(struct check_run *run);

/* -- cells/ -- */

/* How each operation is tried; NULL: by a check of its own. */
extern access_try access_config_read, access_config_write, access_msix_read,
    access_msix_write, access_region_read, access_region_write, access_info,
    access_dma_map, access_dma_unmap, access_log_control, access_log_report,
    access_data_read, access_data_write, access_precopy_info, access_data_size,
    access_reset, access_power;
extern access_try access_ioeventfd, access_mmap, access_dma_accept, access_work;

#endif
