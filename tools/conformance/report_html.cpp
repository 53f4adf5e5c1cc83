// The report as one page: tools/conformance/report.html with the rows in it.
#include "tools/conformance/probe.h"
#include "tools/conformance/report.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {
namespace {

// Inside <script> no text may end the element.
std::string script_safe(const std::string& json) {
  std::string safe;
  for (const char c : json) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string to_html(const Report& report) {
  constexpr std::string_view kPlace = "@DATA@";
  nlohmann::ordered_json data = to_json(report);
  data["probes"] = nlohmann::ordered_json::object();
  for (const Probe& probe : probes()) {
    data["probes"][std::string(probe.spec.name)] = {{"fact", probe.fact}, {"symptom", probe.symptom}};
  }
  std::string page(conformance_text("report.html"));
  return page.replace(page.find(kPlace), kPlace.size(), script_safe(dump(data)));
}

}  // namespace nibble::conformance
