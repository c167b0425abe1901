// SPDX-License-Identifier: BSD-3-Clause
// Printing that may happen anywhere: in a signal handler, with the world stopped, without memory.
// No stdio, no malloc, no locale; one write(2) a call, errno untouched.
#pragma once

#include <stdarg.h>

#include "base/base.h"

// Formats into buf (always NUL-terminated when n > 0), returns the length it would have had.
//   %s %.*s %c %d %u %x %X %p  with l, ll, z, j and t; field width, '-' and '0' for integers and %s;
//   %.Nf for doubles (halves away from zero, up to 9 decimals); %%. Nothing else; an unknown letter is printed as it stands.
size_t rt_vsnprintf(char *buf, size_t n, const char *fmt, va_list ap);
size_t rt_snprintf(char *buf, size_t n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// To fd 2, at most 4096 bytes.
void rt_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// len bytes to fd 2, errno kept.
void rt_write_err(const char *buf, size_t len);
