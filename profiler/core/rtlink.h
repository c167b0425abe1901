// SPDX-License-Identifier: BSD-3-Clause
// The way to the runtime, if this program has one.
#pragma once

#include "debug/hooks.h"

// NULL in native programs. Async-signal-safe after the first call (a constructor makes it).
const struct rt_introspect *rtp_runtime(void);
