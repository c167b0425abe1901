# SPDX-License-Identifier: BSD-3-Clause
"""GORT_DEBUG=gccheckmark=1 finds what a forgotten barrier loses: the object, its holder, where it was made."""
import re

import check

LOST = re.compile(r'^checkmark: lost object 0x[0-9a-f]+ \(struct cell, 16 bytes\), held by object 0x[0-9a-f]+ '
                  r'\(struct cell, 16 bytes\) at offset 0\n'
                  r'\tallocated by new_treasure(?:\.\w+)*\+0x[0-9a-f]+ < app(?:\.\w+)*\+0x[0-9a-f]+', re.M)


class Checkmark(check.TestCase):
    def test_a_forgotten_barrier_is_found(self):
        r = check.run(check.arguments[0], GORT_DEBUG='gccheckmark=1', GORT_MAXPROCS='2', timeout=100)
        self.assertStatus(r, 2)
        self.assertRegex(r.err, LOST)
        self.assertRegex(r.err, r'(?m)^checkmark: \d+ pointers to lost objects in cycle \d+$')
        self.assertIn('fatal error: checkmark found unmarked objects\n', r.err)


check.main()
