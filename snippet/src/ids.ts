/** Returns a UUIDv7 (RFC 9562). It sorts by time, which keeps the ledger's index compact. */
export function newId(ms: number): string {
  // crypto.randomUUID is missing on shops without TLS.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i++) bytes[5 - i] = ms / 256 ** i;
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
