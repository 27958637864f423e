#!/bin/sh
# Mount the files of a host, then start its process 1. Runs in new mount and UTS namespaces:
#
#     setup_host.sh NAME PRIVATE SHARED INIT PATH...
#
#   PRIVATE  folder with root, tmp and etc, mounted on the host's /root, /tmp and some files of /etc
#   SHARED   folder that is mounted on /srv of all hosts, like a network disk
#   INIT     the interpreter and script of process 1, as one argument
#   PATH     path that stays available, read-only, even below /root or /tmp: the project, its environment, its Python
set -eu
name=$1 private=$2 shared=$3 init=$4
shift 4
hostname "$name"
mount -t tmpfs staging /mnt
mkdir /mnt/private /mnt/shared
mount --bind "$private" /mnt/private
mount --bind "$shared" /mnt/shared
number=0
for path in "$@"; do
  number=$((number + 1))
  mkdir "/mnt/$number"
  mount --bind "$path" "/mnt/$number"
done
mount --bind /mnt/private/root /root
mount --bind /mnt/private/tmp /tmp
mount --bind /mnt/shared /srv
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
for file in hosts shadow; do mount --bind "/mnt/private/etc/$file" "/etc/$file"; done
number=0
for path in "$@"; do
  number=$((number + 1))
  mkdir -p "$path"
  mount --bind "/mnt/$number" "$path"
  mount -o remount,bind,ro "$path"
done
umount --lazy /mnt
mkdir -m 0755 /run/sshd
# shellcheck disable=SC2086
exec $init
