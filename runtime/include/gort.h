// SPDX-License-Identifier: BSD-3-Clause
// gort: Go's runtime for C. This header brings in everything; each part also stands alone in <gort/...>.
#pragma once

#include <gort/atomic.h>
#include <gort/base.h>
#include <gort/chan.h>
#include <gort/context.h>
#include <gort/errgroup.h>
#include <gort/file.h>
#include <gort/iface.h>
#include <gort/map.h>
#include <gort/mem.h>
#include <gort/metrics.h>
#include <gort/net.h>
#include <gort/sched.h>
#include <gort/shardedmap.h>
#include <gort/slice.h>
#include <gort/string.h>
#include <gort/sync.h>
#include <gort/time.h>

#ifndef GORT_KEEP_ERRNO
#include <errno.h>
#undef errno
#define errno (*gort_errno_())
#endif
