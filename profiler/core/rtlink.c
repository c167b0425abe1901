// SPDX-License-Identifier: BSD-3-Clause
#include "core/rtlink.h"

#pragma weak gort_introspect

const struct rt_introspect *
rtp_runtime(void)
{
	return gort_introspect ? gort_introspect() : NULL;
}
