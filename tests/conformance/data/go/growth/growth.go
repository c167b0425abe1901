// SPDX-License-Identifier: BSD-3-Clause

// What Go's append makes of every capacity up to a million, by the functions that append itself calls;
// and real appends for short slices. The other side is ops.c.
package main

import (
	"fmt"
	"os"
	"strconv"
	_ "unsafe"
)

//go:linkname nextslicecap runtime.nextslicecap
func nextslicecap(newLen, oldCap int) int

//go:linkname roundupsize runtime.roundupsize
func roundupsize(size uintptr, noscan bool) uintptr

const (
	maxStart = 1000000
	maxSize  = 64
)

var digest uint64

func note(x uint64) {
	digest = (digest ^ x) * 0x100000001b3
	digest ^= digest >> 29
}

// As growslice does for types without pointers.
func capAfter(size, n int) int {
	return int(roundupsize(uintptr(nextslicecap(n+1, n))*uintptr(size), true) / uintptr(size))
}

var sink any // makes slices escape: those that do not may lie on the stack, with other capacities

func appended[T any](n int) int {
	var zero T
	s := append(make([]T, n), zero)
	sink = s
	return cap(s)
}

var appends = [maxSize + 1]func(int) int{
	nil,
	appended[[1]byte], appended[[2]byte], appended[[3]byte], appended[[4]byte],
	appended[[5]byte], appended[[6]byte], appended[[7]byte], appended[[8]byte],
	appended[[9]byte], appended[[10]byte], appended[[11]byte], appended[[12]byte],
	appended[[13]byte], appended[[14]byte], appended[[15]byte], appended[[16]byte],
	appended[[17]byte], appended[[18]byte], appended[[19]byte], appended[[20]byte],
	appended[[21]byte], appended[[22]byte], appended[[23]byte], appended[[24]byte],
	appended[[25]byte], appended[[26]byte], appended[[27]byte], appended[[28]byte],
	appended[[29]byte], appended[[30]byte], appended[[31]byte], appended[[32]byte],
	appended[[33]byte], appended[[34]byte], appended[[35]byte], appended[[36]byte],
	appended[[37]byte], appended[[38]byte], appended[[39]byte], appended[[40]byte],
	appended[[41]byte], appended[[42]byte], appended[[43]byte], appended[[44]byte],
	appended[[45]byte], appended[[46]byte], appended[[47]byte], appended[[48]byte],
	appended[[49]byte], appended[[50]byte], appended[[51]byte], appended[[52]byte],
	appended[[53]byte], appended[[54]byte], appended[[55]byte], appended[[56]byte],
	appended[[57]byte], appended[[58]byte], appended[[59]byte], appended[[60]byte],
	appended[[61]byte], appended[[62]byte], appended[[63]byte], appended[[64]byte],
}

func growth() {
	for size := 1; size <= maxSize; size++ {
		digest = 0
		for n := 0; n < 1500; n++ {
			note(uint64(appends[size](n)))
		}
		fmt.Printf("append %d %016x\n", size, digest)
		digest = 0
		for n := 0; n <= maxStart; n++ {
			note(uint64(capAfter(size, n)))
		}
		fmt.Printf("growth %d %016x\n", size, digest)
	}
}

func main() {
	if len(os.Args) == 2 {
		growth()
		return
	}
	size, _ := strconv.Atoi(os.Args[2])
	lo, _ := strconv.Atoi(os.Args[3])
	hi, _ := strconv.Atoi(os.Args[4])
	for n := lo; n < hi; n++ {
		fmt.Println(n, capAfter(size, n))
	}
}
