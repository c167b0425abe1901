// SPDX-License-Identifier: BSD-3-Clause
// The helper's other two modes.
#pragma once

#include <stdio.h>

// A text profile with marks (profiler/text/frames.h) in, the same with names, files and lines out. Exit
// status: 0, or 1 or 2 with nothing written.
int symbolize_text(int in, int out);

// For tracebacks. Each line "ADDRESS PATH" (hex, as in the file) is answered at once: a line
// "NAME<tab>FILE:LINE" for each frame, innermost inlined first, then an empty line.
int symbolize_lines(FILE *in, FILE *out);
