#!/bin/sh
# Upload a pair with curl: sh curl.sh BASE MOMENT TOKEN FRONT BACK
set -eu
base=$1 moment=$2 token=$3 front=$4 back=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The value of a header field, or of a text in JSON.
field() { tr -d '\r' <"$work/head" | sed -n "s/^$1: //Ip" | tail -1; }
json() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/body"; }

# Built once, so that every try sends the same bytes: `curl -F` makes a new boundary for each.
boundary=snapsurge$$
for name in front back; do
    eval "photo=\$$name"
    printf -- '--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s.jpg"\r\n' "$boundary" "$name" "$name"
    printf 'Content-Type: image/jpeg\r\n\r\n'
    cat "$photo"
    printf '\r\n'
done >"$work/pair"
printf -- '--%s--\r\n' "$boundary" >>"$work/pair"

# curl adds Expect: 100-continue to large bodies by itself, so a refused retry costs a head only.
ticket='' left=12
while :; do
    left=$((left - 1))
    status=$(curl -sS -o "$work/body" -D "$work/head" -w '%{http_code}' --connect-timeout 5 --max-time 300 \
        -H "Authorization: Bearer $token" -H "Content-Type: multipart/form-data; boundary=$boundary" \
        ${ticket:+-H "Snapsurge-Ticket: $ticket"} --data-binary "@$work/pair" "$base/v1/moments/$moment/posts") ||
        status=000
    case $status in 000 | 408 | 429 | 502 | 503 | 504 | 507) [ $left -gt 0 ] || break ;; *) break ;; esac
    wait=1
    if [ "$status" != 000 ]; then
        given=$(field Snapsurge-Ticket)
        ticket=${given:-$ticket}
        wait=$(field Retry-After)
    fi
    sleep "${wait:-1}"
done
case $status in
201 | 200) echo "$status $(json id) $(json received_at)" ;;
*) echo "$status $(json code)" && exit 1 ;;
esac

# Wait until the pictures are ready.
self=$base$(json self) left=12
while [ "$(json state)" = accepted ] && [ $left -gt 0 ]; do
    left=$((left - 1))
    curl -sS -f -o "$work/body" --max-time 40 -H "Authorization: Bearer $token" "$self?wait=25" || true
    [ "$(json state)" != accepted ] || sleep 1
done
json state
