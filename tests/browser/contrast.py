"""Text that is too faint for its background, by the rule of WCAG 2.2 AA."""

from __future__ import annotations


def too_faint() -> str:
    """A script that gives the texts whose contrast is below 4.5:1 (3:1 where they are large)."""
    return """() => {
      const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
      const part = (value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      };
      const light = ([red, green, blue]) =>
        0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
      const behind = (node) => {
        for (let at = node; at; at = at.parentElement) {
          const [red, green, blue, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
          if (alpha === 1 && red !== undefined) return [red, green, blue];
        }
        return [255, 255, 255];
      };
      const found = [];
      for (const node of document.querySelectorAll("body *")) {
        const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
        const isShown = node.getClientRects().length > 0;
        if (!own || !isShown || node.closest(":disabled, .sr-only, .skip")) continue;
        const style = getComputedStyle(node);
        const [one, other] = [light(parse(style.color)), light(behind(node))].sort((a, b) => b - a);
        const ratio = (one + 0.05) / (other + 0.05);
        const size = parseFloat(style.fontSize);
        const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (ratio < (isLarge ? 3 : 4.5)) {
          found.push(`${node.textContent.slice(0, 40)} ${ratio.toFixed(2)}`);
        }
      }
      return found;
    }"""
