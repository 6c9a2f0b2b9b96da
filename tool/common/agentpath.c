/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agentpath.h"
#include "message.h"

#define AGENT_FILE "scry-agent.so"

/* .../tool/scry is this program: .../agent/scry-agent.so, or NULL if there is none. */
static char *in_build_tree(void)
{
	char self[PATH_MAX], *path = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return NULL;
	self[n] = 0;
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(self, '/');

		if (!slash)
			return NULL;
		*slash = 0;
	}
	if (asprintf(&path, "%s/agent/" AGENT_FILE, self) < 0)
		die_nomem();
	if (!access(path, R_OK))
		return path;
	free(path);
	return NULL;
}

char *agent_path(void)
{
	const char *own = getenv("SCRY_AGENT");
	char *path;

	if (own && own[0])
		return checked(strdup(own));
	path = in_build_tree();
	return path ? path : checked(strdup(SCRY_AGENT_DIR "/" AGENT_FILE));
}

char *agent_path_checked(void)
{
	char *path = agent_path();

	if (!access(path, R_OK))
		return path;
	fail("the agent is not at %s: install scry (meson install), or set SCRY_AGENT to where "
	     AGENT_FILE " is", path);
	free(path);
	return NULL;
}
