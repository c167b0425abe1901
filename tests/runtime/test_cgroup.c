// SPDX-License-Identifier: BSD-3-Clause
// runtime/os/cgroup.c, in a mount namespace of the test's own with files of its own.
#include <criterion/criterion.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"

#define ROOT "/sys/fs/cgroup"

static void
put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0, "%s", path);
}

// What /proc/self/cgroup says from now on.
static void
become(const char *text)
{
	put(ROOT "/self", text);
	cr_assert_eq(mount(ROOT "/self", "/proc/self/cgroup", NULL, MS_BIND, NULL), 0);
}

static void
make_root(void)
{
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", ROOT, "tmpfs", 0, NULL) != 0)
		cr_skip_test("no mount namespace for this user");
}

Test(cgroup, version_2_takes_the_least_of_the_group_and_those_above)
{
	make_root();
	mkdir(ROOT "/a", 0755);
	mkdir(ROOT "/a/b", 0755);
	become("0::/a/b\n");
	cr_assert_eq(rt_os_cpu_quota(), 0);
	put(ROOT "/a/b/cpu.max", "max 100000\n");
	cr_assert_eq(rt_os_cpu_quota(), 0);
	put(ROOT "/a/cpu.max", "250000 100000\n");
	cr_assert_eq(rt_os_cpu_quota(), 2.5);
	put(ROOT "/a/b/cpu.max", "150000 100000\n");
	cr_assert_eq(rt_os_cpu_quota(), 1.5);
	put(ROOT "/cpu.max", "50000 100000\n"); // a container's own root
	cr_assert_eq(rt_os_cpu_quota(), 0.5);
}

Test(cgroup, version_1)
{
	make_root();
	mkdir(ROOT "/cpu", 0755);
	mkdir(ROOT "/cpu/a", 0755);
	become("3:memory:/x\n2:cpu,cpuacct:/a\n");
	put(ROOT "/cpu/a/cpu.cfs_quota_us", "-1\n");
	put(ROOT "/cpu/a/cpu.cfs_period_us", "100000\n");
	cr_assert_eq(rt_os_cpu_quota(), 0);
	put(ROOT "/cpu/a/cpu.cfs_quota_us", "300000\n");
	cr_assert_eq(rt_os_cpu_quota(), 3);
}

Test(cgroup, nonsense_is_no_quota)
{
	make_root();
	static const char *const bad[] = {"", "\n", "100000", "100000 ", "100000 0\n", "x 100000\n", "-5 100000\n"};
	become("0::/\n");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put(ROOT "/cpu.max", bad[i]);
		cr_assert_eq(rt_os_cpu_quota(), 0, "%s", bad[i]);
	}
}
