// SPDX-License-Identifier: BSD-3-Clause
// libmicrohttpd, loaded when a server is asked for and never linked: its symbols stay its own.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <microhttpd.h>

#define RTP_MHD_FUNCTIONS(F)                                                                       \
	F(MHD_start_daemon)                                                                        \
	F(MHD_get_daemon_info)                                                                     \
	F(MHD_run)                                                                                 \
	F(MHD_get_timeout)                                                                         \
	F(MHD_lookup_connection_value)                                                             \
	F(MHD_get_connection_info)                                                                 \
	F(MHD_suspend_connection)                                                                  \
	F(MHD_resume_connection)                                                                   \
	F(MHD_create_response_from_buffer)                                                         \
	F(MHD_create_response_from_fd64)                                                           \
	F(MHD_add_response_header)                                                                 \
	F(MHD_queue_response)                                                                      \
	F(MHD_destroy_response)

struct rtp_mhd {
#define RTP_MHD_FIELD(name) __typeof__(&name) name;
	RTP_MHD_FUNCTIONS(RTP_MHD_FIELD)
#undef RTP_MHD_FIELD
};

// NULL when the library or one of its functions is missing.
const struct rtp_mhd *rtp_mhd(void);
