#!/usr/bin/env python3
"""check_report FOLDER: checks a run's report against its evidence by other means than the program's own.

- every metric's mean, σ and interval, every ratio and memory figure is computed again from samples.jsonl and
  telemetry.jsonl with Python's statistics module and compared with figures.json (1 part in 10^9);
- report.html is well-formed, has no handler or reference to anything outside, no script but its own, which is made of the files
  in the source tree and named by hash in its Content-Security-Policy, and each number marked there stands in figures.json with
  the same value;
- the charts' data are the evidence's: each frame's time and text, and the highest memory reading of each start;
- joules per token are computed again from the counters in telemetry.jsonl;
- figures.csv and samples.csv, read by Python's csv module, say the same;
- what came from outside stands in the page as text, never as markup.
"""
import base64
import bisect
import csv
import hashlib
import html.parser
import json
import math
import pathlib
import re
import statistics
import sys
import xml.etree.ElementTree

# R: qt(.975, 1:11); then 23, 35
T = dict(zip(range(1, 12), [12.7062047361747, 4.30265272974946, 3.18244630528371, 2.77644510519779, 2.57058183563631,
                            2.44691185114497, 2.36462425159278, 2.30600413520417, 2.2621571627982, 2.22813885198627,
                            2.20098516009164]))
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?")
faults = []


def near(what, ours, theirs):
    if not math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12):
        faults.append(f"{what}: computed {ours!r}, figures.json says {theirs!r}")


def check(figures, key, values):
    if not values:
        if key in figures:
            faults.append(f"{key}: printed, but there are no values")
        return
    figure = figures.get(key)
    if figure is None:
        faults.append(f"{key} is missing")
        return
    near(key, statistics.fmean(values), figure["value"])
    if figure["n"] != len(values):
        faults.append(f"{key}: N is {figure['n']}, not {len(values)}")
    if len(values) - 1 in T:
        sd = statistics.stdev(values)
        half = T[len(values) - 1] * sd / math.sqrt(len(values))
        if not math.isclose(sd, figure["sd"], rel_tol=1e-6, abs_tol=1e-9):
            faults.append(f"{key}: sd {sd!r}, not {figure['sd']!r}")
        if not math.isclose(statistics.fmean(values) + half, figure["ci_high"], rel_tol=1e-6, abs_tol=1e-9):
            faults.append(f"{key}: interval up to {statistics.fmean(values) + half!r}, not {figure['ci_high']!r}")


def metrics(sample, tokens):
    send = sample["send_ns"]
    frames = sample["frames"]
    choice = [f["t_ns"] - send for f in frames if f["kind"] in ("role", "content", "reasoning", "tool", "finish", "empty")]
    text = [f["t_ns"] - send for f in frames if f["kind"] in ("content", "reasoning", "tool")]
    out = {}
    if choice:
        out["ttfr"] = choice[0] / 1e6
    if tokens is not None:
        out["tokens"] = float(tokens)
    if not text:
        return out
    first, last = text[0], text[-1]
    out["ttft"], out["e2e"] = first / 1e6, last / 1e6
    if tokens:
        out["tps"] = tokens / (last / 1e9)
        out["tokens_per_chunk"] = tokens / len(text)
    if tokens and tokens > 1 and last > first:
        out["decode_rate"] = (tokens - 1) / ((last - first) / 1e9)
        out["itl"] = (last - first) / 1e6 / (tokens - 1)
    if sample["usage"]:
        out["prefill_rate"] = sample["usage"]["prompt_tokens"] / (first / 1e9)
    gaps = [(b - a) / 1e6 for a, b in zip(text, text[1:])]
    if gaps:
        out["chunk_gap"], out["chunk_gap_max"] = statistics.median(gaps), max(gaps)
    return out


def interval(logs, df_max):
    """Student's interval of the mean, with at most df_max degrees of freedom; None where the table has no quantile."""
    df = min(len(logs) - 1, df_max)
    if df not in T:
        return None
    mean, half = statistics.fmean(logs), T[df] * statistics.stdev(logs) / math.sqrt(len(logs))
    return mean - half, mean + half


def check_interval(figures, key, logs, df_max):
    ends = interval(logs, df_max)
    if ends is None:
        return ends
    figure = figures[key]
    near(key, math.exp(statistics.fmean(logs)), figure["value"])
    for end, ours in (("ci_low", ends[0]), ("ci_high", ends[1])):
        if not math.isclose(math.exp(ours), figure[end], rel_tol=1e-6):
            faults.append(f"{key}: {end} computed {math.exp(ours)!r}, figures.json says {figure[end]!r}")
    return ends


def check_comparison(manifest, figures, key, logs):
    """logs: {(prompt, run): ln(arm / first arm)}. Both t intervals, the floor, and p on the right side of 0.05."""
    plan = manifest["plan"]
    look = plan.get("min_runs") or 0
    df_max = look + look % 2 - 1 if plan.get("precision") else 10**9
    pairs = list(logs.values())
    blocks = {}
    for (_, run), x in logs.items():
        blocks.setdefault(run, []).append(x)
    means = [statistics.fmean(b) for b in blocks.values()]
    by_block = plan["design"] == "abba" and len(means) > 1
    ends = [check_interval(figures, f"{key}.ratio_t", pairs, 10**9)] if len(pairs) > 1 else []
    if by_block:
        ends.append(check_interval(figures, f"{key}.ratio_by_block_t", means, df_max))
    if not ends or None in ends:
        return
    if f"{key}.noise_floor_percent" in figures:
        half = max((high - low) / 2 for low, high in ends)
        far = abs(statistics.fmean(pairs))
        floor = math.exp(far + half if far > half else half)
        if not math.isclose((floor - 1) * 100, figures[f"{key}.noise_floor_percent"]["value"], rel_tol=1e-6):
            faults.append(f"{key}: noise floor {(floor - 1) * 100!r}, not {figures[f'{key}.noise_floor_percent']['value']!r}")
    claims = sum(not a["name"] == "again" and not a["name"] == "aa" for a in manifest["arms"][1:])
    if claims == 1 and all(low > 0 or high < 0 for low, high in ends) != (figures[f"{key}.p_holm"]["value"] <= 0.05):
        faults.append(f"{key}: p {figures[f'{key}.p_holm']['value']!r} and the intervals disagree")


def check_figures(folder, manifest, figures):
    lines = [json.loads(line) for line in (folder / "samples.jsonl").open(encoding="utf-8")]
    counts = {c["id"]: c["tokens"] for c in map(json.loads, (folder / "tokens.jsonl").open(encoding="utf-8"))}
    values = {}
    for s in lines:
        if s["kind"] == "sample" and s["phase"] == "measure" and not s["error"]:
            tokens = counts.get(s["id"])
            if tokens is None:
                tokens = s["usage"]["completion_tokens"]
            values[s["arm"], s["prompt"], s["run"]] = metrics(s, tokens)
    arms = [arm["name"] for arm in manifest["arms"]]
    names = sorted({name for v in values.values() for name in v})
    for name in names:
        for arm in arms:
            check(figures, f"{name}.{arm}.mean", [v[name] for (a, _, _), v in sorted(values.items()) if a == arm and name in v])
        for arm in arms[1:]:
            logs = {(p, r): math.log(v[name] / values[arms[0], p, r][name]) for (a, p, r), v in sorted(values.items())
                    if a == arm and v.get(name) and values.get((arms[0], p, r), {}).get(name)}
            if logs:
                near(f"{name}.{arm}.ratio", math.exp(statistics.fmean(logs.values())), figures[f"{name}.{arm}.ratio"]["value"])
            if logs and name in ("decode_rate", "tps", "ttft", "e2e"):
                check_comparison(manifest, figures, f"{name}.{arm}", logs)
    for arm in arms:
        loads = [(s["ready_ns"] - s["spawn_ns"]) / 1e6 for s in lines if s["kind"] == "server_ready" and s["arm"] == arm and s["spawn_ns"] is not None]
        check(figures, f"load_time.{arm}.mean", loads)
    telemetry = [json.loads(line) for line in (folder / "telemetry.jsonl").open(encoding="utf-8")]
    check_prices(lines, values, manifest, figures, telemetry)
    return len(names) * len(arms)


def check_prices(lines, values, manifest, figures, telemetry):
    """The price of a GiB over blocks, and the slope of TTFT's overhead against prompt tokens, by Python's statistics module."""
    arms = [arm["name"] for arm in manifest["arms"]]
    kind = "vram" if any(r["vram_process_bytes"] is not None for r in telemetry) else None
    loaded = {}
    for reading in telemetry:
        if reading["phase"] == "loaded":
            loaded.setdefault((reading["arm"], reading["block"]), []).append(reading["vram_process_bytes"])
    tokens = {s["prompt"]: s["usage"]["prompt_tokens"] for s in lines if s["kind"] == "sample" and s["phase"] == "measure" and not s["error"]}
    for arm in arms[1:]:
        pairs = [(tokens[p], v["ttft"] - values[arms[0], p, r]["ttft"]) for (a, p, r), v in sorted(values.items())
                 if a == arm and (arms[0], p, r) in values]
        slope, intercept = statistics.linear_regression(*zip(*pairs))
        figure = figures[f"ttft.{arm}.ms_per_prompt_token"]
        near(f"slope of {arm}", slope, figure["value"])
        middle = statistics.fmean(x for x, _ in pairs)
        residual = sum((y - intercept - slope * x) ** 2 for x, y in pairs) / (len(pairs) - 2)
        error = math.sqrt(residual / sum((x - middle) ** 2 for x, _ in pairs))
        if len(pairs) - 2 in T and not math.isclose(figure["ci_high"], slope + T[len(pairs) - 2] * error, rel_tol=1e-6):
            faults.append(f"slope of {arm}: interval up to {slope + T[len(pairs) - 2] * error}, not {figure['ci_high']}")
        prices = []
        for block in range(manifest["plan"]["runs"] if kind and manifest["plan"]["design"] == "abba" else 0):
            if (arms[0], block) not in loaded or (arm, block) not in loaded:  # the run did without
                continue
            gib = (statistics.median(loaded[arms[0], block]) - statistics.median(loaded[arm, block])) / 2**30
            costs = [1000 / v["decode_rate"] - 1000 / values[arms[0], p, r]["decode_rate"] for (a, p, r), v in values.items()
                     if a == arm and r == block + 1]
            prices += [statistics.fmean(costs) / gib] if gib > 0 else []
        key = f"exchange.{arm}.ms_per_token_per_gib"
        if prices:
            check(figures, key, prices)


def check_memory(folder, manifest, figures):
    starts = {}
    for reading in map(json.loads, (folder / "telemetry.jsonl").open(encoding="utf-8")):
        pss = [reading[k] for k in ("pss_anon_bytes", "pss_file_bytes", "pss_shmem_bytes")]
        values = {"rss": reading["rss_bytes"], "vram": reading["vram_process_bytes"],
                  "pss": sum(pss) if None not in pss else None}
        for memory, value in values.items():
            if value is not None:
                key = (reading["arm"], memory, reading["phase"])
                starts.setdefault(key, {}).setdefault((reading["block"], reading["position"]), []).append(value)
    for arm in [a["name"] for a in manifest["arms"]]:
        for memory in ("pss", "rss", "vram"):
            for phase, pick in (("loaded", statistics.median), ("decode", max)):
                readings = starts.get((arm, memory, phase), {})
                check(figures, f"memory.{memory}.{phase}.{arm}.mean", [pick(v) for v in readings.values()])


def check_energy(folder, manifest, figures):
    """J/token: the counter at t_last less that at t_send, each between two readings on a straight line, over tokens."""
    telemetry = [json.loads(line) for line in (folder / "telemetry.jsonl").open(encoding="utf-8")]
    samples = [s for s in map(json.loads, (folder / "samples.jsonl").open(encoding="utf-8"))
               if s["kind"] == "sample" and s["phase"] == "measure" and not s["error"]]
    counts = {c["id"]: c["tokens"] for c in map(json.loads, (folder / "tokens.jsonl").open(encoding="utf-8"))}
    n = 0
    for source, key, joules in (("gpu", "gpu_energy_mj", 1e-3), ("package", "package_energy_uj", 1e-6), ("dram", "dram_energy_uj", 1e-6)):
        series = []
        for reading in telemetry:
            if reading.get(key) is not None and (not series or reading["t_ns"] > series[-1][0]):
                series.append((reading["t_ns"], reading[key] * joules))
        times = [t for t, _ in series]

        def at(t):
            i = min(bisect.bisect_right(times, t), len(times) - 1)
            (t0, v0), (t1, v1) = series[i - 1], series[i]
            return v0 + (v1 - v0) * (t - t0) / (t1 - t0)

        for arm in [a["name"] for a in manifest["arms"]]:
            values = []
            for s in samples:
                texts = [f["t_ns"] for f in s["frames"] if f["kind"] in ("content", "reasoning", "tool")]
                tokens = counts.get(s["id"]) or s["usage"]["completion_tokens"]
                if s["arm"] == arm and series and texts and times[0] <= s["send_ns"] and texts[-1] <= times[-1]:
                    inside = [v for t, v in series if s["send_ns"] <= t <= texts[-1]]
                    if inside == sorted(inside):
                        values.append((at(texts[-1]) - at(s["send_ns"])) / tokens)
            check(figures, f"energy_per_token.{source}.{arm}.mean", values)
            n += len(values)
    return n


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.numbers, self.ids, self.scripts, self.policy = [], set(), [], ""

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "script":
            self.scripts.append([attributes, ""])
        if tag in ("iframe", "object", "embed", "link", "img", "a", "form", "input", "base"):
            faults.append(f"report.html has <{tag}>")
        for name, value in attributes.items():
            if name.startswith("on"):
                faults.append(f"report.html: handler {name}")
            if name in ("href", "xlink:href", "src") and not (value or "").startswith("#"):
                faults.append(f"report.html refers to {value!r}")
        if "id" in attributes:
            if attributes["id"] in self.ids:
                faults.append(f"report.html: id {attributes['id']!r} twice")
            self.ids.add(attributes["id"])
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        if tag == "data":
            self.numbers.append((attributes["title"], float(attributes["value"])))


    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1][1] += data


def check_script(page):
    """The page's second script is uPlot and web/*.js of the source tree, and the only one that its policy lets run."""
    root = pathlib.Path(__file__).resolve().parents[3]
    parts = ["third_party/uplot/uPlot.iife.min.js", *(f"src/bench/report/web/{name}.js" for name in ("charts", "tradeoff", "memory", "timeline"))]
    wanted = "\n".join((root / part).read_text(encoding="utf-8").strip() for part in parts)
    if len(page.scripts) != 2 or page.scripts[0][0] != {"type": "application/json", "id": "seesaw-data"} or page.scripts[1][0]:
        faults.append(f"report.html's scripts are {[attributes for attributes, _ in page.scripts]}")
        return
    text = page.scripts[1][1]
    if wanted not in text or len(text) > len(wanted) + 40:
        faults.append("report.html's script is not made of the source tree's files")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    if page.policy != f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'":
        faults.append(f"report.html's policy is {page.policy!r}, its script's hash {digest}")


def check_data(folder, manifest, data):
    arms, prompts = [a["name"] for a in manifest["arms"]], [p["id"] for p in manifest["plan"]["prompts"]]
    shown = {(arms[r["arm"]], prompts[r["prompt"]], r["run"]): r for r in data["replies"]}
    n, latest_left_out = 0, []
    for s in map(json.loads, (folder / "samples.jsonl").open(encoding="utf-8")):
        if s["kind"] != "sample" or s["phase"] != "measure" or s["error"]:
            continue
        text = [f for f in s["frames"] if f["kind"] in ("content", "reasoning", "tool")]
        n += 1
        reply = shown.get((s["arm"], s["prompt"], s["run"]))
        if reply is None:
            latest_left_out.append(s["run"])
            continue
        if reply["t"] != [(f["t_ns"] - s["send_ns"]) // 1000 for f in text] or reply["text"] != [f["text"] for f in text]:
            faults.append(f"report.html draws other frames than {s['id']} has")
    if n != len(shown) + data["replies_left_out"] or data["starts_left_out"]:
        faults.append(f"report.html draws {len(shown)} of {n} replies and says that {data['replies_left_out']} are left out")
    if latest_left_out and min(latest_left_out) < max(run for _, _, run in shown):
        faults.append("report.html leaves out replies of an early run")
    highest = {}
    for reading in map(json.loads, (folder / "telemetry.jsonl").open(encoding="utf-8")):
        key = (reading["arm"], reading["block"])
        highest[key] = max(highest.get(key, 0), (reading["rss_bytes"] or 0) // 1024)
    drawn = {(arms[s["arm"]], s["block"]): max(r or 0 for r in s["rss"]) for s in data["starts"]}
    if highest != drawn:
        faults.append(f"report.html draws memory up to {drawn}, telemetry.jsonl has {highest}")


def check_html(folder, manifest, figures):
    text = (folder / "report" / "report.html").read_text(encoding="utf-8")
    xml.etree.ElementTree.fromstring(text.replace("<!DOCTYPE html>", ""))
    page = Page()
    page.feed(text)
    check_script(page)
    check_data(folder, manifest, json.loads(page.scripts[0][1]))
    for key, value in page.numbers:
        if key not in figures:
            faults.append(f"report.html prints {key}, which figures.json lacks")
        elif figures[key]["value"] != value:
            faults.append(f"{key}: {value!r} in report.html, {figures[key]['value']!r} in figures.json")
    printed = {key for key, _ in page.numbers}
    for key in figures:
        if key not in printed:
            faults.append(f"figures.json has {key}, which report.html does not print")
    if "url(" in text.split("</style>")[0] or "@import" in text:
        faults.append("report.html: the style sheet refers to something")
    return len(page.numbers)


def check_csv(folder, figures):
    """figures.csv says what figures.json says, samples.csv has a line for each sample, and no field is a formula."""
    def read(name):
        with (folder / "report" / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        for row in rows:
            for column, field in row.items():
                if field is None or field[:1] in "=+@\t\r" and field or field[:1] == "-" and not NUMBER.fullmatch(field):
                    faults.append(f"{name}: {column} is {field!r}")
        return rows
    table = {row["key"]: row for row in read("figures.csv")}
    if set(table) != set(figures):
        faults.append(f"figures.csv and figures.json differ in {sorted(set(table) ^ set(figures))[:3]}")
    for key, row in table.items():
        for column in ("value", "n", "sd", "ci_low", "ci_high"):
            if (float(row[column]) if row[column] else None) != figures[key].get(column):
                faults.append(f"figures.csv: {column} of {key} is {row[column]}, not {figures[key].get(column)}")
    lines = [json.loads(line) for line in (folder / "samples.jsonl").open(encoding="utf-8")]
    lines = {s["id"]: s for s in lines if s["kind"] == "sample"}
    rows = {row["id"]: row for row in read("samples.csv")}
    if set(lines) != {i.removeprefix("'") for i in rows}:
        faults.append("samples.csv has other samples than samples.jsonl")
    for row in rows.values():
        line = lines[row["id"].removeprefix("'")]
        measured = line["phase"] == "measure" and not line["error"]
        text = [f["t_ns"] - line["send_ns"] for f in line["frames"] if f["kind"] in ("content", "reasoning", "tool")]
        if row["ttft_ms"] != "" if not measured else not math.isclose(float(row["ttft_ms"]), text[0] / 1e6, rel_tol=1e-12):
            faults.append(f"samples.csv: TTFT of {row['id']} is {row['ttft_ms']}")
        if row["error"].removeprefix("'") != (line["error"] or "") or row["flags"] != " ".join(line["flags"]):
            faults.append(f"samples.csv: error and flags of {row['id']}: {row['error']!r}, {row['flags']!r}")


def check_md(folder):
    width, fence = None, ""
    for number, line in enumerate((folder / "report" / "report.md").read_text(encoding="utf-8").splitlines(), 1):
        if fence or line.startswith("```"):  # a code block ends at a fence as long as its own
            fence = "" if fence == line else fence or re.match("`+", line).group()
            continue
        if re.search(r"<(?!br>)", re.sub(r"(`+) ?.*? ?\1", "", line)):
            faults.append(f"report.md:{number}: raw markup")
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        if cells is not None and width is not None and cells != width:
            faults.append(f"report.md:{number}: {cells - 1} cells in a table of {width - 1}")
        width = cells


def main():
    folder = pathlib.Path(sys.argv[1])
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    figures = json.loads((folder / "report" / "figures.json").read_text(encoding="utf-8"))["figures"]
    checked = check_figures(folder, manifest, figures)
    check_memory(folder, manifest, figures)
    n_energy = check_energy(folder, manifest, figures)
    numbers = check_html(folder, manifest, figures)
    check_md(folder)
    check_csv(folder, figures)
    for fault in faults[:20]:
        print("FAULT:", fault)
    print(f"check_report: {checked} groups and {n_energy} energies computed again, {numbers} numbers on the page, {len(faults)} faults")
    return 1 if faults or not numbers else 0


if __name__ == "__main__":
    sys.exit(main())
