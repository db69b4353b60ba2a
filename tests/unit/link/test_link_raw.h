/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_LINK_RAW_H
#define FERRY_TEST_LINK_RAW_H

#include <stddef.h>
#include <stdint.h>

/* A peer that speaks raw bytes. */

#define RAW_VERSION 1
#define RAW_DMA_MAP 2
#define RAW_GET_INFO 4
#define RAW_SET_IRQS 8
#define RAW_REGION_READ 9
#define RAW_REGION_WRITE 10
#define RAW_DMA_READ 11
#define RAW_DMA_WRITE 12
#define RAW_FEATURE 16
#define RAW_DATA_READ 17

#define RAW_NO_REPLY 0x10u
#define RAW_REPLY 1u
#define RAW_REPLY_ERROR 0x21u

/* Raw peers: blocking, with a limit, failing the test when it runs out. */
void raw_send(int fd, const void *bytes, size_t size);
void raw_send_fds(int fd, const void *bytes, size_t size, const int *fds, uint32_t count);
/* Return: bytes of the message including its header; 0 when the peer closed. */
size_t raw_receive(int fd, void *ret_bytes, size_t cap);
/* 1 when the peer has closed without sending anything more. */
int raw_is_closed(int fd);

/* Builds a message. Return: its size. */
size_t raw_message(void *ret_bytes, uint16_t id, uint16_t command, uint32_t flags,
                   const void *payload, size_t bytes);
size_t raw_version(void *ret_bytes, uint16_t id, const char *json);
/* VERSION and its answer. */
void raw_handshake(int fd);
/* A connected socket to a listening server. */
int raw_connect(const char *path);

uint32_t raw_u32(const void *bytes, size_t off);
uint16_t raw_u16(const void *bytes, size_t off);

void raw_put_u32(uint8_t *at, uint32_t value);
void raw_put_u64(uint8_t *at, uint64_t value);

/* A message of REGION_READ (data NULL) or REGION_WRITE. Return: its size. */
size_t raw_region(uint8_t *bytes, uint16_t id, uint16_t command, uint64_t off,
                  uint32_t region, uint32_t count, const void *data);
/* Sets a device state. Return: the message's size. */
size_t raw_set_state(uint8_t *bytes, uint16_t id, uint32_t state);

/* A client that has shaken hands. */
int raw_client(const char *path);
/* The connection still answers: a GET_INFO comes back right. */
void raw_assert_alive(int fd);
/* The server serves a new client from the beginning. */
void raw_assert_serves(const char *path);
/* An Error reply of 16 bytes with an errno comes. */
void raw_assert_error(int fd, uint16_t id, uint16_t command);

#endif
