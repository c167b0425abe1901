# SPDX-License-Identifier: BSD-3-Clause
"""gort flame: what is in the page, and what a browser makes of it."""
import base64
import gzip
import json
import os
import random
import re
import tempfile
import time
import unittest

import check
import chromium
import pb

ROW = 18
MS = 10**6


def unpack(page):
    """The page's meta data, and its nodes as [depth, name, inlined, values]."""
    text = re.search(r'<script id="data"[^>]*>([^<]*)</script>', page)[1]
    data = pb.Reader(gzip.decompress(base64.b64decode(text)))
    meta = json.loads(data.take(data.varint()))
    width = len(meta['columns']) * (1 if meta['base'] is None else 2)
    nodes, left = [], []
    while data.left():
        word, children, mask = data.varint(), data.varint(), data.varint()
        values = [(lambda z: z >> 1 ^ -(z & 1))(data.varint()) if mask >> k & 1 else 0 for k in range(width)]
        while left and left[-1] == 0:
            left.pop()
        if left:
            left[-1] -= 1
        name = meta['names'][word >> 1] if left else 'all'
        nodes.append([len(left), name, word & 1, values])
        left.append(children)
    return meta, nodes


def made():
    p = pb.Profile([('samples', 'count'), ('cpu', 'nanoseconds')])
    p.add([('inner', 'outer'), 'main'], [4, 40 * MS])
    p.add(['leaf', 'outer', 'main'], [1, 10 * MS])
    p.add(['main'], [1, 10 * MS])
    p.add(['</script><b>&"\\', 'main'], [1, 20 * MS])
    p.add(['other', 'thread'], [2, 20 * MS])
    return p


def base():
    p = pb.Profile([('samples', 'count'), ('cpu', 'nanoseconds')])
    p.add([('inner', 'outer'), 'main'], [2, 20 * MS])
    p.add(['gone', 'main'], [3, 30 * MS])
    p.add(['other', 'thread'], [2, 20 * MS])
    return p


class Flame(check.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gort, = check.arguments
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        cls.browser = None
        cls.page = cls.make('page', made())
        cls.titled = cls.make('titled', made(), '-title', '<i>&', '-sample_index', 'samples')
        base().write(cls.path('base'))
        cls.diff = cls.make('diff', made(), '-base', cls.path('base'))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.dir.name, name)

    @classmethod
    def make(cls, name, profile, *options):
        r = check.run(cls.gort, 'flame', profile.write(cls.path(name)), '-o', cls.path(name + '.html'), *options)
        assert r.status == 0, str(r)
        with open(cls.path(name + '.html'), encoding='utf-8') as f:
            return f.read()

    def test_tree(self):
        meta, nodes = unpack(self.page)
        self.assertEqual(meta['columns'], [['samples', 'count'], ['cpu', 'nanoseconds']])
        self.assertEqual((meta['shown'], meta['title'], meta['base']), (1, 'prog: page', None))
        self.assertEqual(nodes, [
            [0, 'all', 0, [0, 0]], [1, 'main', 0, [1, 10 * MS]], [2, '</script><b>&"\\', 0, [1, 20 * MS]],
            [2, 'outer', 0, [0, 0]], [3, 'inner', 1, [4, 40 * MS]], [3, 'leaf', 0, [1, 10 * MS]],
            [1, 'thread', 0, [0, 0]], [2, 'other', 0, [2, 20 * MS]]])

    def test_tree_with_base(self):
        meta, nodes = unpack(self.diff)
        self.assertEqual(meta['base'], 'base')
        self.assertIn([3, 'inner', 1, [4, 40 * MS, 2, 20 * MS]], nodes)
        self.assertIn([2, 'gone', 0, [0, 0, 3, 30 * MS]], nodes)

    def test_page_needs_nothing_else(self):
        self.assertNotRegex(self.page, r'https?:|\bsrc=|<link|@import|url\(')
        self.assertEqual(self.page.count('</script>'), 2)
        self.assertIn('<title>prog: page</title>', self.page)
        self.assertIn('<title>&lt;i>&amp;</title>', self.titled)
        self.assertEqual(unpack(self.titled)[0]['shown'], 0)

    def test_negative_values_and_deep_stacks(self):
        p = pb.Profile([('n', 'count')])
        p.add(['a', 'b'], [-(1 << 60)])
        p.add(['f%d' % (i % 7) for i in range(20000)], [5])
        _, nodes = unpack(self.make('deep', p))
        self.assertIn([2, 'a', 0, [-(1 << 60)]], nodes)
        self.assertEqual(max(n[0] for n in nodes), 20000)

    # ---- in the browser ----

    def view(self, name, hash=''):
        cls = type(self)
        program = chromium.find()
        if not program:
            raise unittest.SkipTest('no chromium on this machine')
        if not cls.browser:
            cls.browser = chromium.Browser(program)
            cls.addClassCleanup(cls.browser.close)
        self.browser.open('file://%s.html%s' % (self.path(name), hash))
        self.browser.wait('typeof start === "function" && $("summary").textContent !== ""')
        return self.browser

    def text(self, id):
        return self.browser.evaluate('$("%s").textContent' % id)

    def at(self, part, row):
        """The middle of the frame that begins at part (of one) of the width, in that row."""
        box = self.browser.evaluate('(({x, y, width}) => [x, y, width])($("graph").getBoundingClientRect())')
        return box[0] + box[2] * part, box[1] + row * ROW + ROW / 2

    def pixel(self, part, row):
        return self.browser.evaluate(
            '[...$("graph").getContext("2d").getImageData($("graph").width * %f, %d, 1, 1).data]' % (part, row * ROW + 3))

    def test_draws_and_says_what_the_mouse_is_on(self):
        self.view('page')
        self.assertEqual(self.text('summary'), 'cpu: 100ms in 7 calls')
        self.assertEqual(self.text('title'), 'prog: page')
        # main has 80 % of the width, its children stand in order of their names from 0 on.
        self.browser.mouse('mouseMoved', *self.at(0.1, 2))
        self.assertEqual(self.text('details'), '</script><b>&"\\: 20ms, 20.00% of all; in itself 20ms')
        self.browser.mouse('mouseMoved', *self.at(0.3, 3))
        self.assertEqual(self.text('details'), 'inner (inline): 40ms, 40.00% of all; in itself 40ms')
        self.browser.mouse('mouseMoved', *self.at(0.9, 2))
        self.assertEqual(self.text('details'), 'other: 20ms, 20.00% of all; in itself 20ms')
        self.assertEqual(self.pixel(0.75, 2)[3], 0)  # main's own time: nothing is below it
        self.assertEqual(self.pixel(0.3, 3)[3], 255)
        requests = [e['params']['request']['url'] for e in self.browser.events
                    if e.get('method') == 'Network.requestWillBeSent']
        self.assertEqual([u for u in requests if not u.startswith(('file:', 'data:', 'blob:'))], [])
        self.assertEqual([e for e in self.browser.events if e.get('method') == 'Runtime.exceptionThrown'], [])

    def test_zoom_and_back(self):
        self.view('page')
        self.browser.click(*self.at(0.3, 2))  # outer
        self.assertEqual(self.text('summary'), 'cpu: 100ms in 7 calls; zoomed to outer')
        self.browser.mouse('mouseMoved', *self.at(0.9, 3))
        self.assertEqual(self.text('details'),
                         'leaf: 10ms, 10.00% of all, 20.00% of outer; in itself 10ms')
        self.assertIn('zoom=3', self.browser.evaluate('location.hash'))
        self.browser.click(*self.at(0.9, 1))  # main, which now spans the page
        self.assertIn('zoomed to main', self.text('summary'))
        self.browser.evaluate('document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true}))')
        self.assertEqual(self.text('summary'), 'cpu: 100ms in 7 calls')
        self.assertTrue(self.browser.evaluate('$("reset").disabled'))

    def test_search(self):
        self.view('page')
        before = self.pixel(0.3, 2)
        self.browser.evaluate('$("search").value = "OUT"; $("search").dispatchEvent(new Event("input"))')
        self.assertEqual(self.text('summary'), 'cpu: 100ms in 7 calls; 1 functions match, 50.00% of all')
        self.assertNotEqual(self.pixel(0.3, 2), before)
        self.browser.evaluate('$("search").value = "/^(main|leaf|other)$/"; $("search").dispatchEvent(new Event("input"))')
        self.assertIn('3 functions match, 100.00% of all', self.text('summary'))  # leaf lies in main
        self.browser.evaluate('$("search").value = "/(/"; $("search").dispatchEvent(new Event("input"))')
        self.assertIn('0 functions match', self.text('summary'))

    def test_other_values_and_the_address(self):
        self.view('page')
        self.browser.evaluate('$("column").value = 0; $("column").dispatchEvent(new Event("change"))')
        self.assertEqual(self.text('summary'), 'samples: 9 in 7 calls')
        self.assertIn('values=samples', self.browser.evaluate('location.hash'))
        self.view('titled', '#values=cpu&search=inner&zoom=3')
        self.assertEqual(self.text('summary'),
                         'cpu: 100ms in 7 calls; zoomed to outer; 1 functions match, 40.00% of all')

    def test_difference(self):
        self.view('diff')
        self.assertEqual(self.text('summary'), 'cpu: 100ms in 8 calls; base base: 70ms, change +30ms')
        self.assertIn('more than the base', self.text('legend'))
        # As wide as the larger of both: 20 + 30 (gone) + 50 + 10 of main, 20 of thread: 130.
        self.browser.mouse('mouseMoved', *self.at(30 / 130, 2))
        self.assertEqual(self.text('details'),
                         'gone: 0ns, 0.00% of all; in itself 0ns; base 30ms, change -30ms (-100.00%)')
        red, green, blue, _ = self.pixel(30 / 130, 2)
        self.assertGreater(blue, red + 40)
        red, green, blue, _ = self.pixel(60 / 130, 3)  # inner, twice as much
        self.assertGreater(red, blue + 40)
        red, green, blue, _ = self.pixel(120 / 130, 2)  # other, unchanged
        self.assertLess(max(red, green, blue) - min(red, green, blue), 10)

    def test_dark(self):
        self.view('page')
        light = self.pixel(0.3, 3)
        self.assertEqual(self.text('theme'), 'dark')
        self.browser.evaluate('$("theme").click()')
        self.assertEqual(self.text('theme'), 'light')
        self.assertLess(sum(self.pixel(0.3, 3)[:3]), sum(light[:3]) - 100)
        back = self.browser.evaluate('getComputedStyle(document.body).backgroundColor')
        self.assertLess(sum(map(int, re.findall(r'\d+', back)[:3])), 150)

    def test_a_hundred_thousand_stacks(self):
        p, rng = pb.Profile([('n', 'count')]), random.Random(5)
        for i in range(100000):
            p.add(['f%d' % rng.randrange(4000) for _ in range(rng.randrange(3, 12))] + ['main'], [1 + i % 9])
        page = self.make('large', p)
        self.assertLess(len(page), 12 << 20)
        start = time.monotonic()
        self.view('large')
        took = time.monotonic() - start
        self.assertRegex(self.text('summary'), r'^n: \d+ in \d{6} calls$')
        self.assertLess(took, 30)
        redraw = self.browser.evaluate('(() => { const t = performance.now(); setPattern("f77"); '
                                       'return performance.now() - t; })()')
        self.assertLess(redraw, 2000)
        self.assertIn('functions match', self.text('summary'))


check.main()
