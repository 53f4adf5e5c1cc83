// compress_pool_f32 on the host's processor: which rows go into an entry. The softmax over them is written per
// instruction set.
#pragma once

#include <algorithm>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/compressor/compress_pool_f32/compress_pool_f32.h"

namespace nibble {

CpuKernel compress_pool_f32_avx512();  // x86-64 only

namespace {

constexpr uint32_t kPoolTile = 64;  // columns of one item

uint64_t compress_pool_items(const CpuArgs& args) {
  const auto p = args.get<CompressPoolParams>();
  return uint64_t{GridDim::entries(p.ratio).evaluate(args.step)} * ((p.width + kPoolTile - 1) / kPoolTile);
}

// Where the rows of a window lie: az of this chunk or of an earlier one.
class PoolWindow {
 public:
  PoolWindow(const CpuArgs& args, const CompressPoolParams& p, uint32_t row)
      : args_(args),
        p_(p),
        entry_(args.step.position / p.ratio + row),
        cw_(size_t{p.width} << (p.overlap != 0 ? 1 : 0)) {}

  // body(a, z, ape) for each row of the entry's windows; columns from `first` on.
  template <typename Body>
  void each_row(uint32_t first, const Body& body) const {
    const uint32_t position = args_.step.position;
    for (uint32_t back = p_.overlap != 0 && entry_ > 0 ? 2 : 1; back > 0; --back) {
      const size_t column = first + (p_.overlap != 0 && back == 1 ? p_.width : 0);
      for (uint32_t i = 0; i < p_.ratio; ++i) {
        const uint32_t at = (entry_ + 1 - back) * p_.ratio + i;
        const float* source = at >= position ? args_.bindings[0].as<float>() + (at - position) * 2 * cw_
                                             : args_.bindings[2].as<float>() + at % p_.slots * 2 * cw_;
        const float* ape = args_.bindings[1].as<float>() + i * cw_;
        body(source + column, source + cw_ + column, ape + column);
      }
    }
  }

 private:
  const CpuArgs& args_;
  const CompressPoolParams& p_;
  uint32_t entry_;
  size_t cw_;
};

using PoolTile = void (*)(float* y, const PoolWindow& window, uint32_t first, uint32_t columns);

template <PoolTile kPool>
void compress_pool_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<CompressPoolParams>();
  const uint32_t tiles = (p.width + kPoolTile - 1) / kPoolTile;
  for (uint64_t item = begin; item < end; ++item) {
    const auto row = static_cast<uint32_t>(item / tiles);
    const auto first = static_cast<uint32_t>(item % tiles) * kPoolTile;
    float* y = args.bindings[3].as<float>() + size_t{row} * p.width + first;
    kPool(y, PoolWindow(args, p, row), first, std::min(kPoolTile, p.width - first));
  }
}

}  // namespace
}  // namespace nibble
