// SPDX-License-Identifier: BSD-3-Clause
// x86-64: the few instructions that say where a frame lies and who was called.
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/base.h"

RT_INLINE int32_t
rtp_code_rel32(const uint8_t *p)
{
	int32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

// How far below its frame pointer a function's sp is once its prologue is over: the registers it pushes and
// what it subtracts. -1 when it does not begin by setting up a frame pointer. May be too small: what is
// written otherwise (probes of large frames) is not seen.
RT_INLINE long
rtp_code_frame_size(const uint8_t *p, size_t n)
{
	static const uint8_t endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa }, mov[] = { 0x48, 0x89, 0xe5 };
	const uint8_t *end = p + n;
	long size = 0;
	if (n < 16)
		return -1;
	if (memcmp(p, endbr, sizeof(endbr)) == 0)
		p += sizeof(endbr);
	if (p[0] != 0x55 || memcmp(p + 1, mov, sizeof(mov)) != 0) // push %rbp; mov %rsp,%rbp
		return -1;
	p += 4;
	for (; end - p >= 8; size += 8) {
		if (p[0] >= 0x50 && p[0] <= 0x57) // push
			p += 1;
		else if (p[0] == 0x41 && p[1] >= 0x50 && p[1] <= 0x57)
			p += 2;
		else
			break;
	}
	if (end - p < 8)
		return -1;
	if (p[0] == 0x48 && p[1] == 0x83 && p[2] == 0xec) // sub $imm8,%rsp
		size += (int8_t)p[3];
	else if (p[0] == 0x48 && p[1] == 0x81 && p[2] == 0xec)
		size += rtp_code_rel32(p + 3);
	return size;
}

// The call instruction that returns to ra, from the RTP_CALL_BYTES before it. A direct call's target; or
// in *slot the address of the word that holds it; or RTP_CALL_ANYWHERE: from a register. 0: no call.
#define RTP_CALL_BYTES 7
#define RTP_CALL_ANYWHERE 1
RT_INLINE uintptr_t
rtp_code_called(const uint8_t b[RTP_CALL_BYTES], uintptr_t ra, uintptr_t *slot)
{
	const uint8_t *end = b + RTP_CALL_BYTES;
	*slot = 0;
	if (end[-5] == 0xe8)
		return ra + (uintptr_t)(intptr_t)rtp_code_rel32(end - 4);
	if (end[-6] == 0xff && end[-5] == 0x15) { // call *x(%rip)
		*slot = ra + (uintptr_t)(intptr_t)rtp_code_rel32(end - 4);
		return RTP_CALL_ANYWHERE;
	}
	for (int n = 2; n <= 7; n++) // ff /2, with what addressing it has
		if (end[-n] == 0xff && (end[-n + 1] & 0x38) == 0x10)
			return RTP_CALL_ANYWHERE;
	return 0;
}

// A stub that jumps where a word says: the word's address. 0: it is something else.
#define RTP_STUB_BYTES 12
RT_INLINE uintptr_t
rtp_code_stub(const uint8_t b[RTP_STUB_BYTES], uintptr_t at)
{
	static const uint8_t endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	int i = memcmp(b, endbr, sizeof(endbr)) == 0 ? 4 : 0;
	i += b[i] == 0xf2; // bnd
	if (b[i] != 0xff || b[i + 1] != 0x25) // jmp *x(%rip)
		return 0;
	return at + (uintptr_t)i + 6 + (uintptr_t)(intptr_t)rtp_code_rel32(b + i + 2);
}
