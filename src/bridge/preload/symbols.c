/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/table.h"
