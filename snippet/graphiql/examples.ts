/** The default tabs, in the order of use: from signing up to the subscription to claims. */
import signUp from "./examples/1-sign-up.graphql";
import logIn from "./examples/2-log-in.graphql";
import createSite from "./examples/3-create-site.graphql";
import connectShopify from "./examples/4-connect-shopify.graphql";
import notification from "./examples/5-notification.graphql";
import sites from "./examples/6-sites.graphql";
import analytics from "./examples/7-analytics.graphql";
import live from "./examples/8-live.graphql";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Makes the e-mail address and the domain unique, so that the tabs run again on the same stack. */
const unique = Date.now().toString(36);
const person = { email: `me-${unique}@shop.example`, password: "a long password" };
const tonight = Math.ceil(Date.now() / DAY_MS) * DAY_MS;

export const examples = [
  tab(signUp, { input: { ...person, fullName: "Anna Berg", accountName: "Berg Shoes" } }),
  tab(logIn, { input: person }),
  tab(createSite, { input: { accountId: "", name: "Berg Shoes", domain: `${unique}.shop.example` } }),
  tab(connectShopify, { input: { siteId: "" } }),
  tab(notification, {
    input: { siteId: "", name: "Recent orders", type: "RECENT_ORDER" },
    notificationId: "",
  }),
  tab(sites, {}),
  tab(analytics, { siteId: "", start: iso(tonight - DAY_MS), end: iso(tonight) }),
  tab(live, { siteKey: "", after: null }, { "X-Proofgraph-Site-Key": "" }),
];

function tab(query: string, variables: object, headers: object = {}) {
  return { query, variables: pretty(variables), headers: pretty(headers) };
}

function pretty(value: object): string {
  return JSON.stringify(value, null, 2);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
