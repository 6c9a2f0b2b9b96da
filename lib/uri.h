/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_URI_H
#define SCRY_URI_H

struct scry_driver;

/*
 * The driver that a URI names, and in *address what follows its scheme (inside
 * uri).  No scheme, or a path, means the first driver.
 */
int scry_uri_parse(const char *uri, const struct scry_driver **driver, const char **address);

#endif
