# SPDX-License-Identifier: BSD-3-Clause
"""gort-symbolize: C++ and Rust names, separate debug files, its cache, profiles named later."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'integration'))
import check

CXX = r'''
#include <cstdint>
namespace shop {
template <typename T> struct Basket {
	T sum = 0;
	__attribute__((always_inline)) void step(T v) { sum = sum * 31 + v; asm volatile("" : "+r"(sum)); }
	__attribute__((noinline)) T fill(T n) { for (T i = 0; i < n; i++) step(i); return sum; }
};
}
int main() { shop::Basket<uint64_t> b; return b.fill(700000000) == 42; }
'''

RUST = r'''
pub struct Basket<T> { sum: T }
pub trait Fill { fn fill(&mut self, n: u64); }
impl Fill for Basket<u64> {
    #[inline(never)]
    fn fill(&mut self, n: u64) {
        for i in 0..n { self.sum = std::hint::black_box(self.sum.wrapping_mul(31).wrapping_add(i)); }
    }
}
fn main() { let mut b = Basket { sum: 0u64 }; b.fill(300_000_000); std::process::exit((b.sum == 42) as i32) }
'''


JIT = r'''
#include <string.h>
#include <sys/mman.h>
#include <time.h>
static const unsigned char code[] = {0xb8, 0x00, 0x00, 0x10, 0x00, 0x83, 0xe8, 0x01, 0x75, 0xfb, 0xc3}; // mov $1M,%eax; 1: sub $1,%eax; jne 1b; ret
__attribute__((noinline)) void call_it(void (*f)(void)) { f(); __asm__ volatile(""); }
int main(void) {
	void *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void (*f)(void);
	memcpy(p, code, sizeof(code));
	mprotect(p, 4096, PROT_READ | PROT_EXEC);
	memcpy(&f, &p, sizeof(f));
	while (clock() < CLOCKS_PER_SEC / 2)
		for (int i = 0; i < 10; i++) call_it(f);
}
'''


class Symbolize(check.TestCase):
    def setUp(self):
        d = tempfile.TemporaryDirectory()
        self.addCleanup(d.cleanup)
        self.dir = d.name
        self.helper, self.library = check.arguments

    def at(self, name):
        return os.path.join(self.dir, name)

    def build_cxx(self, *flags):
        with open(self.at('basket.cc'), 'w') as f:
            f.write(CXX)
        subprocess.run([shutil.which('c++') or check.skip('no C++ compiler'), '-O2', '-g', '-Wl,--build-id', *flags, '-o',
                        self.at('basket'), self.at('basket.cc')], check=True)
        return self.at('basket')

    def profile(self, program, name='p.pb.gz', **env):
        r = check.run(program, LD_PRELOAD=self.library, GORT_CPUPROFILE=self.at(name), GORT_CACHE=self.at('cache'),
                      GORT_SYMBOLIZER=self.helper, **env)
        self.assertStatus(r, 0)
        return check.Profile(self.at(name))

    def symbolize(self, name='p.pb.gz', **env):
        r = check.run(self.helper, self.at(name), GORT_CACHE=self.at('cache'), **env)
        self.assertStatus(r, 0)
        return check.Profile(self.at(name))

    def assertWhole(self, p):
        self.assertGreater(p.total(0), 5)
        self.assertRegex(p.text, r'shop::Basket<unsigned long>::fill\(unsigned long\) /\S+/basket\.cc:7')
        self.assertRegex(p.text, r'shop::Basket<unsigned long>::step\(unsigned long\) /\S+/basket\.cc:6')
        self.assertRegex(p.text, r'basket\.cc:7:0 s=7\(_ZN4shop6BasketImE4fillEm\)')
        self.assertRegex(p.text, r'(?m)^1: .*/basket \w{40} \[FN\]\[FL\]\[LN\]\[IN\]$')

    def test_cxx_names(self):
        self.assertWhole(self.profile(self.build_cxx()))

    def test_rust_names(self):
        if not shutil.which('rustc'):
            self.skipTest('no rustc on this machine')
        with open(self.at('basket.rs'), 'w') as f:
            f.write(RUST)
        built = 0
        for version in ([], ['-C', 'symbol-mangling-version=v0']):  # the older scheme is this compiler's default, or not
            r = check.run('rustc', '-O', '-g', *version, '-o', self.at('basket'), self.at('basket.rs'), timeout=120)
            if r.status != 0 and version:
                continue
            self.assertStatus(r, 0)
            p = self.profile(self.at('basket'))
            self.assertIn('<basket::Basket<u64> as basket::Fill>::fill /', p.text)
            self.assertRegex(p.text, r'basket\.rs:\d+:0 s=6\(_(R|ZN)\S*fill')
            built += 1
        self.assertGreater(built, 0)

    def test_separate_debug_file(self):
        """Found by .gnu_debuglink beside the program, and in .debug below."""
        for place in ('basket.debug', '.debug/basket.debug'):
            with self.subTest(place=place):
                exe = self.build_cxx()
                os.makedirs(self.at('.debug'), exist_ok=True)
                subprocess.run(['objcopy', '--only-keep-debug', exe, self.at(place)], check=True)
                subprocess.run(['objcopy', '--strip-all', '--add-gnu-debuglink=' + self.at(place), exe], check=True)
                shutil.rmtree(self.at('cache'), ignore_errors=True)
                self.assertWhole(self.profile(exe))
                os.unlink(self.at(place))

    def test_separate_debug_file_by_build_id(self):
        exe = self.build_cxx()
        notes = check.run('readelf', '-n', exe).out
        build_id = re.search(r'Build ID: (\w{40})', notes)[1]
        place = self.at('debug/.build-id/' + build_id[:2])
        os.makedirs(place)
        debug = os.path.join(place, build_id[2:] + '.debug')
        subprocess.run(['objcopy', '--only-keep-debug', exe, debug], check=True)
        subprocess.run(['objcopy', '--strip-all', exe], check=True)
        self.assertNotIn('Basket', self.profile(exe).text)
        self.assertWhole(self.profile(exe, GORT_DEBUG_PATH='/nonexistent:' + self.at('debug')))
        # Another program's file under this name is none.
        shutil.rmtree(self.at('cache'), ignore_errors=True)
        subprocess.run(['objcopy', '--only-keep-debug', self.build_cxx('-DOTHER', '-O1'), debug], check=True)
        subprocess.run(['objcopy', '--strip-all', self.build_cxx()], check=True)
        self.assertNotIn('Basket', self.profile(exe, GORT_DEBUG_PATH=self.at('debug')).text)

    def test_any_link_of_the_program(self):
        """Position-independent or not, with or without lazy binding; code at other addresses than in the file."""
        for flags in (['-pie', '-fPIE'], ['-no-pie', '-fno-pie'], ['-Wl,-z,now', '-Wl,-z,separate-code'],
                      ['-Wl,-z,noseparate-code', '-no-pie'], ['-Wl,-Ttext-segment=0x30000000', '-no-pie']):
            with self.subTest(flags=flags):
                self.assertWhole(self.profile(self.build_cxx(*flags)))

    def test_code_without_a_file(self):
        """What a JIT compiler makes has no name: an address, under its caller."""
        with open(self.at('jit.c'), 'w') as f:
            f.write(JIT)
        subprocess.run([shutil.which('cc') or check.skip('no C compiler'), '-O1', '-g', '-o', self.at('jit'), self.at('jit.c')],
                       check=True)
        p = self.profile(self.at('jit'))
        made = {i for i, names in p.locations.items() if not names}
        self.assertTrue(made)
        text = p.text.split('Locations\n', 1)[1]
        for i in made:
            self.assertRegex(text, r'(?m)^ *%d: 0x[0-9a-f]+ *$' % i)
        self.assertGreater(p.total(0, 'call_it'), p.total(0) * 0.9, p.text)
        self.assertGreater(sum(v[0] for v, frames in p.samples if frames[:1] == ['call_it']), p.total(0) * 0.9, p.text)

    def test_stripped(self):
        p = self.profile(self.build_cxx('-s'))
        self.assertRegex(p.text, r'basket\+0x[0-9a-f]+ ')
        self.assertIn('basket: no debug information, names only', check.run(
            check.go(), 'tool', 'pprof', '-comments', self.at('p.pb.gz')).out)
        self.assertEqual(glob.glob(self.at('cache/*basket*')), [])

    def test_later(self):
        exe = self.build_cxx()
        p = self.profile(exe, GORT_SYMBOLIZE='none')
        self.assertEqual(p.functions(), set())
        before = os.stat(self.at('p.pb.gz')).st_mode
        self.assertWhole(self.symbolize())
        self.assertEqual(os.stat(self.at('p.pb.gz')).st_mode, before)
        again = self.symbolize()
        self.assertWhole(again)

    def test_gort_symbolize(self):
        gort = os.path.join(os.path.dirname(self.helper), 'gort')
        self.profile(self.build_cxx(), GORT_SYMBOLIZE='none')
        self.assertStatus(check.run(gort, 'symbolize', self.at('p.pb.gz'), GORT_CACHE=self.at('cache')), 0)
        self.assertWhole(check.Profile(self.at('p.pb.gz')))
        self.assertStatus(check.run(gort, 'symbolize'), 2)
        self.assertStatus(check.run(gort, 'symbolize', '-help'), 0)

    def test_wrong_file_names_nothing(self):
        exe = self.build_cxx()
        self.profile(exe, GORT_SYMBOLIZE='none')
        self.build_cxx('-DOTHER', '-O1')
        p = self.symbolize()
        self.assertFalse([f for f in p.functions() if 'Basket' in f])
        self.assertIn('build id differs', check.run(check.go(), 'tool', 'pprof', '-comments', self.at('p.pb.gz')).out)

    def test_no_profile(self):
        for content in (b'', b'hello', b'\x1f\x8b\x08\0\0\0\0\0\0\0', os.urandom(500)):
            with open(self.at('x'), 'wb') as f:
                f.write(content)
            r = check.run(self.helper, self.at('x'))
            self.assertNotEqual(r.status, 0)
            self.assertRegex(r.err, r'^gort-symbolize: \S+/x: ')
            with open(self.at('x'), 'rb') as f:
                self.assertEqual(f.read(), content)
        self.assertStatus(check.run(self.helper, '/nonexistent/file'), 2)

    def test_cache_knows_what_is_gone(self):
        exe = self.build_cxx()
        self.profile(exe, 'raw.pb.gz', GORT_SYMBOLIZE='none')
        shutil.copy(self.at('raw.pb.gz'), self.at('a.pb.gz'))
        self.symbolize('a.pb.gz')
        os.unlink(exe)
        shutil.copy(self.at('raw.pb.gz'), self.at('b.pb.gz'))
        self.assertWhole(self.symbolize('b.pb.gz'))

    def test_cache_of_any_content(self):
        exe = self.build_cxx()
        self.profile(exe, 'raw.pb.gz', GORT_SYMBOLIZE='none')
        shutil.copy(self.at('raw.pb.gz'), self.at('a.pb.gz'))
        self.symbolize('a.pb.gz')
        kept = {}
        for path in glob.glob(self.at('cache/*.sym')):
            with open(path, 'rb') as f:
                kept[path] = f.read()
        self.assertTrue(kept)
        for mangle in (lambda b: b'', lambda b: b[:len(b) // 2], lambda b: os.urandom(len(b)), lambda b: b[:40] + b'\xff' * (len(b) - 40),
                       lambda b: b[:8] + b'\xff' * 24 + b[32:], lambda b: b[:-1] + b'x'):
            for path, content in kept.items():
                with open(path, 'wb') as f:
                    f.write(mangle(content))
            shutil.copy(self.at('raw.pb.gz'), self.at('b.pb.gz'))
            self.assertWhole(self.symbolize('b.pb.gz'))

    def test_cache_that_cannot_be_written(self):
        exe = self.build_cxx()
        with open(self.at('cache'), 'w'):
            self.assertWhole(self.profile(exe))


check.go()
check.main()
