# SPDX-License-Identifier: BSD-3-Clause
"""The scheduler's protocols hold in every interleaving, and break when a step is left out (SPIN)."""
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
}
# In idle Ms sleep when the model ends; in park whoever has not ended waits for ever; bias does not end.
ENDS_ASLEEP = {'idle'}


class Models(check.TestCase):
    def verify(self, model, defines):
        """pan's report of a search through all states."""
        source = os.path.join(check.arguments[0], model + '.pml')
        with tempfile.TemporaryDirectory() as d:
            r = check.run('spin', '-a', *['-D' + x for x in defines.split()], source, cwd=d)
            self.assertStatus(r, 0)
            r = check.run('cc', '-O2', '-w', '-DSAFETY', '-DCOLLAPSE', '-DMEMLIM=1500', '-o', 'pan', 'pan.c', cwd=d)
            self.assertStatus(r, 0)
            flags = ['-m1000000', '-n'] + (['-E'] if model in ENDS_ASLEEP else [])
            r = check.run('./pan', *flags, cwd=d, timeout=200)
        self.assertNotIn('max search depth too small', r.out)
        return r.out

    def errors(self, report):
        m = re.search(r'errors: (\d+)', report)
        self.assertIsNotNone(m, report)
        return int(m[1])

    def test_protocols_hold(self):
        for model, (whole, _) in MODELS.items():
            for defines in whole:
                with self.subTest(model=model, defines=defines):
                    report = self.verify(model, defines)
                    self.assertEqual(self.errors(report), 0, report)
                    self.assertNotIn('Search not completed', report)

    def test_a_missing_step_is_noticed(self):
        for model, (_, broken) in MODELS.items():
            for step, defines in broken.items():
                with self.subTest(model=model, step=step):
                    report = self.verify(model, defines + ' ' + step)
                    self.assertEqual(self.errors(report), 1, report)
                    self.assertRegex(report, r'assertion violated|invalid end state')
                    self.assertNotIn('nm<', report, 'more Ms than the model has')


for program in 'spin', 'cc':
    if not shutil.which(program):
        check.skip('no %s on this machine' % program)
check.main()
