#include "tools/conformance/lane.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "tools/conformance/job.h"

namespace nibble::conformance {
namespace {

// A driver that hangs on every row would take hours.
constexpr size_t kMostHangs = 5;
// Children in a row that end before they begin a row: then the device cannot be opened at all.
constexpr size_t kMostIdleChildren = 3;
constexpr size_t kNoRow = SIZE_MAX;

}  // namespace

SharedReport::SharedReport(DeviceReport& device, const ProgressSink& progress)
    : device_(device), progress_(progress), done_(device.count(Verdict::kUnsupported)) {}

void SharedReport::finish(size_t row, CaseResult result) {
  const std::lock_guard lock(mutex_);
  hangs_ += result.verdict == Verdict::kHang ? 1 : 0;
  device_.rows[row].result = std::move(result);
  progress_(device_, ++done_, device_.rows.size());
}

void SharedReport::add_notice(std::string notice) {
  const std::lock_guard lock(mutex_);
  device_.notices.push_back(std::move(notice));
}

size_t SharedReport::hangs() const {
  const std::lock_guard lock(mutex_);
  return hangs_;
}

RowQueue::RowQueue(const std::vector<Row>& rows) {
  std::map<std::string, size_t> place_of;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].result.verdict == Verdict::kUnsupported) continue;
    const size_t place = place_of.try_emplace(rows[i].variant_name(), variants_.size()).first->second;
    if (place == variants_.size()) variants_.emplace_back();
    variants_[place].push_back(i);
  }
}

std::vector<size_t> RowQueue::take() {
  const std::lock_guard lock(mutex_);
  if (variants_.empty()) return {};
  std::vector<size_t> rows = std::move(variants_.front());
  variants_.pop_front();
  return rows;
}

void Lane::run() {
  size_t idle = 0;
  while (!pending_.empty() || !(pending_ = queue_.take()).empty()) {
    has_begun_ = false;
    run_child();
    idle = has_begun_ ? 0 : idle + 1;
    if (idle == kMostIdleChildren) give_up(Verdict::kError, last_problem_);
    if (report_.hangs() >= kMostHangs) give_up(Verdict::kSkipped, fmt::format("{} cases hung before", kMostHangs));
  }
}

void Lane::run_child() {
  sent_ = pending_;
  in_flight_ = kNoRow;
  Job job{.kind = JobKind::kRun,
          .device_options = options_.device_options,
          .plan = options_.plan,
          .devices = {report_.device_id()}};
  for (const size_t i : sent_) job.rows.push_back(report_.row(i));
  Child child(job);
  std::string line;
  Child::Event event = Child::Event::kLine;
  while ((event = child.read_line(line, in_flight_ == kNoRow ? kOpenLimit : limit_)) == Child::Event::kLine) {
    take(child, line);
  }
  if (event == Child::Event::kTimeout) child.kill();
  const std::string ending = child.wait();
  if (in_flight_ != kNoRow) {
    abandon(event == Child::Event::kTimeout, with_last_words(ending, child));
  } else if (!ending.empty() && child.exit_code() != kExitDeviceLost) {
    if (last_problem_.empty()) last_problem_ = with_last_words(ending, child);
    if (pending_.empty()) report_.add_notice("the process ended badly after the last case: " + last_problem_);
  }
}

void Lane::take(Child& child, const std::string& line) {
  const auto json = nlohmann::ordered_json::parse(line);
  if (json.contains("start")) {
    in_flight_ = sent_.at(json.at("start").get<size_t>());
    has_begun_ = true;
  } else if (json.contains("end")) {
    in_flight_ = kNoRow;
    finish(sent_.at(json.at("end").get<size_t>()), parse_result(json.at("result")));
  } else if (json.contains("idle")) {
    sent_ = pending_ = report_.hangs() < kMostHangs ? queue_.take() : std::vector<size_t>();
    std::vector<Row> rows;
    for (const size_t i : sent_) rows.push_back(report_.row(i));
    child.send_rows(rows);
  } else {
    last_problem_ = json.at("error");
  }
}

void Lane::finish(size_t row, CaseResult result) {
  std::erase(pending_, row);
  report_.finish(row, std::move(result));
}

// What killed the child is likely the variant, not the case.
void Lane::abandon(bool is_hang, const std::string& ending) {
  const size_t row = in_flight_;
  const auto seconds = static_cast<double>(limit_.count()) / 1000;
  finish(row, {.verdict = is_hang ? Verdict::kHang : Verdict::kCrash,
               .message = is_hang ? fmt::format("no result after {} s", seconds) : ending});
  for (const size_t other : std::exchange(pending_, {})) {
    report_.finish(other, {.verdict = Verdict::kSkipped,
                           .message = fmt::format("case '{}' took the process with it", report_.row(row).case_name)});
  }
}

void Lane::give_up(Verdict verdict, const std::string& why) {
  do {
    for (const size_t row : std::exchange(pending_, {})) report_.finish(row, {.verdict = verdict, .message = why});
    pending_ = queue_.take();
  } while (!pending_.empty());
}

}  // namespace nibble::conformance
