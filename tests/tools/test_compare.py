# SPDX-License-Identifier: BSD-3-Clause
"""bench/compare.py: parsing, medians, intervals, the table."""
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

import compare

LINES = '''goos: linux
cpu: Some CPU
BenchmarkPingPong-2   \t 1000000\t       210.5 ns/op
BenchmarkPingPong-2   \t 1000000\t       190.5 ns/op\t       0 B/op
BenchmarkPingPong-2
Benchmarkmalformed x y
--- FAIL: BenchmarkOther
PASS
'''


class Compare(unittest.TestCase):
    def test_parse_reads_lines_as_benchstat_does(self):
        self.assertEqual(compare.parse(LINES), {('PingPong-2', 'ns/op'): [210.5, 190.5],
                                                ('PingPong-2', 'B/op'): [0.0]})

    def test_median_of_even_and_odd_counts(self):
        self.assertEqual(compare.median([3, 1, 2]), 2)
        self.assertEqual(compare.median([4, 1, 2, 3]), 2.5)

    def test_rank_counts_equal_brute_force(self):
        for n, m in itertools.product(range(1, 5), repeat=2):
            counts = [0] * (n * m + 1)
            for first in itertools.combinations(range(n + m), n):
                second = [x for x in range(n + m) if x not in first]
                counts[sum(a > b for a in first for b in second)] += 1
            self.assertEqual(compare.rank_counts(n, m), counts, (n, m))

    def test_interval_needs_four_runs_a_side(self):
        self.assertIsNone(compare.ratio_interval([1, 2, 3], [1, 2, 3]))
        self.assertEqual(compare.ratio_interval([1, 2, 3, 4], [1, 2, 3, 4]), (0.25, 4.0))

    def test_interval_uses_the_critical_value_of_the_tables(self):
        # Two-sided 5 %: U = 5 for 6 and 6 values, 23 for 10 and 10; the ends are the next order statistics.
        for n, critical in ((6, 5), (10, 23)):
            new, old = [float(i) for i in range(1, n + 1)], [math.sqrt(2) ** i for i in range(n)]
            ratios = sorted(x / y for x in new for y in old)
            self.assertEqual(compare.ratio_interval(new, old), (ratios[critical], ratios[-1 - critical]))

    def test_interval_covers_a_true_ratio_19_times_in_20(self):
        import random
        rng = random.Random(7)
        hits = 0
        for _ in range(2000):
            old = [rng.lognormvariate(0, 0.2) for _ in range(6)]
            new = [1.5 * rng.lognormvariate(0, 0.2) for _ in range(6)]
            low, high = compare.ratio_interval(new, old)
            hits += low <= 1.5 <= high
        self.assertGreater(hits, 1880)

    def test_zero_has_no_ratio(self):
        row, = compare.rows_of({('X', 'B/op'): [0.0] * 6}, {('X', 'B/op'): [8.0] * 6})
        self.assertIsNone(row['ratio'])
        self.assertIn(' -', compare.table([row]).splitlines()[1])

    def test_files_give_a_table_and_json(self):
        with tempfile.TemporaryDirectory() as d:
            paths = [os.path.join(d, n) for n in ('go', 'gort')]
            for path, base in zip(paths, (200, 100)):
                with open(path, 'w', encoding='utf-8') as f:
                    for i in range(6):
                        f.write('BenchmarkA\t10\t%d ns/op\n' % (base + i))
            cmd = [sys.executable, compare.__file__, '--files'] + paths
            out = subprocess.run(cmd, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
            self.assertEqual(out[0].split(), ['benchmark', 'unit', 'go', 'gort', 'ratio', '[low..high]'])
            self.assertEqual(out[1].split(), ['A', 'ns/op', '202', '102', '0.51', '[0.50..0.52]'])
            rows = json.loads(subprocess.run(cmd + ['--json'], stdout=subprocess.PIPE, text=True, check=True).stdout)
            self.assertEqual(rows[0]['go'], 202.5)
            self.assertAlmostEqual(rows[0]['ratio'], 102.5 / 202.5)


if __name__ == '__main__':
    unittest.main()
