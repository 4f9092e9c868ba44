// Making elements, in one line each.

/** An element with properties and children; names with a hyphen are attributes. */
export function make(tag, properties = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** A button that calls `onClick`. */
export function button(textContent, onClick, properties = {}) {
  const element = make("button", { type: "button", textContent, ...properties });
  element.addEventListener("click", onClick);
  return element;
}

/** The element of the page with an id; that there is none is a fault of ours. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}
