"use strict";
// A box is a stop of the tab key only while it can be scrolled. Without this script every one is.
const boxes = document.querySelectorAll(".scroll");
const settle = (box) => {
  if (box.scrollWidth > box.clientWidth + 1) box.setAttribute("tabindex", "0");
  else box.removeAttribute("tabindex");
};
const watch = new ResizeObserver((changes) => changes.forEach((change) => settle(change.target)));
boxes.forEach((box) => watch.observe(box));
// The contents tell which section is being read: the last whose heading has passed the upper third.
const links = [...document.querySelectorAll("nav a")];
const parts = links.map((link) => document.getElementById(link.hash.slice(1)));
const mark = () => {
  const end = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2;
  const passed = parts.filter((part) => part.getBoundingClientRect().top < window.innerHeight / 3).length - 1;
  const now = end ? parts.length - 1 : Math.max(passed, 0);
  links.forEach((link, place) => {
    if (place === now) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  });
};
let waiting = false;
const later = () => {
  if (!waiting) requestAnimationFrame(() => { waiting = false; mark(); });
  waiting = true;
};
addEventListener("scroll", later, { passive: true });
addEventListener("resize", later);
mark();
