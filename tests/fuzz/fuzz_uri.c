/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whatever is given as a URI: a driver and an address inside the URI, or a sentence. */
#include <stdlib.h>
#include <string.h>

#include "lib/driver.h"
#include "lib/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct scry_driver *driver = NULL;
	const char *address = NULL;
	char *uri = malloc(size + 1);
	int ret;

	if (!uri)
		return 0;
	if (size)
		memcpy(uri, data, size);
	uri[size] = 0;
	ret = scry_uri_parse(uri, &driver, &address);
	if (ret == 0 && (!driver || address < uri || address >= uri + strlen(uri)))
		abort();
	if (ret < 0 && (ret != SCRY_E_INVAL || !scry_errmsg()[0]))
		abort();
	free(uri);
	return 0;
}
