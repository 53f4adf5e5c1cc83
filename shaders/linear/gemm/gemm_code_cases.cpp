#include "shaders/linear/gemm/gemm_code_cases.h"

#include "runtime/core/x_kind.h"
#include "shaders/common/spec_util.h"
#include "shaders/linear/gemm/gemm.h"

namespace nibble {
namespace {

constexpr uint32_t kCols = 16;
constexpr uint32_t kFirstSeen = 7;  // column that the first token sees

// Token t sees column kFirstSeen + t of every row alone: products stand alone in the outputs, and what is NaN or
// infinite beside them makes NaN of them.
CaseData code_case(const GemmParams& p, uint32_t tokens, std::vector<std::byte> weights, Rng& rng) {
  CaseData data{.params = pack_params(p), .step = spec::step_words({.n_tokens = tokens})};
  const uint32_t first = tokens == kCols ? 0 : kFirstSeen;
  data.bindings.push_back({.content = spec::to_bytes(spec::one_hot_rows(tokens, kCols, first))});
  data.bindings.push_back({.content = std::move(weights)});
  data.bindings.push_back({.content = spec::to_bytes(spec::normal_floats(rng, size_t{tokens} * p.rows))});
  data.bindings.emplace_back();
  return data;
}

// 128 rows to a scale, two codes to a row.
CaseData every_e4m3(uint32_t x_kind, Rng& rng) {
  constexpr uint32_t kRows = 256 * 128;
  std::vector<std::byte> codes(size_t{kRows} * kCols);
  std::vector<std::byte> scales(256);
  for (uint32_t row = 0; row < kRows; ++row) {
    const auto scale = static_cast<uint8_t>(row / 128);
    scales[row / 128] = std::byte{scale};
    for (uint32_t i = 0; i < 2; ++i) {
      const auto code = static_cast<uint8_t>(2 * (row % 128) + i);
      if (!spec::is_f32(spec::e4m3(code) * spec::e8m0(scale))) continue;
      codes[size_t{row} * kCols + kFirstSeen + i] = std::byte{code};
    }
  }
  const GemmParams p = {.rows = kRows, .cols = kCols, .x_stride = kCols, .y_stride = kRows, .x_kind = x_kind};
  CaseData data = code_case(p, 2, std::move(codes), rng);
  data.bindings.insert(data.bindings.begin() + 2, CaseBinding{.content = std::move(scales)});
  return data;
}

CaseData every_bf16(uint32_t x_kind, Rng& rng) {
  std::vector<uint16_t> codes(1u << 16);
  for (uint32_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint16_t>(i);
  const uint32_t rows = (1u << 16) / kCols;
  const GemmParams p = {.rows = rows, .cols = kCols, .x_stride = kCols, .y_stride = rows, .x_kind = x_kind};
  return code_case(p, kCols, spec::to_bytes(codes), rng);
}

}  // namespace

template <WeightFormat kFormat>
std::vector<KernelCase> gemm_code_cases() {
  if constexpr (kFormat == WeightFormat::kF32) return {};
  const auto add = [](std::string name, XKind kind) {
    return KernelCase{std::move(name), [kind](Rng& rng) {
                        const auto x_kind = static_cast<uint32_t>(kind);
                        return kFormat == WeightFormat::kFp8 ? every_e4m3(x_kind, rng) : every_bf16(x_kind, rng);
                      }};
  };
  return {add("every_code", XKind::kFloat), add("every_code_fp8_activations", XKind::kFp8)};
}

template std::vector<KernelCase> gemm_code_cases<WeightFormat::kFp8>();
template std::vector<KernelCase> gemm_code_cases<WeightFormat::kBf16>();
template std::vector<KernelCase> gemm_code_cases<WeightFormat::kF32>();

}  // namespace nibble
