# SPDX-License-Identifier: BSD-3-Clause
"""tests/summary.py: what counts as passed, failed and skipped, and the exit status."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import summary


def log(name, result, stdout='', stderr=''):
    return {'name': name, 'result': result, 'stdout': stdout, 'stderr': stderr}


def synthesis(tested, passing, failing, crashing):
    return '\x1b[0;1m[====]\x1b[0m Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d\n' % (
        tested, passing, failing, crashing)


class Summary(unittest.TestCase):
    def summarise(self, tests, failed_builds=()):
        with tempfile.TemporaryDirectory() as d:
            with open(os.path.join(d, 'build.json'), 'w', encoding='utf-8') as f:
                for t in tests:
                    f.write(json.dumps(t) + '\n')
            for b in failed_builds:
                open(os.path.join(d, b + '.failed'), 'w', encoding='utf-8').close()
            p = subprocess.run([sys.executable, summary.__file__, d], stdout=subprocess.PIPE, text=True)
            return p.stdout.splitlines(), p.returncode

    def test_plain_and_criterion_programs_add_up(self):
        out, status = self.summarise([log('a', 'OK'), log('b', 'OK', stderr=synthesis(7, 7, 0, 0))])
        self.assertEqual((out[-1], status), ('8 passed, 0 failed', 0))

    def test_failing_and_crashing_cases_fail(self):
        out, status = self.summarise([log('b', 'FAIL', stderr=synthesis(7, 4, 2, 1))])
        self.assertEqual((out[-1], status), ('4 passed, 3 failed', 1))

    def test_time_out_and_lost_program_fail(self):
        out, status = self.summarise([log('a', 'TIMEOUT'), log('b', 'ERROR', stderr=synthesis(2, 2, 0, 0))])
        self.assertEqual((out[-1], status), ('2 passed, 2 failed', 1))

    def test_unittest_files_count_as_their_cases(self):
        text = """test_a (__main__.X.test_a) ... ok
test_b (__main__.X.test_b) ... skipped 'no device'
test_c (__main__.X.test_c) ... test_c (__main__.X.test_c) (name='one') ... FAIL
test_d (__main__.X.test_d) ... ERROR

======================================================================
FAIL: test_c (__main__.X.test_c) (name='one')
FAIL: test_c (__main__.X.test_c) (name='two')
ERROR: test_d (__main__.X.test_d)
----------------------------------------------------------------------
Ran 5 tests in 0.011s

FAILED (failures=2, errors=1, skipped=1)
"""
        out, status = self.summarise([log('u', 'FAIL', stderr=text)])
        self.assertEqual((out[0], out[-1], status),
                         ('skipped  build: u test_b: no device', '2 passed, 2 failed, 1 skipped', 1))
        fine = 'test_a (x) ... ok\n\nRan 3 tests in 0.1s\n\nOK\n'
        self.assertEqual(self.summarise([log('u', 'OK', stderr=fine)])[0][-1], '3 passed, 0 failed')

    def test_skips_say_why_and_do_not_pass(self):
        out, status = self.summarise([log('a', 'OK'), log('t', 'SKIP', 'SKIP: no go here\n')])
        self.assertEqual((out, status), (['skipped  build: t: no go here', '1 passed, 0 failed, 1 skipped'], 0))

    def test_a_build_that_fails_fails(self):
        out, status = self.summarise([log('a', 'OK')], ['build-clang'])
        self.assertEqual((out[-1], status), ('1 passed, 1 failed', 1))

    def test_nothing_run_is_no_success(self):
        out, status = self.summarise([])
        self.assertEqual((out[-1], status), ('0 passed, 0 failed', 1))


if __name__ == '__main__':
    unittest.main()
