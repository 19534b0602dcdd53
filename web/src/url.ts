/** The address of a server and the namespace in it. */
export interface Address {
  /** Scheme, host and port: https://example.com:8080. */
  origin: string;
  namespace: string;
  /** The query of the address, without the question mark. */
  query: string;
}

/**
 * Reads an address in any of its usual forms: nothing (the page's own server), "/namespace",
 * "//host/namespace", "host:port/namespace", and full http, https, ws and wss URLs.
 */
export function parseAddress(uri?: string): Address {
  const page = typeof location === "undefined" ? undefined : location;
  const scheme = page ? page.protocol : "https:";
  uri ||= "/";
  if (uri.length > 8000) throw new Error("URI too long");
  if (/^\/(?!\/)/.test(uri)) uri = (page ? page.host : "localhost") + uri;
  if (!/^(https?|wss?):\/\//.test(uri)) uri = scheme + (uri.startsWith("//") ? uri : "//" + uri);
  const m = /^(http|ws)(s?):\/\/(?:[^/?#]*@)?([^/?#]+)([^?#]*)\??([^#]*)/.exec(uri);
  if (!m) throw new Error("invalid URI: " + uri);
  const [, , secure, host, namespace, query] = m;
  return {
    origin: `http${secure}://${host}${/:\d+$/.test(host) ? "" : secure ? ":443" : ":80"}`,
    namespace: namespace || "/",
    query,
  };
}
