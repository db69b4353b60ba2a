/* SPDX-License-Identifier: GPL-2.0-only */
/* What the model's register header wants of C's library, as the kernel has it. */
#include <linux/build_bug.h>
