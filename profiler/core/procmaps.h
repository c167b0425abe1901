// SPDX-License-Identifier: BSD-3-Clause
// /proc/self/maps, read without stdio or malloc.
#pragma once

#include "base/base.h"

struct rtp_map {
	uintptr_t lo, hi;
	char perms[5];
};

// Opens a file of /proc about the process that is profiled: this one, or the one that the main region
// belongs to. Returns a descriptor or -1.
int rtp_open_proc(const char *file);

// The mapping that holds addr. False when there is none or /proc cannot be read.
bool rtp_procmaps_find(uintptr_t addr, struct rtp_map *m);
