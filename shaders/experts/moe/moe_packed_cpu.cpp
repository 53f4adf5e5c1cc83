#include "shaders/experts/moe/moe_packed_cpu.h"

#include "shaders/experts/moe/moe_cpu_common.h"

#if defined(__x86_64__)

namespace nibble {
namespace {

template <WeightFormat kFormat, CpuIsa kIsa, typename P>
const PackedDot& method(const CpuArgs& args) {
  return packed_dot<kFormat, kIsa>(static_cast<XKind>(args.get<P>().x_kind));
}

// Scratch: the sorted pairs, then `rows` packed rows of activations.
template <WeightFormat kFormat, CpuIsa kIsa, typename P, uint64_t (*kRows)(const CpuArgs&)>
uint64_t scratch_bytes(const CpuArgs& args) {
  const size_t row = method<kFormat, kIsa, P>(args).packed_bytes(args.get<P>().cols);
  return sorted_pairs_bytes(moe_pairs<P>(args)) + kRows(args) * row;
}

template <WeightFormat kFormat, CpuIsa kIsa, typename P>
void prepare(const CpuArgs& args, uint64_t begin, uint64_t end) {
  if (begin == 0) moe_sort_pairs<P>(args);
  const PackedDot& dot = method<kFormat, kIsa, P>(args);
  const uint32_t cols = args.get<P>().cols;
  const size_t row_bytes = dot.packed_bytes(cols);
  std::byte* packed = args.scratch.data() + sorted_pairs_bytes(moe_pairs<P>(args));
  const auto* x = args.bindings[0].as<const float>();
  for (uint64_t row = begin; row < end; ++row) dot.pack(x + row * cols, cols, packed + row * row_bytes);
}

// What run() of either kernel reads.
template <WeightFormat kFormat, CpuIsa kIsa, typename P>
struct Prepared {
  explicit Prepared(const CpuArgs& args)
      : p(args.get<P>()),
        dot(method<kFormat, kIsa, P>(args)),
        sorted(read_sorted_pairs(args.scratch)),
        packed(args.scratch.data() + sorted_pairs_bytes(moe_pairs<P>(args))),
        row_bytes(dot.packed_bytes(p.cols)) {}

  P p;
  const PackedDot& dot;
  SortedPairs sorted;
  const std::byte* packed;
  size_t row_bytes;
};

constexpr uint32_t blocks_of(uint32_t rows) { return (rows + kPackedRows - 1) / kPackedRows; }

// ---- up: an item is a block of rows of one expert, for all of its pairs ------------------------------------------

uint64_t tokens(const CpuArgs& args) { return args.step.n_tokens; }

uint64_t up_items(const CpuArgs& args) {
  return read_sorted_pairs(args.scratch).experts.size() * blocks_of(args.get<MoeUpParams>().rows);
}

void write_h(const MoeUpParams& p, const CpuArgs& args, std::span<const uint32_t> pairs, const float* gates,
             const float* ups, uint32_t row, uint32_t rows) {
  const auto* weights = args.bindings[2].as<const float>();
  auto* h = args.bindings[7].as<float>();
  for (size_t i = 0; i < pairs.size(); ++i) {
    float* to = h + size_t{pairs[i]} * p.rows + row;
    moe_gate_avx512(gates + i * kPackedRows, ups + i * kPackedRows, rows, p.limit, weights[pairs[i]], to);
  }
}

template <WeightFormat kFormat, CpuIsa kIsa>
void up_block(const CpuArgs& args, const Prepared<kFormat, kIsa, MoeUpParams>& in, size_t run, uint32_t row) {
  const MoeUpParams& p = in.p;
  const uint32_t item = in.sorted.experts[run] - p.expert_begin;
  const WeightBlock w1 = moe_rows<kFormat>(args.bindings[3], args.bindings[4], item, p.rows, p.cols, row, kPackedRows);
  const WeightBlock w3 = moe_rows<kFormat>(args.bindings[5], args.bindings[6], item, p.rows, p.cols, row, kPackedRows);
  std::span<const uint32_t> pairs = in.sorted.pairs_of(run);
  float gates[kPackedTokens * kPackedRows];
  float ups[kPackedTokens * kPackedRows];
  while (!pairs.empty()) {
    const std::span<const uint32_t> now = pairs.first(std::min<size_t>(pairs.size(), kPackedTokens));
    const std::byte* x[kPackedTokens];
    for (size_t i = 0; i < now.size(); ++i) x[i] = in.packed + now[i] / p.k * in.row_bytes;
    in.dot.multiply(w1, x, static_cast<uint32_t>(now.size()), gates);
    in.dot.multiply(w3, x, static_cast<uint32_t>(now.size()), ups);
    write_h(p, args, now, gates, ups, row, w1.rows);
    pairs = pairs.subspan(now.size());
  }
}

template <WeightFormat kFormat, CpuIsa kIsa>
void up_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const Prepared<kFormat, kIsa, MoeUpParams> in(args);
  const uint32_t blocks = blocks_of(in.p.rows);
  for (uint64_t item = begin; item < end; ++item) {
    up_block<kFormat, kIsa>(args, in, item / blocks, static_cast<uint32_t>(item % blocks) * kPackedRows);
  }
}

// ---- down: an item is a block of output rows, for all tokens; experts add to it in ascending order ---------------

uint64_t down_items(const CpuArgs& args) {
  return args.step.n_tokens == 0 ? 0 : blocks_of(args.get<MoeDownParams>().rows);
}

template <WeightFormat kFormat, CpuIsa kIsa>
WeightBlock down_rows(const CpuArgs& args, const Prepared<kFormat, kIsa, MoeDownParams>& in, size_t run, uint32_t row) {
  return moe_rows<kFormat>(args.bindings[2], args.bindings[3], in.sorted.experts[run] - in.p.expert_begin, in.p.rows,
                           in.p.cols, row, kPackedRows);
}

template <WeightFormat kFormat, CpuIsa kIsa>
void down_block(const CpuArgs& args, const Prepared<kFormat, kIsa, MoeDownParams>& in, size_t run, uint32_t row,
                const std::byte* next) {
  const MoeDownParams& p = in.p;
  auto* y = args.bindings[4].as<float>();
  WeightBlock w2 = down_rows(args, in, run, row);
  w2.next = next;
  std::span<const uint32_t> pairs = in.sorted.pairs_of(run);
  float sums[kPackedTokens * kPackedRows];
  while (!pairs.empty()) {
    const std::span<const uint32_t> now = pairs.first(std::min<size_t>(pairs.size(), kPackedTokens));
    const std::byte* h[kPackedTokens];
    for (size_t i = 0; i < now.size(); ++i) {
      h[i] = in.packed + now[i] * in.row_bytes;
      const float* to = y + size_t{now[i] / p.k} * p.rows + row;
      for (uint32_t r = 0; r < w2.rows; r += 16) __builtin_prefetch(to + r, 1, 2);
    }
    in.dot.multiply(w2, h, static_cast<uint32_t>(now.size()), sums);
    for (size_t i = 0; i < now.size(); ++i) {
      float* to = y + size_t{now[i] / p.k} * p.rows + row;
      for (uint32_t r = 0; r < w2.rows; ++r) to[r] += sums[i * kPackedRows + r];
    }
    pairs = pairs.subspan(now.size());
  }
}

// Expert after expert over all rows of the range, so that each matrix is read in one long run. A run is short where an
// expert's rows are: what the next expert's starts with is fetched early.
template <WeightFormat kFormat, CpuIsa kIsa>
void down_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const Prepared<kFormat, kIsa, MoeDownParams> in(args);
  const uint32_t first = static_cast<uint32_t>(begin) * kPackedRows;
  const uint32_t last = std::min(in.p.rows, static_cast<uint32_t>(end) * kPackedRows);
  auto* y = args.bindings[4].as<float>();
  for (uint32_t t = 0; t < args.step.n_tokens && in.p.accumulate == 0; ++t) {
    std::fill_n(y + size_t{t} * in.p.rows + first, last - first, 0.0f);
  }
  for (size_t run = 0; run < in.sorted.experts.size(); ++run) {
    for (uint32_t row = first; row < last; row += kPackedRows) {
      const bool jumps = row + kPackedRows >= last && run + 1 < in.sorted.experts.size();
      down_block(args, in, run, row, jumps ? down_rows(args, in, run + 1, first).codes : nullptr);
    }
  }
}

}  // namespace

template <WeightFormat kFormat, CpuIsa kIsa>
CpuKernel moe_up_packed(std::string_view name) {
  return {.kernel = name,
          .variant = packed_variant(kIsa),
          .isa = kIsa,
          .items = up_items,
          .run = up_run<kFormat, kIsa>,
          .scratch_bytes = scratch_bytes<kFormat, kIsa, MoeUpParams, tokens>,
          .prepare_items = tokens,
          .prepare = prepare<kFormat, kIsa, MoeUpParams>};
}

template <WeightFormat kFormat, CpuIsa kIsa>
CpuKernel moe_down_packed(std::string_view name) {
  return {.kernel = name,
          .variant = packed_variant(kIsa),
          .isa = kIsa,
          .items = down_items,
          .run = down_run<kFormat, kIsa>,
          .scratch_bytes = scratch_bytes<kFormat, kIsa, MoeDownParams, moe_pairs<MoeDownParams>>,
          .prepare_items = moe_pairs<MoeDownParams>,
          .prepare = prepare<kFormat, kIsa, MoeDownParams>};
}

template CpuKernel moe_up_packed<WeightFormat::kFp4, CpuIsa::kAvx512>(std::string_view);
template CpuKernel moe_up_packed<WeightFormat::kFp4, CpuIsa::kAvx512Dot>(std::string_view);
template CpuKernel moe_up_packed<WeightFormat::kFp8, CpuIsa::kAvx512>(std::string_view);
template CpuKernel moe_up_packed<WeightFormat::kFp8, CpuIsa::kAvx512Dot>(std::string_view);
template CpuKernel moe_down_packed<WeightFormat::kFp4, CpuIsa::kAvx512>(std::string_view);
template CpuKernel moe_down_packed<WeightFormat::kFp4, CpuIsa::kAvx512Dot>(std::string_view);
template CpuKernel moe_down_packed<WeightFormat::kFp8, CpuIsa::kAvx512>(std::string_view);
template CpuKernel moe_down_packed<WeightFormat::kFp8, CpuIsa::kAvx512Dot>(std::string_view);

}  // namespace nibble

#endif
