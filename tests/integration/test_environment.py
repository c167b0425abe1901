# SPDX-License-Identifier: BSD-3-Clause
"""A malformed variable: one line on stderr that names it, its value and what is accepted; then the
default. An unwritable profile: one line. Neither changes the program's work or exit status."""
import os
import tempfile

import check

BAD = [
    ('GOGC', 'abc'), ('GOGC', '50%'), ('GOGC', '99999999999'), ('GOGC', 'OFF'),
    ('GORT_MAXPROCS', '0'), ('GORT_MAXPROCS', '-1'), ('GORT_MAXPROCS', 'two'), ('GORT_MAXPROCS', '2x'),
    ('GORT_MAXPROCS', '1025'),
    ('GORT_DEBUG', 'gctrace=x'), ('GORT_DEBUG', 'nosuchknob=1'), ('GORT_DEBUG', 'gctrace'),
    ('GOMEMLIMIT', 'abc'), ('GOMEMLIMIT', '10MB'), ('GOMEMLIMIT', '-5MiB'), ('GOMEMLIMIT', '99999999TiB'),
    ('GOMEMLIMIT', '1.5GiB'), ('GOMEMLIMIT', 'MiB'),
    ('GORT_STACK', 'large'), ('GORT_BARRIER', 'off'),
]
GOOD = [
    ('GOMEMLIMIT', 'off'), ('GOMEMLIMIT', '500MiB'), ('GOMEMLIMIT', '1000000000'), ('GOGC', '50'), ('GOGC', 'off'),
    ('GORT_MAXPROCS', '3'), ('GOMAXPROCS', '3'), ('GORT_MAXPROCS', '1024'), ('GORT_DEBUG', 'gctrace=0'),
    ('GORT_DEBUG', 'gctrace=0,scavtrace=0'), ('GODEBUG', 'madvdontneed=1'), ('GORT_BARRIER', 'snapshot'),
]
PROFILES = ['GORT_CPUPROFILE', 'GORT_MEMPROFILE', 'GORT_GOROUTINEPROFILE', 'GORT_MUTEXPROFILE']


class Environment(check.TestCase):
    def setUp(self):
        self.program, self.wordfreq, expected = check.arguments
        with open(expected, encoding='utf-8') as f:
            self.expected = f.read()

    def work(self, **env):
        r = check.run(self.program, **env)
        self.assertEqual((r.out, r.status), (self.expected, 0), str(r))
        return r

    def test_malformed_values_are_named_once(self):
        for name, value in BAD:
            with self.subTest(name=name, value=value):
                lines = self.work(**{name: value}).err.splitlines()
                self.assertEqual(len(lines), 1, lines)
                self.assertIn(name, lines[0])
                self.assertIn(value, lines[0])
                self.assertGreater(len(lines[0]), len(name) + len(value) + 20, 'it says what is accepted')

    def test_good_values_say_nothing(self):
        for name, value in GOOD:
            with self.subTest(name=name, value=value):
                self.assertEqual(self.work(**{name: value}).err, '')

    def test_dirty_barrier_falls_back(self):
        """Without a descriptor left for it the kernel cannot watch pages: one line, the same work."""
        self.assertEqual(self.work(GORT_BARRIER='dirty').err, '')
        r = check.run('sh', '-c', 'ulimit -n 4; exec "$0"', self.program, GORT_BARRIER='dirty')
        self.assertEqual((r.out, r.status), (self.expected, 0), str(r))
        self.assertEqual(len(r.err.splitlines()), 1, r.err)
        self.assertIn('GORT_BARRIER=dirty', r.err)

    def test_maxprocs_is_what_the_affinity_mask_allows(self):
        cpu = min(os.sched_getaffinity(0))
        r = check.run('taskset', '-c', cpu, self.program, GORT_MAXPROCS='default')  # a line says what it is
        self.assertEqual((r.out, r.status), (self.expected, 0), str(r))
        self.assertIn('using 1, the CPUs this process may use', r.err)

    def test_gort_twin_wins(self):
        self.assertEqual(self.work(GOMAXPROCS='nonsense', GORT_MAXPROCS='2').err, '')

    def test_unwritable_profile_is_one_line(self):
        with tempfile.TemporaryDirectory() as d:
            text = os.path.join(d, 'text')
            with open(text, 'w', encoding='utf-8') as f:
                f.write('one two two')
            for name in PROFILES:
                with self.subTest(name=name):
                    path = '/no/such/directory/profile.pb.gz'
                    r = check.run(self.wordfreq, '-n', 1, text, **{name: path})
                    self.assertEqual((r.out.split(), r.status), (['2', 'two', '1'], 0), str(r))
                    lines = [x for x in r.err.splitlines() if not x.startswith('wordfreq: ')]
                    self.assertEqual(len(lines), 1, lines)
                    self.assertIn(path, lines[0])

    def test_full_device_is_one_line(self):
        if not os.path.exists('/dev/full'):
            self.skipTest('no /dev/full')
        r = check.run(self.wordfreq, '-n', 1, __file__, GORT_MEMPROFILE='/dev/full')
        self.assertStatus(r, 0)
        lines = [x for x in r.err.splitlines() if not x.startswith('wordfreq: ')]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn('/dev/full', lines[0])


check.main()
