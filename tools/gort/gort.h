// SPDX-License-Identifier: BSD-3-Clause
// The gort command: one file a subcommand, named cmd_<it>, with the exit status as its result.
#pragma once

int cmd_diff(int argc, char **argv);
int cmd_flame(int argc, char **argv);
int cmd_top(int argc, char **argv);

// "gort: ..." on stderr.
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
