// Signing in with a token of the admin API.
import { signIn } from "./api.js";
import { el } from "./dom.js";

export function loginView() {
  const token = el("input", {
    type: "password", id: "token", name: "token", autocomplete: "current-password",
    required: true, spellcheck: "false", placeholder: "nca1.…", "aria-describedby": "where",
  });
  const error = el("p", { class: "error", role: "alert" });
  const button = el("button", { type: "submit", class: "primary", text: "Sign in" });
  const form = el(
    "form",
    {
      class: "card login",
      on: {
        submit: async (event) => {
          event.preventDefault();
          button.disabled = true;
          error.textContent = "";
          try {
            await signIn(token.value.trim());
          } catch (problem) {
            error.textContent = problem.message;
            token.focus();
          } finally {
            button.disabled = false;
          }
        },
      },
    },
    el("h1", { text: "Sign in" }),
    // Password managers want a name beside it.
    el("input", { type: "text", name: "username", autocomplete: "username", value: "nearcast", hidden: true }),
    el("label", { for: "token", text: "Token" }),
    token,
    error,
    button,
    el(
      "div",
      { class: "hint", id: "where" },
      el("p", {}, "The first token is in the file ", el("code", { text: "admin.token" }), " in the library's folder. ",
        "The origin names it when it starts:"),
      el("pre", { text: "page http://… (token in …/admin.token)" }),
      el("p", {}, "Others are made with ", el("code", { text: "nearcast origin token add NAME --role viewer" }), "."),
    ),
  );
  return { title: "Sign in", node: el("section", { class: "login-page" }, form) };
}
