#include "host/synthetic/outline.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "host/checkpoint/model_directory.h"
#include "host/checkpoint/scales.h"
#include "host/checkpoint/weights.h"
#include "host/synthetic/tensors.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

// Zeros that are only read: the system maps its one page of them again and again.
class ZeroMapping {
 public:
  ZeroMapping(size_t size, std::string announced_by) : size_(size), announced_by_(std::move(announced_by)) {
    data_ = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ == MAP_FAILED)
      fail(ErrorCode::kIo, "{}: cannot map {} bytes: {}", announced_by_, size, std::strerror(errno));
  }
  ZeroMapping(const ZeroMapping&) = delete;
  ZeroMapping& operator=(const ZeroMapping&) = delete;
  ~ZeroMapping() { ::munmap(data_, size_); }

  std::span<const std::byte> first(size_t bytes) const { return {static_cast<const std::byte*>(data_), bytes}; }
  const std::string& announced_by() const { return announced_by_; }

 private:
  void* data_ = nullptr;
  size_t size_;
  std::string announced_by_;
};

// What the stored experts are; nothing where no header shows one.
std::optional<bool> stored_fp8_experts(const Checkpoint& seen) {
  for (const auto& [name, tensor] : seen.tensors()) {
    if (name.starts_with("layers.") && name.find(".ffn.experts.") != name.npos && name.ends_with(".weight")) {
      return tensor->dtype == Dtype::kF8E4M3;
    }
  }
  return std::nullopt;
}

uint64_t total_bytes(const std::vector<SyntheticTensor>& tensors) {
  uint64_t bytes = 0;
  for (const SyntheticTensor& tensor : tensors) bytes += tensor.bytes();
  return bytes;
}

// FP8 experts take nearly twice as much as FP4 ones, so the size of all tensors tells which they are, even where it has
// a draft head or a vision encoder in it.
std::optional<bool> fp8_experts_by_size(const ModelConfig& config, uint64_t indexed_bytes) {
  if (indexed_bytes == 0) return std::nullopt;
  const auto ratio = [&](bool fp8) {
    const auto wanted = static_cast<double>(total_bytes(synthetic_tensors(config, {.fp8_experts = fp8})));
    return std::abs(std::log(static_cast<double>(indexed_bytes) / wanted));
  };
  constexpr double kNear = 0.2;  // as a logarithm
  const double as_fp4 = ratio(false);
  const double as_fp8 = ratio(true);
  if (std::min(as_fp4, as_fp8) > kNear) return std::nullopt;
  return as_fp8 < as_fp4;
}

bool choose_fp8_experts(const Checkpoint& seen, std::vector<std::string>& assumptions) {
  const ModelConfig& config = seen.config();
  if (const std::optional<bool> stored = stored_fp8_experts(seen)) return *stored;
  if (!config.expert_dtype.empty()) return config.expert_dtype == "fp8";
  if (const std::optional<bool> by_size = fp8_experts_by_size(config, seen.indexed_bytes())) {
    assumptions.push_back(
        fmt::format("{} experts: the index gives a size of {:.2f} GB, and config.json has no expert_dtype",
                    *by_size ? "FP8" : "FP4", static_cast<double>(seen.indexed_bytes()) * 1e-9));
    return *by_size;
  }
  assumptions.push_back("FP4 experts: config.json has no expert_dtype and there are no shards that show it");
  return false;
}

// Whether there will be an MTP block, where no tensor of one was seen.
bool expect_mtp(const Checkpoint& seen, std::vector<std::string>& assumptions) {
  if (seen.has_index() || seen.tensor_count() > 0) return seen.draft() == Draft::kMtp;
  if (!seen.config().announces_mtp()) return false;
  assumptions.push_back(
      fmt::format("an MTP block: config.json has num_nextn_predict_layers {} and no keys of a DSpark head",
                  seen.config().num_nextn_predict_layers));
  return true;
}

// What a header says. Float scales are converted when they are loaded; zeros could not be.
SyntheticTensor as_announced(const std::string& name, const TensorView& tensor) {
  const bool converted = name.ends_with(".scale") && is_float_scale(tensor.dtype);
  return {.name = name, .dtype = converted ? Dtype::kF8E8M0 : tensor.dtype, .shape = tensor.shape, .values = {}};
}

Checkpoint of_zeros(const std::string& directory, const ModelConfig& config,
                    const std::vector<SyntheticTensor>& announced) {
  uint64_t largest = 1;
  for (const SyntheticTensor& tensor : announced) largest = std::max(largest, tensor.bytes());
  const auto zeros = std::make_shared<const ZeroMapping>(largest, directory);
  std::vector<TensorView> tensors;
  for (const SyntheticTensor& tensor : announced) {
    tensors.push_back({.name = tensor.name,
                       .dtype = tensor.dtype,
                       .shape = tensor.shape,
                       .data = zeros->first(tensor.bytes()),
                       .file = &zeros->announced_by()});
  }
  return Checkpoint::of_tensors(directory, config, std::move(tensors), zeros);
}

// Every name that a header shows, and of what config.json asks for those that none shows.
Outline outline_of(const Checkpoint& seen) {
  Outline outline = {.from = seen.tensor_count() > 0 ? Outline::From::kHeaders : Outline::From::kConfig};
  ModelConfig config = seen.config();
  config.num_nextn_predict_layers = expect_mtp(seen, outline.assumptions) ? 1 : 0;
  config.has_dspark_keys = false;
  std::vector<SyntheticTensor> announced;
  for (const auto& [name, tensor] : seen.tensors()) announced.push_back(as_announced(name, *tensor));
  for (SyntheticTensor& tensor :
       synthetic_tensors(config, {.fp8_experts = choose_fp8_experts(seen, outline.assumptions)})) {
    if (seen.find(tensor.name) == nullptr) announced.push_back(std::move(tensor));
  }
  if (!seen.missing_shards().empty() && outline.from == Outline::From::kHeaders) {
    outline.assumptions.push_back(
        fmt::format("{} shards are missing or cut short, '{}' among them: their tensors are those"
                    " that config.json asks for",
                    seen.missing_shards().size(), printable(seen.missing_shards().front())));
  }
  outline.checkpoint = of_zeros(seen.directory(), seen.config(), announced);
  return outline;
}

// config.json alone, or with an index of which no file is there.
bool has_shards(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(".safetensors") || name == "model.safetensors.index.json") return true;
  }
  return false;
}

}  // namespace

Outline open_or_outline(const std::string& directory) {
  require_model_directory(directory);
  if (!has_shards(directory)) {
    const ModelConfig config = ModelConfig::load((std::filesystem::path(directory) / "config.json").string());
    return outline_of(Checkpoint::of_tensors(directory, config, {}, nullptr));
  }
  Checkpoint seen = Checkpoint::open(directory, MissingShards::kReportCut);
  std::vector<Part> not_used = parts_not_used(seen, survey_weights(seen, seen.config(), 0).unused);
  Outline outline = seen.missing_shards().empty()
                        ? Outline{.checkpoint = std::move(seen), .from = Outline::From::kCheckpoint}
                        : outline_of(seen);
  outline.not_used = std::move(not_used);
  return outline;
}

}  // namespace nibble
