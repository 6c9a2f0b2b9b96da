/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_AGENTPATH_H
#define TOOL_AGENTPATH_H

/*
 * Where scry-agent.so is: $SCRY_AGENT, else in the build tree that this program
 * is of, else where it is installed.  The caller frees it; the file may be
 * missing.
 */
char *agent_path(void);

/* agent_path() if the file is there; else says what to do and returns NULL. */
char *agent_path_checked(void);

#endif
