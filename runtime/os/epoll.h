// SPDX-License-Identifier: BSD-3-Clause
// epoll and eventfd. Every call returns a negative errno value on failure and keeps errno.
#pragma once

#include <sys/epoll.h>

#include "base/base.h"

int rt_os_epoll_create(void);
// Adds fd, edge-triggered, for input, output, urgent data and the end of the peer's stream.
int rt_os_epoll_add(int epfd, int fd, uint64_t data);
// Adds fd, level-triggered, for input.
int rt_os_epoll_add_level(int epfd, int fd, uint64_t data);
int rt_os_epoll_del(int epfd, int fd);
// ns: 0 looks, negative waits for ever. To the nanosecond where the kernel can (5.11), else rounded up
// to the millisecond.
int rt_os_epoll_wait(int epfd, struct epoll_event *events, int n, int64_t ns);

int rt_os_eventfd(void); // non-blocking, close-on-exec
void rt_os_eventfd_signal(int fd);
void rt_os_eventfd_clear(int fd);
