// A token for a new edge.
import { post } from "./api.js";
import { confirm, tell } from "./dialog.js";
import { el, announce } from "./dom.js";
import { time } from "./format.js";

export function invite() {
  const name = el("input", { id: "new-edge", required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,62}", spellcheck: "false", autocomplete: "off" });
  confirm({
    title: "Add an edge",
    text: el("div", {}, el("label", { for: "new-edge", text: "Its name: small letters, digits and hyphens" }), name),
    action: "Make a token",
    act: async () => {
      const { edge, token, until_wall_s } = await post("/enrolments", { edge: name.value.trim() });
      const command = `nearcast edge enrol ${token} --store DIR --url http://HOST:PORT`;
      tell(`Enrol ${edge}`,
        el("p", {}, "On the edge's machine, once, before ", time(until_wall_s), ":"),
        el("pre", { class: "wraps", text: command }),
        el("p", { class: "hint", text: "The token is shown this once." }),
        el("button", {
          type: "button", text: "Copy the command",
          on: { click: () => navigator.clipboard?.writeText(command).then(() => announce("Copied")) },
        }));
      return "A token was made";
    },
  });
}
