// What became of mutants, as JSON and as text.
#include <algorithm>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "tests/portability/mutation/campaign.h"

namespace nibble::mutation {
namespace {

constexpr const char* kFates[] = {"invalid", "equivalent", "killed", "explained", "survived"};

struct Counts {
  size_t mutants = 0, invalid = 0, equivalent = 0, killed = 0, by_others = 0, explained = 0, survived = 0;

  void add(const Mutant& mutant) {
    ++mutants;
    invalid += mutant.fate == Fate::kInvalid;
    equivalent += mutant.fate == Fate::kEquivalent;
    killed += mutant.fate == Fate::kKilled;
    by_others += mutant.by_others;
    explained += mutant.fate == Fate::kExplained;
    survived += mutant.fate == Fate::kSurvived;
  }
  double percent() const {
    return killed + survived == 0 ? 100 : 100.0 * static_cast<double>(killed) / static_cast<double>(killed + survived);
  }
  std::string line(std::string_view name) const {
    return fmt::format("{:<22} {:>7} {:>7} {:>10} {:>6} {:>9} {:>9} {:>8} {:>6.1f} %\n", name, mutants, invalid,
                       equivalent, killed, by_others, explained, survived, percent());
  }
};

}  // namespace

Mutant parse_mutant(const nlohmann::ordered_json& json) {
  const std::string fate = json.at("fate");
  const auto known = std::ranges::find(kFates, fate);
  return {.id = json.at("id"),
          .variant = json.at("variant"),
          .kind = json.at("kind"),
          .what = json.at("what"),
          .is_apart = json.at("apart"),
          .fate = static_cast<Fate>(known - std::begin(kFates)),
          .by_others = json.at("by_others"),
          .outcome = {.is_killed = fate == "killed",
                      .verdict = json.at("verdict"),
                      .row = json.at("row"),
                      .message = json.at("message"),
                      .seconds = json.at("seconds")}};
}

double killed_percent(const std::vector<Mutant>& mutants) {
  Counts counts;
  for (const Mutant& mutant : mutants) {
    if (!mutant.is_apart) counts.add(mutant);
  }
  return counts.percent();
}

nlohmann::ordered_json to_json(const std::vector<Mutant>& mutants) {
  auto list = nlohmann::ordered_json::array();
  for (const Mutant& mutant : mutants) {
    list.push_back({{"id", mutant.id},
                    {"variant", mutant.variant},
                    {"kind", mutant.kind},
                    {"what", mutant.what},
                    {"apart", mutant.is_apart},
                    {"fate", kFates[static_cast<size_t>(mutant.fate)]},
                    {"by_others", mutant.by_others},
                    {"verdict", mutant.outcome.verdict},
                    {"row", mutant.outcome.row},
                    {"message", mutant.outcome.message},
                    {"seconds", mutant.outcome.seconds}});
  }
  return {{"killed_percent", killed_percent(mutants)}, {"mutants", list}};
}

std::string to_text(const std::vector<Mutant>& mutants) {
  std::string text = fmt::format("{:<22} {:>7} {:>7} {:>10} {:>6} {:>9} {:>9} {:>8} {:>8}\n", "kind", "mutants",
                                 "invalid", "equivalent", "killed", "not quick", "explained", "survived", "killed");
  for (const bool is_apart : {false, true}) {
    std::map<std::string, Counts> by_kind;
    Counts all;
    for (const Mutant& mutant : mutants) {
      if (mutant.is_apart != is_apart) continue;
      by_kind[mutant.kind].add(mutant);
      all.add(mutant);
    }
    for (const auto& [kind, counts] : by_kind) text += counts.line(kind);
    text += all.line(is_apart ? "all of these, apart" : "all");
  }
  for (const Mutant& mutant : mutants) {
    if (mutant.fate != Fate::kSurvived) continue;
    text +=
        fmt::format("survived{}: {}: {}: {}\n", mutant.is_apart ? " (apart)" : "", mutant.id, mutant.kind, mutant.what);
  }
  return text;
}

}  // namespace nibble::mutation
