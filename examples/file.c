// SPDX-License-Identifier: BSD-3-Clause
// <gort/file.h>: goroutines write parts of a file at once, and one reads it back; errors are returned.
#include <fcntl.h>
#include <gort.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PART = 10, PARTS = 4 };

static void
write_part(int fd, int i)
{
	char text[PART + 1];
	snprintf(text, sizeof text, "part %04d\n", i);
	if (gort_file_pwrite(fd, text, PART, (off_t)i * PART) != PART)
		gort_panic("cannot write part %d", i);
}

static int
app(int argc, char **argv)
{
	const char *path = "file.tmp";
	int fd = gort_file_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fprintf(stderr, "%s: %s\n", path, strerror(-fd)), 1;
	gort_waitgroup wg = {0};
	for (int i = 0; i < PARTS; i++)
		gort_waitgroup_go(&wg, write_part, fd, i);
	gort_waitgroup_wait(&wg);

	char all[PART * PARTS];
	ssize_t n = gort_file_pread(fd, all, sizeof all, 0);
	printf("%.*s", n > 0 ? (int)n : 0, all);
	gort_file_close(fd);
	unlink(path);
	printf("%s\n", strerror(-gort_file_open(path, O_RDONLY, 0)));
	return 0;
}
GORT_MAIN(app)
