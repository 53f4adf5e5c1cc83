#include "shaders/experts/moe/moe_cpu_common.h"
#include "shaders/experts/moe/moe_packed_cpu.h"

namespace nibble {
namespace {

constexpr uint32_t kRowBlock = 32;

uint32_t row_blocks(uint32_t rows) { return (rows + kRowBlock - 1) / kRowBlock; }

uint64_t one_item(const CpuArgs&) { return 1; }

template <typename P>
uint64_t scratch_bytes(const CpuArgs& args) {
  return sorted_pairs_bytes(moe_pairs<P>(args));
}

template <typename P>
void prepare(const CpuArgs& args, uint64_t, uint64_t) {
  moe_sort_pairs<P>(args);
}

// ---- up: an item is a block of rows of one expert, for all of its pairs ------------------------------------------

uint64_t up_items(const CpuArgs& args) {
  return read_sorted_pairs(args.scratch).experts.size() * row_blocks(args.get<MoeUpParams>().rows);
}

template <WeightFormat kFormat, CpuIsa kIsa>
void up_block(const CpuArgs& args, const MoeUpParams& p, const SortedPairs& sorted, size_t run, uint32_t row) {
  const auto* x = args.bindings[0].as<const float>();
  const auto* weights = args.bindings[2].as<const float>();
  auto* h = args.bindings[7].as<float>();
  const uint32_t item = sorted.experts[run] - p.expert_begin;
  const WeightBlock w1 = moe_rows<kFormat>(args.bindings[3], args.bindings[4], item, p.rows, p.cols, row, kRowBlock);
  const WeightBlock w3 = moe_rows<kFormat>(args.bindings[5], args.bindings[6], item, p.rows, p.cols, row, kRowBlock);
  float gates[kRowBlock * kMaxDotTokens];
  float ups[kRowBlock * kMaxDotTokens];
  for (uint32_t first = sorted.begins[run]; first < sorted.begins[run + 1]; first += kMaxDotTokens) {
    const uint32_t count = std::min(kMaxDotTokens, sorted.begins[run + 1] - first);
    const float* rows_of_x[kMaxDotTokens];
    for (uint32_t i = 0; i < count; ++i) rows_of_x[i] = x + size_t{sorted.pairs[first + i] / p.k} * p.cols;
    weight_dot<kFormat, kIsa>(w1, rows_of_x, count, gates);
    weight_dot<kFormat, kIsa>(w3, rows_of_x, count, ups);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t pair = sorted.pairs[first + i];
      float* to = h + size_t{pair} * p.rows + row;
      for (uint32_t r = 0; r < w1.rows; ++r) {
        to[r] = moe_swiglu(gates[r * kMaxDotTokens + i], ups[r * kMaxDotTokens + i], p.limit) * weights[pair];
      }
    }
  }
}

template <WeightFormat kFormat, CpuIsa kIsa>
void up_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<MoeUpParams>();
  const SortedPairs sorted = read_sorted_pairs(args.scratch);
  const uint32_t blocks = row_blocks(p.rows);
  for (uint64_t item = begin; item < end; ++item) {
    up_block<kFormat, kIsa>(args, p, sorted, item / blocks, static_cast<uint32_t>(item % blocks) * kRowBlock);
  }
}

// ---- down: an item is a block of output rows, for all tokens; experts add to it in ascending order ---------------

uint64_t down_items(const CpuArgs& args) {
  return args.step.n_tokens == 0 ? 0 : row_blocks(args.get<MoeDownParams>().rows);
}

template <WeightFormat kFormat, CpuIsa kIsa>
void down_block(const CpuArgs& args, const MoeDownParams& p, const SortedPairs& sorted, uint32_t row) {
  const auto* h = args.bindings[0].as<const float>();
  float* y = args.bindings[4].as<float>() + row;
  const uint32_t rows = std::min(kRowBlock, p.rows - row);
  for (uint32_t t = 0; t < args.step.n_tokens && p.accumulate == 0; ++t)
    std::fill_n(y + size_t{t} * p.rows, rows, 0.0f);
  float sums[kRowBlock * kMaxDotTokens];
  for (size_t run = 0; run < sorted.experts.size(); ++run) {
    const uint32_t item = sorted.experts[run] - p.expert_begin;
    const WeightBlock w2 = moe_rows<kFormat>(args.bindings[2], args.bindings[3], item, p.rows, p.cols, row, kRowBlock);
    for (uint32_t first = sorted.begins[run]; first < sorted.begins[run + 1]; first += kMaxDotTokens) {
      const uint32_t count = std::min(kMaxDotTokens, sorted.begins[run + 1] - first);
      const float* rows_of_h[kMaxDotTokens];
      for (uint32_t i = 0; i < count; ++i) rows_of_h[i] = h + size_t{sorted.pairs[first + i]} * p.cols;
      weight_dot<kFormat, kIsa>(w2, rows_of_h, count, sums);
      for (uint32_t i = 0; i < count; ++i) {
        float* to = y + size_t{sorted.pairs[first + i] / p.k} * p.rows;
        for (uint32_t r = 0; r < rows; ++r) to[r] += sums[r * kMaxDotTokens + i];
      }
    }
  }
}

template <WeightFormat kFormat, CpuIsa kIsa>
void down_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<MoeDownParams>();
  const SortedPairs sorted = read_sorted_pairs(args.scratch);
  for (uint64_t block = begin; block < end; ++block) {
    down_block<kFormat, kIsa>(args, p, sorted, static_cast<uint32_t>(block) * kRowBlock);
  }
}

template <WeightFormat kFormat, CpuIsa kIsa>
CpuKernel up_kernel(std::string_view name, std::string_view variant) {
  return {.kernel = name,
          .variant = variant,
          .isa = kIsa,
          .items = up_items,
          .run = up_run<kFormat, kIsa>,
          .scratch_bytes = scratch_bytes<MoeUpParams>,
          .prepare_items = one_item,
          .prepare = prepare<MoeUpParams>};
}

template <WeightFormat kFormat, CpuIsa kIsa>
CpuKernel down_kernel(std::string_view name, std::string_view variant) {
  return {.kernel = name,
          .variant = variant,
          .isa = kIsa,
          .items = down_items,
          .run = down_run<kFormat, kIsa>,
          .scratch_bytes = scratch_bytes<MoeDownParams>,
          .prepare_items = one_item,
          .prepare = prepare<MoeDownParams>};
}

template <WeightFormat kFormat>
std::vector<CpuKernel> moe_up_cpu_kernels(std::string_view name) {
  std::vector<CpuKernel> kernels = {up_kernel<kFormat, CpuIsa::kBaseline>(name, "cpp")};
  if constexpr (kHasX86Simd) {
    kernels.push_back(up_kernel<kFormat, CpuIsa::kAvx2>(name, "avx2"));
    kernels.push_back(moe_up_packed<kFormat, CpuIsa::kAvx512>(name));
    kernels.push_back(moe_up_packed<kFormat, CpuIsa::kAvx512Dot>(name));
  }
  return kernels;
}

template <WeightFormat kFormat>
std::vector<CpuKernel> moe_down_cpu_kernels(std::string_view name) {
  std::vector<CpuKernel> kernels = {down_kernel<kFormat, CpuIsa::kBaseline>(name, "cpp")};
  if constexpr (kHasX86Simd) {
    kernels.push_back(down_kernel<kFormat, CpuIsa::kAvx2>(name, "avx2"));
    kernels.push_back(moe_down_packed<kFormat, CpuIsa::kAvx512>(name));
    kernels.push_back(moe_down_packed<kFormat, CpuIsa::kAvx512Dot>(name));
  }
  return kernels;
}

}  // namespace

std::vector<CpuKernel> cpu_kernels::moe_up_fp4_f32() {
  return moe_up_cpu_kernels<WeightFormat::kFp4>("moe_up_fp4_f32");
}

std::vector<CpuKernel> cpu_kernels::moe_up_fp8_f32() {
  return moe_up_cpu_kernels<WeightFormat::kFp8>("moe_up_fp8_f32");
}

std::vector<CpuKernel> cpu_kernels::moe_down_fp4_f32() {
  return moe_down_cpu_kernels<WeightFormat::kFp4>("moe_down_fp4_f32");
}

std::vector<CpuKernel> cpu_kernels::moe_down_fp8_f32() {
  return moe_down_cpu_kernels<WeightFormat::kFp8>("moe_down_fp8_f32");
}

}  // namespace nibble
