// SPDX-License-Identifier: BSD-3-Clause
#include "http/mhd.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

static struct rtp_mhd table;
static bool loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
load(void)
{
	void *lib = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	bool ok = lib != NULL;
#define LOAD(name) ok = ok && (*(void **)&table.name = dlsym(lib, #name)) != NULL;
	RTP_MHD_FUNCTIONS(LOAD)
#undef LOAD
	loaded = ok;
}

const struct rtp_mhd *
rtp_mhd(void)
{
	pthread_once(&once, load);
	return loaded ? &table : NULL;
}
