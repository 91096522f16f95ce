// Drops a picture on an exported page in Chromium, and compares with `predict`: npm install puppeteer-core, and a Chromium
//
//     c2f-train export RUN --format web --output page
//     c2f-train predict --checkpoint RUN --json bird.png > answer.json
//     (cd page; npm pack onnxruntime-web@1.30.0; tar xzf onnxruntime-web-*.tgz; cp package/dist/ort.wasm.min.js package/dist/ort-wasm-simd-threaded.* .)
//     python3 -m http.server --directory page 8090 &
//     node with_chromium.mjs /usr/bin/chromium http://127.0.0.1:8090/ bird.png answer.json seen.png

import { readFileSync } from "node:fs";
import puppeteer from "puppeteer-core";

const [chromium, address, picture, answer, shot] = process.argv.slice(2);
const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 880, height: 560 });
  const elsewhere = [];
  page.on("request", (request) => {
    const { url, method } = { url: request.url(), method: request.method() };
    if (method !== "GET" || !(url.startsWith(address) || url.startsWith("blob:"))) elsewhere.push(`${method} ${url}`);
  });
  page.on("pageerror", (error) => console.error(error.message));
  await page.goto(address);
  await (await page.$("#drop input")).uploadFile(picture);
  await page.waitForSelector("article li span, article .wrong", { timeout: 120000 });
  const said = await page.$$eval("article li", (items) =>
    items.map((item) => [...item.querySelectorAll("span")].map((span) => span.textContent)));
  await page.screenshot({ path: shot });
  const { predictions } = JSON.parse(readFileSync(answer))[0];
  console.log(said, predictions);
  predictions.slice(0, said.length).forEach(({ class: label, probability }, i) => {
    const [got, score] = said[i];
    if (got !== label || Math.abs(parseFloat(score) - 100 * probability) > 0.06)
      throw new Error(`${got} ${score}, expected ${label} ${probability}`);
  });
  if (elsewhere.length) throw new Error("asked elsewhere: " + elsewhere.join(", "));
} finally {
  await browser.close();
}
