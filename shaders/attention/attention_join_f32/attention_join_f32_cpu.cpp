#include "shaders/attention/attention_f32/attention_f32_cpu.h"
#include "shaders/attention/attention_join_f32/attention_join_f32.h"

namespace nibble {
namespace {

uint64_t items(const CpuArgs& args) { return uint64_t{args.step.n_tokens} * args.get<AttentionJoinParams>().heads; }

void join_row(const CpuArgs& args, const AttentionJoinParams& p, uint64_t row) {
  const float* parts = args.bindings[0].as<float>() + row * p.parts * p.dim;
  const float* stats = args.bindings[1].as<float>() + row * p.parts * 2;
  const float sink = args.bindings[2].as<float>()[row % p.heads];
  HeadState head;
  head.largest = sink;
  for (uint32_t i = 0; i < p.parts; ++i) {
    if (stats[2 * i + 1] != 0) head.largest = std::max(head.largest, stats[2 * i]);
  }
  head.total = sink == head.largest ? 1.0f : std::exp(sink - head.largest);  // of an infinite sink too
  std::fill_n(head.sum, p.dim, 0.0f);
  for (uint32_t i = 0; i < p.parts && stats[2 * i + 1] != 0; ++i) {
    const float weight = std::exp(stats[2 * i] - head.largest);
    head.total += weight * stats[2 * i + 1];
    add_scaled(head.sum, weight, parts + size_t{i} * p.dim, p.dim);
  }
  const AttentionParams shape = {.dim = p.dim, .rope = p.rope};
  finish_head(args.bindings[3].as<float>() + row * p.dim, head,
              args.step_words.data() + p.rope_at + row / p.heads * p.rope, shape);
}

void run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<AttentionJoinParams>();
  for (uint64_t row = begin; row < end; ++row) join_row(args, p, row);
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::attention_join_f32() {
  return {{.kernel = "attention_join_f32", .variant = "cpp", .items = items, .run = run}};
}

}  // namespace nibble
