// SPDX-License-Identifier: BSD-3-Clause
// An object's names, lines and inlined calls: from the cache where it has them, else from the files, which
// are opened only then.
#pragma once

#include "symbolize.h"

struct source;

// As object_open; build_id may be "".
struct source *source_open(const char *path, const char *build_id, struct object_info *info);
void source_close(struct source *s);
bool source_vaddr(struct source *s, uint64_t off, uint64_t *vaddr);
// As object_symbolize. Strings live as long as s.
void source_symbolize(struct source *s, struct place *p, size_t n, struct object_info *info);
