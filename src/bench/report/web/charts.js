"use strict";
/* What the page's charts share: their place in the figure, colours that follow the theme, the label under the pointer.
 *
 * The page is complete without this script: each chart takes the place of a drawing that stands there, on screens only. All text
 * of the evidence is set as textContent or drawn on a canvas, never as markup. */
const seesaw = JSON.parse(document.getElementById("seesaw-data").textContent);
const charts = [];

const ink = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const armColour = arm => ink("arm" + (arm < 0 ? 7 : arm % 8));
const armName = arm => (seesaw.arms[arm] || { name: "unknown" }).name;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/* As many digits as a reader can use: about four. */
function digits(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const decimals = size >= 1000 || value === 0 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

const interval = of => (of[1] === null ? digits(of[0]) : `${digits(of[0])} [${digits(of[1])}, ${digits(of[2])}]`);

/* The figure made live: a head with the chart's name, a box for the canvas, a key, and a note in the caption's place. */
function makePlace(id, name) {
  const figure = document.getElementById(id);
  if (!figure) return null;
  const caption = figure.querySelector("figcaption");
  const place = { figure, head: element("div", "chart-head"), box: element("div", "chart"), key: element("div", "chart-key"),
    note: element("div", "chart-note", caption.textContent) };
  place.head.append(element("span", "name", name));
  place.box.setAttribute("role", "img");
  place.box.setAttribute("aria-label", caption.textContent);
  for (const part of [place.head, place.box, place.key, place.note]) figure.insertBefore(part, caption);
  if (!figure.querySelector("svg")) figure.classList.add("bare");
  figure.hidden = false;
  figure.classList.add("live");
  return place;
}

function addSelect(place, label, names, onChange) {
  const select = element("select"), frame = element("label", "", label + " ");
  names.forEach((name, i) => select.append(new Option(name, i)));
  select.addEventListener("change", () => onChange(Number(select.value)));
  frame.append(select);
  place.head.append(frame);
  return select;
}

function addSwitch(place, label, on, onChange) {
  const box = element("input"), frame = element("label");
  box.type = "checkbox";
  box.checked = on;
  box.addEventListener("change", () => onChange(box.checked));
  frame.append(box, label);
  place.head.append(frame);
}

function showKey(place, items) {
  place.key.replaceChildren(...items.map(({ colour, text }) => {
    const item = element("span"), mark = element("i");
    mark.style.background = colour();
    item.append(mark, text);
    item.recolour = () => { mark.style.background = colour(); };
    return item;
  }));
}

const font = size => `${size}px system-ui, sans-serif`;

function axis(label, extra) {
  return {
    label, labelFont: font(12), font: font(12), labelGap: 0, labelSize: 20, size: 34, stroke: () => ink("faint"),
    grid: { stroke: () => ink("line"), width: 1 }, ticks: { stroke: () => ink("line"), width: 1, size: 5 },
    values: (u, splits) => splits.map(value => value.toLocaleString("en", { maximumSignificantDigits: 6 })), ...extra,
  };
}

const valueAxis = label => axis(label, {
  size: (u, values) => 14 + 7.2 * Math.max(2, ...(values || []).map(value => value.length)),
});

/* Shows what lines(u) gives for the pointer's place: [{colour, title, text, quote}], or null for nothing. */
function tipPlugin(lines) {
  const tip = element("div", "chart-tip");
  tip.hidden = true;
  const show = u => {
    const found = u.cursor.left >= 0 ? lines(u) : null;
    tip.hidden = !found || !found.length;
    if (tip.hidden) return;
    tip.replaceChildren(...found.map(({ colour, title, text, quote }) => {
      const line = element("div");
      if (title) line.append(element("b", "", title));
      if (colour) {
        const mark = element("i");
        mark.style.background = colour;
        line.append(mark);
      }
      line.append(text || "");
      if (quote) line.append(" ", element("q", "", JSON.stringify(quote)));
      return line;
    }));
    const right = u.cursor.left < u.over.clientWidth / 2;
    const top = Math.max(0, Math.min(u.cursor.top - 10, u.over.clientHeight - tip.offsetHeight));
    tip.style.top = top + "px";
    tip.style.left = right ? u.cursor.left + 14 + "px" : "";
    tip.style.right = right ? "" : u.over.clientWidth - u.cursor.left + 14 + "px";
  };
  return { hooks: { init: u => u.over.append(tip), setCursor: show, setData: u => { tip.hidden = true; } } };
}

/* Draws into place.box, in place of what was drawn there before. */
function draw(place, options, data) {
  if (place.chart) {
    charts.splice(charts.indexOf(place), 1);
    place.chart.destroy();
  }
  const size = () => ({ width: Math.max(240, place.box.clientWidth), height: place.box.clientWidth < 520 ? 260 : 330 });
  place.chart = new uPlot({ ...size(), legend: { show: false }, ...options }, data, place.box);
  place.resize = () => place.chart.setSize(size());
  charts.push(place);
}

/* Index of the value nearest to the pointer of each series: after uPlot.join most places of a series are empty. */
function nearestFilled(u, series, index) {
  const values = u.data[series];
  if (values[index] !== null && values[index] !== undefined) return index;
  let below = index, above = index;
  while (below >= 0 && (values[below] === null || values[below] === undefined)) below--;
  while (above < values.length && (values[above] === null || values[above] === undefined)) above++;
  if (below < 0) return above < values.length ? above : null;
  if (above >= values.length) return below;
  const x = u.posToVal(u.cursor.left, "x");
  return x - u.data[0][below] <= u.data[0][above] - x ? below : above;
}

function redrawAll(change) {
  for (const place of charts) {
    change(place);
    for (const item of place.key.children) item.recolour();
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redrawAll(place => place.chart.redraw(false, true)));
addEventListener("resize", () => redrawAll(place => place.resize()));
