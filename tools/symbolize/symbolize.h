// SPDX-License-Identifier: BSD-3-Clause
// Addresses of one object to functions, files, lines and inlined frames.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One function at an address. Strings live as long as the struct object does.
struct frame {
	const char *name;        // as a person reads it
	const char *system_name; // as the linker spells it
	const char *file;        // NULL unknown
	int line;                // 0 unknown
	int start_line;          // of the function; 0 unknown
};

struct place {
	uint64_t vaddr;        // as in the file
	struct frame *frames;  // innermost inlined function first, the physical one last
	size_t nframes;
	uint64_t entry;        // of the physical function, as in the file; 0 unknown
};

// What an object's debug information was good for.
struct object_info {
	bool functions, lines, inlines;
	char problem[256]; // why not, for the profile's comments; "" when all is well
};

// An executable segment of an object.
struct segment {
	uint64_t off, len, vaddr;
};
#define MAX_SEGMENTS 8
bool segments_vaddr(const struct segment *seg, size_t n, uint64_t off, uint64_t *vaddr);

struct object;

// Opens the file and its separate debug file (build id, .gnu_debuglink; never over the network).
// build_id: lowercase hex that it must have; "" any. NULL, with info->problem set, when it cannot be
// used.
struct object *object_open(const char *path, const char *build_id, struct object_info *info);
void object_close(struct object *o);

// The file address of offset off, if an executable segment holds it.
bool object_vaddr(const struct object *o, uint64_t off, uint64_t *vaddr);
size_t object_segments(const struct object *o, struct segment seg[MAX_SEGMENTS]);
bool object_has_debug_info(const struct object *o);

// Fills the frames of places, which must be sorted by vaddr and distinct. One sweep over the
// compilation units that hold any of them.
void object_symbolize(struct object *o, struct place *p, size_t n, struct object_info *info);
