#include "runtime/cpu/cpu_kernel.h"
#include "shaders/common/hyper_connection_cpu.h"
#include "shaders/hyper/hc_head_f32/hc_head_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return args.step.n_logits; }

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<HcHeadParams>();
  const size_t width = size_t{p.copies} * p.cols;
  const float* base = args.bindings[2].as<float>();
  const float scale = *args.bindings[3].as<float>();
  float pre[8];
  for (uint64_t i = begin; i < end; ++i) {
    const float* x = args.bindings[0].as<float>() + (args.step.logits_first + i) * width;
    hc_mixes<1>(pre, x, args.bindings[1].as<float>(), width, p.copies, p.norm_eps);
    for (uint32_t j = 0; j < p.copies; ++j) pre[j] = hc_sigmoid(pre[j] * scale + base[j]) + p.hc_eps;
    hc_collapse(args.bindings[5].as<float>() + i * p.cols, pre, x, args.bindings[4].as<float>(), p.copies, p.cols,
                p.norm_eps);
  }
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::hc_head_f32() {
  return {{.kernel = "hc_head_f32", .variant = "cpp", .items = items, .run = run}};
}

}  // namespace nibble
