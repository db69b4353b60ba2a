/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_GUEST_STORAGE_H
#define FERRY_DRIVERS_GUEST_STORAGE_H

#include <stdint.h>

#include "drivers/acc_driver.h"
#include "ferry/error.h"

/*
 * The guest's disk: the input file and one result file per pass. It is not part of the
 * context: both hosts reach the same files.
 */
#define STORAGE_OPEN_PASSES 4

struct storage {
    int input;
    int folder; /* of the results */
    uint64_t input_bytes;
    int pass_fd[STORAGE_OPEN_PASSES]; /* -1: none */
    uint32_t pass[STORAGE_OPEN_PASSES];
};

/* Nothing is open; storage_close() may be called. */
void storage_init(struct storage *storage);
/* Return: FERRY_OK; FERRY_E_NOT_FOUND, FERRY_E_PERMISSION, FERRY_E_IO (reterr says
 * which). */
int storage_open(struct storage *storage, const char *input, const char *folder,
                 struct ferry_error *reterr);
void storage_close(struct storage *storage);

/* Fills the buffer from the input. Return: FERRY_OK; FERRY_E_SHORT, FERRY_E_IO. */
int storage_read(struct storage *storage, uint64_t off, uint8_t *ret_data,
                 uint64_t bytes);
/* Return: FERRY_OK; FERRY_E_IO. */
int storage_write(struct storage *storage, uint32_t pass, uint64_t off,
                  const uint8_t *data, uint64_t bytes);

/* How an input is cut into lanes; the same for whoever verifies. */
struct storage_lane {
    uint64_t off, bytes;   /* in the input */
    uint64_t result_off;   /* in a result file */
    uint64_t result_bytes; /* with PKCS#7 padding: 1 to 16 bytes more */
};
/* Bytes of every lane but the last ones. */
uint64_t storage_lane_bytes(uint64_t input_bytes, uint32_t lanes);
void storage_lane(uint64_t input_bytes, uint32_t lanes, uint32_t lane,
                  struct storage_lane *ret_lane);
/* The initialisation vector: another one for each pass and lane, so that what an earlier
 * pass left in a buffer cannot pass for this one's work. */
void storage_iv(uint32_t pass, uint32_t lane, uint8_t ret_iv[ACC_IV_BYTES]);

#define STORAGE_NAME_BYTES 32
/* Name of a pass's file inside the folder: "pass-000.bin". */
void storage_name(uint32_t pass, char ret_name[STORAGE_NAME_BYTES]);

#endif
