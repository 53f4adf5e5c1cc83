// A report as one self-contained HTML page: no script, no network, readable in light and dark.
#pragma once

#include <string>
#include <vector>

#include "bench/row.h"
#include "bench/table.h"

namespace nibble::bench {

struct HtmlSection {
  std::string title;
  std::string body;  // HTML
};

std::string html_page(const std::string& title, const std::vector<HtmlSection>& sections);

// Roofline plot as inline SVG: rate over arithmetic intensity on logarithmic axes, one dot per row that has bytes and
// FLOPs, one roof per ceiling found in the rows. Empty for no such row.
std::string roofline_svg(const std::vector<Row>& rows);

// The page of one file of rows: a roofline and a table per device.
std::string rows_page(const std::vector<Row>& rows);

void write_text(const std::string& path, const std::string& text);

}  // namespace nibble::bench
