// A kernel variant on the driver under test: its modules, and its conformance rows with a mutant in their place.
#pragma once

#include <string>
#include <vector>

#include "tests/portability/mutation/mutation.h"
#include "tools/conformance/report.h"

namespace nibble::mutation {

using Words = std::vector<uint32_t>;

struct Subject {
  std::string name;                    // kernel__variant
  std::vector<conformance::Row> rows;  // in the order in which they are tried
  double limit_seconds = 0;            // for all of them
};

struct SubjectOptions {
  std::string device;     // a part of its name
  std::string layer;      // path of the fault layer's library
  std::string cache_dir;  // compiled texts
  std::string kernel = "*";
  bool all_cases = false;  // instead of those of a quick run
};

// Every variant that the device runs, probes excluded. Throws if the device cannot be listed. Each of the functions
// here asks the driver in a child process.
std::vector<Subject> list_subjects(const SubjectOptions& options);

// The modules that the rows compile without a mutant, and how long they take. Throws if a row does not pass.
struct Baseline {
  std::vector<Words> modules;
  double seconds = 0;
};
Baseline run_baseline(const Subject& subject, const SubjectOptions& options);

// How the rows end when every module of the subject has the mutation; stops at the first that does not pass.
struct Outcome {
  bool is_killed = false;
  std::string verdict;  // "fail", "crash", …; empty if it survives
  std::string row;      // the case that found it
  std::string message;
  double seconds = 0;
};
Outcome run_mutant(const Subject& subject, const Mutation& mutation, const SubjectOptions& options);

}  // namespace nibble::mutation
