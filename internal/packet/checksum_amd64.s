#include "textflag.h"

// FOUR adds 128 octets at SI, which it leaves in Y4 to Y7, and goes on behind
// them; ONE does so with 32 octets in Y4.
//
// Four words of 64 bits are added at a time, without minding carries, and so
// are their upper halves alone; what was lost can be told from the two.
#define FOUR \
	VMOVDQU (SI), Y4; \
	VMOVDQU 32(SI), Y5; \
	VMOVDQU 64(SI), Y6; \
	VMOVDQU 96(SI), Y7; \
	VPADDQ  Y4, Y0, Y0; \
	VPADDQ  Y5, Y1, Y1; \
	VPADDQ  Y6, Y0, Y0; \
	VPADDQ  Y7, Y1, Y1; \
	VPSRLQ  $32, Y4, Y8; \
	VPSRLQ  $32, Y5, Y9; \
	VPSRLQ  $32, Y6, Y10; \
	VPSRLQ  $32, Y7, Y11; \
	VPADDQ  Y8, Y2, Y2; \
	VPADDQ  Y9, Y3, Y3; \
	VPADDQ  Y10, Y2, Y2; \
	VPADDQ  Y11, Y3, Y3; \
	ADDQ    $128, SI

#define ONE \
	VMOVDQU (SI), Y4; \
	VPADDQ  Y4, Y0, Y0; \
	VPSRLQ  $32, Y4, Y8; \
	VPADDQ  Y8, Y2, Y2; \
	ADDQ    $32, SI

// NOTHING makes the sums zero: words modulo 2^64 in Y0 and Y1, upper halves in
// Y2 and Y3.
#define NOTHING \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	VPXOR Y2, Y2, Y2; \
	VPXOR Y3, Y3, Y3

// TOTAL makes AX of them.
#define TOTAL \
	VPADDQ       Y1, Y0, Y0; \
	VPADDQ       Y3, Y2, Y2; \
	VPSLLQ       $32, Y2, Y4; \
	VPSUBQ       Y4, Y0, Y0; /* lower halves: less than 2^64 together */ \
	VPADDQ       Y2, Y0, Y0; /* 2^32 is 1 modulo 2^16-1 */ \
	VEXTRACTI128 $1, Y0, X1; \
	VPADDQ       X1, X0, X0; \
	VPSRLDQ      $8, X0, X1; \
	VPADDQ       X1, X0, X0; \
	VMOVQ        X0, AX; \
	VZEROUPPER

// func sumWide(b []byte) uint64
TEXT ·sumWide(SB), NOSPLIT, $0-32
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), CX
	NOTHING
	SUBQ $128, CX
	JB   rest

loop:
	FOUR
	SUBQ $128, CX
	JAE  loop

rest:
	ADDQ $128, CX
	JEQ  fold

one:
	ONE
	SUBQ $32, CX
	JNE  one

fold:
	TOTAL
	MOVQ AX, ret+24(FP)
	RET

// func copySumWide(dst *byte, src []byte) uint64
TEXT ·copySumWide(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src_base+8(FP), SI
	MOVQ src_len+16(FP), CX
	NOTHING
	SUBQ $128, CX
	JB   rest

loop:
	FOUR
	VMOVDQU Y4, (DI)
	VMOVDQU Y5, 32(DI)
	VMOVDQU Y6, 64(DI)
	VMOVDQU Y7, 96(DI)
	ADDQ    $128, DI
	SUBQ    $128, CX
	JAE     loop

rest:
	ADDQ $128, CX
	JEQ  fold

one:
	ONE
	VMOVDQU Y4, (DI)
	ADDQ    $32, DI
	SUBQ    $32, CX
	JNE     one

fold:
	TOTAL
	MOVQ AX, ret+32(FP)
	RET
