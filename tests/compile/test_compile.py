# SPDX-License-Identifier: BSD-3-Clause
"""Programs that the headers must reject, each with a word of the compiler's message.

Arguments: the directory of <gort.h>, then the compiler's command.
"""
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


def compile_text(text, *flags):
    p = subprocess.run(CC + ['-std=gnu17', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-I', INCLUDE, *flags,
                             '-x', 'c', '-'], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.returncode, p.stdout


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
