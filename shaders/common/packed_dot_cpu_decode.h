// How 64 bytes of stored codes become operands of AVX-512 arithmetic, for every weight format; bf16 and f32 are such
// already. Included only by per-ISA files.
#pragma once

#include "shaders/common/packed_chunk_cpu.h"
#include "shaders/formats/fp4/fp4_cpu_avx512.h"
#include "shaders/formats/fp8/fp8_cpu_avx512.h"
