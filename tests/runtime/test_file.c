// SPDX-License-Identifier: BSD-3-Clause
// runtime/sched/file.c and fork.c.
#include "on_gort.h"

#include <errno.h>
#include <fcntl.h>

#include <gort/file.h>
#include <gort/sched.h>

GORT_TEST(file, what_is_written_is_read_back)
{
	char name[] = "/tmp/gort-file-XXXXXX", buf[32] = {0};
	int fd = mkstemp(name);
	CHECK(fd >= 0);
	close(fd);
	fd = gort_file_open(name, O_RDWR, 0);
	CHECK(fd >= 0);
	CHECK_EQ(gort_file_write(fd, "hello world", 11), 11);
	CHECK_EQ(gort_file_pwrite(fd, "W", 1, 6), 1);
	CHECK_EQ(gort_file_pread(fd, buf, 5, 6), 5);
	CHECK(strcmp(buf, "World") == 0);
	CHECK_EQ(gort_file_read(fd, buf, sizeof buf), 0); // at the end
	CHECK_EQ(gort_file_sync(fd), 0);
	CHECK_EQ(gort_file_close(fd), 0);
	unlink(name);
}

GORT_TEST(file, errors_are_returned_and_errno_is_kept)
{
	errno = 77;
	CHECK_EQ(gort_file_open("/nonexistent/file", O_RDONLY, 0), -ENOENT);
	CHECK_EQ(gort_file_read(-1, NULL, 1), -EBADF);
	CHECK_EQ(gort_file_write(-1, "x", 1), -EBADF);
	CHECK_EQ(gort_file_close(-1), -EBADF);
	CHECK_EQ(errno, 77);
}

static int pipe_fds[2];

static void
writer(void)
{
	CHECK_EQ(gort_file_write(pipe_fds[1], "x", 1), 1);
}

GORT_TEST(file, a_blocked_read_lets_others_run)
{
	char c;
	gort_maxprocs(1);
	CHECK(pipe(pipe_fds) == 0);
	gort_go(writer);
	CHECK_EQ(gort_file_read(pipe_fds[0], &c, 1), 1); // only another goroutine can end this
}

GORT_TEST(fork, the_child_may_exec_and_exit)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		execl("/bin/true", "true", (char *)NULL);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	pid = fork();
	if (pid == 0)
		_exit(7);
	CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
}

GORT_DEATH_TEST(fork, the_child_has_no_scheduler,
		"gort: a child made by fork has no scheduler: it may only exec or exit")
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		gort_go(writer);
		gort_goexit();
	}
	waitpid(pid, &status, 0);
	_exit(WEXITSTATUS(status));
}
