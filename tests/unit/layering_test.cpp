// The rules of the house that a compiler does not check: includes only point down, API headers stay in their backend,
// kernel texts and dialects stay short.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace nibble {
namespace {

namespace fs = std::filesystem;

enum class Layer { kBase, kCore, kDevice, kCpu, kVulkan, kOpenCl, kHost, kTop, kUnknown };

// The rooms of host/, lowest first: each may include those before it.
constexpr std::array<std::string_view, 7> kHostRooms = {"text",   "checkpoint", "synthetic", "kv",
                                                        "layers", "placement",  "engine"};

// The place of a path's room among them; their number for a path that has none.
size_t host_room(std::string_view path) {
  if (!path.starts_with("host/")) return kHostRooms.size();
  path.remove_prefix(5);
  return static_cast<size_t>(std::ranges::find(kHostRooms, path.substr(0, path.find('/'))) - kHostRooms.begin());
}

// A kernel's spec belongs to core, its C++ implementation to the cpu backend.
Layer layer_of(std::string_view path) {
  if (path.starts_with("runtime/base/")) return Layer::kBase;
  if (path.starts_with("runtime/core/")) return Layer::kCore;
  if (path.starts_with("runtime/device/")) return Layer::kDevice;
  if (path.starts_with("runtime/cpu/")) return Layer::kCpu;
  if (path.starts_with("runtime/vulkan/")) return Layer::kVulkan;
  if (path.starts_with("runtime/opencl/")) return Layer::kOpenCl;
  if (path.starts_with("shaders/")) return path.find("_cpu") == path.npos ? Layer::kCore : Layer::kCpu;
  if (path.starts_with("host/")) return Layer::kHost;
  for (const std::string_view top : {"tools/", "bench/", "tests/"}) {
    if (path.starts_with(top)) return Layer::kTop;
  }
  return Layer::kUnknown;
}

// Backends and host stand side by side on the device interface and do not know each other.
std::set<Layer> may_include(Layer layer) {
  switch (layer) {
    case Layer::kBase:
      return {Layer::kBase};
    case Layer::kCore:
      return {Layer::kBase, Layer::kCore};
    case Layer::kDevice:
      return {Layer::kBase, Layer::kCore, Layer::kDevice};
    case Layer::kCpu:
    case Layer::kVulkan:
    case Layer::kOpenCl:
    case Layer::kHost:
      return {Layer::kBase, Layer::kCore, Layer::kDevice, layer};
    case Layer::kTop:
      return {Layer::kBase,   Layer::kCore,   Layer::kDevice, Layer::kCpu,
              Layer::kVulkan, Layer::kOpenCl, Layer::kHost,   Layer::kTop};
    case Layer::kUnknown:
      break;
  }
  return {};
}

// Which directory alone may include a header of an API.
std::string_view home_of_api_header(std::string_view header) {
  for (const std::string_view api : {"vulkan/", "volk.h", "glslang/", "SPIRV/", "spirv-tools/", "spirv/"}) {
    if (header.starts_with(api)) return "runtime/vulkan/";
  }
  for (const std::string_view api : {"CL/", "clblast"}) {
    if (header.starts_with(api)) return "runtime/opencl/";
  }
  return "";
}

struct SourceFile {
  std::string path;  // from the repository root
  std::vector<std::string> lines;
};

std::vector<SourceFile> read_sources(std::initializer_list<std::string_view> extensions) {
  std::vector<SourceFile> files;
  const fs::path root = NIBBLE_SOURCE_DIR;
  for (const std::string_view top : {"runtime", "shaders", "host", "tools", "bench", "tests"}) {
    if (!fs::exists(root / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const std::string extension = entry.path().extension().string();
      if (!entry.is_regular_file() || std::ranges::find(extensions, extension) == extensions.end()) continue;
      SourceFile file{.path = fs::relative(entry.path(), root).generic_string(), .lines = {}};
      std::ifstream stream(entry.path());
      for (std::string line; std::getline(stream, line);) file.lines.push_back(line);
      files.push_back(std::move(file));
    }
  }
  return files;
}

// `#include "a/b.h"` → {'"', "a/b.h"}; anything else → {0, ""}.
std::pair<char, std::string> parse_include(const std::string& line) {
  const size_t hash = line.find_first_not_of(" \t");
  if (hash == line.npos || !std::string_view(line).substr(hash).starts_with("#include")) return {0, ""};
  const size_t open = line.find_first_of("\"<", hash);
  if (open == line.npos) return {0, ""};
  const size_t close = line.find_first_of("\">", open + 1);
  if (close == line.npos) return {0, ""};
  return {line[open], line.substr(open + 1, close - open - 1)};
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

TEST(Layering, TheTestSeesTheSources) {
  const auto files = read_sources({".h", ".cpp"});
  EXPECT_GT(files.size(), 20u);
  EXPECT_EQ(layer_of("runtime/core/hazards.cpp"), Layer::kCore);
  EXPECT_EQ(layer_of("shaders/norm/rms_norm/rms_norm.cpp"), Layer::kCore);
  EXPECT_EQ(layer_of("shaders/norm/rms_norm/rms_norm_cpu_avx2.cpp"), Layer::kCpu);
  EXPECT_EQ(parse_include("#include \"host/checkpoint/npy.h\"").second, "host/checkpoint/npy.h");
}

TEST(Layering, IncludesOnlyPointDown) {
  for (const SourceFile& file : read_sources({".h", ".cpp", ".inc"})) {
    const Layer layer = layer_of(file.path);
    ASSERT_NE(layer, Layer::kUnknown) << file.path << ": no layer for this directory";
    const std::set<Layer> allowed = may_include(layer);
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const auto [kind, target] = parse_include(file.lines[i]);
      if (kind != '"') continue;
      const Layer target_layer = layer_of(target);
      EXPECT_NE(target_layer, Layer::kUnknown)
          << file.path << ":" << i + 1 << ": \"" << target << "\" is not a path from the repository root";
      EXPECT_TRUE(allowed.contains(target_layer)) << file.path << ":" << i + 1 << ": must not include " << target;
    }
  }
}

TEST(Layering, RoomsOfTheHostIncludeThoseBelow) {
  EXPECT_LT(host_room("host/kv/kv_cache.h"), host_room("host/engine/session.h"));
  for (const SourceFile& file : read_sources({".h", ".cpp", ".inc"})) {
    if (!file.path.starts_with("host/")) continue;
    const size_t room = host_room(file.path);
    ASSERT_LT(room, kHostRooms.size()) << file.path << ": no room of host/";
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const auto [kind, target] = parse_include(file.lines[i]);
      if (kind != '"' || !target.starts_with("host/")) continue;
      EXPECT_LE(host_room(target), room) << file.path << ":" << i + 1 << ": must not include " << target;
    }
  }
}

TEST(Layering, ApiHeadersStayInTheirBackend) {
  for (const SourceFile& file : read_sources({".h", ".cpp", ".inc"})) {
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const auto [kind, target] = parse_include(file.lines[i]);
      const std::string_view home = kind == '<' ? home_of_api_header(target) : "";
      // The broken drivers and compilers of the tests stand where drivers do, below the API.
      const bool is_driver = file.path.starts_with("tests/portability/");
      // Reproducers are programs of their own; nibble carries them as texts.
      const bool is_text = file.path.starts_with("tools/conformance/repro/");
      EXPECT_TRUE(file.path.starts_with(home) || file.path.starts_with("bench/") || is_driver || is_text)
          << file.path << ":" << i + 1 << ": only " << home << " may include <" << target << ">";
    }
  }
}

TEST(Layering, HostNamesNoApiAndRuntimeNoModel) {
  for (const SourceFile& file : read_sources({".h", ".cpp", ".inc", ".kernel"})) {
    const bool host = file.path.starts_with("host/");
    const bool runtime = file.path.starts_with("runtime/");
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const std::string line = lower(file.lines[i]);
      const std::string_view code = std::string_view(line).substr(0, line.find("//"));
      if (host) {
        EXPECT_TRUE(code.find("vulkan") == code.npos && code.find("opencl") == code.npos)
            << file.path << ":" << i + 1 << ": the host knows devices, not APIs";
      }
      if (runtime) {
        EXPECT_EQ(line.find("deepseek"), line.npos) << file.path << ":" << i + 1 << ": the runtime knows no model";
      }
    }
  }
}

TEST(Layering, KernelTextsAndDialectsAreShort) {
  constexpr size_t kMaxKernelLines = 150;
  constexpr size_t kMaxPreludeLines = 60;
  size_t preludes = 0;
  for (const SourceFile& file : read_sources({".kernel", ".prelude"})) {
    const bool prelude = file.path.ends_with(".prelude");
    preludes += prelude ? 1 : 0;
    EXPECT_LE(file.lines.size(), prelude ? kMaxPreludeLines : kMaxKernelLines) << file.path;
  }
  EXPECT_EQ(preludes, 6u) << "one for GLSL, one for OpenCL C, one for GLSL's dot products and three for its matrices";
}

}  // namespace
}  // namespace nibble
