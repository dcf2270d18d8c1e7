// Orders: a form is sent, and its answer is shown in the one dialog. Nothing is removed without it.
import { order, show } from "./live.js";
import { span, text, tick } from "./time.js";

export class Dialogs {
  constructor(selection) {
    this.selection = selection;
    this.timer = null;
  }

  get box() { return document.getElementById("dialog"); }

  start() {
    document.addEventListener("click", (event) => {
      const button = event.target.closest("#logoff, #message, [data-logoff], [data-close]");
      if (!button) return;
      if (button.matches("[data-close]")) { event.preventDefault(); return this.close(); }
      if (button.id === "message") return this.send("/message", this.selection.values());
      this.send("/logoff/ask", button.dataset.logoff ? { ids: button.dataset.logoff } : this.selection.values());
    });
    document.addEventListener("submit", (event) => {
      const form = event.target.closest("form[data-order]");
      if (!form) return;
      event.preventDefault();
      this.submitted(form);
    });
    document.addEventListener("change", (event) => {
      if (event.target.id !== "force") return;
      document.getElementById("warning").hidden = !event.target.checked;
      document.getElementById("do-logoff").disabled = false;
    });
    this.box.addEventListener("cancel", () => this.ended());
    this.box.addEventListener("click", (event) => { if (event.target === this.box) this.close(); });
  }

  async submitted(form) {
    if (this.timer) return this.hurry();
    const values = Object.fromEntries(new FormData(form));
    for (const one of form.querySelectorAll("input[data-utc]")) {
      values[one.name] = one.value ? new Date(one.value).toISOString() : ""; // typed where the reader sits
    }
    const path = form.dataset.order;
    const wait = Number(values.force === "1" ? values.wait_s ?? 0 : 0);
    const buttons = [...form.querySelectorAll("button:not([data-close])")];
    for (const button of buttons) button.disabled = true;
    if (values.force === "1" && wait > 0) {
      const said = await order("/logoff/warn", values);
      if (!said) { for (const button of buttons) button.disabled = false; return; }
      return this.countdown(form, path, values, wait);
    }
    await this.send(path, values);
    for (const button of buttons) button.disabled = false;
  }

  // The people are warned; the wait is shown, and can be cut short or called off.
  countdown(form, path, values, wait) {
    const end = Date.now() + wait * 1000;
    const button = form.querySelector("#do-logoff");
    button.disabled = false;
    for (const one of form.querySelectorAll("input, select")) one.disabled = true;
    const step = () => {
      const left = (end - Date.now()) / 1000;
      if (left <= 0) return this.hurry();
      button.textContent = `${button.dataset.countdown} ${span(left)} · ${button.dataset.now}`;
    };
    this.hurry = () => { clearInterval(this.timer); this.timer = null; this.send(path, values); };
    this.timer = setInterval(step, 250);
    step();
  }

  async send(path, values) {
    const part = await order(path, values);
    if (!part) return;
    const box = this.box;
    box.innerHTML = part;
    tick();
    if (!box.open) box.showModal();
    box.querySelector("[autofocus], input:not([type=hidden])")?.focus();
    const removed = box.querySelector("[data-removed]")?.dataset.removed;
    if (removed !== undefined) this.selection.drop(removed.split("\n"));
    if (!path.endsWith("/ask")) show();
  }

  close() { this.box.close(); this.ended(); }

  ended() {
    clearInterval(this.timer);
    this.timer = null;
    this.box.replaceChildren();
  }
}
