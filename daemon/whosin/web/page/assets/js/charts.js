// Small pictures above the users: who was in over the day, how many fell out, how late we noticed.
const drawn = new Map();
let asked = 0;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export async function draw() {
  const place = document.getElementById("charts");
  if (!place) { drawn.clear(); return; }
  if (performance.now() - asked < 60_000 && place.childElementCount) return;
  asked = performance.now() || 1;
  let charts;
  try { charts = await (await fetch(place.dataset.src)).json(); } catch { return; }
  if (!charts?.length) return;
  const figures = charts.map((chart) => frame(place, chart)); // all of them first: they share the width
  charts.forEach((chart, i) => picture(place, figures[i], chart));
}

function frame(place, chart) {
  let figure = document.getElementById(`chart-${chart.id}`);
  if (!figure) {
    figure = Object.assign(document.createElement("div"), { id: `chart-${chart.id}`, className: "chart" });
    figure.append(document.createElement("p"), document.createElement("div"));
    place.append(figure);
    drawn.delete(chart.id);
  }
  figure.firstChild.textContent = chart.title;
  figure.setAttribute("role", "img");
  figure.setAttribute("aria-label", `${chart.title}: ${chart.summary}`);
  return figure;
}

const hour = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

function picture(place, figure, chart) {
  const width = figure.lastChild.clientWidth || 260;
  const known = drawn.get(chart.id);
  if (known && known.place === place) { known.plot.setData(chart.data); return; }
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 34 };
  const colours = [colour("--accent"), colour("--bad"), colour("--warn")];
  const plot = new uPlot({
    width, height: 110, legend: { show: false }, cursor: { y: false },
    scales: { x: { range: () => [Date.now() / 1000 - 86400, Date.now() / 1000] }, y: { range: (_, __, top) => [0, Math.max(1, top * 1.1)] } },
    axes: [{ ...axis, size: 24, space: 60, values: (_, at) => at.map((one) => hour.format(one * 1000)) }, axis],
    series: [{}, ...chart.series.map((label, i) => ({
      label, stroke: colours[i], width: 1.5, points: { show: chart.kind !== "bars" && chart.data[0].length < 12, size: 4 },
      ...(chart.kind === "bars" ? { fill: colours[i], paths: uPlot.paths.bars({ size: [0.7, 14], align: 1 }) } : {}),
      ...(i && chart.kind !== "bars" ? { dash: [4, 4] } : {}),
    }))],
  }, chart.data, figure.lastChild);
  drawn.set(chart.id, { plot, place });
}

function again() {
  document.getElementById("charts")?.replaceChildren();
  drawn.clear();
  asked = 0;
  draw();
}

let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(again, 200); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
