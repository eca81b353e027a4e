# shellcheck shell=bash
# Images. WITH_IMAGES says which: `edge` (base image, edge and restic; every appliance needs them), `all` (also what the releases of
# the reference application build on) or `no`.

readonly BASE_IMAGE=debian:trixie-slim
# Megabytes in the engine's directory, with the build cache and what they are made from.
declare -rA IMAGES_MB=([edge]=650 [all]=4150)

# images_source SET: what the images are made from. They are looked at again when that, or one of them, has changed.
images_source() {
  local from=(compose/base compose/images/base compose/images/restic nginx packaging/images.sh)
  [[ $1 == edge ]] || from+=(compose/images)
  (cd -- "$SOURCE" && find "${from[@]}" -type f ! -path '*/__pycache__/*' -print0 2>/dev/null |
    LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c 1-16
}

restic_image() { sed -n '1s/^# image: \([a-z0-9./:-]*\)$/\1/p' "$SOURCE/compose/images/restic/Dockerfile"; }

edge_image() { sed -n '1s/^# image: \([a-z0-9./:-]*\)$/\1/p' "$SOURCE/nginx/Dockerfile"; }

# shared_images SET: their names.
shared_images() {
  edge_image
  if [[ $1 == edge ]]; then restic_image
  else sed -n 's/^# image: \([a-z0-9./:-]*\)$/\1/p' "$SOURCE"/compose/images/*/Dockerfile 2>/dev/null; fi
}

image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }

look_at_images() {
  local image names missing=()
  [[ $WITH_IMAGES != no ]] || return 0
  names="the images of the edge ($(edge_image)) and of backups ($(restic_image)) are"
  [[ $WITH_IMAGES == edge ]] || names="the image of the edge ($(edge_image)) and those that the reference application builds on are"
  if engine_up; then
    while IFS= read -r image; do [[ -n $(image_id "$image") ]] || missing+=("$image"); done < <(shared_images "$WITH_IMAGES")
    if ((${#missing[@]} == 0)) && grep -qxF "$WITH_IMAGES $(images_source "$WITH_IMAGES")" "$PREFIX/images.stamp" 2>/dev/null; then
      return 0
    fi
  fi
  if ! engine_up || [[ -z $(image_id "$BASE_IMAGE") ]]; then
    need base_image "pull the base image $BASE_IMAGE; where no registry answers, make it from Debian's archive$(
      has mmdebstrap || printf ' (then the package mmdebstrap is installed too)')"
  fi
  if ((${#missing[@]} > 0)); then need images "build the images that are missing (${missing[*]})"
  else need images "make sure that $names current, build what is not"; fi
}

install_images() {
  needed images || return 0
  local image id text='images of the edge and of backups' arguments=(edge)
  local -A before=()
  if [[ $WITH_IMAGES == all ]]; then text='shared images' arguments=(); fi
  if [[ -z $(image_id "$BASE_IMAGE") ]]; then
    if ! run "Pulling the base image $BASE_IMAGE" timeout 60 docker pull --quiet "$BASE_IMAGE"; then
      say "  no registry answers; the base image is made from Debian's archive"
      has mmdebstrap || apt_install mmdebstrap || die 1 'mmdebstrap could not be installed' 'the log says why'
    fi
    record "image $BASE_IMAGE"
    changed "made the base image $BASE_IMAGE"
  fi
  while IFS= read -r image; do before[$image]=$(image_id "$image"); done < <(shared_images "$WITH_IMAGES")
  BASE_PULL=no run "Building the $text" "$SOURCE/packaging/images.sh" "${arguments[@]}" ||
    die 1 "the $text could not be built" 'the log says why'
  for image in "${!before[@]}"; do
    id=$(image_id "$image")
    [[ $id != "${before[$image]}" ]] || continue
    record "image $image"
    # The one before stays: a stack may be pinned to it. --purge finds it here.
    [[ -z ${before[$image]} ]] || record "image ${before[$image]}"
    changed "built the image $image"
  done
  [[ $WITH_IMAGES == edge ]] || record 'images shared'
  stamp_images
}

stamp_images() {
  local all=''
  if [[ $WITH_IMAGES == all ]]; then all="all $(images_source all)"
  else all=$(grep '^all ' "$PREFIX/images.stamp" 2>/dev/null); fi
  printf '%s\n' "edge $(images_source edge)" ${all:+"$all"} >"$PREFIX/images.stamp"
}
