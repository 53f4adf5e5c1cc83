// Inventory: what a checkpoint holds, counted from tensor names and sizes alone, so that it also describes one that is
// incomplete. Nothing of the weights is read. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/checkpoint/checkpoint.h"

namespace nibble {

// A number of tensors together. `parameters` counts weights, two for a byte of FP4; block scales and the table of
// hash-routed experts are not parameters.
struct TensorTotals {
  uint64_t tensors = 0;
  uint64_t bytes = 0;
  uint64_t parameters = 0;
  std::map<std::string, uint64_t> bytes_by_dtype;  // "FP4", otherwise the file's names; scales count with F8_E8M0

  void add(const TensorView& tensor, bool fp4);
  // The dtypes that hold parameters, "FP4, BF16", most bytes first.
  std::string dtypes() const;
};

struct LayerInventory {
  LayerPlan plan;
  TensorTotals attention;
  TensorTotals experts;
  TensorTotals all;
};

struct Inventory {
  // In this order. "unused" is what lies beside the trunk and no MTP block: draft heads, vision encoders, unknown
  // names.
  static constexpr std::string_view kKinds[] = {"experts", "shared", "attention", "embedding",
                                                "head",    "other",  "mtp",       "unused"};

  std::vector<LayerInventory> layers;
  std::map<std::string_view, TensorTotals> by_kind;
  TensorTotals all;
  // Of the main model, without what lies beside it: all, and those that one token meets.
  uint64_t parameters = 0;
  uint64_t active_parameters = 0;
};

Inventory take_inventory(const Checkpoint& checkpoint);

}  // namespace nibble
