// SPDX-License-Identifier: BSD-3-Clause
#include "core/rtlink.h"

#pragma weak gort_introspect

const struct rt_introspect *
rtp_runtime(void)
{
	// Asked once: handlers call this.
	static _Atomic(const struct rt_introspect *) cached;
	const struct rt_introspect *rt = rt_load_acquire(&cached);
	if (!rt && gort_introspect) {
		rt = gort_introspect();
		rt_store_release(&cached, rt);
	}
	return rt;
}
