# SPDX-License-Identifier: BSD-3-Clause
"""Text forms of profiles, against their grammar and as go tool pprof reads them back; labels; custom profiles."""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'integration'))
import check

FRAMES = r'(?:#\t0x[0-9a-f]+\t+[^\t\n]+\+0x[0-9a-f]+\t+[^\t\n]+:\d+\n|#\t0x[0-9a-f]+\n)*'
ADDRESSES = r' @(?: 0x[0-9a-f]+)+\n'
LABELS = r'(?:# labels: \{"(?:[^"\\]|\\.)*":"(?:[^"\\]|\\.)*"(?:, "(?:[^"\\]|\\.)*":"(?:[^"\\]|\\.)*")*\}\n)?'
COUNTS = r'(\w+) profile: total \d+\n(?:\d+' + ADDRESSES + LABELS + FRAMES + r'\n)*'
LOCKS = r'cycles/second=\d+\n%s(?:\d+ \d+' + ADDRESSES + FRAMES + r'\n)*'
IN_USE = r'\d+: \d+ \[\d+: \d+\] @'
MEMSTATS = ['Alloc', 'TotalAlloc', 'Sys', 'Lookups', 'Mallocs', 'Frees', 'HeapAlloc', 'HeapSys', 'HeapIdle', 'HeapInuse',
            'HeapReleased', 'HeapObjects', 'Stack', 'MSpan', 'MCache', 'BuckHashSys', 'GCSys', 'OtherSys', 'NextGC',
            'LastGC', 'PauseNs', 'PauseEnd', 'NumGC', 'NumForcedGC', 'GCCPUFraction', 'DebugGC', 'MaxRSS']


def tab_stops(line):
    """Columns at which the cells of a line begin, with tabs every eight."""
    col, starts = 0, []
    for i, c in enumerate(line):
        if c == '\t':
            col = col // 8 * 8 + 8
        else:
            if i and line[i - 1] == '\t':
                starts.append(col)
            col += 1
    return starts


class Text(check.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        cls.result = check.run(check.arguments[0], 'write', cls.dir.name)

    def path(self, name, debug):
        self.assertStatus(self.result, 0)
        self.assertEqual(self.result.out, '')
        return os.path.join(self.dir.name, '%s.%d' % (name, debug))

    def text(self, name, debug=1):
        with open(self.path(name, debug)) as f:
            return f.read()

    def binary(self, name):
        return check.Profile(self.path(name, 0))

    def read_back(self, name):
        return check.Profile(self.path(name, 1))

    def test_grammar_of_counts(self):
        for name in ('goroutine', 'threadcreate', 'conns'):
            with self.subTest(name=name):
                self.assertRegex(self.text(name), r'\A' + COUNTS + r'\Z')
                self.assertTrue(self.text(name).startswith(name + ' profile: total '))

    def test_grammar_of_locks(self):
        self.assertRegex(self.text('block'), r'\A--- contention:\n' + LOCKS % '' + r'\Z')
        self.assertRegex(self.text('mutex'), r'\A--- mutex:\n' + LOCKS % r'sampling period=5\n' + r'\Z')

    def test_grammar_of_heap(self):
        for name in ('heap', 'allocs'):
            text = self.text(name)
            head, stats = text.split('\n# runtime.MemStats\n')
            self.assertRegex(head + '\n', r'\Aheap profile: ' + IN_USE + r' heap/1048576\n(?:' + IN_USE[:-2] + ADDRESSES +
                             FRAMES + r'\n)*\n?\Z')
            self.assertEqual(re.findall(r'^# (\w+) = ', stats, re.M), MEMSTATS)
            self.assertRegex(stats, r'# PauseNs = \[\d+( \d+){255}\]\n')
            self.assertRegex(stats, r'# Stack = \d+ / \d+\n')
            used = [int(m) for m in re.findall(r'^\d+: (\d+) \[', head, re.M)]
            self.assertEqual(used, sorted(used))

    def test_debug_2_is_debug_1_for_all_others(self):
        for name in ('threadcreate', 'block', 'mutex', 'conns'):
            strip = lambda s: re.sub(r'cycles/second=\d+', '', s)
            self.assertEqual(strip(self.text(name, 1)), strip(self.text(name, 2)), name)

    def test_cells_are_aligned(self):
        runs = 0
        for name in ('goroutine', 'heap', 'mutex'):
            for run in re.findall(r'(?:^#\t0x.*\n)+', self.text(name), re.M):
                lines = run.splitlines()
                self.assertEqual(len({tuple(tab_stops(l)) for l in lines}), 1, run)
                runs += len(lines) > 1
        self.assertGreater(runs, 0)

    def test_offsets(self):
        m = re.search(r'^\d+ @(.*)\n(?:# labels.*\n)?#\t(0x\w+)\twaiter\+(0x\w+)\t+(\S+)/target\.c:(\d+)$',
                      self.text('goroutine'), re.M)
        self.assertIsNotNone(m)
        self.assertIn(hex(int(m[2], 16) + 1), m[1].split())
        self.assertLess(int(m[3], 16), 0x100)

    def test_labels_in_text(self):
        self.assertIn('# labels: {"a\\"b":"c\\nd", "op":"recv"}\n#\t', self.text('goroutine'))
        self.assertRegex(self.text('goroutine'), r'(?m)^3 @.*\n# labels: ')

    def test_runtime_frames_are_hidden_at_the_leaf(self):
        for name in ('goroutine', 'heap'):
            for first in re.findall(r'\n(?:\d.* @.*|# labels.*)\n#\t0x\w+\t+(\w+)\+', self.text(name)):
                self.assertNotRegex(first, r'^(gort|rt)_', name)
        self.assertRegex(self.text('mutex'), r'@.*\n#\t0x\w+\t+gort_mutex_unlock\+')

    def test_read_back(self):
        for name in ('heap', 'block', 'mutex', 'goroutine', 'conns'):
            with self.subTest(name=name):
                text, binary = self.read_back(name), self.binary(name)
                self.assertEqual(text.types, [t.split('[')[0] for t in binary.types])
                for column in range(len(text.types)):
                    a, b = text.total(column), binary.total(column)
                    self.assertLessEqual(abs(a - b), 2 + 0.03 * abs(b), (name, column))

    def test_dump(self):
        text = self.text('goroutine', 2)
        blocks = text.split('\n\n')
        self.assertEqual(len(blocks), 6)
        for b in blocks:
            self.assertRegex(b + '\n', r'\A\n?goroutine \d+ \[[^\]]+\]:\n(?:\S+\(\.\.\.\)\n\t\S+:\d+(?: \+0x[0-9a-f]+)?\n)+'
                             r'(?:created by \S+ in goroutine \d+\n\t\S+:\d+ \+0x[0-9a-f]+\n)?\n?\Z')
        self.assertRegex(blocks[0], r'^goroutine 1 \[running\]:\n')
        self.assertEqual(len(re.findall(r'goroutine \d+ \[chan receive\]:\nwaiter\(', text)), 4)
        self.assertEqual(len(re.findall(r'created by start_labelled_waiters in goroutine 1\n', text)), 3)

    def test_leaks(self):
        p = self.binary('goroutineleak')
        self.assertEqual((p.types, p.period_type, p.period), (['goroutineleak/count'], 'goroutineleak count', 1))
        self.assertEqual(p.total(0, 'send_to_nobody'), 2)
        self.assertEqual(p.total(0, 'select_nothing'), 1)
        self.assertEqual(p.total(0), 3)
        text = self.text('goroutineleak')
        self.assertRegex(text, r'\A' + COUNTS + r'\Z')
        self.assertTrue(text.startswith('goroutineleak profile: total 3\n2 @'))
        dump = self.text('goroutineleak', 2)
        self.assertEqual(len(re.findall(r'^goroutine \d+ \[', dump, re.M)), 9)  # all of them
        self.assertEqual(len(re.findall(r'^goroutine \d+ \[chan send \(leaked\)\]:\nsend_to_nobody\(', dump, re.M)), 2)
        self.assertEqual(len(re.findall(r'^goroutine \d+ \[select \(no cases\) \(leaked\)\]:\nselect_nothing\(', dump, re.M)), 1)
        self.assertEqual(dump.count('(leaked)'), 3)

    def test_labels_in_profiles(self):
        cpu = self.binary('cpu')
        labelled = sum(int(m) for m in re.findall(r'^ +(\d+) +\d+: [\d ]+\n +op:\[work\] shard:\[7\]$', cpu.text, re.M))
        self.assertGreater(labelled, cpu.total(0) * 0.5)
        self.assertLess(labelled, cpu.total(0) * 0.8)
        self.assertRegex(self.binary('goroutine').text, r'(?m)^ +3: [\d ]+\n +a"b:\[c\nd\] op:\[recv\]$')

    def test_stacks_that_differ_in_one_return_address(self):
        p = self.binary('block')
        left, right = p.total(0, 'by_left'), p.total(0, 'by_right')
        self.assertGreater(right, 20)
        self.assertLessEqual(right, 200)  # 100 rounds, two waits at most in each
        self.assertGreater(left, right * 2)
        self.assertLessEqual(left, 600)

    def test_custom(self):
        p = self.binary('conns')
        self.assertEqual((p.types, p.period_type, p.period), (['conns/count'], 'conns count', 1))
        self.assertEqual(p.total(0, 'add_values'), 2)

    def test_default_type(self):
        r = check.run(check.go(), 'tool', 'pprof', '-raw', self.path('allocs', 0))
        self.assertIn('alloc_space/bytes[dflt]', r.out)
        self.assertNotIn('[dflt]', check.run(check.go(), 'tool', 'pprof', '-raw', self.path('heap', 0)).out)


class WithoutHelper(check.TestCase):
    def test_names_without_files(self):
        with tempfile.TemporaryDirectory() as d:
            self.assertStatus(check.run(check.arguments[0], 'write', d, GORT_SYMBOLIZER='/nonexistent'), 0)
            with open(os.path.join(d, 'goroutine.1')) as f:
                self.assertRegex(f.read(), r'\n#\t0x[0-9a-f]+\twaiter\+0x[0-9a-f]+\t\?\?:0\n')
            with open(os.path.join(d, 'goroutine.2')) as f:
                self.assertRegex(f.read(), r'\]:\nwaiter\(\.\.\.\)\n\t/\S+/prof_target \+0x[0-9a-f]+\n')


check.go()
check.main()
