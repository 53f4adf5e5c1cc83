// A run over all kernel variants: which mutants are tried, and what became of each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/portability/mutation/subject.h"

namespace nibble::mutation {

struct CampaignOptions {
  SubjectOptions subjects;
  uint32_t per_variant = 12;
  uint32_t apart_per_variant = 3;
  uint32_t total = 0;      // fewer variants, so that at most so many mutants run; 0: all
  std::string containing;  // only mutations whose name contains this
  uint64_t seed = 1;
  uint32_t jobs = 2;
  bool try_all = false;        // survivors of the quick cases on all cases
  std::string explained;       // a file for read_explained(); empty: none
  std::string save_directory;  // modules of survivors, and what they were; empty: none
};

enum class Fate {
  kInvalid,     // the validator refuses the module
  kEquivalent,  // the optimiser makes the same module of it
  kKilled,
  kExplained,  // survived, as explained.json says that it must
  kSurvived,
};

struct Mutant {
  std::string id;  // mutant_id()
  std::string variant;
  std::string kind;
  std::string what;
  bool is_apart = false;
  Fate fate = Fate::kInvalid;
  bool by_others = false;  // killed, but only by cases that a quick run leaves out
  Outcome outcome;
};

// Throws if the device is not there or a variant fails without a mutant. One line a variant goes to stderr.
std::vector<Mutant> run_campaign(const CampaignOptions& options);

// Of those that are neither apart nor invalid nor equivalent nor explained.
double killed_percent(const std::vector<Mutant>& mutants);

nlohmann::ordered_json to_json(const std::vector<Mutant>& mutants);
// One of the "mutants" of to_json().
Mutant parse_mutant(const nlohmann::ordered_json& json);
// A table by kind, then the survivors.
std::string to_text(const std::vector<Mutant>& mutants);

}  // namespace nibble::mutation
