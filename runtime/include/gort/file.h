// SPDX-License-Identifier: BSD-3-Clause
// Files: the system calls that may block on a disk, around which the goroutine gives up its P, so that
// others run meanwhile. For sockets and pipes <gort/net.h> is better: it does not hold a thread.
//
// All return what the system call does, or a negative errno value; a call that a signal interrupted is
// made again. On goroutines only, never in a signal handler; errno is untouched. Buffers and descriptors stay
// the caller's. Go: package os, syscall.
#pragma once

#include <gort/base.h>

GORT_BEGIN_DECLS

// open(2) with O_CLOEXEC added: a descriptor, or -errno. mode counts with O_CREAT only.
// Go: os.OpenFile.
GORT_API int gort_file_open(const char *path, int flags, mode_t mode);
// close(2). The descriptor is gone whatever is returned, also -EINTR. Go: File.Close.
GORT_API int gort_file_close(int fd);

// read(2), pread(2): bytes read, 0 at the end of the file. May be fewer than n.
// Go: File.Read, ReadAt.
GORT_API ssize_t gort_file_read(int fd, void *buf, size_t n);
GORT_API ssize_t gort_file_pread(int fd, void *buf, size_t n, off_t offset);

// write(2), pwrite(2), repeated until all n bytes are written: n, or -errno when that failed (then some
// may have been written). Go: File.Write, WriteAt.
GORT_API ssize_t gort_file_write(int fd, const void *buf, size_t n);
GORT_API ssize_t gort_file_pwrite(int fd, const void *buf, size_t n, off_t offset);

// fsync(2): 0 or -errno. Go: File.Sync.
GORT_API int gort_file_sync(int fd);

GORT_END_DECLS
