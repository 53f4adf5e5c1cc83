#include "tools/drivers/driver_files.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace nibble::drivers {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(':', at), list.size());
    if (end > at) parts.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Files of a folder with this ending, by name; the file itself where it is one.
std::vector<fs::path> files_in(const fs::path& where, std::string_view ending) {
  std::error_code error;
  if (!fs::is_directory(where, error)) return fs::exists(where, error) ? std::vector{where} : std::vector<fs::path>{};
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(where, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (entry->path().extension() == ending) files.push_back(entry->path());
  }
  std::ranges::sort(files);
  return files;
}

// The folders in which the Vulkan loader looks for `what` ("icd.d", "implicit_layer.d").
std::vector<fs::path> vulkan_folders(const char* what) {
  const std::string home = variable("HOME");
  const auto or_else = [](std::string value, std::string otherwise) { return value.empty() ? otherwise : value; };
  const auto below_home = [&](const char* folder) { return home.empty() ? std::string() : home + folder; };
  std::vector<std::string> roots;
  const auto add = [&](const std::string& list) {
    for (std::string& root : split(list)) roots.push_back(std::move(root));
  };
  add(or_else(variable("XDG_CONFIG_HOME"), below_home("/.config")));
  add(or_else(variable("XDG_CONFIG_DIRS"), "/etc/xdg"));
  add("/etc:/usr/local/etc");
  add(or_else(variable("XDG_DATA_HOME"), below_home("/.local/share")));
  add(or_else(variable("XDG_DATA_DIRS"), "/usr/local/share:/usr/share"));
  std::vector<fs::path> folders;
  for (const std::string& root : roots) folders.push_back(fs::path(root) / "vulkan" / what);
  return folders;
}

std::string defect_of_library(const DriverFile& file) {
  if (file.library.empty()) return "names no library";
  if (file.library.find('/') == std::string::npos) return "";  // the dynamic linker's business
  const fs::path library = file.library_path();
  std::error_code error;
  if (!fs::exists(library, error)) return "its library is not there";
  std::ifstream stream(library, std::ios::binary);
  std::array<char, 4> magic{};
  if (!stream.read(magic.data(), magic.size()) || std::string_view(magic.data(), 4) !=
                                                      "\x7f"
                                                      "ELF") {
    return "its library is no library";
  }
  return "";
}

// {"ICD": {"library_path": "libvulkan_lvp.so"}}; layers have "layer" instead.
DriverFile read_manifest(const fs::path& path) {
  DriverFile file{.path = path, .library = "", .defect = ""};
  const auto json = nlohmann::json::parse(read_text(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    file.defect = "is not JSON";
    return file;
  }
  for (const char* key : {"ICD", "layer"}) {
    const auto part = json.find(key);
    if (part == json.end() || !part->is_object()) continue;
    const auto library = part->find("library_path");
    if (library != part->end() && library->is_string()) file.library = *library;
  }
  file.defect = defect_of_library(file);
  return file;
}

void add_once(std::vector<DriverFile>& files, DriverFile file) {
  const bool is_known = std::ranges::any_of(files, [&](const DriverFile& other) { return other.path == file.path; });
  if (!is_known) files.push_back(std::move(file));
}

std::vector<DriverFile> vulkan_files(const std::vector<std::string>& icds) {
  // A list of drivers replaces the system's; the newer variable counts.
  std::string list = variable("VK_DRIVER_FILES");
  if (list.empty()) list = variable("VK_ICD_FILENAMES");
  std::vector<fs::path> places;
  for (const std::string& place : split(list.empty() ? variable("VK_ADD_DRIVER_FILES") : list))
    places.emplace_back(place);
  if (list.empty()) std::ranges::copy(vulkan_folders("icd.d"), std::back_inserter(places));
  for (const std::string& icd : icds) places.push_back(fs::absolute(icd));
  std::vector<DriverFile> files;
  for (const fs::path& place : places) {
    for (const fs::path& manifest : files_in(place, ".json")) add_once(files, read_manifest(manifest));
  }
  return files;
}

DriverFile read_icd(const fs::path& path) {
  if (path.extension() != ".icd") return {.path = path, .library = path.string(), .defect = ""};
  std::string text = read_text(path);
  text = text.substr(0, text.find('\n'));
  DriverFile file{.path = path, .library = std::move(text), .defect = ""};
  file.defect = defect_of_library(file);
  return file;
}

std::vector<DriverFile> opencl_files() {
  std::string place = variable("OCL_ICD_VENDORS");
  if (place.empty()) place = variable("OPENCL_VENDOR_PATH");
  if (place.empty()) place = "/etc/OpenCL/vendors";
  std::vector<DriverFile> files;
  for (const fs::path& file : files_in(place, ".icd")) add_once(files, read_icd(file));
  for (const std::string& library : split(variable("OCL_ICD_FILENAMES"))) add_once(files, read_icd(library));
  return files;
}

}  // namespace

std::string DriverFile::describe() const {
  if (library.empty() || library == path.string()) return fmt::format("'{}'", path.string());
  return fmt::format("'{}' ({})", path.string(), library);
}

fs::path DriverFile::library_path() const {
  // A path is relative to the manifest; OpenCL's is what dlopen() makes of it.
  if (library.find('/') != std::string::npos) return path.parent_path() / library;
  std::vector<std::string> folders = split(variable("LD_LIBRARY_PATH"));
  for (const char* usual : {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"}) {
    folders.emplace_back(usual);
  }
  for (const std::string& folder : folders) {
    std::error_code error;
    if (fs::exists(fs::path(folder) / library, error)) return fs::path(folder) / library;
  }
  return {};
}

std::vector<DriverFile> driver_files(BackendKind api, const std::vector<std::string>& icds) {
  return api == BackendKind::kVulkan ? vulkan_files(icds) : opencl_files();
}

std::vector<ImplicitLayer> implicit_layers() {
  std::vector<ImplicitLayer> layers;
  for (const fs::path& folder : vulkan_folders("implicit_layer.d")) {
    for (const fs::path& path : files_in(folder, ".json")) {
      const auto json = nlohmann::json::parse(read_text(path), nullptr, /*allow_exceptions=*/false);
      if (!json.is_object() || !json.contains("layer") || !json["layer"].is_object()) continue;
      const auto& layer = json["layer"];
      const auto off = layer.find("disable_environment");
      if (off == layer.end() || !off->is_object() || off->empty() || !off->begin()->is_string()) continue;
      const auto name = layer.find("name");
      layers.push_back({.file = read_manifest(path),
                        .name = name != layer.end() && name->is_string() ? name->get<std::string>() : path.string(),
                        .off_variable = off->begin().key(),
                        .off_value = off->begin()->get<std::string>()});
    }
  }
  return layers;
}

Variables only_these(BackendKind api, const std::vector<DriverFile>& chosen, const fs::path& folder) {
  if (api == BackendKind::kVulkan) {
    std::vector<std::string> paths;
    for (const DriverFile& file : chosen) paths.push_back(file.path.string());
    // An empty list would mean the system's.
    if (paths.empty()) paths.push_back((folder / "none.json").string());
    const std::string list = fmt::format("{}", fmt::join(paths, ":"));
    return {{"VK_DRIVER_FILES", list}, {"VK_ICD_FILENAMES", list}, {"VK_ADD_DRIVER_FILES", std::nullopt}};
  }
  for (size_t i = 0; i < chosen.size(); ++i) {
    const std::string stem = chosen[i].path.stem().string();
    std::ofstream(folder / fmt::format("{:02}_{}.icd", i, stem)) << chosen[i].library << "\n";
  }
  return {{"OCL_ICD_VENDORS", folder.string()},
          {"OPENCL_VENDOR_PATH", folder.string()},
          {"OCL_ICD_FILENAMES", std::nullopt}};
}

}  // namespace nibble::drivers
