#!/bin/bash
# seesaw compare and seesaw index on folders that make_evidence.py writes: figures against each run's own report, marks, refusals,
# and indexes that are damaged or foreign.
# usage: test_compare.sh SEESAW MAKE_EVIDENCE CHECK_COMPARE
set -u
seesaw=$1 make_evidence=$2 check=$3
. "$(dirname "$0")/../../frame.sh"

mkdir -p "$work/runs/queue/01" "$work/empty"
for case in gpu three stopped crash hostile; do
    python3 "$make_evidence" "$work/runs/$case" $case >/dev/null || fault "evidence $case"
done
python3 "$make_evidence" "$work/runs/queue/01/cpu" cpu >/dev/null || fault "evidence cpu"
"$seesaw" report "$work/runs/gpu" >/dev/null || fault "report"

# Figures are the report's; a folder below folders is found; the A/A arm has no row; doubts are counted.
"$seesaw" compare --json "$work/runs/" >"$work/all.json" || fault "compare"
python3 "$check" "$work/all.json" "$work/runs/gpu/report/figures.json" "$work/runs/gpu" || fault "figures"
python3 - "$work/all.json" "$work/runs" <<'PY' || fault "rows"
import json, sys
d = json.load(open(sys.argv[1]))
arms = {}
for row in d["rows"]:
    arms.setdefault(row["dir"].removeprefix(sys.argv[2] + "/"), []).append(row["arm"])
assert arms == {"crash": ["baseline", "offload"], "gpu": ["baseline", "offload"], "hostile": ["baseline", "offload"],
                "queue/01/cpu": ["baseline", "offload"], "stopped": ["baseline", "offload"],
                "three": ["baseline", "offload", "again"]}, arms
assert d["settings"] == 2, d["settings"]
assert d["unsound_rows"] == sum(row["state"] != "measured" for row in d["rows"]) >= 2
assert {row["state"] for row in d["rows"] if row["dir"].endswith("/crash")} == {"server-failed"}
PY
"$seesaw" compare "$work/runs" >"$work/all.txt" || fault "table"
grep -q 'setting B' "$work/all.txt" || fault "no mark of another setting"
grep -q 'do not compare' "$work/all.txt" || fault "the settings are not listed"
grep -q 'Synthetic GPU' "$work/all.txt" || fault "no GPU below the table"
"$seesaw" compare --md "$work/runs/hostile" >"$work/hostile.md" || fault "hostile"
grep -q '<script\|`tick`' "$work/hostile.md" && fault "markup of a run reaches the table"
[ "$(head -n 4 "$work/hostile.md" | awk -F'|' '{ print NF }' | sort -u)" = 15 ] || fault "a run's name breaks the table"
"$seesaw" compare --strict "$work/runs/gpu" "$work/runs/three" >/dev/null || fault "two equal settings are refused"
refused strict 4 'different settings' "$seesaw" compare --strict "$work/runs/gpu" "$work/runs/hostile"
refused unsound 4 'incomplete' "$seesaw" compare --strict "$work/runs/crash"

# A clone with another GPU is another machine; a GPU of which nothing is known still is a machine.
clone() { # NAME EXPRESSION: the run gpu with a change to its manifest's machine
    cp -r "$work/runs/gpu" "$work/$1"
    python3 -c 'import json, sys
path = sys.argv[1] + "/manifest.json"
m = json.load(open(path))
exec(sys.argv[2], m["machine"])
m["machine"].pop("__builtins__")
json.dump(m, open(path, "w"))' "$work/$1" "$2"
}
clone other 'gpus[0]["uuid"] = "GPU-1"'
clone bare 'gpus[0]["uuid"] = gpus[0]["name"] = None; cpu = None; del hostname_hash; cores = None'
clone same 'kernel = "another"; memory_bytes += 100 << 20'
"$seesaw" compare --csv "$work/runs/gpu" "$work/other" "$work/bare" "$work/same" | python3 -c 'import csv, os, sys
ids = {os.path.basename(row["dir"]): row["machine"] for row in csv.DictReader(sys.stdin)}
assert all(len(i) == 12 for i in ids.values()), ids
assert ids["same"] == ids["gpu"] and len({ids["gpu"], ids["other"], ids["bare"]}) == 3, ids' || fault "machines"

refused "no run" 2 'no run folder' "$seesaw" compare "$work/empty"
refused "no folder" 2 'name run folders' "$seesaw" compare
refused "filter" 2 'go with --index' "$seesaw" compare --model x "$work/runs"
refused "no date" 2 'YYYY-MM-DD' "$seesaw" compare --index --since yesterday
mkdir "$work/torn" && echo '{' >"$work/torn/manifest.json"
refused "torn" 1 'torn' "$seesaw" compare "$work/torn"

# The index gives the same rows; recording twice adds nothing.
refused "no index" 2 'No such file' "$seesaw" compare --index
"$seesaw" index "$work/runs" >/dev/null || fault "index"
"$seesaw" index "$work/runs/gpu" >/dev/null || fault "index again"
"$seesaw" compare --csv "$work/runs" | sort >"$work/folders.csv"
"$seesaw" compare --index --csv | sort >"$work/index.csv"
cmp "$work/folders.csv" "$work/index.csv" || fault "the index and the folders differ"
[ "$("$seesaw" compare --index --csv --model SYNTH | wc -l)" = 12 ] || fault "--model"
refused "later" 2 'no such run' "$seesaw" compare --index --since 2030-01-01
[ "$("$seesaw" compare --index --csv --machine "$("$seesaw" compare --json "$work/runs/gpu" | sed -n 's/.*"machine": "\(....\).*/\1/p' | head -n 1)" --model synth | wc -l)" -ge 3 ] ||
    fault "--machine"
refused "elsewhere" 2 'no such run' "$seesaw" compare --index --machine ffff
"$seesaw" index --rebuild --index "$work/own.sqlite" "$work/runs/gpu" "$work/runs/three" >/dev/null || fault "rebuild"
"$seesaw" index --rebuild --index "$work/own.sqlite" "$work/runs/gpu" >/dev/null || fault "rebuild again"
[ "$("$seesaw" compare --index="$work/own.sqlite" --csv | wc -l)" = 3 ] || fault "--rebuild keeps other runs"
refused "one is torn" 1 '1 of 2 runs' "$seesaw" index --index "$work/own.sqlite" "$work/torn" "$work/runs/gpu"

# Hostile indexes.
echo 'not a database, but long enough to be looked at as if it were one, for sure' >"$work/text.sqlite"
refused "text" 1 'not a database' "$seesaw" compare --index="$work/text.sqlite"
refused "text, writing" 1 'not a database' "$seesaw" index --index "$work/text.sqlite" "$work/runs/gpu"
edit() { # NAME SQL...: a copy of the index, changed
    cp "$work/own.sqlite" "$work/$1.sqlite"
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript(sys.argv[2])
db.commit()' "$work/$1.sqlite" "$2" || fault "edit $1"
}
edit version 'PRAGMA user_version = 7'
refused "another schema" 1 'its schema is 7' "$seesaw" compare --index="$work/version.sqlite"
edit column 'DROP TABLE figure; CREATE TABLE figure (x)'
refused "another table" 1 'no such column' "$seesaw" compare --index="$work/column.sqlite"
edit types "PRAGMA foreign_keys = OFF; UPDATE figure SET mean = 'text', ci_low = x'00ff'; UPDATE arm SET position = 'p' || position, n = 1e300, model = replace(hex(zeroblob(1000)), '0', 'é'), gpu = CAST(x'c328' AS TEXT)"
"$seesaw" compare --index="$work/types.sqlite" --json | python3 -m json.tool >/dev/null || fault "wrong types"
"$seesaw" compare --index="$work/types.sqlite" >/dev/null || fault "wrong types, as a table"
edit long "UPDATE arm SET model = hex(zeroblob(40000))"
refused "a text too long" 1 'too big' "$seesaw" compare --index="$work/long.sqlite"
edit trigger "CREATE TRIGGER t AFTER INSERT ON arm BEGIN DELETE FROM arm; END"
"$seesaw" index --index "$work/trigger.sqlite" "$work/runs/three" >/dev/null 2>&1
[ $? -le 1 ] || fault "a trigger"
size=$(stat -c %s "$work/own.sqlite")
for at in 20 100 200 $((size / 2)) $((size - 100)); do
    cp "$work/own.sqlite" "$work/hurt.sqlite"
    printf '\377\377\377\377\377\377\377\377' | dd of="$work/hurt.sqlite" bs=1 seek="$at" conv=notrunc status=none
    "$seesaw" compare --index="$work/hurt.sqlite" --json >/dev/null 2>&1
    [ $? -le 2 ] || fault "damage at $at"
    head -c "$at" "$work/own.sqlite" >"$work/cut.sqlite"
    "$seesaw" compare --index="$work/cut.sqlite" --json >/dev/null 2>&1
    status=$?
    [ $status = 1 ] || [ $status = 2 ] || fault "cut at $at: status $status"
done

finish
