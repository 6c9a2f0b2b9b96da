/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_KVMI_ADDRESS_H
#define SCRY_KVMI_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What a URI says behind "kvmi:": /path.sock[,key=SECRET|,key-file=FILE] */
struct kvmi_address {
	struct sockaddr_un socket;
	uint8_t cookie[20];	/* SHA-1 of the secret; zeros without one */
};

int kvmi_address_parse(const char *text, struct kvmi_address *address);

#endif
