// Asking before something is changed, and saying what came of it.
import { announce, el } from "./dom.js";

/** Ask; `act` is awaited when the answer is yes, and its error is shown in place. */
export function confirm({ title, text, action, isDangerous = false, act }) {
  const error = el("p", { class: "error", role: "alert" });
  const yes = el("button", { type: "submit", class: isDangerous ? "primary danger" : "primary", text: action });
  const no = el("button", { type: "button", text: "Cancel", on: { click: () => dialog.close() } });
  const form = el(
    "form",
    {
      method: "dialog",
      on: {
        submit: async (event) => {
          event.preventDefault();
          yes.disabled = true;
          error.textContent = "";
          try {
            announce((await act()) ?? "Done");
            dialog.close();
          } catch (problem) {
            error.textContent = problem.message;
            yes.disabled = false;
          }
        },
      },
    },
    el("h2", { text: title }),
    typeof text === "string" ? el("p", { text }) : text,
    error,
    el("div", { class: "buttons" }, no, yes),
  );
  const dialog = el("dialog", { "aria-label": title, on: { close: () => dialog.remove() } }, form);
  document.body.append(dialog);
  dialog.showModal();
}

/** A dialog that only shows something. */
export function tell(title, ...content) {
  const dialog = el(
    "dialog",
    { "aria-label": title, on: { close: () => dialog.remove() } },
    el("h2", { text: title }),
    content,
    el("div", { class: "buttons" }, el("button", { type: "button", text: "Close", on: { click: () => dialog.close() } })),
  );
  document.body.append(dialog);
  dialog.showModal();
}
