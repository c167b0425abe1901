// SPDX-License-Identifier: BSD-3-Clause
// A DWARF call-frame interpreter: one function's program is run up to the pc, which gives a rule for
// each register of the caller. Formats: the LSB's description of .eh_frame and DWARF 5 section 6.4.
#include "debug/unwind.h"

#include <dlfcn.h>
#include <string.h>

enum rule { RULE_SAME, RULE_UNDEFINED, RULE_OFFSET, RULE_VAL_OFFSET, RULE_REGISTER, RULE_EXPR, RULE_VAL_EXPR };

struct regrule {
	uint8_t rule;
	int64_t n;            // offset from the CFA, or a register
	const uint8_t *expr;  // its length (ULEB128) and bytes
};

struct row {
	struct regrule reg[RT_DW_REGS];
	uint64_t cfa_reg;
	int64_t cfa_offset;
	const uint8_t *cfa_expr; // instead of the two
};

struct cie {
	uint64_t code_align;
	int64_t data_align;
	uint64_t return_reg;
	uint8_t fde_enc;
	bool augmented, signal;
	const uint8_t *insns, *end;
};

struct fde {
	struct cie cie;
	uintptr_t start, size;
	const uint8_t *insns, *end;
};

enum { MAX_REMEMBERED = 4, EXPR_STACK = 16 };

// ---- reading ----

static uint64_t
uleb(const uint8_t **p)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t b;
	do {
		b = *(*p)++;
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80);
	return v;
}

static int64_t
sleb(const uint8_t **p)
{
	int64_t v = 0;
	unsigned shift = 0;
	uint8_t b;
	do {
		b = *(*p)++;
		if (shift < 64)
			v |= (int64_t)((uint64_t)(b & 0x7f) << shift);
		shift += 7;
	} while (b & 0x80);
	if (shift < 64 && (b & 0x40))
		v |= -((int64_t)1 << shift);
	return v;
}

#define READ(type, p)                                                                              \
	({                                                                                         \
		type rt_v_;                                                                        \
		memcpy(&rt_v_, *(p), sizeof rt_v_);                                                \
		*(p) += sizeof rt_v_;                                                              \
		rt_v_;                                                                             \
	})

// A pointer in one of the encodings that linkers use in .eh_frame (absolute and pc-relative).
static uintptr_t
encoded(const uint8_t **p, uint8_t enc)
{
	uintptr_t base = (enc & 0x70) == 0x10 ? (uintptr_t)*p : 0;
	uintptr_t v;
	switch (enc & 0x0f) {
	case 0x00:
	case 0x04:
	case 0x0c:
		v = READ(uint64_t, p);
		break;
	case 0x01:
		v = uleb(p);
		break;
	case 0x02:
		v = READ(uint16_t, p);
		break;
	case 0x03:
		v = READ(uint32_t, p);
		break;
	case 0x09:
		v = (uintptr_t)sleb(p);
		break;
	case 0x0a:
		v = (uintptr_t)(intptr_t)READ(int16_t, p);
		break;
	default:
		v = (uintptr_t)(intptr_t)READ(int32_t, p);
	}
	return v ? v + base : 0;
}

// ---- finding the program of a pc ----

static bool
parse_cie(const uint8_t *p, struct cie *c)
{
	uint32_t len = READ(uint32_t, &p);
	if (len == 0 || len == UINT32_MAX)
		return false;
	*c = (struct cie){.end = p + len};
	if (READ(uint32_t, &p) != 0)
		return false;
	uint8_t version = *p++;
	const char *aug = (const char *)p;
	p += strlen(aug) + 1;
	c->code_align = uleb(&p);
	c->data_align = sleb(&p);
	c->return_reg = version == 1 ? *p++ : uleb(&p);
	if (*aug == 'z') {
		c->augmented = true;
		uint64_t n = uleb(&p);
		const uint8_t *after = p + n;
		for (aug++; *aug; aug++) {
			if (*aug == 'R')
				c->fde_enc = *p++;
			else if (*aug == 'P') {
				uint8_t enc = *p++;
				encoded(&p, enc & 0x7f);
			} else if (*aug == 'L')
				p++;
			else if (*aug == 'S')
				c->signal = true;
		}
		p = after;
	}
	c->insns = p;
	return c->return_reg < RT_DW_REGS;
}

static bool
parse_fde(const uint8_t *p, struct fde *f)
{
	uint32_t len = READ(uint32_t, &p);
	if (len == 0 || len == UINT32_MAX)
		return false;
	f->end = p + len;
	const uint8_t *at = p;
	uint32_t back = READ(uint32_t, &p);
	if (back == 0 || !parse_cie(at - back, &f->cie))
		return false;
	f->start = encoded(&p, f->cie.fde_enc);
	f->size = encoded(&p, f->cie.fde_enc & 0x0f);
	if (f->cie.augmented) {
		uint64_t n = uleb(&p);
		p += n;
	}
	f->insns = p;
	return true;
}

// The linker's sorted table in .eh_frame_hdr: pairs of 32-bit offsets from the header.
static bool
find_fde(uintptr_t pc, struct fde *f)
{
	struct dl_find_object o;
	if (_dl_find_object((void *)pc, &o) != 0 || !o.dlfo_eh_frame)
		return false;
	const uint8_t *hdr = o.dlfo_eh_frame, *p = hdr + 4;
	if (hdr[0] != 1 || hdr[2] != 0x03 || hdr[3] != 0x3b)
		return false;
	encoded(&p, hdr[1]);
	uint32_t n = READ(uint32_t, &p);
	const int32_t *table = (const int32_t *)p;
	uint32_t lo = 0, hi = n;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if ((uintptr_t)(hdr + table[2 * mid]) <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || !parse_fde(hdr + table[2 * (lo - 1) + 1], f))
		return false;
	return pc - f->start < f->size;
}

// ---- running it ----

static void
set_rule(struct row *r, uint64_t reg, enum rule rule, int64_t n, const uint8_t *expr)
{
	if (reg < RT_DW_REGS)
		r->reg[reg] = (struct regrule){.rule = (uint8_t)rule, .n = n, .expr = expr};
}

static const uint8_t *
skip_block(const uint8_t **p)
{
	const uint8_t *expr = *p;
	uint64_t n = uleb(p);
	*p += n;
	return expr;
}

struct machine {
	const struct cie *cie;
	struct row row, initial, remembered[MAX_REMEMBERED];
	unsigned depth;
	uintptr_t loc;
};

// The opcodes below 0x40; false for one that is unknown.
static bool
extended(struct machine *m, uint8_t op, const uint8_t **p)
{
	int64_t da = m->cie->data_align;
	uint64_t reg;
	switch (op) {
	case 0x00: // nop
		return true;
	case 0x01: // set_loc
		m->loc = encoded(p, m->cie->fde_enc);
		return true;
	case 0x02: // advance_loc1, 2, 4
		m->loc += READ(uint8_t, p) * m->cie->code_align;
		return true;
	case 0x03:
		m->loc += READ(uint16_t, p) * m->cie->code_align;
		return true;
	case 0x04:
		m->loc += READ(uint32_t, p) * m->cie->code_align;
		return true;
	case 0x05: // offset_extended
		reg = uleb(p);
		set_rule(&m->row, reg, RULE_OFFSET, (int64_t)uleb(p) * da, NULL);
		return true;
	case 0x06: // restore_extended
		reg = uleb(p);
		if (reg < RT_DW_REGS)
			m->row.reg[reg] = m->initial.reg[reg];
		return true;
	case 0x07: // undefined
		set_rule(&m->row, uleb(p), RULE_UNDEFINED, 0, NULL);
		return true;
	case 0x08: // same_value
		set_rule(&m->row, uleb(p), RULE_SAME, 0, NULL);
		return true;
	case 0x09: // register
		reg = uleb(p);
		set_rule(&m->row, reg, RULE_REGISTER, (int64_t)uleb(p), NULL);
		return true;
	case 0x0a: // remember_state
		if (m->depth == MAX_REMEMBERED)
			return false;
		m->remembered[m->depth++] = m->row;
		return true;
	case 0x0b: // restore_state
		if (m->depth == 0)
			return false;
		m->row = m->remembered[--m->depth];
		return true;
	case 0x0c: // def_cfa
		m->row.cfa_reg = uleb(p);
		m->row.cfa_offset = (int64_t)uleb(p);
		m->row.cfa_expr = NULL;
		return true;
	case 0x0d: // def_cfa_register
		m->row.cfa_reg = uleb(p);
		m->row.cfa_expr = NULL;
		return true;
	case 0x0e: // def_cfa_offset
		m->row.cfa_offset = (int64_t)uleb(p);
		return true;
	case 0x0f: // def_cfa_expression
		m->row.cfa_expr = skip_block(p);
		return true;
	case 0x10: // expression
		reg = uleb(p);
		set_rule(&m->row, reg, RULE_EXPR, 0, skip_block(p));
		return true;
	case 0x11: // offset_extended_sf
		reg = uleb(p);
		set_rule(&m->row, reg, RULE_OFFSET, sleb(p) * da, NULL);
		return true;
	case 0x12: // def_cfa_sf
		m->row.cfa_reg = uleb(p);
		m->row.cfa_offset = sleb(p) * da;
		m->row.cfa_expr = NULL;
		return true;
	case 0x13: // def_cfa_offset_sf
		m->row.cfa_offset = sleb(p) * da;
		return true;
	case 0x14: // val_offset
		reg = uleb(p);
		set_rule(&m->row, reg, RULE_VAL_OFFSET, (int64_t)uleb(p) * da, NULL);
		return true;
	case 0x16: // val_expression
		reg = uleb(p);
		set_rule(&m->row, reg, RULE_VAL_EXPR, 0, skip_block(p));
		return true;
	case 0x2e: // GNU_args_size
		uleb(p);
		return true;
	default:
		return false;
	}
}

static bool
run(struct machine *m, const uint8_t *p, const uint8_t *end, uintptr_t pc)
{
	while (p < end && m->loc <= pc) {
		uint8_t op = *p++, low = op & 0x3f;
		switch (op & 0xc0) {
		case 0x40: // advance_loc
			m->loc += low * m->cie->code_align;
			break;
		case 0x80: // offset
			set_rule(&m->row, low, RULE_OFFSET,
				 (int64_t)uleb(&p) * m->cie->data_align, NULL);
			break;
		case 0xc0: // restore
			if (low < RT_DW_REGS)
				m->row.reg[low] = m->initial.reg[low];
			break;
		default:
			if (!extended(m, op, &p))
				return false;
		}
	}
	return true;
}

// ---- applying the rules ----

static bool
load(const struct rt_unwind *u, uintptr_t addr, uintptr_t *v)
{
	if (addr < u->lo || addr + sizeof *v > u->hi || addr % sizeof *v)
		return false;
	*v = *(const uintptr_t *)addr;
	return true;
}

// The subset of DWARF expressions that compilers and glibc put into call frame information.
static bool
eval(const struct rt_unwind *u, const uint8_t *p, const uintptr_t *initial, uintptr_t *result)
{
	uintptr_t st[EXPR_STACK], a;
	unsigned n = 0;
	const uint8_t *end;
	{
		uint64_t len = uleb(&p);
		end = p + len;
	}
	if (initial)
		st[n++] = *initial;
	while (p < end) {
		uint8_t op = *p++;
		if (n >= EXPR_STACK - 1)
			return false;
		if (op >= 0x70 && op <= 0x8f) { // breg0..31
			unsigned r = op - 0x70u;
			int64_t off = sleb(&p);
			if (r >= RT_DW_REGS || !(u->known >> r & 1))
				return false;
			st[n++] = u->reg[r] + (uintptr_t)off;
			continue;
		}
		if (op >= 0x30 && op <= 0x4f) { // lit0..31
			st[n++] = op - 0x30u;
			continue;
		}
		switch (op) {
		case 0x06: // deref
			if (n < 1 || !load(u, st[n - 1], &st[n - 1]))
				return false;
			break;
		case 0x08:
			st[n++] = READ(uint8_t, &p);
			break;
		case 0x09:
			st[n++] = (uintptr_t)(intptr_t)READ(int8_t, &p);
			break;
		case 0x0a:
			st[n++] = READ(uint16_t, &p);
			break;
		case 0x0b:
			st[n++] = (uintptr_t)(intptr_t)READ(int16_t, &p);
			break;
		case 0x10:
			st[n++] = uleb(&p);
			break;
		case 0x11:
			st[n++] = (uintptr_t)sleb(&p);
			break;
		case 0x12: // dup
			if (n < 1)
				return false;
			st[n] = st[n - 1];
			n++;
			break;
		case 0x23: // plus_uconst
			if (n < 1)
				return false;
			st[n - 1] += uleb(&p);
			break;
		case 0x1a: // and
		case 0x1c: // minus
		case 0x22: // plus
		case 0x24: // shl
		case 0x2a: // ge
			if (n < 2)
				return false;
			a = st[--n];
			st[n - 1] = op == 0x1a	 ? st[n - 1] & a
				    : op == 0x1c ? st[n - 1] - a
				    : op == 0x22 ? st[n - 1] + a
				    : op == 0x24 ? st[n - 1] << (a & 63)
						 : (intptr_t)st[n - 1] >= (intptr_t)a;
			break;
		default:
			return false;
		}
	}
	if (n == 0)
		return false;
	*result = st[n - 1];
	return true;
}

static bool
caller_value(const struct rt_unwind *u, const struct regrule *r, unsigned reg, uintptr_t cfa,
	     uintptr_t *v)
{
	switch (r->rule) {
	case RULE_SAME:
		*v = u->reg[reg];
		return u->known >> reg & 1;
	case RULE_OFFSET:
		return load(u, cfa + (uintptr_t)r->n, v);
	case RULE_VAL_OFFSET:
		*v = cfa + (uintptr_t)r->n;
		return true;
	case RULE_REGISTER:
		if (r->n < 0 || r->n >= RT_DW_REGS || !(u->known >> r->n & 1))
			return false;
		*v = u->reg[r->n];
		return true;
	case RULE_EXPR:
		return eval(u, r->expr, &cfa, v) && load(u, *v, v);
	case RULE_VAL_EXPR:
		return eval(u, r->expr, &cfa, v);
	default:
		return false;
	}
}

bool
rt_unwind_step(struct rt_unwind *u)
{
	uintptr_t pc = u->reg[RT_DW_PC] - (u->exact ? 0 : 1);
	struct fde f;
	if (!find_fde(pc, &f))
		return false;
	struct machine m = {.cie = &f.cie, .loc = f.start};
	if (!run(&m, f.cie.insns, f.cie.end, UINTPTR_MAX))
		return false;
	m.initial = m.row;
	m.loc = f.start;
	if (!run(&m, f.insns, f.end, pc))
		return false;
	uintptr_t cfa;
	if (m.row.cfa_expr) {
		if (!eval(u, m.row.cfa_expr, NULL, &cfa))
			return false;
	} else {
		if (m.row.cfa_reg >= RT_DW_REGS || !(u->known >> m.row.cfa_reg & 1))
			return false;
		cfa = u->reg[m.row.cfa_reg] + (uintptr_t)m.row.cfa_offset;
	}
	struct rt_unwind next = {.lo = u->lo, .hi = u->hi, .exact = f.cie.signal};
	for (unsigned r = 0; r < RT_DW_REGS; r++) {
		uintptr_t v;
		if (caller_value(u, &m.row.reg[r], r, cfa, &v)) {
			next.reg[r] = v;
			next.known |= 1u << r;
		}
	}
	if (m.row.reg[RT_DW_SP].rule == RULE_SAME) {
		next.reg[RT_DW_SP] = cfa;
		next.known |= 1u << RT_DW_SP;
	}
	// The return address's column; without a rule for it there is no caller.
	unsigned ra = (unsigned)f.cie.return_reg;
	if (m.row.reg[ra].rule == RULE_SAME || m.row.reg[ra].rule == RULE_UNDEFINED ||
	    !(next.known >> ra & 1) || next.reg[ra] == 0)
		return false;
	next.reg[RT_DW_PC] = next.reg[ra];
	next.known |= 1u << RT_DW_PC;
	*u = next;
	return true;
}

static void
set(struct rt_unwind *u, unsigned reg, uintptr_t v)
{
	u->reg[reg] = v;
	u->known |= 1u << reg;
}

void
rt_unwind_from_uc(struct rt_unwind *u, const void *uc)
{
	uintptr_t saved[8];
	*u = (struct rt_unwind){.exact = true};
	set(u, RT_DW_PC, rt_uc_pc(uc));
	set(u, RT_DW_SP, rt_uc_sp(uc));
	set(u, RT_DW_FP, rt_uc_fp(uc));
	rt_uc_callee_saved(uc, saved);
	for (unsigned i = 0; i < rt_nelem(rt_dw_saved); i++)
		set(u, rt_dw_saved[i], saved[i]);
}

void
rt_unwind_from_regs(struct rt_unwind *u, const struct rt_parked_regs *regs)
{
	*u = (struct rt_unwind){0};
	set(u, RT_DW_PC, regs->pc);
	set(u, RT_DW_SP, regs->sp);
	set(u, RT_DW_FP, regs->fp);
	for (unsigned i = 0; i < rt_nelem(rt_dw_saved); i++)
		set(u, rt_dw_saved[i], regs->saved[i]);
}

void
rt_unwind_bounds(struct rt_unwind *u, uintptr_t lo, uintptr_t hi)
{
	u->lo = lo;
	u->hi = hi;
}
