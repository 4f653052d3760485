#!/usr/bin/env bash
# Checks that what tools write is as the tools would write it now, and that the chart is sound. Nothing in the working
# copy is changed: the tools run on a copy of it.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

say_failed() {
	printf '\nverify: %s\n' "$1" >&2
	failed=1
}

# Everything that is, or may become, part of a commit.
mkdir "$work/before"
git -c safe.directory="$PWD" ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do
		if [[ -e $file ]]; then printf '%s\0' "$file"; fi
	done |
	tar --create --null --files-from=- | tar --extract --directory "$work/before"
cp -a "$work/before" "$work/after"

"$work/after/hack/generate.sh"
(cd "$work" && diff -ruN before after) || say_failed "generated files are out of date: run make generate"

unformatted=$(cd "$work/before" && gofmt -l .)
[[ -z $unformatted ]] || say_failed "not formatted, run gofmt -w on: $unformatted"

while IFS= read -r module; do
	go -C "$module" mod tidy -diff || say_failed "run go mod tidy in $module"
done < <(cd "$work/before" && find . -name go.mod -printf '%h\n' | sort)

helm="$(bin/kruise-lab parts helm)/helm"
"$helm" lint --strict --quiet deploy/chart || say_failed "helm does not accept the chart"

exit "$failed"
