# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark programs: each row runs and has a Go row of its name; lines, flags and N are Go's."""
import os
import re

import check

LINE = re.compile(r'^(Benchmark\S+) *\t *(\d+)((?:\t *[\d.]+ \S+)+)$')
SLOW = re.compile(r'ParkedMem1M|10M|BinaryTrees|Latency|Profile(1|Default)')


class Bench(check.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.peers = check.arguments[0]
        cls.programs = {os.path.basename(p): p for p in check.arguments[1:]}

    def names(self, package):
        r = check.run(self.programs[package], '-list', '.')
        self.assertStatus(r, 0)
        return r.out.split()

    def results(self, package, *flags, **env):
        r = check.run(self.programs[package], *flags, timeout=120, **env)
        self.assertStatus(r, 0)
        lines = r.out.splitlines()
        self.assertEqual(lines[:3], ['goos: linux', 'goarch: amd64', 'pkg: peers/' + package])
        self.assertEqual(lines[-1], 'PASS')
        found = [x for x in lines if x.startswith('Benchmark')]
        self.assertNotIn(None, [LINE.match(x) for x in found], found)
        return [(m[1], int(m[2]), dict(reversed(v.split()) for v in m[3].split('\t')[1:]))
                for m in map(LINE.match, found)]

    def test_every_row_answers_a_row_of_go(self):
        for package in self.programs:
            with open(os.path.join(self.peers, package, package + '_test.go'), encoding='utf-8') as f:
                theirs = set(re.findall(r'func (Benchmark\w+)\(', f.read()))
            self.assertGreater(len(self.names(package)), 0)
            self.assertLessEqual(set(self.names(package)), theirs, package)

    def test_every_quick_row_runs(self):
        for package in self.programs:
            for name in self.names(package):
                if not SLOW.search(name):
                    with self.subTest(name=name):
                        (full, n, units), = self.results(package, '-bench', '^%s$' % name, '-benchtime', '1x',
                                                         GORT_MAXPROCS='2')
                        self.assertEqual((full, n), (name + '-2', 1))
                        self.assertGreater(len(units), 0)

    def test_n_fills_the_wanted_time(self):
        (_, n, units), = self.results('syncs', '-bench', 'MutexUncontended', '-benchtime', '100ms')
        self.assertGreater(n * float(units['ns/op']), 0.5e8)
        self.assertLess(n * float(units['ns/op']), 5e9)  # of a tenth of a second, on a machine that may be busy
        (_, n, _), = self.results('syncs', '-bench', 'MutexUncontended', '-benchtime', '1234x')
        self.assertEqual(n, 1234)

    def test_cpu_count_and_benchmem(self):
        got = self.results('malloc', '-test.bench=^BenchmarkNew16$', '-cpu=1,2', '-count', '2', '-benchtime', '1000x',
                           '-benchmem')
        self.assertEqual([name for name, _, _ in got], ['BenchmarkNew16'] * 2 + ['BenchmarkNew16-2'] * 2)
        for _, _, units in got:
            self.assertEqual((units['B/op'], units['allocs/op']), ('16', '1'))

    def test_throughput(self):
        (_, _, units), = self.results('slices', '-bench', 'Copy64K', '-benchtime', '100x')
        self.assertAlmostEqual(float(units['MB/s']), 65536e3 / float(units['ns/op']), delta=float(units['MB/s']) / 50)

    def test_bad_flags(self):
        for flags in ('-benchtime', '0'), ('-benchtime', '5'), ('-cpu', '0'), ('-count', 'x'), ('-nosuch', '1'), ('x',):
            self.assertStatus(check.run(self.programs['slices'], *flags), 2)


check.main()
