#include "tests/support/safetensors_writer.h"

#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"

namespace nibble {
namespace {

void write_file(const std::string& path, std::string_view content) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  if (!stream) fail(ErrorCode::kIo, "{}: cannot be written", path);
}

}  // namespace

std::string raw_safetensors(std::string_view header, std::string_view data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(uint64_t{header.size()} >> (8 * i) & 0xff);
  bytes += header;
  bytes += data;
  return bytes;
}

std::string safetensors_bytes(const std::vector<StoredTensor>& tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::string data;
  for (const StoredTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", dtype_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  return raw_safetensors(header.dump(), data);
}

void write_checkpoint(const std::string& directory, std::string_view config_json,
                      const std::vector<StoredTensor>& tensors, size_t shards) {
  write_file(directory + "/config.json", config_json);
  if (shards == 0) {
    write_file(directory + "/model.safetensors", safetensors_bytes(tensors));
    return;
  }
  nlohmann::ordered_json index;
  for (size_t shard = 0; shard < shards; ++shard) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards);
    const auto begin = static_cast<ptrdiff_t>(tensors.size() * shard / shards);
    const auto end = static_cast<ptrdiff_t>(tensors.size() * (shard + 1) / shards);
    const std::vector<StoredTensor> part(tensors.begin() + begin, tensors.begin() + end);
    for (const StoredTensor& tensor : part) index["weight_map"][tensor.name] = name;
    write_file(directory + "/" + name, safetensors_bytes(part));
  }
  write_file(directory + "/model.safetensors.index.json", index.dump(1));
}

std::vector<StoredTensor> load_tensors(const SafetensorsFile& file) {
  std::vector<StoredTensor> tensors;
  for (const TensorView& view : file.tensors()) {
    tensors.push_back({.name = view.name,
                       .dtype = view.dtype,
                       .shape = view.shape,
                       .bytes = std::string(reinterpret_cast<const char*>(view.data.data()), view.data.size())});
  }
  return tensors;
}

}  // namespace nibble
