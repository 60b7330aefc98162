#include "textflag.h"

// func cpuid(leaf, sub uint32) (a, b, c, d uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET

// func subWord(w uint32) uint32
// In a block of four equal columns ShiftRows changes nothing, so that the last
// round with a key of zeros is SubBytes alone.
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL   w+0(FP), AX
	MOVD   AX, X0
	PSHUFD $0, X0, X0
	PXOR   X1, X1
	AESENCLAST X1, X0
	MOVD   X0, AX
	MOVL   AX, ret+8(FP)
	RET

// func invert(dec, enc *schedule, rounds int)
TEXT ·invert(SB), NOSPLIT, $0-24
	MOVQ dec+0(FP), DI
	MOVQ enc+8(FP), SI
	MOVQ rounds+16(FP), CX
	MOVQ CX, DX
	SHLQ $4, DX
	ADDQ DX, SI       // the last key of encryption is the first one
	MOVOU (SI), X0
	MOVOU X0, (DI)
	DECQ CX

middle:
	SUBQ   $16, SI
	ADDQ   $16, DI
	MOVOU  (SI), X0
	AESIMC X0, X0
	MOVOU  X0, (DI)
	DECQ   CX
	JNZ    middle
	MOVOU  -16(SI), X0
	MOVOU  X0, 16(DI)
	RET

// ALL8 does op with the round key at off(AX) to eight blocks.
#define ALL8(op, off) \
	MOVOU off(AX), X8; \
	op    X8, X0;      \
	op    X8, X1;      \
	op    X8, X2;      \
	op    X8, X3;      \
	op    X8, X4;      \
	op    X8, X5;      \
	op    X8, X6;      \
	op    X8, X7

// NINE and FOUR are the middle rounds: nine, and with keys of 32 octets four
// more.
#define NINE(all, op) \
	all(op, 16);  \
	all(op, 32);  \
	all(op, 48);  \
	all(op, 64);  \
	all(op, 80);  \
	all(op, 96);  \
	all(op, 112); \
	all(op, 128); \
	all(op, 144)

#define FOUR(all, op) \
	all(op, 160); \
	all(op, 176); \
	all(op, 192); \
	all(op, 208)

// LAST8 is the last round, whose key is at DX behind AX.
#define LAST8(op) \
	MOVOU (AX)(DX*1), X8; \
	op    X8, X0;         \
	op    X8, X1;         \
	op    X8, X2;         \
	op    X8, X3;         \
	op    X8, X4;         \
	op    X8, X5;         \
	op    X8, X6;         \
	op    X8, X7

// TAKE chains the block at BX behind from, with the first round key in X8 added,
// to x.
#define TAKE(from, x) \
	MOVOU (from)(BX*1), X9; \
	PXOR  X8, X9;           \
	PXOR  X9, x

// func encrypt8(enc *schedule, rounds int, at *[8]*byte, n int)
// X0 to X7 hold what the next blocks are chained to; BX counts octets.
TEXT ·encrypt8(SB), NOSPLIT, $0-32
	MOVQ  at+16(FP), DX
	MOVQ  0(DX), SI
	MOVQ  8(DX), DI
	MOVQ  16(DX), R8
	MOVQ  24(DX), R9
	MOVQ  32(DX), R10
	MOVQ  40(DX), R11
	MOVQ  48(DX), R12
	MOVQ  56(DX), R13
	MOVQ  enc+0(FP), AX
	MOVQ  rounds+8(FP), DX
	SHLQ  $4, DX
	MOVQ  n+24(FP), CX
	TESTQ CX, CX
	JLE   done
	MOVOU (SI), X0
	MOVOU (DI), X1
	MOVOU (R8), X2
	MOVOU (R9), X3
	MOVOU (R10), X4
	MOVOU (R11), X5
	MOVOU (R12), X6
	MOVOU (R13), X7
	MOVQ  $16, BX

step:
	MOVOU (AX), X8
	TAKE(SI, X0)
	TAKE(DI, X1)
	TAKE(R8, X2)
	TAKE(R9, X3)
	TAKE(R10, X4)
	TAKE(R11, X5)
	TAKE(R12, X6)
	TAKE(R13, X7)
	NINE(ALL8, AESENC)
	CMPQ  DX, $160
	JEQ   last
	FOUR(ALL8, AESENC)

last:
	LAST8(AESENCLAST)
	MOVOU X0, (SI)(BX*1)
	MOVOU X1, (DI)(BX*1)
	MOVOU X2, (R8)(BX*1)
	MOVOU X3, (R9)(BX*1)
	MOVOU X4, (R10)(BX*1)
	MOVOU X5, (R11)(BX*1)
	MOVOU X6, (R12)(BX*1)
	MOVOU X7, (R13)(BX*1)
	ADDQ  $16, BX
	DECQ  CX
	JNZ   step

done:
	RET

// ONE does op with the round key at off(AX) to one block.
#define ONE(op, off) \
	MOVOU off(AX), X8; \
	op    X8, X0

// UNCHAIN adds the block at off(SI) to x.
#define UNCHAIN(off, x) \
	MOVOU off(SI), X9; \
	PXOR  X9, x

// func decrypt(dec *schedule, rounds int, dst, src *byte, n int)
// X10 is what the next block was chained to: when dst is the blocks themselves,
// it is no longer there to be read.
TEXT ·decrypt(SB), NOSPLIT, $0-40
	MOVQ  dec+0(FP), AX
	MOVQ  rounds+8(FP), DX
	SHLQ  $4, DX
	MOVQ  dst+16(FP), DI
	MOVQ  src+24(FP), SI
	MOVQ  n+32(FP), CX
	MOVOU (SI), X10
	SUBQ  $8, CX
	JLT   few

eight:
	MOVOU 16(SI), X0
	MOVOU 32(SI), X1
	MOVOU 48(SI), X2
	MOVOU 64(SI), X3
	MOVOU 80(SI), X4
	MOVOU 96(SI), X5
	MOVOU 112(SI), X6
	MOVOU 128(SI), X7
	MOVOU X7, X11
	ALL8(PXOR, 0)
	NINE(ALL8, AESDEC)
	CMPQ  DX, $160
	JEQ   eightLast
	FOUR(ALL8, AESDEC)

eightLast:
	LAST8(AESDECLAST)
	PXOR  X10, X0
	UNCHAIN(16, X1)
	UNCHAIN(32, X2)
	UNCHAIN(48, X3)
	UNCHAIN(64, X4)
	UNCHAIN(80, X5)
	UNCHAIN(96, X6)
	UNCHAIN(112, X7)
	MOVOU X11, X10
	MOVOU X0, 0(DI)
	MOVOU X1, 16(DI)
	MOVOU X2, 32(DI)
	MOVOU X3, 48(DI)
	MOVOU X4, 64(DI)
	MOVOU X5, 80(DI)
	MOVOU X6, 96(DI)
	MOVOU X7, 112(DI)
	ADDQ  $128, SI
	ADDQ  $128, DI
	SUBQ  $8, CX
	JGE   eight

few:
	ADDQ $8, CX
	JZ   done

// The blocks do not wait for each other, so that the processor overlaps them
// by itself.
one:
	MOVOU 16(SI), X0
	MOVOU X0, X11
	ONE(PXOR, 0)
	NINE(ONE, AESDEC)
	CMPQ  DX, $160
	JEQ   oneLast
	FOUR(ONE, AESDEC)

oneLast:
	MOVOU (AX)(DX*1), X8
	AESDECLAST X8, X0
	PXOR  X10, X0
	MOVOU X11, X10
	MOVOU X0, (DI)
	ADDQ  $16, SI
	ADDQ  $16, DI
	DECQ  CX
	JNZ   one

done:
	RET
