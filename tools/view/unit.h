// SPDX-License-Identifier: BSD-3-Clause
// Values as people read them: bytes and times in fitting units, everything else as it is.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UNIT_TEXT 96 // bytes that hold any value with its unit

// The unit to print value in: "kB" for 5000 bytes, "ms" for 3000000 nanoseconds. "" when unit is
// neither bytes nor time.
const char *unit_fitting(int64_t value, const char *unit);

// value in the unit called to, with at most two decimals; to == NULL: the fitting one.
const char *unit_format(char text[UNIT_TEXT], int64_t value, const char *unit, const char *to);

// value in nanoseconds when unit is a time, and whether it is one.
int unit_nanoseconds(int64_t value, const char *unit, double *ns);

// Six columns at least: " 5.31%".
const char *unit_percent(char text[UNIT_TEXT], int64_t value, int64_t total);
