# SPDX-License-Identifier: BSD-3-Clause
"""The four profiles of a wordfreq run, and those of the pprof example, as go tool pprof reads them."""
import os
import tempfile

import check


class Profiles(check.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.wordfreq, cls.example = check.arguments
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        cls.path = {k: os.path.join(cls.dir.name, k + '.pb.gz') for k in ('cpu', 'heap', 'goroutine', 'mutex')}
        cls.result = check.run(cls.wordfreq, GORT_MAXPROCS='2', GORT_CPUPROFILE=cls.path['cpu'],
                            GORT_MEMPROFILE=cls.path['heap'], GORT_GOROUTINEPROFILE=cls.path['goroutine'],
                            GORT_MUTEXPROFILE=cls.path['mutex'])

    def profile(self, kind):
        self.assertIn(self.result.status, (0, 1), str(self.result))
        return check.Profile(self.path[kind])

    def test_cpu(self):
        p = self.profile('cpu')
        self.assertEqual(p.types, ['samples/count', 'cpu/nanoseconds'])
        self.assertEqual((p.period_type, p.period), ('cpu nanoseconds', 10000000))
        for values, _ in p.samples:
            self.assertEqual(values[1], values[0] * 10000000)
        all_samples = p.total(0)
        self.assertGreater(all_samples, 20)
        ours = p.total(0, 'reader') + p.total(0, 'counter') + p.total(0, 'walk') + p.total(0, 'app')
        self.assertGreater(ours, all_samples / 2, p.text[:3000])

    def test_heap(self):
        p = self.profile('heap')
        self.assertEqual(p.types, ['alloc_objects/count', 'alloc_space/bytes', 'inuse_objects/count',
                                   'inuse_space/bytes'])
        self.assertEqual((p.period_type, p.period), ('space bytes', 524288))
        self.assertGreater(p.total(1, 'slurp'), 1 << 20)
        self.assertGreaterEqual(p.total(1), p.total(3))
        for values, frames in p.samples:
            self.assertGreaterEqual(values[0], values[2])
            self.assertGreaterEqual(values[2], 0)
        # As Go hides runtime.mallocgc: the allocating function comes first, not the allocator's own.
        leaves = {frames[0] for _, frames in p.samples if frames}
        self.assertLessEqual({'add_posting', 'new_entry', 'slurp', 'tokenise'}, leaves)
        self.assertEqual({f for f in leaves if f.startswith(('gort_', 'rt_', 'alloc_', 'sampled'))}, set())

    def test_goroutine(self):
        p = self.profile('goroutine')
        self.assertEqual(p.types, ['goroutine/count'])
        self.assertEqual((p.period_type, p.period), ('goroutine count', 1))
        self.assertEqual(p.total(0, 'reader'), 4)  # 2 * GORT_MAXPROCS, parked for good
        self.assertEqual(p.total(0, 'counter'), 4)

    def test_mutex(self):
        p = self.profile('mutex')
        self.assertEqual(p.types, ['contentions/count', 'delay/nanoseconds'])
        self.assertEqual((p.period_type, p.period), ('contentions count', 1))
        self.assertGreater(p.total(0, 'merge'), 0)
        self.assertGreater(p.total(1, 'merge'), 0)
        self.assertTrue([f for f in p.functions() if f.startswith('gort_mutex_unlock')], p.text[:3000])

    def test_symbols_have_lines(self):
        for kind in self.path:
            with self.subTest(kind=kind):
                self.assertRegex(self.profile(kind).text, r'wordfreq\.c:[1-9]')

    def test_written_by_the_program_itself(self):
        with tempfile.TemporaryDirectory() as d:
            r = check.run(self.example, d)
            self.assertStatus(r, 0)
            cpu, heap, goroutine = (check.Profile(os.path.join(d, k + '.pb.gz')) for k in ('cpu', 'heap', 'goroutine'))
        self.assertGreater(cpu.total(0, 'busy'), 5)  # half a second at 100 Hz, on a machine that may be busy
        self.assertGreater(cpu.total(0, 'busy'), cpu.total(0) * 0.8)
        self.assertAlmostEqual(heap.total(3, 'keep_memory'), 64 << 20, delta=1 << 20)
        self.assertEqual(goroutine.total(0, 'wait_for_ever'), 10)
        self.assertEqual(goroutine.total(0, 'app'), 1)


check.go()
check.main()
