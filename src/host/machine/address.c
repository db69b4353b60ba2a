/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/machine/inside.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define DOMAIN_DIGITS 8 /* of bridges that are domains of their own; others have 4 */
#define BUS_DIGITS 2
#define SLOT_LAST 0x1fu
#define FUNCTION_LAST 7u

/* Reads 1 to `most' digits. Return: how many there were. */
static size_t read_hex(const char *text, size_t most, unsigned *ret_value)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    unsigned value = 0;
    size_t i;

    for (i = 0; i < most && text[i] != '\0' && strchr(digits, text[i]) != NULL; i++) {
        value = value << 4 | (unsigned)((strchr(digits, text[i]) - digits) % 16);
    }
    *ret_value = value;
    return i;
}

int machine_pci_address(const char *text, char ret_name[FERRY_MACHINE_NAME_BYTES])
{
    unsigned part[3] = { 0, 0, 0 }, function;
    size_t parts = 0, digits[3] = { 0, 0, 0 };

    /* Up to three numbers with colons between, then a dot. */
    for (;;) {
        digits[parts] = read_hex(text, DOMAIN_DIGITS, &part[parts]);
        if (digits[parts] == 0) {
            return FERRY_E_ARGUMENT;
        }
        text += digits[parts++];
        if (*text != ':') {
            break;
        }
        if (parts == 3) {
            return FERRY_E_ARGUMENT;
        }
        text++;
    }
    if (parts < 2 || *text++ != '.' || read_hex(text, 1, &function) != 1 ||
        text[1] != '\0' || function > FUNCTION_LAST) {
        return FERRY_E_ARGUMENT;
    }
    if (digits[parts - 1] > 2 || part[parts - 1] > SLOT_LAST ||
        digits[parts - 2] > BUS_DIGITS) {
        return FERRY_E_ARGUMENT;
    }
    snprintf(ret_name, FERRY_MACHINE_NAME_BYTES, "%04x:%02x:%02x.%x",
             parts == 3 ? part[0] : 0, part[parts - 2], part[parts - 1], function);
    return FERRY_OK;
}

int machine_is_uuid(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    unsigned value;
    size_t i;

    for (i = 0; form[i] != '\0'; i++) {
        if (form[i] == '-' ? text[i] != '-' : read_hex(text + i, 1, &value) != 1) {
            return 0;
        }
    }
    return text[i] == '\0';
}
