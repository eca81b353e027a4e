#!/usr/bin/env bash
# Makes the git repository of the reference application: one commit and one annotated tag per release.
#
# usage: make-repository.sh TARGET_DIRECTORY
# The tree of a release is `app/` with the overlays named below laid over it, oldest first. Author, dates and messages
# are fixed, so every run on every machine gives the same commit ids. The repository is built beside the target and
# renamed when complete; a target that already is this repository only gets the releases that it lacks.
# Exit: 0 the repository is there, 1 it could not be made (nothing is left behind), 2 usage.
set -euo pipefail
# The services read the checked-out files as users of their own.
umask 022

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# In the order of their commits. New ones go to the end: the commit ids of all before them stay as they are.
releases=(v0.9 v1.0 v1.0-p2 v1.1 v1.2-broken v1.3-overload v1.3-slow v1.3-inaccurate v1.3-shifted)

overlays_of() {
  case $1 in
    v0.9) echo v0.9 ;;
    v1.0) echo v1.0 ;;
    v1.0-p2) echo v1.0 v1.0-p2 ;;
    v1.1) echo v1.0 v1.0-p2 v1.1 ;;
    v1.2-broken) echo v1.0 v1.0-p2 v1.2-broken ;;
    v1.3-overload) echo v1.0 v1.0-p2 v1.3-overload ;;
    v1.3-slow) echo v1.0 v1.0-p2 v1.3-slow ;;
    v1.3-inaccurate) echo v1.0 v1.0-p2 v1.3-inaccurate ;;
    v1.3-shifted) echo v1.0 v1.0-p2 v1.3-shifted ;;
  esac
}

say() { printf '%s\n' "reference repository: $*" >&2; }
die() {
  say "$1"
  exit "${2:-1}"
}

value() { sed -n "s/^$2=//p" "$here/versions/$1/release.conf"; }

# git without the settings of this machine and its user, which could change the commits or ask for a signature.
git_plain() {
  env -i PATH="$PATH" HOME="$work" TMPDIR="${TMPDIR:-/tmp}" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null \
    GIT_AUTHOR_NAME=routing-ml GIT_AUTHOR_EMAIL=routing-ml@example.com GIT_AUTHOR_DATE="${when:-}" \
    GIT_COMMITTER_NAME=routing-ml GIT_COMMITTER_EMAIL=routing-ml@example.com GIT_COMMITTER_DATE="${when:-}" \
    git -c core.autocrlf=false -c core.fileMode=true -c core.hooksPath=/dev/null -C "$repository" "$@"
}

lay_out() {
  local release=$1 overlay source path
  find "$repository" -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +
  for source in "$here/app" $(for overlay in $(overlays_of "$release"); do echo "$here/versions/$overlay"; done); do
    (cd -- "$source" && find . \( -name __pycache__ -o -name .env \) -prune -o -type f ! -path ./release.conf \
      ! -path ./changes.md -print0 | tar --create --null --files-from=- --file=-) | tar --extract --file=- -C "$repository"
  done
  for path in backend/VERSION frontends/VERSION; do printf '%s\n' "$release" >"$repository/$path"; done
  sed -i -e "s/@RELEASE@/$release/g" -e "s/@SCHEMA@/$(value "$release" SCHEMA)/g" \
    -e "s/@READABLE_FROM@/$(value "$release" READABLE_FROM)/g" "$repository/compose.yaml"
  changelog "$release" >"$repository/CHANGELOG.md"
  # Modes come from here, not from the umask of whoever cloned this project.
  find "$repository" -path "$repository/.git" -prune -o -type f -exec chmod 644 {} + -o -type d -exec chmod 755 {} +
}

# The entries of this release and of those it is made from, newest first (S0-5).
changelog() {
  local release entries=''
  for release in "${releases[@]}"; do
    [[ " v0.9 $(overlays_of "$1") " == *" $release "* ]] || continue
    entries=$(printf '## %s (%s)\n\n%s\n\n%s' "$release" "$(value "$release" DATE | cut -c 1-10)" \
      "$(<"$here/versions/$release/changes.md")" "$entries")
    [ "$release" != "$1" ] || break
  done
  printf '# Changes\n\n%s\n' "$entries"
}

main() {
  if [ $# -ne 1 ] || [ -z "$1" ] || [[ $1 == -* ]]; then die 'usage: make-repository.sh TARGET_DIRECTORY' 2; fi
  command -v git >/dev/null || die 'git is not installed'
  local target parent release when=''
  parent=$(dirname -- "$1")
  mkdir -p -- "$parent" || die "$parent cannot be made"
  target=$(cd -- "$parent" && pwd)/$(basename -- "$1")

  work=$(mktemp -d "$(dirname -- "$target")/.repository.XXXXXX") || die "$(dirname -- "$target") cannot be written"
  trap 'rm -rf -- "$work"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  repository=$work/repository
  mkdir "$repository"
  git_plain init --quiet --initial-branch=main
  for release in "${releases[@]}"; do
    when=$(value "$release" DATE)
    lay_out "$release"
    # git takes a file for unchanged when size and times agree, and two releases can lay out a file within one second.
    rm -f -- "$repository/.git/index"
    git_plain add --all
    git_plain commit --quiet --message "Release $release" --message "$(<"$here/versions/$release/changes.md")"
    git_plain tag --annotate --message "routing-ml $release" "$release"
  done
  # What is checked out is a release that works.
  git_plain checkout --quiet v1.0

  if [ -e "$target" ]; then
    local known new=()
    for release in "${releases[@]}"; do
      known=$(git -c safe.directory="$target" -C "$target" rev-parse --verify --quiet "refs/tags/$release" || true)
      if [ -z "$known" ] && [ "$release" != "${releases[0]}" ]; then
        new+=("refs/tags/$release:refs/tags/$release")
      elif [ "$known" != "$(git_plain rev-parse "refs/tags/$release")" ]; then
        die "$target exists and has no tag $release, or another one; move it away, nothing was changed"
      fi
    done
    if [ ${#new[@]} -eq 0 ]; then
      say "$target is up to date"
    else
      # A repository of an older version of this project: releases that came later are added, nothing else is touched.
      git -c safe.directory='*' -C "$target" fetch --quiet "$repository" "${new[@]}" ||
        die "$target cannot be written; nothing was changed"
      say "added ${new[*]#*:refs/tags/} to $target"
    fi
    return
  fi
  mv -T -- "$repository" "$target"
  say "made $target with ${releases[*]}"
}

main "$@"
