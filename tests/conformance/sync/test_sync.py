# SPDX-License-Identifier: BSD-3-Clause
"""sync, atomic and context beside Go's: the same random operations, the same digests; the same ends.

Arguments: the gort program, the directory of Go's. SYNC_OPERATIONS (1000000) is the length of each
sequence. Skipped without a go command.
"""
import os
import random
import subprocess
import tempfile
import unittest

import check

COUNT = os.environ.get('SYNC_OPERATIONS', '1000000')
SEQUENCES = ['map', 'rwmutex', 'atomic', 'context']
MISUSES = ['unlock', 'runlock', 'runlock-of-lock', 'rwunlock', 'rwunlock-of-rlock', 'negative', 'cond-copy',
           'deadlock', 'nil-context']


class Sync(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gort, source = check.arguments
        cls.dir = tempfile.TemporaryDirectory()
        cls.go = os.path.join(cls.dir.name, 'ops')
        env = dict(os.environ, GOFLAGS='-mod=mod', GOTOOLCHAIN='local')
        subprocess.run([check.go(), 'build', '-o', cls.go, './ops'], cwd=source, env=env, check=True)
        cls.seed = random.randrange(1 << 60)

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def test_the_same_results(self):
        for name in SEQUENCES:
            with self.subTest(name, seed=hex(self.seed)):
                gort = check.run(self.gort, name, hex(self.seed), COUNT, timeout=300)
                go = check.run(self.go, name, hex(self.seed), COUNT, timeout=300)
                self.assertEqual((gort.status, go.status), (0, 0), gort)
                for a, b in zip(gort.out.splitlines(), go.out.splitlines()):
                    self.assertEqual(a, b, 'gort, then Go')
                self.assertEqual(len(gort.out), len(go.out))
                self.assertIn('end ', gort.out)

    def test_another_seed_is_another_result(self):
        results = {check.run(self.gort, 'map', seed, '10000').out for seed in ('3', '5', '7')}
        self.assertEqual(len(results), 3)

    def test_the_same_ends(self):
        for name in MISUSES:
            with self.subTest(name):
                gort = check.run(self.gort, 'misuse-' + name)
                go = check.run(self.go, 'misuse-' + name)
                self.assertEqual((gort.status, go.status), (2, 2), gort)
                self.assertEqual(gort.err.splitlines()[0], go.err.splitlines()[0])


check.main()
