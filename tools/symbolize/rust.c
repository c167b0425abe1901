// SPDX-License-Identifier: BSD-3-Clause
// A recursive descent over the grammar of RFC 2603. Names may be anything: depth, number of steps and
// length of the output are bounded.
#include "rust.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 200
#define MAX_STEPS 20000 // back references can make a short name long

struct parser {
	const char *s; // behind _R
	size_t at, len;
	char *out;
	size_t n, cap;
	int depth, steps;
	bool bad, quiet; // quiet: parsed, not printed
	uint64_t lifetimes; // bound by the binders around
};

static void path(struct parser *p, bool value);
static void type(struct parser *p);

// ---- reading and writing ----

static char
peek(const struct parser *p)
{
	return p->at < p->len ? p->s[p->at] : 0;
}

static bool
eat(struct parser *p, char c)
{
	if (p->bad || peek(p) != c)
		return false;
	p->at++;
	return true;
}

static char
next(struct parser *p)
{
	char c = peek(p);
	if (!c)
		p->bad = true;
	else
		p->at++;
	return c;
}

static void
put_n(struct parser *p, const char *s, size_t n)
{
	if (p->quiet || p->bad)
		return;
	if (p->n + n + 1 > p->cap) {
		p->bad = true;
		return;
	}
	memcpy(p->out + p->n, s, n);
	p->n += n;
}

static void
put(struct parser *p, const char *s)
{
	put_n(p, s, strlen(s));
}

static void
put_number(struct parser *p, uint64_t v)
{
	char s[24];
	snprintf(s, sizeof(s), "%" PRIu64, v);
	put(p, s);
}

static bool
down(struct parser *p)
{
	if (++p->depth > MAX_DEPTH || ++p->steps > MAX_STEPS)
		p->bad = true;
	return !p->bad;
}

// "_" is 0, "0_" 1, "Z_" 62.
static uint64_t
base62(struct parser *p)
{
	uint64_t v = 0;
	if (eat(p, '_'))
		return 0;
	for (char c; !p->bad && (c = next(p)) != '_';) {
		int d = c >= '0' && c <= '9'   ? c - '0'
			: c >= 'a' && c <= 'z' ? c - 'a' + 10
			: c >= 'A' && c <= 'Z' ? c - 'A' + 36
					       : -1;
		if (d < 0 || v > UINT64_MAX / 62 - 62)
			p->bad = true;
		else
			v = v * 62 + (uint64_t)d;
	}
	return v + 1;
}

// 0 when there is none.
static uint64_t
optional_base62(struct parser *p, char tag)
{
	return eat(p, tag) ? base62(p) + 1 : 0;
}

struct identifier {
	const char *s;
	size_t n;
	uint64_t disambiguator;
	bool punycode;
};

static struct identifier
undisambiguated(struct parser *p)
{
	struct identifier id = { .punycode = eat(p, 'u') };
	size_t n = 0;
	char c = peek(p);
	if (c < '0' || c > '9')
		p->bad = true;
	if (!eat(p, '0'))
		while ((c = peek(p)) >= '0' && c <= '9' && n < p->len)
			n = n * 10 + (size_t)(next(p) - '0');
	eat(p, '_');
	if (p->bad || n > p->len - p->at) {
		p->bad = true;
		return id;
	}
	id.s = p->s + p->at;
	id.n = n;
	p->at += n;
	return id;
}

static struct identifier
identifier(struct parser *p)
{
	uint64_t d = optional_base62(p, 's');
	struct identifier id = undisambiguated(p);
	id.disambiguator = d;
	return id;
}

static void
put_identifier(struct parser *p, const struct identifier *id)
{
	put(p, id->punycode ? "punycode{" : "");
	if (!p->bad)
		put_n(p, id->s, id->n);
	put(p, id->punycode ? "}" : "");
}

// What is at an earlier place of the name.
static void
back_reference(struct parser *p, void (*what)(struct parser *p))
{
	size_t from = p->at;
	uint64_t to = base62(p);
	if (p->bad || to >= from - 1) { // only backwards, or it would not end
		p->bad = true;
		return;
	}
	size_t back = p->at;
	if (p->quiet)
		return;
	p->at = (size_t)to;
	if (down(p))
		what(p);
	p->depth--;
	p->at = back;
}

// ---- generic arguments ----

static void
lifetime(struct parser *p, uint64_t index)
{
	char c[2] = { 0 };
	put(p, "'");
	if (index == 0) {
		put(p, "_");
		return;
	}
	if (index > p->lifetimes) {
		p->bad = true;
		return;
	}
	uint64_t depth = p->lifetimes - index;
	c[0] = (char)('a' + depth % 26);
	put(p, c);
	if (depth >= 26)
		put_number(p, depth / 26);
}

// "for<'a, 'b> "; returns how many, to be taken back.
static uint64_t
binder(struct parser *p)
{
	uint64_t n = optional_base62(p, 'G');
	if (n == 0 || n > 64) {
		p->bad |= n > 64;
		return 0;
	}
	put(p, "for<");
	for (uint64_t i = 0; i < n; i++) {
		put(p, i ? ", " : "");
		p->lifetimes++;
		lifetime(p, 1);
	}
	put(p, "> ");
	return n;
}

static const char *
basic_type(char c)
{
	static const char *const names[26] = {
		['a' - 'a'] = "i8", ['b' - 'a'] = "bool", ['c' - 'a'] = "char", ['d' - 'a'] = "f64", ['e' - 'a'] = "str",
		['f' - 'a'] = "f32", ['h' - 'a'] = "u8", ['i' - 'a'] = "isize", ['j' - 'a'] = "usize", ['l' - 'a'] = "i32",
		['m' - 'a'] = "u32", ['n' - 'a'] = "i128", ['o' - 'a'] = "u128", ['p' - 'a'] = "_", ['s' - 'a'] = "i16",
		['t' - 'a'] = "u16", ['u' - 'a'] = "()", ['v' - 'a'] = "...", ['x' - 'a'] = "i64", ['y' - 'a'] = "u64",
		['z' - 'a'] = "!" };
	return c >= 'a' && c <= 'z' ? names[c - 'a'] : NULL;
}

// Numbers in hex that fit a word are printed in decimal.
static void
constant_number(struct parser *p)
{
	size_t from = p->at;
	while (!p->bad && next(p) != '_')
		;
	size_t n = p->at - from - 1;
	uint64_t v = 0;
	if (p->bad || n > 16) {
		put(p, "0x");
		put_n(p, p->s + from, p->bad ? 0 : n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		char c = p->s[from + i];
		v = v * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	put_number(p, v);
}

static void
constant(struct parser *p)
{
	if (eat(p, 'p')) {
		put(p, "_");
		return;
	}
	if (eat(p, 'B')) {
		back_reference(p, constant);
		return;
	}
	char t = next(p);
	if (!strchr("abchijlmnostxy", t)) {
		p->bad = true; // structures: no function is named by one in practice
		return;
	}
	if (eat(p, 'n'))
		put(p, "-");
	if (t == 'b') {
		put(p, eat(p, '1') ? "true" : "false");
		eat(p, '0');
		p->bad |= !eat(p, '_');
		return;
	}
	constant_number(p);
}

static void
generic_argument(struct parser *p)
{
	if (eat(p, 'L'))
		lifetime(p, base62(p));
	else if (eat(p, 'K'))
		constant(p);
	else
		type(p);
}

static void
generic_arguments(struct parser *p)
{
	for (bool first = true; !p->bad && !eat(p, 'E'); first = false) {
		put(p, first ? "" : ", ");
		generic_argument(p);
	}
}

// ---- types ----

static void
function_type(struct parser *p)
{
	uint64_t bound = binder(p);
	put(p, eat(p, 'U') ? "unsafe " : "");
	if (eat(p, 'K')) {
		put(p, "extern \"");
		if (eat(p, 'C')) {
			put(p, "C");
		} else {
			struct identifier abi = undisambiguated(p);
			put_identifier(p, &abi);
		}
		put(p, "\" ");
	}
	put(p, "fn(");
	generic_arguments(p);
	put(p, ")");
	if (!eat(p, 'u')) {
		put(p, " -> ");
		type(p);
	}
	p->lifetimes -= bound;
}

// A trait, whose associated types stand among its generic arguments.
static void
dyn_trait(struct parser *p)
{
	bool open = false;
	if (eat(p, 'I')) {
		path(p, false);
		put(p, "<");
		open = true;
		bool first = true;
		for (; !p->bad && !eat(p, 'E'); first = false) {
			put(p, first ? "" : ", ");
			generic_argument(p);
		}
	} else {
		path(p, false);
	}
	while (eat(p, 'p')) {
		put(p, open ? ", " : "<");
		open = true;
		struct identifier id = undisambiguated(p);
		put_identifier(p, &id);
		put(p, " = ");
		type(p);
	}
	put(p, open ? ">" : "");
}

static void
dyn_type(struct parser *p)
{
	put(p, "dyn ");
	uint64_t bound = binder(p);
	for (bool first = true; !p->bad && !eat(p, 'E'); first = false) {
		put(p, first ? "" : " + ");
		dyn_trait(p);
	}
	p->lifetimes -= bound;
	if (!eat(p, 'L')) {
		p->bad = true;
		return;
	}
	uint64_t l = base62(p);
	if (l) {
		put(p, " + ");
		lifetime(p, l);
	}
}

static void
reference(struct parser *p, const char *how)
{
	put(p, "&");
	if (eat(p, 'L')) {
		uint64_t l = base62(p);
		if (l) {
			lifetime(p, l);
			put(p, " ");
		}
	}
	put(p, how);
	type(p);
}

static void
tuple(struct parser *p)
{
	int n = 0;
	put(p, "(");
	for (; !p->bad && !eat(p, 'E'); n++) {
		put(p, n ? ", " : "");
		type(p);
	}
	put(p, n == 1 ? ",)" : ")");
}

static void
array(struct parser *p, bool sized)
{
	put(p, "[");
	type(p);
	if (sized) {
		put(p, "; ");
		constant(p);
	}
	put(p, "]");
}

static void
type(struct parser *p)
{
	if (!down(p))
		return;
	char c = peek(p);
	const char *basic = basic_type(c);
	if (basic) {
		p->at++;
		put(p, basic);
	} else if (strchr("CMXYNI", c) && c) {
		path(p, false);
	} else {
		next(p);
		switch (c) {
		case 'A': array(p, true); break;
		case 'S': array(p, false); break;
		case 'T': tuple(p); break;
		case 'R': reference(p, ""); break;
		case 'Q': reference(p, "mut "); break;
		case 'P': put(p, "*const "); type(p); break;
		case 'O': put(p, "*mut "); type(p); break;
		case 'F': function_type(p); break;
		case 'D': dyn_type(p); break;
		case 'B': back_reference(p, type); break;
		default: p->bad = true;
		}
	}
	p->depth--;
}

// ---- paths ----

static void
path_as_type(struct parser *p)
{
	path(p, false);
}

static void
path_as_value(struct parser *p)
{
	path(p, true);
}

// The impl's own place is not shown.
static void
impl_path(struct parser *p)
{
	bool quiet = p->quiet;
	optional_base62(p, 's');
	p->quiet = true;
	path(p, false);
	p->quiet = quiet;
}

static void
nested(struct parser *p, bool value)
{
	char ns = next(p);
	path(p, value);
	struct identifier id = identifier(p);
	if (ns >= 'A' && ns <= 'Z') {
		char other[2] = { ns };
		put(p, "::{");
		put(p, ns == 'C' ? "closure" : ns == 'S' ? "shim" : other);
		if (id.n) {
			put(p, ":");
			put_identifier(p, &id);
		}
		put(p, "#");
		put_number(p, id.disambiguator);
		put(p, "}");
	} else if (ns >= 'a' && ns <= 'z') {
		put(p, id.n ? "::" : "");
		put_identifier(p, &id);
	} else {
		p->bad = true;
	}
}

static void
as_trait(struct parser *p)
{
	put(p, "<");
	type(p);
	put(p, " as ");
	path(p, false);
	put(p, ">");
}

static void
path(struct parser *p, bool value)
{
	struct identifier id;
	if (!down(p))
		return;
	switch (next(p)) {
	case 'C':
		id = identifier(p);
		put_identifier(p, &id);
		break;
	case 'N':
		nested(p, value);
		break;
	case 'M':
		impl_path(p);
		put(p, "<");
		type(p);
		put(p, ">");
		break;
	case 'X':
		impl_path(p);
		as_trait(p);
		break;
	case 'Y':
		as_trait(p);
		break;
	case 'I':
		path(p, value);
		put(p, value ? "::<" : "<");
		generic_arguments(p);
		put(p, ">");
		break;
	case 'B':
		back_reference(p, value ? path_as_value : path_as_type);
		break;
	default:
		p->bad = true;
	}
	p->depth--;
}

bool
rust_demangle(const char *name, char *buf, size_t n)
{
	if (strncmp(name, "_R", 2) != 0 || n == 0)
		return false;
	// A suffix like .llvm.1234 is the compiler's, not Rust's.
	struct parser p = { .s = name + 2, .len = strcspn(name + 2, "."), .out = buf, .cap = n };
	path(&p, true);
	if (!p.bad && p.at < p.len) { // the crate that made this instance
		p.quiet = true;
		path(&p, false);
	}
	if (p.bad || p.at != p.len)
		return false;
	buf[p.n] = 0;
	return true;
}
