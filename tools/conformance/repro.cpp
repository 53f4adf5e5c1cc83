#include "tools/conformance/repro.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/base/error.h"
#include "runtime/core/variant.h"
#include "tools/conformance/probe.h"
#include "tools/conformance/repro_api.h"
#include "tools/conformance/texts.h"
#include "tools/offline/process.h"

namespace nibble::conformance {
namespace {

using offline::write_file;

// What the whole program may take before it says that the driver hangs.
constexpr uint32_t kLimitSeconds = 60;

std::string safe_name(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    safe += is_plain || c == '-' || c == '_' ? c : '_';
  }
  return safe;
}

// One descriptor of the dispatch.
struct Part {
  std::string name;  // "y", of slabs "y_1"
  const BindingSpec* spec = nullptr;
  const GuardedBinding::Slab* slab = nullptr;  // null: the step words
  const Expected* expected = nullptr;          // null: nothing is expected of it
  uint64_t first = 0;                          // element of the binding that the view begins with
};

const Expected* expected_of(const PreparedCase& prepared, size_t binding) {
  for (const Expected& expected : prepared.expected) {
    if (expected.binding == binding) return &expected;
  }
  return nullptr;
}

std::vector<Part> parts_of(const PreparedCase& prepared) {
  const KernelSpec& kernel = *prepared.dispatch.kernel;
  std::vector<Part> parts;
  size_t next = 0;
  for (size_t b = 0; b < kernel.bindings.size(); ++b) {
    const BindingSpec& spec = kernel.bindings[b];
    if (spec.kind == BindingKind::kStep) {
      parts.push_back({.name = std::string(spec.name), .spec = &spec});
      continue;
    }
    uint64_t first = 0;
    const std::span<const GuardedBinding::Slab> slabs = prepared.bindings[next++].slabs();
    for (size_t s = 0; s < slabs.size(); ++s) {
      parts.push_back({.name = slabs.size() > 1 ? fmt::format("{}_{}", spec.name, s) : std::string(spec.name),
                       .spec = &spec,
                       .slab = &slabs[s],
                       .expected = spec.access == Access::kRead ? nullptr : expected_of(prepared, b),
                       .first = first});
      first += slabs[s].content_bytes / 4;
    }
  }
  return parts;
}

std::string file_of(std::string_view what, size_t number, const Part& part) {
  return fmt::format("{}_{}_{}.bin", what, number, safe_name(part.name));
}

template <typename T>
void write_array(const std::filesystem::path& file, std::span<const T> values) {
  write_file(file.string(), {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

// Step words as the program holds them: at least a header.
std::vector<uint32_t> step_words(const PreparedCase& prepared) {
  std::vector<uint32_t> words = prepared.data.step;
  words.resize(std::max<size_t>(words.size(), kStepHeaderWords));
  return words;
}

const Variant& variant_of(const KernelSpec& kernel, const std::string& name) {
  const auto found = std::ranges::find(kernel.variants, name, &Variant::name);
  check(found != kernel.variants.end(), "kernel {} has no variant '{}'", kernel.name, name);
  return *found;
}

std::string replaced(std::string text, std::string_view place, std::string_view by) {
  const size_t at = text.find(place);
  check(at != text.npos, "a text of reproducers has no place '{}'", place);
  return text.replace(at, place.size(), by);
}

ReproLaunch launch_of(const KernelSpec& kernel, const Variant& variant, const PreparedCase& prepared) {
  const Grid grid = kernel.grid(prepared.data.params, variant);
  const StepHeader step = read_step_header(prepared.data.step);
  return {.workgroups = {grid.x.evaluate(step), grid.y.evaluate(step), grid.z.evaluate(step)},
          .depends_on_step = !grid.is_constant()};
}

class Writer {
 public:
  Writer(const ReproMaterial& material, const PreparedCase& prepared)
      : material_(material),
        prepared_(prepared),
        kernel_(*prepared.dispatch.kernel),
        variant_(variant_of(kernel_, parse_variant(material.row.variant).name)),
        launch_(launch_of(kernel_, variant_, prepared)),
        api_(material.info.backend == BackendKind::kVulkan ? vulkan_repro(material, prepared, variant_, launch_)
                                                           : opencl_repro(material, prepared, variant_)),
        parts_(parts_of(prepared)) {
    if (api_.fields.empty()) api_.fields.resize(parts_.size());
    check(parts_.size() == api_.fields.size(), "{}: {} buffers for {} descriptors", material.row.name(), parts_.size(),
          api_.fields.size());
  }

  void write() {
    require_data();
    std::error_code error;
    std::filesystem::create_directories(material_.folder, error);
    if (error) fail(ErrorCode::kIo, "--repro: {} cannot be created: {}", material_.folder.string(), error.message());
    remove_old_data();
    for (const auto& [name, content] : api_.files) write_file((material_.folder / name).string(), content);
    std::string rows;
    for (size_t i = 0; i < parts_.size(); ++i) rows += write_part(i);
    std::string program(conformance_text(api_.program));
    program = replaced(std::move(program), "// @HEAD@\n", conformance_text("repro/head.cpp"));
    program = replaced(std::move(program), "@TITLE@", title());
    program = replaced(std::move(program), "@BUILD@", api_.build);
    program = replaced(std::move(program), "// @CASE@\n", constants(rows));
    program = replaced(std::move(program), "// @CHECKS@\n", conformance_text("repro/checks.cpp"));
    program = replaced(std::move(program), "// @BASICS@\n", conformance_text("repro/basics.cpp"));
    program = replaced(std::move(program), "// @COMPARE@\n", conformance_text("repro/compare.cpp"));
    write_file((material_.folder / "repro.cpp").string(), program);
    write_file((material_.folder / "report.md").string(), report());
  }

 private:
  // A folder of the same case from before may hold more, and what was found then is not what is found now.
  void remove_old_data() const {
    std::vector<std::filesystem::path> old;
    for (const auto& file : std::filesystem::directory_iterator(material_.folder)) {
      if (file.path().extension() == ".bin") old.push_back(file.path());
    }
    std::error_code ignored;
    for (const std::filesystem::path& file : old) std::filesystem::remove(file, ignored);
  }

  std::string title() const { return fmt::format("{} on {}", material_.row.name(), material_.device.name); }

  // A rule in code cannot be written as data. Where nothing came back the rule does not matter.
  void require_data() const {
    const Verdict verdict = material_.row.result.verdict;
    if (verdict != Verdict::kFail && verdict != Verdict::kNondeterministic) return;
    for (const Part& part : parts_) {
      if (part.expected == nullptr || !part.expected->custom) continue;
      fail(ErrorCode::kUnsupported, "'{}' is compared by a rule of the kernel's own, not with values", part.name);
    }
  }

  // The part's files; returns its row of kParts.
  std::string write_part(size_t i) const {
    const Part& part = parts_[i];
    const std::string before = file_of("before", i, part);
    std::string expected;
    std::string allowed;
    uint64_t offset = 0;
    uint64_t bytes = 0;
    if (part.slab == nullptr) {
      const std::vector<uint32_t> words = step_words(prepared_);
      bytes = words.size() * 4;
      write_array<uint32_t>(material_.folder / before, words);
    } else {
      offset = part.slab->view.offset;
      bytes = part.slab->content_bytes;
      write_array<std::byte>(material_.folder / before, part.slab->image);
    }
    std::string_view check = part.spec->access == Access::kRead ? "kUnchanged" : "kNothing";
    if (part.expected != nullptr && !part.expected->words.empty()) {
      check = "kWords";
      expected = file_of("expected", i, part);
      write_array(material_.folder / expected, piece(part, part.expected->words));
    } else if (part.expected != nullptr && !part.expected->values.empty()) {
      check = "kValues";
      expected = file_of("expected", i, part);
      allowed = file_of("allowed", i, part);
      write_array(material_.folder / expected, piece(part, part.expected->values));
      write_array<double>(material_.folder / allowed, allowances(part));
    }
    return fmt::format("    {{{}, {}, {}, {}, {}{}, Check::{},\n     {}, {}}},\n", c_string(part.name),
                       c_string(before), offset, bytes, api_.fields[i], part.slab == nullptr, check, c_string(expected),
                       c_string(allowed));
  }

  template <typename T>
  std::span<const T> piece(const Part& part, const std::vector<T>& all) const {
    const uint64_t count = part.slab->content_bytes / 4;
    check(part.first + count <= all.size(), "{}: '{}' has more than the {} elements of the reference",
          material_.row.name(), part.name, all.size());
    return std::span(all).subspan(part.first, count);
  }

  std::vector<double> allowances(const Part& part) const {
    std::vector<double> allowed;
    for (uint64_t i = part.first; i < part.first + part.slab->content_bytes / 4; ++i) {
      const bool wants_nan = std::isnan(part.expected->values[i]);
      const double flushed = flush_allowance(material_.info.backend);
      allowed.push_back(wants_nan ? (part.spec->access == Access::kWrite ? 1 : 0)
                                  : allowed_error(*part.expected, i, kernel_.tolerance, flushed));
    }
    return allowed;
  }

  std::string constants(const std::string& rows) const {
    std::string text = fmt::format("constexpr const char* kFailedOn = {};\n", c_string(material_.device.name));
    text += fmt::format("constexpr Part kParts[] = {{\n{}}};\n", rows);
    std::vector<uint32_t> params(prepared_.data.params.size() / 4);
    if (!params.empty()) std::memcpy(params.data(), prepared_.data.params.data(), params.size() * 4);
    text += fmt::format("const std::vector<uint32_t> kParams = {{{:#x}}};\n", fmt::join(params, ", "));
    text += fmt::format("constexpr uint32_t kGrid[3] = {{{}}};\n", fmt::join(launch_.workgroups, ", "));
    text += fmt::format("constexpr uint32_t kRuns = {};\n", material_.runs);
    text += fmt::format("constexpr uint64_t kLimitSeconds = {};\n", kLimitSeconds);
    return text + api_.constants;
  }

  std::string symptom() const {
    const CaseResult& result = material_.row.result;
    return fmt::format("{}: {}", name_of(result.verdict), result.message);
  }

  std::string report() const {
    const DeviceReport& device = material_.device;
    std::string text = fmt::format("# A compute kernel goes wrong: {}\n\n{}\n\n", material_.row.name(), symptom());
    text += fmt::format("- device: {} ({}, {})\n- driver: {} {}{}\n- system: {}\n- capabilities in use: {}\n",
                        device.name, device.type, api_version(), device.driver, device.driver_version,
                        device.driver_build.empty() ? "" : fmt::format(", build {}", device.driver_build),
                        describe_system(), fmt::join(device.capabilities, ", "));
    text += fmt::format("- computes: {}\n", kernel_.formula);
    if (!material_.row.smallest.empty()) {
      text += fmt::format("- sizes: {}, the smallest found at which it fails\n", material_.row.smallest);
    }
    text += fmt::format("- dispatch: {} workgroups of {} invocations{}; {} runs\n", fmt::join(launch_.workgroups, "x"),
                        variant_.workgroup, api_.dispatch_note, material_.runs);
    text += fmt::format(
        "\nBuild and run in this folder, with {} (DEVICE: an index or a part of a name):\n\n"
        "    {}\n\nIt prints PASS, or FAIL with the first wrong element.{}\n\n",
        api_.needs, api_.build, drivers());
    text +=
        api_.file_note +
        "- `before_N_NAME.bin`: the buffer of binding N before the dispatch, with random guard bytes around the view\n"
        "- `expected_N_NAME.bin`, `allowed_N_NAME.bin`: per element what must be found (f64, or u32 where it is "
        "exact)\n"
        "  and how far off it may be (f64)\n"
        "- `found_N_NAME.bin`: the whole buffer after the failing run; missing where nothing came back\n";
    return text;
  }

  std::string api_version() const {
    const std::string_view name = material_.info.backend == BackendKind::kVulkan ? "Vulkan " : "";
    return fmt::format("{}{}", name, material_.device.api_version);
  }

  // Manifests that the system does not know itself.
  std::string drivers() const {
    if (material_.options.icds.empty()) return "";
    return fmt::format(" The driver's manifest was named by VK_ADD_DRIVER_FILES={}.",
                       fmt::join(material_.options.icds, ":"));
  }

  const ReproMaterial& material_;
  const PreparedCase& prepared_;
  const KernelSpec& kernel_;
  const Variant& variant_;
  ReproLaunch launch_;
  ReproApi api_;
  std::vector<Part> parts_;
};

}  // namespace

bool wants_reproducer(Verdict verdict) {
  return verdict != Verdict::kPass && verdict != Verdict::kUnsupported && verdict != Verdict::kSkipped;
}

std::filesystem::path repro_path(const Row& row) {
  return std::filesystem::path(safe_name(row.variant_name())) / safe_name(row.case_name);
}

std::optional<std::string> no_reproducer(const Row& row, BackendKind backend) {
  if (backend == BackendKind::kCpu) return "devices of the backend cpu have no driver to report";
  const Probe* probe = find_probe(row.kernel);
  if (probe != nullptr && probe->run != nullptr) return "the probe is several dispatches and transfers, not one";
  return std::nullopt;
}

void write_reproducer(const ReproMaterial& material, const PreparedCase& prepared) {
  Writer(material, prepared).write();
}

void add_to_report(const std::filesystem::path& folder, const std::string& text) {
  const std::string file = (folder / "report.md").string();
  write_file(file, offline::read_file(file) + "\n" + text + "\n");
}

void write_found(const std::filesystem::path& folder, Device& device, const PreparedCase& prepared) {
  const std::vector<Part> parts = parts_of(prepared);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].slab == nullptr) continue;
    std::vector<std::byte> found(parts[i].slab->image.size());
    device.download(parts[i].slab->view.buffer, found);
    write_array<std::byte>(folder / file_of("found", i, parts[i]), found);
  }
}

}  // namespace nibble::conformance
