# SPDX-License-Identifier: BSD-3-Clause
"""What the integration tests share: running programs, skipping with a reason, reading profiles.

A test file is given the programs' paths on its command line (tests/integration/meson.build) and calls
main(); unittest does the rest. SKIP in the output, status 77, is a skip to meson.
"""
import os
import re
import shutil
import subprocess
import sys
import unittest

GORT_VARIABLES = re.compile(r'^(GORT_|GODEBUG$|GOGC$|GOMEMLIMIT$|GOMAXPROCS$|GOTRACEBACK$)')

arguments = []  # the paths that meson gave


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __str__(self):
        return 'status %s\n-- stdout\n%s\n-- stderr\n%s' % (self.status, self.out[-4000:], self.err[-4000:])


def run(*cmd, timeout=60, cwd=None, stdin='', **env):
    """Runs cmd in an environment without gort's variables but those given."""
    full = {k: v for k, v in os.environ.items() if not GORT_VARIABLES.match(k)}
    full.update(env)
    p = subprocess.run([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
                       input=stdin.encode(), env=full, timeout=timeout)
    return Result(p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace'))


def go():
    """The go command; the whole file is skipped where there is none."""
    path = shutil.which('go') or shutil.which('go', path='/usr/local/go/bin')
    if not path:
        skip('no go on this machine')
    return path


def skip(reason):
    print('SKIP: ' + reason)
    sys.exit(77)


class Profile:
    """What `go tool pprof -raw` says of a file: sample types, samples, the frames of each."""

    def __init__(self, path):
        r = run(go(), 'tool', 'pprof', '-raw', path)
        if r.status != 0:
            raise AssertionError('pprof does not read %s: %s' % (path, r))
        self.text = r.out
        head, rest = r.out.split('Samples:\n', 1)
        samples, rest = rest.split('Locations\n', 1)
        locations = rest.split('Mappings\n', 1)[0]
        self.period_type = (re.search(r'^PeriodType: (.*)$', head, re.M) or [None, ''])[1].strip()
        self.period = int((re.search(r'^Period: (\d+)$', head, re.M) or [None, 0])[1])
        lines = samples.splitlines()
        self.types = [t.split('[')[0] for t in lines[0].split()]
        self.locations = self._locations(locations)
        self.samples = []  # ([values], [function names, leaf first])
        for line in lines[1:]:
            m = re.match(r'\s*([-\d ]+): ([\d ]*)$', line)
            if m:
                frames = [f for i in m[2].split() for f in self.locations[int(i)]]
                self.samples.append(([int(v) for v in m[1].split()], frames))

    @staticmethod
    def _locations(text):
        found, names = {}, []
        for line in text.splitlines():
            m = re.match(r'\s*(\d+): 0x[0-9a-f]+ (?:M=\d+ )?(.*)$', line)
            if m:
                names = found.setdefault(int(m[1]), [])
                line = m[2]
            fn = re.match(r'\s*(\S+) (\S+:-?\d+)', line)
            if fn:
                names.append(fn[1])
        return found

    def total(self, column, function=None):
        """Sum of a value column over the samples that have function anywhere in their stack."""
        return sum(v[column] for v, frames in self.samples if function is None or function in frames)

    def functions(self):
        return {f for _, frames in self.samples for f in frames}


class TestCase(unittest.TestCase):
    maxDiff = 4000

    def assertStatus(self, result, status):
        self.assertEqual(result.status, status, str(result))


def main():
    arguments.extend(os.path.abspath(a) if os.path.exists(a) else a for a in sys.argv[1:])
    unittest.main(argv=sys.argv[:1], verbosity=2)  # names, and reasons of skips: tests/summary.py reads them
