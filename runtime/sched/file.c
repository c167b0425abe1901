// SPDX-License-Identifier: BSD-3-Clause
// Blocking calls on files, between gort_entersyscall and gort_exitsyscall. The raw system call's result
// is taken before the goroutine may move to another thread, whose errno would be another.
#include <gort/file.h>
#include <gort/sched.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

// The result or -errno; the caller's errno is kept. Again after EINTR.
static long
blocking_call(long number, long a, long b, long c, long d)
{
	long r;
	gort_entersyscall();
	int saved = errno;
	do {
		r = syscall(number, a, b, c, d);
		r = r == -1 ? -errno : r;
	} while (r == -EINTR);
	errno = saved;
	gort_exitsyscall();
	return r;
}

int
gort_file_open(const char *path, int flags, mode_t mode)
{
	return (int)blocking_call(SYS_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, mode);
}

int
gort_file_close(int fd)
{
	gort_entersyscall();
	int saved = errno;
	int r = close(fd) == -1 ? -errno : 0;
	errno = saved;
	gort_exitsyscall();
	return r;
}

ssize_t
gort_file_read(int fd, void *buf, size_t n)
{
	return blocking_call(SYS_read, fd, (long)buf, (long)n, 0);
}

ssize_t
gort_file_pread(int fd, void *buf, size_t n, off_t offset)
{
	return blocking_call(SYS_pread64, fd, (long)buf, (long)n, offset);
}

ssize_t
gort_file_write(int fd, const void *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		long w = blocking_call(SYS_write, fd, (long)buf + (long)done, (long)(n - done), 0);
		if (w < 0)
			return w;
		done += (size_t)w;
	}
	return (ssize_t)n;
}

ssize_t
gort_file_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	for (size_t done = 0; done < n;) {
		long w = blocking_call(SYS_pwrite64, fd, (long)buf + (long)done, (long)(n - done),
				       offset + (off_t)done);
		if (w < 0)
			return w;
		done += (size_t)w;
	}
	return (ssize_t)n;
}

int
gort_file_sync(int fd)
{
	return (int)blocking_call(SYS_fsync, fd, 0, 0, 0);
}
