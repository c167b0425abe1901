// SPDX-License-Identifier: BSD-3-Clause
// A profile in memory, as protobuf-c lays it out, and its string table.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile.pb-c.h"

typedef Perftools__Profiles__Profile pprof_profile;
typedef Perftools__Profiles__Sample pprof_sample;
typedef Perftools__Profiles__Location pprof_location;
typedef Perftools__Profiles__Function pprof_function;
typedef Perftools__Profiles__Mapping pprof_mapping;
typedef Perftools__Profiles__Line pprof_line;

// Reads all of fd, gzipped or plain. NULL, with a message in err (n bytes), when it is no profile:
// every index and id that the profile uses is checked here.
pprof_profile *profile_read(int fd, char *err, size_t n);
// All that fd yields, NUL-terminated; NULL when it cannot be read or is beyond 1 GiB. free() it.
char *read_whole(int fd, size_t *len);
pprof_profile *profile_parse(const uint8_t *data, size_t len, char *err, size_t n);
// Gzipped, whole, or nothing: the encoding is complete before the first byte is written.
bool profile_write(const pprof_profile *p, int fd);
void profile_free(pprof_profile *p);

// Grows p's string table; ids of equal strings are equal.
struct strings;
struct strings *strings_new(pprof_profile *p);
int64_t strings_id(struct strings *t, const char *s); // NULL: ""
void strings_free(struct strings *t);

// The text of a string index; "" for one out of range.
const char *profile_string(const pprof_profile *p, int64_t id);
