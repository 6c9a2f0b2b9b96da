/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_STOP_H
#define TOOL_STOP_H

#include <stdbool.h>

/* From here on SIGINT, SIGTERM, SIGHUP and SIGQUIT only make stop_asked() true. */
void stop_on_signals(void);
bool stop_asked(void);

#endif
