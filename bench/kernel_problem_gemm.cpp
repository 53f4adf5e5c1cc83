// Projections: every matrix of a layer of V4-Flash, and a slice of its head.
#include "bench/kernel_problem.h"
#include "runtime/core/x_kind.h"
#include "shaders/common/spec_util.h"
#include "shaders/linear/gemm/gemm.h"

namespace nibble::bench {
namespace {

enum class Stored { kFp8, kBf16, kF32 };

CaseData make(const KernelSpec& kernel, const ProblemRequest& request, Rng& rng, Stored stored, GemmParams p) {
  p = unpack_params<GemmParams>(overridden(pack_params(p), kernel, request));
  const uint32_t groups = p.group_rows == 0 ? 1 : spec::ceil_div(p.rows, p.group_rows);
  p.x_stride = std::max(p.x_stride, p.cols * groups);
  p.y_stride = std::max(p.y_stride, p.y_offset + p.rows);
  const size_t rows = size_t{request.tokens} * p.rows_per_token;
  const size_t weights = size_t{p.rows} * p.cols;
  CaseData data{
      .params = pack_params(p),
      .step = spec::step_words({.n_tokens = request.tokens, .position = request.position, .n_logits = request.tokens})};
  data.bindings.push_back({.content = spec::to_bytes(spec::activations(rng, rows, p.x_stride, p.x_kind))});
  if (stored == Stored::kFp8) {
    data.bindings.push_back({.content = random_e4m3(rng, weights)});
    const size_t scales = size_t{spec::ceil_div(p.row_begin + p.rows, 128)} * spec::ceil_div(p.cols, 128);
    data.bindings.push_back({.content = random_scales(rng, scales, 112, 118)});
  } else {
    data.bindings.push_back(
        {.content = stored == Stored::kBf16 ? random_bf16(rng, weights) : random_floats(rng, weights)});
  }
  data.bindings.push_back({.content = random_floats(rng, rows * p.y_stride)});
  data.bindings.emplace_back();
  return data;
}

ProblemShape shape(std::string name, Stored stored, const GemmParams& params) {
  return {std::move(name), [=](const KernelSpec& kernel, const ProblemRequest& request, Rng& rng) {
            return make(kernel, request, rng, stored, params);
          }};
}

}  // namespace

void add_gemm_problems(ProblemTable& table) {
  constexpr auto kFp8 = static_cast<uint32_t>(XKind::kFp8);
  table["gemm_fp8_f32"] = {
      shape("wq_a", Stored::kFp8, {.rows = 1024, .cols = 4096, .x_kind = kFp8}),
      shape("wq_b", Stored::kFp8, {.rows = 32768, .cols = 1024, .x_kind = kFp8}),
      shape("wkv", Stored::kFp8, {.rows = 512, .cols = 4096, .x_kind = kFp8}),
      shape("wo_a", Stored::kFp8, {.rows = 8192, .cols = 4096, .group_rows = 1024}),
      shape("wo_b", Stored::kFp8, {.rows = 4096, .cols = 8192, .x_kind = kFp8}),
      shape("indexer.wq_b", Stored::kFp8, {.rows = 8192, .cols = 1024, .x_kind = kFp8}),
      shape("shared.w1", Stored::kFp8, {.rows = 2048, .cols = 4096, .x_kind = kFp8}),
      shape("shared.w2", Stored::kFp8, {.rows = 4096, .cols = 2048, .x_kind = kFp8}),
  };
  table["gemm_bf16_f32"] = {
      shape("gate", Stored::kBf16, {.rows = 256, .cols = 4096}),
      shape("compressor.wkv", Stored::kBf16, {.rows = 1024, .cols = 4096}),
      // One eighth of the vocabulary: 128 MiB, the most that llvmpipe binds.
      shape("head/8", Stored::kBf16, {.rows = 16160, .cols = 4096, .count_at = kStepLogits}),
  };
  table["gemm_f32_f32"] = {shape("gate", Stored::kF32, {.rows = 256, .cols = 4096})};
}

}  // namespace nibble::bench
