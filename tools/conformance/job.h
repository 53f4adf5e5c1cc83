// What a child process is told to do, and what it says. The parent writes one job to the child's standard input; the
// child writes lines of JSON (tools/drivers/child_process.h):
//   {"device": {…}, "plan": …}   a device with its planned rows     (list)
//   {"start": 17}                row 17 of the job begins            (run)
//   {"end": 17, "result": {…}}   it ended                            (run)
//   {"idle": true}               all rows ended: the parent writes others, an array in a line, to the child's
//                                work socket, or closes it            (run)
//   {"reproducer": "…"}          the folder is written, and what was seen when its case ran again (repro)
//   {"begin": {…}}               the dispatch of a model that this row stands for begins   (walk)
//   {"end": {…}}                 and has this result                                       (walk)
//   {"error": "…", "code": 0}    the job cannot be done
//   {"done": true}               the closing line of every job that was done; a child that ends without it has failed,
//                                whatever its exit code
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/device/open_device.h"
#include "tools/conformance/model_walk.h"
#include "tools/conformance/plan.h"

namespace nibble::conformance {

inline constexpr std::string_view kClosingLine = R"({"done":true})";
// The exit code of a child whose device was lost: the rows that are left want a new process.
inline constexpr int kExitDeviceLost = 86;

enum class JobKind {
  kList,   // describe devices and plan their rows
  kRun,    // run rows
  kWalk,   // run a model, every dispatch beside its reference
  kRepro,  // write the reproducer of one row
};

struct Job {
  JobKind kind = JobKind::kList;
  DeviceOptions device_options;
  PlanOptions plan;
  std::vector<std::string> devices;  // list: names as typed, empty = all; else the id of one
  std::vector<Row> rows;             // run; repro: one, as it ended
  ModelWalk walk;                    // walk
  std::string folder;                // repro: to write
};

nlohmann::ordered_json to_json(const std::vector<Row>& rows);
std::vector<Row> parse_rows(const nlohmann::ordered_json& json);
nlohmann::ordered_json to_json(const Job& job);
Job parse_job(const std::string& text);

// Does the job, in the child. Returns the exit code.
int work(Job job);

}  // namespace nibble::conformance
