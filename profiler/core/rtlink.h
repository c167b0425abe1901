// SPDX-License-Identifier: BSD-3-Clause
// The way to the runtime, if this program has one.
#pragma once

#include "debug/hooks.h"

// NULL in native programs, and before gort_run has set the runtime up.
const struct rt_introspect *rtp_runtime(void);
