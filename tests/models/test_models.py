# SPDX-License-Identifier: BSD-3-Clause
"""The scheduler's protocols hold in every interleaving, and break when a step is left out (SPIN)."""
import concurrent.futures
import os
import re
import shutil
import tempfile

import check

# model: (defines of each whole verification, {broken step: defines under which it must be noticed})
MODELS = {
    'park': ([''], {
        'EARLY_UNLOCK': '', 'LATE_QUEUE': '', 'NO_SETTLE': '', 'KEEP_LOSERS': '', 'NO_SELECTDONE': '',
    }),
    'bias': (['', 'STEAL'], {
        'NO_FENCE': '', 'NO_DRAIN': '', 'NO_FAIL': '', 'CLAIM_BIASED': '', 'NO_MARGIN': '',
        'STEAL_UNFENCED': 'STEAL', 'STEAL_BLINDLY': 'STEAL', 'ANY_OWNER': 'STEAL',
    }),
    'idle': (['ITEMS=2', 'NP=3 AWAKE=1 ITEMS=1', 'NP=3 ITEMS=2 WORK=2 SIMPLE', 'TIMERS=2 ITEMS=0',
              'TIMERS=1 ITEMS=1', 'PAUSE ITEMS=2', 'PAUSE NP=3 AWAKE=1 ITEMS=1'], {
        'NO_RECHECK': 'ITEMS=2', 'LOOK_FIRST': 'ITEMS=2', 'NO_RESET_WAKE': 'NP=3 AWAKE=1 ITEMS=2',
        'UNDO_UNLOCKED': 'NP=3 ITEMS=2 WORK=2 SIMPLE', 'NO_SECOND_LOOK': 'TIMERS=2 ITEMS=0',
        'LATE_SEQ': 'TIMERS=2 ITEMS=0', 'NO_POLL_WAKE': 'TIMERS=2 ITEMS=0',
        'NO_OFFER': 'PAUSE ITEMS=2', 'NO_LEAVE_WAKE': 'PAUSE ITEMS=2', 'SKIP_ALL': 'PAUSE ITEMS=2',
    }),
    'pause': (['ITEMS=1 TIMERS=1 LOCKED=2', 'TIMERS=2 LOCKED=1', 'TIMERS=1 SYSCALLS=1',
               'ITEMS=2 SAFES=1 STOPS=1', 'ITEMS=1 SYSCALLS=1 STOPS=1', 'ITEMS=1 TIMERS=1 STOPS=1',
               'NP=1 ITEMS=1 SYSCALLS=2', 'NP=3 AWAKE=2 WORK=1 ITEMS=1 SYSCALLS=1'], {
        'NO_DRAIN': 'ITEMS=1 SYSCALLS=1 STOPS=1', 'OWN_TIMERS': 'TIMERS=2 LOCKED=1', 'NO_WATCH': 'TIMERS=2',
        'UNWATCHED': 'ITEMS=1 TIMERS=1 LOCKED=2', 'NO_OFFER': 'ITEMS=1', 'NO_SAFE_OFFER': 'ITEMS=1 SAFES=1',
        'NO_LEAVE_WAKE': 'ITEMS=1 SYSCALLS=1', 'SKIP_ALL': 'ITEMS=1 SYSCALLS=1', 'IN_HANDS': 'NP=1 SYSCALLS=1',
        'NO_CLAIM': 'SYSCALLS=1 STOPS=1',
    }),
}
# In these Ms sleep when the model ends; in park whoever has not ended waits for ever; bias does not end.
ENDS_ASLEEP = {'idle', 'pause'}
AT_ONCE = min(os.cpu_count(), 4)  # a search takes up to 550 MB


def must_run(*cmd, **options):
    r = check.run(*cmd, **options)
    if r.status != 0:
        raise AssertionError('%s: %s' % (cmd, r))
    return r.out


def verify(model, defines):
    """pan's report of a search through all states."""
    source = os.path.join(check.arguments[0], model + '.pml')
    with tempfile.TemporaryDirectory() as d:
        must_run('spin', '-a', *['-D' + x for x in defines.split()], source, cwd=d)
        # Most searches are short: what -O2 takes to compile they do not give back, and what -DCOLLAPSE saves
        # in memory it takes in time.
        must_run('cc', '-O0', '-w', '-DSAFETY', '-DMEMLIM=1500', '-o', 'pan', 'pan.c', cwd=d)
        flags = ['-m200000', '-n'] + (['-E'] if model in ENDS_ASLEEP else [])
        out = check.run('./pan', *flags, cwd=d, timeout=200).out
    if 'max search depth too small' in out:
        raise AssertionError(out)
    return out


def verify_all(cases):
    """Each of the cases (model, defines), and a function that returns pan's report."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        searches = [pool.submit(verify, *case) for case in cases]
        for (model, defines), search in zip(cases, searches):
            yield model, defines, search.result


class Models(check.TestCase):
    def errors(self, report):
        m = re.search(r'errors: (\d+)', report)
        self.assertIsNotNone(m, report)
        return int(m[1])

    def test_protocols_hold(self):
        cases = [(model, defines) for model, (whole, _) in MODELS.items() for defines in whole]
        for model, defines, result in verify_all(cases):
            with self.subTest(model=model, defines=defines):
                report = result()
                self.assertEqual(self.errors(report), 0, report)
                self.assertNotIn('Search not completed', report)

    def test_a_missing_step_is_noticed(self):
        cases = [(model, defines + ' ' + step)
                 for model, (_, broken) in MODELS.items() for step, defines in broken.items()]
        for model, defines, result in verify_all(cases):
            with self.subTest(model=model, defines=defines):
                report = result()
                self.assertEqual(self.errors(report), 1, report)
                self.assertRegex(report, r'assertion violated|invalid end state')
                self.assertNotIn('nm<', report, 'more Ms than the model has')


for program in 'spin', 'cc':
    if not shutil.which(program):
        check.skip('no %s on this machine' % program)
check.main()
