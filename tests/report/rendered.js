// What only a browser knows: what sticks out, what is unreadable, what a screen reader is told. Returns a list of texts.
(() => {
  const found = [];
  const name = (node) => `<${node.tagName.toLowerCase()}${node.id ? "#" + node.id : ""}${
    typeof node.className === "string" && node.className ? "." + node.className : ""}> ${
    (node.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40)}`;
  const shown = (node) => node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const width = document.documentElement.clientWidth;
  // Something may be wider than the page where it scrolls by itself.
  const scrolls = (node) => {
    for (let each = node; each; each = each.parentElement) {
      if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(each).overflowX) && each !== document.body
        && each !== document.documentElement) return true;
    }
    return false;
  };
  if (document.scrollingElement.scrollWidth > width) found.push(`page is ${document.scrollingElement.scrollWidth} wide`);
  for (const node of document.body.querySelectorAll("*")) {
    const box = node.getBoundingClientRect();
    if (!shown(node) || node.closest("svg, thead") || scrolls(node)) continue;
    if (box.width && (box.right > width + 1 || box.left < -1)) found.push(`sticks out: ${name(node)}`);
  }
  // WCAG 2.1, 1.4.3: 4.5 to 1, large text 3 to 1.
  const numbers = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const light = (colour) => {
    const part = numbers(colour).slice(0, 3).map((each) => each / 255)
      .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const parts = numbers(getComputedStyle(each).backgroundColor);
      if (parts.length === 3 || parts[3] === 1) return getComputedStyle(each).backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !shown(node)) continue;
    const style = getComputedStyle(node);
    const ink = node.closest("svg") ? style.fill : style.color;
    if (ink === "none") continue;
    const pair = [light(ink), light(ground(node))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < (large ? 3 : 4.5)) found.push(`contrast ${contrast.toFixed(2)}: ${name(node)}`);
    if (!node.closest("svg") && size < 11) found.push(`text of ${size} pixels: ${name(node)}`);
  }
  // A region that scrolls sideways has to be reachable by keyboard, itself or by what is in it (WCAG 2.1.1).
  for (const node of document.body.querySelectorAll("*")) {
    const moves = ["auto", "scroll"].includes(getComputedStyle(node).overflowX);
    if (moves && shown(node) && node.scrollWidth > node.clientWidth + 1 && node.tabIndex < 0
      && !node.querySelector("a[href], button, input, [tabindex='0']")) {
      found.push(`scrolls, but not by keyboard: ${name(node)}`);
    }
  }
  // Pictures that did not decode.
  for (const node of document.images) if (!node.complete || !node.naturalWidth) found.push(`no picture: ${node.alt}`);
  return found;
})()
