/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_PAYLOAD_H
#define FERRY_TESTS_PAYLOAD_H

#include <stdint.h>

/*
 * A guest of a few kilobytes without an operating system. It keeps one device at work,
 * and in each round looks at what the round before left in the device and in memory, so
 * that a migration that loses any of it is seen. It knows `edu`, QEMU's, and Ferry's
 * `copy`.
 */

/* Bytes that one DMA moves; edu's buffer has 4096. */
#define WORK_BYTES 2048u
#define WORK_WORDS (WORK_BYTES / 4u)

/* What all devices have: MMIO, and a buffer that DMA fills and empties. */
struct device {
    const char *name;
    uint16_t vendor;
    uint16_t number;
    uint32_t rounds_a_line; /* rounds for one line of output */

    /* Sets the device up; mmio: its BAR0. Return: NULL, or what is wrong. */
    const char *(*begin)(volatile uint8_t *mmio);

    /* Are the registers as `remember` left them? Return: NULL, or what is wrong. */
    const char *(*check)(void);

    /* Leaves something of this round in the registers. */
    void (*remember)(uint32_t round);

    /* Moves WORK_BYTES from memory into the device. Return: NULL, or what is wrong. */
    const char *(*put)(const uint32_t *from);

    /* Moves WORK_BYTES from the device to memory. Return: NULL, or what is wrong. */
    const char *(*get)(uint32_t *to);
};

extern const struct device edu_device;
extern const struct device copy_device;

/* Lets some time pass between two looks at a device. */
void rest(void);

/* Registers, of their own width. */
static inline uint32_t mmio_read(volatile uint8_t *mmio, uint32_t off)
{
    return *(volatile uint32_t *)(mmio + off);
}

static inline void mmio_write(volatile uint8_t *mmio, uint32_t off, uint32_t value)
{
    *(volatile uint32_t *)(mmio + off) = value;
}

#endif
