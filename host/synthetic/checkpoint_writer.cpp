#include "host/synthetic/checkpoint_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "host/synthetic/values.h"
#include "runtime/base/error.h"
#include "runtime/core/device_info.h"

namespace nibble {
namespace {

constexpr uint64_t kPieceBytes = 16 << 20;

// A file that disappears unless it was finished.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path) : path_(std::move(path)), file_(std::fopen(path_.c_str(), "wb")) {
    if (file_ == nullptr) fail_now();
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (file_ == nullptr) return;
    std::fclose(file_);
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  void write(const void* bytes, size_t count) {
    if (std::fwrite(bytes, 1, count, file_) != count) fail_now();
  }
  void finish() {
    std::FILE* file = std::exchange(file_, nullptr);
    if (std::fclose(file) == 0) return;
    const int reason = errno;
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
    fail(ErrorCode::kIo, "{}: cannot be written: {}", path_.string(), std::strerror(reason));
  }

 private:
  [[noreturn]] void fail_now() {
    fail(ErrorCode::kIo, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
  }
  std::filesystem::path path_;
  std::FILE* file_;
};

void write_text(const std::filesystem::path& path, const std::string& text) {
  OutputFile file(path);
  file.write(text.data(), text.size());
  file.finish();
}

// "layers.3.attn.wq_a.weight" -> "layers.3.", everything that is in no layer -> "".
std::string shard_key(const std::string& name) {
  if (!name.starts_with("layers.")) return "";
  return name.substr(0, name.find('.', std::strlen("layers.")) + 1);
}

std::string header_of(const std::vector<const SyntheticTensor*>& tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t begin = 0;
  for (const SyntheticTensor* tensor : tensors) {
    header[tensor->name] = {{"dtype", dtype_name(tensor->dtype)},
                            {"shape", tensor->shape},
                            {"data_offsets", {begin, begin + tensor->bytes()}}};
    begin += tensor->bytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // data begins at a multiple of 8, as the format asks
  return text;
}

class Writer {
 public:
  Writer(const SyntheticOptions& options, const WriteProgress& progress, uint64_t total)
      : options_(options), progress_(progress), total_(total) {}

  void write_shard(const std::filesystem::path& path, const std::vector<const SyntheticTensor*>& tensors) {
    OutputFile file(path);
    const std::string header = header_of(tensors);
    const uint64_t size = header.size();
    file.write(&size, sizeof size);
    file.write(header.data(), header.size());
    for (const SyntheticTensor* tensor : tensors) write_tensor(file, *tensor);
    file.finish();
  }

 private:
  void write_tensor(OutputFile& file, const SyntheticTensor& tensor) {
    SyntheticBytes bytes(tensor, options_.seed);
    // Whole rows, so that a row of expert ids is not cut.
    const uint64_t row = tensor.shape.back() * dtype_bytes(tensor.dtype);
    const uint64_t most = std::max(row, kPieceBytes / row * row);
    for (uint64_t done = 0; done < tensor.bytes(); done += most) {
      piece_.resize(std::min(most, tensor.bytes() - done));
      bytes.fill(piece_);
      file.write(piece_.data(), piece_.size());
      written_ += piece_.size();
      if (progress_) progress_(written_, total_);
    }
  }

  const SyntheticOptions& options_;
  const WriteProgress& progress_;
  const uint64_t total_;
  uint64_t written_ = 0;
  std::vector<std::byte> piece_;
};

// Files that vanish unless all of them were written.
class Files {
 public:
  explicit Files(std::filesystem::path directory) : directory_(std::move(directory)) {}
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files() {
    std::error_code ignored;
    for (const std::string& name : names_) std::filesystem::remove(directory_ / name, ignored);
  }
  std::filesystem::path add(const std::string& name) { return directory_ / names_.emplace_back(name); }
  void keep() { names_.clear(); }

 private:
  std::filesystem::path directory_;
  std::vector<std::string> names_;
};

void require_empty_directory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error || !std::filesystem::is_directory(directory)) {
    fail(ErrorCode::kIo, "{}: is not a directory and cannot be made one{}", directory.string(),
         error ? ": " + error.message() : "");
  }
  if (!std::filesystem::is_empty(directory)) {
    fail(ErrorCode::kIo, "{}: the directory is not empty; name a new one", directory.string());
  }
}

}  // namespace

void write_synthetic_checkpoint(const std::filesystem::path& directory, const nlohmann::json& config,
                                const SyntheticOptions& options, const WriteProgress& progress) {
  const ModelConfig parsed = ModelConfig::parse(config.dump(), "synthetic config.json");
  const std::vector<SyntheticTensor> tensors = synthetic_tensors(parsed, options);
  std::map<std::string, std::vector<const SyntheticTensor*>> shards;
  uint64_t total = 0;
  for (const SyntheticTensor& tensor : tensors) {
    shards[shard_key(tensor.name)].push_back(&tensor);
    total += tensor.bytes();
  }
  require_empty_directory(directory);
  const uint64_t available = std::filesystem::space(directory).available;
  if (available < total) {
    fail(ErrorCode::kIo, "{}: the checkpoint has {}, there is room for {}", directory.string(), format_bytes(total),
         format_bytes(available));
  }
  Writer writer(options, progress, total);
  nlohmann::ordered_json index = {{"metadata", {{"total_size", total}}}};
  size_t number = 0;
  Files files(directory);
  for (const auto& [key, members] : shards) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", ++number, shards.size());
    writer.write_shard(files.add(name), members);
    for (const SyntheticTensor* tensor : members) index["weight_map"][tensor->name] = name;
  }
  write_text(files.add("model.safetensors.index.json"), index.dump(1));
  write_text(files.add("config.json"), config.dump(2));
  files.keep();
}

}  // namespace nibble
