// Subgroups. How large they are and which invocations they hold is the driver's choice, so a kernel reports both, and
// the sums are checked against what it reported.
#include <algorithm>
#include <bit>
#include <map>

#include <fmt/format.h>

#include "tools/conformance/probe_sets.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {
namespace {

constexpr uint32_t kWorkgroups = 5;
constexpr uint32_t kSizeWg = 128;  // of the probe of sizes: whole subgroups of every size there is
constexpr uint32_t kFields = 6;    // of an invocation's report; shape in probes/subgroup.kernel

struct SubgroupParams {
  uint32_t skip = 0;
};

Grid five_workgroups(std::span<const std::byte>, const Variant&) { return {.x = GridDim::constant(kWorkgroups)}; }

template <uint32_t kWg, uint32_t kSkip>
std::vector<KernelCase> cases() {
  return {{"integers", [](Rng& rng) {
             std::vector<float> a;
             for (uint32_t i = 0; i < kWorkgroups * kWg; ++i)
               a.push_back(static_cast<float>(rng.below(4000)) - 3000.0f);
             CaseData data{.params = pack_params(SubgroupParams{kSkip})};
             data.bindings.push_back({.content = spec::to_bytes(bits_of(a))});
             data.bindings.push_back(spec::blank(size_t{kWorkgroups} * kWg * kFields));
             return data;
           }}};
}

struct Member {
  uint32_t local = 0, place = 0, size = 0, subgroups = 0;
  float sum = 0, most = 0, value = 0;
};

// What is wrong with one subgroup, or "".
std::string check_subgroup(uint32_t id, const std::vector<Member>& members, uint32_t skip, uint32_t subgroups) {
  const auto is_active = [&](const Member& m) { return skip == 0 || m.local % skip != 0; };
  double sum = 0;
  double most = -1e30;
  std::vector<bool> taken(members.front().size);
  for (const Member& m : members) {
    if (m.size != members.front().size || m.place >= m.size || taken[m.place] || m.subgroups != subgroups ||
        id >= subgroups) {
      return fmt::format("invocation {} says it is number {} of {} in subgroup {} of {}, which cannot be", m.local,
                         m.place, m.size, id, m.subgroups);
    }
    taken[m.place] = true;
    if (!is_active(m)) continue;
    sum += m.value;
    most = std::max(most, double{m.value});
  }
  for (const Member& m : members) {
    if (!is_active(m)) continue;
    if (!(double{m.sum} == sum)) {
      return fmt::format("invocation {}: subgroupAdd gives {}, want {}", m.local, m.sum, sum);
    }
    if (!(double{m.most} == most)) {
      return fmt::format("invocation {}: subgroupMax gives {}, want {}", m.local, m.most, most);
    }
  }
  return "";
}

std::optional<std::string> check_report(std::span<const uint32_t> report, std::span<const float> a, uint32_t wg,
                                        uint32_t skip) {
  for (uint32_t workgroup = 0; workgroup < kWorkgroups; ++workgroup) {
    std::map<uint32_t, std::vector<Member>> subgroups;
    for (uint32_t local = 0; local < wg; ++local) {
      const size_t i = size_t{workgroup} * wg + local;
      const auto word = [&](size_t field) { return report[i * kFields + field]; };
      subgroups[word(0)].push_back({.local = local,
                                    .place = word(1),
                                    .size = std::min(word(2), 1024u),
                                    .subgroups = word(3),
                                    .sum = std::bit_cast<float>(word(4)),
                                    .most = std::bit_cast<float>(word(5)),
                                    .value = a[i]});
    }
    for (const auto& [id, members] : subgroups) {
      const std::string problem = check_subgroup(id, members, skip, static_cast<uint32_t>(subgroups.size()));
      if (!problem.empty()) return fmt::format("workgroup {}: {}", workgroup, problem);
    }
  }
  return std::nullopt;
}

template <uint32_t kWg>
std::vector<Expected> reference(const CaseData& data) {
  Expected y{.binding = 1};
  y.custom = [a = floats_in(data, 0),
              skip = unpack_params<SubgroupParams>(data.params).skip](std::span<const std::byte> bytes) {
    return check_report(spec::from_bytes<uint32_t>(bytes), a, kWg, skip);
  };
  return {y};
}

template <uint32_t kWg, uint32_t kSkip>
KernelSpec subgroup_spec(std::string_view name) {
  return {.name = name,
          .formula = "y[i] = subgroup, place, size, number of subgroups, subgroupAdd, subgroupMax",
          .bindings = {input("a", ElementType::kF32), output("y", ElementType::kU32)},
          .params = {{"skip"}},
          .variants = {{.name = "subgroups",
                        .text = conformance_text("probes/subgroup.kernel"),
                        .workgroup = kWg,
                        .requires_ = {Capability::kSubgroups},
                        .dialect = Dialect::kGlsl}},
          .grid = five_workgroups,
          .cases = cases<kWg, kSkip>,
          .reference = reference<kWg>,
          .tolerance = {.eps = 0, .why = "small integers: every order gives the same sum"},
          .cost = no_cost};
}

// A fixed input, as the sums are not looked at.
std::optional<std::string> run_size(Device& device, const KernelSpec& spec) {
  Rng rng(1);
  const CaseData data = cases<kSizeWg, 0>().front().make(rng);
  const auto a = device.allocate(data.bindings[0].content.size(), "size.a");
  const auto y = device.allocate(data.bindings[1].content.size(), "size.y");
  device.upload(a, data.bindings[0].content);
  DispatchList list;
  list.add({.kernel = &spec, .params = data.params, .bindings = {a, y}, .label = "sizes"});
  const auto program = device.record(list);
  run_step(device, *program);
  const std::vector<uint32_t> report = download(device, y);
  for (size_t i = 0; i < report.size() / kFields; ++i) {
    const uint32_t size = report[i * kFields + 2];
    if (size == device.info().subgroup_size) continue;
    return fmt::format("invocation {}: its subgroup has room for {}, want {}", i, size, device.info().subgroup_size);
  }
  return std::nullopt;
}

Probe size_of_subgroups() {
  return {.spec = subgroup_spec<kSizeWg, 0>("probe_subgroup_size"),
          .fact = "subgroups are as large as the kernel asks for or, if it does not, as the driver announces",
          .symptom = "products by matrix units are wrong, and what `--subgroup-size` asks for makes no difference",
          .relied_on_by = {"*matrix*", "*@*"},
          .run = run_size};
}

Probe whole_subgroups(KernelSpec spec) {
  return {.spec = std::move(spec),
          .fact = "subgroups divide a workgroup, and subgroupAdd and subgroupMax cover each once",
          .symptom = "every matrix product that adds up by subgroups is wrong",
          .relied_on_by = {"*subgroups*", "*texels*"}};
}

}  // namespace

std::vector<Probe> subgroup_probes() {
  return {size_of_subgroups(),
          whole_subgroups(subgroup_spec<64, 0>("probe_subgroup_64")),
          whole_subgroups(subgroup_spec<8, 0>("probe_subgroup_8")),
          {.spec = subgroup_spec<64, 3>("probe_subgroup_inactive"),
           .fact = "subgroupAdd and subgroupMax leave invocations out that did not come to them",
           .symptom = "sums at the edge of a matrix hold what inactive invocations had",
           .relied_on_by = {"*subgroups*", "*texels*"}}};
}

}  // namespace nibble::conformance
