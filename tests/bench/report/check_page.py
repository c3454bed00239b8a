#!/usr/bin/env python3
"""check_page FOLDER: opens a run's report.html in headless Chromium and looks at it as a reader would.

On a screen, light and dark and as wide as a phone: the charts are drawn (pixels of each arm's colour stand on the canvas), a pointer
over them brings up the value that samples.jsonl has there, dragging zooms, nothing is logged, nothing but the file is asked for,
and the page is no wider than the screen. Without JavaScript: verdict, tables and gnuplot's drawings. As PDF: A4, with no canvas.
Exits 77 where there is no Chromium; where CI=true that is a fault.
"""
import json
import os
import pathlib
import re
import sys

import chromium

LIVE = ("plot-tradeoff", "plot-memory-time", "plot-timeline")
PAGES_MAX = 12
faults = []


def expect(what, holds):
    if not holds:
        faults.append(what)


def colours_on(browser, figure):
    """How many pixels of each arm's colour the figure's canvas has."""
    return browser.value(f"""(() => {{
      const canvas = document.querySelector("#{figure} canvas"), context = canvas.getContext("2d");
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
      return seesaw.arms.map((arm, i) => {{
        const [r, g, b] = armColour(i).match(/[0-9a-f]{{2}}/g).map(hex => parseInt(hex, 16));
        let n = 0;
        for (let k = 0; k < pixels.length; k += 4) n += pixels[k] === r && pixels[k + 1] === g && pixels[k + 2] === b;
        return n;
      }});
    }})()""")


def hover(browser, figure, across, down=0.5):
    """The label that appears with the pointer at these parts of the plotting area."""
    box = browser.value(f"""(() => {{ const over = document.querySelector("#{figure} .u-over"); over.scrollIntoView({{block: "center"}});
        const box = over.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]; }})()""")
    browser.mouse("mouseMoved", box[0] + box[2] * across - 2, box[1] + box[3] * down)
    browser.mouse("mouseMoved", box[0] + box[2] * across, box[1] + box[3] * down)
    return browser.value(f"""new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {{
        const tip = document.querySelector("#{figure} .chart-tip"); done(tip.hidden ? "" : tip.innerText); }})))""")


def check_screen(browser, page, width, dark):
    name = f"{width} px, {'dark' if dark else 'light'}"
    browser.view(width, 900, dark)
    browser.load(page)
    for figure in LIVE:
        expect(f"{name}: {figure} has no canvas", browser.value(f"document.querySelectorAll('#{figure} canvas').length") == 1)
        expect(f"{name}: {figure} also shows its static drawing",
               browser.value(f"getComputedStyle(document.querySelector('#{figure}>svg')).display") == "none")
        for arm, pixels in enumerate(colours_on(browser, figure)):
            expect(f"{name}: {figure} shows nothing of arm {arm}", pixels > 10)
    expect(f"{name}: the page is wider than the screen", browser.value("document.documentElement.scrollWidth") <= width)


def check_hover(browser, folder):
    samples = [json.loads(line) for line in (folder / "samples.jsonl").open(encoding="utf-8")]
    first = next(s for s in samples if s.get("id", "").startswith("b0.p0.") and s["prompt"] == "q1")
    text = [f for f in first["frames"] if f["kind"] == "content"]
    tip = hover(browser, "plot-timeline", 0.01)
    ttft = (text[0]["t_ns"] - first["send_ns"]) / 1e6
    shown = re.search(re.escape(first["arm"]) + r", frame 1: ([\d.,]+) ms, TTFT", tip)
    expect(f"the timeline's label is {tip!r}, not the first frame at {ttft:.2f} ms",
           shown and abs(float(shown[1].replace(",", "")) - ttft) < 0.01)
    quoted = json.dumps(text[0]["text"], ensure_ascii=False)[1:-1]
    expect("the timeline's label does not quote the frame", re.sub(r"\s+", " ", quoted).strip() in re.sub(r"\s+", " ", tip))
    expect("no label over memory", "MiB" in hover(browser, "plot-memory-time", 0.5))
    figures = json.loads((folder / "report" / "figures.json").read_text(encoding="utf-8"))["figures"]
    tip = hover(browser, "plot-tradeoff", 0.9, 0.1)
    rate = figures[f"decode_rate.{tip.split()[0] if tip else ''}.mean"]["value"]
    expect(f"the trade-off's label is {tip!r}, not {rate:.1f}", f"{rate:.1f} [" in tip)


def check_zoom(browser):
    span = "document.querySelector('#plot-timeline canvas') && charts.find(p => p.figure.id === 'plot-timeline').chart.scales.x"
    before = browser.value(f"(s => s.max - s.min)({span})")
    box = browser.value("""(() => { const over = document.querySelector("#plot-timeline .u-over"); over.scrollIntoView({block: "center"});
        const box = over.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]; })()""")
    at = [(box[0] + box[2] * part, box[1] + box[3] / 2) for part in (0.3, 0.6)]
    browser.mouse("mouseMoved", *at[0])
    browser.mouse("mousePressed", *at[0])
    browser.mouse("mouseMoved", *at[1])
    browser.mouse("mouseReleased", *at[1])
    after = browser.value(f"new Promise(done => setTimeout(() => done((s => s.max - s.min)({span})), 50))")
    expect(f"dragging over 30 % zooms from {before} to {after}", 0.25 * before < after < 0.35 * before)


def check_choices(browser):
    """Every choice of every list draws without an error."""
    n = browser.value("""(() => { let n = 0;
      for (const select of document.querySelectorAll(".chart-head select"))
        for (const option of select.options) { select.value = option.value; select.dispatchEvent(new Event("change")); n++; }
      for (const box of document.querySelectorAll(".chart-head input")) { box.click(); n++; }
      return n; })()""")
    expect("there is nothing to choose", n > 10)


def check_without_script(browser, page):
    browser.view(1100, 900, script=False)
    browser.load(page)
    root = browser.call("DOM.getDocument")["root"]["nodeId"]

    def count(selector):
        return len(browser.call("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"])
    expect("without JavaScript: no verdict", count(".verdict p") >= 1)
    expect("without JavaScript: no tables", count("table") >= 4)
    expect("without JavaScript: drawings are missing", count("figure:not([hidden])>svg") == 7)
    expect("without JavaScript: a canvas", count("canvas") == 0)
    first = browser.call("DOM.querySelector", nodeId=root, selector="#plot-timeline>svg")["nodeId"]
    expect("without JavaScript: a drawing takes no room", browser.call("DOM.getBoxModel", nodeId=first)["model"]["height"] > 100)


def check_print(browser, page):
    browser.view(1100, 900, dark=True)
    browser.load(page)
    pdf = browser.pdf()
    pages = len(re.findall(rb"/Type\s*/Page[^s]", pdf))
    sizes = set(re.findall(rb"/MediaBox\s*\[0 0 (\d+)\.?\d* (\d+)\.?\d*\]", pdf))
    expect(f"the PDF's pages are {sizes}, not A4 (595 by 842 points)", sizes <= {(b"594", b"841"), (b"595", b"842")} and sizes)
    expect(f"the PDF has {pages} pages", 2 <= pages <= PAGES_MAX)
    browser.view(690, 900, dark=True, media="print")
    for figure in LIVE:
        expect(f"{figure} is printed as a canvas", browser.value(f"document.querySelector('#{figure} .chart').offsetHeight") == 0)
        expect(f"{figure} is not printed", browser.value(f"document.querySelector('#{figure}>svg').getBoundingClientRect().height") > 80)
    expect("dark ink on paper is asked for", browser.value("getComputedStyle(document.documentElement).color") == "rgb(0, 0, 0)")
    return pages


def main():
    path = chromium.find()
    if not path:
        print("check_page: no chromium here (`tools/install_deps test` installs it): the page was not opened")
        return 1 if os.environ.get("CI") == "true" else 77
    folder = pathlib.Path(sys.argv[1])
    page = folder / "report" / "report.html"
    browser = chromium.Browser(path)
    try:
        for width, dark in ((1100, False), (1100, True), (390, False)):
            check_screen(browser, page, width, dark)
        browser.view(1100, 900)
        browser.load(page)
        expect("the page has other scripts than its own two", browser.value("document.scripts.length") == 2)
        check_hover(browser, folder)
        check_zoom(browser)
        check_choices(browser)
        pages = check_print(browser, page)
        check_without_script(browser, page)
        expect(f"logged: {browser.logged[:3]}", not browser.logged)
        others = [url for url in browser.requests if url != page.resolve().as_uri()]
        expect(f"asked for {others[:3]}", not others)
    finally:
        browser.close()
    for fault in faults:
        print("FAULT:", fault)
    print(f"check_page: {pages} A4 pages, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
