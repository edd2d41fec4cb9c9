#!/bin/sh
# Prolog of slurmd: notes that a job begins on this node, for the meters of other jobs here.
# slurmd runs it as root and without PATH, and drains the node if it fails or hangs: it ends within
# seconds, always with 0.
#   Prolog=/etc/slurm/pricetag/prolog.sh
#   Epilog=/etc/slurm/pricetag/epilog.sh
spool=${PRICETAG_SLURM_SPOOL:-/var/spool/pricetag/slurm}

begin() {
    [ -n "$SLURM_JOB_ID" ] || return 0
    umask 022
    [ -d "$spool" ] || /bin/mkdir -p "$spool" || return 0
    note=$spool/${SLURMD_NODENAME:-node}.$SLURM_JOB_ID.${SLURM_JOB_RESTART_COUNT:-0}
    echo "start $(/bin/date +%s)" > "$note"
}

if [ "$1" = begin ]; then
    begin
else
    PRICETAG_SLURM_SPOOL=$spool /usr/bin/timeout -k 1 "${PRICETAG_SLURM_LIMIT_S:-3}" /bin/sh "$0" begin > /dev/null 2>&1
fi
exit 0
