#include "bench/table.h"

#include <algorithm>

#include <fmt/format.h>

namespace nibble::bench {
namespace {

size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::vector<size_t> widths_of(const Table& table, size_t least) {
  std::vector<size_t> widths;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    size_t width = std::max(least, width_of(table.columns[c].name));
    for (const auto& row : table.rows) width = std::max(width, width_of(row[c]));
    widths.push_back(width);
  }
  return widths;
}

std::string padded(const std::string& text, size_t width, bool right) {
  const std::string spaces(width - std::min(width, width_of(text)), ' ');
  return right ? spaces + text : text + spaces;
}

std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const Table::Column& column : table.columns) names.push_back(column.name);
  return names;
}

std::string cell_escaped(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.replace(at, 1, "\\|");
  return text;
}

}  // namespace

std::string to_text(const Table& table) {
  const std::vector<size_t> widths = widths_of(table, 1);
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t c = 0; c < cells.size(); ++c) {
      line += (c == 0 ? "" : "  ") + padded(cells[c], widths[c], table.columns[c].right);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_line(names_of(table));
  for (const auto& row : table.rows) add_line(row);
  return text;
}

std::string to_markdown(const Table& table) {
  Table escaped = table;
  for (auto& row : escaped.rows) std::transform(row.begin(), row.end(), row.begin(), cell_escaped);
  const std::vector<size_t> widths = widths_of(escaped, 3);
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    for (size_t c = 0; c < cells.size(); ++c) text += "| " + padded(cells[c], widths[c], table.columns[c].right) + " ";
    text += "|\n";
  };
  add_line(names_of(escaped));
  for (size_t c = 0; c < widths.size(); ++c) {
    text += "|" + std::string(widths[c] + 1, '-') + (table.columns[c].right ? ":" : "-");
  }
  text += "|\n";
  for (const auto& row : escaped.rows) add_line(row);
  return text;
}

std::string to_html(const Table& table) {
  std::string text = "<table>\n<thead><tr>";
  const auto add_cell = [&](const char* tag, size_t column, const std::string& cell) {
    text +=
        fmt::format("<{}{}>{}</{}>", tag, table.columns[column].right ? " class=\"n\"" : "", html_escaped(cell), tag);
  };
  for (size_t c = 0; c < table.columns.size(); ++c) add_cell("th", c, table.columns[c].name);
  text += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    text += "<tr>";
    for (size_t c = 0; c < row.size(); ++c) add_cell("td", c, row[c]);
    text += "</tr>\n";
  }
  return text + "</tbody>\n</table>\n";
}

std::string html_escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace nibble::bench
