// Puts the parts together. Every part finds its elements anew after a swap, and none keeps rows of its own.
import { dayHere, tick } from "./time.js";
import { follow, show } from "./live.js";
import { Selection } from "./select.js";
import { Dialogs } from "./dialog.js";
import { draw } from "./charts.js";

const selection = new Selection();
const dialogs = new Dialogs(selection);

function refreshed() {
  tick();
  selection.apply();
  draw();
}

const here = document.querySelector(".tabs [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.clientWidth / 2 + here.clientWidth / 2;

document.addEventListener("htmx:after:swap", refreshed);
refreshed();
setInterval(tick, 1000);
selection.start();
dialogs.start();
follow(() => selection.reload());

// Links and forms of a view change the view alone; without scripts they load the page.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.pushState({}, "", link.href);
  selection.clear();
  show(link.href);
});
addEventListener("popstate", () => { selection.clear(); show(location.href); });

let typing;
function filter(form) {
  if (!form.checkValidity()) return; // while a day is typed
  const query = new URLSearchParams(new FormData(form));
  for (const one of form.querySelectorAll("input[data-day]")) {
    // One that came with the link keeps its zone until somebody chooses another day.
    const given = one.dataset.given;
    if (one.value) query.set(one.name, given.startsWith(one.value) ? given : dayHere(one.value, one.dataset.day === "end"));
  }
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  const href = form.getAttribute("action") + (query.size ? `?${query}` : "");
  history.replaceState({}, "", href);
  selection.clear();
  show(href);
}
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-filters]");
  if (!form) return;
  clearTimeout(typing);
  typing = setTimeout(() => filter(form), event.target.type === "search" ? 250 : 0);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-filters]")) return;
  event.preventDefault();
  clearTimeout(typing);
  filter(event.target);
});
