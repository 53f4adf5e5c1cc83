#include "host/checkpoint/model_directory.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <regex>

#include <fmt/format.h>

#include "host/checkpoint/safetensors.h"
#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHeadBytes = 512;
constexpr std::string_view kWanted =
    "nibble reads a checkpoint as it was released: a directory with config.json, *.safetensors and tokenizer.json";

bool any_ends_with(const std::vector<std::string>& names, std::initializer_list<std::string_view> endings) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::any_of(endings.begin(), endings.end(), [&](std::string_view end) { return name.ends_with(end); });
  });
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What a directory holds instead of what it lacks; "" where nothing tells.
std::string instead(const std::vector<std::string>& entries) {
  if (any_ends_with(entries, {".incomplete", ".part", ".aria2", ".crdownload"})) {
    return "its download did not finish: start it again, it goes on where it stopped";
  }
  if (any_ends_with(entries, {".gguf"})) return fmt::format("it has GGUF files; {}", kWanted);
  if (any_ends_with(entries, {".bin", ".pt", ".pth"})) return fmt::format("it has PyTorch files; {}", kWanted);
  if (contains(entries, "snapshots") && contains(entries, "blobs")) {
    return "it is an entry of the Hugging Face cache: give the directory in its snapshots/ with -m";
  }
  return "";
}

bool looks_like_hub_id(const std::string& path) {
  static const std::regex kId("(https?://[^ ]+|hf://[^ ]+|[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)");
  return std::regex_match(path, kId);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

std::vector<std::string> entries_of(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string head_of(const std::string& path) {
  std::string head(kHeadBytes, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return head;
}

// "model-00003-of-00046.safetensors" -> 46; 0 for other names.
unsigned files_announced_by(const std::string& name) {
  static const std::regex kNumbered("model-[0-9]{5}-of-([0-9]{5})\\.safetensors");
  std::smatch match;
  return std::regex_match(name, match, kNumbered) ? static_cast<unsigned>(std::stoul(match[1].str())) : 0;
}

// The reference's converter writes one file for each process that computes a part of every layer.
unsigned parts_announced_by(const std::string& name) {
  static const std::regex kPart("model[0-9]{1,4}-mp([0-9]{1,4})\\.safetensors");
  std::smatch match;
  return std::regex_match(name, match, kPart) ? static_cast<unsigned>(std::stoul(match[1].str())) : 0;
}

}  // namespace

std::string why_no_model(const std::string& path, const PathFacts& facts) {
  const std::string shown = printable(path);
  if (facts.type == PathFacts::Type::kMissing) {
    if (!looks_like_hub_id(path)) {
      return fmt::format("model directory '{}' does not exist or is not a directory", shown);
    }
    return fmt::format(
        "model directory '{}' does not exist; nibble downloads nothing: if this is a repository of the Hugging Face "
        "hub,"
        " fetch it with `hf download {} --local-dir DIR` and give -m DIR",
        shown, shown);
  }
  if (facts.type == PathFacts::Type::kFile) {
    if (const std::string why = why_foreign_content(facts.head); !why.empty()) {
      return fmt::format("'{}' is not a directory but {}", shown, why);
    }
    return fmt::format("'{}' is not a directory but a single file; give the directory it lies in with -m: {}", shown,
                       kWanted);
  }
  if (contains(facts.entries, "config.json")) return "";
  const std::string found = instead(facts.entries);
  return fmt::format("{}: no such file{}{}", (fs::path(path) / "config.json").string(), found.empty() ? "" : "; ",
                     found);
}

std::string why_foreign_content(std::string_view head) {
  if (head.empty()) return "an empty file: its download did not finish, start it again";
  if (head.starts_with("GGUF")) return fmt::format("a GGUF file; {}", kWanted);
  if (head.starts_with("version https://git-lfs")) {
    return "a Git LFS pointer, not the file itself: run `git lfs pull` in its directory";
  }
  const size_t text = head.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  const std::string start = text == head.npos ? "" : lower(head.substr(text, 16));
  if (start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<?xml")) {
    return "a web page, not the file: its download met an error or a login, start it again";
  }
  // A pickle of protocol 2 begins with 80 02; newer files are zip archives of one.
  if (head.starts_with("PK\x03\x04") || head.starts_with("\x80\x02")) {
    return fmt::format("a PyTorch file or a zip archive; {}", kWanted);
  }
  if (head.starts_with("\x1f\x8b")) return "a gzip archive: unpack it first";
  return "";
}

std::string why_foreign_names(const std::map<std::string, const TensorView*, std::less<>>& tensors) {
  struct Layout {
    std::string_view part;  // of a name
    std::string_view what;
  };
  // Those that say how weights are stored come before the one that says how they are named.
  static constexpr Layout kLayouts[] = {
      {".weight_scale_2", "an NVFP4 export"},
      {".weight_packed", "quantised by compressed-tensors"},
      {".qweight", "quantised by AWQ, GPTQ or AutoRound"},
      {".qzeros", "quantised by AWQ, GPTQ or AutoRound"},
      {".trellis", "an EXL3 export"},
      {".switch_mlp.", "an MLX export"},
      {".biases", "an MLX export"},
      {".lora_A", "a LoRA adapter"},
      {".self_attn.", "saved by the transformers library, under other names"},
      {".mlp.experts.", "saved by the transformers library, under other names"},
  };
  for (const Layout& layout : kLayouts) {
    for (const auto& [name, tensor] : tensors) {
      if (name.find(layout.part) == name.npos) continue;
      return fmt::format("the checkpoint is {} (tensor '{}'); {}: download the model in DeepSeek's own layout",
                         layout.what, printable(tensor->name), kWanted);
    }
  }
  return "";
}

std::vector<std::string> shards_among(const std::vector<std::string>& entries, std::string& problem) {
  std::vector<std::string> names;
  unsigned announced = 0;
  for (const std::string& name : entries) {
    if (!name.ends_with(".safetensors")) continue;
    names.push_back(name);
    announced = std::max(announced, files_announced_by(name));
    if (parts_announced_by(name) <= 1) continue;
    problem = fmt::format(
        "'{}' is one of {} parts that the reference's converter cut every layer into; convert again with"
        " --model-parallel 1, or give the released checkpoint",
        printable(name), parts_announced_by(name));
    return {};
  }
  if (names.empty()) {
    const std::string found = instead(entries);
    problem = fmt::format("has neither model.safetensors.index.json nor any *.safetensors{}{}",
                          found.empty() ? "" : "; ", found);
  }
  for (unsigned i = 1; i <= announced; ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i, announced);
    if (!contains(names, name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void require_model_directory(const std::string& path) {
  PathFacts facts;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) {
    facts.type = PathFacts::Type::kDirectory;
    facts.entries = entries_of(path);
  } else if (fs::exists(status)) {
    facts.type = PathFacts::Type::kFile;
    // Reading from a FIFO would wait for its writer.
    facts.head = fs::is_regular_file(status) ? head_of(path) : "?";
  }
  if (const std::string why = why_no_model(path, facts); !why.empty()) throw Error(ErrorCode::kNotFound, why);
}

std::vector<std::string> shards_without_index(const std::string& directory) {
  std::string problem;
  std::vector<std::string> names = shards_among(entries_of(directory), problem);
  if (names.empty()) fail(ErrorCode::kNotFound, "model directory '{}' {}", printable(directory), problem);
  return names;
}

std::string why_missing(const std::string& directory, const std::string& name) {
  const fs::path path = fs::path(directory) / name;
  std::error_code error;
  if (fs::is_symlink(fs::symlink_status(path, error))) {
    return fmt::format("the link points to '{}', which is not there: download the model again",
                       printable(fs::read_symlink(path, error).string()));
  }
  for (const std::string_view ending : {".incomplete", ".part", ".aria2", ".crdownload"}) {
    if (!fs::exists(path.string() + std::string(ending), error)) continue;
    return fmt::format("its download did not finish ({}{} is there)", printable(name), ending);
  }
  return "no such file";
}

void reject_foreign_content(const std::string& path, std::span<const std::byte> bytes) {
  const size_t shown = std::min(bytes.size(), kHeadBytes);
  const std::string why = why_foreign_content({reinterpret_cast<const char*>(bytes.data()), shown});
  if (!why.empty()) fail(ErrorCode::kInvalidFile, "{} is {}", path, why);
}

std::string read_model_text(const std::string& path, size_t max_bytes) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    const fs::path file(path);
    const std::string found = instead(entries_of(file.parent_path()));
    fail(ErrorCode::kNotFound, "{}: {}{}{}", path, why_missing(file.parent_path().string(), file.filename().string()),
         found.empty() ? "" : "; ", found);
  }
  std::string text = read_text_file(path, max_bytes);
  reject_foreign_content(path, std::as_bytes(std::span(text)));
  return text;
}

}  // namespace nibble
