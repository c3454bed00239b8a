/* Memory against rate: each arm's means with their intervals, and one circle for each server start. */
function drawTradeoff(place, fromZero) {
  const arms = seesaw.arms;
  const spread = (key, at) => arms.flatMap(arm => [...arm[key].filter(value => value !== null), ...arm.starts.map(start => start[at])]);
  const range = values => {
    const low = fromZero ? 0 : Math.min(...values), high = Math.max(...values), room = (high - low || high || 1) * 0.12;
    return [fromZero ? 0 : low - room, high + room];
  };
  const ranges = { x: range(spread("memory", 0)), y: range(spread("rate", 1)) };
  const order = arms.map((arm, i) => i).sort((a, b) => arms[a].memory[0] - arms[b].memory[0]);
  const data = [order.map(arm => arms[arm].memory[0]), ...order.map((arm, i) => order.map((other, k) => (k === i ? arms[arm].rate[0] : null)))];

  const paint = u => {
    const { ctx } = u, ratio = devicePixelRatio;
    const at = (x, y) => [u.valToPos(x, "x", true), u.valToPos(y, "y", true)];
    const line = (from, to) => { ctx.beginPath(); ctx.moveTo(...from); ctx.lineTo(...to); ctx.stroke(); };
    ctx.save();
    arms.forEach((arm, i) => {
      ctx.strokeStyle = ctx.fillStyle = armColour(i);
      ctx.lineWidth = ratio;
      for (const [x, y] of arm.starts) {
        ctx.beginPath();
        ctx.arc(...at(x, y), 3 * ratio, 0, 7);
        ctx.stroke();
      }
      ctx.lineWidth = 2 * ratio;
      const [x, xLow, xHigh] = arm.memory, [y, yLow, yHigh] = arm.rate;
      if (xLow !== null) line(at(xLow, y), at(xHigh, y));
      if (yLow !== null) line(at(x, yLow), at(x, yHigh));
      ctx.beginPath();
      ctx.arc(...at(x, y), 5 * ratio, 0, 7);
      ctx.fill();
      const [left, top] = at(x, y), right = left < u.bbox.left + u.bbox.width * 0.75;
      ctx.font = font(13 * ratio);
      ctx.textAlign = right ? "left" : "right";
      ctx.fillText(arm.name, left + (right ? 9 : -9) * ratio, top - 8 * ratio);
    });
    ctx.restore();
  };

  const nearest = u => {
    const distance = arm => Math.hypot(u.valToPos(arm.memory[0], "x") - u.cursor.left, u.valToPos(arm.rate[0], "y") - u.cursor.top);
    const arm = arms.reduce((best, other) => (distance(other) < distance(best) ? other : best));
    return [{ title: arm.name, colour: armColour(arms.indexOf(arm)), text: `${interval(arm.memory)} MiB` },
      { text: `${interval(arm.rate)} ${seesaw.names.rate_unit}` }];
  };

  draw(place, {
    scales: { x: { time: false, range: () => ranges.x }, y: { range: () => ranges.y } },
    axes: [axis(`${seesaw.names.memory} after load, MiB`), valueAxis(`${seesaw.names.rate}, ${seesaw.names.rate_unit}`)],
    series: [{}, ...order.map(() => ({ paths: () => null, points: { show: false } }))],
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    hooks: { draw: [paint] }, plugins: [tipPlugin(nearest)],
  }, data);
}

{
  const place = seesaw.names.memory && makePlace("plot-tradeoff", "What the memory buys");
  if (place) {
    addSwitch(place, "axes from zero", true, fromZero => drawTradeoff(place, fromZero));
    drawTradeoff(place, true);
  }
}
