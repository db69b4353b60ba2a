/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_WIRE_SAMPLES_H
#define FERRY_TEST_WIRE_SAMPLES_H

#include "wire/message.h"

/* One well-formed request and its reply; the tests break them, the fuzzer starts from
 * them. */
struct wire_sample {
    const char *name;
    struct ferry_wire_message ask;
    struct ferry_wire_message answer; /* command 0: there is none */
    uint32_t ask_shorter[2]; /* payload sizes below the full one that are legal as well */
    uint32_t answer_shorter[2];
    uint32_t ask_shorter_count, answer_shorter_count;
};

#define WIRE_SAMPLE_BYTES 2048u

/* The i-th sample, or NULL past the last. */
const struct wire_sample *wire_sample_get(size_t i);

/* The sample of a name; ends the test when there is none. */
const struct wire_sample *wire_sample_find(const char *name);

/* Head and data of a message. Returns its size; ends the test when it cannot be encoded.
 */
size_t wire_sample_bytes(const struct ferry_wire_message *message,
                         uint8_t ret_bytes[WIRE_SAMPLE_BYTES]);

/*
 * Decodes size bytes as a message from sender (an enum ferry_wire_sender): header, its
 * check, body. asked: for replies. As much of the payload is "there" as size says.
 */
int wire_sample_decode(const uint8_t *bytes, size_t size, uint32_t sender,
                       uint32_t fd_count, const struct ferry_wire_message *asked,
                       struct ferry_wire_message *ret_message,
                       struct ferry_error *reterr);

/* Who sends a message of this command, as a request or a reply. */
uint32_t wire_sample_sender(uint32_t command, int reply);

extern const struct ferry_wire_limits wire_sample_limits;

#endif
