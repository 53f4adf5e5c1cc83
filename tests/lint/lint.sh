#!/usr/bin/env bash
# What a reviewer should not have to look for: formatting, left-over markers, long files, loose top-level files.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C.UTF-8  # count characters, not bytes

problems=0
problem() {
  echo "lint: $*"
  problems=$((problems + 1))
}

mapfile -t files < <(git ls-files --cached --others --exclude-standard)
mapfile -t cpp < <(printf '%s\n' "${files[@]}" | grep -E '\.(h|cpp)$')
mapfile -t texts < <(printf '%s\n' "${files[@]}" |
  grep -E '(\.(h|cpp|inc|kernel|prelude|py|sh|md|txt|cmake|json)|^\.ci/run)$' | grep -v '^tests/golden/')
mapfile -t scripts < <(printf '%s\n' "${files[@]}" | grep -E '(\.sh|^\.ci/run)$')

# 1. Format.
clang-format --dry-run -Werror "${cpp[@]}" || problem "run clang-format -i on the files above"
for script in "${scripts[@]}"; do
  bash -n "$script" || problem "$script does not parse"
done

# 2. Words that belong in no commit. Brackets keep the patterns from finding themselves.
forbidden='[T]ODO|[F]IXME|\b[X]XX\b|[H]ACK:|/[w]ork/|/[h]ome/|/[r]oot/|/[U]sers/'
hits="$(grep -nE "$forbidden" "${texts[@]}" /dev/null)" && problem "words that belong in no commit:" $'\n'"$hits"

# A diagnostic that throws or aborts where stderr is full takes the work with it: log.h drops it instead.
mapfile -t product < <(printf '%s\n' "${cpp[@]}" |
  grep -E '^(runtime|shaders|host|tools|bench)/' | grep -v '^tools/conformance/repro/')
by_stdio='\bstderr,|,[ ]*stderr\)|std::(cerr|clog|cout)\b|\b(perror|printf|puts)\('
hits="$(grep -nE "$by_stdio" "${product[@]}" /dev/null)" &&
  problem "write by say() of runtime/base/log.h or write_stdout():" $'\n'"$hits"

# 3. Size: a file over 400 lines is worth a look, over 800 it must be split.
mapfile -t code < <(printf '%s\n' "${texts[@]}" | grep -E '\.(h|cpp|inc|kernel|prelude|py|sh|cmake)$')
while read -r lines file; do
  [ "$file" != total ] || continue
  if [ "$lines" -gt 800 ]; then
    problem "$file has $lines lines, at most 800"
  elif [ "$lines" -gt 400 ]; then
    echo "lint: note: $file has $lines lines"
  fi
done < <(wc -l "${code[@]}")
long="$(printf "%s\n" "${code[@]}" | grep -v "\.cmake$" | xargs grep -nE "^.{121,}" | cut -c1-100)"
[ -z "$long" ] || problem "lines over 120 columns:" $'\n'"$long"

# 4. The top level stays as small as the README says it is.
for entry in $(printf '%s\n' "${files[@]}" | cut -d/ -f1 | sort -u); do
  case "$entry" in
    CMakeLists.txt | README.md | LICENSE | runtime | shaders | host | tests | bench | tools | docs) ;;
    .ci | .clang-format | .clang-tidy | .gitignore | CMakePresets.json) ;;
    *) problem "'$entry' has no place at the top level" ;;
  esac
done

[ $problems = 0 ] && echo "lint: ${#files[@]} files, no problems"
exit $((problems != 0))
