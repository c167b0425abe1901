// SPDX-License-Identifier: BSD-3-Clause
#include "core/procmaps.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/thread.h"

int
rtp_open_proc(const char *file)
{
	char path[64];
	const struct rtp_region *r = rtp_remote ? rtp_main_peek() : NULL;
	if (r)
		snprintf(path, sizeof(path), "/proc/%d/%s", r->pid, file);
	else
		snprintf(path, sizeof(path), "/proc/self/%s", file);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static const char *
hex(const char *p, uintptr_t *v)
{
	for (*v = 0;; p++) {
		if (*p >= '0' && *p <= '9')
			*v = *v * 16 + (uintptr_t)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			*v = *v * 16 + (uintptr_t)(*p - 'a' + 10);
		else
			return p;
	}
}

static bool
parse(const char *line, struct rtp_map *m)
{
	const char *p = hex(line, &m->lo);
	if (*p++ != '-')
		return false;
	p = hex(p, &m->hi);
	if (*p++ != ' ' || strnlen(p, 4) < 4)
		return false;
	memcpy(m->perms, p, 4);
	m->perms[4] = 0;
	return true;
}

// One whole line at a time: the kernel never cuts a line between reads, but a path may be longer than
// what is left of the buffer, so a partial tail moves to the front.
bool
rtp_procmaps_find(uintptr_t addr, struct rtp_map *m)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	char buf[8192];
	size_t have = 0;
	bool found = false;
	for (;;) {
		ssize_t n = read(fd, buf + have, sizeof(buf) - 1 - have);
		if (n <= 0)
			break;
		have += (size_t)n;
		buf[have] = 0;
		char *line = buf, *nl;
		while (!found && (nl = memchr(line, '\n', have - (size_t)(line - buf)))) {
			*nl = 0;
			found = parse(line, m) && addr >= m->lo && addr < m->hi;
			line = nl + 1;
		}
		if (found)
			break;
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
		if (have == sizeof(buf) - 1)
			have = 0; // a line of 8 KiB: skip what is in hand
	}
	close(fd);
	return found;
}
