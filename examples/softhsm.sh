#!/usr/bin/env bash
# A SoftHSM token with a wrapping key, for the examples: `eval "$(bash examples/softhsm.sh [FOLDER])"`, as any user.
#
# Everything is in FOLDER (default: target/softhsm): the token, SoftHSM's configuration, and a file of mode 0600 with the
# PIN. What is there already is kept. Needs Debian's packages softhsm2 and opensc, or what other systems call them.
# Prints the two variables that the examples read; a real token needs neither script nor SOFTHSM2_CONF.
set -euo pipefail
umask 077

folder=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/target/softhsm}
mkdir -p "$folder/tokens"
folder=$(cd "$folder" && pwd)
export SOFTHSM2_CONF=$folder/softhsm2.conf

module=${KUVERT_TEST_PKCS11_MODULE:-}
for file in /usr/lib/softhsm /usr/lib64/pkcs11 /usr/lib64/softhsm /usr/local/lib/softhsm; do
    if [ -z "$module" ] && [ -e "$file/libsofthsm2.so" ]; then module=$file/libsofthsm2.so; fi
done
for tool in softhsm2-util pkcs11-tool; do
    if [ -z "$module" ] || ! command -v "$tool" >/dev/null; then
        echo 'softhsm.sh: SoftHSM or pkcs11-tool is missing; on Debian: apt-get install softhsm2 opensc' >&2
        exit 2
    fi
done

if [ ! -e "$folder/ready" ]; then
    printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$folder/tokens" >"$SOFTHSM2_CONF"
    printf '%s' "$((RANDOM % 9 + 1))$((RANDOM * RANDOM))4711" >"$folder/pin"
    pin=$(cat "$folder/pin")
    # The tools of a real token ask for PINs; on a command line others can read them.
    softhsm2-util --init-token --free --label example --so-pin "so-$pin" --pin "$pin" >&2
    pkcs11-tool --module "$module" --token-label example --login --pin "$pin" \
        --keygen --key-type AES:32 --label kek --id 01 --sensitive >&2
    : >"$folder/ready"
fi

printf 'export SOFTHSM2_CONF=%q\n' "$SOFTHSM2_CONF"
printf "export KUVERT_EXAMPLE_HSM_KEY='pkcs11:token=example;object=kek;id=%%01?module-path=%s&pin-source=file:%s'\n" \
    "$module" "$folder/pin"
