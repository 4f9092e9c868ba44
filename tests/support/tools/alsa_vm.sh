#!/usr/bin/env bash
# Runs a command with a real ALSA sequencer on a machine whose kernel has none (containers, CI).
#
#     tests/support/tools/alsa_vm.sh build CACHE               once: fetch and unpack a kernel (Debian)
#     tests/support/tools/alsa_vm.sh run CACHE OUT COMMAND...  boot it and run COMMAND there
#
# The guest sees this machine's files read-only, with a layer in its memory on top, so that this
# checkout and its virtual environment are simply there; OUT is shared and writable, at /out. The
# command runs as root in the present folder. Needs neither root nor /dev/kvm here.
#
# Exit code: the command's; 125 when the machine did not get that far (see OUT/console).
# ALSA_VM_TIMEOUT_S (900), ALSA_VM_MEMORY_MB (2048) and ALSA_VM_ACCEL (tcg,thread=multi; kvm where
# it is known to work) change the machine.
set -euo pipefail

# What the guest needs to see our files, and the sequencer. Dependencies are looked up.
modules=(virtio_pci 9pnet_virtio 9p overlay snd-seq snd-hrtimer snd-seq-midi snd-seq-dummy)

main() {
    local action=${1:-}
    case $action in
    build) (($# == 2)) || usage ;;
    run) (($# >= 4)) || usage ;;
    *) usage ;;
    esac
    mkdir -p "$2"
    cache=$(readlink -f "$2")
    shift 2
    "$action" "$@"
}

usage() {
    fail "usage: alsa_vm.sh build CACHE | alsa_vm.sh run CACHE OUT COMMAND..."
}

fail() {
    echo "alsa_vm: $*" >&2
    exit 125
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install" \
            "qemu-system-x86 busybox-static cpio kmod xz-utils apt dpkg"
    done
}

build() {
    export PATH=$PATH:/usr/sbin:/sbin
    need apt-cache apt-get dpkg-deb busybox cpio depmod modprobe xz gzip
    [[ -s $cache/initrd.gz && -s $cache/kernel ]] && return
    fetch_kernel
    local version
    version=$(basename "$cache"/unpacked/boot/vmlinuz-*)
    version=${version#vmlinuz-}
    unpack_kernel_image "$cache/unpacked/boot/vmlinuz-$version"
    make_initrd "$version"
    rm -rf "$cache/unpacked" "$cache/initrd"
}

# The package's name holds a number that moves with every security update; a meta package knows it.
fetch_kernel() {
    local package
    package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
    [[ -n $package ]] || fail "apt knows no linux-image-amd64: run apt-get update (Debian only)"
    rm -rf "$cache/unpacked"
    (cd "$cache" && apt-get download --quiet "$package" >/dev/null) ||
        fail "apt-get download $package failed: run apt-get update"
    dpkg-deb --extract "$cache"/linux-image-*.deb "$cache/unpacked"
    rm "$cache"/linux-image-*.deb
}

# A bare kernel boots four seconds sooner than one that an emulated processor must decompress.
unpack_kernel_image() {
    local offset
    offset=$(LC_ALL=C grep --only-matching --byte-offset --text --perl-regexp \
        '\xfd7zXZ\x00' "$1" | head -n 1 | cut -d: -f1) || true
    if [[ -n $offset ]]; then
        # xz complains about what follows the compressed stream, after writing all of it.
        tail --bytes=+$((offset + 1)) "$1" | xz --decompress --stdout 2>/dev/null \
            >"$cache/kernel" || true
    fi
    [[ -s $cache/kernel ]] || cp "$1" "$cache/kernel"
}

make_initrd() {
    local root=$cache/initrd module file
    rm -rf "$root"
    mkdir -p "$root"/{bin,modules,proc,sys,dev,host,layer,new}
    cp "$(command -v busybox)" "$root/bin/busybox"
    ln -s busybox "$root/bin/sh"
    depmod -b "$cache/unpacked" "$1"
    for module in "${modules[@]}"; do
        modprobe --dirname "$cache/unpacked" --set-version "$1" --show-depends "$module"
    done | awk '/^insmod/ && !seen[$2]++ {print $2}' | while read -r file; do
        cp "$file" "$root/modules/"
        file=$root/modules/$(basename "$file")
        [[ $file == *.xz ]] && xz --decompress "$file" && file=${file%.xz}
        basename "$file" >>"$root/modules/order"
    done
    write_init >"$root/init"
    chmod +x "$root/init"
    (cd "$root" && find . | cpio --create --format=newc --quiet) | gzip >"$cache/initrd.gz"
}

write_init() {
    cat <<'INIT'
#!/bin/sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev
while read -r module; do
    $bb insmod "/modules/$module" || echo "init: $module does not load"
done </modules/order

$bb mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /host
$bb mount -t tmpfs layer /layer
$bb mkdir /layer/changes /layer/work
$bb mount -t overlay -o lowerdir=/host,upperdir=/layer/changes,workdir=/layer/work root /new
$bb mkdir -p /new/out
$bb mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 out /new/out

for folder in proc sys dev; do $bb mount --move /$folder /new/$folder; done
$bb mkdir -p /new/dev/shm /new/dev/pts
$bb mount -t tmpfs shm /new/dev/shm
$bb mount -t devpts pts /new/dev/pts
$bb mount -t tmpfs run /new/run
$bb ip link set lo up
$bb chmod 666 /new/dev/snd/*

$bb chroot /new /bin/bash /out/command.sh >/new/out/log 2>&1
echo $? >/new/out/exit-code
$bb sync
$bb poweroff -f
INIT
}

run() {
    need qemu-system-x86_64 timeout flock
    [[ -s $cache/initrd.gz ]] || fail "nothing built in $cache: alsa_vm.sh build $cache"
    local out
    mkdir -p "$1"
    out=$(readlink -f "$1")
    shift
    exec 9>"$out/lock"
    flock --nonblock 9 || fail "another machine writes to $out: wait for it, or name another folder"
    rm -f "$out/exit-code" "$out/log"
    {
        printf 'export PATH=%q HOME=/root LANG=C.UTF-8\n' "$PATH:/usr/sbin:/sbin"
        printf 'cd %q\n' "$PWD"
        printf '%q ' "$@"
    } >"$out/command.sh"
    boot "$out" || true
    [[ -e $out/log ]] && cat "$out/log"
    if [[ ! -s $out/exit-code ]]; then
        tail -n 5 "$out/console" >&2
        fail "the machine did not finish; its console is $out/console"
    fi
    exit "$(cat "$out/exit-code")"
}

# One processor: a second emulated one makes it slower. `-cpu max`: numpy needs more than the
# default processor has.
boot() {
    timeout --kill-after=5 "${ALSA_VM_TIMEOUT_S:-900}" qemu-system-x86_64 \
        -machine q35 -cpu max -smp 1 -m "${ALSA_VM_MEMORY_MB:-2048}" \
        -accel "${ALSA_VM_ACCEL:-tcg,thread=multi}" \
        -nographic -nodefaults -no-reboot -serial stdio -monitor none \
        -kernel "$cache/kernel" -initrd "$cache/initrd.gz" \
        -append "console=ttyS0 quiet loglevel=3 mitigations=off panic=-1" \
        -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
        -device virtio-9p-pci,fsdev=host,mount_tag=host \
        -fsdev "local,id=out,path=$1,security_model=none" \
        -device virtio-9p-pci,fsdev=out,mount_tag=out \
        </dev/null >"$1/console" 2>&1
}

main "$@"
