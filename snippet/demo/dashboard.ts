/** The merchant's demo dashboard: log-in, counters of a site, and its activity as it happens. */
import { subscribe, type Subscription } from "../src/subscription";
import { drawChart, drawTable, everyHour, type Point } from "./chart";
import { type ActivityEvent, addToFeed } from "./feed";
import { GraphQLRequestError, request } from "./graphql";
import activityQuery from "./queries/activity.graphql";
import analyticsQuery from "./queries/analytics.graphql";
import logInQuery from "./queries/log-in.graphql";
import sitesQuery from "./queries/sites.graphql";

/** Activity comes in bursts: analytics are loaded again at most this often. */
const REFRESH_MS = 3_000;
/** Without activity, the 24 hours move on all the same. */
const IDLE_REFRESH_MS = 60_000;
const DAY_HOURS = 24;
const HOUR_MS = 3_600_000;
const TOTALS = ["orders", "published", "shown", "clicked", "dismissed"] as const;
const COUNTERS = ["orders", "published", "shown", "clicked", "converted"] as const;
const CONNECTION_TEXTS = {
  connecting: "Connecting…",
  connected: "Connected",
  disconnected: "Disconnected, retrying…",
};
const SESSION_ENDED = "Your session has ended. Please log in again.";

interface Site {
  id: string;
  name: string;
  domain: string;
  siteKey: string;
}

interface Activity {
  cursor: string;
  counters: Record<(typeof COUNTERS)[number], number>;
  events: ActivityEvent[];
}

type Analytics = { totals: Record<(typeof TOTALS)[number], number>; points: Point[] };

// In memory only, so that no other script and no later user of this browser finds the token.
// A reload asks for the password again.
let token = "";
let sites: Site[] = [];
let points: Point[] = [];
let activity: Subscription | undefined;
let refresh: number | undefined;
let idleRefresh: number | undefined;

const login = byId<HTMLFormElement>("login");
const picker = byId<HTMLSelectElement>("site");

login.addEventListener("submit", (event) => {
  event.preventDefault();
  void showingErrors(logIn);
});
picker.addEventListener("change", () => void showingErrors(openSite));
byId("log-out").addEventListener("click", () => logOut());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) activity?.resume();
});
addEventListener("online", () => activity?.resume());
new ResizeObserver(showChart).observe(byId("chart"));
logOut();

async function logIn(): Promise<void> {
  const form = new FormData(login);
  const input = { email: form.get("email"), password: form.get("password") };
  const session = await request<{ logIn: { token: string } }>(logInQuery, { input });
  token = session.logIn.token;
  login.reset();
  const list = await request<{ sites: { edges: { node: Site }[] } }>(sitesQuery, {}, token);
  sites = list.sites.edges.map((edge) => edge.node);
  picker.replaceChildren(...sites.map((site) => new Option(site.name, site.id)));
  setVisible({ session: true, login: false });
  if (sites.length) await openSite();
  else showError("This account has no site yet. The GraphiQL example CreateSite makes one.");
}

async function openSite(): Promise<void> {
  const site = sites.find((one) => one.id === picker.value)!;
  activity?.pause();
  byId("feed").replaceChildren();
  setVisible({ board: true, empty: true, "counters-block": false });
  byId("title").textContent = `${site.name} · ${site.domain}`;
  byId<HTMLAnchorElement>("shop").href = `/demo/shop.html?key=${encodeURIComponent(site.siteKey)}`;
  subscribeToActivity(site);
  clearInterval(idleRefresh);
  idleRefresh = setInterval(() => void showingErrors(() => loadAnalytics(site)), IDLE_REFRESH_MS);
  await loadAnalytics(site);
}

function subscribeToActivity(site: Site): void {
  setConnection("connecting");
  activity = subscribe<Activity>(
    {
      address: new URL("/graphql", location.href).href.replace(/^http/, "ws"),
      credentials: { authorization: `Bearer ${token}` },
      query: activityQuery,
      variables: { siteId: site.id },
    },
    {
      connected() {
        setConnection("connected");
        refreshSoon(site); // the analytics may be older than the disconnection
      },
      disconnected: () => setConnection("disconnected"),
      refused: () => logOut(SESSION_ENDED),
      next({ counters, events }) {
        setVisible({ empty: false, "counters-block": true });
        byId("counters").replaceChildren(...COUNTERS.map((name) => tile(name, counters[name])));
        addToFeed(byId("feed"), events);
        refreshSoon(site);
      },
    },
  );
  activity.resume();
}

function refreshSoon(site: Site): void {
  refresh ??= setTimeout(() => {
    refresh = undefined;
    void showingErrors(() => loadAnalytics(site));
  }, REFRESH_MS);
}

async function loadAnalytics(site: Site): Promise<void> {
  const end = new Date((Math.floor(Date.now() / HOUR_MS) + 1) * HOUR_MS);
  const start = new Date(end.getTime() - DAY_HOURS * HOUR_MS);
  const variables = { siteId: site.id, start: start.toISOString(), end: end.toISOString() };
  const data = await request<{ site: { analytics: Analytics } }>(analyticsQuery, variables, token);
  if (site.id !== picker.value) return; // the user has picked another site meanwhile
  const { totals } = data.site.analytics;
  points = everyHour(data.site.analytics.points, start, end);
  byId("totals").replaceChildren(...TOTALS.map((name) => tile(name, totals[name])));
  byId("table").replaceChildren(drawTable(points));
  showChart();
}

function showChart(): void {
  const chart = byId("chart");
  if (points.length && chart.clientWidth)
    chart.replaceChildren(drawChart(points, chart.clientWidth));
}

function tile(name: string, count: number): Element {
  const group = document.createElement("div");
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  term.textContent = name;
  // From a million on, a tile has no room for all digits.
  value.textContent = count.toLocaleString([], count < 1e6 ? {} : { notation: "compact" });
  group.append(term, value);
  return group;
}

/** Runs `step` and shows its error. If the session has ended, shows the log-in form. */
async function showingErrors(step: () => Promise<void>): Promise<void> {
  // Before the step, not after it: the subscription may show an error while the step runs.
  setVisible({ error: false });
  try {
    await step();
  } catch (error) {
    if (!(error instanceof GraphQLRequestError)) throw error;
    if (error.code === "UNAUTHENTICATED" && token) logOut(SESSION_ENDED);
    else showError(error.message);
  }
}

function logOut(reason = ""): void {
  activity?.pause();
  activity = undefined;
  clearTimeout(refresh);
  clearInterval(idleRefresh);
  refresh = idleRefresh = undefined;
  token = "";
  points = [];
  setVisible({ session: false, board: false, login: true, error: false });
  if (reason) showError(reason);
  login.querySelector("input")!.focus();
}

function setConnection(state: keyof typeof CONNECTION_TEXTS): void {
  byId("connection").dataset.state = state;
  byId("connection").textContent = CONNECTION_TEXTS[state];
}

function showError(text: string): void {
  byId("error").textContent = text;
  setVisible({ error: true });
}

function setVisible(parts: Record<string, boolean>): void {
  for (const [id, visible] of Object.entries(parts)) byId(id).hidden = !visible;
}

function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}
