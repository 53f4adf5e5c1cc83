// hc_pre_f32 on the host's processor, and what hc_pre_join_f32 shares with it; compiled once per instruction set.
#pragma once

#include <algorithm>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/common/hyper_connection_cpu.h"
#include "shaders/hyper/hc_pre_f32/hc_pre_f32.h"

namespace nibble {

CpuKernel hc_pre_f32_avx512();

namespace {

struct CpuHcInputs {
  const float* streams = nullptr;
  const float* base = nullptr;
  const float* scale = nullptr;
  const float* norm = nullptr;
};

[[maybe_unused]] CpuHcInputs hc_pre_inputs(const CpuArgs& args) {
  return {.streams = args.bindings[0].as<float>(),
          .base = args.bindings[2].as<float>(),
          .scale = args.bindings[3].as<float>(),
          .norm = args.bindings[4].as<float>()};
}

// comb [copies, copies] holds the logits and becomes nearly doubly stochastic; the first pass over rows is a softmax.
[[maybe_unused]] void sinkhorn(float* comb, size_t copies, uint32_t iterations, float eps) {
  for (size_t j = 0; j < copies; ++j) {
    float* row = comb + j * copies;
    const float largest = *std::max_element(row, row + copies);
    float sum = 0;
    for (size_t k = 0; k < copies; ++k) sum += row[k] = std::exp(row[k] - largest);
    for (size_t k = 0; k < copies; ++k) row[k] = row[k] / sum + eps;
  }
  for (uint32_t pass = 0; pass < iterations; ++pass) {
    for (size_t j = 0; j < copies && pass > 0; ++j) {
      float sum = eps;
      for (size_t k = 0; k < copies; ++k) sum += comb[j * copies + k];
      for (size_t k = 0; k < copies; ++k) comb[j * copies + k] /= sum;
    }
    for (size_t k = 0; k < copies; ++k) {
      float sum = eps;
      for (size_t j = 0; j < copies; ++j) sum += comb[j * copies + k];
      for (size_t j = 0; j < copies; ++j) comb[j * copies + k] /= sum;
    }
  }
}

// x, post and comb of token t from its mixes, which it overwrites; `outputs` is the binding of x.
[[maybe_unused]] void hc_pre_finish(const CpuArgs& args, const HcPreParams& p, float* mixes, const CpuHcInputs& in,
                                    size_t outputs, uint64_t t) {
  const size_t copies = p.copies;
  float* post = args.bindings[outputs + 1].as<float>() + t * copies;
  float* comb = args.bindings[outputs + 2].as<float>() + t * copies * copies;
  for (size_t j = 0; j < copies; ++j) {
    mixes[j] = hc_sigmoid(mixes[j] * in.scale[0] + in.base[j]) + p.hc_eps;
    post[j] = 2 * hc_sigmoid(mixes[copies + j] * in.scale[1] + in.base[copies + j]);
  }
  for (size_t i = 0; i < copies * copies; ++i) comb[i] = mixes[2 * copies + i] * in.scale[2] + in.base[2 * copies + i];
  sinkhorn(comb, copies, p.sinkhorn_iters, p.hc_eps);
  hc_collapse(args.bindings[outputs].as<float>() + t * p.cols, mixes, in.streams + t * copies * p.cols, in.norm, copies,
              p.cols, p.norm_eps);
}

[[maybe_unused]] uint64_t hc_pre_items(const CpuArgs& args) { return args.step.n_tokens; }

// Few tokens are not work for many threads: their products with fn, of which a V4-Flash layer has 1.5 MB, are a first
// phase by rows of fn. Each token's sums are added up in one order either way.
constexpr uint32_t kHcFewTokens = 16;
constexpr uint64_t kHcTogether = 4;

[[maybe_unused]] uint64_t hc_mix_rows(const CpuArgs& args) {
  const size_t copies = args.get<HcPreParams>().copies;
  return copies * (copies + 2);
}

[[maybe_unused]] uint64_t hc_pre_prepare_items(const CpuArgs& args) {
  return args.step.n_tokens <= kHcFewTokens ? hc_mix_rows(args) : 0;
}

[[maybe_unused]] uint64_t hc_pre_scratch_bytes(const CpuArgs& args) {
  return hc_pre_prepare_items(args) * args.step.n_tokens * sizeof(float);
}

// Scratch [T, rows]: x[t]·fn[m] for rows [begin, end).
[[maybe_unused]] void hc_pre_prepare(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<HcPreParams>();
  const size_t width = size_t{p.copies} * p.cols;
  const size_t rows = hc_mix_rows(args);
  const auto* x = args.bindings[0].as<float>();
  const auto* fn = args.bindings[1].as<float>();
  auto* products = reinterpret_cast<float*>(args.scratch.data());
  for (uint64_t m = begin; m < end; ++m) {
    for (uint64_t t = 0; t < args.step.n_tokens;) {
      float sums[kHcTogether];
      const bool is_block = t + kHcTogether <= args.step.n_tokens;
      is_block ? dot_rows<kHcTogether>(sums, x + t * width, width, fn + m * width, width)
               : dot_rows<1>(sums, x + t * width, width, fn + m * width, width);
      const uint64_t count = is_block ? kHcTogether : 1;
      for (uint64_t i = 0; i < count; ++i) products[(t + i) * rows + m] = sums[i];
      t += count;
    }
  }
}

[[maybe_unused]] void hc_pre_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<HcPreParams>();
  const size_t width = size_t{p.copies} * p.cols;
  const CpuHcInputs in = hc_pre_inputs(args);
  const size_t rows = hc_mix_rows(args);
  const bool is_prepared = hc_pre_prepare_items(args) > 0;
  float mixes[kHcTogether * kMaxHcCopies * (kMaxHcCopies + 2)];
  for (uint64_t first = begin; first < end;) {
    const float* x = in.streams + first * width;
    const auto* fn = args.bindings[1].as<float>();
    const bool is_block = !is_prepared && first + kHcTogether <= end;
    if (is_prepared) {
      const auto* products = reinterpret_cast<const float*>(args.scratch.data()) + first * rows;
      const float inverse_rms = hc_inverse_rms(x, width, p.norm_eps);
      for (size_t m = 0; m < rows; ++m) mixes[m] = products[m] * inverse_rms;
    } else if (is_block) {
      hc_mixes<kHcTogether>(mixes, x, fn, width, rows, p.norm_eps);
    } else {
      hc_mixes<1>(mixes, x, fn, width, rows, p.norm_eps);
    }
    const uint64_t last = first + (is_block ? kHcTogether : 1);
    for (uint64_t t = first; t < last; ++t) hc_pre_finish(args, p, mixes + (t - first) * rows, in, 5, t);
    first = last;
  }
}

[[maybe_unused]] CpuKernel hc_pre_kernel(std::string_view variant, CpuIsa isa) {
  return {.kernel = "hc_pre_f32",
          .variant = variant,
          .isa = isa,
          .items = hc_pre_items,
          .run = hc_pre_run,
          .scratch_bytes = hc_pre_scratch_bytes,
          .prepare_items = hc_pre_prepare_items,
          .prepare = hc_pre_prepare,
          .prepare_grain = 1};
}

}  // namespace
}  // namespace nibble
