// SPDX-License-Identifier: BSD-3-Clause
// The gort command: one file a subcommand, named cmd_<it>, with the exit status as its result.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int cmd_diff(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_flame(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_symbolize(int argc, char **argv);
int cmd_top(int argc, char **argv);

// "gort: ..." on stderr.
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

// ---- inspect.c: what an executable is ----

struct exe {
	char path[4096];     // as found; of a script, its interpreter's
	char script[4096];   // the script itself; "" for a program
	int err;             // it cannot be read: errno
	bool elf, native;    // ELF at all; of this machine's class and kind
	bool dynamic;        // has an interpreter: it can be preloaded
	bool privileged;     // setuid, setgid or file capabilities: the loader ignores LD_PRELOAD
	bool symbols, debug; // .symtab; .debug_info or a link to it
	bool unwind;         // .eh_frame_hdr: stacks can be walked
	bool build_id;
	bool own_malloc, own_sigprof; // defines malloc; refers to setitimer or timer_create
	bool runtime;        // linked with libgort
	bool asan;           // needs AddressSanitizer's library
	char libc[64];       // its interpreter's file name
};

// Looks name up as a shell does. False: not found, errno says why.
bool find_program(const char *name, char *path, size_t n);
// Fills in what can be told from the file.
void inspect(const char *path, struct exe *e);
// Why gort run cannot profile it; NULL when it can. what_to_do gets a hint.
const char *refusal(const struct exe *e, const char **what_to_do);
// The absolute path of libgort-preload.so; false when it is missing.
bool find_preload(char *path, size_t n);
