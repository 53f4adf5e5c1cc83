// `nibble bench moe`: the expert block and its two products, from few tokens to many, with cold and warm weights.
#pragma once

#include <functional>
#include <vector>

#include "bench/measure.h"
#include "bench/moe_problem.h"

namespace nibble::bench {

struct MoeBenchOptions {
  MoeShape shape;
  std::vector<uint32_t> tokens = {1, 4, 16, 64, 256};
  std::vector<MoePart> parts = {MoePart::kUp, MoePart::kDown, MoePart::kBlock};
  Numerics numerics = Numerics::kReference;
  MeasureOptions measure;
  bool baseline = true;  // on OpenCL: the same products by CLBlast beside ours
};

// `on_row` is called as soon as a row is measured.
std::vector<Row> run_moe_bench(Device& device, Ceilings& ceilings, const MoeBenchOptions& options,
                               const std::function<void(const Row&)>& on_row = {});

}  // namespace nibble::bench
