#include "tests/portability/mutation/campaign.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "runtime/base/error.h"
#include "tests/portability/mutation/equivalence.h"
#include "tests/portability/mutation/explained.h"
#include "tests/portability/mutation/sample.h"

namespace nibble::mutation {
namespace {

// Drivers compile mutants of one text in about the same time; a loop that a mutant makes longer is a hang soon enough.
double limit_for(double baseline_seconds) { return 4 + 6 * baseline_seconds; }

void save(const std::string& file, const Words& words) {
  const auto bytes = static_cast<std::streamsize>(words.size() * sizeof words[0]);
  std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(words.data()), bytes);
}

// Of a variant's modules the one with the most slabs.
const Words& longest(const std::vector<Words>& modules) {
  return *std::ranges::max_element(modules, {}, [](const Words& words) { return words.size(); });
}

class VariantRun {
 public:
  VariantRun(const CampaignOptions& options, Subject quick, Subject all)
      : options_(options), quick_(std::move(quick)), all_(std::move(all)) {}

  std::vector<Mutant> run(uint32_t position) {
    const Baseline baseline = run_baseline(quick_, options_.subjects);
    if (baseline.modules.empty()) return {};
    quick_.limit_seconds = limit_for(baseline.seconds);
    original_ = longest(baseline.modules);
    canonical_ = canonical_form(original_);
    std::vector<Mutant> mutants;
    const faults::Module module(original_);
    Sample sample(mutations_of(module), options_.containing, options_.seed, position);
    for (const bool is_apart : {false, true}) {
      uint32_t left = is_apart ? options_.apart_per_variant : options_.per_variant;
      while (left > 0) {
        const std::optional<Mutation> mutation = sample.next(is_apart);
        if (!mutation) break;
        Mutant mutant = try_one(*mutation);
        // What cannot be a mutant takes nobody's place: the next of its kind is tried.
        if (mutant.fate == Fate::kInvalid) sample.repeat_kind();
        if (mutant.fate != Fate::kInvalid) --left;
        if (mutant.fate == Fate::kSurvived) save_survivor(*mutation);
        mutants.push_back(std::move(mutant));
      }
    }
    return mutants;
  }

 private:
  Mutant try_one(const Mutation& mutation) {
    Mutant mutant{.id = mutant_id(quick_.name, mutation.site),
                  .variant = quick_.name,
                  .kind = mutation.kind,
                  .what = mutation.what,
                  .is_apart = mutation.is_apart,
                  .outcome = {}};
    faults::Module module(original_);
    apply(module, mutation);
    const Words words = module.words();
    if (!is_valid(words)) return mutant;
    mutant.fate = Fate::kEquivalent;
    if (canonical_form(words) == canonical_) return mutant;
    mutant.outcome = run_mutant(quick_, mutation, options_.subjects);
    mutant.fate = mutant.outcome.is_killed ? Fate::kKilled : Fate::kSurvived;
    if (mutant.outcome.is_killed || !options_.try_all) return mutant;
    SubjectOptions all = options_.subjects;
    all.all_cases = true;
    if (all_.limit_seconds == 0) all_.limit_seconds = limit_for(run_baseline(all_, all).seconds);
    mutant.outcome = run_mutant(all_, mutation, all);
    mutant.by_others = mutant.outcome.is_killed;
    if (mutant.by_others) mutant.fate = Fate::kKilled;
    return mutant;
  }

  void save_survivor(const Mutation& mutation) const {
    if (options_.save_directory.empty()) return;
    const std::string stem = fmt::format("{}/{}", options_.save_directory, quick_.name);
    faults::Module module(original_);
    apply(module, mutation);
    save(stem + ".spv", original_);
    save(fmt::format("{} {}.spv", stem, mutation.what), module.words());
  }

  const CampaignOptions& options_;
  Subject quick_;
  Subject all_;
  Words original_;
  Words canonical_;
};

std::string file_of(const CampaignOptions& options, uint32_t worker) {
  return fmt::format("{}/worker-{}.json", options.subjects.cache_dir, worker);
}

// One worker: takes the next variant until there is none left, and writes what it found to its file.
void work(const CampaignOptions& options, const std::vector<Subject>& quick, const std::vector<Subject>& every,
          std::atomic<uint32_t>& next, uint32_t worker) {
  std::vector<Mutant> mutants;
  for (uint32_t i = next++; i < quick.size(); i = next++) {
    std::vector<Mutant> some = VariantRun(options, quick[i], every.empty() ? Subject{} : every[i]).run(i);
    fmt::print(stderr, "{}: {} mutants\n", quick[i].name, some.size());
    for (const Mutant& mutant : some) {
      if (mutant.fate == Fate::kSurvived) fmt::print(stderr, "  survived: {}: {}\n", mutant.kind, mutant.what);
    }
    mutants.insert(mutants.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
  }
  std::ofstream(file_of(options, worker)) << to_json(mutants).at("mutants").dump();
}

// Fewer variants, evenly.
std::vector<Subject> thinned(std::vector<Subject> subjects, size_t most) {
  if (subjects.size() <= most) return subjects;
  std::vector<Subject> result;
  for (size_t i = 0; i < most; ++i) result.push_back(std::move(subjects[i * subjects.size() / most]));
  return result;
}

}  // namespace

std::vector<Mutant> run_campaign(const CampaignOptions& options) {
  std::filesystem::create_directories(options.subjects.cache_dir);
  if (!options.save_directory.empty()) std::filesystem::create_directories(options.save_directory);
  std::vector<Subject> quick = list_subjects(options.subjects);
  std::vector<Subject> every;
  if (options.try_all) {
    SubjectOptions all = options.subjects;
    all.all_cases = true;
    every = list_subjects(all);
  }
  if (options.total > 0) {
    const size_t most = std::max<size_t>(1, options.total / (options.per_variant + options.apart_per_variant));
    quick = thinned(std::move(quick), most);
    every = thinned(std::move(every), most);
  }
  void* shared =
      ::mmap(nullptr, sizeof(std::atomic<uint32_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) fail(ErrorCode::kIo, "no shared memory for the workers");
  auto* next = new (shared) std::atomic<uint32_t>(0);
  std::vector<pid_t> workers;
  for (uint32_t worker = 0; worker < options.jobs; ++worker) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      int code = 0;
      try {
        work(options, quick, every, *next, worker);
      } catch (const Error& error) {
        fmt::print(stderr, "spirv_mutants: {}\n", error.what());
        code = 1;
      }
      ::_exit(code);
    }
    workers.push_back(child);
  }
  bool is_complete = true;
  for (const pid_t worker : workers) {
    int status = 0;
    while (::waitpid(worker, &status, 0) < 0 && errno == EINTR) {
    }
    is_complete &= status == 0;
  }
  ::munmap(shared, sizeof(std::atomic<uint32_t>));
  if (!is_complete) fail(ErrorCode::kInternal, "a worker did not finish");
  std::vector<Mutant> mutants;
  for (uint32_t worker = 0; worker < options.jobs; ++worker) {
    std::ifstream file(file_of(options, worker));
    for (const auto& json : nlohmann::ordered_json::parse(file)) mutants.push_back(parse_mutant(json));
  }
  std::ranges::stable_sort(mutants, {}, &Mutant::variant);
  const auto reasons =
      options.explained.empty() ? std::map<std::string, std::string>{} : read_explained(options.explained);
  for (Mutant& mutant : mutants) {
    if (mutant.fate != Fate::kSurvived || !reasons.contains(mutant.id)) continue;
    mutant.fate = Fate::kExplained;
    mutant.outcome.message = reasons.at(mutant.id);
  }
  return mutants;
}

}  // namespace nibble::mutation
