/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "driver.h"
#include "uri.h"

#define URI_MAX 4096
#define FORMS   "qemu:NAME, qemu:PID, qemu:/path/agent.sock, kvmi:/path.sock, " \
		"xen:NAME, xen:DOMID or file:/path/dump"

int scry_uri_parse(const char *uri, const struct scry_driver **driver, const char **address)
{
	const char *colon;
	size_t scheme;

	if (!uri || !uri[0])
		return scry_fail(SCRY_E_INVAL, "no VM is named: give a name, " FORMS);
	if (strnlen(uri, URI_MAX) == URI_MAX)
		return scry_fail(SCRY_E_INVAL, "the VM's URI is longer than %d bytes", URI_MAX);

	colon = uri[0] == '/' ? NULL : strchr(uri, ':');
	if (!colon) {
		*driver = scry_drivers[0];
		*address = uri;
		return 0;
	}
	scheme = (size_t)(colon - uri);
	for (const struct scry_driver *const *d = scry_drivers; *d; d++) {
		if (strlen((*d)->scheme) != scheme || strncmp((*d)->scheme, uri, scheme))
			continue;
		if (!colon[1])
			return scry_fail(SCRY_E_INVAL, "'%s' names no VM: a name, a PID or a path "
					 "must follow the colon", uri);
		*driver = *d;
		*address = colon + 1;
		return 0;
	}
	return scry_fail(SCRY_E_INVAL, "'%.*s' is no driver of this libscry: use " FORMS,
			 (int)(scheme < 64 ? scheme : 64), uri);
}
