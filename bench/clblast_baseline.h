// The products of nibble's matrix kernels by CLBlast: weights in f32, as dequantising would leave them, one call for
// each product. What a program without kernels for the stored formats would get on an OpenCL device; shown beside them.
#pragma once

#include "bench/measure.h"
#include "bench/moe_problem.h"
#include "shaders/linear/gemm/gemm.h"

namespace nibble::bench {

// Name of the rows' variant.
inline constexpr std::string_view kClblastVariant = "clblast_f32";

// Products on random data, and what they move and compute.
struct ClblastWork {
  TimedWork work;
  uint64_t bytes = 0;
  uint64_t flops = 0;
};

// Y = X Wᵀ of the params' sizes, group by group. Copies of W alternate that together exceed `cold_bytes`. The first
// result is compared with f64. Throws kUnsupported for a device of another backend and where it cannot hold the data,
// kDevice for a wrong result.
ClblastWork clblast_gemm(Device& device, const GemmParams& params, uint32_t tokens, uint64_t cold_bytes);

// The products of one part of an expert block, expert by expert; rows of x are not gathered and nothing lies between
// the products.
ClblastWork clblast_moe(Device& device, const MoeShape& shape, MoePart part, uint32_t tokens);

}  // namespace nibble::bench
