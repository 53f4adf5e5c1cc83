#include "shaders/common/spec_util.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "runtime/base/error.h"
#include "runtime/core/x_kind.h"

namespace nibble::spec {

uint32_t constant_of(const Variant& variant, std::string_view name) {
  for (const ConstantValue& constant : variant.constants) {
    if (constant.name == name) return constant.value;
  }
  fail(ErrorCode::kInternal, "variant '{}' has no constant '{}'", variant.name, name);
}

Variant emulated_matrices(std::string_view name, Variant variant) {
  variant.name = name;
  variant.constants.push_back({"EMULATED", 1});
  variant.requires_.remove(Capability::kMatrixUnits);
  variant.min_rows = kNeverChosen;
  return variant;
}

GridDim rows_dim(uint32_t count_at, uint32_t scale, uint32_t tile) {
  return count_at == kStepLogits ? GridDim::logits(scale, tile) : GridDim::tokens(scale, tile);
}

uint32_t row_count(const StepHeader& step, uint32_t count_at, uint32_t rows_per_token) {
  return (count_at == kStepLogits ? step.n_logits : step.n_tokens) * rows_per_token;
}

std::vector<float> normal_floats(Rng& rng, size_t count, double sigma) {
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(rng.normal() * sigma);
    if (value == 0.0f) value = static_cast<float>(sigma);
    if (rng.below(64) == 0) value = -0.0f;
  }
  return values;
}

namespace {

double nearest_e4m3(double value) {
  double best = 0;
  for (uint32_t code = 0; code < 127; ++code) {
    const double candidate = e4m3(static_cast<uint8_t>(code));
    if (std::fabs(std::fabs(value) - candidate) < std::fabs(std::fabs(value) - best)) best = candidate;
  }
  return std::copysign(best, value);
}

}  // namespace

std::vector<float> activations(Rng& rng, size_t rows, size_t stride, uint32_t x_kind) {
  std::vector<float> values = normal_floats(rng, rows * stride);
  if (x_kind != static_cast<uint32_t>(XKind::kFp8)) return values;
  for (size_t begin = 0; begin < values.size();) {
    const size_t end = std::min({begin + 128, begin / stride * stride + stride, values.size()});
    double largest = 1e-4;
    for (size_t i = begin; i < end; ++i) largest = std::max(largest, std::fabs(double{values[i]}));
    const double scale = std::exp2(std::ceil(std::log2(largest / 448)));
    for (size_t i = begin; i < end; ++i) values[i] = static_cast<float>(nearest_e4m3(values[i] / scale) * scale);
    begin = end;
  }
  return values;
}

std::vector<uint8_t> random_bytes(Rng& rng, size_t count) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(256));
  return bytes;
}

std::vector<uint32_t> step_words(const StepHeader& header, const std::vector<uint32_t>& extra) {
  std::vector<uint32_t> words(kStepHeaderWords);
  words[kStepTokens] = header.n_tokens;
  words[kStepPosition] = header.position;
  words[kStepLogits] = header.n_logits;
  words[kStepLogitsFirst] = header.logits_first;
  words.insert(words.end(), extra.begin(), extra.end());
  return words;
}

DotReference::DotReference(std::span<const float> x, uint32_t x_kind, double start)
    : x_(x), steps_((x.size() + 127) / 128), value_(start), magnitude_(std::fabs(start)), peak_(magnitude_) {
  if (x_kind != static_cast<uint32_t>(XKind::kCoarse)) return;
  for (size_t c = 0; c < x.size(); ++c) steps_[c / 128] = std::max(steps_[c / 128], std::fabs(double{x[c]}) / 127);
}

void DotReference::add(double weight, size_t col) {
  const double product = weight * x_[col];
  const double step = weight * steps_[col / 128];
  value_ += product;
  magnitude_ += std::fabs(product);
  peak_ = std::max(peak_, std::fabs(value_));
  variance_ += step * step / 12;
  ++terms_;
}

double DotReference::slack() const {
  const double ulp = peak_ * 0x1p-23;
  return 8 * std::sqrt(variance_ + static_cast<double>(terms_) * ulp * ulp / 12);
}

std::vector<float> one_hot_rows(uint32_t rows, size_t stride, uint32_t first) {
  std::vector<float> x(rows * stride);
  for (uint32_t r = 0; r < rows; ++r) x[r * stride + first + r] = 1;
  return x;
}

bool is_f32(double value) { return !(std::fabs(value) > double{std::numeric_limits<float>::max()}); }

CaseBinding blank(size_t count) { return {.content = std::vector<std::byte>(count * 4)}; }

}  // namespace nibble::spec
