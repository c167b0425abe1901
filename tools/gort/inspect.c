// SPDX-License-Identifier: BSD-3-Clause
// What can be told from an executable's file: may it be preloaded, and what will its profiles lack?
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gort/gort.h"

static bool
executable(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return false;
	if (!S_ISREG(st.st_mode)) {
		errno = EACCES;
		return false;
	}
	return access(path, X_OK) == 0;
}

bool
find_program(const char *name, char *path, size_t n)
{
	const char *dirs = getenv("PATH");
	int err = ENOENT;
	if (strchr(name, '/')) {
		snprintf(path, n, "%s", name);
		return executable(path);
	}
	for (const char *p = dirs ? dirs : "/usr/local/bin:/usr/bin:/bin"; *p;) {
		size_t len = strcspn(p, ":");
		snprintf(path, n, "%.*s/%s", len ? (int)len : 1, len ? p : ".", name);
		if (executable(path))
			return true;
		if (errno == EACCES)
			err = EACCES;
		p += len + (p[len] == ':');
	}
	errno = err;
	return false;
}

// ---- ELF ----

struct image {
	const char *p;
	size_t len;
};

static const void *
piece(const struct image *im, uint64_t off, uint64_t n)
{
	return off <= im->len && n <= im->len - off ? im->p + off : NULL;
}

static const char *
string(const struct image *im, const Elf64_Shdr *table, uint64_t off)
{
	const char *s = piece(im, table->sh_offset, table->sh_size);
	return s && off < table->sh_size && memchr(s + off, 0, table->sh_size - off) ? s + off : "";
}

static void
symbol(struct exe *e, const char *name, bool defined)
{
	if (defined && strcmp(name, "malloc") == 0)
		e->own_malloc = true;
	if (!defined && (strcmp(name, "setitimer") == 0 || strcmp(name, "timer_create") == 0))
		e->own_sigprof = true;
	e->asan |= !defined && strcmp(name, "__asan_init") == 0;
	if (strcmp(name, "gort_run") == 0 || strcmp(name, "gort_introspect") == 0)
		e->runtime = true;
}

static void
dynamic_symbols(struct exe *e, const struct image *im, const Elf64_Shdr *sh, unsigned n, const Elf64_Shdr *s)
{
	const Elf64_Sym *sym = piece(im, s->sh_offset, s->sh_size);
	if (!sym || s->sh_link >= n)
		return;
	for (uint64_t i = 0; i < s->sh_size / sizeof(*sym); i++)
		symbol(e, string(im, &sh[s->sh_link], sym[i].st_name), sym[i].st_shndx != SHN_UNDEF);
}

static void
sections(struct exe *e, const struct image *im, const Elf64_Ehdr *eh)
{
	const Elf64_Shdr *sh = piece(im, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(*sh));
	if (!sh || eh->e_shstrndx >= eh->e_shnum)
		return;
	for (unsigned i = 0; i < eh->e_shnum; i++) {
		const char *name = string(im, &sh[eh->e_shstrndx], sh[i].sh_name);
		e->symbols |= sh[i].sh_type == SHT_SYMTAB;
		e->debug |= strcmp(name, ".debug_info") == 0 || strcmp(name, ".zdebug_info") == 0;
		e->build_id |= strcmp(name, ".note.gnu.build-id") == 0;
		if (sh[i].sh_type == SHT_DYNSYM)
			dynamic_symbols(e, im, sh, eh->e_shnum, &sh[i]);
	}
}

static void
interpreter(struct exe *e, const struct image *im, const Elf64_Phdr *ph)
{
	const char *s = piece(im, ph->p_offset, ph->p_filesz);
	e->dynamic = true;
	if (!s || ph->p_filesz == 0 || s[ph->p_filesz - 1])
		return;
	const char *slash = strrchr(s, '/');
	snprintf(e->libc, sizeof(e->libc), "%s", slash ? slash + 1 : s);
}

static void
read_elf(struct exe *e, const struct image *im)
{
	const Elf64_Ehdr *eh = piece(im, 0, sizeof(*eh));
	if (!eh || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		return;
	e->elf = true;
	e->native = eh->e_ident[EI_CLASS] == ELFCLASS64 && eh->e_machine == EM_X86_64;
	const Elf64_Phdr *ph = piece(im, eh->e_phoff, (uint64_t)eh->e_phnum * sizeof(*ph));
	for (unsigned i = 0; e->native && ph && i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_INTERP)
			interpreter(e, im, &ph[i]);
		e->unwind |= ph[i].p_type == PT_GNU_EH_FRAME;
	}
	if (e->native)
		sections(e, im, eh);
}

// "#!/usr/bin/env python3": what runs is the interpreter.
static bool
script(struct exe *e, const struct image *im, int depth)
{
	char line[512], *save, found[PATH_MAX];
	if (im->len < 3 || memcmp(im->p, "#!", 2) != 0 || depth > 3)
		return false;
	size_t n = im->len - 2 < sizeof(line) - 1 ? im->len - 2 : sizeof(line) - 1;
	memcpy(line, im->p + 2, n);
	line[n] = 0;
	line[strcspn(line, "\n")] = 0;
	char *interp = strtok_r(line, " \t", &save), *arg = interp ? strtok_r(NULL, " \t", &save) : NULL;
	if (!interp)
		return false;
	const char *base = strrchr(interp, '/');
	if (arg && base && strcmp(base, "/env") == 0 && arg[0] != '-' && find_program(arg, found, sizeof(found)))
		interp = found;
	char was[sizeof(e->script)];
	snprintf(was, sizeof(was), "%s", e->script[0] ? e->script : e->path);
	inspect(interp, e);
	snprintf(e->script, sizeof(e->script), "%s", was);
	return true;
}

void
inspect(const char *path, struct exe *e)
{
	static int depth;
	struct stat st;
	char caps[64];
	*e = (struct exe){ 0 };
	if (!realpath(path, e->path))
		snprintf(e->path, sizeof(e->path), "%s", path);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0) {
		e->err = errno;
		if (fd >= 0)
			close(fd);
		return;
	}
	bool change = ((st.st_mode & S_ISUID) && st.st_uid != geteuid()) ||
		      ((st.st_mode & S_ISGID) && st.st_gid != getegid());
	bool privileged = change || (geteuid() != 0 && getxattr(path, "security.capability", caps, sizeof(caps)) > 0);
	struct image im = { NULL, (size_t)st.st_size };
	void *p = st.st_size > 0 ? mmap(NULL, im.len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	close(fd);
	if (p == MAP_FAILED)
		return;
	im.p = p;
	depth++;
	if (!script(e, &im, depth)) {
		read_elf(e, &im);
		e->privileged = privileged;
	}
	depth--;
	munmap(p, im.len);
}

const char *
refusal(const struct exe *e, const char **what_to_do)
{
	*what_to_do = "";
	if (e->err == EACCES)
		return NULL; // it may be run without being readable: try
	if (e->err)
		return strerror(e->err);
	if (!e->elf) {
		*what_to_do = "start it through its interpreter: gort run -- sh FILE";
		return "it is no program and names no interpreter";
	}
	if (!e->native) {
		*what_to_do = "build gort for that machine";
		return "it is made for another kind of machine, and the profiler is not";
	}
	if (e->privileged) {
		*what_to_do = "run it as the user it becomes, or profile a copy without these bits";
		return "it is setuid, setgid or has capabilities, and for those the loader ignores LD_PRELOAD";
	}
	if (!e->dynamic) {
		*what_to_do = "link it dynamically, or link libgort-profiler into it (pkg-config gort-profiler)";
		return "it is statically linked, so nothing can be loaded into it";
	}
	if (strncmp(e->libc, "ld-musl", 7) == 0) {
		*what_to_do = "build gort against musl, or link libgort-profiler into it";
		return "it uses musl, and the profiler was built for glibc";
	}
	return NULL;
}

bool
find_preload(char *path, size_t n)
{
	static const char *const places[] = { "/../profiler/preload/", "/../../profiler/preload/", "/../lib/gort/",
					      "/../lib/x86_64-linux-gnu/gort/", "/../lib64/gort/" };
	char exe[PATH_MAX], tried[PATH_MAX + 64], real[PATH_MAX];
	const char *env = getenv("GORT_PRELOAD");
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[len > 0 ? len : 0] = 0;
	char *slash = strrchr(exe, '/');
	if (slash)
		*slash = 0;
	if (env && *env && realpath(env, real)) {
		snprintf(path, n, "%s", real);
		return true;
	}
	for (size_t i = 0; i <= sizeof(places) / sizeof(places[0]); i++) {
		if (i < sizeof(places) / sizeof(places[0]))
			snprintf(tried, sizeof(tried), "%s%slibgort-preload.so", exe, places[i]);
		else
			snprintf(tried, sizeof(tried), "%s/libgort-preload.so", GORT_LIBDIR);
		if (access(tried, R_OK) == 0 && realpath(tried, real) && strlen(real) < n) {
			snprintf(path, n, "%s", real);
			return true;
		}
	}
	return false;
}
