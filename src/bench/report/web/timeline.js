/* When each frame of a reply came: all arms' replies to one prompt and run, as a count or as gaps. */
const timelineViews = ["frames so far", "gap before each frame"];
const timeline = { prompt: 0, run: 0, view: 0 };

const replyTimes = reply => reply.t.map(us => us / 1e3);
const gapsOf = reply => reply.t.map((us, i) => (i ? (us - reply.t[i - 1]) / 1e3 : us / 1e3));

function drawTimeline(place) {
  const runs = [...new Set(seesaw.replies.map(reply => reply.run))].sort((a, b) => a - b);
  const replies = seesaw.replies.filter(reply => reply.prompt === timeline.prompt && reply.run === runs[timeline.run] && reply.t.length);
  place.box.hidden = !replies.length;
  place.texts.replaceChildren(...replies.map(reply => {
    const line = element("div", "reply"), name = element("b", "", armName(reply.arm) + "  ");
    name.style.color = armColour(reply.arm);
    line.append(name, reply.text.join(""));
    return line;
  }));
  showKey(place, replies.map(reply => ({ colour: () => armColour(reply.arm),
    text: `${armName(reply.arm)}: ${reply.t.length} frames${reply.tokens === null ? "" : `, ${reply.tokens} tokens`}` })));
  if (!replies.length) return;
  const gaps = timeline.view === 1;
  const data = uPlot.join(replies.map(reply => [replyTimes(reply), gaps ? gapsOf(reply) : reply.t.map((us, i) => i + 1)]));
  const tip = u => replies.map((reply, i) => {
    const at = nearestFilled(u, i + 1, u.cursor.idx);
    if (at === null) return { text: "–" };
    const frame = reply.t.lastIndexOf(Math.round(data[0][at] * 1e3)), gap = gapsOf(reply)[frame];
    return { colour: armColour(reply.arm), quote: reply.text[frame],
      text: `${armName(reply.arm)}, frame ${frame + 1}: ${digits(data[0][at])} ms, ${frame ? "gap" : "TTFT"} ${digits(gap)} ms` };
  });
  draw(place, {
    scales: { x: { time: false, range: (u, low, high) => [low === data[0][0] ? 0 : low, high] },
      y: { range: (u, low, high) => [0, (high || 1) * 1.06] } },
    axes: [axis("ms since the request was sent"), valueAxis(gaps ? "gap, ms" : "frames with text")],
    series: [{}, ...replies.map(reply => ({ stroke: () => armColour(reply.arm), width: 1.8, spanGaps: true,
      paths: gaps ? uPlot.paths.linear() : uPlot.paths.stepped({ align: 1 }),
      points: { show: reply.t.length < 200, size: 4, fill: () => armColour(reply.arm) } }))],
    cursor: { dataIdx: nearestFilled, points: { size: 8 } },
    plugins: [tipPlugin(tip)],
  }, data);
}

{
  const place = seesaw.replies.length && makePlace("plot-timeline", "One reply, frame by frame");
  if (place) {
    place.texts = element("div");
    place.figure.append(place.texts);
    const runs = [...new Set(seesaw.replies.map(reply => reply.run))].sort((a, b) => a - b);
    const choose = (key, value) => { timeline[key] = value; drawTimeline(place); };
    addSelect(place, "prompt", seesaw.names.prompts.map(prompt => `${prompt.id}: ${prompt.label}`), value => choose("prompt", value));
    addSelect(place, "run", runs.map(run => String(run)), value => choose("run", value));
    addSelect(place, "as", timelineViews, value => choose("view", value));
    place.note.textContent = `When each frame with text came, and with what. Drag to zoom, double-click to zoom out.${
      seesaw.replies_left_out ? ` ${seesaw.replies_left_out} replies are not in this page; samples.jsonl has them.` : ""}`;
    drawTimeline(place);
  }
}
