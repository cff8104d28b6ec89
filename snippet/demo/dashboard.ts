/** A merchant's dashboard in one page: log in, pick a site, see what happens and what happened. */
import { follow, type Following } from "../src/socket";
import { drawChart, drawTable, everyHour, type Point } from "./chart";
import { ask, GraphError } from "./graph";
import activityQuery from "./queries/activity.graphql";
import analyticsQuery from "./queries/analytics.graphql";
import logInQuery from "./queries/log-in.graphql";
import sitesQuery from "./queries/sites.graphql";

/** Events come in bursts; the chart asks again at most this often, in milliseconds. */
const REFRESH_MS = 3_000;
/** Counters move without us hearing, too: hours turn. */
const TURN_MS = 60_000;
const DAY_HOURS = 24;
const HOUR_MS = 3_600_000;
const FEED_LENGTH = 40;
const TOTALS = ["orders", "published", "shown", "clicked", "dismissed"] as const;
const COUNTERS = ["orders", "published", "shown", "clicked", "converted"] as const;

interface Site {
  id: string;
  name: string;
  domain: string;
  siteKey: string;
}

interface Activity {
  cursor: string;
  counters: Record<(typeof COUNTERS)[number], number>;
  events: { type: string; occurredAt: string; claimId: string | null; text: string | null }[];
}

type Analytics = { totals: Record<(typeof TOTALS)[number], number>; points: Point[] };

// In memory alone: reloading asks for the password again, and no script that comes later, nor the
// next person at this browser, finds a token.
let token = "";
let sites: Site[] = [];
let live: Following | undefined;
let refresh: number | undefined;
let turn: number | undefined;

const login = byId<HTMLFormElement>("login");
const picker = byId<HTMLSelectElement>("site");

login.addEventListener("submit", (event) => {
  event.preventDefault();
  void attempt(logIn);
});
picker.addEventListener("change", () => void attempt(openSite));
byId("leave").addEventListener("click", () => leave());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) live?.resume();
});
addEventListener("online", () => live?.resume());
leave();

async function logIn(): Promise<void> {
  const form = new FormData(login);
  const input = { email: form.get("email"), password: form.get("password") };
  const answer = await ask<{ logIn: { token: string } }>(logInQuery, { input });
  token = answer.logIn.token;
  login.reset();
  const list = await ask<{ sites: { edges: { node: Site }[] } }>(sitesQuery, {}, token);
  sites = list.sites.edges.map((edge) => edge.node);
  picker.replaceChildren(...sites.map((site) => new Option(site.name, site.id)));
  show({ session: true, login: false });
  if (sites.length) await openSite();
  else tell("This account has no site yet.");
}

async function openSite(): Promise<void> {
  const site = sites.find((one) => one.id === picker.value)!;
  live?.pause();
  byId("feed").replaceChildren();
  show({ board: true, empty: true, counters: false });
  byId("title").textContent = `${site.name} · ${site.domain}`;
  byId<HTMLAnchorElement>("shop").href = `/demo/shop.html?key=${encodeURIComponent(site.siteKey)}`;
  listen(site);
  clearInterval(turn);
  turn = setInterval(() => void attempt(() => drawAnalytics(site)), TURN_MS);
  await drawAnalytics(site);
}

function listen(site: Site): void {
  const state = byId("live");
  const set = (name: string) => (state.textContent = state.dataset.state = name);
  set("connecting");
  live = follow<Activity>(
    {
      address: new URL("/graphql", location.href).href.replace(/^http/, "ws"),
      credentials: { authorization: `Bearer ${token}` },
      query: activityQuery,
      variables: { siteId: site.id },
    },
    {
      ready: () => set("connected"),
      lost: () => set("reconnecting"),
      refused: () => leave("Your session has ended. Please log in again."),
      next({ counters, events }) {
        show({ empty: false, counters: true });
        byId("counters").replaceChildren(...COUNTERS.map((name) => tile(name, counters[name])));
        byId("feed").prepend(...events.map(entry).reverse());
        while (byId("feed").children.length > FEED_LENGTH) byId("feed").lastChild!.remove();
        refresh ??= setTimeout(() => {
          refresh = undefined;
          void attempt(() => drawAnalytics(site));
        }, REFRESH_MS);
      },
    },
  );
  live.resume();
}

async function drawAnalytics(site: Site): Promise<void> {
  const end = new Date((Math.floor(Date.now() / HOUR_MS) + 1) * HOUR_MS);
  const start = new Date(end.getTime() - DAY_HOURS * HOUR_MS);
  const variables = { siteId: site.id, start: start.toISOString(), end: end.toISOString() };
  const answer = await ask<{ site: { analytics: Analytics } }>(analyticsQuery, variables, token);
  if (site.id !== picker.value) return; // another was picked while this one was asked
  const { totals, points } = answer.site.analytics;
  byId("totals").replaceChildren(...TOTALS.map((name) => tile(name, totals[name])));
  const hours = everyHour(points, start, end);
  byId("chart").replaceChildren(drawChart(hours));
  byId("table").replaceChildren(drawTable(hours));
}

function entry(event: Activity["events"][number]): Element {
  const item = document.createElement("li");
  const type = document.createElement("span");
  type.className = `type ${event.type.split(".").pop()}`;
  type.textContent = event.type;
  const text = document.createElement("span");
  text.textContent = event.text ?? "";
  const when = document.createElement("time");
  when.dateTime = event.occurredAt;
  when.textContent = new Date(event.occurredAt).toLocaleTimeString();
  item.append(type, text, when);
  return item;
}

function tile(name: string, count: number): Element {
  const group = document.createElement("div");
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  term.textContent = name;
  value.textContent = count.toLocaleString();
  group.append(term, value);
  return group;
}

/** Run a step; tell what fails; an ended session leads back to the log-in. */
async function attempt(step: () => Promise<void>): Promise<void> {
  show({ error: false }); // before, not after: what the live door says meanwhile is to be read
  try {
    await step();
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    if (error.code === "UNAUTHENTICATED" && token)
      leave("Your session has ended. Please log in again.");
    else tell(error.message);
  }
}

function leave(why = ""): void {
  live?.pause();
  live = undefined;
  clearTimeout(refresh);
  clearInterval(turn);
  refresh = turn = undefined;
  token = "";
  show({ session: false, board: false, login: true, error: false });
  if (why) tell(why);
  login.querySelector("input")!.focus();
}

function tell(text: string): void {
  byId("error").textContent = text;
  show({ error: true });
}

function show(parts: Record<string, boolean>): void {
  for (const [id, visible] of Object.entries(parts)) byId(id).hidden = !visible;
}

function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}
