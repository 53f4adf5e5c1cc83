#include "bench/moe_bench.h"

#include <set>

#include "bench/clblast_baseline.h"
#include "runtime/base/error.h"

namespace nibble::bench {
namespace {

// What the numerics allow at best: rounded activations are exact in bf16, coarse ones may become int8.
MathCeiling math_ceiling(Numerics numerics) {
  switch (numerics) {
    case Numerics::kReference:
      return MathCeiling::kBf16;
    case Numerics::kFast:
      return MathCeiling::kInt8;
    case Numerics::kPlain:
      break;
  }
  return MathCeiling::kF32;
}

std::string shape_text_of(const MoeShape& shape, MoePart part) {
  const bool up = part == MoePart::kUp;
  const std::string experts = fmt::format("experts={},active={}", shape.experts, shape.active);
  if (part == MoePart::kBlock) return fmt::format("{},hidden={},width={}", experts, shape.hidden, shape.width);
  return fmt::format("{},rows={},cols={}", experts, up ? shape.width : shape.hidden, up ? shape.hidden : shape.width);
}

// Whether a set of experts leaves others unused: else the same data come every time anyway.
bool has_warm(const MoeShape& shape, uint32_t tokens) {
  const std::vector<uint32_t> ids = route_tokens(shape, tokens, 0, 1);
  return std::set<uint32_t>(ids.begin(), ids.end()).size() < shape.experts;
}

}  // namespace

std::vector<Row> run_moe_bench(Device& device, Ceilings& ceilings, const MoeBenchOptions& options,
                               const std::function<void(const Row&)>& on_row) {
  const double empty = empty_seconds(device);
  std::vector<Row> rows;
  const auto add = [&](MoePart part, uint32_t tokens, bool warm, const std::string& variant, Cost cost,
                       const PairedTimes& times, MathCeiling math) {
    Row row{.device = device.info().name,
            .driver = driver_text(device.info()),
            .kernel = fmt::format("moe_{}_fp4", name_of(part)),
            .variant = variant,
            .shape = shape_text_of(options.shape, part),
            .data = warm ? "warm" : "cold",
            .numerics = std::string(name_of(options.numerics)),
            .tokens = tokens,
            .bytes = cost.bytes,
            .flops = cost.flops};
    fill_row(row, times, math, empty);
    rows.push_back(row);
    if (on_row) on_row(row);
  };
  const MoeProblem problem(device, options.shape);
  for (const MoePart part : options.parts) {
    for (const uint32_t tokens : options.tokens) {
      const Workload workload = problem.workload(part, tokens, options.numerics);
      check_outputs(device, workload, fmt::format("moe {} of {} tokens", name_of(part), tokens));
      for (const bool warm : {false, true}) {
        if (warm && !has_warm(options.shape, tokens)) continue;
        add(part, tokens, warm, workload.variant(), {.bytes = workload.bytes, .flops = workload.flops},
            measure_pairs(device, workload, warm, ceilings, options.measure), math_ceiling(options.numerics));
      }
      if (!options.baseline || device.info().backend != BackendKind::kOpenCl) continue;
      const ClblastWork products = clblast_moe(device, options.shape, part, tokens);
      add(part, tokens, false, std::string(kClblastVariant), {.bytes = products.bytes, .flops = products.flops},
          measure_pairs(products.work, false, ceilings, options.measure), MathCeiling::kF32);
    }
  }
  return rows;
}

}  // namespace nibble::bench
