# SPDX-License-Identifier: BSD-3-Clause
"""The same random operations in gort and in Go: every digest must be the same.

Arguments: the gort program, the directory of Go's. DATA_OPERATIONS (1000000) is the length of each
sequence. Skipped without a go command.
"""
import os
import random
import subprocess
import tempfile
import unittest

import check

COUNT = os.environ.get('DATA_OPERATIONS', '1000000')
MAPS = ['u64', 'i32', 'i8', 'str', 'f64', 'fields', 'big', 'any']
OTHERS = ['equality', 'slice1', 'slice8', 'slice12', 'slice200', 'strings']


class Data(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.go_command = check.go()
        cls.gort, source = check.arguments
        cls.dir = tempfile.TemporaryDirectory()
        cls.ops = cls.build(source, 'ops')
        cls.growth = cls.build(source, 'growth', '-ldflags=-checklinkname=0')
        cls.seed = random.randrange(1 << 60)

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    @classmethod
    def build(cls, source, name, *flags):
        """The built program, or None with the reason on stdout."""
        exe = os.path.join(cls.dir.name, name)
        env = dict(os.environ, GOFLAGS='-mod=mod', GOTOOLCHAIN='local')
        p = subprocess.run([cls.go_command, 'build', *flags, '-o', exe, './' + name], cwd=source, env=env,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if p.returncode:
            print(p.stdout)
            return None
        return exe

    def same(self, gort, go, what):
        for n, (a, b) in enumerate(zip(gort.splitlines(), go.splitlines())):
            self.assertEqual(a, b, '%s, line %d: gort, then Go' % (what, n + 1))
        self.assertEqual(len(gort), len(go), what)
        self.assertIn('end ', gort, what)

    def compare(self, name, *engine):
        self.assertIsNotNone(self.ops, 'the Go program does not build')
        args = [name, hex(self.seed), COUNT]
        gort = check.run(self.gort, *args, *engine, timeout=300)
        self.assertEqual(gort.status, 0, gort)
        go = check.run(self.ops, *args, timeout=300)
        self.assertEqual(go.status, 0, go)
        self.same(gort.out, go.out, '%s %s' % (' '.join(args), ' '.join(engine)))

    def test_maps_of_groups(self):
        for name in MAPS:
            with self.subTest(name):
                self.compare(name, 'groups')

    def test_maps_of_buckets(self):
        for name in MAPS:
            with self.subTest(name):
                self.compare(name, 'buckets')

    def test_interfaces_slices_and_strings(self):
        for name in OTHERS:
            with self.subTest(name):
                self.compare(name)

    def test_capacities(self):
        """Every length to a million, every element size to 64."""
        if self.growth is None:
            self.skipTest('this Go does not let a program call runtime.nextslicecap')
        gort, go = check.run(self.gort, 'growth', timeout=300), check.run(self.growth, 'growth', timeout=300)
        self.assertEqual((gort.status, go.status), (0, 0), gort)
        self.assertEqual(len(go.out.splitlines()), 128)
        for a, b in zip(gort.out.splitlines(), go.out.splitlines()):
            if a != b:
                self.fail('%s, but Go: %s; %s' % (a, b, self.first_difference(a.split()[1])))
        self.assertEqual(gort.out, go.out)

    def first_difference(self, size):
        args = ['caps', size, '0', '1000001']
        gort, go = check.run(self.gort, *args), check.run(self.growth, *args)
        for a, b in zip(gort.out.splitlines(), go.out.splitlines()):
            if a != b:
                return 'size %s, capacity %s, but Go: %s' % (size, a, b)
        return 'the formulas agree: the appends differ'


check.main()
