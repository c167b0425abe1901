# SPDX-License-Identifier: BSD-3-Clause
"""Programs that the headers must reject, each with a word of the compiler's message, and what they must let
pass without a warning.

Arguments: the directory of <gort.h>, then the compiler's command.
"""
import pathlib
import shutil
import subprocess
import sys
import unittest

INCLUDE, CC = sys.argv[1], sys.argv[2:]

SHAPE = '''
#include <gort.h>
#define SHAPE(M) M(double, area) M(void, scale, double)
GORT_INTERFACE(shape, SHAPE)
struct square { double side; };
struct circle { double r; };
double square_area(const struct square *s);
'''
GOOD = SHAPE + '''
void square_scale(struct square *s, double k);
GORT_IMPLEMENTS(shape, SHAPE, struct square, square)
'''


def compile_text(text, *flags, command=(*CC, '-std=gnu17', '-x', 'c')):
    p = subprocess.run([*command, '-Wall', '-Wextra', '-Werror', '-S', '-o', '/dev/null', '-I', INCLUDE, *flags, '-'],
                       input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.returncode, p.stdout


# What a careful user asks for. The headers are GNU C: statement expressions and the comma before __VA_ARGS__.
STRICT = ['-Wpedantic', '-Wconversion', '-Wsign-conversion', '-Wcast-align', '-Wcast-qual', '-Wundef', '-Wno-unknown-warning-option',
          '-Wno-gnu-zero-variadic-macro-arguments']
HEADERS = ['gort.h'] + sorted('gort/' + h.name for h in pathlib.Path(INCLUDE, 'gort').glob('*.h'))
CXX = shutil.which('clang++' if 'clang' in CC[-1] else 'g++')

# A use of each kind of macro.
USES = GOOD + '''
struct node { struct node *next; gort_string name; };
GORT_TYPE(struct node, next, name)
GORT_KEY(struct node, next, name);
static void work(int a, double b, struct node *n) { (void)a; (void)b; (void)n; }
void f(gort_chan *c, gort_map *m, struct square *q);
void f(gort_chan *c, gort_map *m, struct square *q)
{
	struct node *n = gort_new(struct node);
	gort_slice s = gort_make_slice(gort_string, 0, 4);
	gort_waitgroup wg = {0};
	gort_go(work, 1, 2.0, n);
	gort_waitgroup_go(&wg, work, 1, 2.0, n);
	gort_set(&n->next, gort_new(struct node));
	gort_set_value(gort_string, &n->name, gort_str("x"));
	gort_append(gort_string, &s, n->name, gort_str("y"));
	gort_append_slice(gort_string, &s, gort_subslice(gort_string, s, 0, 1));
	*gort_at(gort_string, s, 0) = gort_recv(gort_string, c);
	gort_send(gort_string, c, n->name);
	gort_any a = gort_box(gort_string, n->name), b = gort_box(struct node, *n);
	(void)gort_unbox(gort_string, a);
	if (gort_type_switch(b, int, shape) == 0 && gort_is(struct node, b))
		gort_call(gort_iface(shape, square, q), scale, 2);
	*gort_map_put(gort_string, int, m, n->name) = 1;
	(void)(gort_map_get(gort_string, int, m, n->name) && gort_map_delete(gort_string, m, n->name));
	gort_select_case cs[] = {GORT_RECV(c, NULL), GORT_SEND(c, &n->name), GORT_DEFAULT};
	gort_select(cs, 3);
}
'''


class Clean(unittest.TestCase):
    def clean(self, text, *flags, **command):
        self.assertEqual(compile_text(text, *flags, **command), (0, ''))

    def test_headers_pass_strict_compilers(self):
        for header in HEADERS:
            with self.subTest(header=header):
                self.clean('#include <%s>\n' % header, *STRICT)

    def test_uses_pass_strict_compilers(self):
        for level in '-O0', '-O2':
            with self.subTest(level=level):
                self.clean(USES, level, *STRICT)


@unittest.skipUnless(CXX, 'no C++ compiler')
class CPlusPlus(unittest.TestCase):
    def compile(self, text):
        return compile_text(text, command=(CXX, '-std=c++17', '-x', 'c++'))

    def go(self, function, args):
        return self.compile('#include <gort.h>\n#include <string>\n%s\nvoid g() { gort_go(f%s); }\n' % (function, args))

    def test_headers(self):
        for header in HEADERS:
            with self.subTest(header=header):
                self.assertEqual(self.compile('#include <%s>\n' % header), (0, ''))

    def test_goroutines(self):
        self.assertEqual(self.go('void f(int, const char *, double);', ', 1, "x", 2.0'), (0, ''))
        for function, args, word in (('void f(std::string);', ', std::string()', 'pass a pointer'),
                                     ('std::string f();', '', 'returns a struct'),
                                     ('void f(long double);', ', 1.0L', 'no long double'),
                                     ('void f(int, int, int, int, int, int, int);', ', 1, 2, 3, 4, 5, 6, 7',
                                      'takes up to 6 arguments')):
            with self.subTest(function=function):
                status, out = self.go(function, args)
                self.assertNotEqual(status, 0, 'it compiled')
                self.assertIn(word, out)


class Compile(unittest.TestCase):
    def rejected(self, text, *words):
        status, out = compile_text(text)
        self.assertNotEqual(status, 0, 'it compiled')
        for w in words:
            self.assertIn(w, out)

    def test_a_complete_implementation_compiles(self):
        status, out = compile_text(GOOD + '''
double f(struct square *q) { shape s = gort_iface(shape, square, q); gort_call(s, scale, 2); return gort_call(s, area); }
''')
        self.assertEqual((status, out), (0, ''))

    def test_a_missing_method_is_named(self):
        self.rejected(SHAPE + 'GORT_IMPLEMENTS(shape, SHAPE, struct square, square)\n', 'square_scale')

    def test_a_method_of_another_type_is_named(self):
        self.rejected(SHAPE + '''
void square_scale(struct square *s, int k);
GORT_IMPLEMENTS(shape, SHAPE, struct square, square)
''', 'square_scale has another type than the method of shape')

    def test_a_method_of_another_receiver_is_named(self):
        self.rejected(SHAPE + '''
void square_scale(struct circle *s, double k);
GORT_IMPLEMENTS(shape, SHAPE, struct square, square)
''', 'square_scale has another type than the method of shape')

    def test_an_interface_holds_only_its_type(self):
        self.rejected(GOOD + 'shape f(struct circle *c) { return gort_iface(shape, square, c); }\n', 'circle')

    def test_a_type_that_does_not_implement_is_rejected(self):
        self.rejected(GOOD + 'shape f(struct circle *c) { return gort_iface(shape, circle, c); }\n',
                      'gort_iface_shape_circle')

    def test_calls_are_checked(self):
        self.rejected(GOOD + 'void f(shape s) { gort_call(s, perimeter); }\n', 'perimeter')
        self.rejected(GOOD + 'void f(shape s) { gort_call(s, scale); }\n', 'too few arguments')

    def test_what_is_no_interface_value_is_rejected(self):
        self.rejected(GOOD + 'int f(int x) { return gort_unbox(int, x); }\n', 'not an interface value')

    def test_slices_are_no_map_keys(self):
        self.rejected(GOOD + 'gort_map *f(void) { return gort_make_map(gort_slice, int, 0); }\n',
                      'invalid map key type')


unittest.main(argv=sys.argv[:1])
