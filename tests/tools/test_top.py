# SPDX-License-Identifier: BSD-3-Clause
"""gort top and gort diff against `go tool pprof -top` and -diff_base: every line equal."""
import os
import random
import tempfile

import check
import pb


class Top(check.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gort, cls.wordfreq, cls.example = check.arguments
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def equal(self, ours, theirs, files):
        r = check.run(self.gort, *ours, *files)
        self.assertStatus(r, 0)
        go = check.run(check.go(), 'tool', 'pprof', *theirs, *files, PPROF_TMPDIR=self.dir.name)
        self.assertStatus(go, 0)
        self.assertEqual(r.out, go.out, ' '.join([str(a) for a in ours] + list(files)))

    def test_demo_profiles(self):
        kinds = {'CPU': 'cpu', 'MEM': 'heap', 'GOROUTINE': 'goroutine', 'MUTEX': 'mutex', 'BLOCK': 'block'}
        for turn in '12':
            env = {'GORT_%sPROFILE' % v: self.path(k + turn) for v, k in kinds.items()}
            r = check.run(self.wordfreq, GORT_MAXPROCS='2', **env)
            self.assertIn(r.status, (0, 1), str(r))
        for kind in kinds.values():
            with self.subTest(kind=kind):
                one, two = self.path(kind + '1'), self.path(kind + '2')
                self.equal(['top'], ['-top'], [one])
                self.equal(['top', '-cum', '-n', '7'], ['-top', '-cum', '-nodecount=7'], [one])
                self.equal(['top', '-sample_index', '0'], ['-top', '-sample_index=0'], [two])
                self.equal(['diff', one, two], ['-top', '-diff_base', one, two], [])

    def test_the_example_that_names_its_functions(self):
        with tempfile.TemporaryDirectory() as d:
            self.assertStatus(check.run(self.example, d), 0)
            for name in sorted(os.listdir(d)):
                with self.subTest(name=name):
                    self.equal(['top'], ['-top'], [os.path.join(d, name)])
            r = check.run(self.gort, 'top', os.path.join(d, 'cpu.pb.gz'))
        self.assertRegex(r.out, r'\n +\S+ +\S+% +\S+% +\S+ +\S+%  busy\n')

    def random_profile(self, seed, shape):
        """Few names, so that functions recur, are inlined here and called there, and values tie."""
        rng, names = random.Random(seed), ['f%d' % i for i in range(shape.choice((3, 9, 40)))]
        unit, scale = shape.choice((('bytes', 1), ('bytes', 1 << 14), ('nanoseconds', 90), ('nanoseconds', 10**8),
                                    ('nanoseconds', 10**13), ('count', 1), ('furlongs', 3)))
        least = shape.choice((0, 0, 1, -20))
        depth = shape.choice((1, 4, 12))
        p = pb.Profile([('n', 'count'), ('x', unit)], default=shape.choice((None, 'n', 'x')), time=10**18 + seed,
                       duration=shape.choice((0, 1500000000)), comments=['a comment', '# not shown'])
        for _ in range(shape.choice((1, 30, 200))):
            stack = []
            for _ in range(rng.randint(0, depth)):
                kind = rng.random()
                stack.append(None if kind < 0.05 else rng.choice(names) if kind < 0.6 else
                             tuple(rng.choice(names) for _ in range(rng.randint(1, 4))))
            # Equal stacks have equal signs: pprof adds them up before it counts what all samples are worth.
            sign = -1 if least < 0 and len(repr(stack)) % 3 == 0 else 1
            v = int(rng.choice((1, 1, 40, 900)) * scale * rng.random())
            p.add(stack, [sign * rng.randint(max(0, least), 5), sign * v])
        return p.write(self.path('random%d' % seed), packed=seed % 2 == 0)

    def test_random_profiles(self):
        for seed in range(1000, 1016):
            with self.subTest(seed=seed):
                shape = random.Random(seed)
                state = shape.getstate()
                one = self.random_profile(seed, shape)
                shape.setstate(state)
                two = self.random_profile(seed + 100, shape)  # the same sample types
                flags = [[], ['-cum'], ['-n', '5'], ['-sample_index', 'n']][seed % 4]
                theirs = {'-n': '-nodecount'}.get(flags[0], flags[0]) + '=' + flags[1] if len(flags) == 2 else flags
                theirs = ['-top'] + ([theirs] if isinstance(theirs, str) else theirs)
                self.equal(['top'] + flags, theirs, [one])
                self.equal(['diff'] + flags + [one, two], theirs + ['-diff_base', one, two], [])

    def test_a_difference_by_hand(self):
        base, new = pb.Profile([('cpu', 'nanoseconds')]), pb.Profile([('cpu', 'nanoseconds')])
        base.add(['work', 'main'], [60 * 10**6])
        base.add(['gone', 'main'], [40 * 10**6])
        new.add(['work', 'main'], [80 * 10**6])
        new.add(['fresh', 'main'], [10 * 10**6])
        r = check.run(self.gort, 'diff', base.write(self.path('base')), new.write(self.path('new')))
        self.assertStatus(r, 0)
        self.assertEqual(r.out.splitlines()[-5:], [
            '      flat  flat%   sum%        cum   cum%',
            '     -40ms 40.00% 40.00%      -40ms 40.00%  gone',
            '      20ms 20.00% 20.00%       20ms 20.00%  work',
            '      10ms 10.00% 10.00%       10ms 10.00%  fresh',
            '         0     0% 10.00%      -10ms 10.00%  main'])


check.go()
check.main()
