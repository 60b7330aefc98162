#include "textflag.h"

// The constants of FIPS 180-4 section 4.2.2.
DATA constants<>+0x000(SB)/8, $0x71374491428a2f98
DATA constants<>+0x008(SB)/8, $0xe9b5dba5b5c0fbcf
DATA constants<>+0x010(SB)/8, $0x59f111f13956c25b
DATA constants<>+0x018(SB)/8, $0xab1c5ed5923f82a4
DATA constants<>+0x020(SB)/8, $0x12835b01d807aa98
DATA constants<>+0x028(SB)/8, $0x550c7dc3243185be
DATA constants<>+0x030(SB)/8, $0x80deb1fe72be5d74
DATA constants<>+0x038(SB)/8, $0xc19bf1749bdc06a7
DATA constants<>+0x040(SB)/8, $0xefbe4786e49b69c1
DATA constants<>+0x048(SB)/8, $0x240ca1cc0fc19dc6
DATA constants<>+0x050(SB)/8, $0x4a7484aa2de92c6f
DATA constants<>+0x058(SB)/8, $0x76f988da5cb0a9dc
DATA constants<>+0x060(SB)/8, $0xa831c66d983e5152
DATA constants<>+0x068(SB)/8, $0xbf597fc7b00327c8
DATA constants<>+0x070(SB)/8, $0xd5a79147c6e00bf3
DATA constants<>+0x078(SB)/8, $0x1429296706ca6351
DATA constants<>+0x080(SB)/8, $0x2e1b213827b70a85
DATA constants<>+0x088(SB)/8, $0x53380d134d2c6dfc
DATA constants<>+0x090(SB)/8, $0x766a0abb650a7354
DATA constants<>+0x098(SB)/8, $0x92722c8581c2c92e
DATA constants<>+0x0a0(SB)/8, $0xa81a664ba2bfe8a1
DATA constants<>+0x0a8(SB)/8, $0xc76c51a3c24b8b70
DATA constants<>+0x0b0(SB)/8, $0xd6990624d192e819
DATA constants<>+0x0b8(SB)/8, $0x106aa070f40e3585
DATA constants<>+0x0c0(SB)/8, $0x1e376c0819a4c116
DATA constants<>+0x0c8(SB)/8, $0x34b0bcb52748774c
DATA constants<>+0x0d0(SB)/8, $0x4ed8aa4a391c0cb3
DATA constants<>+0x0d8(SB)/8, $0x682e6ff35b9cca4f
DATA constants<>+0x0e0(SB)/8, $0x78a5636f748f82ee
DATA constants<>+0x0e8(SB)/8, $0x8cc7020884c87814
DATA constants<>+0x0f0(SB)/8, $0xa4506ceb90befffa
DATA constants<>+0x0f8(SB)/8, $0xc67178f2bef9a3f7
GLOBL constants<>(SB), RODATA|NOPTR, $256

// The words of a block are big-endian.
DATA flip<>+0(SB)/8, $0x0405060700010203
DATA flip<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL flip<>(SB), RODATA|NOPTR, $16

// LOAD reads a block into four registers.
#define LOAD(from, m0, m1, m2, m3) \
	MOVOU  0(from), m0;  \
	MOVOU  16(from), m1; \
	MOVOU  32(from), m2; \
	MOVOU  48(from), m3; \
	PSHUFB X14, m0;      \
	PSHUFB X14, m1;      \
	PSHUFB X14, m2;      \
	PSHUFB X14, m3

// ROUNDS does four rounds, whose constants are at off(AX), with the words of the
// schedule in m. abef and cdgh are the state, and have changed places in between.
#define ROUNDS(off, m, abef, cdgh) \
	MOVOU  off(AX), X0;           \
	PADDD  m, X0;                 \
	SHA256RNDS2 X0, abef, cdgh;   \
	PSHUFD $0x0e, X0, X0;         \
	SHA256RNDS2 X0, cdgh, abef

// NEXT replaces the words W(t) to W(t+3) in m0 by W(t+16) to W(t+19), of which
// W(t+4) to W(t+15) are in m1, m2 and m3 (FIPS 180-4 section 6.2.2).
#define NEXT(m0, m1, m2, m3) \
	SHA256MSG1 m1, m0;  \
	MOVOA   m3, X13;    \
	PALIGNR $4, m2, X13; \
	PADDD   X13, m0;    \
	SHA256MSG2 m3, m0

// FOUR is sixteen rounds of both lanes, and the schedule of the next sixteen.
#define FOUR(off) \
	ROUNDS(off+0, X3, X1, X2);   \
	ROUNDS(off+0, X9, X7, X8);   \
	NEXT(X3, X4, X5, X6);        \
	NEXT(X9, X10, X11, X12);     \
	ROUNDS(off+16, X4, X1, X2);  \
	ROUNDS(off+16, X10, X7, X8); \
	NEXT(X4, X5, X6, X3);        \
	NEXT(X10, X11, X12, X9);     \
	ROUNDS(off+32, X5, X1, X2);  \
	ROUNDS(off+32, X11, X7, X8); \
	NEXT(X5, X6, X3, X4);        \
	NEXT(X11, X12, X9, X10);     \
	ROUNDS(off+48, X6, X1, X2);  \
	ROUNDS(off+48, X12, X7, X8); \
	NEXT(X6, X3, X4, X5);        \
	NEXT(X12, X9, X10, X11)

// ADD adds the state before the block, which is still in memory, and writes the
// sum back.
#define ADD(state, abef, cdgh) \
	MOVOU 0(state), X0;   \
	PADDD X0, abef;       \
	MOVOU abef, 0(state); \
	MOVOU 16(state), X13; \
	PADDD X13, cdgh;      \
	MOVOU cdgh, 16(state)

// func hash2(a, b *digest, fromA, fromB *byte, n int)
TEXT ·hash2(SB), NOSPLIT, $0-40
	MOVQ  a+0(FP), R8
	MOVQ  b+8(FP), R9
	MOVQ  fromA+16(FP), SI
	MOVQ  fromB+24(FP), DI
	MOVQ  n+32(FP), CX
	TESTQ CX, CX
	JLE   done
	LEAQ  constants<>(SB), AX
	MOVOU flip<>(SB), X14
	MOVOU 0(R8), X1
	MOVOU 16(R8), X2
	MOVOU 0(R9), X7
	MOVOU 16(R9), X8

block:
	LOAD(SI, X3, X4, X5, X6)
	LOAD(DI, X9, X10, X11, X12)
	FOUR(0)
	FOUR(64)
	FOUR(128)
	ROUNDS(192, X3, X1, X2)
	ROUNDS(192, X9, X7, X8)
	ROUNDS(208, X4, X1, X2)
	ROUNDS(208, X10, X7, X8)
	ROUNDS(224, X5, X1, X2)
	ROUNDS(224, X11, X7, X8)
	ROUNDS(240, X6, X1, X2)
	ROUNDS(240, X12, X7, X8)
	ADD(R8, X1, X2)
	ADD(R9, X7, X8)
	ADDQ  $64, SI
	ADDQ  $64, DI
	DECQ  CX
	JNZ   block

done:
	RET
