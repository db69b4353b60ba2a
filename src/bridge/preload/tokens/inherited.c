/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/tokens/inherited.h"

#include "bridge/say.h"

/* Return: the number; 0: it is none of the bridge's. */
static uint32_t number_of(const char *digits)
{
    uint64_t number = 0;

    if (digits[0] == '0') {
        return 0;
    }
    for (; *digits >= '0' && *digits <= '9' && number < UINT32_MAX; digits++) {
        number = number * 10 + (uint64_t)(*digits - '0');
    }
    return *digits == '\0' && number >= BRIDGE_INHERITED_FIRST && number <= INT32_MAX
               ? (uint32_t)number
               : 0;
}

uint32_t bridge_inherited_find(const char *digits, struct bridge_token *ret_token)
{
    const uint32_t number = number_of(digits);
    struct ferry_error error = { .code = FERRY_OK };
    struct bridge_token token;
    int rc;

    if (number == 0) {
        return 0;
    }
    rc = bridge_token_read((int)(number - BRIDGE_INHERITED_FIRST), &token, &error);
    if (rc < 0) {
        bridge_say(NULL, "device %u: %s", number, error.text);
    }
    if (rc <= 0 || token.kind != BRIDGE_TOKEN_DEVICE) {
        return 0;
    }
    *ret_token = token;
    return number;
}
