/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_KVMI_RX_H
#define SCRY_KVMI_RX_H

/* Bytes read ahead: some messages of the longest kind. */
#define KVMI_RX_SIZE 131072u

/* Longest time that a read sleeps before it looks whether it is still wanted. */
#define KVMI_SLICE_MS 100u

#endif
