/* Memory over time: the headline memory of one start of each arm, or all series of one start, with its phases below. */
const STRIP = 12; /* CSS pixels of one row of phases */
const phaseColours = { idle: "line", loading: "arm3", loaded: "arm5", warmup: "arm6", prefill: "arm4", decode: "arm2", between: "line", stopped: "faint" };
const seriesNames = { anon: "anonymous (PSS)", file: "file-mapped (PSS)", shmem: "shared (PSS)", rss: "RSS", vram: "VRAM" };
const seriesColours = { anon: "arm0", file: "arm1", shmem: "arm3", rss: "faint", vram: "arm2" };

const seconds = start => start.t.map(us => us / 1e6);
const mebibytes = column => column.map(kib => (kib === null ? null : kib / 1024));

function headline(start) {
  if (start[seesaw.names.memory_key]) return mebibytes(start[seesaw.names.memory_key]);
  return mebibytes(start.anon.map((anon, i) => (anon === null ? null : anon + start.file[i] + start.shmem[i])));
}

/* What is drawn: one row for each line. */
function memoryRows(choice) {
  if (choice > 0) {
    const start = seesaw.starts[choice - 1];
    return Object.keys(seriesNames).filter(key => start[key].some(value => value !== null))
      .map(key => ({ start, name: seriesNames[key], colour: () => ink(seriesColours[key]), values: mebibytes(start[key]) }));
  }
  return seesaw.arms.map((arm, i) => seesaw.starts.find(start => start.arm === i)).filter(Boolean)
    .map(start => ({ start, name: armName(start.arm), colour: () => armColour(start.arm), values: headline(start) }));
}

function drawPhases(u, starts) {
  const { ctx, bbox } = u, ratio = devicePixelRatio, height = STRIP * ratio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  starts.forEach((start, row) => {
    const top = bbox.top + bbox.height - (starts.length - row) * height;
    let from = 0;
    for (let i = 1; i <= start.t.length; i++) {
      if (i < start.t.length && start.phase[i] === start.phase[from]) continue;
      const left = u.valToPos(start.t[from] / 1e6, "x", true);
      const right = u.valToPos(start.t[Math.min(i, start.t.length - 1)] / 1e6, "x", true);
      const name = seesaw.names.phases[start.phase[from]];
      ctx.globalAlpha = 0.45;
      ctx.fillStyle = ink(phaseColours[name]);
      ctx.fillRect(left, top, right - left, height - ratio);
      ctx.globalAlpha = 1;
      ctx.fillStyle = ink("ink");
      ctx.font = font(9.5 * ratio);
      ctx.textAlign = "left";
      ctx.textBaseline = "middle";
      const x = Math.max(left, bbox.left) + 3 * ratio;
      if (ctx.measureText(name).width < Math.min(right, bbox.left + bbox.width) - x) ctx.fillText(name, x, top + height / 2);
      from = i;
    }
  });
  ctx.restore();
}

/* When the server was last there: the wait after it is seen by zooming out. */
function lastReading(start) {
  const stopped = seesaw.names.phases.indexOf("stopped"), at = start.phase.findLastIndex(phase => phase !== stopped);
  return start.t[Math.max(0, at)] / 1e6;
}

function drawMemory(place, choice) {
  const rows = memoryRows(choice), starts = [...new Set(rows.map(row => row.start))];
  const data = uPlot.join(rows.map(row => [seconds(row.start), row.values]));
  const top = Math.max(...rows.flatMap(row => row.values.filter(value => value !== null)));
  const tip = u => {
    const x = u.posToVal(u.cursor.left, "x");
    const lines = rows.map((row, i) => {
      const at = nearestFilled(u, i + 1, u.cursor.idx), us = at === null ? null : data[0][at] * 1e6;
      const phase = at === null ? "" : seesaw.names.phases[row.start.phase[row.start.t.findLastIndex(t => t <= us + 0.5)]];
      return { colour: row.colour(), text: `${row.name}: ${at === null ? "–" : digits(data[i + 1][at])} MiB${starts.length > 1 ? ", " + phase : ""}`, phase };
    });
    return [{ title: `${digits(x)} s${starts.length > 1 ? "" : ", " + lines[0].phase}` }, ...lines];
  };
  showKey(place, rows.map(row => ({ colour: row.colour, text: row.name })));
  draw(place, {
    scales: { x: { time: false }, y: { range: (u, low, high) => {
      const room = (starts.length * STRIP + 6) / 240;
      return [-(high || top) * 1.06 * room, (high || top) * 1.06];
    } } },
    axes: [axis("seconds since the server was started"),
      { ...valueAxis("MiB"), splits: (u, i, low, high, step) => Array.from({ length: Math.floor(high / step) + 1 }, (_, k) => k * step) }],
    series: [{}, ...rows.map(row => ({ stroke: row.colour, width: 1.8, spanGaps: true, points: { show: false } }))],
    cursor: { dataIdx: nearestFilled, points: { size: 7 } },
    hooks: { draw: [u => drawPhases(u, starts)] }, plugins: [tipPlugin(tip)],
  }, data);
  place.chart.setScale("x", { min: data[0][0], max: Math.max(...starts.map(lastReading)) });
}

{
  const place = seesaw.starts.length && makePlace("plot-memory-time", "Memory over time");
  if (place) {
    const names = seesaw.starts.map(start => `${armName(start.arm)}, start ${start.block + 1}`);
    addSelect(place, "show", ["the first start of each arm", ...names], choice => drawMemory(place, choice));
    const step = Math.max(...seesaw.starts.map(start => start.step));
    place.note.textContent = `Memory over time; the strips name the phases. Drag to zoom, double-click to zoom out.${
      step > 1 ? ` Each point is the highest of up to ${step} readings in a row of one phase.` : ""}${
      seesaw.starts_left_out ? ` ${seesaw.starts_left_out} later starts are not in this page.` : ""}`;
    drawMemory(place, 0);
  }
}
