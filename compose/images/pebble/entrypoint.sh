#!/bin/sh
# Pebble with /pebble/config.json, and beside it a name service that answers every A with ADDRESS.
set -eu
: "${ADDRESS:?the address that every name leads to}"
pebble-challtestsrv -defaultIPv4 "$ADDRESS" -defaultIPv6 '' -http01 '' -https01 '' -tlsalpn01 '' \
  -dns01 :8053 -doh '' -management :8055 &
exec pebble -config /pebble/config.json -dnsserver 127.0.0.1:8053
