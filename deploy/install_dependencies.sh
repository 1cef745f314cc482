#!/usr/bin/env bash
# Installs the Debian packages of deploy/apt-packages.txt that are missing.
# Does nothing, and asks the network for nothing, when all are there.
#
#   deploy/install_dependencies.sh           install what is missing
#   deploy/install_dependencies.sh --check   only say what is missing; exit 1
#                                            if anything is
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
list="$here/apt-packages.txt"

fail() {
  echo "install_dependencies: $*" >&2
  exit 1
}

check_only=''
case "${1:-}" in
  '') ;;
  --check) check_only=1 ;;
  *) fail "unknown argument $1 (known: --check)" ;;
esac

command -v dpkg-query > /dev/null ||
  fail "dpkg-query not found: this works on Debian 12 and its relatives;" \
    "elsewhere install the libraries that $list names by hand"

mapfile -t packages < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' \
  -e '/^$/d' "$list")

# One query for all; packages that dpkg has never heard of are not in its
# answer (and make it exit with an error, which is why that is ignored).
installed="$(dpkg-query --show \
  --showformat='${db:Status-Abbrev} ${Package}\n' "${packages[@]}" \
  2> /dev/null | sed -n 's/^.i  *//p' || true)"

missing=()
for package in "${packages[@]}"; do
  grep --quiet --line-regexp --fixed-strings -- "$package" \
    <<< "$installed" || missing+=("$package")
done

if [ "${#missing[@]}" -eq 0 ]; then
  echo "install_dependencies: all ${#packages[@]} packages are installed"
  exit 0
fi
if [ -n "$check_only" ]; then
  fail "missing: ${missing[*]}"
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null ||
    fail "missing: ${missing[*]}. Not root and no sudo; run as root:" \
      "apt-get install ${missing[*]}"
  as_root=(sudo)
fi

echo "install_dependencies: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update --quiet ||
  fail "apt-get update failed: is the network there?"
"${as_root[@]}" apt-get install --quiet --yes --no-install-recommends \
  "${missing[@]}" || fail "apt-get install failed: ${missing[*]}"
