/** A bar chart of hourly counters in SVG, and the same counters as a table. */

export interface Point {
  start: string;
  counters: { published: number; shown: number; clicked: number };
}

const SERIES = ["published", "shown", "clicked"] as const;
const HOUR_MS = 3_600_000;
const SVG = "http://www.w3.org/2000/svg";

const HEIGHT = 240;
const MARGIN = { top: 12, right: 14, bottom: 28, left: 40 };
/** In a narrower group, the three bars are too thin to distinguish. */
const MIN_GROUP_WIDTH = 18;
/** The part of a group's width that its bars fill. */
const GROUP_FILL = 0.78;
const LABEL_WIDTH = 52;

/** Converts times and counts to positions in the chart, in CSS pixels. */
interface Scale {
  hourWidth: number;
  right: number;
  top: number;
  x(start: string): number;
  y(count: number): number;
}

/**
 * Returns the chart for a given width in CSS pixels.
 *
 * In a narrow chart, one group of bars stands for several hours.
 *
 * @param points One for each hour, without gaps, oldest first.
 */
export function drawChart(points: Point[], width: number): Element {
  const right = width - MARGIN.right;
  const hourWidth = (right - MARGIN.left) / points.length;
  const hours = [1, 2, 3, 4, 6].find((n) => n * hourWidth >= MIN_GROUP_WIDTH) ?? 8;
  const groups = sumGroups(points, hours);
  const top = axisTop(Math.max(...groups.flatMap((group) => Object.values(group.counters))));
  const start = Date.parse(points[0]!.start);
  const plotHeight = HEIGHT - MARGIN.top - MARGIN.bottom;
  const scale: Scale = {
    hourWidth,
    right,
    top,
    x: (time) => MARGIN.left + ((Date.parse(time) - start) / HOUR_MS) * hourWidth,
    y: (count) => MARGIN.top + plotHeight * (1 - count / top),
  };

  const viewBox = `0 0 ${width} ${HEIGHT}`;
  const chart = svg("svg", { viewBox, width, height: HEIGHT, role: "img" });
  const period = hours === 1 ? "hour" : `${hours} hours`;
  chart.setAttribute("aria-label", `Claims published, shown and clicked in each ${period}`);
  chart.append(...countAxis(scale), ...bars(groups, hours, scale), ...hourAxis(points, scale));
  const figure = document.createElement("figure");
  figure.append(chart, legend());
  return figure;
}

export function drawTable(points: Point[]): Element {
  const table = document.createElement("table");
  addRow(table.createTHead(), "th", ["hour", ...SERIES]);
  const body = table.createTBody();
  for (const point of points)
    addRow(body, "td", [hourText(point.start), ...SERIES.map((s) => String(point.counters[s]))]);
  return table;
}

/** Returns one point for each hour from `start` to `end`; an hour without a point counts zero. */
export function everyHour(points: Point[], start: Date, end: Date): Point[] {
  const known = new Map(points.map((point) => [Date.parse(point.start), point]));
  const hours: Point[] = [];
  for (let at = start.getTime(); at < end.getTime(); at += HOUR_MS)
    hours.push(
      known.get(at) ?? {
        start: new Date(at).toISOString(),
        counters: { published: 0, shown: 0, clicked: 0 },
      },
    );
  return hours;
}

function countAxis({ right, top, y }: Scale): Element[] {
  return [0, top / 2, top].flatMap((count) => [
    svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(count), y2: y(count) }),
    svg("text", { class: "axis end", x: MARGIN.left - 8, y: y(count) + 4 }, shortNumber(count)),
  ]);
}

function hourAxis(points: Point[], { hourWidth, x }: Scale): Element[] {
  const step = [3, 4, 6, 8].find((n) => n * hourWidth >= LABEL_WIDTH) ?? 12;
  return points
    .filter(({ start }) => new Date(start).getHours() % step === 0)
    .map(({ start }) => {
      return svg("text", { class: "axis", x: x(start), y: HEIGHT - 8 }, hourText(start));
    });
}

function bars(groups: Point[], hours: number, { hourWidth, x, y }: Scale): Element[] {
  const width = (hourWidth * hours * GROUP_FILL) / SERIES.length;
  const gap = (hourWidth * hours * (1 - GROUP_FILL)) / 2;
  return groups.flatMap(({ start, counters }) => {
    const end = new Date(Date.parse(start) + hours * HOUR_MS).toISOString();
    return SERIES.flatMap((series, i) => {
      const count = counters[series];
      if (!count) return [];
      const height = Math.max(2, y(0) - y(count)); // a small count stays visible
      const place = { x: x(start) + gap + width * i, y: y(0) - height };
      const bar = svg("rect", { class: series, ...place, width, height, rx: 2 });
      bar.append(svg("title", {}, `${hourText(start)} to ${hourText(end)}: ${count} ${series}`));
      return [bar];
    });
  });
}

function sumGroups(points: Point[], size: number): Point[] {
  const groups: Point[] = [];
  points.forEach(({ start, counters }, i) => {
    if (i % size === 0) groups.push({ start, counters: { published: 0, shown: 0, clicked: 0 } });
    for (const series of SERIES) groups.at(-1)!.counters[series] += counters[series];
  });
  return groups;
}

/** Returns a round even number that is at least `count`, so that half of it is a whole number. */
function axisTop(count: number): number {
  const step = 10 ** Math.floor(Math.log10(Math.max(1, count)));
  return Math.max(2, [1, 2, 4, 6, 8, 10].find((n) => n * step >= count)! * step);
}

function shortNumber(count: number): string {
  return new Intl.NumberFormat([], { notation: "compact" }).format(count);
}

function hourText(start: string): string {
  const at = new Date(start);
  // Some time zones are half an hour off the hours of UTC.
  const minute = at.getMinutes() ? "2-digit" : undefined;
  return at.toLocaleTimeString([], { hour: "numeric", minute });
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

function addRow(section: HTMLTableSectionElement, tag: "td" | "th", texts: string[]): void {
  const row = section.insertRow();
  for (const text of texts) {
    const cell = document.createElement(tag);
    if (tag === "th") cell.setAttribute("scope", "col");
    cell.textContent = text;
    row.append(cell);
  }
}

function svg(tag: string, attributes: Record<string, string | number>, text = ""): SVGElement {
  const created = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, String(value));
  created.textContent = text;
  return created;
}
