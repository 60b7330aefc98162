#include "textflag.h"

// func sumWide(b []byte) uint64
//
// Four words of 64 bits are added at a time, without minding carries, and so
// are their upper halves alone; what was lost can be told from the two.
TEXT ·sumWide(SB), NOSPLIT, $0-32
	MOVQ  b_base+0(FP), SI
	MOVQ  b_len+8(FP), CX
	VPXOR Y0, Y0, Y0 // words, modulo 2^64
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2 // upper halves
	VPXOR Y3, Y3, Y3
	SUBQ  $128, CX
	JB    rest

loop:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VMOVDQU 64(SI), Y6
	VMOVDQU 96(SI), Y7
	VPADDQ  Y4, Y0, Y0
	VPADDQ  Y5, Y1, Y1
	VPADDQ  Y6, Y0, Y0
	VPADDQ  Y7, Y1, Y1
	VPSRLQ  $32, Y4, Y4
	VPSRLQ  $32, Y5, Y5
	VPSRLQ  $32, Y6, Y6
	VPSRLQ  $32, Y7, Y7
	VPADDQ  Y4, Y2, Y2
	VPADDQ  Y5, Y3, Y3
	VPADDQ  Y6, Y2, Y2
	VPADDQ  Y7, Y3, Y3
	ADDQ    $128, SI
	SUBQ    $128, CX
	JAE     loop

rest:
	ADDQ $128, CX
	JEQ  fold

one:
	VMOVDQU (SI), Y4
	VPADDQ  Y4, Y0, Y0
	VPSRLQ  $32, Y4, Y4
	VPADDQ  Y4, Y2, Y2
	ADDQ    $32, SI
	SUBQ    $32, CX
	JNE     one

fold:
	VPADDQ       Y1, Y0, Y0
	VPADDQ       Y3, Y2, Y2
	VPSLLQ       $32, Y2, Y4
	VPSUBQ       Y4, Y0, Y0 // lower halves: less than 2^64 together
	VPADDQ       Y2, Y0, Y0 // 2^32 is 1 modulo 2^16-1
	VEXTRACTI128 $1, Y0, X1
	VPADDQ       X1, X0, X0
	VPSRLDQ      $8, X0, X1
	VPADDQ       X1, X0, X0
	VMOVQ        X0, AX
	MOVQ         AX, ret+24(FP)
	VZEROUPPER
	RET
