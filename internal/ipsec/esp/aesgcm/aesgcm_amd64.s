#include "textflag.h"

// AES-GCM for AVX-512 with VAES and VPCLMULQDQ, sixteen blocks at a time.
//
// Blocks are counted from counter 0, so that every batch begins with a counter
// that is a multiple of 16, and the others are it with something in the last
// four bits. In the first batch block 0 stands for nothing, block 1 is what
// hides the tag and the text begins with block 2. It is hashed like that too:
// block 1 is the last one of the additional data.
//
// The hash works on blocks whose octets are reversed, so that a block is a
// number of 128 bits that has the coefficient of x^127 in bit 0. Factors from
// keys.power have one factor of x more than they say, and a product of 256 bits
// is reduced by dividing it by x^128 modulo the reversed polynomial
//
//	x^128 + x^127 + x^126 + x^121 + 1
//
// as Montgomery would: what has to be added to make the lowest 64 bits zero is
// a product of those bits alone, twice.
//
// Registers, in seal and open alike:
//
//	Z0  - Z3   sixteen counter blocks on their way to key stream
//	Z4  - Z7   sixteen blocks of ciphertext to be hashed, reversed
//	Z8         the hash so far; and with Z9 and Z10 the sums of low, high and middle products
//	Z11, Z15, Z31  scratch
//	Z12        first counter block of the batch, four times, with the first round key added
//	X13        key stream of block 1
//	Z14        the order of octets that reverses a block
//	Z16        the polynomial
//	Z17 - Z30  the other round keys, four times each; the last is always Z30
//	K1         the doublewords that are counters
//	K2         the octets that count in the last of Z0 to Z3
//	BX keys, DI to, SI from, CX octets from block 0 or the batch to the end,
//	R12 counter, R13 first round key's last 32 bits, R10 and R11 octets to be
//	hashed as the lengths

DATA reverse<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverse<>+8(SB)/8, $0x0001020304050607
GLOBL reverse<>(SB), RODATA|NOPTR, $16

// poly is the polynomial's upper half without x^128.
DATA poly<>+0(SB)/8, $0xc200000000000000
DATA poly<>+8(SB)/8, $0
GLOBL poly<>(SB), RODATA|NOPTR, $16

// number is what tells sixteen counter blocks from the first of them.
DATA number<>+0(SB)/8, $0
DATA number<>+8(SB)/8, $0x0000000000000000
DATA number<>+16(SB)/8, $0
DATA number<>+24(SB)/8, $0x0100000000000000
DATA number<>+32(SB)/8, $0
DATA number<>+40(SB)/8, $0x0200000000000000
DATA number<>+48(SB)/8, $0
DATA number<>+56(SB)/8, $0x0300000000000000
DATA number<>+64(SB)/8, $0
DATA number<>+72(SB)/8, $0x0400000000000000
DATA number<>+80(SB)/8, $0
DATA number<>+88(SB)/8, $0x0500000000000000
DATA number<>+96(SB)/8, $0
DATA number<>+104(SB)/8, $0x0600000000000000
DATA number<>+112(SB)/8, $0
DATA number<>+120(SB)/8, $0x0700000000000000
DATA number<>+128(SB)/8, $0
DATA number<>+136(SB)/8, $0x0800000000000000
DATA number<>+144(SB)/8, $0
DATA number<>+152(SB)/8, $0x0900000000000000
DATA number<>+160(SB)/8, $0
DATA number<>+168(SB)/8, $0x0a00000000000000
DATA number<>+176(SB)/8, $0
DATA number<>+184(SB)/8, $0x0b00000000000000
DATA number<>+192(SB)/8, $0
DATA number<>+200(SB)/8, $0x0c00000000000000
DATA number<>+208(SB)/8, $0
DATA number<>+216(SB)/8, $0x0d00000000000000
DATA number<>+224(SB)/8, $0
DATA number<>+232(SB)/8, $0x0e00000000000000
DATA number<>+240(SB)/8, $0
DATA number<>+248(SB)/8, $0x0f00000000000000
GLOBL number<>(SB), RODATA|NOPTR, $256

// Offsets in keys.
#define LONG 0(BX)
#define H16 64(BX)
#define H12 128(BX)
#define H8 192(BX)
#define H4 256(BX)
#define H1 304(BX)

// SETUP loads constants, round keys and the nonce at R8, and makes R11 the
// length of the text and CX that from block 0 on.
#define SETUP \
	VBROADCASTI32X4 reverse<>(SB), Z14; \
	VBROADCASTI32X4 poly<>(SB), Z16; \
	VBROADCASTI32X4 336(BX), Z17; \
	VBROADCASTI32X4 352(BX), Z18; \
	VBROADCASTI32X4 368(BX), Z19; \
	VBROADCASTI32X4 384(BX), Z20; \
	VBROADCASTI32X4 400(BX), Z21; \
	VBROADCASTI32X4 416(BX), Z22; \
	VBROADCASTI32X4 432(BX), Z23; \
	VBROADCASTI32X4 448(BX), Z24; \
	VBROADCASTI32X4 464(BX), Z25; \
	VBROADCASTI32X4 480(BX), Z26; \
	VBROADCASTI32X4 496(BX), Z27; \
	VBROADCASTI32X4 512(BX), Z28; \
	VBROADCASTI32X4 528(BX), Z29; \
	VBROADCASTI32X4 544(BX), Z30; \
	VMOVQ (R8), X12; \
	VPINSRD $2, 8(R8), X12, X12; \
	VPXOR 320(BX), X12, X12; \
	VSHUFI64X2 $0, Z12, Z12, Z12; \
	MOVL 332(BX), R13; \
	XORL R12, R12; \
	MOVL $0x8888, AX; \
	KMOVW AX, K1; \
	MOVQ CX, R11; \
	ADDQ $32, CX; \
	SUBQ $32, SI; \
	SUBQ $32, DI

// ADDITIONAL makes the second block of Z8 the hash of R10 octets of additional
// data at R9, but for the last multiplication, and the others zero.
#define ADDITIONAL \
	VPXOR X8, X8, X8; \
	TESTQ R10, R10; \
	JEQ aadNone; \
	MOVQ R10, DX; \
	CMPQ DX, $16; \
	JBE aadLast; \
	VMOVDQU H1, X5; \
aadNext: \
	VMOVDQU (R9), X4; \
	VPSHUFB X14, X4, X4; \
	VPXOR X8, X4, X4; \
	BEGIN(X4, X5, X8, X9, X10, X15); \
	REDUCE(X8, X9, X10, X16, X15); \
	ADDQ $16, R9; \
	SUBQ $16, DX; \
	CMPQ DX, $16; \
	JA aadNext; \
aadLast: \
	MOVQ $-1, AX; \
	BZHIQ DX, AX, AX; \
	KMOVQ AX, K2; \
	VMOVDQU8.Z (R9), K2, X4; \
	VPSHUFB X14, X4, X4; \
	VPXOR X8, X4, X4; \
	VPXOR X8, X8, X8; \
	VINSERTI128 $1, X4, Y8, Y8; \
aadNone:

// COUNTERS makes the counter blocks of the batch, with the first round key
// added, and COUNT goes to the next batch.
#define COUNTERS \
	VPXORQ number<>+0(SB), Z12, Z0; \
	VPXORQ number<>+64(SB), Z12, Z1; \
	VPXORQ number<>+128(SB), Z12, Z2; \
	VPXORQ number<>+192(SB), Z12, Z3

#define COUNT \
	ADDL $16, R12; \
	MOVL R12, AX; \
	BSWAPL AX; \
	XORL R13, AX; \
	VPBROADCASTD AX, K1, Z12

// ROUND1 to ROUND4 are a round of so many times four blocks.
#define ROUND1(key) \
	VAESENC key, Z0, Z0

#define ROUND2(key) \
	VAESENC key, Z0, Z0; \
	VAESENC key, Z1, Z1

#define ROUND3(key) \
	VAESENC key, Z0, Z0; \
	VAESENC key, Z1, Z1; \
	VAESENC key, Z2, Z2

#define ROUND4(key) \
	VAESENC key, Z0, Z0; \
	VAESENC key, Z1, Z1; \
	VAESENC key, Z2, Z2; \
	VAESENC key, Z3, Z3

// ROUNDS are the first nine rounds.
#define ROUNDS(ROUND) \
	ROUND(Z17); \
	ROUND(Z18); \
	ROUND(Z19); \
	ROUND(Z20); \
	ROUND(Z21); \
	ROUND(Z22); \
	ROUND(Z23); \
	ROUND(Z24); \
	ROUND(Z25)

#define NOROUND(key)

// LONGER are the four more rounds of AES-256.
#define LONGER(ROUND, label) \
	CMPQ LONG, $0; \
	JEQ label; \
	ROUND(Z26); \
	ROUND(Z27); \
	ROUND(Z28); \
	ROUND(Z29); \
label:

// LAST1 to LAST4 are the last round.
#define LAST1 \
	VAESENCLAST Z30, Z0, Z0

#define LAST2 \
	VAESENCLAST Z30, Z0, Z0; \
	VAESENCLAST Z30, Z1, Z1

#define LAST3 \
	VAESENCLAST Z30, Z0, Z0; \
	VAESENCLAST Z30, Z1, Z1; \
	VAESENCLAST Z30, Z2, Z2

#define LAST4 \
	VAESENCLAST Z30, Z0, Z0; \
	VAESENCLAST Z30, Z1, Z1; \
	VAESENCLAST Z30, Z2, Z2; \
	VAESENCLAST Z30, Z3, Z3

// BEGIN starts the sums lo, hi and mid with the products of block and factor.
// BEGIN and REDUCE take X or Z registers.
#define BEGIN(block, factor, lo, hi, mid, t) \
	VPCLMULQDQ $0x00, factor, block, lo; \
	VPCLMULQDQ $0x11, factor, block, hi; \
	VPCLMULQDQ $0x01, factor, block, mid; \
	VPCLMULQDQ $0x10, factor, block, t; \
	VPXORQ t, mid, mid

// MORE adds the products of block and the factors at mem to the sums, and
// spoils block.
#define MORE(block, mem) \
	VMOVDQU64 mem, Z11; \
	VPCLMULQDQ $0x00, Z11, block, Z15; \
	VPCLMULQDQ $0x11, Z11, block, Z31; \
	VPXORQ Z15, Z8, Z8; \
	VPXORQ Z31, Z9, Z9; \
	VPCLMULQDQ $0x01, Z11, block, Z15; \
	VPCLMULQDQ $0x10, Z11, block, block; \
	VPTERNLOGQ $0x96, Z15, block, Z10

// REDUCE makes lo the sum modulo the polynomial p.
#define REDUCE(lo, hi, mid, p, t) \
	VPCLMULQDQ $0x00, p, lo, t; \
	VPSHUFD $0x4e, lo, lo; \
	VPTERNLOGQ $0x96, t, mid, lo; \
	VPCLMULQDQ $0x00, p, lo, t; \
	VPSHUFD $0x4e, lo, lo; \
	VPTERNLOGQ $0x96, t, hi, lo

// GATHER makes X8 the sum of the four blocks in Z8.
#define GATHER \
	VEXTRACTI64X4 $1, Z8, Y15; \
	VPXORQ Y15, Y8, Y8; \
	VEXTRACTI128 $1, Y8, X15; \
	VPXOR X15, X8, X8

// HASHING are the first nine rounds of the blocks in Z0 to Z3, and meanwhile
// the hash of those in Z4 to Z7.
#define HASHING(ROUND) \
	VPXORQ Z8, Z4, Z4; \
	VMOVDQU64 H16, Z11; \
	ROUND(Z17); \
	BEGIN(Z4, Z11, Z8, Z9, Z10, Z15); \
	ROUND(Z18); \
	MORE(Z5, H12); \
	ROUND(Z19); \
	MORE(Z6, H8); \
	ROUND(Z20); \
	MORE(Z7, H4); \
	ROUND(Z21); \
	ROUND(Z22); \
	REDUCE(Z8, Z9, Z10, Z16, Z15); \
	ROUND(Z23); \
	GATHER; \
	ROUND(Z24); \
	ROUND(Z25)

// ADDTEXT adds four blocks at SI to the key stream and writes them to DI.
#define ADDTEXT(stream, at) \
	VPXORQ at(SI), stream, stream; \
	VMOVDQU64 stream, at(DI)

// ADDTEXT234 does so with all but the first four blocks of a batch.
#define ADDTEXT234 \
	ADDTEXT(Z1, 64); \
	ADDTEXT(Z2, 128); \
	ADDTEXT(Z3, 192)

// ADDLAST does so with the octets that count, and makes the others zero.
#define ADDLAST(stream, t, at) \
	VMOVDQU8.Z at(SI), K2, t; \
	VPXORQ t, stream, stream; \
	VMOVDQU8 stream, K2, at(DI); \
	VMOVDQU8.Z stream, K2, stream

// ADDFIRST does so with blocks 2 and 3, whose key stream is in Z0, makes Y11 of
// them and X13 of block 1.
#define ADDFIRST \
	VEXTRACTI128 $1, Y0, X13; \
	VEXTRACTI64X4 $1, Z0, Y11; \
	VPXOR 32(SI), Y11, Y11; \
	VMOVDQU Y11, 32(DI)

// HASHFIRST makes Z4 the first four blocks, of which 2 and 3 are in Y11 and 0
// and 1 in Z8.
#define HASHFIRST \
	VPSHUFB Y14, Y11, Y11; \
	VINSERTI64X4 $1, Y11, Z8, Z4

#define NEXT \
	ADDQ $256, SI; \
	ADDQ $256, DI; \
	SUBQ $256, CX

// LASTMASK makes K2 the octets that count in a last register, before which
// there are so many octets.
#define LASTMASK(before) \
	LEAQ -before(CX), AX; \
	MOVQ $-1, R8; \
	BZHIQ AX, R8, R8; \
	KMOVQ R8, K2

// FACTORS makes DX the place of the factors of CX octets, at most 256, before
// the block of the lengths, and starts the sums with the product of that block.
#define FACTORS \
	LEAQ 15(CX), AX; \
	ANDQ $-16, AX; \
	LEAQ H1, DX; \
	SUBQ AX, DX; \
	SHLQ $3, R11; \
	SHLQ $3, R10; \
	VMOVQ R11, X11; \
	VPINSRQ $1, R10, X11, X11; \
	VMOVDQU64 H1, X31; \
	BEGIN(X11, X31, X8, X9, X10, X15)

// TAG makes X8 the tag.
#define TAG \
	REDUCE(Z8, Z9, Z10, Z16, Z15); \
	GATHER; \
	VPSHUFB X14, X8, X8; \
	VPXOR X13, X8, X8

// func subWord(w uint32) uint32
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL        w+0(FP), AX
	VMOVD       AX, X0
	VPSHUFD     $0, X0, X0 // four columns alike: ShiftRows does nothing
	VPXOR       X1, X1, X1
	VAESENCLAST X1, X0, X0
	VMOVD       X0, AX
	MOVL        AX, ret+8(FP)
	RET

// func encryptBlock(k *keys, block *[16]byte)
TEXT ·encryptBlock(SB), NOSPLIT, $0-16
	MOVQ        k+0(FP), BX
	MOVQ        block+8(FP), DI
	VMOVDQU     (DI), X0
	VPXOR       320(BX), X0, X0
	VAESENC     336(BX), X0, X0
	VAESENC     352(BX), X0, X0
	VAESENC     368(BX), X0, X0
	VAESENC     384(BX), X0, X0
	VAESENC     400(BX), X0, X0
	VAESENC     416(BX), X0, X0
	VAESENC     432(BX), X0, X0
	VAESENC     448(BX), X0, X0
	VAESENC     464(BX), X0, X0
	CMPQ        LONG, $0
	JEQ         last
	VAESENC     480(BX), X0, X0
	VAESENC     496(BX), X0, X0
	VAESENC     512(BX), X0, X0
	VAESENC     528(BX), X0, X0

last:
	VAESENCLAST 544(BX), X0, X0
	VMOVDQU     X0, (DI)
	RET

// func multiply(z, x *[16]byte)
TEXT ·multiply(SB), NOSPLIT, $0-16
	MOVQ    z+0(FP), DI
	MOVQ    x+8(FP), SI
	VMOVDQU (DI), X0
	VMOVDQU (SI), X1
	VMOVDQU poly<>(SB), X2
	BEGIN(X0, X1, X3, X4, X5, X6)
	REDUCE(X3, X4, X5, X2, X6)
	VMOVDQU X3, (DI)
	RET

// func seal(k *keys, dst *byte, src, nonce, aad []byte)
TEXT ·seal(SB), NOSPLIT, $0-88
	MOVQ k+0(FP), BX
	MOVQ dst+8(FP), DI
	MOVQ src_base+16(FP), SI
	MOVQ src_len+24(FP), CX
	MOVQ nonce_base+40(FP), R8
	MOVQ aad_base+64(FP), R9
	MOVQ aad_len+72(FP), R10
	SETUP
	ADDITIONAL
	COUNTERS
	CMPQ CX, $64
	JBE  only1
	CMPQ CX, $128
	JBE  only2
	CMPQ CX, $192
	JBE  only3

	// The first batch has nothing to hash yet.
	ROUNDS(ROUND4)
	LONGER(ROUND4, last)
	LAST4
	ADDFIRST
	HASHFIRST
	CMPQ    CX, $256
	JB      rest4
	VPXORQ  X8, X8, X8
	ADDTEXT234
	VPSHUFB Z14, Z1, Z5
	VPSHUFB Z14, Z2, Z6
	VPSHUFB Z14, Z3, Z7

batch:
	COUNT
	COUNTERS
	NEXT
	CMPQ    CX, $256
	JB      tail
	HASHING(ROUND4)
	LONGER(ROUND4, batchLast)
	LAST4
	ADDTEXT(Z0, 0)
	ADDTEXT234
	VPSHUFB Z14, Z0, Z4
	VPSHUFB Z14, Z1, Z5
	VPSHUFB Z14, Z2, Z6
	VPSHUFB Z14, Z3, Z7
	JMP     batch

tail:
	CMPQ    CX, $128
	JBE     upTo2
	CMPQ    CX, $192
	JBE     tail3
	HASHING(ROUND4)
	LONGER(ROUND4, tail4Last)
	LAST4
	ADDTEXT(Z0, 0)
	VPSHUFB Z14, Z0, Z4
	VPXORQ  Z8, Z4, Z4

rest4:
	LASTMASK(192)
	FACTORS
	ADDTEXT(Z1, 64)
	ADDTEXT(Z2, 128)
	ADDLAST(Z3, Z11, 192)
	VPSHUFB Z14, Z1, Z5
	VPSHUFB Z14, Z2, Z6
	VPSHUFB Z14, Z3, Z7
	MORE(Z4, (DX))
	MORE(Z5, 64(DX))
	MORE(Z6, 128(DX))
	MORE(Z7, 192(DX))
	JMP     tag

only3:
	ROUNDS(ROUND3)
	LONGER(ROUND3, only3Last)
	LAST3
	ADDFIRST
	HASHFIRST
	JMP     rest3

tail3:
	HASHING(ROUND3)
	LONGER(ROUND3, tail3Last)
	LAST3
	ADDTEXT(Z0, 0)
	VPSHUFB Z14, Z0, Z4
	VPXORQ  Z8, Z4, Z4

rest3:
	LASTMASK(128)
	FACTORS
	ADDTEXT(Z1, 64)
	ADDLAST(Z2, Z11, 128)
	VPSHUFB Z14, Z1, Z5
	VPSHUFB Z14, Z2, Z6
	MORE(Z4, (DX))
	MORE(Z5, 64(DX))
	MORE(Z6, 128(DX))
	JMP     tag

only2:
	ROUNDS(ROUND2)
	LONGER(ROUND2, only2Last)
	LAST2
	ADDFIRST
	HASHFIRST
	JMP     rest2

upTo2:
	TESTQ   CX, CX
	JEQ     tail0
	CMPQ    CX, $64
	JBE     tail1
	HASHING(ROUND2)
	LONGER(ROUND2, tail2Last)
	LAST2
	ADDTEXT(Z0, 0)
	VPSHUFB Z14, Z0, Z4
	VPXORQ  Z8, Z4, Z4

rest2:
	LASTMASK(64)
	FACTORS
	ADDLAST(Z1, Z11, 64)
	VPSHUFB Z14, Z1, Z5
	MORE(Z4, (DX))
	MORE(Z5, 64(DX))
	JMP     tag

only1:
	ROUNDS(ROUND1)
	LONGER(ROUND1, only1Last)
	LAST1
	LASTMASK(32)
	VEXTRACTI128  $1, Y0, X13
	VEXTRACTI64X4 $1, Z0, Y0
	ADDLAST(Y0, Y11, 32)
	VMOVDQA    Y0, Y11
	HASHFIRST
	JMP        rest1

tail1:
	HASHING(ROUND1)
	LONGER(ROUND1, tail1Last)
	LAST1
	LASTMASK(0)
	ADDLAST(Z0, Z11, 0)
	VPSHUFB Z14, Z0, Z4
	VPXORQ  Z8, Z4, Z4
	JMP     rest1

tail0:
	HASHING(NOROUND)
	VMOVDQA64 Z8, Z4

rest1:
	FACTORS
	MORE(Z4, (DX))

tag:
	TAG
	VMOVDQU X8, (DI)(CX*1)
	VZEROUPPER
	RET

// func open(k *keys, dst *byte, src, nonce, aad []byte) bool
TEXT ·open(SB), NOSPLIT, $0-89
	MOVQ k+0(FP), BX
	MOVQ dst+8(FP), DI
	MOVQ src_base+16(FP), SI
	MOVQ src_len+24(FP), CX
	MOVQ nonce_base+40(FP), R8
	MOVQ aad_base+64(FP), R9
	MOVQ aad_len+72(FP), R10
	SETUP
	ADDITIONAL
	COUNTERS
	MOVL    $1, R9 // in the first batch
	CMPQ    CX, $64
	JBE     only1
	VMOVDQU 32(SI), Y11
	HASHFIRST
	VPXORQ  X8, X8, X8
	CMPQ    CX, $256
	JB      tail

	// The first batch.
	VMOVDQU64 64(SI), Z5
	VMOVDQU64 128(SI), Z6
	VMOVDQU64 192(SI), Z7
	VPSHUFB   Z14, Z5, Z5
	VPSHUFB   Z14, Z6, Z6
	VPSHUFB   Z14, Z7, Z7
	HASHING(ROUND4)
	LONGER(ROUND4, last)
	LAST4
	ADDFIRST
	ADDTEXT234
	XORL      R9, R9

batch:
	COUNT
	COUNTERS
	NEXT
	CMPQ      CX, $64
	JBE       tail01
	VMOVDQU64 (SI), Z4
	VPSHUFB   Z14, Z4, Z4
	CMPQ      CX, $256
	JB        tail
	VMOVDQU64 64(SI), Z5
	VMOVDQU64 128(SI), Z6
	VMOVDQU64 192(SI), Z7
	VPSHUFB   Z14, Z5, Z5
	VPSHUFB   Z14, Z6, Z6
	VPSHUFB   Z14, Z7, Z7
	HASHING(ROUND4)
	LONGER(ROUND4, batchLast)
	LAST4
	ADDTEXT(Z0, 0)
	ADDTEXT234
	JMP       batch

tail:
	VMOVDQU   (SI)(CX*1), X12
	VPXORQ    Z8, Z4, Z4
	FACTORS
	CMPQ      CX, $128
	JBE       tail2
	VMOVDQU64 64(SI), Z5
	VPSHUFB   Z14, Z5, Z5
	CMPQ      CX, $192
	JBE       tail3
	LASTMASK(192)
	VMOVDQU64  128(SI), Z6
	VMOVDQU8.Z 192(SI), K2, Z7
	VPSHUFB    Z14, Z6, Z6
	VPSHUFB    Z14, Z7, Z7
	ROUND4(Z17)
	MORE(Z4, (DX))
	ROUND4(Z18)
	MORE(Z5, 64(DX))
	ROUND4(Z19)
	MORE(Z6, 128(DX))
	ROUND4(Z20)
	MORE(Z7, 192(DX))
	ROUND4(Z21)
	ROUND4(Z22)
	ROUND4(Z23)
	ROUND4(Z24)
	ROUND4(Z25)
	LONGER(ROUND4, tail4Last)
	LAST4
	ADDTEXT(Z1, 64)
	ADDTEXT(Z2, 128)
	ADDLAST(Z3, Z11, 192)
	JMP        first

tail3:
	LASTMASK(128)
	VMOVDQU8.Z 128(SI), K2, Z6
	VPSHUFB    Z14, Z6, Z6
	ROUND3(Z17)
	MORE(Z4, (DX))
	ROUND3(Z18)
	MORE(Z5, 64(DX))
	ROUND3(Z19)
	MORE(Z6, 128(DX))
	ROUND3(Z20)
	ROUND3(Z21)
	ROUND3(Z22)
	ROUND3(Z23)
	ROUND3(Z24)
	ROUND3(Z25)
	LONGER(ROUND3, tail3Last)
	LAST3
	ADDTEXT(Z1, 64)
	ADDLAST(Z2, Z11, 128)
	JMP        first

tail2:
	LASTMASK(64)
	VMOVDQU8.Z 64(SI), K2, Z5
	VPSHUFB    Z14, Z5, Z5
	ROUND2(Z17)
	MORE(Z4, (DX))
	ROUND2(Z18)
	MORE(Z5, 64(DX))
	ROUND2(Z19)
	ROUND2(Z20)
	ROUND2(Z21)
	ROUND2(Z22)
	ROUND2(Z23)
	ROUND2(Z24)
	ROUND2(Z25)
	LONGER(ROUND2, tail2Last)
	LAST2
	ADDLAST(Z1, Z11, 64)

first:
	TESTL R9, R9
	JNE   firstHalf
	ADDTEXT(Z0, 0)
	JMP   tag

firstHalf:
	ADDFIRST
	JMP tag

only1:
	// Of the first four blocks, at most two are text.
	VMOVDQU    (SI)(CX*1), X12
	LASTMASK(32)
	VMOVDQU8.Z 32(SI), K2, Y11
	VMOVDQA    Y11, Y1
	HASHFIRST
	FACTORS
	ROUND1(Z17)
	MORE(Z4, (DX))
	ROUND1(Z18)
	ROUND1(Z19)
	ROUND1(Z20)
	ROUND1(Z21)
	ROUND1(Z22)
	ROUND1(Z23)
	ROUND1(Z24)
	ROUND1(Z25)
	LONGER(ROUND1, only1Last)
	LAST1
	VEXTRACTI128  $1, Y0, X13
	VEXTRACTI64X4 $1, Z0, Y0
	VPXOR      Y1, Y0, Y0
	VMOVDQU8   Y0, K2, 32(DI)
	JMP        tag

tail01:
	VMOVDQU    (SI)(CX*1), X12
	TESTQ      CX, CX
	JEQ        tail0
	LASTMASK(0)
	VMOVDQU8.Z (SI), K2, Z1
	VPSHUFB    Z14, Z1, Z4
	VPXORQ     Z8, Z4, Z4
	FACTORS
	ROUND1(Z17)
	MORE(Z4, (DX))
	ROUND1(Z18)
	ROUND1(Z19)
	ROUND1(Z20)
	ROUND1(Z21)
	ROUND1(Z22)
	ROUND1(Z23)
	ROUND1(Z24)
	ROUND1(Z25)
	LONGER(ROUND1, tail1Last)
	LAST1
	VPXORQ     Z1, Z0, Z0
	VMOVDQU8   Z0, K2, (DI)
	JMP        tag

tail0:
	VMOVDQA64 Z8, Z4
	FACTORS
	MORE(Z4, (DX))

tag:
	TAG
	VPXOR  X12, X8, X8
	VPTEST X8, X8
	SETEQ  ret+88(FP)
	VZEROUPPER
	RET
