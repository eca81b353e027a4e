#!/bin/sh
# Prints the directives of the http block that this nginx understands and gains from, found by asking it.
set -eu

probe=$(mktemp)
trap 'rm -f -- "$probe"' EXIT

# understands DIRECTIVES…: true when nginx accepts a configuration with them in its http block.
understands() {
  printf 'load_module modules/ngx_http_js_module.so;\nevents {}\nhttp {\n%s\n}\n' "$1" >"$probe"
  nginx -t -q -c "$probe" 2>/dev/null
}

printf '# What this nginx (%s) understands, found when the image was built.\n' "$(nginx -v 2>&1 | sed 's/.*: //')"
# nginx >= 1.27.4: idle keep-alive connections outlive a reload for this long, so a client's next request is not reset.
for directives in 'keepalive_min_timeout 10s;' 'js_engine qjs; js_context_reuse 128;'; do
  if understands "$directives"; then printf '%s\n' "$directives"; fi
done
# OpenSSL >= 3.5: key exchange that a quantum computer of some day cannot undo, where the client knows it as well.
hybrid=''
if openssl list -tls-groups 2>/dev/null | grep -q X25519MLKEM768; then hybrid=X25519MLKEM768:; fi
printf 'ssl_ecdh_curve %sX25519:prime256v1:secp384r1;\n' "$hybrid"
