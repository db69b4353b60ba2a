/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SPEC_TABLES_H
#define FERRY_SPEC_TABLES_H

#include <stdint.h>

/*
 * Prints the tables of the specification from the code, as blocks of Markdown:
 *   @@ NAME
 *   lines
 * NAME is what stands in a page's "generated:" mark. The last two blocks, "rules" and
 * "checks", are no Markdown but lines of fields with a tab between; scripts/spec.py makes
 * the chapters' rules from them.
 */

/* The features that a device may have, and the number of such sets. */
#define SPEC_FEATURES 4
extern const uint32_t spec_features[SPEC_FEATURES];

/* At most 6 letters, for tables that must fit into the 80 columns of a terminal. */
const char *spec_short_name(uint32_t state);

void spec_print_states(void);
void spec_print_arcs(void);
void spec_print_short_names(void);
void spec_print_next(uint32_t features);
void spec_print_pairs(uint32_t features);

void spec_print_access(void);
void spec_print_cells(void);

void spec_print_v1_states(void);
void spec_print_v1_paths(uint32_t features);

void spec_print_rules(void);
void spec_print_checks(void);

#endif
