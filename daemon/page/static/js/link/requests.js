// The few HTTP requests that the page makes besides its WebSocket.

/** What the server said instead of doing what was asked. */
export class RequestFailed extends Error {}

const NO_SERVER = "the page's server does not answer";

/** Fetch JSON; reject with RequestFailed, whose message is the server's own. */
export async function getJson(path) {
  return (await answered(fetch(path))).json();
}

/** Post bytes or an object; return the JSON that comes back, or null if there is none. */
export async function post(path, body = null, headers = {}) {
  const isObject = body !== null && Object.getPrototypeOf(body) === Object.prototype;
  const response = await answered(
    fetch(path, {
      method: "POST",
      headers: {
        "X-Performer": "1",
        ...(isObject ? { "Content-Type": "application/json" } : {}),
        ...headers,
      },
      body: isObject ? JSON.stringify(body) : body,
    }),
  );
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** Fetch a file and hand it to the user under a name. */
export async function download(path, name) {
  const response = await answered(fetch(path));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new RequestFailed(NO_SERVER);
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => null);
  throw new RequestFailed(told?.error ?? `the server answered ${response.status}`);
}
