/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_PAGE_H
#define AGENT_KVM_PAGE_H

#include "alias.h"

/* What is in the place of an alias's pages, and which accesses they let through. */

/* Have pages first to last - 1 be so, which all are alike; remapped ones are one. */
bool pages_set(struct alias *alias, uint64_t first, uint64_t last, uint64_t entry);

/* As ram_open() and ram_close(). */
void page_open(struct alias *alias, uint64_t page, bool write);
void page_close(struct alias *alias, uint64_t page);

/* The same of all, but for copies of plant.c. */
void pages_open_all(const struct alias *alias);
void pages_close_all(const struct alias *alias);

#endif
