#include "host/checkpoint/model_identity.h"

#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

constexpr uint64_t kSampleBytes = 4096;
constexpr size_t kMaxExpertSamples = 1024;
constexpr size_t kMaxConfigBytes = size_t{16} << 20;

// Fields that tools write and no computation reads.
constexpr std::string_view kIgnoredFields[] = {"_name_or_path", "architectures",        "model_type",
                                               "torch_dtype",   "transformers_version", "use_cache"};

class Digest {
 public:
  Digest() : state_(XXH3_createState(), &XXH3_freeState) {
    check(state_ != nullptr, "no memory for a checksum");
    XXH3_128bits_reset(state_.get());
  }

  // The length goes first, so that no two lists of texts give the same bytes.
  void add(std::span<const std::byte> bytes) {
    add(bytes.size());
    XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add(uint64_t number) { XXH3_128bits_update(state_.get(), &number, sizeof number); }

  std::string text() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

// Members of a parsed object are sorted by name, so their order in the file and its white space do not count.
std::string config_content(const std::string& path) {
  nlohmann::json config = parse_json(read_text_file(path, kMaxConfigBytes), path);
  for (const std::string_view field : kIgnoredFields) config.erase(std::string(field));
  return config.dump();
}

// From the middle of the tensor: the first rows of embeddings belong to tokens that fine-tuning may never see.
std::span<const std::byte> sample_of(const TensorView& tensor) {
  const uint64_t bytes = std::min<uint64_t>(kSampleBytes, tensor.data.size());
  return tensor.data.subspan((tensor.data.size() - bytes) / 2, bytes);
}

}  // namespace

std::string model_identity(const Checkpoint& checkpoint) {
  std::vector<std::pair<std::string, const TensorView*>> tensors;
  for (const SafetensorsFile& shard : checkpoint.shards()) {
    for (const TensorView& tensor : shard.tensors()) {
      tensors.emplace_back(Checkpoint::canonical_name(tensor.name), &tensor);
    }
  }
  std::sort(tensors.begin(), tensors.end());
  const auto of_expert = [](const std::string& name) { return name.find(".experts.") != std::string::npos; };
  const auto experts = static_cast<size_t>(
      std::count_if(tensors.begin(), tensors.end(), [&](const auto& tensor) { return of_expert(tensor.first); }));
  // An odd stride goes round all matrices and scales of an expert, which are an even number.
  const size_t stride = experts <= kMaxExpertSamples ? 1 : (experts / kMaxExpertSamples + 1) | 1;

  Digest digest;
  digest.add(config_content(checkpoint.directory() + "/config.json"));
  size_t expert = 0;
  for (const auto& [name, tensor] : tensors) {
    digest.add(name);
    digest.add(dtype_name(tensor->dtype));
    digest.add(tensor->shape.size());
    for (const uint64_t extent : tensor->shape) digest.add(extent);
    if (!of_expert(name) || expert++ % stride == 0) digest.add(sample_of(*tensor));
  }
  check_mappings();
  return digest.text();
}

}  // namespace nibble
