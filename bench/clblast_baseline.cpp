#include "bench/clblast_baseline.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/kernel_problem.h"
#include "runtime/base/error.h"
#include "runtime/base/rng.h"
#include "runtime/opencl/clblast_gemm.h"

namespace nibble::bench {
namespace {

constexpr uint64_t kMaxCopies = 64;
constexpr uint32_t kCheckedElements = 64;

// f32 on the device and here.
struct Matrix {
  BufferView view;
  std::vector<float> values;  // empty unless they are to be compared with
};

Matrix random_matrix(Device& device, Rng& rng, uint64_t count, bool keep) {
  Matrix matrix{.view = BufferView(device.allocate(count * sizeof(float), "clblast"))};
  const std::vector<std::byte> bytes = random_floats(rng, count);
  device.upload(matrix.view, bytes);
  if (!keep) return matrix;
  matrix.values.resize(count);
  std::memcpy(matrix.values.data(), bytes.data(), count * sizeof(float));
  return matrix;
}

// `count` f32 from element `first` on.
BufferView part_of(const BufferView& view, uint64_t first, uint64_t count) {
  BufferView part = view;
  part.offset += first * sizeof(float);
  part.bytes = count * sizeof(float);
  return part;
}

// Elements of y = x Wᵀ, spread over it.
void check_product(Device& device, const opencl::ClblastGemm& gemm, const Matrix& x, const Matrix& w) {
  std::vector<float> y(size_t{gemm.m} * gemm.n);
  device.fill(gemm.c, kPoison);
  opencl::run_clblast_gemm(device, gemm);
  device.download(gemm.c, std::as_writable_bytes(std::span(y)));
  for (uint32_t i = 0; i < kCheckedElements; ++i) {
    const size_t at = y.size() * i / kCheckedElements;
    const size_t row = at / gemm.n;
    const size_t col = at % gemm.n;
    double want = 0;
    double scale = 0;
    for (uint32_t c = 0; c < gemm.k; ++c) {
      const double term = double{x.values[row * gemm.k + c]} * double{w.values[col * gemm.k + c]};
      want += term;
      scale += std::fabs(term);
    }
    // k products in f32, summed in any order.
    if (!(std::fabs(y[at] - want) <= scale * gemm.k * 0x1p-24)) {
      fail(ErrorCode::kDevice, "CLBlast: y[{}, {}] of {}x{}x{} is {}, want {}", row, col, gemm.m, gemm.n, gemm.k, y[at],
           want);
    }
  }
}

}  // namespace

ClblastWork clblast_gemm(Device& device, const GemmParams& params, uint32_t tokens, uint64_t cold_bytes) {
  const uint32_t m = tokens * params.rows_per_token;
  const uint32_t group_rows = params.group_rows == 0 ? params.rows : params.group_rows;
  const uint32_t groups = (params.rows + group_rows - 1) / group_rows;
  const uint64_t weights = uint64_t{params.rows} * params.cols;
  Rng rng(tokens);
  // Columns of a group lie together: CLBlast's rows have no gaps here.
  const Matrix x = random_matrix(device, rng, uint64_t{m} * params.cols * groups, true);
  const BufferView y(device.allocate(uint64_t{m} * params.rows * sizeof(float), "clblast"));
  std::vector<Matrix> copies;
  const uint64_t count = std::clamp<uint64_t>(cold_bytes / (weights * sizeof(float)) + 1, 1, kMaxCopies);
  for (uint64_t i = 0; i < count; ++i) copies.push_back(random_matrix(device, rng, weights, i == 0));
  const auto product = [=](const Matrix& w, uint32_t group) {
    const uint32_t n = std::min(group_rows, params.rows - group * group_rows);
    return opencl::ClblastGemm{
        .m = m,
        .n = n,
        .k = params.cols,
        .b_transposed = true,
        .a = part_of(x.view, uint64_t{group} * m * params.cols, uint64_t{m} * params.cols),
        .b = part_of(w.view, uint64_t{group} * group_rows * params.cols, uint64_t{n} * params.cols),
        .c = part_of(y, uint64_t{group} * m * group_rows, uint64_t{m} * n)};
  };
  check_product(device, product(copies.front(), 0), x, copies.front());
  ClblastWork result{.bytes = (weights + uint64_t{m} * (uint64_t{params.cols} * groups + params.rows)) * sizeof(float),
                     .flops = 2 * uint64_t{m} * weights};
  result.work.count = copies.size();
  result.work.run = [&device, product, groups, copies = std::move(copies)](size_t version) {
    for (uint32_t group = 0; group < groups; ++group) {
      opencl::run_clblast_gemm(device, product(copies[version], group));
    }
  };
  return result;
}

ClblastWork clblast_moe(Device& device, const MoeShape& shape, MoePart part, uint32_t tokens) {
  const uint64_t weights = uint64_t{shape.width} * shape.hidden;
  const bool has_up = part != MoePart::kDown;
  const bool has_down = part != MoePart::kUp;
  const uint32_t matrices = (has_up ? 2u : 0u) + (has_down ? 1u : 0u);
  Rng rng(tokens);
  const Matrix x = random_matrix(device, rng, uint64_t{tokens} * shape.hidden, false);
  const Matrix h = random_matrix(device, rng, uint64_t{tokens} * shape.width, false);
  const BufferView up(device.allocate(uint64_t{tokens} * shape.width * sizeof(float), "clblast"));
  const BufferView down(device.allocate(uint64_t{tokens} * shape.hidden * sizeof(float), "clblast"));
  std::vector<Matrix> stored;  // of expert e those from matrices * e on
  for (uint64_t i = 0; i < uint64_t{shape.experts} * matrices; ++i) {
    stored.push_back(random_matrix(device, rng, weights, false));
  }
  // How many tokens each expert has, for each set of experts.
  std::vector<std::map<uint32_t, uint32_t>> sets;
  for (uint32_t shift = 0; shift < shape.experts; shift += shape.active) {
    auto& set = sets.emplace_back();
    for (const uint32_t expert : route_tokens(shape, tokens, shift, 1)) ++set[expert];
  }
  const uint64_t pairs = uint64_t{tokens} * shape.active;
  ClblastWork result{.bytes = sets.front().size() * matrices * weights * sizeof(float) +
                              pairs * (shape.hidden + shape.width) * sizeof(float),
                     .flops = 2 * pairs * matrices * weights};
  result.work.count = sets.size();
  result.work.run = [=, &device, stored = std::move(stored), sets = std::move(sets)](size_t version) {
    for (const auto& [expert, tokens_of_expert] : sets[version]) {
      const Matrix* w = &stored[uint64_t{expert} * matrices];
      // Named here: clang 14 captures no structured binding.
      const uint32_t m = tokens_of_expert;
      const auto multiply = [&](uint32_t n, uint32_t k, const BufferView& a, const BufferView& c) {
        opencl::run_clblast_gemm(device,
                                 {.m = m, .n = n, .k = k, .b_transposed = true, .a = a, .b = (w++)->view, .c = c});
      };
      if (has_up) {
        multiply(shape.width, shape.hidden, x.view, up);
        multiply(shape.width, shape.hidden, x.view, up);
      }
      if (has_down) multiply(shape.hidden, shape.width, h.view, down);
    }
  };
  return result;
}

}  // namespace nibble::bench
