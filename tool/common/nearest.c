/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "nearest.h"

#define LONGEST 31

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Letters to add, drop, change, or swap with their neighbour to make a of b. */
static size_t distance(const char *a, const char *b)
{
	size_t d[LONGEST + 2][LONGEST + 2], la = strlen(a), lb = strlen(b);

	if (la > LONGEST || lb > LONGEST)
		return LONGEST;
	for (size_t i = 0; i <= la; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		for (size_t j = 1; j <= lb; j++) {
			d[i][j] = min(min(d[i - 1][j] + 1, d[i][j - 1] + 1),
				      d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = min(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[la][lb];
}

struct nearest nearest_to(const char *word)
{
	/* Half of it wrong is another word. */
	return (struct nearest){ .word = word, .distance = (strlen(word) + 1) / 2 + 1 };
}

void nearest_try(struct nearest *nearest, const char *candidate)
{
	size_t d = distance(nearest->word, candidate);

	if (d >= nearest->distance)
		return;
	nearest->distance = d;
	nearest->found = candidate;
}
