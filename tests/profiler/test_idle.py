# SPDX-License-Identifier: BSD-3-Clause
"""With every profiler linked in and none on, a program executes the instructions that it executes without them."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'integration'))
import check

ROUNDS = 20000


def instructions(program, rounds):
    """The least of two counts: what another thread does meanwhile (sysmon wakes by the clock) only adds."""
    counts = []
    for _ in range(2):
        r = check.run('valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', program, rounds, timeout=100,
                      GORT_MAXPROCS='1', GORT_GOGC='off')
        if r.status != 0:
            raise AssertionError(str(r))
        counts.append(int(re.search(r'refs:\s+([\d,]+)', r.err)[1].replace(',', '')))
    return min(counts)


class Idle(check.TestCase):
    def test_no_measurable_cost(self):
        without, linked = check.arguments
        self.assertNotIn('libgort-profiler', check.run('ldd', without).out)
        self.assertIn('libgort-profiler', check.run('ldd', linked).out)
        # Two lengths each: what starting costs is in both.
        a, b = (instructions(p, 3 * ROUNDS) - instructions(p, ROUNDS) for p in (without, linked))
        self.assertGreater(a, 2 * ROUNDS * 100)
        self.assertAlmostEqual(b / a, 1, delta=0.01, msg='%d instructions without, %d with' % (a, b))


if not shutil.which('valgrind'):
    check.skip('no valgrind on this machine')
check.main()
