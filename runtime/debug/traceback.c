// SPDX-License-Identifier: BSD-3-Clause
// Tracebacks in Go's form (docs/formats of goroutine dumps). Runs on a process that may be in any
// state: unwinds by debug/unwind.h, names functions from the ELF symbol tables that it maps itself,
// prints with rt_printf. Files and lines come from another process, if it can be had (debug/lines.h).
//
// Other threads may still run goroutines while this prints; theirs are not unwound.
#include "debug/traceback.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/print.h"
#include "debug/env.h"
#include "debug/lines.h"
#include "debug/unwind.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sched/stack.h"

#define MAX_FRAMES 50 // Go: 50 innermost and 50 outermost
#define MAX_MODULES 32

// ---- names ----

struct module {
	const struct link_map *map;
	const char *path;
	const char *image; // the file, mapped; NULL: could not be read
	size_t size;
};
static struct module modules[MAX_MODULES];
static int nmodules;

static void
map_file(struct module *mod)
{
	int fd = open(mod->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof(ElfW(Ehdr))) {
		void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p != MAP_FAILED && memcmp(p, ELFMAG, SELFMAG) == 0) {
			mod->image = p;
			mod->size = (size_t)st.st_size;
		}
	}
	close(fd);
}

static struct module *
find_module(const struct link_map *map)
{
	static char exe[4096];
	for (int i = 0; i < nmodules; i++)
		if (modules[i].map == map)
			return &modules[i];
	if (nmodules == MAX_MODULES)
		return NULL;
	struct module *mod = &modules[nmodules++];
	*mod = (struct module){.map = map, .path = map->l_name};
	if (!map->l_name[0]) {
		ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
		mod->path = n > 0 ? (exe[n] = 0, exe) : "/proc/self/exe";
	}
	map_file(mod);
	return mod;
}

// The symbol table with most to say: .symtab, else .dynsym.
static const ElfW(Shdr) *
symbol_section(const struct module *mod)
{
	const ElfW(Ehdr) *eh = (const void *)mod->image;
	const ElfW(Shdr) *best = NULL;
	if (eh->e_shoff == 0 || eh->e_shoff + (size_t)eh->e_shnum * sizeof *best > mod->size)
		return NULL;
	const ElfW(Shdr) *sh = (const void *)(mod->image + eh->e_shoff);
	for (unsigned i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB && sh[i].sh_type != SHT_DYNSYM)
			continue;
		if (sh[i].sh_offset + sh[i].sh_size > mod->size || sh[i].sh_link >= eh->e_shnum)
			continue;
		if (!best || sh[i].sh_type == SHT_SYMTAB)
			best = &sh[i];
	}
	return best;
}

static const char *
lookup(const struct module *mod, uintptr_t offset, uintptr_t *start)
{
	const ElfW(Shdr) *sec = symbol_section(mod);
	if (!sec)
		return NULL;
	const ElfW(Shdr) *sh =
		(const void *)(mod->image + ((const ElfW(Ehdr) *)mod->image)->e_shoff);
	const ElfW(Shdr) *str = &sh[sec->sh_link];
	const ElfW(Sym) *sym = (const void *)(mod->image + sec->sh_offset);
	const char *name = NULL;
	for (size_t i = 0; i < sec->sh_size / sizeof *sym; i++) {
		unsigned type = sym[i].st_info & 0xf;
		if ((type != STT_FUNC && type != STT_GNU_IFUNC) || sym[i].st_shndx == SHN_UNDEF ||
		    sym[i].st_name >= str->sh_size)
			continue;
		if (offset - sym[i].st_value < rt_max(sym[i].st_size, (ElfW(Xword))1)) {
			name = mod->image + str->sh_offset + sym[i].st_name;
			*start = sym[i].st_value;
		}
	}
	return name;
}

const char *
rt_symbol(uintptr_t pc, uintptr_t *start, const char **path)
{
	struct dl_find_object o;
	*path = NULL;
	if (_dl_find_object((void *)pc, &o) != 0 || !o.dlfo_link_map)
		return NULL;
	struct module *mod = find_module(o.dlfo_link_map);
	if (!mod)
		return NULL;
	*path = mod->path;
	if (!mod->image)
		return NULL;
	const char *name = lookup(mod, pc - mod->map->l_addr, start);
	*start += mod->map->l_addr;
	return name;
}

// ---- frames ----

static bool
ours(const char *name)
{
	return name && (strncmp(name, "rt_", 3) == 0 || strncmp(name, "gort_", 5) == 0);
}

// Functions of ours that call the user's: what runs inside them is not ours.
static bool
calls_back(const char *name)
{
	static const char *const names[] = {"rt_gomain", "gort_once_do", "gort_blocking", "gort_do_labelled",
					    "gort_sync_map_range", "gort_sharded_map_update",
					    "gort_sharded_map_range"};
	for (size_t i = 0; i < rt_nelem(names); i++)
		if (name && strcmp(name, names[i]) == 0)
			return true;
	return false;
}

// How many innermost frames belong to the runtime: up to the last rt_ or gort_ function that is at
// most two static helpers away from the one before.
static int
runtime_frames(struct rt_unwind u)
{
	int ours_until = 0;
	if (rt_traceback_level >= RT_TRACEBACK_SYSTEM)
		return 0;
	for (int i = 1; i <= ours_until + 3; i++) {
		uintptr_t start;
		uintptr_t pc = u.reg[RT_DW_PC] - (u.exact ? 0 : 1);
		const char *path, *name = rt_symbol(pc, &start, &path);
		if (calls_back(name) || (pc >= (uintptr_t)rt_gostart && pc < (uintptr_t)rt_gostart_end))
			break;
		if (ours(name))
			ours_until = i;
		if (!rt_unwind_step(&u))
			break;
	}
	return ours_until;
}

static int
lines_of(uintptr_t pc, const char *path, struct rt_line line[RT_MAX_LINES])
{
	struct dl_find_object o;
	if (!path || _dl_find_object((void *)pc, &o) != 0 || !o.dlfo_link_map)
		return 0;
	return rt_lines_of(path, pc - o.dlfo_link_map->l_addr, line);
}

// pc is an address inside the call (or the faulting) instruction; ret what is shown as offset. What our
// headers inlined into the user's function is not shown.
static void
print_frame(uintptr_t pc, uintptr_t ret)
{
	struct rt_line line[RT_MAX_LINES];
	uintptr_t start = 0;
	const char *path, *name = rt_symbol(pc, &start, &path);
	if (!name) {
		rt_printf("0x%lx()\n\t%s\n", pc, path ? path : "?");
		return;
	}
	int n = lines_of(pc, path, line);
	for (int i = 0; i < n - 1; i++)
		if (!ours(line[i].name))
			rt_printf("%s(...)\n\t%s\n", line[i].name, line[i].place);
	rt_printf("%s(...)\n\t%s +0x%lx\n", n ? line[n - 1].name : name, n ? line[n - 1].place : path,
		  ret - start);
}

static bool
is_gomain(uintptr_t pc)
{
	uintptr_t start;
	const char *path, *name = rt_symbol(pc, &start, &path);
	return name && strcmp(name, "rt_gomain") == 0 && rt_traceback_level < RT_TRACEBACK_SYSTEM;
}

// The runtime's own innermost frames are left out; so is everything from rt_gostart on, and gomain.
static void
print_stack(struct rt_unwind *u)
{
	int skip = u->exact ? 0 : runtime_frames(*u), shown = 0, elided = 0;
	for (;; skip--) {
		uintptr_t ret = u->reg[RT_DW_PC], pc = ret - (u->exact ? 0 : 1);
		if (pc >= (uintptr_t)rt_gostart && pc < (uintptr_t)rt_gostart_end)
			break;
		if (is_gomain(pc))
			break;
		bool more = rt_unwind_step(u);
		if (skip <= 0 && shown < 2 * MAX_FRAMES) {
			print_frame(pc, ret);
			shown++;
		} else if (skip <= 0) {
			elided++;
		}
		if (!more)
			break;
	}
	if (elided > 0)
		rt_printf("...%d frames elided...\n", elided);
}

static void
print_creator(const struct g *gp)
{
	if (!gp->gopc)
		return;
	struct rt_line line[RT_MAX_LINES];
	uintptr_t start = 0;
	const char *path, *name = rt_symbol(gp->gopc - 1, &start, &path);
	int n = name ? lines_of(gp->gopc - 1, path, line) : 0, k = 0;
	while (k + 1 < n && ours(line[k].name))
		k++;
	rt_printf("created by %s in goroutine %lu\n\t%s +0x%lx\n", n ? line[k].name : name ? name : "?",
		  gp->parentgoid, n ? line[k].place : path ? path : "?", gp->gopc - start);
}

const char *
rt_gstate_text(const struct g *gp)
{
	switch (rt_gstatus(gp)) {
	case Gidle:
		return "idle";
	case Grunnable:
		return "runnable";
	case Grunning:
		return "running";
	case Gsyscall:
		return "syscall";
	case Gwaiting:
		if (gp->leaked)
			return rt_leaked_reason_text(gp->waitreason);
		return gp->waitreason ? rt_wait_reason_text(gp->waitreason) : "waiting";
	case Gpreempted:
		return "preempted";
	default:
		return "dead";
	}
}

static void
print_header(const struct g *gp)
{
	rt_printf("goroutine %lu [%s", gp->goid, rt_gstate_text(gp));
	int64_t minutes = gp->waitsince ? (rt_nanotime() - gp->waitsince) / 60000000000 : 0;
	if (rt_gstatus(gp) == Gwaiting && minutes >= 1)
		rt_printf(", %ld minutes", minutes);
	rt_printf("%s]:\n", gp->lockedm ? ", locked to thread" : "");
}

// The caller's registers as they are after this call returns, by the frame pointer.
static RT_NOINLINE void
unwind_here(struct rt_unwind *u)
{
	uintptr_t *fp = __builtin_frame_address(0);
	*u = (struct rt_unwind){0};
	u->reg[RT_DW_FP] = fp[0];
	u->reg[RT_DW_SP] = (uintptr_t)(fp + 2);
	u->reg[RT_DW_PC] = fp[1];
	u->known = 1u << RT_DW_FP | 1u << RT_DW_SP | 1u << RT_DW_PC;
}

static void
current_bounds(struct rt_unwind *u, const struct m *mp)
{
	uintptr_t lo, hi, sp = u->reg[RT_DW_SP];
	if (rt_stack_bounds(sp, &lo, &hi))
		rt_unwind_bounds(u, lo, hi);
	else if (mp)
		rt_unwind_bounds(u, mp->g0->stack.lo, mp->g0->stack.hi);
	else
		rt_unwind_bounds(u, sp, rt_round_up(sp, (uintptr_t)4096));
}

RT_NOINLINE void
rt_traceback_current(const void *uc)
{
	struct m *mp = rt_getm();
	struct g *gp = mp ? mp->curg : NULL;
	struct rt_unwind u;
	if (gp)
		print_header(gp);
	else if (mp && rt_traceback_level < RT_TRACEBACK_SYSTEM)
		return; // no goroutine's fault: a deadlock, found by an idle M
	else if (mp)
		rt_printf("goroutine 0 [idle]:\n");
	else
		rt_printf("thread %d:\n", rt_os_gettid());
	if (gp && rt_getg() == mp->g0 && !uc) {
		struct rt_parked_regs r;
		rt_parked_regs(&gp->sched, &r); // called by rt_systemstack
		rt_unwind_from_regs(&u, &r);
		rt_unwind_bounds(&u, gp->stack.lo, gp->stack.hi);
	} else {
		if (uc)
			rt_unwind_from_uc(&u, uc);
		else
			unwind_here(&u);
		current_bounds(&u, mp);
	}
	print_stack(&u);
	if (gp)
		print_creator(gp);
}

static void
print_other(struct g *gp, bool first)
{
	if (!first)
		rt_printf("\n");
	print_header(gp);
	if (rt_gstatus(gp) == Grunning) {
		rt_printf("\tgoroutine running on other thread; stack unavailable\n");
		print_creator(gp);
		return;
	}
	struct rt_parked_regs r;
	bool known = rt_g_saved_regs(gp, &r);
	if (known && r.pc - (uintptr_t)rt_gostart <
			     (uintptr_t)rt_gostart_end - (uintptr_t)rt_gostart) {
		print_frame(gp->startpc, gp->startpc); // it has not run yet
	} else if (known) {
		struct rt_unwind u;
		rt_unwind_from_regs(&u, &r);
		rt_unwind_bounds(&u, gp->stack.lo, gp->stack.hi);
		print_stack(&u);
	}
	print_creator(gp);
}

// In order of creation: the list of all goroutines begins with the newest.
void
rt_traceback_others(void)
{
	struct m *mp = rt_getm();
	size_t n = 0, i = 0;
	struct g *head = rt_load_acquire(&allgs);
	for (struct g *gp = head; gp; gp = gp->alllink)
		n++;
	size_t bytes = rt_round_up((n + 1) * sizeof(struct g *), (size_t)4096);
	struct g **all = rt_os_alloc(bytes);
	if (!all)
		return;
	for (struct g *gp = head; gp; gp = gp->alllink)
		all[i++] = gp;
	bool first = !(mp && (mp->curg || rt_traceback_level >= RT_TRACEBACK_SYSTEM)); // nothing above
	while (i-- > 0) {
		struct g *gp = all[i];
		enum gstatus st = rt_gstatus(gp);
		if (st == Gdead || st == Gidle || (mp && gp == mp->curg))
			continue;
		if (gp->is_system && rt_traceback_level < RT_TRACEBACK_SYSTEM)
			continue;
		print_other(gp, first);
		first = false;
	}
}
