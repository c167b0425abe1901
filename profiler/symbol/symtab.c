// SPDX-License-Identifier: BSD-3-Clause
#include "symbol/symtab.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/sort.h"

struct object {
	const struct rtp_mapping *m;
	bool tried;
	void *image; // the mapped file; NULL: none, or memory that is not ours (vdso)
	size_t len;
	uint64_t vaddr_of_lo; // file address of m->lo
	struct rtp_vec syms;
};

struct rtp_symtab {
	struct rtp_region *r;
	struct rtp_vec objects;
};

// ---- reading ELF; every offset is checked, files may be anything ----

struct elf {
	const char *p;
	size_t len;
	const Elf64_Ehdr *eh;
};

static const void *
piece(const struct elf *e, uint64_t off, uint64_t n)
{
	return off <= e->len && n <= e->len - off ? e->p + off : NULL;
}

static bool
elf_open(struct elf *e, const void *image, size_t len)
{
	*e = (struct elf){ image, len, image };
	return len >= sizeof(*e->eh) && memcmp(e->eh->e_ident, ELFMAG, SELFMAG) == 0 &&
	       e->eh->e_ident[EI_CLASS] == ELFCLASS64 && e->eh->e_shentsize == sizeof(Elf64_Shdr) &&
	       (uintptr_t)image % 8 == 0 && e->eh->e_shoff % 8 == 0 && e->eh->e_phoff % 8 == 0;
}

static const Elf64_Shdr *
section(const struct elf *e, uint32_t type)
{
	const Elf64_Shdr *sh = piece(e, e->eh->e_shoff, e->eh->e_shnum * sizeof(*sh));
	for (unsigned i = 0; sh && i < e->eh->e_shnum; i++)
		if (sh[i].sh_type == type && sh[i].sh_link < e->eh->e_shnum && sh[i].sh_offset % 8 == 0)
			return &sh[i];
	return NULL;
}

static int
by_addr(const void *a, const void *b)
{
	const struct rtp_sym *x = a, *y = b;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

// Of several names for one address the one without leading underscores, then the shorter one.
static bool
better_name(const char *a, const char *b)
{
	size_t ua = strspn(a, "_"), ub = strspn(b, "_");
	if (ua != ub)
		return ua < ub;
	return strlen(a) < strlen(b);
}

static size_t
unique(struct rtp_sym *s, size_t n)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		if (k == 0 || s[i].addr != s[k - 1].addr) {
			s[k++] = s[i];
			continue;
		}
		if (better_name(s[i].name, s[k - 1].name))
			s[k - 1].name = s[i].name;
		if (s[i].size > s[k - 1].size)
			s[k - 1].size = s[i].size;
	}
	return k;
}

bool
rtp_elf_symbols(const void *image, size_t len, struct rtp_vec *v)
{
	struct elf e;
	if (!elf_open(&e, image, len))
		return false;
	const Elf64_Shdr *tab = section(&e, SHT_SYMTAB);
	if (!tab)
		tab = section(&e, SHT_DYNSYM);
	if (!tab)
		return true;
	const Elf64_Shdr *sh = piece(&e, e.eh->e_shoff, e.eh->e_shnum * sizeof(*sh));
	const Elf64_Shdr *str = &sh[tab->sh_link];
	const Elf64_Sym *sym = piece(&e, tab->sh_offset, tab->sh_size);
	const char *names = piece(&e, str->sh_offset, str->sh_size);
	if (!sym || !names || str->sh_size == 0 || names[str->sh_size - 1] != 0)
		return true;
	for (size_t i = 0; i < tab->sh_size / sizeof(*sym); i++) {
		int type = ELF64_ST_TYPE(sym[i].st_info);
		if ((type != STT_FUNC && type != STT_GNU_IFUNC) || sym[i].st_shndx == SHN_UNDEF ||
		    sym[i].st_name >= str->sh_size)
			continue;
		struct rtp_sym *s = rtp_vec_push(v, sizeof(*s));
		if (!s)
			break;
		*s = (struct rtp_sym){ sym[i].st_value, sym[i].st_size, names + sym[i].st_name };
	}
	rtp_sort((void *)v->p, v->len / sizeof(struct rtp_sym), sizeof(struct rtp_sym), by_addr);
	v->len = unique((void *)v->p, v->len / sizeof(struct rtp_sym)) * sizeof(struct rtp_sym);
	return true;
}

const struct rtp_sym *
rtp_sym_find(const struct rtp_sym *syms, size_t n, uint64_t vaddr)
{
	size_t lo = 0;
	while (n > 0) {
		size_t half = n / 2;
		if (syms[lo + half].addr <= vaddr) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	if (lo == 0)
		return NULL;
	const struct rtp_sym *s = &syms[lo - 1];
	return s->size == 0 || vaddr - s->addr < s->size ? s : NULL;
}

// ---- objects ----

static bool
find_vaddr(struct object *o, const void *image, size_t len)
{
	struct elf e;
	if (!elf_open(&e, image, len))
		return false;
	const Elf64_Phdr *ph = piece(&e, e.eh->e_phoff, e.eh->e_phnum * sizeof(*ph));
	for (unsigned i = 0; ph && i < e.eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && (ph[i].p_flags & PF_X) &&
		    ph[i].p_offset - (ph[i].p_vaddr & 4095) == o->m->off) {
			o->vaddr_of_lo = ph[i].p_vaddr - (ph[i].p_vaddr & 4095);
			return true;
		}
	return false;
}

static void
read_object(struct object *o, const char *path)
{
	if (path[0] == '[') {
		// The vdso is no file. Ours is the same as that of any process under this kernel: the
		// region may be another process's.
		const void *image = (const void *)getauxval(AT_SYSINFO_EHDR);
		if (image && find_vaddr(o, image, o->m->hi - o->m->lo))
			rtp_elf_symbols(image, o->m->hi - o->m->lo, &o->syms);
		return;
	}
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p != MAP_FAILED) {
			o->image = p;
			o->len = (size_t)st.st_size;
			if (find_vaddr(o, p, o->len))
				rtp_elf_symbols(p, o->len, &o->syms);
		}
	}
	close(fd);
}

static const struct rtp_sym *
find(struct rtp_symtab *s, uint64_t addr, struct object **in)
{
	struct object *o = (void *)s->objects.p;
	for (size_t i = 0; i < s->objects.len / sizeof(*o); i++) {
		if (addr < o[i].m->lo || addr >= o[i].m->hi || rt_load(&((struct rtp_mapping *)o[i].m)->gone))
			continue;
		if (!o[i].tried) {
			o[i].tried = true;
			read_object(&o[i], rtp_at(s->r, o[i].m->path));
		}
		*in = &o[i];
		return rtp_sym_find((const void *)o[i].syms.p, o[i].syms.len / sizeof(struct rtp_sym),
				    addr - o[i].m->lo + o[i].vaddr_of_lo);
	}
	return NULL;
}

static const char *
name(void *arg, uint64_t addr, size_t *len)
{
	struct object *o;
	const struct rtp_sym *sym = find(arg, addr, &o);
	if (!sym)
		return NULL;
	*len = strlen(sym->name);
	return sym->name;
}

static uint64_t
start(void *arg, uint64_t addr)
{
	struct object *o;
	const struct rtp_sym *sym = find(arg, addr, &o);
	return sym ? sym->addr - o->vaddr_of_lo + o->m->lo : 0;
}

struct rtp_symtab *
rtp_symtab_new(struct rtp_region *r, bool vdso_only)
{
	struct rtp_symtab *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return NULL;
	s->r = r->mappings_of ? r->mappings_of : r;
	for (uint64_t off = rt_load_acquire(&s->r->mappings); off;) {
		struct rtp_mapping *m = rtp_at(s->r, off);
		off = m->next;
		if (vdso_only && *(const char *)rtp_at(s->r, m->path) != '[')
			continue;
		struct object *o = rtp_vec_push(&s->objects, sizeof(*o));
		if (!o)
			break;
		o->m = m;
	}
	return s;
}

struct rtp_names
rtp_symtab_names(struct rtp_symtab *s)
{
	return (struct rtp_names){ name, start, s };
}

void
rtp_symtab_free(struct rtp_symtab *s)
{
	struct object *o = (void *)s->objects.p;
	for (size_t i = 0; i < s->objects.len / sizeof(*o); i++) {
		if (o[i].image)
			munmap(o[i].image, o[i].len);
		rtp_vec_free(&o[i].syms);
	}
	rtp_vec_free(&s->objects);
	munmap(s, sizeof(*s));
}
