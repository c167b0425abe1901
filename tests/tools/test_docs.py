# SPDX-License-Identifier: BSD-3-Clause
"""The documentation keeps to what is there: links, names of functions, headers, scripts."""
import pathlib
import re
import sys
import unittest

root = pathlib.Path(sys.argv.pop(1))
pages = [root / n for n in ('README.md', 'ARCHITECTURE.md', 'CHANGELOG.md')] + sorted((root / 'docs').glob('*.md'))
private = {'base.h', 'rseq.h', 'type.h'}  # what the others share
headers = sorted(root.glob('*/include/gort/*.h')) + [root / 'runtime/include/gort.h']


class Docs(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for page in pages:
            for link in re.findall(r'\]\(([^)#]+)[^)]*\)', page.read_text(encoding='utf-8')):
                if '://' not in link:
                    self.assertTrue((page.parent / link).exists(), '%s: %s' % (page.name, link))

    def test_names_on_the_api_page_exist(self):
        known = '\n'.join(h.read_text(encoding='utf-8') for h in headers)
        # Names of families that a macro makes: gort_atomic_X_load for each X.
        known += ''.join('gort_atomic_%s_%s ' % (x, op) for x in ('int32', 'int64', 'uint32', 'uint64')
                         for op in ('load', 'store', 'add', 'swap', 'cas', 'and', 'or'))
        words = set(re.findall(r'\b(?:gort|GORT)_\w*[A-Za-z0-9]\b', (root / 'docs/api.md').read_text(encoding='utf-8')))
        sources = '\n'.join(f.read_text(encoding='utf-8', errors='replace')
                            for d in ('runtime', 'profiler', 'tools') for f in (root / d).rglob('*.c'))
        missing = [w for w in sorted(words) if not re.search(r'\b%s(_|\b)' % w, known) and w not in sources]
        self.assertEqual(missing, [])
        self.assertGreater(len(words), 200)

    def test_every_header_is_on_the_api_page(self):
        text = (root / 'docs/api.md').read_text(encoding='utf-8')
        self.assertEqual([h.name for h in headers if h.name not in private and h.parent.name == 'gort' and
                          '<gort/%s>' % h.name not in text], [])

    def test_every_header_has_an_example(self):
        examples = '\n'.join(f.read_text(encoding='utf-8') for f in (root / 'examples').glob('*.c'))
        self.assertEqual([h.name for h in headers if h.name not in private and h.parent.name == 'gort' and
                          '<gort/%s>' % h.name not in examples], [])

    def test_scripts_and_programs_that_are_named_exist(self):
        for page in pages:
            for path in re.findall(r'`((?:tools|tests|bench|examples|runtime|profiler)/[\w./-]+)`',
                                   page.read_text(encoding='utf-8')):
                found = 'NAME' in path or any((root / (path + end)).exists() for end in ('', '.c'))
                self.assertTrue(found, '%s: %s' % (page.name, path))


unittest.main(verbosity=2)
