// SPDX-License-Identifier: BSD-3-Clause
// The CPU quota that a container's cgroup sets, in CPUs: version 2 (cpu.max of this group and its
// parents) or version 1 (cpu.cfs_quota_us / cpu.cfs_period_us). Read once at start, without stdio.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/print.h"
#include "os/os.h"

static bool
read_file(const char *path, char *buf, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t got = read(fd, buf, n - 1);
	close(fd);
	if (got <= 0)
		return false;
	buf[got] = 0;
	return true;
}

// A decimal number at *p; moves behind it. -1: none there.
static int64_t
number(const char **p)
{
	int64_t v = 0;
	const char *s = *p;
	while (*s >= '0' && *s <= '9' && v < INT64_MAX / 20)
		v = v * 10 + (*s++ - '0');
	if (s == *p)
		return -1;
	*p = s;
	return v;
}

static double
quota_v2(const char *dir)
{
	char path[1024], text[128];
	rt_snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", dir);
	if (!read_file(path, text, sizeof text))
		return 0;
	const char *p = text;
	int64_t quota = number(&p); // "max": no number
	if (quota <= 0 || *p++ != ' ')
		return 0;
	int64_t period = number(&p);
	return period > 0 ? (double)quota / (double)period : 0;
}

static double
quota_v1(const char *dir)
{
	char path[1024], text[64];
	rt_snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", dir);
	if (!read_file(path, text, sizeof text))
		return 0;
	const char *p = text;
	int64_t quota = number(&p); // -1: no limit
	rt_snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", dir);
	if (quota <= 0 || !read_file(path, text, sizeof text))
		return 0;
	p = text;
	int64_t period = number(&p);
	return period > 0 ? (double)quota / (double)period : 0;
}

// The path behind the second ':' of the line that starts with prefix or names the controller.
static bool
group_path(const char *text, const char *controller, char *out, size_t n)
{
	for (const char *line = text; *line; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL)) {
		const char *a = strchr(line, ':');
		const char *b = a ? strchr(a + 1, ':') : NULL;
		if (!b)
			continue;
		char names[128];
		rt_snprintf(names, sizeof names, ",%.*s,", (int)(b - a - 1), a + 1);
		char want[32];
		rt_snprintf(want, sizeof want, ",%s,", controller);
		if (!strstr(names, want))
			continue;
		size_t len = strcspn(b + 1, "\n");
		rt_snprintf(out, n, "%.*s", (int)len, b + 1);
		return true;
	}
	return false;
}

// The smallest quota of the group and its ancestors, each level as fn reads it. A path that the mount
// does not show (a container sees its own group as the root) reads as nothing.
static double
smallest(char *path, double (*fn)(const char *dir))
{
	double least = 0;
	for (;;) {
		double q = fn(strcmp(path, "/") == 0 ? "" : path);
		if (q > 0 && (least == 0 || q < least))
			least = q;
		char *slash = strrchr(path, '/');
		if (!slash || !*path)
			return least;
		*slash = 0;
	}
}

double
rt_os_cpu_quota(void)
{
	char text[4096], path[1024];
	int saved = errno;
	double q = 0;
	if (read_file("/proc/self/cgroup", text, sizeof text)) {
		if (group_path(text, "", path, sizeof path))
			q = smallest(path, quota_v2);
		if (q == 0 && group_path(text, "cpu", path, sizeof path))
			q = smallest(path, quota_v1);
	}
	errno = saved;
	return q;
}
