#include "tools/conformance/child.h"

#include <fmt/format.h>

namespace nibble::conformance {

Child::Child(const Job& job) : process_({"conformance-worker"}, dump(to_json(job))) {}

Child::Event Child::read_line(std::string& line, std::chrono::milliseconds limit) {
  const Event event = process_.read_line(line, limit);
  if (event != Event::kLine || line != kClosingLine) return event;
  is_done_ = true;
  return process_.read_line(line, limit);
}

void Child::send_rows(const std::vector<Row>& rows) {
  if (rows.empty()) {
    process_.end_work();
  } else {
    process_.send(dump(to_json(rows)) + "\n");
  }
}

std::string Child::wait() {
  const std::string ending = process_.wait();
  if (process_.exit_code() != 0) return ending;
  return is_done_ ? "" : ending + " before its job was done";
}

std::string with_last_words(std::string message, const Child& child) {
  const std::string words = child.last_words();
  return words.empty() ? message : fmt::format("{}; it said: {}", message, words);
}

}  // namespace nibble::conformance
