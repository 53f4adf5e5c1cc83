#include "host/checkpoint/parts.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "host/text/json_text.h"
#include "runtime/core/device_info.h"

namespace nibble {
namespace {

// "layers.12.attn.x" -> "layers.N.attn.x": what repeats in every layer is one thing.
std::string without_numbers(std::string_view name) {
  std::string pattern;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view segment = name.substr(begin, end - begin);
    const bool number = !segment.empty() && segment.find_first_not_of("0123456789") == segment.npos;
    pattern += begin == 0 ? "" : ".";
    pattern += number ? "N" : segment;
    begin = end + 1;
  }
  return pattern;
}

// Outside the layers one word says what a tensor belongs to.
std::string unknown_part(std::string_view name) {
  const bool in_layer = name.starts_with("layers.");
  const std::string pattern = in_layer ? without_numbers(name) : std::string(name.substr(0, name.find('.')));
  return fmt::format("unknown '{}'", printable(pattern + (in_layer || name.find('.') == name.npos ? "" : ".*")));
}

std::string draft_part(const Checkpoint& checkpoint, std::string_view name) {
  switch (checkpoint.draft()) {
    case Draft::kDspark:
      return "DSpark head";
    case Draft::kMtp:
      return name.starts_with("mtp.0.") ? "MTP block" : "further MTP blocks";
    case Draft::kUnknown:
    case Draft::kNone:
      break;
  }
  return "unknown part for speculation 'mtp.*'";
}

std::string part_of(const Checkpoint& checkpoint, std::string_view name) {
  if (name.starts_with("mtp.")) return draft_part(checkpoint, name);
  if (name.ends_with(".gate.bias_vl")) return "router biases of image tokens";
  if (name.starts_with("vision.") || name.starts_with("image_")) return "vision encoder";
  if (name.starts_with("aligner.")) return "vision aligner";
  return unknown_part(name);
}

// Also of a tensor that a file cut short does not hold.
uint64_t stored_bytes(const TensorView& tensor) {
  uint64_t bytes = dtype_bytes(tensor.dtype);
  for (const uint64_t extent : tensor.shape) bytes *= extent;
  return bytes;
}

class Counter {
 public:
  explicit Counter(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  void add(std::string_view name, const TensorView* tensor) {
    Part& part = parts_[part_of(checkpoint_, name)];
    (tensor != nullptr ? part.tensors : part.missing) += 1;
    if (tensor != nullptr) part.bytes += stored_bytes(*tensor);
    if (name.starts_with("mtp.")) stages_.insert(name.substr(4, name.find('.', 4) - 4));
  }

  std::vector<Part> take() {
    std::vector<Part> result;
    for (auto& [name, part] : parts_) {
      part.name = name == "DSpark head" ? fmt::format("{}, {} stages", name, stages_.size()) : name;
      result.push_back(std::move(part));
    }
    std::stable_sort(result.begin(), result.end(), [](const Part& a, const Part& b) { return a.bytes > b.bytes; });
    return result;
  }

 private:
  const Checkpoint& checkpoint_;
  std::map<std::string, Part> parts_;
  std::set<std::string_view> stages_;
};

}  // namespace

std::vector<Part> parts_not_used(const Checkpoint& checkpoint, const std::vector<std::string>& unused) {
  Counter counter(checkpoint);
  std::vector<std::string> names;
  for (const std::string& stored : unused) names.push_back(Checkpoint::canonical_name(stored));
  for (const std::string& name : names) counter.add(name, checkpoint.find(name));
  for (const std::string& name : checkpoint.missing_tensors()) {
    if (!Checkpoint::is_of_trunk(name)) counter.add(name, nullptr);
  }
  return counter.take();
}

std::string describe(const Part& part) {
  std::string text = part.name + ": ";
  if (part.tensors > 0) text += fmt::format("{} tensors, {}", part.tensors, format_bytes(part.bytes));
  if (part.missing > 0)
    text += fmt::format("{}{} tensors in missing files", part.tensors > 0 ? ", " : "", part.missing);
  return text;
}

}  // namespace nibble
