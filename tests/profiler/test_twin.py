# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of profile beside that of the same program in Go: sample types, periods, times, labels, counts."""
import collections
import gzip
import os
import re
import sys
import tempfile

for folder in ('integration', 'tools'):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', folder))
import check
import pb

KINDS = ('profile', 'heap', 'allocs', 'goroutine', 'threadcreate', 'block', 'mutex', 'conns')
COMMENT = 13
LOCATION, FUNCTION = 4, 5


def top_level_fields(path):
    """Numbers of the fields that a profile.proto has at its top."""
    with gzip.open(path) as f:
        data = pb.Reader(f.read())
    fields = set()
    while data.left():
        tag = data.varint()
        fields.add(tag >> 3)
        length = data.varint()
        if tag & 7 == 2:
            data.take(length)
    return fields


class Side:
    """A kind's profile as one of the two programs wrote it."""

    def __init__(self, path):
        self.profile = check.Profile(path)
        self.fields = top_level_fields(path)
        head, rest = self.profile.text.split('Samples:\n', 1)
        self.types = rest.split('\n', 1)[0].split()
        self.period = re.findall(r'(?m)^(PeriodType: .*?|Period: .*?)\s*$', head)
        samples = rest.split('Locations\n', 1)[0]
        # Labels stand on the lines below their sample.
        self.labels = [' '.join(b.split('\n')[1:]).split() for b in re.split(r'\n(?=\s*-?\d[-\d ]*: )', '\n' + samples)[1:]]

    def of(self, function):
        """Sums of the values of samples that have the function, and the labels that any of them has."""
        sums, labels = collections.Counter(), set()
        for (values, frames), found in zip(self.profile.samples, self.labels):
            if function in [f.rsplit('.', 1)[-1] for f in frames]:
                sums.update(dict(enumerate(values)))
                labels.update(found)
        return [sums[i] for i in range(len(self.types))], labels


class Twin(check.TestCase):
    @classmethod
    def setUpClass(cls):
        source, program = check.arguments
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        theirs = os.path.join(cls.dir.name, 'twin')
        built = check.run(check.go(), 'build', '-o', theirs, source, timeout=300, GOTOOLCHAIN='local', GO111MODULE='off')
        if built.status != 0:
            raise AssertionError(str(built))
        sides = []
        for name, exe, env in (('c', program, {'GORT_MAXPROCS': '1'}), ('go', theirs, {'GOMAXPROCS': '1'})):
            d = os.path.join(cls.dir.name, 'of-' + name)
            os.mkdir(d)
            r = check.run(exe, d, **env)
            if r.status != 0:
                raise AssertionError(str(r))
            sides.append({k: Side('%s/%s.pb.gz' % (d, k)) for k in KINDS})
        cls.c, cls.go = sides

    def test_headers(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                c, go = self.c[kind], self.go[kind]
                self.assertEqual(c.types, go.types)  # [dflt] included
                self.assertEqual(c.period, go.period)
                but = {COMMENT}
                if kind == 'threadcreate':  # Go 1.23 makes up a stack of zeros; ours is empty, as Go's was before
                    but |= {LOCATION, FUNCTION}
                self.assertEqual(c.fields - but, go.fields - but)

    def test_each_sample_has_as_many_values_as_types(self):
        for kind in KINDS:
            for side in (self.c[kind], self.go[kind]):
                self.assertEqual({len(v) for v, _ in side.profile.samples}, {len(side.types)}, kind)

    def equal(self, kind, function, want, columns=None):
        """Both sides have these values, Go's too: that the two programs do the same is part of the test."""
        for side in (self.c[kind], self.go[kind]):
            values, labels = side.of(function)
            self.assertEqual(values[:columns], want, side.profile.text[:5000])
        self.assertEqual(self.c[kind].of(function)[1], self.go[kind].of(function)[1])

    def test_goroutine(self):
        self.equal('goroutine', 'waiter', [7])
        self.assertEqual(self.c['goroutine'].of('waiter')[1], {'op:[recv]'})
        # The seven and main; another may not have got to its end yet, or be Go's own at work for a cleanup.
        for side in (self.c['goroutine'], self.go['goroutine']):
            self.assertIn(side.profile.total(0), (8, 9))

    def test_heap(self):
        for kind in ('heap', 'allocs'):
            self.equal(kind, 'keep', [100, 102400, 100, 102400])
            self.equal(kind, 'drop', [50, 51200], columns=2)
            self.assertLess(self.c[kind].of('drop')[0][2], 5)
            self.assertEqual(self.c[kind].of('keep')[1], {'bytes:[1024]'})
            for side in (self.c[kind], self.go[kind]):  # the allocator's own frames are left out
                self.assertIn('keep', {frames[0].rsplit('.', 1)[-1] for _, frames in side.profile.samples if frames})

    def test_locks(self):
        for side in (self.c['block'], self.go['block']):
            eaten, fed = side.of('eater')[0], side.of('feeder')[0]
            self.assertEqual(eaten[0] + fed[0], 10, side.profile.text[:5000])
            self.assertGreater(eaten[1] + fed[1], 0)
        self.equal('mutex', 'holder', [5], columns=1)
        for side in (self.c['mutex'], self.go['mutex']):
            self.assertGreater(side.of('holder')[0][1], 0)
        self.assertEqual(self.c['block'].of('eater')[1], set())  # it has no labels on

    def test_custom(self):
        self.equal('conns', 'open_conn', [5])

    def test_cpu(self):
        for side in (self.c['profile'], self.go['profile']):
            (samples, ns), labels = side.of('burn')
            self.assertGreater(samples, 0)
            self.assertEqual(ns, samples * 10000000)
            self.assertEqual(labels, {'phase:[burn]'})

    def test_threads(self):
        for side in (self.c['threadcreate'], self.go['threadcreate']):
            self.assertGreater(side.profile.total(0), 0)


check.go()
check.main()
