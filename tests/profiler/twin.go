// SPDX-License-Identifier: BSD-3-Clause

// What twin.c does, in Go.
package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

var (
	conns       = pprof.NewProfile("conns")
	nobodySends = make(chan int)
	mutex       sync.Mutex
	kept        [100][]byte
	sink        []byte
)

func create(name string) *os.File {
	f, err := os.Create(filepath.Join(os.Args[1], name+".pb.gz"))
	if err != nil {
		panic(err)
	}
	return f
}

//go:noinline
func open_conn(conn *int) { conns.Add(conn, 0) }

//go:noinline
func waiter() { <-nobodySends }

func startWaiters(n int) {
	for range n {
		go waiter()
	}
	yield()
}

func yield() {
	for range 10 {
		runtime.Gosched()
	}
}

//go:noinline
func feeder(c chan int) {
	for i := range 10 {
		time.Sleep(2 * time.Millisecond)
		c <- i
	}
}

//go:noinline
func eater(c chan int) {
	for range 10 {
		<-c
	}
}

//go:noinline
func contender() {
	mutex.Lock()
	mutex.Unlock()
}

//go:noinline
func holder() {
	for range 5 {
		mutex.Lock()
		go contender()
		yield()
		mutex.Unlock()
		yield()
	}
}

//go:noinline
func keep() {
	for i := range kept {
		kept[i] = make([]byte, 1000)
	}
}

//go:noinline
func drop(wg *sync.WaitGroup) {
	for range 50 {
		sink = make([]byte, 1000)
	}
	sink = nil
	wg.Done()
}

//go:noinline
func burn(n int) (x int) {
	for i := range n {
		x ^= i
	}
	return x
}

func main() {
	runtime.MemProfileRate = 1
	var conn [5]int
	for i := range conn {
		open_conn(&conn[i])
	}
	startWaiters(4)
	pprof.Do(context.Background(), pprof.Labels("op", "recv"), func(context.Context) { startWaiters(3) })
	runtime.SetBlockProfileRate(1)
	c := make(chan int)
	go feeder(c)
	eater(c)
	runtime.SetBlockProfileRate(0)
	runtime.SetMutexProfileFraction(1)
	holder()
	runtime.SetMutexProfileFraction(0)
	keep()
	var wg sync.WaitGroup
	wg.Add(1)
	go drop(&wg)
	wg.Wait()
	runtime.GC()
	runtime.GC()
	cpu := create("profile")
	pprof.StartCPUProfile(cpu)
	pprof.Do(context.Background(), pprof.Labels("phase", "burn"), func(context.Context) { burn(1000000000) })
	pprof.StopCPUProfile()
	cpu.Close()
	for _, kind := range []string{"heap", "allocs", "goroutine", "threadcreate", "block", "mutex", "conns"} {
		f := create(kind)
		pprof.Lookup(kind).WriteTo(f, 0)
		f.Close()
	}
}
