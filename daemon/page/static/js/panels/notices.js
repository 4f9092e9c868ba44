// Sentences that come and go: what was refused, what was lost, what is back.

import { button, byId, make } from "./elements.js";

const STAYS_MS = { info: 6000, error: 12_000 };
const MOST = 4;

/** Show a sentence for a while; the same one twice is shown once. */
export function notify(message, level = "info") {
  const place = byId("notices");
  for (const each of place.children) if (each.dataset.message === message) each.remove();
  const notice = make("div", { className: `notice ${level}`, role: level === "error" ? "alert" : "status" });
  notice.dataset.message = message;
  notice.append(
    make("span", { textContent: message }),
    button("×", () => notice.remove(), { "aria-label": "Close this message" }),
  );
  place.append(notice);
  while (place.children.length > MOST) place.firstChild.remove();
  setTimeout(() => notice.remove(), STAYS_MS[level] ?? STAYS_MS.info);
}
