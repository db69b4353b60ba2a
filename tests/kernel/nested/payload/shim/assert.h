/* SPDX-License-Identifier: BSD-3-Clause */
/* The C library's own needs headers of a 32-bit C library, which may not be there. */
#define static_assert _Static_assert
