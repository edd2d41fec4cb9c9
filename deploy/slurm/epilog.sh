#!/bin/sh
# Epilog of slurmd: notes that a job has ended on this node. See prolog.sh.
spool=${PRICETAG_SLURM_SPOOL:-/var/spool/pricetag/slurm}

end() {
    [ -n "$SLURM_JOB_ID" ] || return 0
    # A job that is requeued has its next restart's number already.
    for note in "$spool/${SLURMD_NODENAME:-node}.$SLURM_JOB_ID".*; do
        [ -f "$note" ] || continue
        case $(/bin/cat "$note") in
            *end*) ;;
            *) echo "end $(/bin/date +%s)" >> "$note" ;;
        esac
    done
    # Notes are read by the meters of jobs that ran at the same time: none runs for two months.
    /usr/bin/find "$spool" -maxdepth 1 -type f -mtime +60 -delete
}

if [ "$1" = end ]; then
    end
else
    PRICETAG_SLURM_SPOOL=$spool /usr/bin/timeout -k 1 "${PRICETAG_SLURM_LIMIT_S:-3}" /bin/sh "$0" end > /dev/null 2>&1
fi
exit 0
