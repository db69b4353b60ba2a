/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_SESSION_CONFIG_H
#define FERRY_CORE_SESSION_CONFIG_H

#include "ferry/session.h"

/* Return: FERRY_OK or FERRY_E_ARGUMENT. */
int ferry_session_config_check(const struct ferry_session_config *config);

/* Puts the defaults where 0 stands. */
void ferry_session_config_fill(struct ferry_session_config *config);

#endif
