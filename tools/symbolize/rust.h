// SPDX-License-Identifier: BSD-3-Clause
// Rust's newer symbol names (RFC 2603, "v0"): _R and a grammar of their own.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// The readable form of a v0 name in buf, without hashes of crates. False when it is no such name or does
// not fit.
bool rust_demangle(const char *name, char *buf, size_t n);
