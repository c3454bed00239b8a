/* Memory against speed: each arm's means with their intervals, and one circle for each server start. An arm that another one beats is
 * hollow; of a sweep the others are joined: the Pareto front. */
const tradeoff = { measure: 0, fromZero: true };
const tradeoffNarrow = 480, tradeoffFew = 7; /* CSS pixels, and dots: beyond either a sweep's are labelled with the values alone */
const tradeoffMeasures = [
  { key: "rate", at: 1, name: seesaw.names.rate, unit: seesaw.names.rate_unit },
  { key: "ttft", at: 2, name: "TTFT", unit: "ms" },
];

function tradeoffRanges(measure) {
  const spread = (key, at) => seesaw.arms.flatMap(arm =>
    [...arm[key].filter(value => value !== null), ...arm.starts.map(start => start[at])]);
  const range = values => {
    const low = tradeoff.fromZero ? 0 : Math.min(...values), high = Math.max(...values), room = (high - low || high || 1) * 0.12;
    return [tradeoff.fromZero ? 0 : low - room, high + room];
  };
  return { x: range([...spread("memory", 0), ...(seesaw.sweep.fit ? [seesaw.sweep.fit] : [])]), y: range(spread(measure.key, measure.at)) };
}

function paintTradeoff(u, measure) {
  const { ctx, bbox } = u, ratio = devicePixelRatio;
  const at = (x, y) => [u.valToPos(x, "x", true), u.valToPos(y, "y", true)];
  const line = points => { ctx.beginPath(); points.forEach((point, i) => (i ? ctx.lineTo(...point) : ctx.moveTo(...point))); ctx.stroke(); };
  const dot = (place, radius) => { ctx.beginPath(); ctx.arc(...place, radius * ratio, 0, 7); };
  const mean = arm => at(arm.memory[0], arm[measure.key][0]);
  ctx.save();
  ctx.font = font(13 * ratio);
  ctx.lineWidth = 1.5 * ratio;
  ctx.strokeStyle = ink("faint");
  const isOnFront = i => seesaw.arms[i].behind[measure.at - 1] === i;
  line(seesaw.arms.slice(0, seesaw.sweep.n).filter((arm, i) => isOnFront(i)).sort((a, b) => a.memory[0] - b.memory[0]).map(mean));
  if (seesaw.sweep.fit) {
    const [left] = at(seesaw.sweep.fit, 0);
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    line([[left, bbox.top], [left, bbox.top + bbox.height]]);
    ctx.setLineDash([]);
    ctx.fillStyle = ink("faint");
    ctx.textAlign = "right";
    ctx.fillText(`to fit: ${digits(seesaw.sweep.fit)} MiB`, left - 5 * ratio, bbox.top + bbox.height - 7 * ratio);
  }
  seesaw.arms.forEach((arm, i) => {
    ctx.strokeStyle = ctx.fillStyle = armColour(i);
    ctx.lineWidth = ratio;
    for (const start of arm.starts) { dot(at(start[0], start[measure.at]), 3); ctx.stroke(); }
    ctx.lineWidth = 2 * ratio;
    const [x, xLow, xHigh] = arm.memory, [y, yLow, yHigh] = arm[measure.key];
    if (xLow !== null) line([at(xLow, y), at(xHigh, y)]);
    if (yLow !== null) line([at(x, yLow), at(x, yHigh)]);
    dot(mean(arm), 5);
    if (!isOnFront(i)) { ctx.fillStyle = ink("paper"); ctx.fill(); ctx.stroke(); ctx.fillStyle = armColour(i); } else ctx.fill();
  });
  /* Labels of arms that lie close together stand below one another. A sweep's stand beside its line: more memory, more speed, so a
   * rate's line goes up to the right and a time's goes down. */
  const taken = [], isShort = bbox.width < tradeoffNarrow * ratio || seesaw.sweep.n > tradeoffFew;
  seesaw.arms.forEach((arm, i) => {
    const name = isShort && seesaw.sweep.values[i] !== undefined ? seesaw.sweep.values[i] : arm.name;
    const [x, y] = mean(arm), width = ctx.measureText(name).width, line = 16 * ratio;
    const isRight = x < bbox.left + bbox.width * 0.75;
    const left = isRight ? x + 9 * ratio : x - 9 * ratio - width;
    const isBelow = i < seesaw.sweep.n && isRight === (measure.key === "rate");
    let top = y + (isBelow ? 18 : -8) * ratio;
    while (taken.some(other => Math.abs(other.top - top) < line && left < other.right && other.left < left + width)) top += line;
    taken.push({ left, right: left + width, top });
    ctx.fillStyle = armColour(i);
    ctx.textAlign = "left";
    ctx.fillText(name, left, top);
  });
  ctx.restore();
}

function drawTradeoff(place) {
  const arms = seesaw.arms, measure = tradeoffMeasures[tradeoff.measure], ranges = tradeoffRanges(measure);
  const order = arms.map((arm, i) => i).sort((a, b) => arms[a].memory[0] - arms[b].memory[0]);
  const data = [order.map(arm => arms[arm].memory[0]),
    ...order.map((arm, i) => order.map((other, k) => (k === i ? arms[arm][measure.key][0] : null)))];
  const nearest = u => {
    const distance = arm => Math.hypot(u.valToPos(arm.memory[0], "x") - u.cursor.left, u.valToPos(arm[measure.key][0], "y") - u.cursor.top);
    const arm = arms.reduce((best, other) => (distance(other) < distance(best) ? other : best)), i = arms.indexOf(arm);
    const behind = arm.behind[measure.at - 1];
    return [{ title: arm.name, colour: armColour(i), text: `${interval(arm.memory)} MiB` },
      { text: `${interval(arm[measure.key])} ${measure.unit}` }, ...(behind === i ? [] : [{ text: `behind ${armName(behind)}` }])];
  };
  draw(place, {
    scales: { x: { time: false, range: () => ranges.x }, y: { range: () => ranges.y } },
    axes: [axis(`${seesaw.names.memory} after load, MiB`), valueAxis(`${measure.name}, ${measure.unit}`)],
    series: [{}, ...order.map(() => ({ paths: () => null, points: { show: false } }))],
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    hooks: { draw: [u => paintTradeoff(u, measure)] }, plugins: [tipPlugin(nearest)],
  }, data);
}

{
  const place = seesaw.names.memory && makePlace("plot-tradeoff", "What the memory buys");
  if (place) {
    const choose = (key, value) => { tradeoff[key] = value; drawTradeoff(place); };
    addSelect(place, "against", tradeoffMeasures.map(measure => measure.name), value => choose("measure", value));
    addSwitch(place, "axes from zero", true, value => choose("fromZero", value));
    place.note.textContent = "Memory after load against speed. Dot and bars: mean with its 95 % interval, over server starts and over requests; " +
      "small circles: each server start.";
    if (seesaw.sweep.n > 1) place.note.textContent += ` The line is the Pareto front over ${seesaw.sweep.flag}: values that no other one beats.`;
    if (seesaw.arms.some((arm, i) => arm.behind.some(other => other !== i))) place.note.textContent += " A hollow dot is an arm that another one beats.";
    drawTradeoff(place);
  }
}
