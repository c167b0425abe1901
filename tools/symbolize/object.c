// SPDX-License-Identifier: BSD-3-Clause
// libdw per address is too slow (dwarf_getscopes walks a whole unit each time), so units that hold a
// wanted address are swept once, depth first: each subprogram, and inside it each inlined call, adds
// itself to the addresses in its ranges. Outer before inner, so the chain comes out in order.
#include "symbolize.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rust.h"

struct sym {
	uint64_t addr, size;
	const char *name;
};

struct string_node {
	struct string_node *next;
	char s[];
};

struct object {
	Dwfl *dwfl;
	Dwfl_Module *mod;
	Elf *elf;       // the main file
	Dwarf *dw;      // NULL: no debug information
	Dwarf_Addr bias, dw_bias; // of dwfl's addresses over the file's
	struct sym *syms;
	size_t nsyms;
	bool syms_read;
	const char *base; // file name without folders
	struct string_node *strings; // owned
};

// Where separate debug files are looked for, as libdwfl spells it: beside the object and in .debug there
// with a checksum, then by path and by build id below each folder. NULL: the standard places, of which
// the folder is /usr/lib/debug.
static char *debuginfo_path;

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
	.debuginfo_path = &debuginfo_path,
};

static const char *
keep(struct object *o, const char *s)
{
	size_t n = strlen(s) + 1;
	struct string_node *node = malloc(sizeof(*node) + n);
	if (!node)
		return "?";
	memcpy(node->s, s, n);
	node->next = o->strings;
	o->strings = node;
	return node->s;
}

// ---- opening ----

static bool
same_build_id(Elf *elf, const char *want)
{
	const void *id;
	ssize_t n = dwelf_elf_gnu_build_id(elf, &id);
	char hex[130] = "";
	for (ssize_t i = 0; i < n && i < 64; i++)
		snprintf(hex + 2 * i, 3, "%02x", ((const unsigned char *)id)[i]);
	return !*want || strcmp(hex, want) == 0;
}

static void
set_debuginfo_path(void)
{
	const char *dirs = getenv("GORT_DEBUG_PATH");
	if (!debuginfo_path && dirs && *dirs &&
	    asprintf(&debuginfo_path, ":.debug:%s:/usr/lib/debug", dirs) < 0)
		debuginfo_path = NULL;
}

struct object *
object_open(const char *path, const char *build_id, struct object_info *info)
{
	set_debuginfo_path();
	*info = (struct object_info){ 0 };
	struct object *o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->dwfl = dwfl_begin(&callbacks);
	if (o->dwfl)
		o->mod = dwfl_report_offline(o->dwfl, path, path, -1);
	if (!o->mod) {
		snprintf(info->problem, sizeof(info->problem), "%s: %s", path, dwfl_errmsg(-1));
		object_close(o);
		return NULL;
	}
	dwfl_report_end(o->dwfl, NULL, NULL);
	o->elf = dwfl_module_getelf(o->mod, &o->bias);
	if (!o->elf || !same_build_id(o->elf, build_id)) {
		snprintf(info->problem, sizeof(info->problem),
			 "%s: it is not the file that was running (build id differs)", path);
		object_close(o);
		return NULL;
	}
	o->dw = dwfl_module_getdwarf(o->mod, &o->dw_bias);
	const char *slash = strrchr(path, '/');
	o->base = keep(o, slash ? slash + 1 : path);
	return o;
}

void
object_close(struct object *o)
{
	if (o->dwfl)
		dwfl_end(o->dwfl);
	while (o->strings) {
		struct string_node *next = o->strings->next;
		free(o->strings);
		o->strings = next;
	}
	free(o->syms);
	free(o);
}

size_t
object_segments(const struct object *o, struct segment seg[MAX_SEGMENTS])
{
	size_t n, k = 0;
	if (elf_getphdrnum(o->elf, &n) != 0)
		return 0;
	for (size_t i = 0; i < n && k < MAX_SEGMENTS; i++) {
		GElf_Phdr ph;
		if (!gelf_getphdr(o->elf, (int)i, &ph) || ph.p_type != PT_LOAD || !(ph.p_flags & PF_X))
			continue;
		// Mappings are whole pages: the first may begin before the segment does.
		uint64_t pad = ph.p_vaddr & 4095;
		seg[k++] = (struct segment){ ph.p_offset - pad, ph.p_filesz + pad, ph.p_vaddr - pad };
	}
	return k;
}

bool
segments_vaddr(const struct segment *seg, size_t n, uint64_t off, uint64_t *vaddr)
{
	for (size_t i = 0; i < n; i++)
		if (off - seg[i].off < seg[i].len) {
			*vaddr = off - seg[i].off + seg[i].vaddr;
			return true;
		}
	return false;
}

bool
object_vaddr(const struct object *o, uint64_t off, uint64_t *vaddr)
{
	struct segment seg[MAX_SEGMENTS];
	return segments_vaddr(seg, object_segments(o, seg), off, vaddr);
}

bool
object_has_debug_info(const struct object *o)
{
	return o->dw != NULL;
}

// ---- names ----

typedef char *(*demangler)(const char *, char *, size_t *, int *);

static demangler
find_demangler(void)
{
	static demangler fn;
	static bool tried;
	if (!tried) {
		tried = true;
		void *lib = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
		if (lib)
			*(void **)&fn = dlsym(lib, "__cxa_demangle");
	}
	return fn;
}

// Rust's older scheme: a C++ name that ends in ::h and 16 hex digits, which say nothing, and in which
// what C++ cannot spell is written $LT$ or $u7b$, and :: as two dots.
static char
rust_escape(const char *s, size_t n)
{
	static const struct {
		const char *code;
		char c;
	} named[] = { { "LT", '<' }, { "GT", '>' }, { "LP", '(' }, { "RP", ')' }, { "C", ',' },
		      { "SP", '@' }, { "BP", '*' }, { "RF", '&' } };
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (strlen(named[i].code) == n && strncmp(named[i].code, s, n) == 0)
			return named[i].c;
	char *end;
	unsigned long v = n >= 2 && s[0] == 'u' ? strtoul(s + 1, &end, 16) : 0;
	return v >= 0x20 && v < 0x7f && end == s + n ? (char)v : 0;
}

static void
readable_rust(char *s)
{
	size_t n = strlen(s);
	if (n <= 19 || strncmp(s + n - 19, "::h", 3) != 0 || strspn(s + n - 16, "0123456789abcdef") != 16)
		return;
	s[n - 19] = 0;
	char *to = s;
	for (const char *p = s; *p;) {
		const char *end = *p == '$' ? strchr(p + 1, '$') : NULL;
		char c = end ? rust_escape(p + 1, (size_t)(end - p - 1)) : 0;
		if (c) {
			*to++ = c;
			p = end + 1;
		} else if (p[0] == '.' && p[1] == '.') {
			*to++ = ':';
			*to++ = ':';
			p += 2;
		} else if (p[0] == '_' && p[1] == '$' && (p == s || p[-1] == ':')) {
			p++; // only there because a name may not begin with $
		} else {
			*to++ = *p++;
		}
	}
	*to = 0;
}

static const char *
readable(struct object *o, const char *name)
{
	char rust[1024];
	if (name[0] == '_' && name[1] == 'R')
		return rust_demangle(name, rust, sizeof(rust)) ? keep(o, rust) : name;
	if (name[0] != '_' || name[1] != 'Z')
		return name;
	demangler fn = find_demangler();
	int status = -1;
	char *s = fn ? fn(name, NULL, NULL, &status) : NULL;
	if (status != 0 || !s)
		return name;
	readable_rust(s);
	const char *kept = keep(o, s);
	free(s);
	return kept;
}

static int
by_addr(const void *a, const void *b)
{
	const struct sym *x = a, *y = b;
	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	// A real name before an underscored alias, a short one before a long one.
	size_t ux = strspn(x->name, "_"), uy = strspn(y->name, "_");
	if (ux != uy)
		return ux < uy ? -1 : 1;
	size_t lx = strlen(x->name), ly = strlen(y->name);
	return lx != ly ? (lx < ly ? -1 : 1) : strcmp(x->name, y->name);
}

static void
read_syms(struct object *o)
{
	o->syms_read = true;
	int n = dwfl_module_getsymtab(o->mod);
	if (n <= 0)
		return;
	o->syms = calloc((size_t)n, sizeof(*o->syms));
	for (int i = 0; o->syms && i < n; i++) {
		GElf_Sym sym;
		GElf_Addr addr;
		GElf_Word shndx;
		const char *name = dwfl_module_getsym_info(o->mod, i, &sym, &addr, &shndx, NULL, NULL);
		int type = GELF_ST_TYPE(sym.st_info);
		if (!name || !*name || shndx == SHN_UNDEF || (type != STT_FUNC && type != STT_GNU_IFUNC))
			continue;
		o->syms[o->nsyms++] = (struct sym){ sym.st_value, sym.st_size, name };
	}
	if (o->nsyms)
		qsort(o->syms, o->nsyms, sizeof(*o->syms), by_addr);
}

static const struct sym *
find_sym(struct object *o, uint64_t vaddr)
{
	if (!o->syms_read)
		read_syms(o);
	size_t lo = 0, n = o->nsyms;
	while (n > 0) {
		size_t half = n / 2;
		if (o->syms[lo + half].addr <= vaddr) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	if (lo == 0)
		return NULL;
	size_t i = lo - 1;
	while (i > 0 && o->syms[i - 1].addr == o->syms[i].addr)
		i--; // the best of its names
	const struct sym *s = &o->syms[i];
	return s->size == 0 || vaddr - s->addr < s->size ? s : NULL;
}

// A function without any name is called by its file and start, which unwind information knows.
static const char *
anonymous(struct object *o, uint64_t vaddr)
{
	Dwarf_Addr bias, start = vaddr;
	Dwarf_CFI *cfi = dwfl_module_eh_cfi(o->mod, &bias);
	Dwarf_Frame *f = NULL;
	if (cfi && dwarf_cfi_addrframe(cfi, vaddr + o->bias - bias, &f) == 0) {
		Dwarf_Addr lo, hi;
		bool signal;
		dwarf_frame_info(f, &lo, &hi, &signal);
		start = lo + bias - o->bias;
		free(f);
	}
	char s[512];
	snprintf(s, sizeof(s), "%s+0x%llx", o->base, (unsigned long long)start);
	return keep(o, s);
}

static void
name_by_symbol(struct object *o, struct place *p)
{
	const struct sym *s = find_sym(o, p->vaddr);
	p->entry = s ? s->addr : 0;
	p->frames = calloc(1, sizeof(*p->frames));
	if (!p->frames)
		return;
	p->nframes = 1;
	p->frames->system_name = s ? s->name : anonymous(o, p->vaddr);
	p->frames->name = readable(o, p->frames->system_name);
}

// ---- the sweep ----

struct sweep {
	struct object *o;
	struct place *p;
	size_t n;
	Dwarf_Die *cu;
	Dwarf_Files *files;
};

// First place at or after vaddr.
static size_t
lower_bound(const struct sweep *s, uint64_t vaddr)
{
	size_t lo = 0, n = s->n;
	while (n > 0) {
		size_t half = n / 2;
		if (s->p[lo + half].vaddr < vaddr) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return lo;
}

static bool
holds_any(const struct sweep *s, Dwarf_Die *die)
{
	Dwarf_Addr base, lo, hi;
	for (ptrdiff_t off = 0; (off = dwarf_ranges(die, off, &base, &lo, &hi)) > 0;) {
		size_t i = lower_bound(s, lo);
		if (i < s->n && s->p[i].vaddr < hi)
			return true;
	}
	return false;
}

static const char *
string_attr(Dwarf_Die *die, unsigned attr)
{
	Dwarf_Attribute a;
	return dwarf_attr_integrate(die, attr, &a) ? dwarf_formstring(&a) : NULL;
}

static int
number_attr(Dwarf_Die *die, unsigned attr)
{
	Dwarf_Attribute a;
	Dwarf_Word v;
	return dwarf_attr_integrate(die, attr, &a) && dwarf_formudata(&a, &v) == 0 ? (int)v : 0;
}

// The line at which an inlined function was called, for the frame around it.
static void
set_call_site(struct sweep *s, Dwarf_Die *die, struct frame *outer)
{
	Dwarf_Attribute a;
	Dwarf_Word v;
	if (dwarf_attr(die, DW_AT_call_line, &a) && dwarf_formudata(&a, &v) == 0)
		outer->line = (int)v;
	if (s->files && dwarf_attr(die, DW_AT_call_file, &a) && dwarf_formudata(&a, &v) == 0)
		outer->file = dwarf_filesrc(s->files, v, NULL, NULL);
}

// While the sweep runs frames[] is outermost first; finish() turns it round.
static void
add_frame(struct sweep *s, struct place *p, Dwarf_Die *die, const struct frame *f, bool inlined)
{
	if (!inlined)
		p->nframes = 0; // a nested function, or a unit listed twice
	struct frame *fs = realloc(p->frames, (p->nframes + 1) * sizeof(*fs));
	if (!fs)
		return;
	p->frames = fs;
	if (inlined && p->nframes)
		set_call_site(s, die, &fs[p->nframes - 1]);
	fs[p->nframes++] = *f;
}

static void
add_function(struct sweep *s, Dwarf_Die *die, bool inlined)
{
	struct frame f = { .start_line = number_attr(die, DW_AT_decl_line) };
	const char *name = dwarf_diename(die), *linkage = string_attr(die, DW_AT_linkage_name);
	f.system_name = linkage ? linkage : name;
	f.name = linkage ? readable(s->o, linkage) : name;
	if (!f.name)
		f.name = f.system_name = "?";
	Dwarf_Addr base, lo, hi;
	for (ptrdiff_t off = 0; (off = dwarf_ranges(die, off, &base, &lo, &hi)) > 0;)
		for (size_t i = lower_bound(s, lo); i < s->n && s->p[i].vaddr < hi; i++)
			add_frame(s, &s->p[i], die, &f, inlined);
}

static void
walk(struct sweep *s, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;
	if (depth > 256 || dwarf_child(parent, &die) != 0)
		return;
	do {
		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			if (holds_any(s, &die)) {
				add_function(s, &die, false);
				walk(s, &die, depth + 1);
			}
			break;
		case DW_TAG_inlined_subroutine:
			if (holds_any(s, &die)) {
				add_function(s, &die, true);
				walk(s, &die, depth + 1);
			}
			break;
		case DW_TAG_lexical_block:
			if (holds_any(s, &die))
				walk(s, &die, depth + 1);
			break;
		case DW_TAG_namespace: // code may lie in units of languages that nest it
		case DW_TAG_module:
			walk(s, &die, depth + 1);
			break;
		default:
			break;
		}
	} while (dwarf_siblingof(&die, &die) == 0);
}

static const char *
full_path(struct object *o, Dwarf_Die *cu, const char *file)
{
	const char *dir = string_attr(cu, DW_AT_comp_dir);
	char path[4096];
	if (!file || file[0] == '/' || !dir || dir[0] != '/')
		return file;
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return keep(o, path);
}

// The line of the innermost frame comes from the line table.
static void
set_line(struct sweep *s, struct place *p)
{
	Dwarf_Line *line = p->nframes ? dwarf_getsrc_die(s->cu, p->vaddr) : NULL;
	if (line) {
		struct frame *f = &p->frames[p->nframes - 1];
		dwarf_lineno(line, &f->line);
		f->file = dwarf_linesrc(line, NULL, NULL);
	}
	for (size_t k = 0; k < p->nframes; k++)
		p->frames[k].file = full_path(s->o, s->cu, p->frames[k].file);
}

static void
set_lines(struct sweep *s)
{
	Dwarf_Addr base, lo, hi;
	for (ptrdiff_t off = 0; (off = dwarf_ranges(s->cu, off, &base, &lo, &hi)) > 0;)
		for (size_t i = lower_bound(s, lo); i < s->n && s->p[i].vaddr < hi; i++)
			set_line(s, &s->p[i]);
}

static void
sweep_unit(struct sweep *s)
{
	size_t nfiles;
	s->files = NULL;
	dwarf_getsrcfiles(s->cu, &s->files, &nfiles);
	walk(s, s->cu, 0);
	set_lines(s);
}

static void
turn_round(struct place *p)
{
	for (size_t i = 0; i < p->nframes / 2; i++) {
		struct frame t = p->frames[i];
		p->frames[i] = p->frames[p->nframes - 1 - i];
		p->frames[p->nframes - 1 - i] = t;
	}
}

static void
finish(struct object *o, struct place *p, struct object_info *info)
{
	if (!p->nframes) {
		name_by_symbol(o, p);
		return;
	}
	turn_round(p);
	info->lines |= p->frames[0].line != 0;
	info->inlines |= p->nframes > 1;
	// The linker's spelling tells clones apart (f.part.0, f.constprop.1).
	struct frame *f = &p->frames[p->nframes - 1];
	const struct sym *sym = find_sym(o, p->vaddr);
	p->entry = sym ? sym->addr : 0;
	if (sym && f->system_name == f->name)
		f->system_name = sym->name;
}

void
object_symbolize(struct object *o, struct place *p, size_t n, struct object_info *info)
{
	struct sweep s = { .o = o, .p = p, .n = n };
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;
	while (o->dw && dwarf_get_units(o->dw, cu, &cu, NULL, NULL, &die, NULL) == 0) {
		if (dwarf_tag(&die) != DW_TAG_compile_unit || !holds_any(&s, &die))
			continue;
		s.cu = &die;
		sweep_unit(&s);
	}
	info->functions = true;
	for (size_t i = 0; i < n; i++)
		finish(o, &p[i], info);
	if (!o->dw)
		snprintf(info->problem, sizeof(info->problem), "%s: no debug information, names only", o->base);
}
