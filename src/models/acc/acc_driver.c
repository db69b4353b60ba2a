/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/acc/acc_driver.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "models/acc/acc_image.h"

/* From here on the state's header says how long the stream is. */
#define STATE_KNOWN_BYTES (ACC_IMAGE_MATCH_BYTES + ACC_IMAGE_HEADER_BYTES)

void acc_driver_init(struct acc_driver *driver, struct acc_hw *hw)
{
    memset(driver, 0, sizeof(*driver));
    driver->hw = hw;
}

void acc_driver_end(struct acc_driver *driver)
{
    if (driver->stream != NULL) {
        /* It held keys. */
        OPENSSL_cleanse(driver->stream, (size_t)driver->stream_cap);
        free(driver->stream);
    }
    acc_driver_init(driver, driver->hw);
}

void acc_driver_reset(struct acc_driver *driver, enum ferry_reset_reason reason)
{
    if (reason == FERRY_RESET_RESUMING) {
        /* The session's buffer, made by the arc, stays. */
        (void)acc_hw_write(driver->hw, ACC_W_RESET, 1);
        return;
    }
    acc_driver_end(driver);
    (void)acc_hw_write(driver->hw, ACC_W_RESET, 1);
    (void)acc_hw_write(driver->hw, ACC_W_CONTROL, 0);
}

/* Stops the hardware: it takes no more requests, and what it took is published. */
static int pause_hw(struct acc_driver *driver)
{
    const uint32_t still = ACC_STATE_PAUSED | ACC_STATE_IDLE;

    if (acc_hw_write(driver->hw, ACC_W_CONTROL, ACC_CONTROL_PAUSE) != FERRY_OK ||
        (acc_hw_read(driver->hw, ACC_W_STATE) & still) != still) {
        return FERRY_E_DEVICE;
    }
    return acc_hw_write(driver->hw, ACC_W_FLUSH, 1);
}

static int session_alloc(struct acc_driver *driver)
{
    acc_driver_end(driver);
    driver->stream_cap = acc_image_max(driver->hw);
    driver->stream = calloc(1, (size_t)driver->stream_cap);
    return driver->stream != NULL ? FERRY_OK : FERRY_E_MEMORY;
}

static int begin_save(struct acc_driver *driver)
{
    const int status = session_alloc(driver);

    if (status == FERRY_OK) {
        acc_image_match(driver->hw, driver->stream);
        driver->stream_bytes = ACC_IMAGE_MATCH_BYTES;
    }
    return status;
}

/* RESUMING to STOP: all or nothing of what was loaded comes into force. */
static int end_load(struct acc_driver *driver)
{
    uint64_t bytes = 0;
    int status = driver->load_status;

    if (status == FERRY_OK && driver->stream_bytes < STATE_KNOWN_BYTES) {
        status = FERRY_E_SHORT;
    }
    if (status == FERRY_OK) {
        status = acc_image_length(driver->hw, driver->stream, &bytes);
    }
    if (status == FERRY_OK && driver->stream_bytes < bytes) {
        status = FERRY_E_SHORT;
    }
    if (status == FERRY_OK) {
        status = acc_image_load(driver->hw, driver->stream);
    }
    if (status != FERRY_OK) {
        driver->load_status = status;
        return status;
    }
    acc_driver_end(driver);
    return FERRY_OK;
}

static int enter_stop(struct acc_driver *driver, uint32_t from)
{
    if (from == FERRY_STATE_RESUMING) {
        return end_load(driver);
    }
    if (from == FERRY_STATE_STOP_COPY) {
        acc_driver_end(driver);
        return FERRY_OK;
    }
    return pause_hw(driver);
}

static int enter_stop_copy(struct acc_driver *driver, uint32_t from)
{
    int status = pause_hw(driver);

    if (status == FERRY_OK && from != FERRY_STATE_PRE_COPY) {
        status = begin_save(driver);
    }
    if (status == FERRY_OK) {
        driver->stream_bytes = acc_image_save(driver->hw, driver->stream);
    } else if (from == FERRY_STATE_PRE_COPY) {
        (void)acc_hw_write(driver->hw, ACC_W_CONTROL, 0);
    }
    return status;
}

int acc_driver_arc(struct acc_driver *driver, uint32_t from, uint32_t to)
{
    switch (to) {
    case FERRY_STATE_STOP:
        return enter_stop(driver, from);
    case FERRY_STATE_STOP_COPY:
        return enter_stop_copy(driver, from);
    case FERRY_STATE_PRE_COPY:
        return begin_save(driver);
    case FERRY_STATE_RESUMING:
        return session_alloc(driver);
    case FERRY_STATE_RUNNING:
        acc_driver_end(driver); /* pre-copy that was given up */
        return acc_hw_write(driver->hw, ACC_W_CONTROL, 0);
    default:
        return FERRY_E_ARC;
    }
}

int acc_driver_save(struct acc_driver *driver, int final, void *ret_data, size_t cap)
{
    uint64_t part = driver->stream_bytes - driver->off;

    if (part == 0) {
        return final ? 0 : FERRY_E_DRY;
    }
    part = part < cap ? part : cap;
    part = part < INT32_MAX ? part : INT32_MAX;
    memcpy(ret_data, driver->stream + driver->off, (size_t)part);
    driver->off += part;
    if (final && driver->off == driver->stream_bytes) {
        OPENSSL_cleanse(driver->stream, (size_t)driver->stream_cap);
    }
    return (int)part;
}

/* How many bytes are wanted before the next check. */
static int next_goal(struct acc_driver *driver, uint64_t *ret_goal)
{
    if (driver->stream_bytes < ACC_IMAGE_MATCH_BYTES) {
        *ret_goal = ACC_IMAGE_MATCH_BYTES;
        return FERRY_OK;
    }
    if (driver->stream_bytes < STATE_KNOWN_BYTES) {
        *ret_goal = STATE_KNOWN_BYTES;
        return FERRY_OK;
    }
    return acc_image_length(driver->hw, driver->stream, ret_goal);
}

static int check_goal(struct acc_driver *driver, uint64_t goal)
{
    if (goal == ACC_IMAGE_MATCH_BYTES) {
        return acc_image_match_check(driver->hw, driver->stream);
    }
    return goal == STATE_KNOWN_BYTES ? FERRY_OK : acc_image_check(driver->stream, goal);
}

int acc_driver_load(struct acc_driver *driver, const void *data, size_t count)
{
    const uint8_t *from = data;

    if (driver->stream == NULL) {
        return FERRY_E_STATE;
    }
    while (count != 0 && driver->load_status == FERRY_OK) {
        uint64_t goal = 0;
        uint64_t part;

        driver->load_status = next_goal(driver, &goal);
        if (driver->load_status != FERRY_OK) {
            break;
        }
        if (driver->stream_bytes == goal) {
            driver->load_status = FERRY_E_LONG;
            break;
        }
        part = goal - driver->stream_bytes;
        part = part < count ? part : count;
        memcpy(driver->stream + driver->stream_bytes, from, (size_t)part);
        driver->stream_bytes += part;
        from += part;
        count -= (size_t)part;
        if (driver->stream_bytes == goal) {
            driver->load_status = check_goal(driver, goal);
        }
    }
    return driver->load_status;
}

uint64_t acc_driver_initial_bytes(const struct acc_driver *driver)
{
    return driver->stream_bytes - driver->off;
}

uint64_t acc_driver_data_size(const struct acc_driver *driver, uint32_t state)
{
    const uint64_t bytes = acc_image_bytes(driver->hw);

    if (state == FERRY_STATE_STOP_COPY) {
        const uint64_t left = driver->stream_bytes - driver->off;

        return left != 0 ? left : 1;
    }
    return state == FERRY_STATE_PRE_COPY ? bytes - driver->off : bytes;
}
