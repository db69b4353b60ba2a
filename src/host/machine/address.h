/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_MACHINE_ADDRESS_H
#define FERRY_HOST_MACHINE_ADDRESS_H

#include "host/machine/machine.h"

/*
 * A PCI address as sysfs writes it: "1:0.0" without its domain, and capitals, become
 * "0000:01:00.0". Return: FERRY_OK; FERRY_E_ARGUMENT: it is none.
 */
int machine_pci_address(const char *text, char ret_name[FERRY_MACHINE_NAME_BYTES]);

/* Return: 1 for 8-4-4-4-12 hexadecimal digits. */
int machine_is_uuid(const char *text);

#endif
