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

[[maybe_unused]] void hc_pre_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<HcPreParams>();
  const size_t copies = p.copies;
  const size_t width = copies * p.cols;
  const CpuHcInputs in = hc_pre_inputs(args);
  const size_t rows = copies * (copies + 2);
  constexpr uint64_t kTogether = 4;
  float mixes[kTogether * kMaxHcCopies * (kMaxHcCopies + 2)];
  for (uint64_t first = begin; first < end;) {
    const bool is_block = first + kTogether <= end;
    const float* x = in.streams + first * width;
    const auto* fn = args.bindings[1].as<float>();
    is_block ? hc_mixes<kTogether>(mixes, x, fn, width, rows, p.norm_eps)
             : hc_mixes<1>(mixes, x, fn, width, rows, p.norm_eps);
    const uint64_t last = first + (is_block ? kTogether : 1);
    for (uint64_t t = first; t < last; ++t) hc_pre_finish(args, p, mixes + (t - first) * rows, in, 5, t);
    first = last;
  }
}

}  // namespace
}  // namespace nibble
