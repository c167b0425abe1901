// SPDX-License-Identifier: BSD-3-Clause
// The second unit of the C++ program.
#include "cplusplus.h"

counter *
new_counter()
{
	counter *c = new counter;
	c->add();
	return c;
}
