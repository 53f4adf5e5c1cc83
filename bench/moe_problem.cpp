#include "bench/moe_problem.h"

#include <algorithm>
#include <set>

#include "bench/kernel_problem.h"
#include "host/layers/layers.h"
#include "host/placement/weight_placer.h"
#include "runtime/base/error.h"
#include "runtime/base/rng.h"
#include "shaders/common/spec_util.h"

namespace nibble::bench {
namespace {

// One of w1, w2, w3 of all experts, contiguous as in a checkpoint.
struct StoredMatrices {
  std::vector<std::byte> weights;
  std::vector<std::byte> scales;
  std::vector<TensorView> weight_views;
  std::vector<TensorView> scale_views;
};

std::vector<std::byte> random_fp4(Rng& rng, size_t bytes) {
  std::vector<std::byte> result((bytes + 7) / 8 * 8);
  for (size_t at = 0; at < result.size(); at += 8) {
    const uint64_t word = rng.next_u64();
    std::memcpy(result.data() + at, &word, 8);
  }
  return result;
}

WeightFormat format_of(const MoeShape& shape) { return shape.fp8 ? WeightFormat::kFp8 : WeightFormat::kFp4; }

StoredMatrices random_matrices(Rng& rng, const MoeShape& shape, uint32_t rows, uint32_t cols, const std::string& name) {
  StoredMatrices stored;
  const uint32_t experts = shape.experts;
  const size_t weight_bytes = rows * weight_row_bytes(format_of(shape), cols);
  const size_t scale_bytes = nibble::scale_bytes(format_of(shape), rows, cols);
  stored.weights = shape.fp8 ? random_e4m3(rng, experts * weight_bytes) : random_fp4(rng, experts * weight_bytes);
  stored.scales = shape.fp8 ? random_scales(rng, experts * scale_bytes, 108, 114)
                            : random_scales(rng, experts * scale_bytes, 116, 122);
  for (uint32_t e = 0; e < experts; ++e) {
    stored.weight_views.push_back(
        {.name = name, .data = std::span(stored.weights).subspan(e * weight_bytes, weight_bytes)});
    stored.scale_views.push_back(
        {.name = name + ".scale", .data = std::span(stored.scales).subspan(e * scale_bytes, scale_bytes)});
  }
  return stored;
}

WeightMatrix matrix_of(const StoredMatrices& stored, WeightFormat format, uint32_t expert, uint32_t rows,
                       uint32_t cols) {
  return {.format = format,
          .rows = rows,
          .cols = cols,
          .weight = &stored.weight_views[expert],
          .scale = &stored.scale_views[expert]};
}

XKind x_kind_of(Numerics numerics) {
  switch (numerics) {
    case Numerics::kReference:
      return XKind::kFp8;
    case Numerics::kFast:
      return XKind::kCoarse;
    case Numerics::kPlain:
      break;
  }
  return XKind::kFloat;
}

template <typename T>
BufferView upload(Device& device, const std::vector<T>& values, const std::string& label) {
  const auto buffer = device.allocate((values.size() * sizeof(T) + 15) / 16 * 16, label);
  device.upload(buffer, std::as_bytes(std::span(values)));
  return buffer;
}

// The dispatches of one part. Grouping tokens by expert belongs to the first product.
DispatchList part_of(const DispatchList& block, MoePart part) {
  const std::span<const Dispatch> all = block.dispatches();
  const auto last_up = std::find_if(
      all.rbegin(), all.rend(), [](const Dispatch& dispatch) { return dispatch.kernel->name.starts_with("moe_up"); });
  check(last_up != all.rend(), "an expert block without moe_up");
  const auto up_end = static_cast<size_t>(all.rend() - last_up);
  DispatchList list;
  for (size_t i = 0; i < all.size(); ++i) {
    const bool up = i < up_end;
    const bool down = !up && all[i].kernel->name.starts_with("moe_");
    if (part == MoePart::kBlock || (part == MoePart::kUp && up) || (part == MoePart::kDown && down)) list.add(all[i]);
  }
  list.set_step_words(block.step_words());
  return list;
}

}  // namespace

std::string_view name_of(MoePart part) {
  switch (part) {
    case MoePart::kUp:
      return "up";
    case MoePart::kDown:
      return "down";
    case MoePart::kBlock:
      return "block";
  }
  return "?";
}

std::vector<uint32_t> route_tokens(const MoeShape& shape, uint32_t tokens, uint32_t shift, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint32_t> order(shape.experts);
  for (uint32_t e = 0; e < shape.experts; ++e) order[e] = e;
  std::vector<uint32_t> ids;
  for (uint32_t t = 0; t < tokens; ++t) {
    for (uint32_t j = 0; j < shape.active; ++j) {
      if (t > 0) std::swap(order[j], order[j + rng.below(shape.experts - j)]);
      ids.push_back((order[j] + shift) % shape.experts);
    }
  }
  return ids;
}

MoeProblem::MoeProblem(Device& device, const MoeShape& shape, uint64_t seed)
    : device_(device), shape_(shape), seed_(seed) {
  struct Stored {
    StoredMatrices w1, w2, w3;
  };
  Rng rng(seed);
  const auto stored = std::make_shared<Stored>();
  stored->w1 = random_matrices(rng, shape, shape.width, shape.hidden, "experts.w1");
  stored->w2 = random_matrices(rng, shape, shape.hidden, shape.width, "experts.w2");
  stored->w3 = random_matrices(rng, shape, shape.width, shape.hidden, "experts.w3");
  const WeightFormat format = format_of(shape);
  std::vector<ExpertWeights> experts(shape.experts);
  for (uint32_t e = 0; e < shape.experts; ++e) {
    experts[e] = {.w1 = matrix_of(stored->w1, format, e, shape.width, shape.hidden),
                  .w2 = matrix_of(stored->w2, format, e, shape.hidden, shape.width),
                  .w3 = matrix_of(stored->w3, format, e, shape.width, shape.hidden)};
  }
  const uint64_t total = 3 * (stored->w1.weights.size() + stored->w1.scales.size());
  WeightPlacer placer(device, stored, total, {});
  weights_.w1 = placer.experts(experts, &ExpertWeights::w1);
  weights_.w2 = placer.experts(experts, &ExpertWeights::w2);
  weights_.w3 = placer.experts(experts, &ExpertWeights::w3);
}

Workload MoeProblem::record(uint32_t tokens, Numerics numerics,
                            const std::function<DispatchList(const DispatchList& block)>& select) const {
  ModelConfig config;
  config.hidden_size = shape_.hidden;
  config.moe_intermediate_size = shape_.width;
  config.n_routed_experts = shape_.experts;
  config.num_experts_per_tok = shape_.active;
  config.swiglu_limit = 10;
  const StepLayout layout(config, tokens);
  Rng rng(seed_ + tokens);
  const XKind x_kind = x_kind_of(numerics);
  const BufferView x =
      upload(device_, spec::activations(rng, tokens, shape_.hidden, static_cast<uint32_t>(x_kind)), "x");
  std::vector<float> routing_weights(size_t{tokens} * shape_.active);
  for (float& weight : routing_weights) weight = static_cast<float>(rng.uniform(0.1, 0.5));
  const BufferView weights = upload(device_, routing_weights, "weights");

  const ProgramOptions options{.numerics = numerics};
  Workload workload;
  workload.step = spec::step_words({.n_tokens = tokens});
  workload.step.resize(layout.words);
  for (uint32_t shift = 0; shift < shape_.experts; shift += shape_.active) {
    const Routing routing{.ids = upload(device_, route_tokens(shape_, tokens, shift, seed_), "ids"),
                          .weights = weights};
    DispatchList block;
    Builder builder(block, config, device_.info(), layout, options, 1);
    builder.set_scope("bench");
    append_routed(builder, weights_, routing, {x, x_kind});
    block.set_step_words(layout.words);
    place_temporaries(device_, block);
    // What a later part reads must be there: the whole block runs once.
    const auto whole = device_.record(block);
    device_.wait(device_.submit(*whole, workload.step));
    const DispatchList selected = select(block);
    if (selected.dispatches().empty()) return workload;
    if (workload.programs.empty()) {
      // h has been poison before, and every pair is written; a part of y is added to only by what comes after the
      // first.
      workload.outputs = written_floats(selected.dispatches().back());
      for (Output& output : workload.outputs) output.replaced = true;
    }
    workload.programs.push_back(device_.record(selected));
  }
  return workload;
}

Cost MoeProblem::weight_cost(uint64_t matrices, uint32_t tokens) const {
  const std::vector<uint32_t> ids = route_tokens(shape_, tokens, 0, seed_);
  const uint64_t used = std::set<uint32_t>(ids.begin(), ids.end()).size();
  const uint64_t bytes = shape_.width * weight_row_bytes(format_of(shape_), shape_.hidden) +
                         scale_bytes(format_of(shape_), shape_.width, shape_.hidden);
  return {.bytes = used * matrices * bytes, .flops = 2 * ids.size() * matrices * shape_.width * shape_.hidden};
}

Workload MoeProblem::workload(MoePart part, uint32_t tokens, Numerics numerics) const {
  Workload workload = record(tokens, numerics, [part](const DispatchList& block) { return part_of(block, part); });
  const bool block = part == MoePart::kBlock;
  const Cost cost = weight_cost(block ? 3 : part == MoePart::kUp ? 2 : 1, tokens);
  const uint64_t x_bytes = uint64_t{tokens} * shape_.hidden * 4;  // as large as y
  const uint64_t h_bytes = uint64_t{tokens} * shape_.active * shape_.width * 4;
  workload.bytes = cost.bytes + (block ? 2 * x_bytes : x_bytes + h_bytes);
  workload.flops = cost.flops;
  return workload;
}

Workload MoeProblem::workload(const KernelSpec& kernel, uint32_t tokens, Numerics numerics) const {
  Cost total;
  Workload workload = record(tokens, numerics, [&](const DispatchList& block) {
    DispatchList list;
    list.set_step_words(block.step_words());
    total = {};
    for (const Dispatch& dispatch : block.dispatches()) {
      if (dispatch.kernel != &kernel) continue;
      list.add(dispatch);
      if (kernel.cost == nullptr) continue;
      const Cost cost = kernel.cost(dispatch.params, {.n_tokens = tokens});
      total.bytes += cost.bytes;
      total.flops += cost.flops;
    }
    return list;
  });
  // A spec knows the params only; which experts the ids name is known here.
  const bool up = kernel.name.starts_with("moe_up");
  if (up || kernel.name.starts_with("moe_down") || kernel.name.starts_with("moe_pairs")) {
    total = weight_cost(up ? 2 : 1, tokens);
    const uint64_t h_bytes = uint64_t{tokens} * shape_.active * shape_.width * 4;
    const uint64_t per_pair = kernel.name.starts_with("moe_pairs") ? shape_.active : 1;
    total.bytes += h_bytes + uint64_t{tokens} * per_pair * shape_.hidden * 4;
  }
  workload.bytes = total.bytes;
  workload.flops = total.flops;
  return workload;
}

}  // namespace nibble::bench
