#!/usr/bin/env python3
"""check_compare COMPARE.json FIGURES.json DIR: a run's rows in `seesaw compare --json` are the figures that its own report
printed (report/figures.json, which check_report.py computes again from the evidence)."""
import hashlib
import json
import math
import sys

KEYS = {  # figure of a row: key in figures.json
    "ttft_ms": "ttft.{arm}.mean",
    "decode_rate": "decode_rate.{arm}.mean",
    "tps": "tps.{arm}.mean",
    "vram_bytes": "memory.vram.loaded.{arm}.mean",
    "ttft_ratio": "ttft.{arm}.ratio",
    "decode_rate_ratio": "decode_rate.{arm}.ratio",
}


def machine_id(folder):
    """By docs/EVIDENCE.md's recipe."""
    with open(folder + "/manifest.json", encoding="utf-8") as file:
        machine = json.load(file)["machine"]
    numbers = [machine["cores"], machine["threads"], (machine["memory_bytes"] + (1 << 29)) >> 30]
    lines = [machine["hostname_hash"], machine["cpu"], *map(str, numbers)]
    lines += [text for gpu in machine["gpus"] for text in (gpu["name"], gpu["uuid"])]
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()[:12]


def main():
    compare, figures = (json.load(open(path)) for path in sys.argv[1:3])
    figures = figures["figures"]
    rows = [row for row in compare["rows"] if row["dir"] == sys.argv[3]]
    assert rows, "no row of " + sys.argv[3]
    assert {row["machine"] for row in rows} == {machine_id(sys.argv[3])}
    checked = set()
    for row in rows:
        for key, template in KEYS.items():
            figure = figures.get(template.format(arm=row["arm"]))
            if figure is None:
                continue
            value = row[key]["mean"]
            assert value is not None and math.isclose(value, figure["value"], rel_tol=1e-12), (row["arm"], key, value, figure)
            for end in ("ci_low", "ci_high"):
                if figure[end] is not None:
                    assert math.isclose(row[key][end], figure[end], rel_tol=1e-12), (row["arm"], key, end)
            checked.add(key)
        if row["position"] == 0:
            assert row["decode_rate_ratio"]["mean"] is None
    print("checked", sorted(checked))
    assert {"ttft_ms", "decode_rate", "tps", "decode_rate_ratio"} <= checked, checked


if __name__ == "__main__":
    main()
