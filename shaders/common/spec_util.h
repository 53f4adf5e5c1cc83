// What kernel specs share: reading variants, common grid dimensions, and building cases for the tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/core/kernel_spec.h"
#include "runtime/core/x_kind.h"
#include "shaders/formats/code_values.h"

namespace nibble::spec {

// The variant's constant of that name; throws kInternal if it has none.
uint32_t constant_of(const Variant& variant, std::string_view name);

// A variant for matrix units with its products taken one by one instead, so that it needs none; never the default.
Variant emulated_matrices(std::string_view name, Variant variant);

// Whether activations are bf16 already or may be rounded to it.
template <typename Params>
bool may_round_x(std::span<const std::byte> params) {
  return unpack_params<Params>(params).x_kind != static_cast<uint32_t>(XKind::kFloat);
}

// ceil(step[count_at]·scale / tile) for count_at 0 (tokens) or 2 (rows of logits).
GridDim rows_dim(uint32_t count_at, uint32_t scale, uint32_t tile);

inline uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// Rows that a kernel with `count_at` works on.
uint32_t row_count(const StepHeader& step, uint32_t count_at, uint32_t rows_per_token);

// ---- cases ------------------------------------------------------------------------------------------------------

template <typename T>
std::vector<std::byte> to_bytes(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
template <typename T>
std::vector<T> from_bytes(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// Standard normal values, none of them zero but for a few negative zeros.
std::vector<float> normal_floats(Rng& rng, size_t count, double sigma = 1);
std::vector<uint8_t> random_bytes(Rng& rng, size_t count);
// Activations of the kind (runtime/core/x_kind.h): normal values, for kFp8 rounded as quant_fp8_f32 rounds each block
// of 128 of a row of `stride`.
std::vector<float> activations(Rng& rng, size_t rows, size_t stride, uint32_t x_kind);
// Step words: the header, then `extra`.
std::vector<uint32_t> step_words(const StepHeader& header, const std::vector<uint32_t>& extra = {});
// A buffer of `count` 4-byte elements whose content does not matter.
CaseBinding blank(size_t count);

// A size of a case's shape, a multiple of `multiple`.
template <typename Shape>
struct SizeOf {
  std::string_view name;
  uint32_t& (*of)(Shape&);
  uint32_t multiple = 1;
};

// The case that make(shape, rng) gives. It can be made with each of the `sizes` smaller; any such combination must be a
// problem that the kernel is made for.
template <typename Shape, typename Make>
KernelCase sized_case(std::string name, const Shape& shape, Make make, const std::vector<SizeOf<Shape>>& sizes) {
  KernelCase result{.name = std::move(name), .make = [shape, make](Rng& rng) { return make(shape, rng); }};
  std::vector<SizeOf<Shape>> own;
  Shape original = shape;
  for (const SizeOf<Shape>& size : sizes) {
    const uint32_t value = size.of(original);
    if (value <= size.multiple) continue;
    own.push_back(size);
    result.sizes.push_back({.name = std::string(size.name), .value = value, .multiple = size.multiple});
  }
  result.resized = [shape, make, own](Rng& rng, std::span<const uint32_t> values) {
    Shape smaller = shape;
    for (size_t i = 0; i < own.size(); ++i) own[i].of(smaller) = values[i];
    return make(smaller, rng);
  };
  return result;
}

// The tokens of the step, unless rows of logits lie among them.
template <typename Shape>
void add_tokens(std::vector<SizeOf<Shape>>& sizes, const StepHeader& step) {
  if (step.n_logits == 0) sizes.push_back({"n_tokens", [](Shape& s) -> uint32_t& { return s.step.n_tokens; }});
}

// Most shapes: the params and the step, whose tokens are a size unless the kernel begins within them.
template <typename P>
struct ParamsAndStep {
  P params;
  StepHeader step;
};
template <typename P, typename Make>
KernelCase sized_case(std::string name, const P& params, const StepHeader& step, Make make,
                      std::vector<SizeOf<ParamsAndStep<P>>> sizes) {
  using Shape = ParamsAndStep<P>;
  bool begins_within = false;
  if constexpr (requires { params.first_token; }) begins_within = params.first_token > 0;
  if (!begins_within) add_tokens(sizes, step);
  return sized_case(
      std::move(name), Shape{params, step},
      [make](const Shape& shape, Rng& rng) { return make(rng, shape.params, shape.step); }, sizes);
}

// Σ_c w_c·x_c in double, with what a kernel's f32 sum may be off by.
class DotReference {
 public:
  // x [cols]; blocks of 128 count from its start.
  DotReference(std::span<const float> x, uint32_t x_kind, double start = 0);
  void add(double weight, size_t col);
  double value() const { return value_; }
  double magnitude() const { return magnitude_; }  // Σ|w·x|
  // Eight standard deviations (one output in 10^15 is further off) of two things. Every addition may round by half an
  // ulp of the sum so far: a sum that one large product dominates stays that large for all the products after it. And
  // kernels that may round x do so to half a step of an int8 whose range is the largest |x| of a block of 128.
  double slack() const;

 private:
  std::span<const float> x_;
  std::vector<double> steps_;  // per block; 0 for kinds that no kernel may round
  double value_ = 0;
  double magnitude_ = 0;
  double peak_ = 0;  // largest |partial sum|
  double variance_ = 0;
  size_t terms_ = 0;
};

// Rows of zeros but for a 1, which lies in column `first` of the first row and one further right in each row after.
std::vector<float> one_hot_rows(uint32_t rows, size_t stride, uint32_t first = 0);
// Whether f32 holds it: a weight that does not is infinite on one device and may be multiplied as it stands on another.
bool is_f32(double value);

}  // namespace nibble::spec
