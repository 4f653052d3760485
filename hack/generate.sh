#!/usr/bin/env bash
# Regenerates everything that is made from something else: deep copies, CRDs, RBAC and the reference pages.
set -euo pipefail
cd "$(dirname "$0")/.."

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

controller_gen() { go tool -modfile=hack/tools/controller-gen/go.mod controller-gen "$@"; }

# A kind that is gone must not leave its CRD behind.
rm -f deploy/chart/files/crds/*.yaml

controller_gen object paths=./api/...
controller_gen crd paths=./api/... output:crd:dir="$made/crds"
for program in manager daemon; do
	controller_gen rbac:roleName="kruise-$program" paths="./$program/..." output:rbac:dir="$made/rbac/$program"
done
go run ./hack/generate -crds "$made/crds" -rbac "$made/rbac"
