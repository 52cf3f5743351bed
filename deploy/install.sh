#!/bin/sh
# Installs the RoomService program of a release, after its checksum was verified, and says what to do next.
#   ROOMSERVICE_FROM=https://HOST/PATH sh install.sh       the place that has a release's files
#   ROOMSERVICE_TO=DIRECTORY                               where the program goes: /usr/local/bin for root, else ~/.local/bin
# Nothing is installed unless every step went well; no step needs root.
set -eu

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

machine() {
    [ "$(uname -s)" = Linux ] || fail "there are programs for Linux only; elsewhere: the container image, or cargo"
    case $(uname -m) in
    x86_64 | amd64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) fail "no program for $(uname -m); build one with cargo" ;;
    esac
}

# Fetches one file of the release.
fetch() {
    if command -v curl >/dev/null; then
        curl -fsSL --retry 3 "$from/$1" -o "$work/$1" || fail "$from/$1 cannot be fetched"
    elif command -v wget >/dev/null; then
        wget -q "$from/$1" -O "$work/$1" || fail "$from/$1 cannot be fetched"
    else
        fail "curl or wget is needed"
    fi
}

main() {
    from=${ROOMSERVICE_FROM:-}
    [ -n "$from" ] || fail "say where the release is: ROOMSERVICE_FROM=https://... sh install.sh"
    if [ "$(id -u)" = 0 ]; then to=/usr/local/bin; else to=$HOME/.local/bin; fi
    to=${ROOMSERVICE_TO:-$to}
    arch=$(machine)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT

    fetch SHA256SUMS
    line=$(grep "  roomservice_[0-9A-Za-z.+~-]*_$arch\.tar\.gz\$" "$work/SHA256SUMS") || fail "this release has no program for $arch"
    file=${line##* }
    fetch "$file"
    (cd "$work" && echo "$line" | sha256sum -c - >/dev/null 2>&1) || fail "$file is not what SHA256SUMS says; nothing was installed"
    tar -xzf "$work/$file" -C "$work" usr/bin/roomservice
    # Before it replaces one that works.
    said=$("$work/usr/bin/roomservice" --version) || fail "the program does not run here: it needs glibc 2.31 or later, and a TMPDIR that is not mounted noexec"
    mkdir -p "$to"
    # Beside the old one, then in its place: a running program keeps its file.
    cp "$work/usr/bin/roomservice" "$to/.roomservice.new"
    chmod 0755 "$to/.roomservice.new"
    mv "$to/.roomservice.new" "$to/roomservice"

    echo "$said" | head -n 1
    echo "is $to/roomservice; the checksum of $file was right. Next:"
    case :$PATH: in
    *:"$to":*) ;;
    *) echo "  PATH=$to:\$PATH" ;;
    esac
    echo "  roomservice                     try it: http://127.0.0.1:5757/ on this machine, keys and data in ./data"
    echo "  roomservice setup FILE          write settings for production, with fresh keys (docs/deploy.md)"
    if command -v dpkg >/dev/null; then
        echo "  $from/${file%.tar.gz}.deb"
        echo "                                  the same as a package, with a service: apt-get install ./FILE"
    fi
}

# Only when all of it has come.
main
