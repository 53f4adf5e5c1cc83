// hc_pre_f32 on the host's processor; compiled once per instruction set.
#pragma once

#include <algorithm>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/common/hyper_connection_cpu.h"
#include "shaders/hc_pre_f32/hc_pre_f32.h"

namespace nibble {

CpuKernel hc_pre_f32_avx512();

namespace {

// comb [copies, copies] holds the logits and becomes nearly doubly stochastic; the first pass over rows is a softmax.
void sinkhorn(float* comb, size_t copies, uint32_t iterations, float eps) {
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

uint64_t hc_pre_items(const CpuArgs& args) { return args.step.n_tokens; }

void hc_pre_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<HcPreParams>();
  const size_t copies = p.copies;
  const size_t width = copies * p.cols;
  const float* base = args.bindings[2].as<float>();
  const float* scale = args.bindings[3].as<float>();
  float mixes[kMaxHcCopies * (kMaxHcCopies + 2)];
  for (uint64_t t = begin; t < end; ++t) {
    const float* x = args.bindings[0].as<float>() + t * width;
    hc_mixes(mixes, x, args.bindings[1].as<float>(), width, copies * (copies + 2), p.norm_eps);
    float* post = args.bindings[6].as<float>() + t * copies;
    float* comb = args.bindings[7].as<float>() + t * copies * copies;
    for (size_t j = 0; j < copies; ++j) {
      mixes[j] = hc_sigmoid(mixes[j] * scale[0] + base[j]) + p.hc_eps;
      post[j] = 2 * hc_sigmoid(mixes[copies + j] * scale[1] + base[copies + j]);
    }
    for (size_t i = 0; i < copies * copies; ++i) comb[i] = mixes[2 * copies + i] * scale[2] + base[2 * copies + i];
    sinkhorn(comb, copies, p.sinkhorn_iters, p.hc_eps);
    hc_collapse(args.bindings[5].as<float>() + t * p.cols, mixes, x, args.bindings[4].as<float>(), copies, p.cols,
                p.norm_eps);
  }
}

}  // namespace
}  // namespace nibble
