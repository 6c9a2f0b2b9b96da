/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_MATCH_H
#define SCRY_MATCH_H

#include <stdbool.h>

#include <scry/event.h>

/*
 * Does the subscription ask for this event?  For drivers whose hypervisor has no
 * filters of its own.  Of SCRY_EVENT_STEP all but `count`, which the driver counts.
 */
bool scry_matches(const struct scry_subscription *sub, const struct scry_event *event);

#endif
