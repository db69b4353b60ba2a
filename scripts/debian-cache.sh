# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# What the scripts that fill a cache from Debian's packages share; they source it after they
# set `recipe`. apt gets lists, state and cache of its own below $work, packages are only
# unpacked: nothing is installed and this machine's sources stay as they are.
# FERRY_CACHE, FERRY_MIRROR, FERRY_OFFLINE: see qemu-cache.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# cache_open NAME TESTS WHAT OPTION: sets $cache and $stamp. A full cache is the end: its folder
# is printed. Otherwise it is locked, and $work is an empty folder in it for WHAT it says is
# being unpacked. TESTS: what cannot run without it.
cache_open() {
    cache=${FERRY_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/ferry}/$1
    stamp=$cache/stamp-$recipe
    tests=$2
    [ "$4" != --refresh ] || rm -f "$stamp"
    if [ ! -f "$stamp" ] && [ -n "${FERRY_OFFLINE-}" ]; then
        echo "${0##*/}: nothing in $cache and FERRY_OFFLINE is set" >&2
        exit 77
    fi
    if [ ! -f "$stamp" ]; then
        for tool in apt-get dpkg-deb flock python3; do
            command -v $tool >/dev/null || fail "needs $tool (Debian's own tools)"
        done
        [ "$(dpkg --print-architecture)" = amd64 ] || fail "the $tests run on amd64 only"
        [ -r $keyring ] || fail "needs the package debian-archive-keyring"
        mkdir -p "$cache"
        exec 9>"$cache/lock"
        flock 9
    fi
    # Another one may have filled it meanwhile.
    if [ -f "$stamp" ]; then
        echo "$cache"
        exit 0
    fi
    mirror=${FERRY_MIRROR:-$(own_mirror 'bookworm|trixie|forky|sid|stable|testing')}
    [ -n "$mirror" ] || fail "no Debian mirror in this machine's apt sources; set FERRY_MIRROR"
    work=$cache/work
    rm -rf "$work" "$cache"/stamp-*
    mkdir "$work"
    echo "${0##*/}: unpacking $3 into $cache" >&2
}

# cache_close PARTS...: moves them from $work into the cache, and prints its folder.
cache_close() {
    for part; do
        rm -rf "${cache:?}/$part"
        mv "$work/$part" "$cache"
    done
    rm -rf "$work"
    : >"$stamp"
    echo "$cache"
}

# own_mirror SUITES: the first mirror in this machine's apt sources that carries one of them.
own_mirror() {
    apt-get indextargets --format '$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)' |
        awk -v suites="^($1)\$" '$1 == "Packages" && $4 == "main" && $3 ~ suites { print $2; exit }'
}

# mirror_of SUITE: a security suite has a mirror of its own, beside the other by custom.
mirror_of() {
    case $1 in
    *-security)
        own=$(own_mirror "$1")
        if [ -n "${FERRY_MIRROR-}" ] || [ -z "$own" ]; then
            own=${mirror%/}-security
        fi
        echo "$own"
        ;;
    *) echo "$mirror" ;;
    esac
}

# configure NAME SUITES...: apt's configuration of its own below $work/NAME.
configure() {
    name=$1
    shift
    mkdir -p "$work/$name/lists/partial" "$work/$name/cache/archives/partial"
    : >"$work/$name/status"
    : >"$work/$name/sources"
    for suite; do
        echo "deb [signed-by=$keyring] $(mirror_of "$suite") $suite main" >>"$work/$name/sources"
    done
    {
        # How this machine reaches the network stays as it is.
        apt-config dump | grep -E '^Acquire::(http|https|Retries|ForceIPv)[^ ]* "' || :
        cat <<END
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "$work/$name/sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
Dir::State "$work/$name";
Dir::State::lists "$work/$name/lists";
Dir::State::status "$work/$name/status";
Dir::Cache "$work/$name/cache";
Acquire::Languages "none";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
END
    } >"$work/$name/apt.conf"
}

# apt NAME COMMAND...: apt-get with that configuration.
apt() {
    name=$1
    shift
    if ! APT_CONFIG=$work/$name/apt.conf apt-get -q "$@" >"$work/log" 2>&1; then
        cp "$work/log" "$cache/log"
        fail "the Debian mirror did not give what is needed (apt's words: $cache/log);" \
            "FERRY_MIRROR names another one, FERRY_OFFLINE=1 skips the $tests"
    fi
}

# apt_cache NAME COMMAND...: apt-cache with that configuration.
apt_cache() {
    name=$1
    shift
    APT_CONFIG=$work/$name/apt.conf apt-cache "$@" 2>/dev/null
}

# unpack PACKAGES FOLDER: /lib and /usr/lib become one, as they are since trixie.
unpack() {
    mkdir -p "$2/usr/lib" "$2/usr/lib64" "$2/usr/bin" "$2/usr/sbin"
    for merged in lib lib64 bin sbin; do
        [ -e "$2/$merged" ] || ln -s usr/$merged "$2/$merged"
    done
    for package in $1; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$2"
    done
}

# unpack_kernel BZIMAGE ELF: the ELF file in it, which QEMU starts by its PVH entry, so that no
# time goes into unpacking it (Documentation/x86/boot.rst: payload_offset, payload_length).
unpack_kernel() {
    python3 - "$1" "$2" <<'END' || fail "the kernel is not packed as expected"
import lzma
import struct
import subprocess
import sys

with open(sys.argv[1], "rb") as file:
    image = file.read()
start, size = struct.unpack_from("<II", image, 0x248)
start += (image[0x1f1] + 1) * 512
# Behind the packed data is its unpacked size.
packed = image[start:start + size - 4]
if packed[:4] == b"\x28\xb5\x2f\xfd":
    kernel = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True,
                            check=True).stdout
else:
    kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed)
assert kernel[:4] == b"\x7fELF"
with open(sys.argv[2], "wb") as file:
    file.write(kernel)
END
}

# fetch_headers NAME RELEASE: what modules for a kernel are built with, into $work/headers.
fetch_headers() {
    release=$2
    common=linux-headers-${release%-amd64}-common
    kbuild=$(apt_cache "$1" depends "linux-headers-$release" |
        sed -n 's/^ *Depends: \(linux-kbuild-[0-9][^ ]*\)$/\1/p' | head -n 1)
    [ -n "$kbuild" ] || fail "linux-headers-$release names no linux-kbuild"
    mkdir "$work/$1/headers"
    # objtool's libraries may be missing here.
    (cd "$work/$1/headers" &&
        apt "$1" download "linux-headers-$release" "$common" "$kbuild" libelf1 zlib1g)
    unpack "$work/$1/headers/*.deb" "$work/all"
    mkdir -p "$work/headers/src" "$work/headers/lib/objtool"
    mv "$work/all/usr/src/linux-headers-$release" "$work/all/usr/src/$common" \
        "$work/headers/src"
    mv "$work/all/usr/lib/$kbuild" "$work/headers/lib"
    mv "$work/all/usr/lib/x86_64-linux-gnu"/libelf* \
        "$work/all/usr/lib/x86_64-linux-gnu"/libz.* "$work/headers/lib/objtool"
    rm -rf "$work/all"
    ln -s "src/linux-headers-$release" "$work/headers/build"
    # Nothing in it may name the place where it would be installed.
    echo "include \$(dir \$(lastword \$(MAKEFILE_LIST)))../$common/Makefile" \
        >"$work/headers/build/Makefile"
    tool=$work/headers/lib/$kbuild/tools/objtool/objtool
    # Newer ones only choose among the tools for several machines.
    [ ! -e "$tool.real-x86" ] || tool=$tool.real-x86
    mv "$tool" "$tool.real"
    cat >"$tool" <<'END'
#!/bin/sh
LD_LIBRARY_PATH=$(dirname "$0")/../../../objtool exec "$0.real" "$@"
END
    chmod +x "$tool"
    # Other machines, and what no device of ours has.
    find "$work/headers/src/$common/arch" -mindepth 1 -maxdepth 1 ! -name x86 \
        -exec rm -rf {} +
    for part in drm dt-bindings media sound; do
        rm -rf "$work/headers/src/$common/include/$part"
    done
}
