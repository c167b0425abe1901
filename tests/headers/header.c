// SPDX-License-Identifier: BSD-3-Clause
// Compiled once for each public header, which must need no other before it.
#include GORT_HEADER

int
main(void)
{
	return 0;
}
