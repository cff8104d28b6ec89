/** An hourly bar chart in SVG, and the same figures as a table for those who would rather read. */

export interface Point {
  start: string;
  counters: { published: number; shown: number; clicked: number };
}

const SERIES = ["published", "shown", "clicked"] as const;
const WIDTH = 720;
const HEIGHT = 240;
const MARGIN = { top: 12, right: 4, bottom: 26, left: 36 };
const SVG = "http://www.w3.org/2000/svg";
const LABEL_EVERY_HOURS = 4;

export function drawChart(points: Point[]): Element {
  const plot = HEIGHT - MARGIN.top - MARGIN.bottom;
  const top = niceTop(Math.max(1, ...points.flatMap((p) => SERIES.map((s) => p.counters[s]))));
  const slot = (WIDTH - MARGIN.left - MARGIN.right) / Math.max(1, points.length);
  const bar = (slot * 0.78) / SERIES.length;
  const y = (count: number) => MARGIN.top + plot * (1 - count / top);

  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  chart.setAttribute("aria-label", "Claims published, shown and clicked by the hour");
  for (const count of [0, top / 2, top]) {
    chart.append(
      svg("line", { class: "grid", x1: MARGIN.left, x2: WIDTH, y1: y(count), y2: y(count) }),
      svg("text", { class: "axis end", x: MARGIN.left - 8, y: y(count) + 4 }, String(count)),
    );
  }
  points.forEach((point, i) => {
    const x = MARGIN.left + slot * i + slot * 0.11;
    SERIES.forEach((series, j) => {
      const count = point.counters[series];
      if (!count) return;
      const height = Math.max(2, plot - (y(count) - MARGIN.top));
      const place = { x: x + bar * j, y: MARGIN.top + plot - height, width: bar, height, rx: 2 };
      const rect = svg("rect", { class: series, ...place });
      rect.append(svg("title", {}, `${hour(point.start)}: ${count} ${series}`));
      chart.append(rect);
    });
    if (new Date(point.start).getHours() % LABEL_EVERY_HOURS === 0)
      chart.append(
        svg("text", { class: "axis", x: x + bar * 1.5, y: HEIGHT - 6 }, hour(point.start)),
      );
  });

  const figure = document.createElement("figure");
  figure.append(chart, legend());
  return figure;
}

export function drawTable(points: Point[]): Element {
  const table = document.createElement("table");
  row(table.createTHead(), "th", ["hour", ...SERIES]);
  const body = table.createTBody();
  for (const point of points)
    row(body, "td", [hour(point.start), ...SERIES.map((s) => String(point.counters[s]))]);
  return table;
}

/** All hours from `start` to `end`: those without a counter are nought. */
export function everyHour(points: Point[], start: Date, end: Date): Point[] {
  const known = new Map(points.map((point) => [Date.parse(point.start), point]));
  const hours: Point[] = [];
  for (let at = start.getTime(); at < end.getTime(); at += 3_600_000)
    hours.push(
      known.get(at) ?? {
        start: new Date(at).toISOString(),
        counters: { published: 0, shown: 0, clicked: 0 },
      },
    );
  return hours;
}

function niceTop(count: number): number {
  const step = 10 ** Math.floor(Math.log10(count));
  const top = [1, 2, 4, 5, 10].find((n) => n * step >= count)! * step;
  return top < 2 ? 2 : top;
}

function legend(): Element {
  const list = document.createElement("figcaption");
  for (const series of SERIES) {
    const item = document.createElement("span");
    item.className = series;
    item.textContent = series;
    list.append(item);
  }
  return list;
}

function hour(start: string): string {
  return new Date(start).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function row(into: HTMLTableSectionElement, cell: "td" | "th", texts: string[]): void {
  const made = into.insertRow();
  for (const text of texts) {
    const one = document.createElement(cell);
    if (cell === "th") one.setAttribute("scope", "col");
    one.textContent = text;
    made.append(one);
  }
}

function svg(tag: string, attributes: Record<string, string | number>, text = ""): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.textContent = text;
  return made;
}
