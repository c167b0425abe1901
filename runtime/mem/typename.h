// SPDX-License-Identifier: BSD-3-Clause
// One text for one type, however the program spaces and orders its words.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Writes name's canonical spelling and a NUL to buf: one space between words and before the first *,
// none elsewhere; "const int" for "int const", "unsigned long" for "long unsigned int", "bool" for
// "_Bool". A typedef keeps its name. False when buf[n] has no room for it: nothing is written then.
bool rt_type_spelling(char *buf, size_t n, const char *name);
