#include "host/checkpoint.h"

#include <filesystem>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "host/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

using nlohmann::json;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kSingleName = "model.safetensors";
constexpr std::string_view kNotInFileNames("/\\\0", 3);

// Shard file name → names of its tensors as stored, both sorted so that errors do not depend on hashing.
using ShardMap = std::map<std::string, std::vector<std::string>>;

ShardMap read_index(const std::string& path) {
  const json document = parse_json(read_text_file(path, JsonLimits{}.max_bytes), path);
  const auto map = document.is_object() ? document.find("weight_map") : document.end();
  if (map == document.end() || !map->is_object() || map->empty()) {
    fail(ErrorCode::kInvalidFile, "{}: field 'weight_map' is missing or not an object of tensor name: shard file",
         path);
  }
  ShardMap shards;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    // A name with a directory in it could reach any file of the user's.
    if (name.empty() || name == "." || name == ".." || name.find_first_of(kNotInFileNames) != std::string::npos) {
      fail(ErrorCode::kInvalidFile, "{}: tensor '{}' is placed in {}, expected a file name without a directory", path,
           printable(tensor), json_excerpt(file));
    }
    shards[name].push_back(tensor);
  }
  return shards;
}

// Every tensor of the shard must be the index's, and every one that the index places there must be in it.
void compare_with_index(const SafetensorsFile& shard, const std::vector<std::string>& indexed,
                        const std::string& index) {
  for (const std::string& name : indexed) {
    if (shard.find(name) == nullptr) {
      fail(ErrorCode::kInvalidFile, "tensor '{}' is not in {}, where {} places it", printable(name), shard.path(),
           index);
    }
  }
  if (shard.tensors().size() == indexed.size()) return;
  const std::set<std::string_view> known(indexed.begin(), indexed.end());
  for (const TensorView& tensor : shard.tensors()) {
    if (!known.contains(tensor.name)) {
      fail(ErrorCode::kInvalidFile, "tensor '{}' is in {}, where {} does not place it", printable(tensor.name),
           shard.path(), index);
    }
  }
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& directory, MissingShards missing) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    fail(ErrorCode::kNotFound, "model directory '{}' does not exist or is not a directory", directory);
  }
  const fs::path root(directory);
  Checkpoint checkpoint;
  checkpoint.directory_ = directory;
  checkpoint.config_ = ModelConfig::load((root / "config.json").string());
  const std::string index = (root / kIndexName).string();
  if (!fs::exists(index, error)) {
    const fs::path single = root / kSingleName;
    if (!fs::exists(single, error)) {
      fail(ErrorCode::kNotFound, "model directory '{}' has neither {} nor {}", directory, kIndexName, kSingleName);
    }
    checkpoint.add_shard(SafetensorsFile::open(single.string()));
    return checkpoint;
  }
  for (const auto& [name, tensors] : read_index(index)) {
    const std::string path = (root / name).string();
    if (!fs::exists(path, error)) {
      if (missing == MissingShards::kReject) {
        fail(ErrorCode::kNotFound, "{}: no such file, but {} places {} tensors in it, '{}' among them", path, index,
             tensors.size(), printable(tensors.front()));
      }
      checkpoint.missing_shards_.push_back(name);
      continue;
    }
    SafetensorsFile shard = SafetensorsFile::open(path);
    compare_with_index(shard, tensors, index);
    checkpoint.add_shard(std::move(shard));
  }
  return checkpoint;
}

Checkpoint Checkpoint::of_tensors(const std::string& directory, const ModelConfig& config,
                                  std::vector<TensorView> tensors, std::shared_ptr<const void> memory) {
  Checkpoint checkpoint;
  checkpoint.directory_ = directory;
  checkpoint.config_ = config;
  checkpoint.in_memory_ = std::move(tensors);
  checkpoint.memory_ = std::move(memory);
  for (const TensorView& tensor : checkpoint.in_memory_) checkpoint.add_tensor(tensor);
  return checkpoint;
}

const TensorView* Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

bool Checkpoint::has_prefix(std::string_view prefix) const {
  const auto first = tensors_.lower_bound(prefix);
  return first != tensors_.end() && first->first.starts_with(prefix);
}

std::string Checkpoint::canonical_name(std::string_view stored_name) {
  constexpr std::string_view kPrefix = "model.";
  constexpr std::string_view kLongScale = ".weight_scale_inv";
  if (stored_name.starts_with(kPrefix)) stored_name.remove_prefix(kPrefix.size());
  if (!stored_name.ends_with(kLongScale)) return std::string(stored_name);
  stored_name.remove_suffix(kLongScale.size());
  return std::string(stored_name) + ".scale";
}

void Checkpoint::add_shard(SafetensorsFile shard) {
  shards_.push_back(std::move(shard));
  // Views keep their addresses when the shard moves, for instance because shards_ grows.
  for (const TensorView& tensor : shards_.back().tensors()) add_tensor(tensor);
}

void Checkpoint::add_tensor(const TensorView& tensor) {
  const auto [known, added] = tensors_.emplace(canonical_name(tensor.name), &tensor);
  if (!added) {
    fail(ErrorCode::kInvalidFile, "tensor '{}' in {} is also in {} (as '{}')", printable(tensor.name), *tensor.file,
         *known->second->file, printable(known->second->name));
  }
}

}  // namespace nibble
