/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/access/access.h"

#include <stdio.h>
#include <string.h>

#include "base/reader.h"

#define CONFIG 7u
#define CONFIG_BYTES 256u
#define PCI_CAP_POINTER 0x34u
#define PCI_FIRST_CAP 0x40u
#define CAP_PM 0x01u
#define CAP_MSIX 0x11u
#define CAPS_MAX 48u /* more do not fit: a list that is longer is a ring */
#define NONSENSE_BYTES 64u

static int refused(int status)
{
    return status < 0 && status != FERRY_E_TIMEOUT && status != FERRY_E_CLOSED;
}

static int latches(const struct check_run *run)
{
    return run->at->has_identity && run->at->identity.doorbell_latch != 0;
}

int access_judge(struct check_run *run, const struct access_case *at, int status,
                 const char *what)
{
    const char *state = ferry_state_name(at->state);
    uint32_t verdict = at->cell->verdict;
    char expected[160];
    char text[160];
    char when[64];

    if (verdict == FERRY_LATCH) {
        /* A power state waits on every device; doorbells on those that say so. */
        verdict =
            at->operation == FERRY_OP_POWER || latches(run) ? FERRY_ALLOW : FERRY_REFUSE;
    }
    check_status_text(run, status, text);
    if (verdict != FERRY_REFUSE) {
        snprintf(expected, sizeof(expected), "%s works in %s", what, state);
        return check_that(run, status >= 0, expected, "%s", text);
    }
    snprintf(expected, sizeof(expected), "%s is refused at once in %s", what, state);
    snprintf(when, sizeof(when), "after a refused %s", what);
    return check_that(run, refused(status), expected, "%s",
                      status >= 0 ? "it works" : text) &&
           check_is(run, at->state, when);
}

/* A load of nonsense: what refuses it may stay in RESUMING or end in ERROR. */
static int enter_error(struct check_run *run)
{
    uint8_t nonsense[NONSENSE_BYTES];
    uint32_t state = FERRY_STATE_COUNT;

    if (!check_go(run, FERRY_STATE_RESUMING)) {
        return 0;
    }
    memset(nonsense, 0xa5, sizeof(nonsense));
    (void)check_write(run, nonsense, sizeof(nonsense));
    (void)check_set_state(run, FERRY_STATE_STOP);
    if (check_get_state(run, &state) != FERRY_OK || state != FERRY_STATE_ERROR) {
        check_skip(run, "no request brings this device to ERROR");
        return 0;
    }
    return 1;
}

int access_enter(struct check_run *run, uint32_t state)
{
    return state == FERRY_STATE_ERROR ? enter_error(run) : check_go(run, state);
}

uint32_t access_pick(const struct check_run *run, uint32_t operations, uint32_t at,
                     struct access_case *ret_case)
{
    const char *rule = run->check->info.rule;
    uint32_t count = 0;

    for (uint32_t operation = 0; operation < FERRY_OP_COUNT; operation++) {
        for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
            const struct ferry_access *cell = ferry_access_get(operation, state);

            if (!(operations >> operation & 1u) ||
                !ferry_state_exists(state, run->device.features) ||
                strcmp(cell->rule->id, rule) != 0) {
                continue;
            }
            if (count++ == at) {
                *ret_case = (struct access_case){ operation, state, cell };
            }
        }
    }
    return count;
}

void access_name(const struct access_case *at, char ret_name[FERRY_CHECK_CASE_BYTES])
{
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s@%s",
             ferry_operation_name(at->operation), ferry_state_name(at->state));
}

static void read_msix(const uint8_t *config, uint32_t off, struct access_pci *pci)
{
    const uint32_t table = ferry_load_le32(config + off + 4);
    const uint32_t pba = ferry_load_le32(config + off + 8);

    pci->msix_off = off;
    pci->msix_count = (ferry_load_le16(config + off + 2) & 0x7ffu) + 1;
    pci->table_bar = table & 7u;
    pci->table_off = table & ~7u;
    pci->pba_bar = pba & 7u;
    pci->pba_off = pba & ~7u;
}

int access_pci_read(struct check_run *run, struct access_pci *ret_pci)
{
    uint8_t config[CONFIG_BYTES];
    char text[160];
    int rc = check_region_read(run, CONFIG, 0, config, sizeof(config));
    uint32_t off;

    memset(ret_pci, 0, sizeof(*ret_pci));
    if (rc != FERRY_OK) {
        return check_broken(run, "config space cannot be read: %s",
                            check_status_text(run, rc, text));
    }
    off = config[PCI_CAP_POINTER] & ~3u;
    for (uint32_t i = 0; i < CAPS_MAX && off >= PCI_FIRST_CAP && off + 12 <= CONFIG_BYTES;
         i++) {
        if (config[off] == CAP_PM) {
            ret_pci->pm_off = off;
        } else if (config[off] == CAP_MSIX) {
            read_msix(config, off, ret_pci);
        }
        off = config[off + 1] & ~3u;
    }
    return 1;
}

static int overlaps(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

int access_is_msix(const struct access_pci *pci, uint32_t region, uint64_t off)
{
    const uint64_t pba_bytes = (pci->msix_count + 63ull) / 64 * 8;

    return pci->msix_count > 0 &&
           ((region == pci->table_bar &&
             overlaps(off, 4, pci->table_off, 16ull * pci->msix_count)) ||
            (region == pci->pba_bar && overlaps(off, 4, pci->pba_off, pba_bytes)));
}

/* A place in a region; strict: no MSI-X in it, and nothing of it can be mapped. */
static int place_in(const struct check_device *device, const struct access_pci *pci,
                    uint32_t region, int strict, uint64_t *ret_off)
{
    const uint64_t candidates[] = { 0, (pci->table_off + 16ull * pci->msix_count) & ~3ull,
                                    (pci->pba_off + 256) & ~3ull };
    const uint32_t both = FERRY_REGION_READ | FERRY_REGION_WRITE;

    if ((device->region_flags[region] & both) != both ||
        (strict && ((device->region_flags[region] & FERRY_REGION_MMAP) ||
                    (pci->msix_count > 0 && region == pci->table_bar)))) {
        return 0;
    }
    for (size_t i = 0; i < 3; i++) {
        if (candidates[i] + 4 <= device->region_size[region] &&
            !access_is_msix(pci, region, candidates[i])) {
            *ret_off = candidates[i];
            return 1;
        }
    }
    return 0;
}

int access_region(struct check_run *run, uint32_t *ret_region, uint64_t *ret_off)
{
    const struct check_device *device = run->at;
    struct access_pci pci;

    if (!access_pci_read(run, &pci)) {
        return 0;
    }
    for (int strict = 1; strict >= 0; strict--) {
        for (uint32_t i = 0; i < 6 && i < device->region_count; i++) {
            if (place_in(device, &pci, i, strict, ret_off)) {
                *ret_region = i;
                return 1;
            }
        }
    }
    check_skip(run, "the device has no BAR beside its MSI-X table");
    return 0;
}

int access_snapshot(struct check_run *run, struct check_stream *ret_stream)
{
    if (!check_save(run, ret_stream)) {
        return 0;
    }
    if (!check_go(run, FERRY_STATE_STOP)) {
        check_stream_free(ret_stream);
        return 0;
    }
    return 1;
}

int access_same(struct check_run *run, const struct check_stream *before,
                const struct check_stream *after, const char *what)
{
    char expected[160];
    uint64_t at = 0;

    while (at < before->bytes && at < after->bytes &&
           before->data[at] == after->data[at]) {
        at++;
    }
    snprintf(expected, sizeof(expected), "%s changes nothing of what is saved", what);
    return check_that(run, at == before->bytes && at == after->bytes, expected,
                      "saves of %llu and %llu bytes differ from byte %llu on",
                      (unsigned long long)before->bytes, (unsigned long long)after->bytes,
                      (unsigned long long)at);
}

int access_steady(struct check_run *run, struct check_stream *ret_stream)
{
    struct check_stream first;
    int same;

    if (!access_snapshot(run, &first)) {
        return 0;
    }
    if (!access_snapshot(run, ret_stream)) {
        check_stream_free(&first);
        return 0;
    }
    same = first.bytes == ret_stream->bytes &&
           memcmp(first.data, ret_stream->data, first.bytes) == 0;
    check_stream_free(&first);
    if (!same) {
        check_stream_free(ret_stream);
        check_skip(run, "two saves of this device differ, so nothing is seen by them");
    }
    return same;
}

int access_own_stream(struct check_run *run, struct check_stream *ret_stream)
{
    if (!check_save(run, ret_stream)) {
        return 0;
    }
    if (!check_go(run, FERRY_STATE_RUNNING)) {
        check_stream_free(ret_stream);
        return 0;
    }
    return 1;
}
