# shellcheck shell=bash
# The private Node.js under PREFIX/runtime: bin/node, and npm for building the program.

readonly NODE_VERSION=24.21.0 NPM_VERSION=11.21.2
# SHA-512 of the npm packages, SHA-256 of the program in them. The program is the same file whichever way it came, so
# its own sum also guards what nodejs.org sends.
readonly NPM_SUM=ec73c0a64f807e53146af4ac78bd4f9ba0a762a3081e4e77c7e2a6ba1aa64c3a8f9233cc8312294cf713aac13dd4428dc3880504957d7e75e249d1a6d435eaf4
declare -rA NODE_PACKAGE_SUM=(
  [x64]=de750bb336795f47dc898a46d2de93add029273027f3e16520d3fa3a2317ed5f07aefa404cf37ddfa5352e545e389ae22d16b87bcc84a900580a72f23cd02ced
  [arm64]=1692513c4cf63afbd32df8c83a5346158f492cf30a825e66f9de2819804b836e242759a6bcdd5997f1cf2601781c3689e752127afd65d5c459fc333e91e5d6e6
)
declare -rA NODE_SUM=(
  [x64]=7fde7b8afa198da66257f42ee2001d874c7355631e6d1579a5fb5ef1f246df4c
  [arm64]=0f8949d1028f6d61506b2d5bc57e7e6fe893d7b1997509b7847294fc9c616584
)

node_is_24() { [[ $("$1" -p 'Number(process.versions.node.split(".")[0]) >= 24' 2>/dev/null) == true ]]; }

# A Node.js of the host serves when it is new enough and belongs to the system, not to somebody's home directory.
host_node() {
  local node
  node=$(command -v node) && node=$(readlink -f -- "$node") || return 1
  [[ $node == /usr/* || $node == /opt/* ]] && node_is_24 "$node" && has npm && printf '%s' "$node"
}

look_at_runtime() {
  local node
  node_is_24 "$PREFIX/runtime/bin/node" && [[ -x $PREFIX/runtime/bin/npm ]] && return 0
  if node=$(host_node); then
    need runtime "use the Node.js of this host ($node)"
  else
    need runtime "install Node.js $NODE_VERSION under $PREFIX/runtime (from nodejs.org, else from npm$(
      has npm || printf ', which is borrowed from the distribution and removed again'); checksums are verified)"
  fi
}

install_runtime() {
  needed runtime || return 0
  local node new="$PREFIX/runtime.new"
  STEP='installing Node.js'
  rm -rf -- "$new"
  mkdir -p -- "$new/bin" || die 1 "$PREFIX cannot be written"
  if node=$(host_node); then
    ln -s -- "$node" "$new/bin/node"
    ln -s -- "$(command -v npm)" "$new/bin/npm"
  elif ! { node_from_nodejs_org "$new" || node_from_npm "$new"; }; then
    rm -rf -- "$new"
    die 1 'Node.js could be fetched neither from nodejs.org nor with npm' \
      'give this host access to one of them, or set APPLIANCE_NODE_MIRROR to a copy of https://nodejs.org/dist'
  fi
  node_is_24 "$new/bin/node" || die 1 "the Node.js in $new does not run"
  if [[ -e $PREFIX/runtime ]]; then mv -T -- "$PREFIX/runtime" "$WORK/runtime.old"; fi
  mv -T -- "$new" "$PREFIX/runtime"
  changed "installed Node.js $("$PREFIX/runtime/bin/node" --version) under $PREFIX/runtime"
}

# has_sum FILE HEX: SHA-256 or SHA-512, by the length of the sum.
has_sum() {
  local bits=$((${#2} * 4)) actual
  actual=$("sha${bits}sum" -- "$1" 2>/dev/null | cut -d ' ' -f 1)
  [[ -n $2 && $actual == "$2" ]] && return 0
  warn "$(basename -- "$1") has the SHA-$bits sum $actual instead of $2 and is not used"
  return 1
}

fetch() {
  if has curl; then curl -fsSL --connect-timeout 8 --retry 1 --max-time 300 -o "$2" -- "$1"
  else wget -q --timeout=20 --tries=2 -O "$2" -- "$1"; fi
}

node_from_nodejs_org() {
  local name="node-v$NODE_VERSION-linux-$NODE_ARCH" base sum
  base="${APPLIANCE_NODE_MIRROR:-https://nodejs.org/dist}/v$NODE_VERSION"
  run 'Fetching Node.js from nodejs.org' fetch "$base/SHASUMS256.txt" "$WORK/SHASUMS256.txt" || {
    say '  nodejs.org does not answer'
    return 1
  }
  run "Fetching Node.js $NODE_VERSION" fetch "$base/$name.tar.gz" "$WORK/node.tar.gz" || return 1
  sum=$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\.tar\.gz\$/\1/p" "$WORK/SHASUMS256.txt")
  has_sum "$WORK/node.tar.gz" "$sum" || return 1
  tar -xzf "$WORK/node.tar.gz" -C "$1" --strip-components=1 --no-same-owner \
    "$name/bin" "$name/lib/node_modules/npm" "$name/LICENSE" || return 1
  has_sum "$1/bin/node" "${NODE_SUM[$NODE_ARCH]}"
}

node_from_npm() {
  local borrowed=no status
  if ! has npm; then
    borrow_npm || return 1
    borrowed=yes
  fi
  unpack_from_npm "$1"
  status=$?
  [[ $borrowed == no ]] || return_npm
  return "$status"
}

unpack_from_npm() {
  local packages="$WORK/npm"
  mkdir -p "$packages" "$1/lib/node_modules/npm"
  # In an empty directory, so that no project's settings apply.
  (cd "$packages" && run "Fetching Node.js $NODE_VERSION with npm" npm pack --loglevel=error \
    "node-linux-$NODE_ARCH@$NODE_VERSION" "npm@$NPM_VERSION") || return 1
  has_sum "$packages/node-linux-$NODE_ARCH-$NODE_VERSION.tgz" "${NODE_PACKAGE_SUM[$NODE_ARCH]}" || return 1
  has_sum "$packages/npm-$NPM_VERSION.tgz" "$NPM_SUM" || return 1
  tar -xzf "$packages/node-linux-$NODE_ARCH-$NODE_VERSION.tgz" -C "$1" --strip-components=1 --no-same-owner \
    package/bin package/LICENSE || return 1
  tar -xzf "$packages/npm-$NPM_VERSION.tgz" -C "$1/lib/node_modules/npm" --strip-components=1 --no-same-owner || return 1
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$1/bin/npm"
  has_sum "$1/bin/node" "${NODE_SUM[$NODE_ARCH]}"
}

# Debian's npm, for one download. It brings some 300 packages that nobody asked for; they go away again.
borrow_npm() {
  BORROWED_BEFORE=$(dpkg-query -W -f '${Package}\n' | sort)
  apt_update
  run 'Borrowing npm from the distribution' apt install --no-install-recommends npm
}

return_npm() {
  local borrowed
  mapfile -t borrowed < <(comm -13 <(printf '%s\n' "$BORROWED_BEFORE") <(dpkg-query -W -f '${Package}\n' | sort))
  ((${#borrowed[@]} == 0)) || run 'Giving npm back' apt purge "${borrowed[@]}" ||
    changed "installed packages: ${borrowed[*]} (needed no longer)"
}
