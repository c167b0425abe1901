// SPDX-License-Identifier: BSD-3-Clause
// How a stack is printed in the text forms of profiles, debug=1 and debug=2. Used by the process itself,
// when it has symbol-table names only, and by the symbolizer, which has files and lines; so this file
// knows neither of them.
//
// A text that the symbolizer is to complete has lines that begin with RTX_MARK in the place of stacks;
// everything else it copies:
//
//   \1M LO HI OFFSET GONE BUILDID PATH    a mapping; BUILDID is - when there is none
//   \1F PC...                             debug=1 frames
//   \1H PC...                             the same, the runtime's leading frames hidden
//   \1T PC...                             debug=2 frames
//   \1C GOID PC                           created by
//
// Numbers in hex, GOID decimal; addresses lie inside the calling instruction, leaf first.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTX_MARK '\1'

// One logical frame; several of one physical frame share pc and entry, the innermost inlined first.
struct rtx_frame {
	uint64_t pc;      // inside the call (return address - 1), or the exact leaf
	uint64_t entry;   // of the physical function; 0 unknown
	const char *name; // NULL unknown
	const char *file; // NULL unknown
	int line;
	bool inlined;       // has no offset of its own
	const char *module; // path of the object; NULL unknown
};

// Where text goes.
struct rtx_sink {
	void (*write)(void *to, const char *s, size_t n);
	void *to;
};

// A function of libgort itself: by the library it is in, by its prefix, or (statics have Go's bare
// names) by its source file. Any string may be NULL.
bool rtx_of_runtime(const char *name, const char *file, const char *module);

// debug=1: one `#` line a frame, cells padded with tabs as Go's tabwriter does. hide: the leading
// frames of the runtime are left out, unless nothing else is there.
void rtx_debug1(const struct rtx_sink *to, const struct rtx_frame *f, size_t n, bool hide);

// debug=2: two lines a frame. The runtime's leading frames are left out, and the one below main; of
// more than 100 frames the middle ones.
void rtx_traceback(const struct rtx_sink *to, const struct rtx_frame *f, size_t n);

// "created by": f is the go statement's frames, of which the innermost is printed.
void rtx_created_by(const struct rtx_sink *to, const struct rtx_frame *f, size_t n, uint64_t goid);
