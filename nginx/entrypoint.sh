#!/bin/sh
# Starts nginx as process 1 on what stands in /edge, and makes what is missing there: directories, a self-signed
# certificate, and a configuration that answers a maintenance page until the first release is deployed.
set -eu
umask 022

edge=/edge
conf=$edge/conf/nginx.conf

say() { printf 'edge: %s\n' "$*" >&2; }

# install_file SOURCE TARGET MODE: all of it or nothing, also when the power fails in between.
install_file() {
  cp -- "$1" "$2.tmp"
  chmod "$3" "$2.tmp"
  sync -- "$2.tmp"
  mv -f -- "$2.tmp" "$2"
}

make_certificate() {
  say 'no certificate in /edge/certs: making a self-signed one'
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -subj /CN=appliance \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout "$edge/certs/.key" -out "$edge/certs/.crt" 2>/dev/null
  install_file "$edge/certs/.key" "$edge/certs/tls.key" 600
  install_file "$edge/certs/.crt" "$edge/certs/tls.crt" 644
  rm -f -- "$edge/certs/.key" "$edge/certs/.crt"
}

for directory in conf state log acme run certs; do mkdir -p "$edge/$directory"; done
# Who reaches run/ can set the weights; the private key is nobody's business. nginx opens both as root.
chmod 700 "$edge/run" "$edge/certs"
chmod 755 "$edge" "$edge/conf" "$edge/state" "$edge/log" "$edge/acme"
# nginx that was killed leaves its socket behind and would not bind to it again.
rm -f -- "$edge/run/control.sock"

if [ ! -s "$edge/certs/tls.crt" ] || [ ! -s "$edge/certs/tls.key" ]; then make_certificate; fi
if [ ! -s "$conf" ]; then install_file /usr/share/appliance/bootstrap.conf "$conf" 644; fi
if ! complaint=$(nginx -t -q 2>&1); then
  say 'nginx refuses the configuration; it is kept as nginx.conf.refused and the maintenance page serves until the next:'
  printf '%s\n' "$complaint" >&2
  mv -f -- "$conf" "$conf.refused"
  install_file /usr/share/appliance/bootstrap.conf "$conf" 644
fi
exec nginx -g 'daemon off;' "$@"
