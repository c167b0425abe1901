// SPDX-License-Identifier: BSD-3-Clause

// programs NAME: small programs about goroutines, one a name; the C files beside this one
// have each of them too, and test_programs.py compares what the two print.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const ms = time.Millisecond

// ---- one channel ----

func unbufferedEcho() {
	in, out := make(chan int), make(chan int)
	go func() {
		for v := range in {
			out <- v * v
		}
		close(out)
	}()
	for i := 1; i <= 5; i++ {
		in <- i
		fmt.Println(<-out)
	}
	close(in)
	v, ok := <-out
	fmt.Println(v, ok)
}

func bufferedIsFifo() {
	c := make(chan int, 4)
	for round := 0; round < 3; round++ {
		for i := 0; i < 4; i++ {
			c <- round*10 + i
		}
		for i := 0; i < 4; i++ {
			fmt.Println(<-c)
		}
	}
}

func lenAndCap() {
	c := make(chan int, 3)
	fmt.Println(len(c), cap(c))
	c <- 1
	c <- 2
	fmt.Println(len(c), cap(c))
	<-c
	fmt.Println(len(c), cap(c))
	close(c)
	fmt.Println(len(c), cap(c))
	<-c
	fmt.Println(len(c), cap(c))
	u := make(chan int)
	fmt.Println(len(u), cap(u))
	go func() { u <- 1 }()
	time.Sleep(10 * ms)
	fmt.Println(len(u), cap(u)) // a blocked sender is not in the buffer
	<-u
}

func nilLenAndCap() {
	var c chan int
	fmt.Println(len(c), cap(c))
}

func fullWithWaiters() {
	c := make(chan int, 2)
	for i := 1; i <= 4; i++ {
		go func() { c <- i }()
		time.Sleep(10 * ms)
	}
	for i := 0; i < 4; i++ {
		fmt.Println(<-c, len(c))
	}
}

func recvFromClosed() {
	c := make(chan int, 1)
	close(c)
	for i := 0; i < 3; i++ {
		v, ok := <-c
		fmt.Println(v, ok)
	}
}

func closeKeepsTheBuffer() {
	c := make(chan int, 3)
	c <- 7
	c <- 8
	close(c)
	for i := 0; i < 4; i++ {
		v, ok := <-c
		fmt.Println(v, ok, len(c))
	}
}

func rangeUntilClosed() {
	c := make(chan int)
	go func() {
		for i := 1; i <= 100; i++ {
			c <- i
		}
		close(c)
	}()
	sum, n := 0, 0
	for v := range c {
		sum += v
		n++
	}
	fmt.Println(n, sum)
}

func trySend(c chan int, v int) bool {
	select {
	case c <- v:
		return true
	default:
		return false
	}
}

// 1 received, 0 would block, -1 closed
func tryRecv(c chan int) (int, int) {
	select {
	case v, ok := <-c:
		if !ok {
			return v, -1
		}
		return v, 1
	default:
		return 0, 0
	}
}

func tryOnBuffered() {
	c := make(chan int, 2)
	fmt.Println(tryRecv(c))
	fmt.Println(trySend(c, 1), trySend(c, 2), trySend(c, 3))
	fmt.Println(tryRecv(c))
	fmt.Println(trySend(c, 4))
	fmt.Println(tryRecv(c))
	fmt.Println(tryRecv(c))
	fmt.Println(tryRecv(c))
}

func tryOnUnbuffered() {
	c, done := make(chan int), make(chan int)
	fmt.Println(trySend(c, 1))
	fmt.Println(tryRecv(c))
	go func() { done <- <-c }()
	time.Sleep(10 * ms)
	fmt.Println(trySend(c, 2))
	fmt.Println(<-done)
	go func() { c <- 3; done <- 0 }()
	time.Sleep(10 * ms)
	fmt.Println(tryRecv(c))
	<-done
}

func tryOnClosed() {
	c := make(chan int, 1)
	c <- 5
	close(c)
	fmt.Println(tryRecv(c))
	fmt.Println(tryRecv(c))
}

func tryOnNil() {
	fmt.Println(trySend(nil, 1))
	fmt.Println(tryRecv(nil))
}

func unbufferedSendWaits() {
	c := make(chan int)
	var stage atomic.Int32
	go func() {
		c <- 1
		stage.Store(1)
		c <- 2
	}()
	time.Sleep(10 * ms)
	fmt.Println(stage.Load())
	<-c
	time.Sleep(10 * ms)
	fmt.Println(stage.Load())
	fmt.Println(<-c)
}

func bufferedSendDoesNotWait() {
	c := make(chan int, 2)
	var stage atomic.Int32
	go func() {
		for i := 1; i <= 4; i++ {
			c <- i
			stage.Store(int32(i))
		}
	}()
	time.Sleep(10 * ms)
	fmt.Println(stage.Load())
	<-c
	time.Sleep(10 * ms)
	fmt.Println(stage.Load())
}

func receiversAreFifo() {
	c, out := make(chan int), make(chan [2]int, 4)
	for i := 0; i < 4; i++ {
		go func() { out <- [2]int{i, <-c} }()
		time.Sleep(10 * ms)
	}
	for i := 0; i < 4; i++ {
		c <- i * 10
		fmt.Println(<-out)
	}
}

func sendersAreFifo() {
	c := make(chan int)
	for i := 0; i < 4; i++ {
		go func() { c <- i }()
		time.Sleep(10 * ms)
	}
	for i := 0; i < 4; i++ {
		fmt.Println(<-c)
	}
}

func closeWakesReceivers() {
	c, out := make(chan int), make(chan bool, 5)
	for i := 0; i < 5; i++ {
		go func() {
			v, ok := <-c
			out <- !ok && v == 0
		}()
	}
	time.Sleep(10 * ms)
	close(c)
	for i := 0; i < 5; i++ {
		fmt.Println(<-out)
	}
}

func oneOfTwoSenders() {
	c := make(chan int)
	go func() { c <- 1 }()
	go func() { c <- 2 }()
	fmt.Println(<-c)
	fmt.Println(<-c)
}

type point struct {
	x int8
	y float64
	z int16
}

func structElements() {
	c := make(chan point, 1)
	go func() {
		for i := 0; i < 4; i++ {
			c <- point{int8(i), float64(i) / 2, int16(-i)}
		}
		close(c)
	}()
	for p := range c {
		fmt.Printf("%d %.1f %d\n", p.x, p.y, p.z)
	}
}

type large struct{ v [125]int32 }

func largeElements() {
	c, u := make(chan large, 1), make(chan large)
	go func() {
		for i := int32(0); i < 4; i++ {
			l := <-c
			l.v[0] += i
			u <- l
		}
	}()
	for i := int32(0); i < 4; i++ {
		var l large
		for j := range l.v {
			l.v[j] = i * int32(j)
		}
		c <- l
		got := <-u
		fmt.Println(got.v[0], got.v[1], got.v[124])
	}
}

func zeroedByClose() {
	c := make(chan large)
	l := large{}
	l.v[3] = 9
	go func() { time.Sleep(5 * ms); close(c) }()
	l, ok := <-c
	fmt.Println(l.v[3], ok)
}

func channelOfChannels() {
	requests := make(chan chan int)
	go func() {
		n := 0
		for r := range requests {
			n++
			r <- n
		}
	}()
	for i := 0; i < 3; i++ {
		reply := make(chan int)
		requests <- reply
		fmt.Println(<-reply)
	}
	close(requests)
}

// ---- programs of several goroutines ----

func filter(in, out chan int, prime int) {
	for v := range in {
		if v%prime != 0 {
			out <- v
		}
	}
}

func sieve() {
	c := make(chan int)
	go func(c chan int) {
		for i := 2; ; i++ {
			c <- i
		}
	}(c)
	for i := 0; i < 20; i++ {
		p := <-c
		fmt.Println(p)
		next := make(chan int)
		go filter(c, next, p)
		c = next
	}
}

func daisyChain() {
	first := make(chan int)
	right := first
	for i := 0; i < 1000; i++ {
		left := make(chan int)
		go func(l, r chan int) { r <- 1 + <-l }(left, right)
		right = left
	}
	go func() { right <- 0 }()
	fmt.Println(<-first)
}

func pipeline() {
	a, b := make(chan int, 2), make(chan int)
	go func() {
		for i := 0; i < 10; i++ {
			a <- i
		}
		close(a)
	}()
	go func() {
		for v := range a {
			if v%2 == 1 {
				b <- v * v
			}
		}
		close(b)
	}()
	for v := range b {
		fmt.Println(v)
	}
}

func workerPool() {
	jobs, results := make(chan int, 8), make(chan int, 8)
	var wg sync.WaitGroup
	for w := 0; w < 4; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range jobs {
				results <- j * 3
			}
		}()
	}
	go func() {
		for i := 1; i <= 200; i++ {
			jobs <- i
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	sum := 0
	for r := range results {
		sum += r
	}
	fmt.Println(sum)
}

func fanIn() {
	c := make(chan int)
	for p := 0; p < 3; p++ {
		go func() {
			for i := 0; i < 50; i++ {
				c <- p*1000 + i
			}
		}()
	}
	last := [3]int{-1, -1, -1}
	ordered := true
	for i := 0; i < 150; i++ {
		v := <-c
		ordered = ordered && v%1000 == last[v/1000]+1
		last[v/1000] = v % 1000
	}
	fmt.Println(ordered, last)
}

func semaphoreOfThree() {
	sem := make(chan bool, 3)
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for i := 0; i < 20; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			sem <- true
			n := inside.Add(1)
			for {
				m := most.Load()
				if n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(ms)
			inside.Add(-1)
			<-sem
		}()
	}
	wg.Wait()
	fmt.Println(most.Load(), inside.Load())
}

func messagePassing() {
	type box struct{ a, b int }
	c, back := make(chan *box), make(chan bool)
	go func() {
		bad := 0
		for p := range c {
			if p.a != p.b {
				bad++
			}
			p.a++
			back <- true
		}
		fmt.Println(bad)
		close(back)
	}()
	p := &box{}
	for i := 0; i < 1000; i++ {
		p.b = p.a
		c <- p
		<-back
	}
	close(c)
	<-back
	fmt.Println(p.a)
}

func sendThenLook() {
	both := 0
	for i := 0; i < 20000; i++ {
		a, b := make(chan int, 1), make(chan int, 1)
		var missed [2]bool
		var ready atomic.Int32
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			ready.Store(1)
			b <- 1
			_, r := tryRecv(a)
			missed[1] = r == 0
			wg.Done()
		}()
		for spins := 0; ready.Load() == 0; spins++ {
			if spins > 10000 {
				runtime.Gosched()
			}
		}
		a <- 1
		_, r := tryRecv(b)
		missed[0] = r == 0
		wg.Wait()
		if missed[0] && missed[1] {
			both++
		}
	}
	fmt.Println(both)
}

// ---- select ----

func selectOnlyReady() {
	a, b := make(chan int, 1), make(chan int, 1)
	for i := 0; i < 4; i++ {
		if i%2 == 0 {
			a <- i
		} else {
			b <- i
		}
		select {
		case v := <-a:
			fmt.Println("a", v)
		case v := <-b:
			fmt.Println("b", v)
		}
	}
}

func selectEitherReady() {
	a, b := make(chan int, 1), make(chan int, 1)
	a <- 1
	b <- 2
	select {
	case v := <-a:
		fmt.Println("a", v)
	case v := <-b:
		fmt.Println("b", v)
	}
}

func selectIsFair() {
	a, b := make(chan int, 1), make(chan int, 1)
	var n [2]int
	for i := 0; i < 2000; i++ {
		trySend(a, 1)
		trySend(b, 1)
		select {
		case <-a:
			n[0]++
		case <-b:
			n[1]++
		}
	}
	fmt.Println(n[0] > 800, n[1] > 800)
}

func selectDefault() {
	c := make(chan int)
	select {
	case v := <-c:
		fmt.Println(v)
	case c <- 1:
		fmt.Println("sent")
	default:
		fmt.Println("default")
	}
}

func selectNilIsNeverReady() {
	var none chan int
	c := make(chan int, 1)
	for i := 0; i < 3; i++ {
		select {
		case <-none:
			fmt.Println("received from nil")
		case none <- 1:
			fmt.Println("sent to nil")
		case c <- i:
			fmt.Println("sent")
		case v := <-c:
			fmt.Println("received", v)
		}
	}
}

func selectClosedIsReady() {
	c, d := make(chan int), make(chan int)
	close(c)
	select {
	case v, ok := <-c:
		fmt.Println(v, ok)
	case <-d:
		fmt.Println("d")
	}
}

func selectUntilBothClosed() {
	a, b := make(chan int), make(chan int)
	go func() {
		for i := 0; i < 10; i++ {
			a <- i
		}
		close(a)
	}()
	go func() {
		for i := 0; i < 10; i++ {
			b <- 100 * i
		}
		close(b)
	}()
	sum := 0
	for a != nil || b != nil {
		select {
		case v, ok := <-a:
			if !ok {
				a = nil
			}
			sum += v
		case v, ok := <-b:
			if !ok {
				b = nil
			}
			sum += v
		}
	}
	fmt.Println(sum)
}

func selectWaitsForReceiver() {
	a, b, done := make(chan int), make(chan int), make(chan int)
	go func() {
		select {
		case a <- 1:
			fmt.Println("sent to a")
		case b <- 2:
			fmt.Println("sent to b")
		}
		done <- 0
	}()
	time.Sleep(10 * ms)
	fmt.Println(<-b)
	<-done
	fmt.Println(tryRecv(a)) // it has left a's queue
}

func selectWokenByClose() {
	a, b, done := make(chan int), make(chan int), make(chan int)
	go func() {
		select {
		case v, ok := <-a:
			fmt.Println("a", v, ok)
		case v, ok := <-b:
			fmt.Println("b", v, ok)
		}
		done <- 0
	}()
	time.Sleep(10 * ms)
	close(b)
	<-done
	fmt.Println(trySend(a, 1))
}

func selectBothWaysOnOne() {
	c := make(chan int)
	var sent, received atomic.Int32
	var wg sync.WaitGroup
	for g := 0; g < 2; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < 100; i++ {
				select {
				case c <- 1:
					sent.Add(1)
				case <-c:
					received.Add(1)
				}
			}
		}()
	}
	wg.Wait()
	fmt.Println(sent.Load() == received.Load(), sent.Load())
}

func selectSameCaseTwice() {
	c := make(chan int)
	go func() { time.Sleep(5 * ms); c <- 4 }()
	select {
	case v := <-c:
		fmt.Println(v)
	case v := <-c:
		fmt.Println(v)
	}
	fmt.Println(tryRecv(c))
	fmt.Println(trySend(c, 1))
}

func selectManyWaiters() {
	a, b := make(chan int), make(chan int)
	out := make(chan int, 10)
	for i := 0; i < 10; i++ {
		go func() {
			select {
			case v := <-a:
				out <- v
			case v := <-b:
				out <- v
			}
		}()
	}
	time.Sleep(10 * ms)
	for i := 0; i < 10; i++ {
		if i%2 == 0 {
			a <- i
		} else {
			b <- i
		}
	}
	var got []int
	for i := 0; i < 10; i++ {
		got = append(got, <-out)
	}
	sort.Ints(got)
	fmt.Println(got, trySend(a, 1), trySend(b, 1))
}

func selectWithTimeout() {
	c, timeout := make(chan int), make(chan int)
	go func() { time.Sleep(20 * ms); timeout <- 1 }()
	go func() { time.Sleep(time.Hour); c <- 1 }()
	select {
	case <-c:
		fmt.Println("value")
	case <-timeout:
		fmt.Println("timeout")
	}
}

func selectEightCases() {
	var cs [8]chan int
	for i := range cs {
		cs[i] = make(chan int)
		go func() {
			for j := 0; j < 10; j++ {
				cs[i] <- i
			}
		}()
	}
	var n [8]int
	for i := 0; i < 80; i++ {
		select {
		case v := <-cs[0]:
			n[v]++
		case v := <-cs[1]:
			n[v]++
		case v := <-cs[2]:
			n[v]++
		case v := <-cs[3]:
			n[v]++
		case v := <-cs[4]:
			n[v]++
		case v := <-cs[5]:
			n[v]++
		case v := <-cs[6]:
			n[v]++
		case v := <-cs[7]:
			n[v]++
		}
	}
	fmt.Println(n)
}

// ---- mutex, wait group ----

func mutexCounter() {
	var mu sync.Mutex
	var wg sync.WaitGroup
	n := 0
	for g := 0; g < 8; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < 1000; i++ {
				mu.Lock()
				n++
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	fmt.Println(n)
}

func mutexTryLock() {
	var mu sync.Mutex
	fmt.Println(mu.TryLock(), mu.TryLock())
	mu.Unlock()
	fmt.Println(mu.TryLock())
	mu.Unlock()
}

func mutexUnlockedByAnother() {
	var mu sync.Mutex
	mu.Lock()
	go mu.Unlock()
	mu.Lock()
	fmt.Println("locked again")
}

func mutexStarvedWaiterGetsIt() {
	var mu sync.Mutex
	got := make(chan int, 1)
	mu.Lock()
	go func() {
		mu.Lock()
		got <- 1
		mu.Unlock()
	}()
	time.Sleep(10 * ms)
	for i := 0; i < 100000; i++ { // a loop that would never let the waiter in by chance
		mu.Unlock()
		mu.Lock()
		if len(got) > 0 {
			break
		}
	}
	mu.Unlock()
	fmt.Println(<-got)
}

func mutexKeepsGoroutinesOut() {
	var mu sync.Mutex
	var wg sync.WaitGroup
	inside, bad := 0, 0
	for g := 0; g < 4; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < 50; i++ {
				mu.Lock()
				inside++
				if inside != 1 {
					bad++
				}
				runtime.Gosched()
				inside--
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	fmt.Println(bad)
}

func waitOnZero() {
	var wg sync.WaitGroup
	wg.Wait()
	wg.Add(2)
	wg.Add(-2)
	wg.Wait()
	fmt.Println("done")
}

func waitgroupAgain() {
	var wg sync.WaitGroup
	var n atomic.Int32
	for round := 0; round < 5; round++ {
		for i := 0; i < 3; i++ {
			wg.Add(1)
			go func() {
				n.Add(1)
				wg.Done()
			}()
		}
		wg.Wait()
		fmt.Println(n.Load())
	}
}

func manyWaiters() {
	var wg sync.WaitGroup
	out := make(chan int, 5)
	wg.Add(1)
	for i := 0; i < 5; i++ {
		go func() {
			wg.Wait()
			out <- 1
		}()
	}
	time.Sleep(10 * ms)
	fmt.Println(len(out))
	wg.Done()
	sum := 0
	for i := 0; i < 5; i++ {
		sum += <-out
	}
	fmt.Println(sum)
}

func waitgroupGo() {
	var wg sync.WaitGroup
	var n atomic.Int32
	for i := 1; i <= 4; i++ {
		wg.Go(func() { n.Add(int32(i)) })
	}
	wg.Wait()
	fmt.Println(n.Load())
}

func waitgroupGoGoexit() {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer fmt.Println("exit")
		runtime.Goexit()
	})
	wg.Wait()
	fmt.Println("waited")
}

// ---- the end of goroutines and programs ----

func exitsRunLastFirst() {
	done := make(chan int)
	go func() {
		defer func() { done <- 0 }()
		for i := 0; i < 3; i++ {
			defer fmt.Println("exit", i)
		}
		fmt.Println("body")
	}()
	<-done
}

func nested() {
	defer fmt.Println("inner exit")
	runtime.Goexit()
	fmt.Println("not reached")
}

func goexitFromDeep() {
	done := make(chan int)
	go func() {
		defer func() { done <- 0 }()
		defer fmt.Println("outer exit")
		nested()
		fmt.Println("not reached")
	}()
	<-done
}

func goexitAfterOthers() {
	done := make(chan int)
	go func() {
		defer close(done)
		runtime.Goexit()
	}()
	_, ok := <-done
	fmt.Println(ok)
}

func mainReturnEndsAll() {
	go func() {
		time.Sleep(time.Hour)
		fmt.Println("not reached")
	}()
	go func() {
		for {
			runtime.Gosched()
		}
	}()
	fmt.Println("main returns")
}

func exitFromGoroutine() {
	go func() {
		fmt.Println("leaving")
		os.Exit(3)
	}()
	select {}
}

func mainGoexitOthersGoOn() {
	go func() {
		time.Sleep(10 * ms)
		fmt.Println("still here")
		os.Exit(0)
	}()
	runtime.Goexit()
}

func countGoroutines() {
	stop, started := make(chan int), make(chan int)
	before := runtime.NumGoroutine()
	for i := 0; i < 5; i++ {
		go func() { started <- 0; <-stop }()
		<-started
	}
	fmt.Println(before, runtime.NumGoroutine())
	close(stop)
	for runtime.NumGoroutine() > 1 {
		time.Sleep(ms)
	}
	fmt.Println(runtime.NumGoroutine())
}

func maxprocsReturnsOld() {
	runtime.GOMAXPROCS(3)
	fmt.Println(runtime.GOMAXPROCS(5), runtime.GOMAXPROCS(0), runtime.GOMAXPROCS(-1))
}

func yieldingLetsOthersRun() {
	runtime.GOMAXPROCS(1)
	var n atomic.Int32
	for i := 0; i < 10; i++ {
		go func() { n.Add(1) }()
	}
	for n.Load() < 10 {
		runtime.Gosched()
	}
	fmt.Println(n.Load())
}

func loopIsPreempted() {
	runtime.GOMAXPROCS(1)
	var stop atomic.Bool
	done := make(chan int)
	go func() {
		for !stop.Load() {
		}
		done <- 0
	}()
	time.Sleep(5 * ms) // comes back although the loop makes no call
	stop.Store(true)
	<-done
	fmt.Println("stopped")
}

// ---- time ----

func sleepsEndInOrder() {
	out := make(chan int, 5)
	for _, d := range []int{60, 20, 100, 40, 80} {
		go func() {
			time.Sleep(time.Duration(d) * ms)
			out <- d
		}()
	}
	for i := 0; i < 5; i++ {
		fmt.Println(<-out)
	}
}

func sleepIsLongEnough() {
	for _, d := range []time.Duration{1000, 50000, 3000000} {
		t := time.Now()
		time.Sleep(d)
		fmt.Println(time.Since(t) >= d)
	}
}

func sleepOfNothing() {
	t := time.Now()
	time.Sleep(0)
	time.Sleep(-time.Hour)
	fmt.Println(time.Since(t) < time.Second)
}

func laterSleeperEarlier() {
	out := make(chan string, 2)
	go func() { time.Sleep(200 * ms); out <- "long" }()
	time.Sleep(20 * ms) // everybody idle, waiting for the long one
	go func() { time.Sleep(20 * ms); out <- "short" }()
	fmt.Println(<-out)
	fmt.Println(<-out)
}

func sleeperAndLoop() {
	out := make(chan string, 1)
	var stop atomic.Bool
	go func() { time.Sleep(20 * ms); out <- "woken"; stop.Store(true) }()
	for !stop.Load() { // computes while the other should wake
	}
	fmt.Println(<-out)
}

// ---- errors: first line of stderr, exit status ----

func deadlockRecv()    { <-make(chan int) }
func deadlockSend()    { make(chan int) <- 1 }
func deadlockNilRecv() { var c chan int; <-c }
func deadlockNilSend() { var c chan int; c <- 1 }
func deadlockSelect()  { select {} }

func deadlockFull() {
	c := make(chan int, 1)
	c <- 1
	fmt.Println("one fits")
	c <- 2
}

func deadlockSelectNil() {
	var c chan int
	select {
	case <-c:
	case c <- 1:
	}
}

func deadlockMutex() {
	var mu sync.Mutex
	mu.Lock()
	mu.Lock()
}

func deadlockWaitgroup() {
	var wg sync.WaitGroup
	wg.Add(1)
	wg.Wait()
}

func deadlockTwo() {
	a, b := make(chan int), make(chan int)
	go func() { <-a; b <- 1 }()
	<-b
}

func deadlockAfterSleep() {
	go time.Sleep(10 * ms)
	<-make(chan int)
}

func deadlockRange() {
	c := make(chan int, 2)
	c <- 1
	c <- 2
	for v := range c {
		fmt.Println(v)
	}
}

func goexitOfMain() {
	go time.Sleep(10 * ms)
	runtime.Goexit()
}

func sendOnClosed() {
	c := make(chan int, 1)
	close(c)
	c <- 1
}

func trySendOnClosed() {
	c := make(chan int)
	close(c)
	trySend(c, 1)
}

func selectSendOnClosed() {
	c, d := make(chan int), make(chan int)
	close(c)
	select {
	case c <- 1:
	case <-d:
	}
}

func closeUnderSender() {
	c := make(chan int)
	go func() {
		time.Sleep(10 * ms)
		close(c)
	}()
	c <- 1
}

func closeUnderSelect() {
	c, d := make(chan int), make(chan int)
	go func() {
		time.Sleep(10 * ms)
		close(c)
	}()
	select {
	case c <- 1:
	case <-d:
	}
}

func closeTwice() {
	c := make(chan int)
	close(c)
	close(c)
}

func closeNil()          { var c chan int; close(c) }
func negativeWaitgroup() { var wg sync.WaitGroup; wg.Done() }
func unlockUnlocked()    { var mu sync.Mutex; mu.Unlock() }
func goNil()             { var f func(); go f(); time.Sleep(time.Second) }
func makeNegative()      { n := -runtime.NumGoroutine(); fmt.Println(cap(make(chan int, n))) }
func makeHuge()          { n := 1 << 60; fmt.Println(cap(make(chan int, n))) }
func ownPanic()          { panic(fmt.Sprintf("%d is no good", 42)) }

func panicElsewhere() {
	go panic("in a goroutine")
	time.Sleep(10 * time.Second)
}

func nilDereference() {
	var p *int
	*p = 1
}

var programs = map[string]func(){
	"unbuffered_echo": unbufferedEcho, "buffered_is_fifo": bufferedIsFifo, "len_and_cap": lenAndCap,
	"nil_len_and_cap": nilLenAndCap, "full_with_waiters": fullWithWaiters, "recv_from_closed": recvFromClosed,
	"close_keeps_the_buffer": closeKeepsTheBuffer, "range_until_closed": rangeUntilClosed,
	"try_on_buffered": tryOnBuffered, "try_on_unbuffered": tryOnUnbuffered, "try_on_closed": tryOnClosed,
	"try_on_nil": tryOnNil, "unbuffered_send_waits": unbufferedSendWaits,
	"buffered_send_does_not_wait": bufferedSendDoesNotWait, "receivers_are_fifo": receiversAreFifo,
	"senders_are_fifo": sendersAreFifo, "close_wakes_receivers": closeWakesReceivers,
	"one_of_two_senders": oneOfTwoSenders, "struct_elements": structElements, "large_elements": largeElements,
	"zeroed_by_close": zeroedByClose, "channel_of_channels": channelOfChannels, "sieve": sieve,
	"daisy_chain": daisyChain, "pipeline": pipeline, "worker_pool": workerPool, "fan_in": fanIn,
	"semaphore_of_three": semaphoreOfThree, "message_passing": messagePassing, "send_then_look": sendThenLook,
	"select_only_ready": selectOnlyReady, "select_either_ready": selectEitherReady, "select_is_fair": selectIsFair,
	"select_default": selectDefault, "select_nil_is_never_ready": selectNilIsNeverReady,
	"select_closed_is_ready": selectClosedIsReady, "select_until_both_closed": selectUntilBothClosed,
	"select_waits_for_receiver": selectWaitsForReceiver, "select_woken_by_close": selectWokenByClose,
	"select_both_ways_on_one": selectBothWaysOnOne, "select_same_case_twice": selectSameCaseTwice,
	"select_many_waiters": selectManyWaiters, "select_with_timeout": selectWithTimeout,
	"select_eight_cases": selectEightCases, "mutex_counter": mutexCounter, "mutex_try_lock": mutexTryLock,
	"mutex_unlocked_by_another": mutexUnlockedByAnother, "mutex_starved_waiter_gets_it": mutexStarvedWaiterGetsIt,
	"mutex_keeps_goroutines_out": mutexKeepsGoroutinesOut, "wait_on_zero": waitOnZero,
	"waitgroup_again": waitgroupAgain, "many_waiters": manyWaiters, "waitgroup_go": waitgroupGo,
	"waitgroup_go_goexit": waitgroupGoGoexit, "exits_run_last_first": exitsRunLastFirst,
	"goexit_from_deep": goexitFromDeep, "goexit_after_others": goexitAfterOthers,
	"main_return_ends_all": mainReturnEndsAll, "exit_from_goroutine": exitFromGoroutine,
	"main_goexit_others_go_on": mainGoexitOthersGoOn, "count_goroutines": countGoroutines,
	"maxprocs_returns_old": maxprocsReturnsOld, "yielding_lets_others_run": yieldingLetsOthersRun,
	"loop_is_preempted": loopIsPreempted, "sleeps_end_in_order": sleepsEndInOrder,
	"sleep_is_long_enough": sleepIsLongEnough, "sleep_of_nothing": sleepOfNothing,
	"later_sleeper_earlier": laterSleeperEarlier, "sleeper_and_loop": sleeperAndLoop,
	"deadlock_recv": deadlockRecv, "deadlock_send": deadlockSend, "deadlock_nil_recv": deadlockNilRecv,
	"deadlock_nil_send": deadlockNilSend, "deadlock_select": deadlockSelect, "deadlock_full": deadlockFull,
	"deadlock_select_nil": deadlockSelectNil, "deadlock_mutex": deadlockMutex,
	"deadlock_waitgroup": deadlockWaitgroup, "deadlock_two": deadlockTwo,
	"deadlock_after_sleep": deadlockAfterSleep, "deadlock_range": deadlockRange, "goexit_of_main": goexitOfMain,
	"send_on_closed": sendOnClosed, "try_send_on_closed": trySendOnClosed,
	"select_send_on_closed": selectSendOnClosed, "close_under_sender": closeUnderSender,
	"close_under_select": closeUnderSelect, "close_twice": closeTwice, "close_nil": closeNil,
	"negative_waitgroup": negativeWaitgroup, "unlock_unlocked": unlockUnlocked, "go_nil": goNil,
	"make_negative": makeNegative, "make_huge": makeHuge, "own_panic": ownPanic, "panic_elsewhere": panicElsewhere,
	"nil_dereference": nilDereference,
}

func main() {
	if len(os.Args) < 2 {
		for name := range programs {
			fmt.Println(name)
		}
		return
	}
	programs[os.Args[1]]()
}
