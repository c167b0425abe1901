// SPDX-License-Identifier: BSD-3-Clause
// wordfreq [-n N] [-r READERS] [-w WORD] [PATH...]
//
// Counts the words of all text files under each PATH (a directory or a file) and prints the N most
// frequent (20; 0: all) as "count word files", the most frequent first, equal ones in byte order. A
// word is a longest run of ASCII letters, in lower case. -w WORD then lists the files that hold WORD.
// Without PATH: the machine's own documentation and licence texts, where files whose names say that
// they are compressed or pictures are passed over.
//
// What cannot be counted (no such directory, no permission, a binary file: one with a zero byte in
// it) is named in a line on stderr; the rest goes on, and the exit status is 1.
//
//   walk ---paths---> read (a pool) ---documents---> count (a pool) ---merge, under a lock---> index
//
// The goroutines of the pools never end: they wait for more work until app returns. `pending` counts
// what is under way: one for each walk and for each path from when it was found until its words are
// in the index (or it was complained about).
// The words of a document point into the buffer that holds the whole file; the index copies those
// that it has not seen before, so a file's text dies when it has been counted.
#include <gort.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct doc {
	const char *path;
	gort_slice words; // of gort_string, in reading order; dropped when they have been counted
};
GORT_TYPE(struct doc, path, words)

// A word occurs count times in doc.
struct posting {
	struct posting *next;
	struct doc *doc;
	int64_t count;
};
GORT_TYPE(struct posting, next, doc)

struct entry {
	gort_string word;
	struct posting *postings; // the newest document first
	int64_t count, files;
};
GORT_TYPE(struct entry, word, postings)

// The inverted index. All of it under lock.
struct index {
	gort_mutex lock;
	gort_map *entries; // gort_string -> struct entry *
	int64_t words, bytes, docs;
};
GORT_TYPE(struct index, entries)

static gort_chan *paths;     // of char *: files to read
static gort_chan *documents; // of struct doc *: files to count
static gort_waitgroup pending;
static struct index *ix;
static bool by_name; // pass over files whose names say that they are no text
static atomic_bool failed;
static atomic_llong passed_over;

static void
complain(const char *path, const char *why)
{
	fprintf(stderr, "wordfreq: %s: %s\n", path, why);
	atomic_store(&failed, true);
}

// ---- walk ----

static char *
path_join(const char *dir, const char *name)
{
	size_t n = strlen(dir), k = strlen(name);
	bool slash = n > 0 && dir[n - 1] != '/';
	char *p = gort_new_bytes(n + slash + k + 1);
	memcpy(p, dir, n);
	if (slash)
		p[n] = '/';
	memcpy(p + n + slash, name, k);
	return p;
}

static bool
named_no_text(const char *name)
{
	static const char *const suffixes[] = {".gz",  ".bz2",	".xz",	".zst", ".zip", ".png",
					       ".gif", ".jpeg", ".jpg", ".ico", ".pdf"};
	size_t n = strlen(name);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t k = strlen(suffixes[i]);
		if (n > k && strcasecmp(name + n - k, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static void
found(char *path)
{
	gort_waitgroup_add(&pending, 1);
	gort_send(char *, paths, path);
}

// Symbolic links inside a tree are not followed, as by find; special files are no text.
static void
visit(char *path, const char *name, gort_slice *dirs)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		complain(path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		gort_append(char *, dirs, path);
	else if (S_ISREG(st.st_mode) && by_name && named_no_text(name))
		atomic_fetch_add(&passed_over, 1);
	else if (S_ISREG(st.st_mode))
		found(path);
}

static void
walk_dir(char *path, gort_slice *dirs)
{
	DIR *d = opendir(path);
	if (!d) {
		complain(path, strerror(errno));
		return;
	}
	struct dirent *e;
	while ((errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			visit(path_join(path, e->d_name), e->d_name, dirs);
	if (errno)
		complain(path, strerror(errno));
	closedir(d);
}

// The directories still to visit are kept in a slice, so depth costs no stack.
static void
walk(char *root)
{
	struct stat st;
	if (stat(root, &st) != 0) {
		complain(root, strerror(errno));
	} else if (S_ISREG(st.st_mode)) {
		found(root);
	} else if (S_ISDIR(st.st_mode)) {
		gort_slice dirs = {0};
		gort_append(char *, &dirs, root);
		while (dirs.len > 0) {
			char *next = *gort_at(char *, dirs, dirs.len - 1);
			dirs = gort_subslice(char *, dirs, 0, dirs.len - 1);
			walk_dir(next, &dirs);
		}
	} else {
		complain(root, "neither a file nor a directory");
	}
	gort_waitgroup_done(&pending);
}

// ---- read ----

// The whole file, in collected memory; NULL after a complaint.
static char *
slurp(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0) {
		complain(path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	size_t cap = (size_t)st.st_size + 1, n = 0; // one more, to see the end without growing
	char *buf = gort_new_bytes(cap);
	ssize_t got;
	while ((got = read(fd, buf + n, cap - n)) > 0) {
		n += (size_t)got;
		if (n == cap) {
			char *more = gort_new_bytes(cap * 2);
			memcpy(more, buf, n);
			buf = more;
			cap *= 2;
		}
	}
	if (got < 0)
		complain(path, strerror(errno));
	close(fd);
	*len = n;
	return got < 0 ? NULL : buf;
}

static inline bool
is_letter(char c)
{
	return (unsigned)((c | 0x20) - 'a') < 26;
}

// Lowers the text in place and cuts it into words.
static gort_slice
tokenise(char *text, size_t len)
{
	gort_slice words = {0};
	for (size_t i = 0; i < len; i++) {
		size_t start = i;
		for (; i < len && is_letter(text[i]); i++)
			text[i] |= 0x20;
		if (i > start) {
			gort_string w = {.str = text + start, .len = (ptrdiff_t)(i - start)};
			gort_append(gort_string, &words, w);
		}
	}
	return words;
}

static struct doc *
read_file(const char *path)
{
	size_t len;
	char *text = slurp(path, &len);
	if (!text)
		return NULL;
	if (memchr(text, 0, len)) {
		complain(path, "binary file (it holds a zero byte)");
		return NULL;
	}
	struct doc *doc = gort_new(struct doc);
	gort_set(&doc->path, path);
	gort_set_value(gort_slice, &doc->words, tokenise(text, len));
	gort_mutex_lock(&ix->lock);
	ix->docs++;
	ix->bytes += (int64_t)len;
	gort_mutex_unlock(&ix->lock);
	return doc;
}

static void
reader(void)
{
	char *path;
	while (gort_chan_recv(paths, &path)) {
		struct doc *doc = read_file(path);
		if (doc)
			gort_send(struct doc *, documents, doc);
		else
			gort_waitgroup_done(&pending);
	}
}

// ---- count ----

static void
add_posting(struct entry *e, struct doc *doc, int64_t n)
{
	struct posting *p = gort_new(struct posting);
	gort_set(&p->doc, doc);
	gort_set(&p->next, e->postings);
	p->count = n;
	gort_set(&e->postings, p);
	e->count += n;
	e->files++;
}

static struct entry *
new_entry(gort_string word)
{
	struct entry *e = gort_new(struct entry);
	gort_string own = gort_string_of(word.str, (size_t)word.len);
	gort_set_value(gort_string, &e->word, own);
	gort_set(gort_map_put(gort_string, struct entry *, ix->entries, own), e);
	return e;
}

static void
merge(struct doc *doc, gort_map *seen)
{
	gort_mutex_lock(&ix->lock);
	gort_map_iter it = gort_map_iterate(seen);
	while (gort_map_next(&it)) {
		gort_string word = *(gort_string *)it.key;
		int64_t n = *(int64_t *)it.value;
		struct entry **e = gort_map_get(gort_string, struct entry *, ix->entries, word);
		add_posting(e ? *e : new_entry(word), doc, n);
		ix->words += n;
	}
	gort_mutex_unlock(&ix->lock);
}

static void
counter(void)
{
	struct doc *doc;
	gort_map *seen = gort_make_map(gort_string, int64_t, 1000);
	while (gort_chan_recv(documents, &doc)) {
		for (ptrdiff_t i = 0; i < doc->words.len; i++)
			++*gort_map_put(gort_string, int64_t, seen,
					*gort_at(gort_string, doc->words, i));
		merge(doc, seen);
		gort_map_clear(seen); // its keys point into the text
		gort_set_value(gort_slice, &doc->words, ((gort_slice){0}));
		gort_waitgroup_done(&pending);
	}
}

// ---- report ----

static int
by_count(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return gort_string_compare(x->word, y->word);
}

// The index keeps every entry alive, so qsort may move the pointers about without barriers.
static gort_slice
sorted_entries(void)
{
	gort_slice all = gort_make_slice(struct entry *, 0, gort_map_len(ix->entries));
	gort_map_iter it = gort_map_iterate(ix->entries);
	while (gort_map_next(&it))
		gort_append(struct entry *, &all, *(struct entry **)it.value);
	if (all.len > 1)
		qsort(all.array, (size_t)all.len, sizeof(struct entry *), by_count);
	return all;
}

static void
print_top(long n)
{
	gort_slice all = sorted_entries();
	for (ptrdiff_t i = 0; i < all.len && (n == 0 || i < n); i++) {
		struct entry *e = *gort_at(struct entry *, all, i);
		printf("%8" PRId64 " %.*s %" PRId64 "\n", e->count, GORT_STRING_ARG(e->word),
		       e->files);
	}
}

static void
print_files(const char *word)
{
	struct entry **e =
		gort_map_get(gort_string, struct entry *, ix->entries, gort_string_from(word));
	printf("%s: in %" PRId64 " files\n", word, e ? (*e)->files : 0);
	for (struct posting *p = e ? (*e)->postings : NULL; p; p = p->next)
		printf("%8" PRId64 " %s\n", p->count, p->doc->path);
}

static int
usage(void)
{
	fprintf(stderr, "usage: wordfreq [-n N] [-r READERS] [-w WORD] [PATH...]\n");
	return 2;
}

static bool
parse_count(const char *s, long lo, long hi, long *out)
{
	char *end;
	errno = 0;
	*out = strtol(s, &end, 10);
	return !errno && end != s && !*end && *out >= lo && *out <= hi;
}

static int
app(int argc, char **argv)
{
	static char *defaults[] = {"/usr/share/doc", "/usr/share/common-licenses"};
	const char *word = NULL;
	long top = 20, readers = 2 * gort_maxprocs(0);
	for (int c; (c = getopt(argc, argv, "n:r:w:")) != -1;) {
		if (c == 'w')
			word = optarg;
		else if (!(c == 'n' && parse_count(optarg, 0, INT32_MAX, &top)) &&
			 !(c == 'r' && parse_count(optarg, 1, 10000, &readers)))
			return usage();
	}
	by_name = optind == argc;
	char **roots = by_name ? defaults : argv + optind;
	int nroots = by_name ? 2 : argc - optind;

	ix = gort_new(struct index);
	gort_set(&ix->entries, gort_make_map(gort_string, struct entry *, 0));
	paths = gort_make_chan(char *, 64);
	documents = gort_make_chan(struct doc *, 4);
	for (long i = 0; i < readers; i++) {
		gort_go(reader);
		gort_go(counter);
	}
	gort_waitgroup_add(&pending, nroots);
	for (int i = 0; i < nroots; i++)
		gort_go(walk, roots[i]);
	gort_waitgroup_wait(&pending);

	print_top(top);
	if (word)
		print_files(word);
	fprintf(stderr,
		"wordfreq: %" PRId64 " words (%td different) in %" PRId64 " files, %" PRId64
		" bytes",
		ix->words, gort_map_len(ix->entries), ix->docs, ix->bytes);
	if (by_name)
		fprintf(stderr, "; %lld compressed files and pictures passed over",
			(long long)passed_over);
	fprintf(stderr, "\n");
	return failed ? 1 : 0;
}
GORT_MAIN(app)
