// A table of text and its three forms.
#pragma once

#include <string>
#include <vector>

namespace nibble::bench {

struct Table {
  struct Column {
    std::string name;
    bool right = true;  // numbers
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // as many cells as columns
};

// Aligned columns for a terminal. Widths count code points, not bytes.
std::string to_text(const Table& table);
std::string to_markdown(const Table& table);
std::string to_html(const Table& table);

// & < > " as entities.
std::string html_escaped(const std::string& text);

}  // namespace nibble::bench
