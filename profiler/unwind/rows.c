// SPDX-License-Identifier: BSD-3-Clause
#include "unwind/rows.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#include "regs.h"

// Pointer encodings and call frame instructions, by the names of the LSB and DWARF documents.
enum { PE_OMIT = 0xff, PE_TABLE = 0x3b /* datarel | sdata4 */ };
enum {
	CFA_nop = 0x00, CFA_set_loc = 0x01, CFA_advance_loc1 = 0x02, CFA_advance_loc2 = 0x03,
	CFA_advance_loc4 = 0x04, CFA_offset_extended = 0x05, CFA_restore_extended = 0x06,
	CFA_undefined = 0x07, CFA_same_value = 0x08, CFA_register = 0x09, CFA_remember_state = 0x0a,
	CFA_restore_state = 0x0b, CFA_def_cfa = 0x0c, CFA_def_cfa_register = 0x0d,
	CFA_def_cfa_offset = 0x0e, CFA_def_cfa_expression = 0x0f, CFA_expression = 0x10,
	CFA_offset_extended_sf = 0x11, CFA_def_cfa_sf = 0x12, CFA_def_cfa_offset_sf = 0x13,
	CFA_val_offset = 0x14, CFA_val_offset_sf = 0x15, CFA_val_expression = 0x16,
	CFA_GNU_args_size = 0x2e, CFA_GNU_negative_offset_extended = 0x2f,
};
enum { OP_deref = 0x06, OP_breg_fp = 0x70 + RTP_DW_FP, OP_breg_sp = 0x70 + RTP_DW_SP };

// A bounded reader: past the end it yields zeros and remembers that it did.
struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static uint64_t
fixed(struct cursor *c, unsigned n)
{
	uint64_t v = 0;
	if ((size_t)(c->end - c->p) < n) {
		c->bad = true;
		c->p = c->end;
		return 0;
	}
	memcpy(&v, c->p, n);
	c->p += n;
	return v;
}

static uint64_t
uleb(struct cursor *c)
{
	uint64_t v = 0;
	for (unsigned shift = 0;; shift += 7) {
		uint8_t b = (uint8_t)fixed(c, 1);
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80) || c->bad)
			return v;
	}
}

static int64_t
sleb(struct cursor *c)
{
	int64_t v = 0;
	unsigned shift = 0;
	uint8_t b;
	do {
		b = (uint8_t)fixed(c, 1);
		if (shift < 64)
			v |= (int64_t)((uint64_t)(b & 0x7f) << shift);
		shift += 7;
	} while ((b & 0x80) && !c->bad);
	if (shift < 64 && (b & 0x40))
		v |= (int64_t)(~0ull << shift);
	return v;
}

// An encoded pointer; only the forms that occur in loaded objects.
static uintptr_t
pointer(struct cursor *c, uint8_t enc)
{
	uintptr_t at = (uintptr_t)c->p, v;
	switch (enc & 0x0f) {
	case 0x00:
	case 0x04:
	case 0x0c:
		v = fixed(c, 8);
		break;
	case 0x03:
		v = fixed(c, 4);
		break;
	case 0x0b:
		v = (uintptr_t)(int64_t)(int32_t)fixed(c, 4);
		break;
	case 0x02:
		v = fixed(c, 2);
		break;
	case 0x0a:
		v = (uintptr_t)(int64_t)(int16_t)fixed(c, 2);
		break;
	default:
		c->bad = true;
		return 0;
	}
	return (enc & 0x70) == 0x10 ? at + v : v;
}

struct cie {
	struct cursor insns;
	uint64_t code_align;
	int64_t data_align;
	uint8_t fde_enc;
	bool signal, augmented;
};

// The entry at addr, length word read: *body covers what follows it. False on junk.
static bool
entry(const struct rtp_image *img, uintptr_t addr, struct cursor *body)
{
	if (addr < img->lo || addr > img->hi - 8)
		return false;
	struct cursor c = { (const uint8_t *)addr, (const uint8_t *)img->hi, false };
	uint64_t len = fixed(&c, 4);
	if (len == 0xffffffff)
		len = fixed(&c, 8);
	if (c.bad || len == 0 || len > (size_t)(c.end - c.p))
		return false;
	*body = (struct cursor){ c.p, c.p + len, false };
	return true;
}

static bool
parse_cie(struct cie *cie, const struct rtp_image *img, uintptr_t addr)
{
	struct cursor c;
	if (!entry(img, addr, &c) || fixed(&c, 4) != 0)
		return false;
	*cie = (struct cie){ 0 };
	uint8_t version = (uint8_t)fixed(&c, 1);
	const char *aug = (const char *)c.p;
	while (fixed(&c, 1) != 0 && !c.bad)
		;
	cie->code_align = uleb(&c);
	cie->data_align = sleb(&c);
	uint64_t ra = version == 1 ? fixed(&c, 1) : uleb(&c);
	if (c.bad || (version != 1 && version != 3) || ra != RTP_DW_RA)
		return false;
	if (*aug == 'z') {
		cie->augmented = true;
		uint64_t n = uleb(&c);
		if (n > (size_t)(c.end - c.p))
			return false;
		const uint8_t *after = c.p + n;
		for (aug++; *aug; aug++) {
			if (*aug == 'R')
				cie->fde_enc = (uint8_t)fixed(&c, 1);
			else if (*aug == 'P')
				pointer(&c, (uint8_t)fixed(&c, 1));
			else if (*aug == 'L')
				fixed(&c, 1);
			else if (*aug == 'S')
				cie->signal = true;
		}
		c.p = after;
	} else if (*aug) {
		return false;
	}
	cie->insns = c;
	return true;
}

// ---- the frame machine ----

struct rules {
	enum rtp_rule_kind kind;
	int64_t off;    // of the cfa
	bool cfa_ok;    // kind and off say it all
	bool fp_expr;   // caller's fp at *fp
	bool fp_lost;
	int64_t fp_off; // from the cfa; 0 not saved
	bool ra_lost, ra_undefined;
};

static uint32_t
encode(const struct rules *s)
{
	if (s->ra_undefined)
		return rtp_rule(RTP_RULE_END, 0, 0);
	if (!s->cfa_ok || s->ra_lost)
		return RTP_RULE_NONE;
	if (s->kind == RTP_RULE_PLT)
		return rtp_rule(RTP_RULE_PLT, 0, 0);
	if (s->off % 8 != 0)
		return RTP_RULE_NONE;
	int64_t words = s->off / 8;
	if (s->kind == RTP_RULE_DEREF) {
		words += RTP_RULE_OFF_BIAS;
		if (words < 0 || words >= 1 << 21)
			return RTP_RULE_NONE;
		return rtp_rule(RTP_RULE_DEREF, 0, (uint32_t)words);
	}
	if (words <= 0 || words >= 1 << 21)
		return RTP_RULE_NONE;
	uint32_t fp = RTP_RULE_FP_SAME;
	if (s->fp_lost || s->fp_expr)
		fp = RTP_RULE_FP_LOST;
	else if (s->fp_off != 0)
		fp = s->fp_off % 8 == 0 && s->fp_off < 0 && s->fp_off > -8 * 63
			     ? (uint32_t)(-s->fp_off / 8)
			     : RTP_RULE_FP_LOST;
	return rtp_rule(s->kind, fp, (uint32_t)words);
}

static void
set_cfa_reg(struct rules *s, uint64_t reg)
{
	s->cfa_ok = reg == RTP_DW_SP || reg == RTP_DW_FP;
	s->kind = reg == RTP_DW_FP ? RTP_RULE_FP : RTP_RULE_SP;
}

// Only two shapes occur: the stub's test of pc & 15, and *(fp + n) of a realigned frame.
static void
set_cfa_expr(struct rules *s, struct cursor *c)
{
	static const uint8_t plt[] = { OP_breg_sp, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22 };
	uint64_t n = uleb(c);
	if (n > (size_t)(c->end - c->p)) {
		c->bad = true;
		return;
	}
	struct cursor e = { c->p, c->p + n, false };
	c->p += n;
	s->cfa_ok = false;
	if (n == sizeof(plt) && memcmp(e.p, plt, n) == 0) {
		s->kind = RTP_RULE_PLT;
		s->cfa_ok = true;
	} else if (fixed(&e, 1) == OP_breg_fp) {
		s->off = sleb(&e);
		s->kind = RTP_RULE_DEREF;
		s->cfa_ok = fixed(&e, 1) == OP_deref && !e.bad && e.p == e.end;
	}
}

static void
skip_expr(struct rules *s, struct cursor *c, bool value)
{
	uint64_t reg = uleb(c), n = uleb(c);
	if (n > (size_t)(c->end - c->p)) {
		c->bad = true;
		return;
	}
	if (reg == RTP_DW_FP) {
		s->fp_expr = !value && n == 2 && c->p[0] == OP_breg_fp && c->p[1] == 0;
		s->fp_lost = !s->fp_expr;
	} else if (reg == RTP_DW_RA) {
		s->ra_lost = true;
	}
	c->p += n;
}

static void
saved_at(struct rules *s, uint64_t reg, int64_t off)
{
	if (reg == RTP_DW_FP) {
		s->fp_off = off;
		s->fp_lost = s->fp_expr = false;
	} else if (reg == RTP_DW_RA) {
		s->ra_lost = off != -8;
		s->ra_undefined = false;
	}
}

static void
restored(struct rules *s, const struct rules *init, uint64_t reg)
{
	if (reg == RTP_DW_FP) {
		s->fp_off = init->fp_off;
		s->fp_lost = init->fp_lost;
		s->fp_expr = init->fp_expr;
	} else if (reg == RTP_DW_RA) {
		s->ra_lost = init->ra_lost;
		s->ra_undefined = init->ra_undefined;
	}
}

static void
elsewhere(struct rules *s, uint64_t reg)
{
	if (reg == RTP_DW_FP)
		s->fp_lost = true;
	else if (reg == RTP_DW_RA)
		s->ra_lost = true;
}

static bool
grow(struct rtp_rows *rows)
{
	size_t cap = rows->cap ? rows->cap * 2 : 64u << 10;
	void *p = rows->cap ? mremap(rows->row, rows->cap, cap, MREMAP_MAYMOVE)
			    : mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	rows->row = p;
	rows->cap = cap;
	return true;
}

// From off on, rule holds. Rows come in ascending order; one that changes nothing is dropped.
static void
emit(struct rtp_rows *rows, uintptr_t off, uint32_t rule)
{
	if (off > UINT32_MAX)
		return;
	if (rows->n && rows->row[rows->n - 1].off >= off) {
		if (rows->row[rows->n - 1].off == off)
			rows->row[rows->n - 1].rule = rule;
		return;
	}
	if (rows->n && rows->row[rows->n - 1].rule == rule)
		return;
	if ((rows->n + 1) * sizeof(*rows->row) > rows->cap && !grow(rows))
		return;
	rows->row[rows->n++] = (struct rtp_row){ (uint32_t)off, rule };
}

struct machine {
	const struct cie *cie;
	struct rtp_rows *rows; // NULL while the CIE's own instructions run
	uintptr_t loc, base;
	struct rules now, init, saved[8];
	unsigned nsaved;
};

static void
advance(struct machine *m, uint64_t delta)
{
	if (m->rows)
		emit(m->rows, m->loc - m->base, encode(&m->now));
	m->loc += delta * m->cie->code_align;
}

// Instructions with a number above 0x3f carry an operand in their low bits.
static void
primary(struct machine *m, struct cursor *c, uint8_t op)
{
	uint8_t low = op & 0x3f;
	if (op >> 6 == 1)
		advance(m, low);
	else if (op >> 6 == 2)
		saved_at(&m->now, low, (int64_t)uleb(c) * m->cie->data_align);
	else
		restored(&m->now, &m->init, low);
}

static void
extended(struct machine *m, struct cursor *c, uint8_t op)
{
	struct rules *s = &m->now;
	int64_t da = m->cie->data_align;
	uint64_t reg;
	switch (op) {
	case CFA_nop:
		break;
	case CFA_set_loc:
		advance(m, 0);
		m->loc = pointer(c, m->cie->fde_enc);
		break;
	case CFA_advance_loc1:
		advance(m, fixed(c, 1));
		break;
	case CFA_advance_loc2:
		advance(m, fixed(c, 2));
		break;
	case CFA_advance_loc4:
		advance(m, fixed(c, 4));
		break;
	case CFA_offset_extended:
		reg = uleb(c);
		saved_at(s, reg, (int64_t)uleb(c) * da);
		break;
	case CFA_offset_extended_sf:
		reg = uleb(c);
		saved_at(s, reg, sleb(c) * da);
		break;
	case CFA_GNU_negative_offset_extended:
		reg = uleb(c);
		saved_at(s, reg, -(int64_t)uleb(c) * da);
		break;
	case CFA_restore_extended:
		restored(s, &m->init, uleb(c));
		break;
	case CFA_undefined:
		reg = uleb(c);
		if (reg == RTP_DW_RA)
			s->ra_undefined = true;
		else
			elsewhere(s, reg);
		break;
	case CFA_same_value:
		if (uleb(c) == RTP_DW_FP)
			saved_at(s, RTP_DW_FP, 0);
		break;
	case CFA_register:
		elsewhere(s, uleb(c));
		uleb(c);
		break;
	case CFA_remember_state:
		if (m->nsaved < rt_nelem(m->saved))
			m->saved[m->nsaved++] = *s;
		else
			c->bad = true;
		break;
	case CFA_restore_state:
		if (m->nsaved)
			*s = m->saved[--m->nsaved];
		else
			c->bad = true;
		break;
	case CFA_def_cfa:
		set_cfa_reg(s, uleb(c));
		s->off = (int64_t)uleb(c);
		break;
	case CFA_def_cfa_sf:
		set_cfa_reg(s, uleb(c));
		s->off = sleb(c) * da;
		break;
	case CFA_def_cfa_register:
		set_cfa_reg(s, uleb(c));
		break;
	case CFA_def_cfa_offset:
		s->off = (int64_t)uleb(c);
		break;
	case CFA_def_cfa_offset_sf:
		s->off = sleb(c) * da;
		break;
	case CFA_def_cfa_expression:
		set_cfa_expr(s, c);
		break;
	case CFA_expression:
		skip_expr(s, c, false);
		break;
	case CFA_val_expression:
		skip_expr(s, c, true);
		break;
	case CFA_val_offset:
	case CFA_val_offset_sf:
		elsewhere(s, uleb(c));
		uleb(c);
		break;
	case CFA_GNU_args_size:
		uleb(c);
		break;
	default:
		c->bad = true; // from here on this function has no rows
	}
}

static bool
run(struct machine *m, struct cursor c)
{
	while (c.p < c.end && !c.bad) {
		uint8_t op = (uint8_t)fixed(&c, 1);
		if (op >= 0x40)
			primary(m, &c, op);
		else
			extended(m, &c, op);
	}
	return !c.bad;
}

static void
parse_fde(struct rtp_rows *rows, const struct rtp_image *img, const struct cie *cie, struct cursor c)
{
	uintptr_t start = pointer(&c, cie->fde_enc);
	uintptr_t len = pointer(&c, cie->fde_enc & 0x0f);
	if (cie->augmented) {
		uint64_t n = uleb(&c);
		if (n > (size_t)(c.end - c.p))
			return;
		c.p += n;
	}
	if (c.bad || start < img->base || start >= img->hi || len > img->hi - start)
		return;
	uintptr_t end = start + len;
	if (cie->signal) {
		// glibc's trampoline entry starts one byte early, so that the lookup of pc - 1 finds it.
		emit(rows, start - img->base, rtp_rule(RTP_RULE_SIG, 0, 0));
		emit(rows, end - img->base, RTP_RULE_NONE);
		return;
	}
	struct machine m = { .cie = cie, .loc = start, .base = img->base };
	m.now.kind = RTP_RULE_SP;
	m.now.ra_lost = true;
	bool ok = run(&m, cie->insns);
	m.init = m.now;
	m.rows = rows;
	ok = ok && run(&m, c) && m.loc < end;
	emit(rows, m.loc - img->base, ok ? encode(&m.now) : RTP_RULE_NONE);
	emit(rows, end - img->base, RTP_RULE_NONE);
}

bool
rtp_rows_parse(struct rtp_rows *rows, const struct rtp_image *img, uintptr_t hdr, size_t len)
{
	*rows = (struct rtp_rows){ 0 };
	if (len < 12 || hdr < img->lo || hdr > img->hi || len > img->hi - hdr)
		return false;
	struct cursor c = { (const uint8_t *)hdr, (const uint8_t *)hdr + len, false };
	uint8_t version = (uint8_t)fixed(&c, 1), frame_enc = (uint8_t)fixed(&c, 1);
	uint8_t count_enc = (uint8_t)fixed(&c, 1), table_enc = (uint8_t)fixed(&c, 1);
	if (version != 1 || count_enc == PE_OMIT || table_enc != PE_TABLE)
		return false;
	pointer(&c, frame_enc);
	uint64_t n = pointer(&c, count_enc);
	if (!c.bad && n <= (size_t)(c.end - c.p) / 8) {
		rows->hdr = hdr;
		rows->table = (const void *)c.p;
		rows->ntable = (uint32_t)n;
	}
	struct cie cie = { 0 };
	uintptr_t cie_at = 0;
	for (uint64_t i = 0; i < n && !c.bad; i++) {
		fixed(&c, 4); // where the function starts; the entry says it again
		uintptr_t fde = hdr + (uintptr_t)(int64_t)(int32_t)fixed(&c, 4);
		struct cursor body;
		if (c.bad || !entry(img, fde, &body))
			continue;
		uintptr_t at = (uintptr_t)body.p - (uintptr_t)fixed(&body, 4);
		if (at != cie_at && !parse_cie(&cie, img, at)) {
			cie_at = 0;
			continue;
		}
		cie_at = at;
		parse_fde(rows, img, &cie, body);
	}
	return rows->n != 0;
}

void
rtp_rows_free(struct rtp_rows *rows)
{
	if (rows->cap)
		munmap(rows->row, rows->cap);
	*rows = (struct rtp_rows){ 0 };
}

uintptr_t
rtp_rows_function(const struct rtp_rows *rows, uintptr_t pc)
{
	int64_t off = (int64_t)(pc - rows->hdr);
	uint32_t lo = 0, n = rows->ntable;
	while (n > 0) {
		uint32_t half = n / 2;
		if (rows->table[lo + half][0] <= off) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return lo ? rows->hdr + (uintptr_t)(intptr_t)rows->table[lo - 1][0] : 0;
}

uint32_t
rtp_rows_find(const struct rtp_rows *rows, uint32_t off)
{
	uint32_t lo = 0, n = rows->n;
	while (n > 0) { // the last row that starts at or before off
		uint32_t half = n / 2;
		if (rows->row[lo + half].off <= off) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return lo ? rows->row[lo - 1].rule : RTP_RULE_NONE;
}
