#!/usr/bin/env bash
# Renders the configuration from the environment and starts nginx as process 1.
#
# Environment: APPLIANCE_RELEASE (default: the content of /srv/site/VERSION), PORT (default 8080), BACKEND (default
# backend:8000), SITE_PATH (a path under which a proxy may offer the site, default /). Each value is checked, because
# it becomes part of a configuration file.
set -euo pipefail

die() {
  printf 'static: %s\n' "$*" >&2
  exit 1
}

release=${APPLIANCE_RELEASE-}
[ -n "$release" ] || release=$(<"/srv/site/VERSION")
port=${PORT:-8080}
backend=${BACKEND:-backend:8000}
path=${SITE_PATH:-/}
path=${path%/}

[[ $release =~ ^[A-Za-z0-9][A-Za-z0-9._+/-]{0,127}$ ]] || die 'APPLIANCE_RELEASE is not the name of a release'
[[ $port =~ ^[0-9]{1,5}$ ]] || die 'PORT must be a number'
[[ $backend =~ ^[A-Za-z0-9.-]+:[0-9]{1,5}$ ]] || die 'BACKEND must be host:port'
[[ $path =~ ^(/[A-Za-z0-9_-]+)*$ ]] || die 'SITE_PATH must be a path such as /training'
# Docker's own name server in a container network; the host's where there is none.
resolver=$(sed -n 's/^nameserver \([0-9.]*\)$/\1/p' /etc/resolv.conf | head -n 1)

sed -e "s|@RELEASE@|$release|g" -e "s|@PORT@|$port|g" -e "s|@BACKEND@|$backend|g" -e "s|@PATH@|$path|g" \
  -e "s|@RESOLVER@|${resolver:-127.0.0.11}|g" /usr/local/lib/static/nginx.conf.template >/tmp/nginx.conf
unset PORT BACKEND
exec nginx -e stderr -c /tmp/nginx.conf
