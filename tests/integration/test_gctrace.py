# SPDX-License-Identifier: BSD-3-Clause
"""gctrace lines of a real run: Go's form, and figures that agree with each other."""
import re

import check

LINE = re.compile(r'^gc (\d+) @(\d+\.\d{3})s (\d+)%: ([\d.]+)\+([\d.]+)\+([\d.]+) ms clock, '
                  r'([\d.]+)\+([\d.]+)/([\d.]+)/([\d.]+)\+([\d.]+) ms cpu, (\d+)->(\d+)->(\d+) MB, (\d+) MB goal, '
                  r'(\d+) MB stacks, (\d+) MB globals, (\d+) P( \(forced\))?$')


class GCTrace(check.TestCase):
    def lines(self, *args, **env):
        r = check.run(check.arguments[0], *args, GORT_DEBUG='gctrace=1', **env)
        self.assertIn(r.status, (0, 1), str(r))
        found = [x for x in r.err.splitlines() if x.startswith('gc ')]
        self.assertGreater(len(found), 2, str(r))
        matches = [LINE.match(x) for x in found]
        self.assertNotIn(None, matches, found)
        return matches

    def test_lines_have_gos_form_and_consistent_figures(self):
        now = 0.0
        for i, m in enumerate(self.lines(GORT_MAXPROCS='2')):
            self.assertEqual(int(m[1]), i + 1)
            self.assertGreaterEqual(float(m[2]), now)
            now = float(m[2])
            self.assertLessEqual(int(m[3]), 100)
            start, end, live, goal = int(m[12]), int(m[13]), int(m[14]), int(m[15])
            self.assertLessEqual(start, end + 4)  # spans in caches count whole until the stop
            self.assertLessEqual(live, end + 1)
            self.assertGreaterEqual(goal, 4)
            self.assertEqual(m[18], '2')
            self.assertIsNone(m[19])

    def test_gogc_moves_the_goal(self):
        few, many = len(self.lines(GOGC='400')), len(self.lines(GOGC='25'))
        self.assertLess(few * 2, many)

    def test_gogc_off_collects_nothing(self):
        r = check.run(check.arguments[0], GORT_DEBUG='gctrace=1', GOGC='off')
        self.assertNotIn('\ngc ', '\n' + r.err)


check.main()
