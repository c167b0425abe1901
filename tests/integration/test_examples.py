# SPDX-License-Identifier: BSD-3-Clause
"""Every example prints what examples/expected says, with one P and with several."""
import os
import tempfile

import check


class Examples(check.TestCase):
    def expected(self, name):
        with open(os.path.join(check.arguments[0], name + '.txt'), encoding='utf-8') as f:
            return f.read()

    def test_examples_print_what_is_expected(self):
        for program in check.arguments[2:]:
            for procs in '1', '4':
                with self.subTest(program=program, procs=procs), tempfile.TemporaryDirectory() as d:
                    r = check.run(program, cwd=d, GORT_MAXPROCS=procs)
                    self.assertEqual((r.out, r.status), (self.expected(os.path.basename(program)), 0), str(r))

    def test_first_squares_in_some_order(self):
        for procs in '1', '4':
            r = check.run(check.arguments[1], GORT_MAXPROCS=procs)
            self.assertStatus(r, 0)
            lines = r.out.splitlines()
            squares = sorted(int(x) for x in lines if x.isdigit())
            self.assertEqual(squares, [i * i for i in range(10)])
            self.assertLessEqual({x for x in lines if not x.isdigit()}, {'worker %d done' % i for i in range(4)})


check.main()
