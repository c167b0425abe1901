// SPDX-License-Identifier: BSD-3-Clause
// The Go side of ../../ops.c: the same operations in the same order.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	state, digest uint64
	count         int64
	out           = bufio.NewWriter(os.Stdout)
)

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

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func progress(i int64) {
	if i%4096 == 4095 {
		fmt.Fprintf(out, "%d %016x\n", i+1, digest)
	}
}

func key(k uint64) any {
	switch k % 4 {
	case 0:
		return int64(k)
	case 1:
		return "key " + strconv.FormatUint(k, 10)
	case 2:
		return float64(k) / 8
	default:
		return k%8 == 3
	}
}

func value(v uint64) any {
	if v == 0 {
		return nil
	}
	return int64(v)
}

func number(v any) uint64 {
	if v == nil {
		return 0
	}
	return uint64(v.(int64))
}

func mapOperation(m *sync.Map, nkeys uint64) {
	k := key(rnd(nkeys))
	v := value(rnd(4))
	w := value(rnd(4))
	var got any
	ok := false
	what := rnd(1000)
	sum := uint64(0)
	switch {
	case what < 150:
		m.Store(k, v)
	case what < 250:
		got, ok = m.LoadOrStore(k, v)
	case what < 350:
		got, ok = m.LoadAndDelete(k)
	case what < 400:
		m.Delete(k)
	case what < 500:
		got, ok = m.Swap(k, v)
	case what < 600:
		ok = m.CompareAndSwap(k, v, w)
	case what < 700:
		ok = m.CompareAndDelete(k, v)
	case what < 702:
		m.Range(func(k, v any) bool {
			sum += 1 + number(v)*3
			return true
		})
	case what < 703:
		m.Clear()
	default:
		got, ok = m.Load(k)
	}
	note(bit(ok) + number(got)*2 + sum*8)
}

func doMap() {
	var m sync.Map
	for i := int64(0); i < count; i++ {
		n := uint64(12)
		if i/8192%2 != 0 {
			n = 400
		}
		mapOperation(&m, n)
		progress(i)
	}
}

func doRWMutex() {
	var rw sync.RWMutex
	var mu sync.Mutex
	readers, writer, locked := 0, 0, 0
	for i := int64(0); i < count; i++ {
		ok := false
		switch rnd(8) {
		case 0:
			if ok = rw.TryLock(); ok {
				writer++
			}
		case 1:
			if ok = rw.TryRLock(); ok {
				readers++
			}
		case 2:
			if writer == 0 {
				rw.RLock()
				readers++
			}
		case 3:
			if writer+readers == 0 {
				rw.Lock()
				writer = 1
			}
		case 4:
			if readers > 0 {
				rw.RUnlock()
				readers--
			}
		case 5:
			if writer > 0 {
				rw.Unlock()
				writer = 0
			}
		case 6:
			if ok = mu.TryLock(); ok {
				locked++
			}
		default:
			if locked > 0 {
				mu.Unlock()
				locked = 0
			}
		}
		note(bit(ok) + uint64(readers)*2 + uint64(writer)*1000 + uint64(locked)*5000)
		progress(i)
	}
}

type integer interface {
	int32 | int64 | uint32 | uint64
}

type variable[T integer] interface {
	Load() T
	Store(T)
	Add(T) T
	Swap(T) T
	CompareAndSwap(T, T) bool
	And(T) T
	Or(T) T
}

func operation[T integer](a variable[T]) uint64 {
	hi := rnd(1<<30) << 34
	v := T(hi ^ rnd(1<<30))
	switch rnd(7) {
	case 0:
		a.Store(v)
		return 0
	case 1:
		return uint64(a.Add(v))
	case 2:
		return uint64(a.Swap(v))
	case 3:
		return bit(a.CompareAndSwap(a.Load(), v))
	case 4:
		return bit(a.CompareAndSwap(v, 1))
	case 5:
		return uint64(a.And(v))
	default:
		return uint64(a.Or(v))
	}
}

func doAtomic() {
	var i32 atomic.Int32
	var i64 atomic.Int64
	var u32 atomic.Uint32
	var u64 atomic.Uint64
	for i := int64(0); i < count; i++ {
		switch rnd(4) {
		case 0:
			note(operation[int32](&i32))
		case 1:
			note(operation[int64](&i64))
		case 2:
			note(operation[uint32](&u32))
		default:
			note(operation[uint64](&u64))
		}
		progress(i)
	}
}

const nodes = 24

type keyType int

func describe(c context.Context) uint64 {
	x := bit(c.Err() != nil)
	_, has := c.Deadline()
	x = x*2 + bit(has)
	x = x*2 + bit(c.Done() != nil)
	for k := 0; k < 4; k++ {
		v, _ := c.Value(keyType(k)).(uint64)
		x = x*16 + v
	}
	return x
}

func contextTree() {
	node := [nodes]context.Context{context.Background()}
	var cancel [nodes]context.CancelFunc
	for n := 1; n < nodes; n++ {
		parent := node[rnd(uint64(n))]
		switch rnd(5) {
		case 0:
			k := keyType(rnd(4))
			node[n] = context.WithValue(parent, k, rnd(16))
		case 1:
			node[n] = context.WithoutCancel(parent)
		case 2:
			node[n], cancel[n] = context.WithTimeout(parent, time.Hour)
		default:
			node[n], cancel[n] = context.WithCancel(parent)
		}
		victim := rnd(uint64(n) + 1)
		if rnd(3) == 0 && cancel[victim] != nil {
			cancel[victim]()
		}
		for k := 0; k <= n; k++ {
			note(describe(node[k]))
		}
	}
	for _, c := range cancel {
		if c != nil {
			c()
		}
	}
}

func doContext() {
	for i := int64(0); i < count/100; i++ {
		contextTree()
		progress(i)
	}
}

func misuse(name string) {
	var mu sync.Mutex
	var rw sync.RWMutex
	var wg sync.WaitGroup
	switch name {
	case "unlock":
		mu.Unlock()
	case "runlock":
		rw.RUnlock()
	case "runlock-of-lock":
		rw.Lock()
		rw.RUnlock()
	case "rwunlock":
		rw.Unlock()
	case "rwunlock-of-rlock":
		rw.RLock()
		rw.Unlock()
	case "negative":
		wg.Add(1)
		wg.Done()
		wg.Done()
	case "cond-copy":
		c := sync.NewCond(&mu)
		c.Signal()
		copied := *c
		copied.Signal()
	case "deadlock":
		mu.Lock()
		mu.Lock()
	case "nil-context":
		context.WithCancel(nil)
	}
}

func main() {
	if strings.HasPrefix(os.Args[1], "misuse-") {
		misuse(os.Args[1][7:])
		return
	}
	state, _ = strconv.ParseUint(os.Args[2], 0, 64)
	state |= 1
	count, _ = strconv.ParseInt(os.Args[3], 10, 64)
	switch os.Args[1] {
	case "map":
		doMap()
	case "rwmutex":
		doRWMutex()
	case "atomic":
		doAtomic()
	case "context":
		doContext()
	}
	fmt.Fprintf(out, "end %016x\n", digest)
	out.Flush()
}
