#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Did two devices get the same requests, and answer alike? Shows the first difference of their
# records (record.h). It needs a POSIX shell, awk and diff.
#
# usage: compare.sh [--threads] [--refused] RECORD RECORD
# --threads  several threads ask at a time: what was asked between two changes has no order
# --refused  which errno a change of state is refused with is the device's own
# Exit status: 0 alike; 1 not; 2 a record is not whole or not there.
#
# What is a device's own is left out: all behind a "#", and whether a device had data at the
# moment when it was asked in a pre-copy state (ENOMSG is legal there, and nowhere else).
set -u

threads=0
refused=0
while [ $# -gt 2 ]; do
    case $1 in
    --threads) threads=1 ;;
    --refused) refused=1 ;;
    *) exit 2 ;;
    esac
    shift
done

normal() {
    awk -v threads=$threads -v refused=$refused '
    function flush(    i, j, line) {
        for (i = 2; threads && i <= count; i++) {
            line = between[i]
            for (j = i - 1; j > 0 && between[j] > line; j--)
                between[j + 1] = between[j]
            between[j + 1] = line
        }
        for (i = 1; i <= count; i++)
            print between[i]
        count = 0
        split("", seen)
    }
    {
        sub(/ #.*/, "")
        is_change = $2 != "." && !(threads && / read = end$/)
        if ($2 == "SET" && $3 == "MIG_DEVICE_STATE" && $6 ~ /^ok/)
            is_precopy[$1] = $4 ~ /^PRE_COPY/
        if (refused && $2 == "SET" && $3 == "MIG_DEVICE_STATE")
            sub(/ = E[A-Z0-9]+,/, " = refused,")
        if (is_precopy[$1] && / read = (data|ENOMSG)$/)
            sub(/(data|ENOMSG)$/, "data or ENOMSG")
        # Between two changes it counts which requests there were, not how often.
        if (is_change) {
            flush()
            print
        } else if (!seen[$0]++) {
            between[++count] = $0
        }
    }
    END { flush() }' "$1"
}

for record; do
    if [ ! -s "$record" ] || grep -q '^fault: ' "$record"; then
        echo "$record: no record, or not all of it"
        [ ! -f "$record" ] || grep '^fault: ' "$record"
        exit 2
    fi
done
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
normal "$1" >"$folder/one"
normal "$2" >"$folder/other"
if diff -U 4 "$folder/one" "$folder/other" >"$folder/difference"; then
    echo "alike in $(wc -l <"$folder/one") lines: $1 and $2"
    exit 0
fi
echo "the first difference between $1 (-) and $2 (+):"
# The begin of one hunk, without the names that the copies had.
awk '/^@@/ { hunks++ } hunks == 1 && !/^@@/ && shown++ < 20' "$folder/difference"
exit 1
