#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs gort's benchmarks and Go's in turn and prints one table.

    compare.py [--count N] [--cpu 1,2] [--benchtime T] [--json] --gort DIR --go DIR [REGEX]
    compare.py [--json] --files GO.txt GORT.txt

A row is one unit of one benchmark: the medians of Go's and gort's runs, their ratio (gort / go: below
1 gort is faster, or smaller; for MB/s and req/s above 1), and a 95 % interval of the ratio. DIR holds
a program per package, with the flags of `go test -c`; only benchmarks that both sides have are run.

The interval inverts the Mann-Whitney test on the logarithms: it holds every factor by which Go's runs
could be multiplied without the test telling them from gort's at the 5 % level. It assumes no
distribution. Fewer than 4 runs a side carry no such statement; then the table shows `-`.
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys

# Whole programs: one run is the measurement.
ONCE = re.compile(r'^Benchmark(ParkedMem|Sleepers)')
ONCE_PACKAGES = {'gc', 'prof'}
# Here ns/op is the time of starting a child process.
CHILD = re.compile(r'^BenchmarkParkedMem')


def parse(text):
    """{(name, unit): [values]} of benchmark lines; the name without "Benchmark"."""
    values = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4 or not fields[0].startswith('Benchmark') or not fields[1].isdigit():
            continue
        name = fields[0][len('Benchmark'):]
        for value, unit in zip(fields[2::2], fields[3::2]):
            try:
                values.setdefault((name, unit), []).append(float(value))
            except ValueError:
                break
    return values


def median(values):
    v = sorted(values)
    n = len(v)
    return (v[(n - 1) // 2] + v[n // 2]) / 2


def rank_counts(n, m):
    """How many of the orders of n and m values give U = 0, 1, 2, ... (Mann and Whitney's recursion)."""
    rows = [[1] for _ in range(m + 1)]          # no value on the first side: U is 0
    for i in range(1, n + 1):
        new = [[1]]
        for j in range(1, m + 1):
            a, b = rows[j], new[j - 1]          # the largest is of the first side (+j), of the second
            row = [0] * (i * j + 1)
            for u, c in enumerate(a):
                row[u + j] += c
            for u, c in enumerate(b):
                row[u] += c
            new.append(row)
        rows = new
    return rows[m]


def ratio_interval(new, old, level=0.95):
    """(low, high) for new / old, or None where so few values cannot support the level."""
    if min(len(new), len(old)) < 1 or min(new) <= 0 or min(old) <= 0:
        return None
    ratios = sorted(x / y for x in new for y in old)
    counts = rank_counts(len(new), len(old))
    tail, total, k = 0, sum(counts), 0
    while tail + counts[k] <= (1 - level) / 2 * total:
        tail += counts[k]
        k += 1
    if k == 0:
        return None
    return ratios[k - 1], ratios[-k]


def rows_of(go, gort):
    rows = []
    for key in gort:
        if key not in go:
            continue
        name, unit = key
        a, b = median(go[key]), median(gort[key])
        interval = ratio_interval(gort[key], go[key])
        rows.append({'benchmark': name, 'unit': unit, 'go': a, 'gort': b,
                     'ratio': b / a if a > 0 else None,
                     'low': interval[0] if interval else None,
                     'high': interval[1] if interval else None,
                     'go_values': go[key], 'gort_values': gort[key]})
    return rows


def number(x):
    if x is None:
        return '-'
    if x == 0 or x >= 1000:
        return '%.0f' % x
    return '%.*f' % (3 - max(1, math.floor(math.log10(x)) + 1) if x >= 1 else 3, x)


def ratio(x):
    return '-' if x is None else '%.2f' % x if x < 10 else '%.1f' % x


def table(rows):
    lines = [['benchmark', 'unit', 'go', 'gort', 'ratio', '[low..high]']]
    for r in rows:
        span = '-' if r['low'] is None else '[%s..%s]' % (ratio(r['low']), ratio(r['high']))
        lines.append([r['benchmark'], r['unit'], number(r['go']), number(r['gort']), ratio(r['ratio']), span])
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    left = (0, 1)
    return '\n'.join('  '.join(c.ljust(w) if i in left else c.rjust(w)
                               for i, (c, w) in enumerate(zip(line, widths))).rstrip() for line in lines)


def names(program, regex):
    out = subprocess.run([program, '-test.list', regex], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in out.splitlines() if line.startswith('Benchmark')]


def plan(args):
    """[(package, benchmark)] that both sides have, in gort's order."""
    jobs = []
    for package in sorted(os.listdir(args.go)):
        package = package.removesuffix('.test')
        gort = os.path.join(args.gort, package)
        if os.access(gort, os.X_OK):
            theirs = set(names(os.path.join(args.go, package + '.test'), args.regex))
            jobs += [(package, b) for b in names(gort, args.regex) if b in theirs]
    return jobs


def run_once(program, package, bench, args):
    time = '1x' if ONCE.match(bench) or package in ONCE_PACKAGES else args.benchtime
    cmd = [program, '-test.bench', '^%s$' % bench, '-test.benchtime', time, '-test.count', '1']
    if program.endswith('.test'):
        cmd += ['-test.run', '^$', '-test.timeout', '30m']
    if args.cpu:
        cmd += ['-test.cpu', args.cpu]
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode != 0:
        sys.exit('%s failed (status %d):\n%s%s' % (' '.join(cmd), p.returncode, p.stdout[-2000:], p.stderr[-2000:]))
    got = parse(p.stdout)
    if package in ONCE_PACKAGES or CHILD.match(bench):
        got = {k: v for k, v in got.items() if k[1] != 'ns/op'}
    return got


def add(into, got):
    for key, values in got.items():
        into.setdefault(key, []).extend(values)


def measure(args):
    rows = []
    for package, bench in plan(args):
        go, gort = {}, {}
        for i in range(args.count):
            if sys.stderr.isatty():
                print('\r\033[K%s %d/%d' % (bench, i + 1, args.count), end='', file=sys.stderr, flush=True)
            add(gort, run_once(os.path.join(args.gort, package), package, bench, args))
            add(go, run_once(os.path.join(args.go, package + '.test'), package, bench, args))
        rows += rows_of(go, gort)
    if sys.stderr.isatty():
        print('\r\033[K', end='', file=sys.stderr)
    return rows


def from_files(paths):
    go, gort = ({}, {})
    for into, path in ((go, paths[0]), (gort, paths[1])):
        with open(path, encoding='utf-8') as f:
            add(into, parse(f.read()))
    return rows_of(go, gort)


def positive(s):
    n = int(s)
    if n < 1:
        raise argparse.ArgumentTypeError('%s: not a positive number' % s)
    return n


def main():
    ap = argparse.ArgumentParser(prog='bench.sh', description='gort against Go, in turn, in one table')
    ap.add_argument('--count', type=positive, default=6, help='runs a side (6; 4 are the least for an interval)')
    ap.add_argument('--cpu', help='GOMAXPROCS values, such as 1,2')
    ap.add_argument('--benchtime', default='200ms', help='time of a run (200ms)')
    ap.add_argument('--json', action='store_true', help='one JSON list instead of the table')
    ap.add_argument('--gort', help=argparse.SUPPRESS)
    ap.add_argument('--go', help=argparse.SUPPRESS)
    ap.add_argument('--files', nargs=2, help=argparse.SUPPRESS)
    ap.add_argument('regex', nargs='?', default='.', metavar='REGEX', help='only benchmarks that match')
    args = ap.parse_args()
    rows = from_files(args.files) if args.files else measure(args)
    if args.json:
        print(json.dumps(rows, indent=1))
    else:
        print(table(rows))
        print('\nratio: gort / go, medians; [95 % interval]. Below 1 gort is faster or smaller'
              ' (MB/s: above 1).')
    return 0 if rows else 'no benchmark matches'


if __name__ == '__main__':
    sys.exit(main())
