#include "host/checkpoint/inventory.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace nibble {
namespace {

// What a canonical name says about its tensor.
struct Place {
  std::string_view kind = "other";
  std::optional<uint32_t> layer;
};

bool is_routed_expert(std::string_view name) { return name.find(".ffn.experts.") != std::string_view::npos; }

std::string_view kind_in_layer(std::string_view name) {
  if (is_routed_expert(name)) return "experts";
  if (name.find(".ffn.shared_experts.") != std::string_view::npos) return "shared";
  if (name.find(".attn.") != std::string_view::npos) return "attention";
  return "other";
}

Place place_of(std::string_view name, Draft draft) {
  constexpr std::string_view kLayers = "layers.";
  if (name.starts_with("mtp.")) return {.kind = draft == Draft::kMtp ? "mtp" : "unused"};
  if (!Checkpoint::is_of_trunk(name)) return {.kind = "unused"};
  if (name.starts_with("embed.")) return {.kind = "embedding"};
  if (name.starts_with("head.")) return {.kind = "head"};
  if (!name.starts_with(kLayers)) return {};
  uint32_t layer = 0;
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + kLayers.size(), end, layer);
  if (error != std::errc() || rest == end || *rest != '.') return {};
  return {.kind = kind_in_layer(name), .layer = layer};
}

bool holds_parameters(Dtype dtype) { return dtype != Dtype::kF8E8M0 && dtype != Dtype::kI32 && dtype != Dtype::kI64; }

}  // namespace

void TensorTotals::add(const TensorView& tensor, bool fp4) {
  tensors += 1;
  bytes += tensor.data.size();
  if (holds_parameters(tensor.dtype)) parameters += tensor.elements() * (fp4 ? 2 : 1);
  bytes_by_dtype[fp4 ? "FP4" : std::string(dtype_name(tensor.dtype))] += tensor.data.size();
}

std::string TensorTotals::dtypes() const {
  std::vector<std::pair<uint64_t, std::string>> sorted;
  for (const auto& [name, count] : bytes_by_dtype) {
    if (name == "FP4" || holds_parameters(*dtype_from_name(name))) sorted.emplace_back(count, name);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (const auto& [count, name] : sorted) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Inventory take_inventory(const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config();
  const Draft draft = checkpoint.draft();
  Inventory inventory;
  for (const std::string_view kind : Inventory::kKinds) inventory.by_kind[kind] = {};
  for (uint32_t i = 0; i < config.num_hidden_layers; ++i) {
    inventory.layers.push_back({.plan = config.layer_plan(i)});
  }
  for (const SafetensorsFile& shard : checkpoint.shards()) {
    for (const TensorView& tensor : shard.tensors()) {
      const std::string name = Checkpoint::canonical_name(tensor.name);
      const Place place = place_of(name, draft);
      const bool fp4 = tensor.dtype == Dtype::kI8 && is_routed_expert(name);
      inventory.by_kind[place.kind].add(tensor, fp4);
      inventory.all.add(tensor, fp4);
      if (!place.layer || *place.layer >= inventory.layers.size()) continue;
      LayerInventory& layer = inventory.layers[*place.layer];
      layer.all.add(tensor, fp4);
      if (place.kind == "attention") layer.attention.add(tensor, fp4);
      if (place.kind == "experts") layer.experts.add(tensor, fp4);
    }
  }
  const uint64_t routed = inventory.by_kind["experts"].parameters;
  inventory.parameters =
      inventory.all.parameters - inventory.by_kind["mtp"].parameters - inventory.by_kind["unused"].parameters;
  inventory.active_parameters =
      inventory.parameters - routed + routed / config.n_routed_experts * config.num_experts_per_tok;
  return inventory;
}

}  // namespace nibble
