/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_ACC_ACC_IMAGE_H
#define FERRY_MODELS_ACC_ACC_IMAGE_H

#include <stdint.h>

#include "models/acc/acc_hw.h"

/*
 * The bytes of the variant driver's stream: made from registers and written back to
 * registers. The layout is in docs/models/acc.md.
 */
#define ACC_IMAGE_MATCH_BYTES 48u
#define ACC_IMAGE_HEADER_BYTES 16u
#define ACC_IMAGE_VERSION 1u

/* Bytes of the longest stream of this hardware; of one with so many sessions. */
uint64_t acc_image_max(struct acc_hw *hw);
uint64_t acc_image_bytes(struct acc_hw *hw);

/* Writes the match data (ACC_IMAGE_MATCH_BYTES). */
void acc_image_match(struct acc_hw *hw, uint8_t *ret_stream);

/*
 * May match data of another device be loaded here?
 * Return: FERRY_OK; FERRY_E_FOREIGN (no match data of this model), FERRY_E_VERSION,
 *   FERRY_E_CORRUPT, FERRY_E_INCOMPATIBLE.
 */
int acc_image_match_check(struct acc_hw *hw, const uint8_t *stream);

/* Writes the state behind the match data. The hardware is paused. Return: whole length.
 */
uint64_t acc_image_save(struct acc_hw *hw, uint8_t *ret_stream);

/*
 * Length of the whole stream by the state's header, which lies behind the match data.
 * Return: FERRY_OK; FERRY_E_FOREIGN; FERRY_E_CORRUPT (counts and length that cannot be).
 */
int acc_image_length(struct acc_hw *hw, const uint8_t *stream, uint64_t *ret_bytes);

/* Does the hash of a whole stream match? Return: FERRY_OK, FERRY_E_CORRUPT. */
int acc_image_check(const uint8_t *stream, uint64_t bytes);

/*
 * Brings the paused hardware into the state of a whole, checked stream.
 * Return: FERRY_OK; FERRY_E_CORRUPT (a value that the hardware refuses: it is back in
 *   power-on state, paused).
 */
int acc_image_load(struct acc_hw *hw, const uint8_t *stream);

#endif
