#include "host/checkpoint/checkpoint.h"

#include <filesystem>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "host/checkpoint/model_directory.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

using nlohmann::json;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr std::string_view kNotInFileNames("/\\\0", 3);

// Shard file name → names of its tensors as stored, both sorted so that errors do not depend on hashing.
using ShardMap = std::map<std::string, std::vector<std::string>>;

struct Index {
  ShardMap shards;
  uint64_t total_size = 0;  // 0: it says nothing
};

Index read_index(const std::string& path) {
  const json document = parse_json(read_model_text(path, JsonLimits{}.max_bytes), path);
  const auto map = document.is_object() ? document.find("weight_map") : document.end();
  if (map == document.end() || !map->is_object() || map->empty()) {
    fail(ErrorCode::kInvalidFile, "{}: field 'weight_map' is missing or not an object of tensor name: shard file",
         path);
  }
  Index index;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    // A name with a directory in it could reach any file of the user's.
    if (name.empty() || name == "." || name == ".." || name.find_first_of(kNotInFileNames) != std::string::npos) {
      fail(ErrorCode::kInvalidFile, "{}: tensor '{}' is placed in {}, expected a file name without a directory", path,
           printable(tensor), json_excerpt(file));
    }
    index.shards[name].push_back(tensor);
  }
  // Some tools write it as a float; it is a hint for estimates, so what is no number says nothing.
  const json size = document.value(json::json_pointer("/metadata/total_size"), json());
  if (size.is_number() && size.get<double>() > 0 && size.get<double>() < 1e18) index.total_size = size.get<uint64_t>();
  return index;
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
  require_model_directory(directory);
  const fs::path root(directory);
  Checkpoint checkpoint;
  checkpoint.directory_ = directory;
  checkpoint.config_ = ModelConfig::load((root / "config.json").string());
  const std::string index = (root / kIndexName).string();
  std::error_code error;
  if (fs::exists(index, error)) {
    checkpoint.open_indexed(index, missing);
  } else {
    for (const std::string& name : shards_without_index(directory)) {
      const std::string path = (root / name).string();
      if (fs::exists(path, error)) {
        checkpoint.add_shard(checkpoint.open_shard(path, name, missing));
      } else if (missing == MissingShards::kReject) {
        fail(ErrorCode::kNotFound, "{}: {}, but the names of the other files tell of it", path,
             why_missing(directory, name));
      } else {
        checkpoint.missing_shards_.push_back(name);
      }
    }
  }
  return checkpoint;
}

void Checkpoint::open_indexed(const std::string& path, MissingShards missing) {
  namespace fs = std::filesystem;
  const Index index = read_index(path);
  indexed_bytes_ = index.total_size;
  has_index_ = true;
  for (const auto& [name, tensors] : index.shards) {
    const std::string shard_path = (fs::path(directory_) / name).string();
    std::error_code error;
    if (!fs::exists(shard_path, error)) {
      note_missing(name, tensors, path, missing);
      continue;
    }
    SafetensorsFile shard = open_shard(shard_path, name, missing);
    compare_with_index(shard, tensors, path);
    add_shard(std::move(shard));
  }
}

// Parts that are not computed must not keep the others from being computed: their shards may be left out.
void Checkpoint::note_missing(const std::string& name, const std::vector<std::string>& tensors,
                              const std::string& index, MissingShards missing) {
  bool needed = false;
  for (const std::string& tensor : tensors) {
    std::string canonical = canonical_name(tensor);
    needed = needed || is_of_trunk(canonical);
    missing_tensors_.insert(std::move(canonical));
  }
  if (needed && missing == MissingShards::kReject) {
    fail(ErrorCode::kNotFound, "{}: {}, but {} places {} tensors in it, '{}' among them",
         (std::filesystem::path(directory_) / name).string(), why_missing(directory_, name), index, tensors.size(),
         printable(tensors.front()));
  }
  (needed ? missing_shards_ : missing_beside_).push_back(name);
}

SafetensorsFile Checkpoint::open_shard(const std::string& path, const std::string& name, MissingShards missing) {
  const auto cut = missing == MissingShards::kReportCut ? CutShards::kReadHeader : CutShards::kReject;
  SafetensorsFile shard = SafetensorsFile::open(path, cut);
  if (shard.is_cut()) missing_shards_.push_back(name);
  return shard;
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

bool Checkpoint::names(std::string_view prefix) const {
  const auto missing = missing_tensors_.lower_bound(prefix);
  return has_prefix(prefix) || (missing != missing_tensors_.end() && missing->starts_with(prefix));
}

Draft Checkpoint::draft() const {
  if (!names("mtp.")) return Draft::kNone;
  const bool block = names("mtp.0.e_proj.") || names("mtp.0.h_proj.");
  const bool head = names("mtp.0.main_proj.");
  if (block == head) return Draft::kUnknown;
  return block ? Draft::kMtp : Draft::kDspark;
}

bool Checkpoint::has_mtp() const {
  const auto missing = missing_tensors_.lower_bound("mtp.0.");
  return draft() == Draft::kMtp && (missing == missing_tensors_.end() || !missing->starts_with("mtp.0."));
}

bool Checkpoint::is_of_trunk(std::string_view name) {
  if (name.ends_with(".gate.bias_vl")) return false;  // of image tokens
  for (const std::string_view part : {"layers.", "embed.", "head.", "norm.", "hc_head_"}) {
    if (name.starts_with(part)) return true;
  }
  return false;
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
