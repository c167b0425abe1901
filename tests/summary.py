#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""summary.py DIR: one line "N passed, N failed[, N skipped]" over the test logs in DIR.

DIR holds BUILD.json (meson's testlog.json) for each build, or BUILD.failed where the build itself
failed. Programs of Criterion and of Python's unittest count as their single cases, others as one;
what was skipped stands above the line with its reason. Exit status 1 when anything failed or nothing ran.
"""
import json
import pathlib
import re
import sys

SYNTHESIS = re.compile(r'Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)')
SKIPPED_CASE = re.compile(r'\[SKIP\]\s*(\S+)(?:: (.*))?')
UNITTEST = re.compile(r'^Ran (\d+) tests? in .*\n\n(?:OK|FAILED)(?: \((.*)\))?$', re.MULTILINE)
UNITTEST_SKIP = re.compile(r"^(test_\S+) .*?\.\.\. skipped ['\"](.*)['\"]$", re.MULTILINE)
UNITTEST_BAD = re.compile(r'^(?:FAIL|ERROR): (\S+)', re.MULTILINE)
REASON = re.compile(r'^SKIP: (.*)$', re.MULTILINE)
ANSI = re.compile(r'\x1b\[[0-9;]*m')


def count_unittest(name, cases, text):
    """The same for a file of Python tests; a case with several failing subtests fails once."""
    skips = [('%s %s' % (name, m.group(1)), m.group(2)) for m in UNITTEST_SKIP.finditer(text)]
    bad = sorted({'%s %s' % (name, m.group(1)) for m in UNITTEST_BAD.finditer(text)})
    return int(cases.group(1)) - len(bad) - len(skips), bad, skips


def count(test):
    """(passed, [failed names], [(skipped name, reason)]) of one meson test."""
    name, result = test['name'], test['result']
    text = ANSI.sub('', test.get('stdout', '') + '\n' + test.get('stderr', ''))
    if result == 'SKIP':
        reason = REASON.search(text)
        return 0, [], [(name, reason.group(1) if reason else 'no reason given')]
    good = result in ('OK', 'EXPECTEDFAIL')
    cases = UNITTEST.search(text)
    if cases:
        passed, bad, skips = count_unittest(name, cases, text)
        if not good and not bad:
            bad = ['%s (%s)' % (name, result)]
        return max(passed, 0), bad, skips
    cases = SYNTHESIS.search(text)
    if not cases:
        return (1, [], []) if good else (0, ['%s (%s)' % (name, result)], [])
    tested, passing, failing, crashing = map(int, cases.groups())
    bad = ['%s: %d of %d cases' % (name, failing + crashing, tested)] * (failing + crashing)
    if not good and not bad:
        bad = ['%s (%s)' % (name, result)]
    skips = [('%s %s' % (name, m.group(1)), m.group(2) or 'no reason given') for m in SKIPPED_CASE.finditer(text)]
    return passing, bad, skips


def main():
    passed, failed, skipped = 0, [], []
    for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        build = path.stem
        if path.suffix == '.failed':
            failed.append('%s: does not build' % build)
            continue
        for line in path.read_text(encoding='utf-8').splitlines():
            p, f, s = count(json.loads(line))
            passed += p
            failed += ['%s: %s' % (build, x) for x in f]
            skipped += [('%s: %s' % (build, n), why) for n, why in s]
    for name, why in skipped:
        print('skipped  %s: %s' % (name, why))
    for name in failed:
        print('FAILED   %s' % name)
    print('%d passed, %d failed%s' % (passed, len(failed), ', %d skipped' % len(skipped) if skipped else ''))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
