// The loops behind the cpu's ceilings: as fast as this processor reads, and as many multiply-adds as it issues. Each
// runs on one thread; cpu_ceilings.h spreads them over all. Results are returned so that nothing is optimised away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/cpu/cpu_kernel.h"

namespace nibble::bench {

// Reads every cache line of `memory` (a multiple of 4096 bytes, aligned to 64); returns a value that depends on all.
using ReadLoop = uint64_t (*)(std::span<const std::byte> memory);
// `rounds` rounds of independent chains of multiply-adds on registers.
using MathLoop = float (*)(uint64_t rounds);

struct MathLoopInfo {
  MathLoop run = nullptr;        // null: this processor cannot
  uint64_t flops_per_round = 0;  // a multiply-add counts as two
};

struct CpuLoops {
  std::string_view isa;
  ReadLoop read = nullptr;
  MathLoopInfo f32;
  MathLoopInfo bf16;  // dot products of bf16 pairs into f32
  MathLoopInfo int8;  // dot products of four int8 into int32
};

CpuLoops baseline_loops();
CpuLoops avx2_loops();
CpuLoops avx512_loops();
CpuLoops avx512_dot_loops();

// Those of an instruction set that the processor has.
CpuLoops loops_of(CpuIsa isa);

}  // namespace nibble::bench
