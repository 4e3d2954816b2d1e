#!/bin/sh
# A container engine without images, for machines that have no other: `run` and `rm` in new namespaces.
#
# What the transport depends on is real: new pid, mount, network, IPC and host name namespaces and one mounted folder.
# There is one image, `netwright`, which is this machine with the Python in $STANDIN_PYTHON.
set -eu
action=$1
shift
case $action in
run)
    folder=
    while [ "$1" != --entrypoint ]; do
        case $1 in
        --name) name=$2 ;;
        --mount) [ -n "$folder" ] || folder=${2#*source=} ;;
        esac
        shift
    done
    shell=$2
    [ "$3" = netwright ] || { echo "Error: $3: image not known" >&2; exit 125; }
    shift 3
    user=
    [ "$(id -u)" = 0 ] || user=--map-root-user
    echo $$ > "$STANDIN_CONTAINERS/$name"
    PATH=$STANDIN_PYTHON:$PATH
    # shellcheck disable=SC2016,SC2086
    exec unshare $user --mount --pid --fork --kill-child --mount-proc --net --ipc --uts /bin/sh -c \
        'mount -t tmpfs none /run && mkdir /run/netwright && mount --bind "$0" /run/netwright && exec "$@"' \
        "${folder%%,*}" "$shell" "$@"
    ;;
rm)
    kill -KILL "$(cat "$STANDIN_CONTAINERS/$2")"
    ;;
esac
