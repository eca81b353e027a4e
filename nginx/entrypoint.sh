#!/bin/sh
# Starts nginx as process 1 on what stands in /edge, and makes what is missing there: directories, a self-signed
# certificate, and a configuration that answers a maintenance page until the first release is deployed.
set -eu
umask 022

edge=/edge
conf=$edge/conf/nginx.conf
own=$edge/certs/self-signed

say() { printf 'edge: %s\n' "$*" >&2; }

# install_file SOURCE TARGET MODE: all of it or nothing, also when the power fails in between.
install_file() {
  cp -- "$1" "$2.tmp"
  chmod "$3" "$2.tmp"
  sync -- "$2.tmp"
  mv -f -- "$2.tmp" "$2"
}

# belongs DIRECTORY: true when a key and a chain lie there, and belong together.
belongs() {
  [ -s "$1/chain.pem" ] && [ -s "$1/key.pem" ] || return 1
  [ "$(openssl x509 -in "$1/chain.pem" -noout -pubkey 2>/dev/null)" = "$(openssl pkey -in "$1/key.pem" -pubout 2>/dev/null)" ]
}

make_certificate() {
  say 'making a self-signed certificate'
  mkdir -p "$own"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -subj /CN=appliance \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout "$own/.key" -out "$own/.chain" 2>/dev/null
  install_file "$own/.key" "$own/key.pem" 600
  install_file "$own/.chain" "$own/chain.pem" 644
  rm -f -- "$own/.key" "$own/.chain"
}

# Each certificate of appliance.yaml has a directory with a link to the version in force. One that cannot be used must not
# keep nginx from starting: the self-signed one takes its place until the next is installed.
check_certificates() {
  for set in "$edge"/certs/*/; do
    set=${set%/}
    if [ "$set" = "$own" ] || belongs "$set/current"; then continue; fi
    say "$set/current cannot be used: the self-signed certificate takes its place"
    ln -sfn ../self-signed "$set/current.tmp"
    mv -fT -- "$set/current.tmp" "$set/current"
  done
}

for directory in conf state log acme run certs; do mkdir -p "$edge/$directory"; done
# Who reaches run/ can set the weights; the private key is nobody's business. nginx opens both as root.
chmod 700 "$edge/run" "$edge/certs"
chmod 755 "$edge" "$edge/conf" "$edge/state" "$edge/log" "$edge/acme"
# nginx that was killed leaves its socket behind and would not bind to it again.
rm -f -- "$edge/run/control.sock"

belongs "$own" || make_certificate
check_certificates
if [ ! -s "$conf" ]; then install_file /usr/share/appliance/bootstrap.conf "$conf" 644; fi
if ! complaint=$(nginx -t -q 2>&1); then
  say 'nginx refuses the configuration; it is kept as nginx.conf.refused and the maintenance page serves until the next:'
  printf '%s\n' "$complaint" >&2
  mv -f -- "$conf" "$conf.refused"
  install_file /usr/share/appliance/bootstrap.conf "$conf" 644
fi
exec nginx -g 'daemon off;' "$@"
