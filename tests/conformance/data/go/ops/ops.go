// SPDX-License-Identifier: BSD-3-Clause

// The Go side of the comparison: what ops.c does, in the same order, in Go.
package main

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ---- what both sides share ----

var state, digest uint64

func rnd(n uint64) uint64 {
	state ^= state >> 12
	state ^= state << 25
	state ^= state >> 27
	return (state * 0x2545f4914f6cdd1d >> 33) % n
}

func note(x uint64) {
	digest = (digest ^ x) * 0x100000001b3
	digest ^= digest >> 29
}

func noteBool(b bool) {
	if b {
		note(1)
	} else {
		note(0)
	}
}

func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>32
}

func text(k uint64) string {
	var b []byte
	if k != 0 {
		b = strconv.AppendUint(b, k, 10)
	}
	for i := uint64(0); i < k%45; i++ {
		b = append(b, byte('a'+(k+i)%26))
	}
	return string(b)
}

func textDigest(s string) uint64 {
	h := uint64(len(s))
	for i := 0; i < len(s); i++ {
		h = mix(h ^ uint64(s[i]))
	}
	return h
}

func progress(i uint64) {
	if i%4096 == 4095 {
		fmt.Printf("%d %016x\n", i, digest)
	}
}

// ---- maps ----

const keys = 20000

func mapOps[K comparable, V any](count uint64, mk func(uint64) K, kd func(K) uint64, mv func(uint64) V,
	vd func(V) uint64) {
	m := make(map[K]V)
	iterate := func() {
		var sum, n uint64
		for k, v := range m {
			sum += mix(kd(k)*31 + vd(v))
			n++
		}
		note(sum)
		note(n)
	}
	change := func() {
		var n uint64
		for k := range m {
			d := kd(k)
			if d%3 == 0 {
				delete(m, k)
			} else if d%3 == 1 {
				m[k] = mv(d)
			}
			n++
		}
		note(n)
		iterate()
	}
	for i := uint64(0); i < count; i++ {
		what, n := rnd(100), rnd(keys)
		k := mk(n)
		if what < 45 {
			m[k] = mv(i)
		} else if what < 70 {
			if v, ok := m[k]; ok {
				note(vd(v))
			} else {
				note(1)
			}
		} else {
			delete(m, k)
		}
		note(uint64(len(m)))
		if i%50000 == 49999 {
			iterate()
		}
		if i%150000 == 149999 {
			change()
		}
		if i%400000 == 399999 {
			clear(m)
		}
		if i%300000 == 299999 {
			m = make(map[K]V, rnd(keys))
		}
		progress(i)
	}
	iterate()
}

func same(x uint64) uint64 { return x }

type two struct {
	a, b uint32
	c    uint64
}

func mkI32(n uint64) int32 { return int32(n) - keys/2 }
func kdI32(k int32) uint64 { return uint64(int64(k)) }
func mvTwo(n uint64) two   { return two{uint32(n), uint32(n >> 3), n * 7} }
func vdTwo(t two) uint64   { return mix(uint64(t.a)) ^ mix(uint64(t.b+1)) ^ t.c }
func mkI8(n uint64) int8   { return int8(n) }
func kdI8(k int8) uint64   { return uint64(int64(k)) }
func mvBool(n uint64) bool { return n%3 == 0 }
func vdBool(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func mkF64(n uint64) float64 {
	switch n % 500 {
	case 0:
		return 0
	case 1:
		return math.Copysign(0, -1)
	case 2:
		if n < 1000 {
			return math.NaN()
		}
		return math.Inf(1)
	}
	return float64(n)/4 - 1000
}

func kdF64(k float64) uint64 {
	if k != k {
		return 5
	}
	if k == 0 {
		return 6
	}
	return mix(math.Float64bits(k))
}

type key struct {
	a int16
	s string
	f float32
}

func mkKey(n uint64) key {
	k := key{int16(n % 100), text(n / 100 % 50), float32(n)}
	switch n % 3 {
	case 1:
		k.f = float32(math.Copysign(0, -1))
	case 2:
		k.f = 0
	}
	return k
}

func kdKey(k key) uint64 { return mix(uint64(k.a)) ^ textDigest(k.s) ^ kdF64(float64(k.f)) }

type large struct{ w [25]uint64 }

func mkLarge(n uint64) large {
	var l large
	l.w[n%25] = n
	return l
}

func kdLarge(l large) uint64 {
	var h uint64
	for _, w := range l.w {
		h = mix(h ^ w)
	}
	return h
}

type point struct{ x, y int32 }

func mkAny(n uint64) any {
	switch n % 8 {
	case 0:
		return int64(n)
	case 1:
		return int32(n) - 1
	case 2:
		return text(n)
	case 3:
		return mkF64(n)
	case 4:
		return point{int32(n), 4}
	case 5:
		return n%16 == 5
	case 6:
		return mkLarge(n)
	}
	return nil
}

func kdAny(a any) uint64 {
	switch v := a.(type) {
	case int64:
		return mix(uint64(v))
	case int32:
		return mix(uint64(int64(v))) + 1
	case string:
		return textDigest(v)
	case float64:
		return kdF64(v)
	case point:
		return mix(uint64(int64(v.x)))
	case bool:
		if v {
			return 8
		}
		return 9
	case large:
		return kdLarge(v)
	}
	return 10
}

// ---- equality of interfaces ----

func equality(count uint64) {
	var anys []any
	for i := 0; i < 200; i++ {
		anys = append(anys, mkAny(rnd(64)))
	}
	for i := uint64(0); i < count; i++ {
		a := anys[rnd(200)]
		b := anys[rnd(200)]
		noteBool(a == b)
		n, ok := a.(int64)
		noteBool(ok)
		note(uint64(n))
		note(kdAny(b))
		if rnd(10) == 0 {
			v := mkAny(rnd(64))
			anys[rnd(200)] = v
		}
		progress(i)
	}
}

// ---- slices ----

const (
	nslices = 8
	maxLen  = 3000
)

func sliceOps[T any](count uint64, mv func(uint64) T, vd func(T) uint64) {
	var s [nslices][]T
	noteSlice := func(s []T) {
		note(uint64(len(s)))
		note(uint64(cap(s)))
		for i := max(len(s)-4, 0); i < len(s); i++ {
			note(vd(s[i]))
		}
	}
	for i := uint64(0); i < count; i++ {
		a, b := rnd(nslices), rnd(nslices)
		switch rnd(12) {
		case 0:
			hi := rnd(uint64(cap(s[a])) + 1)
			lo := rnd(hi + 1)
			s[b] = s[a][lo:hi]
		case 1:
			max := rnd(uint64(cap(s[a])) + 1)
			hi := rnd(max + 1)
			lo := rnd(hi + 1)
			s[b] = s[a][lo:hi:max]
		case 2:
			note(uint64(copy(s[a], s[b])))
		case 3:
			if len(s[a])+len(s[b]) < maxLen {
				s[a] = append(s[a], s[b]...)
			}
		case 4:
			lo := rnd(40)
			hi := lo + rnd(40)
			s[a] = make([]T, lo, hi)
		case 5:
			s[a] = append(s[a], mv(i), mv(i+1), mv(i+2))
		case 6:
			if len(s[a]) > 0 {
				s[a][rnd(uint64(len(s[a])))] = mv(i)
			}
		case 7:
			if rnd(20) == 0 {
				s[a] = nil
			}
		case 8:
			more := make([]T, rnd(300), 300)
			if len(s[a]) < maxLen {
				s[a] = append(s[a], more...)
			}
		default:
			if len(s[a]) < maxLen {
				s[a] = append(s[a], mv(i))
			}
		}
		noteSlice(s[a])
		noteSlice(s[b])
		progress(i)
	}
}

type three struct{ a, b, c uint32 }

func mvThree(n uint64) three { return three{uint32(n), uint32(n) + 1, uint32(n) + 2} }
func vdThree(t three) uint64 { return mix(uint64(t.a)) + uint64(t.b) + uint64(t.c) }
func mvU8(n uint64) uint8    { return uint8(n) }
func vdU8(b uint8) uint64    { return uint64(b) }

// ---- strings ----

const nstrings = 16

var heads = []byte{0x7f, 0xc3, 0xe2, 0xf0, 0xed, 0xf4, 0xc0, 0xff, 0x80, 0xa0}

func randomBytes() string {
	b := make([]byte, rnd(40))
	for i := range b {
		switch rnd(4) {
		case 0:
			b[i] = heads[rnd(uint64(len(heads)))]
		case 1:
			b[i] = byte(0x80 + rnd(64))
		default:
			b[i] = byte('a' + rnd(26))
		}
	}
	return string(b)
}

func randomRune() rune {
	switch rnd(5) {
	case 0:
		return rune(rnd(0x80))
	case 1:
		return rune(rnd(0x800))
	case 2:
		return rune(rnd(0x10000))
	case 3:
		return rune(rnd(0x120000))
	}
	return rune(rnd(0x2000)) + 0xd000
}

func stringOps(count uint64) {
	var s [nstrings]string
	for i := uint64(0); i < count; i++ {
		a, b := rnd(nstrings), rnd(nstrings)
		switch rnd(10) {
		case 0:
			s[a] = randomBytes()
		case 1:
			if len(s[a])+len(s[b]) < 2000 {
				s[a] = s[a] + s[b]
			}
		case 2:
			hi := rnd(uint64(len(s[a])) + 1)
			lo := rnd(hi + 1)
			s[b] = s[a][lo:hi]
		case 3:
			note(uint64(strings.Compare(s[a], s[b])))
			noteBool(s[a] == s[b])
		case 4:
			for k, r := range s[a] {
				note(uint64(k)<<32 | uint64(r))
			}
			note(uint64(utf8.RuneCountInString(s[a])))
		case 5:
			r := []rune(s[a])
			note(uint64(len(r)))
			for k := 0; k < 3; k++ {
				r = append(r, randomRune())
			}
			s[b] = string(r)
		case 6:
			bytes := []byte(s[a])
			bytes = append(bytes, byte(i))
			s[b] = string(bytes)
		case 7:
			var w strings.Builder
			w.Grow(int(rnd(50)))
			w.WriteString(s[a])
			w.WriteByte(byte(i))
			w.WriteRune(randomRune())
			w.WriteString(text(i % 1000))
			s[b] = w.String()
		case 8:
			r, width := utf8.DecodeRuneInString(s[a])
			note(uint64(r))
			note(uint64(width))
			if len(s[a]) > 0 {
				note(uint64(s[a][rnd(uint64(len(s[a])))]))
			}
		default:
			s[a] = s[b] + "-" + text(i%99)
		}
		if len(s[a]) > 1000 {
			s[a] = s[a][len(s[a])-500:]
		}
		if len(s[b]) > 1000 {
			s[b] = s[b][:500]
		}
		note(textDigest(s[a]))
		progress(i)
	}
}

// ---- main ----

func main() {
	seed, _ := strconv.ParseUint(os.Args[2], 0, 64)
	count, _ := strconv.ParseUint(os.Args[3], 0, 64)
	state = seed | 1
	switch os.Args[1] {
	case "u64":
		mapOps(count, mix, same, same, same)
	case "i32":
		mapOps(count, mkI32, kdI32, mvTwo, vdTwo)
	case "i8":
		mapOps(count, mkI8, kdI8, mvBool, vdBool)
	case "str":
		mapOps(count, text, textDigest, text, textDigest)
	case "f64":
		mapOps(count, mkF64, kdF64, same, same)
	case "fields":
		mapOps(count, mkKey, kdKey, same, same)
	case "big":
		mapOps(count, mkLarge, kdLarge, mkLarge, kdLarge)
	case "any":
		mapOps(count, mkAny, kdAny, mkAny, kdAny)
	case "equality":
		equality(count)
	case "slice1":
		sliceOps(count, mvU8, vdU8)
	case "slice8":
		sliceOps(count, same, same)
	case "slice12":
		sliceOps(count, mvThree, vdThree)
	case "slice200":
		sliceOps(count, mkLarge, kdLarge)
	case "strings":
		stringOps(count)
	default:
		os.Exit(1)
	}
	fmt.Printf("end %016x\n", digest)
}
