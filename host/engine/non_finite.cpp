#include "host/engine/non_finite.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "runtime/base/error.h"

namespace nibble {
namespace {

// Whether the element of so many bytes at `data` is infinite or not a number.
bool is_odd(Dtype dtype, const std::byte* data) {
  uint32_t bits = 0;
  std::memcpy(&bits, data, dtype_bytes(dtype));
  switch (dtype) {
    case Dtype::kF32:
      return (bits & 0x7f800000u) == 0x7f800000u;
    case Dtype::kBf16:
      return (bits & 0x7f80u) == 0x7f80u;
    case Dtype::kF16:
      return (bits & 0x7c00u) == 0x7c00u;
    case Dtype::kF8E4M3:
      return (bits & 0x7fu) == 0x7fu;
    default:  // kF8E8M0
      return bits == 0xffu;
  }
}

bool can_be_odd(Dtype dtype) {
  return dtype == Dtype::kF32 || dtype == Dtype::kBf16 || dtype == Dtype::kF16 || dtype == Dtype::kF8E4M3 ||
         dtype == Dtype::kF8E8M0;
}

std::optional<std::string> odd_element(const std::string& name, const TensorView& tensor, uint64_t begin,
                                       uint64_t end) {
  if (!can_be_odd(tensor.dtype)) return std::nullopt;
  const uint64_t bytes = dtype_bytes(tensor.dtype);
  for (uint64_t i = begin; i < end; ++i) {
    if (!is_odd(tensor.dtype, &tensor.data[i * bytes])) continue;
    return fmt::format("'{}' ({}) has a value that is infinite or not a number, at element {}", name,
                       dtype_name(tensor.dtype), i);
  }
  return std::nullopt;
}

std::optional<std::string> odd_embedding(const Checkpoint& checkpoint, uint32_t token) {
  const TensorView* embed = checkpoint.find("embed.weight");
  if (embed == nullptr || embed->shape.size() != 2 || token >= embed->shape[0]) return std::nullopt;
  return odd_element("embed.weight", *embed, token * embed->shape[1], (uint64_t{token} + 1) * embed->shape[1]);
}

struct Place {
  uint32_t position = 0;
  size_t layer = 0;
};

// Runs the tokens again and looks at what every layer gives.
class Search {
 public:
  Search(const std::shared_ptr<Model>& model, const FailedRun& run) : run_(run) {
    SessionOptions options = run.options;
    options.all_logits = false;
    options.mtp = false;
    options.capture = true;
    options.check_finite = false;
    session_ = Session::create(model, options);
  }

  // Nothing where all layers are finite.
  std::optional<Place> find() {
    uint32_t begin = 0;
    for (const uint32_t step_end : run_.step_ends) {
      const uint32_t end = std::min(step_end, static_cast<uint32_t>(run_.tokens.size()));
      if (begin == end) break;
      if (const std::optional<size_t> layer = feed(begin, end)) return narrow(begin, end, *layer);
      begin = end;
    }
    return std::nullopt;
  }

 private:
  // The first layer that is not finite for the last token of these.
  std::optional<size_t> feed(uint32_t begin, uint32_t end) {
    session_->feed(run_.tokens.subspan(begin, end - begin));
    const std::vector<LayerCapture> layers = session_->capture();
    for (size_t i = 0; i < layers.size(); ++i) {
      if (!std::ranges::all_of(layers[i].hidden, [](float value) { return std::isfinite(value); })) return i;
    }
    return std::nullopt;
  }

  // The step again, token by token.
  Place narrow(uint32_t begin, uint32_t end, size_t layer) {
    session_->rewind(begin);
    for (uint32_t at = begin; at < end; ++at) {
      if (const std::optional<size_t> first = feed(at, at + 1)) return {.position = at, .layer = *first};
    }
    return {.position = end - 1, .layer = layer};
  }

  const FailedRun& run_;
  std::unique_ptr<Session> session_;
};

}  // namespace

std::optional<std::string> non_finite_tensor(const Checkpoint& checkpoint, std::string_view prefix) {
  for (const SafetensorsFile& shard : checkpoint.shards()) {
    for (const TensorView& tensor : shard.tensors()) {
      const std::string name = Checkpoint::canonical_name(tensor.name);
      const bool is_outside = !name.starts_with("layers.") && !name.starts_with("mtp.") && name != "embed.weight";
      if (prefix.empty() ? !is_outside : !name.starts_with(prefix)) continue;
      if (const auto found = odd_element(name, tensor, 0, tensor.elements())) return found;
    }
  }
  return std::nullopt;
}

void fail_non_finite(const std::shared_ptr<Model>& model, const FailedRun& run, const std::string& what) {
  if (run.of_mtp) {
    if (const auto tensor = non_finite_tensor(run.checkpoint, "mtp.")) {
      fail(ErrorCode::kInvalidFile, "MTP block: {}: tensor {}: the file is damaged", what, *tensor);
    }
    fail(ErrorCode::kDevice, "MTP block: {}, though its weights are finite", what);
  }
  std::optional<Place> place;
  try {
    place = Search(model, run).find();
  } catch (const Error& error) {
    fail(ErrorCode::kDevice, "{}; looking for the layer failed: {}", what, error.what());
  }
  const std::string where =
      place ? fmt::format("the first such values come out of layers.{} at position {}", place->layer, place->position)
            : "all layers are finite, the head is not";
  std::optional<std::string> tensor =
      non_finite_tensor(run.checkpoint, place ? fmt::format("layers.{}.", place->layer) : "");
  if (place && place->layer == 0) {
    if (const auto row = odd_embedding(run.checkpoint, run.tokens[place->position])) tensor = row;
  }
  if (tensor) fail(ErrorCode::kInvalidFile, "{}; {}: tensor {}: the file is damaged", what, where, *tensor);
  fail(ErrorCode::kDevice, "{}; {}, whose weights are finite: `nibble conformance --model` shows which kernel it is",
       what, where);
}

}  // namespace nibble
