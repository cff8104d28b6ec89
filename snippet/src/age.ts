const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * Returns an age such as "now" or "2 minutes ago", in the page's language.
 *
 * The age is rounded down: 119 minutes are "1 hour ago". A negative age is "now".
 */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < MINUTE) return format("auto", 0, "second");
  if (seconds < HOUR) return format("always", seconds / MINUTE, "minute");
  if (seconds < DAY) return format("always", seconds / HOUR, "hour");
  return format("always", seconds / DAY, "day");
}

function format(
  numeric: "auto" | "always",
  count: number,
  unit: "second" | "minute" | "hour" | "day",
): string {
  const ago = (language?: string) =>
    new Intl.RelativeTimeFormat(language, { numeric }).format(-Math.floor(count), unit);
  try {
    return ago(document.documentElement.lang || undefined);
  } catch {
    return ago(); // some shops write lang="en_US", which is not a valid language tag
  }
}
